"""What every store owes: the contract between the services and the place where archives live."""

from __future__ import annotations

import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TypeAlias

from backups.conf import conf
from backups.exceptions import PreflightRefused, UsageError
from backups.files import private_folder

__all__ = [
    "BLOCK",
    "HISTORY",
    "ArchiveStore",
    "Archives",
    "OnBytes",
    "StoredArchive",
    "checked_name",
    "checked_operation",
    "is_archive_name",
]

# Bytes read at once while an archive is read back.
BLOCK = 1024 * 1024
# Folder of the run history, beside the archives.
HISTORY = "history"
PARTIAL_SUFFIX = ".partial"

_ARCHIVE_NAME = re.compile(r"backup_[0-9]{8}_[0-9]{6}_[0-9a-f]{8}\.zip")
_RECORD_NAME = re.compile(r"([0-9a-f]{8,32})\.json")
_OPERATION = re.compile(r"[0-9a-f]{8,32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

OnBytes: TypeAlias = Callable[[int], object]


@dataclass(frozen=True)
class StoredArchive:
    """One archive in the store: its name, size in bytes and the (aware) time at which the store got it."""

    name: str
    size: int
    modified: datetime


# The method ArchiveStore.list hides the built-in inside the class.
Archives: TypeAlias = list[StoredArchive]


class ArchiveStore(ABC):
    """A place that holds whole archives by name, and the run history beside them.

    Names are checked by :func:`checked_name`. A name that is listed MUST belong to a whole archive: nothing under
    construction may match :func:`is_archive_name`. Every message names the store (:meth:`describe`) and the cause.
    """

    # The folder of a store on a local file system, else None.
    local_root: Path | None = None

    @abstractmethod
    def describe(self) -> str:
        """The store in a few words, for messages; MUST NOT hold a secret."""

    @abstractmethod
    def folder(self) -> Path:
        """A private folder (0700, created when absent) in which a partial archive and its spool are written.

        For a local store it MUST be on the store's own file system. Raises PreflightRefused where it cannot be made.
        """

    def free_bytes(self) -> int | None:
        """Bytes free where a partial archive is written; None where the system cannot tell."""
        try:
            return shutil.disk_usage(self.folder()).free
        except OSError:
            return None

    def bytes_to_move(self, size: int) -> int:
        """How many bytes :meth:`save` will report for an archive of ``size`` bytes: it is sent and read back."""
        return 2 * size

    @abstractmethod
    def save(self, partial: Path, name: str, *, sha256: str, on_bytes: OnBytes) -> None:
        """Make the finished, fsynced file ``partial`` appear as ``name``, only when it is whole, and never over another.

        ``sha256`` is its hash in hex; ``on_bytes`` is told the bytes moved (it may be called from other threads, and with
        a negative number where a piece is sent again). Afterwards ``partial`` is gone.
        Raises :class:`~backups.exceptions.NameTaken` where the name is in use and
        :class:`~backups.exceptions.ArchiveNotSaved` otherwise; then ``partial`` MUST still be there, and the store MUST
        hold nothing new that looks like an archive.
        """

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open an archive for reading; the file is seekable and its memory bounded.

        Raises :class:`~backups.exceptions.ArchiveNotFound` where there is none, and
        :class:`~backups.exceptions.ArchiveUnreadable` (also later, from a read) where the store fails. Wrong bytes are not
        found here but by the hashes of whoever reads the archive.
        """

    def download_url(self, name: str, *, seconds: int, file_name: str) -> str:
        """A URL of the store's own from which a browser gets the archive, signed for ``seconds``, saved as ``file_name``.

        Empty where the store has none that a browser can be sent to; then the site itself sends what :meth:`open` reads.
        """
        return ""

    @abstractmethod
    def list(self) -> Archives:
        """All archives, newest first by their names. Raises PreflightRefused where the store cannot be read."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether something is stored under that name. Raises PreflightRefused where the store cannot be asked."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove an archive durably; no error where it is gone already. Raises PreflightRefused where that fails."""

    @abstractmethod
    def check_writable(self) -> None:
        """Write and remove a small file; raises PreflightRefused naming the store and why it takes none."""

    @abstractmethod
    def save_record(self, operation_id: str, data: bytes) -> None:
        """Write (replace) ``history/<operation_id>.json``. Raises BackupError where that fails."""

    @abstractmethod
    def records(self) -> Iterator[tuple[str, bytes]]:
        """The run history: operation id and content, in the order of the ids. Raises PreflightRefused."""

    @abstractmethod
    def delete_record(self, operation_id: str) -> None:
        """Remove a record of the run history; no error where it is gone already. Raises PreflightRefused where that fails."""

    @abstractmethod
    def sweep_partials(self, operation: str | None) -> tuple[str, ...]:
        """Remove what a dead operation left (all of them for None) and return what was removed.

        Partial files begin with the first eight hex digits of the operation's id. What lies on this machine goes first;
        PreflightRefused is raised after that where a remote store cannot be swept now.
        """

    def refused(self, what: str, cause: object) -> PreflightRefused:
        """The refusal that says that this store cannot do ``what`` because of ``cause``."""
        return PreflightRefused(
            f"{what} in {self.describe()}: {str(cause).rstrip('.')}.", next_step="Look at the store and at STORAGES['backups']."
        )


def outbox() -> Path:
    """The private folder on this machine where archives wait to be sent to a store that is not local."""
    folder = conf.state_dir / "outbox"
    try:
        make_private(folder)
    except OSError as error:
        raise PreflightRefused(f"The folder {folder} for unfinished archives cannot be used: {error.strerror}.") from error
    return folder


def make_private(folder: Path) -> None:
    """Create the folder when absent; make it private (0700) also where it is there."""
    private_folder(folder)
    if folder.stat().st_mode & 0o777 != 0o700:
        folder.chmod(0o700)


def sweep_folder(folder: Path, operation: str | None) -> tuple[str, ...]:
    """Remove the files and folders of that operation (of all for None) from a folder of partial files."""
    start = checked_operation(operation)[:8] if operation else ""
    if not folder.is_dir():
        return ()
    removed = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(start):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
            removed.append(path.name)
    return tuple(removed)


def is_archive_name(name: str) -> bool:
    """Whether ``name`` has the form ``backup_YYYYMMDD_HHMMSS_<8 hex>.zip``."""
    return _ARCHIVE_NAME.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """``name`` if it is the plain name of one file, as people may give it; raises UsageError otherwise."""
    if not name or name.startswith(".") or "/" in name or "\\" in name or _CONTROL.search(name) or len(name.encode(errors="replace")) > 255:
        raise UsageError(f"{name!r} is not the name of an archive in the store.", next_step="Run: manage.py backup_list")
    return name


def checked_operation(operation_id: str) -> str:
    """``operation_id`` if it is one (8 to 32 hex digits); raises ValueError otherwise."""
    if not _OPERATION.fullmatch(operation_id):
        raise ValueError(f"{operation_id!r} is no operation id.")
    return operation_id


def record_operation(file_name: str) -> str | None:
    """The operation id in the name of a file of the run history, or None where it is another file."""
    match = _RECORD_NAME.fullmatch(file_name)
    return match[1] if match else None
