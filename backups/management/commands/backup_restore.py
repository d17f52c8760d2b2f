"""Replace the live data by what an archive holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from backups.exceptions import UsageError
from backups.management.base import BackupCommand, asked_by, confirmed
from backups.management.reports import preview_text, report_text
from backups.progress import Progress
from backups.services.archives import archive_opened
from backups.services.preview import restore_preview
from backups.services.restore import backup_restore


class Command(BackupCommand):
    """Restore an archive: built and proven beside the live data, then swapped in; ``backup_undo`` brings back what was."""

    help = "Restore ARCHIVE (a path, or a name in the store). The site keeps serving; the swap takes milliseconds and can be undone."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own options."""
        super().add_arguments(parser)
        parser.add_argument("archive", metavar="ARCHIVE", help="A path, or a name in the store (manage.py backup_list).")
        parser.add_argument("--dry-run", action="store_true", help="Verify, compare and say what would happen; touch nothing.")
        parser.add_argument("--no-input", action="store_true", help="Do not ask.")
        parser.add_argument("--strategy", choices=("auto", "swap", "in-place"), default="auto", help="Default: swap where the role may.")
        parser.add_argument("--uploads", choices=("merge", "exact", "skip"), default="merge", help="Default: merge.")
        parser.add_argument("--jobs", type=int, metavar="N", help="Parallel connections of pg_restore.")
        parser.add_argument("--trust-unsigned", action="store_true", help="Accept an archive of another site, or without a signature.")
        parser.add_argument(
            "--as", dest="username", default="", metavar="USERNAME", help="Dry run: say what would change for this account."
        )

    def run(self, progress: Progress, options: dict[str, Any]) -> None:
        """Preview, or ask and restore."""
        if options["jobs"] is not None and options["jobs"] < 1:
            raise UsageError("--jobs must be 1 or more.")
        if options["username"] and not options["dry_run"]:
            raise UsageError("--as says what a dry run is to tell.", next_step="Add --dry-run, or leave --as out.")
        choices = {name: options[name] for name in ("archive", "strategy", "uploads", "jobs", "trust_unsigned")}
        if options["dry_run"]:
            preview = restore_preview(**choices, username=options["username"], progress=progress)
            self.result(preview_text(preview), **preview_fields(preview))
            return
        if not options["no_input"] and not confirmed(_question(options["archive"], options["trust_unsigned"]), "restore", out=self.err):
            raise UsageError("Not confirmed.", next_step="Run it again and type restore, or add --no-input.")
        report = backup_restore(**choices, requested_by=asked_by(), wait=options["wait"], progress=progress)
        self.result(report_text(report), **asdict(report))


def _question(archive: str, trust_unsigned: bool) -> str:
    """What is to be confirmed; raises where there is no such archive, or none that may be restored."""
    with archive_opened(archive) as reader:
        reader.require_trust(trust_unsigned)
        manifest = reader.manifest
    holds = f"It was made {manifest.created_at:%Y-%m-%d %H:%M} UTC and holds {sum(manifest.rows.values())} rows."
    return f"This replaces the live data by {archive}. {holds} To see first what would change, add --dry-run."


def preview_fields(preview: Any) -> dict[str, Any]:
    """The preview as the fields of the JSON event."""
    fields = asdict(preview)
    manifest = fields.pop("manifest")
    manifest.pop("members")
    return {**fields, "archive": manifest}
