"""Everything that can go wrong, with one exit code each.

The docstring of a class is the sentence a person reads when nothing more exact is known. Every error says three
things: what happened (the message), what state things are in now (``state``) and what to type next (``next_step``).
"""

from __future__ import annotations

__all__ = [
    "ArchiveNotFound",
    "ArchiveNotSaved",
    "ArchiveRejected",
    "ArchiveTooLarge",
    "ArchiveUnreadable",
    "AuditUnwritable",
    "BackupError",
    "DatabaseDamaged",
    "DumpFailed",
    "Interrupted",
    "NameTaken",
    "NoWorker",
    "OperationLocked",
    "PreflightRefused",
    "RequestTaken",
    "RestoreFailed",
    "RestoreNotUndone",
    "UsageError",
    "reason_of",
]


def reason_of(error: BaseException) -> str:
    """Why, in one line: the message of one of ours, else the first line of the error's text, else its class's name."""
    text = error.message if isinstance(error, BackupError) else str(error)
    lines = text.strip().splitlines()
    return lines[0] if lines else type(error).__name__


class BackupError(Exception):
    """The operation failed and changed nothing."""

    exit_code = 1
    default_state = "Nothing was changed."
    default_next_step = "Run: manage.py backup_status"

    def __init__(self, message: str = "", *, state: str = "", next_step: str = "") -> None:
        """Keep the three sentences; empty ones fall back to the class's own."""
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.state = state or self.default_state
        self.next_step = next_step or self.default_next_step
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.state} {self.next_step}".strip()


class DatabaseDamaged(BackupError):
    """The database is there and a part of it cannot be read, now or later."""

    default_next_step = "Restore the newest good archive: manage.py backup_list"


class DumpFailed(BackupError):
    """The database could not be dumped."""

    default_state = "No archive was made; the live data is as it was."


class NoWorker(BackupError):
    """No worker is there to do it, so it was not begun and will not be."""

    default_next_step = "Start the site with ./run, which keeps a worker going, or a worker alone; then ask again."


class RequestTaken(BackupError):
    """Somebody else has begun the request already, or it was cancelled or given up."""


class UsageError(BackupError):
    """The command's words do not fit."""

    exit_code = 2
    default_next_step = "Run the command with --help."


class ArchiveNotFound(UsageError):
    """There is no such archive."""

    default_next_step = "Run: manage.py backup_list"


class PreflightRefused(BackupError):
    """A check before the operation found a reason not to begin."""

    exit_code = 3


class AuditUnwritable(PreflightRefused):
    """What is about to happen cannot be written into the audit file."""


class OperationLocked(BackupError):
    """Another operation holds the lock."""

    exit_code = 4
    default_next_step = "Wait for it (add --wait SECONDS), or look at it: manage.py backup_status"


class ArchiveRejected(BackupError):
    """The archive is empty, damaged, edited, hostile, of an unknown format or not trusted."""

    exit_code = 5
    default_next_step = "Choose another archive: manage.py backup_list"


class ArchiveUnreadable(ArchiveRejected):
    """The store did not deliver the archive; that says nothing about the archive itself."""

    default_next_step = "Look at the store and the network, then run the command again."


class ArchiveTooLarge(ArchiveRejected):
    """The archive is larger than the settings allow."""

    default_next_step = "If you know that it must be so large, raise the setting that is named and run the command again."


class RestoreFailed(BackupError):
    """The restore failed and everything is as it was before."""

    exit_code = 6
    default_state = "The live data is as it was before."


class RestoreNotUndone(BackupError):
    """The restore failed and could not be undone; the gate stays closed."""

    exit_code = 7
    default_state = "The site stays closed, so that nobody reads or writes half-restored data."
    default_next_step = "Run: manage.py backup_status --recover"


class ArchiveNotSaved(BackupError):
    """The archive was made, but could not be saved at its destination."""

    exit_code = 8


class NameTaken(ArchiveNotSaved):
    """An archive of that name is there already; it was left as it is."""

    default_next_step = "Run the command again: every run makes a new name."


class Interrupted(BaseException):
    """The operation was interrupted by a signal.

    No ``Exception``: what forgives a failing cache or store on its way must not swallow Ctrl-C.
    """

    message = "Interrupted."
    state = BackupError.default_state
    next_step = BackupError.default_next_step

    def __init__(self, signum: int) -> None:
        """Keep the signal's number: the exit code is 128 plus it (130 for Ctrl-C, 143 for SIGTERM)."""
        super().__init__(self.message)
        self.signum = signum
        self.exit_code = 128 + signum
