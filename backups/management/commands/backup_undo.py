"""Bring back what was live before the last restore."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from backups.exceptions import UsageError
from backups.management.base import BackupCommand, asked_by, confirmed
from backups.management.reports import report_text, undo_preview_text
from backups.progress import Progress
from backups.services.undo import backup_undo, undo_preview


class Command(BackupCommand):
    """Undo the last restore; undo again brings the restored data back."""

    help = "Bring back what was live before the last restore (or undo). What is live now is kept in its place."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own options."""
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="Say what would be undone and what has changed since.")
        parser.add_argument("--no-input", action="store_true", help="Do not ask.")

    def run(self, progress: Progress, options: dict[str, Any]) -> None:
        """Say what has changed, ask, undo."""
        if options["dry_run"]:
            preview = undo_preview()
            self.result(undo_preview_text(preview), **asdict(preview))
            return
        if not options["no_input"] and not confirmed(undo_preview_text(undo_preview()), "undo", out=self.err):
            raise UsageError("Not confirmed.", next_step="Run it again and type undo, or add --no-input.")
        report = backup_undo(requested_by=asked_by(), wait=options["wait"], progress=progress)
        self.result(report_text(report), **asdict(report))
