"""A store that is a folder of a local (or mounted) file system."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from backups.exceptions import ArchiveNotFound, ArchiveNotSaved, ArchiveRejected, ArchiveUnreadable, BackupError, NameTaken
from backups.files import apply_owner, private_folder, sync_folder, write_durably
from backups.storage.base import (
    HISTORY,
    Archives,
    ArchiveStore,
    OnBytes,
    StoredArchive,
    checked_name,
    checked_operation,
    is_archive_name,
    make_private,
    record_operation,
    sweep_folder,
)

__all__ = ["LocalStore", "publish"]

# What link(2) says on a file system without hard links (FAT, some network file systems).
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def publish(partial: Path, final: Path) -> None:
    """Give the finished file ``partial`` the name ``final`` on the same file system, durably, private and never over another.

    Raises NameTaken, or OSError with ``partial`` still there and nothing at ``final``.
    """
    descriptor = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(partial, final)
    except FileExistsError as error:
        raise NameTaken(f"{final} is there already; it was left as it is.") from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Without links there is no rename that spares an existing file; names carry the operation's id and operations
        # are locked against each other, so that a look beforehand is enough.
        if os.path.lexists(final):
            raise NameTaken(f"{final} is there already; it was left as it is.") from error
        partial.rename(final)
        sync_folder(final.parent)
        return
    try:
        sync_folder(final.parent)
    except OSError:
        final.unlink()
        raise
    partial.unlink()


class LocalStore(ArchiveStore):
    """Archives as files (0600) of one folder (0700); partial ones in ``.partial`` inside it."""

    local_root: Path

    def __init__(self, root: Path) -> None:
        """Take the folder; it is created at first use."""
        self.local_root = root

    def describe(self) -> str:
        """The folder's path."""
        return f"the folder {self.local_root}"

    def bytes_to_move(self, size: int) -> int:
        """None: a rename moves no bytes."""
        return 0

    def folder(self) -> Path:
        """``.partial`` inside the store, so that a finished archive gets its name by a rename."""
        folder = self.local_root / ".partial"
        try:
            private_folder(self.local_root)
            make_private(folder)
            is_foreign = folder.stat().st_dev != self.local_root.stat().st_dev
        except OSError as error:
            raise self.refused("Nothing can be written", error.strerror) from error
        if is_foreign:
            raise self.refused("No archive can be renamed into place", f"{folder} is on another file system")
        return folder

    def save(self, partial: Path, name: str, *, sha256: str, on_bytes: OnBytes) -> None:
        """Rename; the bytes are those that the writer verified on this same file system."""
        final = self.local_root / checked_name(name)
        try:
            apply_owner(partial, self.local_root)
            publish(partial, final)
        except OSError as error:
            raise ArchiveNotSaved(f"The archive {name} could not be saved in {self.describe()}: {error.strerror}.") from error

    def open(self, name: str) -> BinaryIO:
        """The file itself; a symbolic link or anything but a regular file is refused (ArchiveRejected)."""
        path = self.local_root / checked_name(name)
        try:
            # O_NONBLOCK: opening a pipe must not wait for somebody who writes to it.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise ArchiveNotFound(f"There is no archive {name} in {self.describe()}.") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise ArchiveRejected(f"{path} is a symbolic link, not an archive.") from error
            raise ArchiveUnreadable(f"The archive {path} cannot be read: {error.strerror}.") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ArchiveRejected(f"{path} is not a regular file.")
        return os.fdopen(descriptor, "rb")

    def list(self) -> Archives:
        """The regular files whose names are those of archives."""
        found = []
        try:
            with os.scandir(self.local_root) as entries:
                for entry in entries:
                    if is_archive_name(entry.name) and entry.is_file(follow_symlinks=False):
                        with contextlib.suppress(FileNotFoundError):
                            status = entry.stat(follow_symlinks=False)
                            found.append(StoredArchive(entry.name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self.refused("The archives cannot be listed", error.strerror) from error
        return sorted(found, key=lambda archive: archive.name, reverse=True)

    def exists(self, name: str) -> bool:
        """Whether there is anything of that name, be it a link to nowhere."""
        return os.path.lexists(self.local_root / checked_name(name))

    def delete(self, name: str) -> None:
        """Unlink, durably."""
        try:
            (self.local_root / checked_name(name)).unlink()
            sync_folder(self.local_root)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self.refused(f"The archive {name} cannot be deleted", error.strerror) from error

    def check_writable(self) -> None:
        """Write one block beside the partial archives and move it through the store's folder."""
        probe = self.folder() / f"{secrets.token_hex(4)}.check"
        placed = self.local_root / f".{probe.name}"
        try:
            try:
                with probe.open("xb") as file:
                    file.write(bytes(4096))
                    file.flush()
                    os.fsync(file.fileno())
                probe.rename(placed)
            finally:
                probe.unlink(missing_ok=True)
                placed.unlink(missing_ok=True)
        except OSError as error:
            raise self.refused("Nothing can be written", error.strerror) from error

    def save_record(self, operation_id: str, data: bytes) -> None:
        """Write the file durably (a temporary name, then a rename)."""
        try:
            write_durably(self.local_root / HISTORY / f"{checked_operation(operation_id)}.json", data)
        except OSError as error:
            raise BackupError(f"The run history cannot be written in {self.describe()}: {error.strerror}.") from error

    def records(self) -> Iterator[tuple[str, bytes]]:
        """The files of the history's folder, which may be absent."""
        folder = self.local_root / HISTORY
        try:
            names = sorted(path.name for path in folder.iterdir())
        except FileNotFoundError:
            return
        except OSError as error:
            raise self.refused("The run history cannot be read", error.strerror) from error
        for name in names:
            if operation := record_operation(name):
                try:
                    content = (folder / name).read_bytes()
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise self.refused("The run history cannot be read", error.strerror) from error
                yield operation, content

    def delete_record(self, operation_id: str) -> None:
        """Unlink; one that a crash brings back is removed by the next prune."""
        try:
            (self.local_root / HISTORY / f"{checked_operation(operation_id)}.json").unlink(missing_ok=True)
        except OSError as error:
            raise self.refused("The run history cannot be shortened", error.strerror) from error

    def sweep_partials(self, operation: str | None) -> tuple[str, ...]:
        """Sweep ``.partial`` and the temporary names of the history and of :meth:`check_writable`."""
        start = f".{checked_operation(operation)[:8]}" if operation else "."
        history = self.local_root / HISTORY
        try:
            removed = [*sweep_folder(self.local_root / ".partial", operation)]
            leftovers = [*history.glob(".*.json.*"), *self.local_root.glob(".*.check")]
            for path in leftovers:
                if path.name.startswith(start):
                    path.unlink(missing_ok=True)
                    removed.append(path.name)
        except OSError as error:
            raise self.refused("Unfinished files cannot be removed", error.strerror) from error
        return tuple(removed)
