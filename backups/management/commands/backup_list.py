"""List the archives in the store."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import shorten
from typing import Any

from django.core.management.base import CommandParser

from backups.management.base import BackupCommand
from backups.management.reports import table_text
from backups.preflight import size_human
from backups.progress import Progress
from backups.services.listing import ListedArchive, backup_list, backups_reconcile

# Characters of a note; --json has all of it.
NOTE_SHOWN = 60


class Command(BackupCommand):
    """List the archives, newest first."""

    help = "List the archives in the store, newest first."
    locks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own options."""
        super().add_arguments(parser)
        parser.add_argument("--reconcile", action="store_true", help="First make the catalogue agree with the store.")

    def run(self, progress: Progress, options: dict[str, Any]) -> None:
        """Reconcile where asked, then list."""
        if options["reconcile"]:
            found = backups_reconcile()
            progress.note(f"Catalogue: {len(found.added)} added, {len(found.removed)} removed, {len(found.unreadable)} unreadable.")
        archives = backup_list()
        self.result(_text(archives), archives=[asdict(archive) for archive in archives])


def _text(archives: list[ListedArchive]) -> str:
    if not archives:
        return "There is no archive yet. Make one: manage.py backup_create"
    rows = [
        (
            archive.name,
            size_human(archive.size),
            archive.rows,
            "-" if archive.uploads is None else archive.uploads,
            f"{archive.vendor} {archive.server_version.split(' ')[0]}".strip(),
            archive.trigger,
            f"{archive.verified_at:%Y-%m-%d %H:%M}" if archive.verified_at else "-",
            "pinned" if archive.pinned else "",
            f"BROKEN: {archive.problem}" if archive.problem else shorten(archive.note, NOTE_SHOWN, placeholder="…"),
        )
        for archive in archives
    ]
    return table_text(("archive (UTC)", "size", "rows", "uploads", "from", "why", "verified", "", "note"), rows, right=(1, 2, 3))
