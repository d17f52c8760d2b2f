"""Make one archive of database, settings and uploads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from backups.engines import engine_for
from backups.management.base import BackupCommand, asked_by
from backups.progress import Progress
from backups.services.create import backup_create, migrations_pending


class Command(BackupCommand):
    """Make one archive; print its name in the store (or its path) alone."""

    help = "Make one verified archive of database, settings and uploads, and print its name in the store or its path."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own options."""
        super().add_arguments(parser)
        parser.add_argument(
            "--output", type=Path, metavar="PATH", help="Write to this new file, or into this folder, and not to the store."
        )
        parser.add_argument("--note", default="", help="A note that stays with the archive.")
        parser.add_argument("--pin", action="store_true", help="Mark it as one to keep.")
        parser.add_argument("--no-uploads", action="store_true", help="Leave the uploaded files out.")
        parser.add_argument(
            "--gentle", action="store_true", help="At a low priority, and no faster than BACKUPS_GENTLE_RATE; schedules always do so."
        )
        parser.add_argument(
            "--before-migrate", action="store_true", help="Only where migrations are pending on existing data; else do nothing."
        )

    def run(self, progress: Progress, options: dict[str, Any]) -> None:
        """Create, and print where the archive is."""
        if options["before_migrate"]:
            pending = migrations_pending(engine_for())
            if not pending:
                if self.as_json:
                    self.result("", archive=None, pending=[])
                return
            progress.note(f"{len(pending)} migrations are pending, first {pending[0]}.")
        made = backup_create(
            trigger="before-migrate" if options["before_migrate"] else "manual",
            note=options["note"],
            pin=options["pin"],
            uploads=not options["no_uploads"],
            output=options["output"],
            gentle=options["gentle"],
            requested_by=asked_by(),
            wait=options["wait"],
            progress=progress,
        )
        self.result(made.location, archive=made.location, bytes=made.size, rows=sum(made.manifest.rows.values()), warnings=made.warnings)
