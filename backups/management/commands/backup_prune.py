"""Remove the archives that no rule keeps."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from backups.exceptions import UsageError
from backups.management.base import BackupCommand, asked_by, confirmed
from backups.management.reports import pruned_text
from backups.progress import Progress
from backups.services.prune import Pruned, backup_prune


class Command(BackupCommand):
    """Prune by the rules of the schedules; say first what would go, and ask."""

    help = "Remove the archives that no rule of their schedule keeps, and what earlier operations have left behind."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own options."""
        super().add_arguments(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Name what would be removed, and the rule that keeps each of the others."
        )
        parser.add_argument("--no-input", action="store_true", help="Do not ask.")

    def run(self, progress: Progress, options: dict[str, Any]) -> None:
        """Show, ask, prune."""
        if options["dry_run"]:
            self._show(backup_prune(dry_run=True, progress=progress))
            return
        if not options["no_input"]:
            preview = backup_prune(dry_run=True)
            if preview.removed and not confirmed(pruned_text(preview), "prune", out=self.err):
                raise UsageError("Not confirmed.", next_step="Run it again and type prune, or add --no-input.")
        self._show(backup_prune(progress=progress, wait=options["wait"], requested_by=asked_by()))

    def _show(self, pruned: Pruned) -> None:
        archives = [asdict(archive) for archive in pruned.archives]
        self.result(pruned_text(pruned), dry_run=pruned.dry_run, archives=archives, bytes=pruned.bytes, swept=pruned.swept)
