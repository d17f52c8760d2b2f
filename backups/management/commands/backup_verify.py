"""Read archives back and prove every byte."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.exceptions import ArchiveNotFound, ArchiveRejected, ArchiveUnreadable, UsageError
from backups.management.base import BackupCommand
from backups.preflight import size_human
from backups.progress import Progress
from backups.services.listing import backup_list, backups_reconcile
from backups.services.verify import backup_verify


class Command(BackupCommand):
    """Verify one archive (the newest where none is named), or all."""

    help = "Read an archive back and prove that every member has the size and SHA-256 of the signed manifest."
    locks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own options."""
        super().add_arguments(parser)
        parser.add_argument("archive", metavar="ARCHIVE", nargs="?", help="A path, or a name in the store; default: the newest.")
        parser.add_argument("--all", action="store_true", help="Verify every archive in the store.")
        parser.add_argument("--gentle", action="store_true", help="At a low priority, and no faster than BACKUPS_GENTLE_RATE.")
        parser.add_argument("--reconcile", action="store_true", help="First make the catalogue agree with the store.")

    def run(self, progress: Progress, options: dict[str, Any]) -> None:
        """Verify each; one that is rejected does not stop the others, and is the outcome."""
        if options["all"] and options["archive"]:
            raise UsageError("Name one archive or say --all, not both.")
        if options["reconcile"]:
            backups_reconcile()
        names = [options["archive"]] if options["archive"] else [archive.name for archive in backup_list()]
        if not names:
            raise ArchiveNotFound("There is no archive in the store.", next_step="Make one: manage.py backup_create")
        rejected: list[ArchiveRejected] = []
        for name in names if options["all"] else names[:1]:
            try:
                verified = backup_verify(archive=name, gentle=options["gentle"], progress=progress)
            except ArchiveRejected as error:
                rejected.append(error)
                word = "UNREADABLE" if isinstance(error, ArchiveUnreadable) else "BROKEN"
                self.result(f"{name}  {word}: {error.message}", archive=name, ok=False, problem=error.message)
                continue
            self.result(
                f"{name}  whole: {verified.members} members, {size_human(verified.bytes)}, signature {verified.signature}",
                archive=name,
                ok=True,
                members=verified.members,
                bytes=verified.bytes,
                signature=verified.signature,
            )
        if rejected and all(isinstance(error, ArchiveUnreadable) for error in rejected):
            raise rejected[0]
        if rejected:
            raise ArchiveRejected(
                rejected[0].message if len(rejected) == 1 else f"{len(rejected)} archives are not whole.",
                next_step="Do not rely on it: make a new one (manage.py backup_create) and check the disk.",
            )
