"""A store over any other backend of Django or django-storages: known by the methods of ``Storage`` alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage

from backups.exceptions import ArchiveNotFound, ArchiveNotSaved, ArchiveUnreadable, BackupError, NameTaken
from backups.storage.base import (
    BLOCK,
    HISTORY,
    Archives,
    ArchiveStore,
    OnBytes,
    StoredArchive,
    checked_name,
    checked_operation,
    is_archive_name,
    outbox,
    record_operation,
    sweep_folder,
)

__all__ = ["OtherStore"]

if TYPE_CHECKING:
    # Generic for the type checker only.
    BytesFile = File[bytes]
else:
    BytesFile = File


class _CountedFile(BytesFile):
    """A file that tells how much of it was read, whether a backend reads it by pieces or at will."""

    def __init__(self, file: BinaryIO, name: str, on_bytes: OnBytes) -> None:
        super().__init__(file, name)
        self._source, self._on_bytes = file, on_bytes

    def read(self, size: int = -1) -> bytes:
        """Read from the file and count."""
        data = self._source.read(size)
        self._on_bytes(len(data))
        return data

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The whole file in pieces, counted."""
        self._source.seek(0)
        while data := self.read(chunk_size or BLOCK):
            yield data


class OtherStore(ArchiveStore):
    """Archives behind a ``Storage`` that offers neither paths nor a rename.

    Such a backend shows a file while it is being written, so a crash in the middle of :meth:`save` may leave a part under the
    final name; its hashes give it away. Backends raise errors of their own, hence the broad ``except``.
    """

    def __init__(self, storage: Storage) -> None:
        """Take the backend."""
        self.storage = storage

    def describe(self) -> str:
        """The class of the backend: its options may hold secrets."""
        return f"the storage {type(self.storage).__name__}"

    def folder(self) -> Path:
        """The outbox on this machine."""
        return outbox()

    def save(self, partial: Path, name: str, *, sha256: str, on_bytes: OnBytes) -> None:
        """Save under the final name, read back and compare; delete what is wrong."""
        checked_name(name)
        saved = ""
        try:
            if self.storage.exists(name):
                raise NameTaken(f"{name} is in {self.describe()} already; it was left as it is.")
            saved = name
            with partial.open("rb") as file:
                saved = self.storage.save(name, _CountedFile(file, name, on_bytes))
            if saved != name:
                raise NameTaken(f"{name} is in {self.describe()} already; it was left as it is.")
            if self._hash(name, on_bytes) != sha256:
                raise ArchiveNotSaved(f"Of {name}, other bytes came back from {self.describe()} than were sent; it was deleted there.")
        except BaseException as error:
            if saved:
                self._drop(saved)
            if isinstance(error, BackupError) or not isinstance(error, Exception):
                raise
            raise ArchiveNotSaved(f"The archive {name} could not be saved in {self.describe()}: {str(error).rstrip('.')}.") from error
        partial.unlink()

    def _hash(self, name: str, on_bytes: OnBytes) -> str:
        digest = hashlib.sha256()
        with self.storage.open(name, "rb") as file:
            while data := file.read(BLOCK):
                digest.update(data)
                on_bytes(len(data))
        return digest.hexdigest()

    def _drop(self, name: str) -> None:
        """Delete while another error is on its way: that one is what people need to see."""
        try:
            self.storage.delete(name)
        except Exception as error:
            raise ArchiveNotSaved(
                f"A broken {name} is left in {self.describe()} and could not be deleted: {str(error).rstrip('.')}."
            ) from error

    def open(self, name: str) -> BinaryIO:
        """The backend's own file, which must be able to seek."""
        try:
            if not self.storage.exists(checked_name(name)):
                raise ArchiveNotFound(f"There is no archive {name} in {self.describe()}.")
            file = self.storage.open(name, "rb")
        except BackupError:
            raise
        except Exception as error:
            raise ArchiveUnreadable(f"The archive {name} cannot be read from {self.describe()}: {str(error).rstrip('.')}.") from error
        if not file.seekable():
            file.close()
            raise ArchiveUnreadable(f"{name} cannot be read from {self.describe()}: its files cannot seek.")
        return cast(BinaryIO, file)

    def list(self) -> Archives:
        """The backend's listing, and two questions for each archive."""
        found = []
        try:
            for name in self.storage.listdir("")[1]:
                if is_archive_name(name):
                    modified = self.storage.get_modified_time(name)
                    aware = modified if modified.tzinfo else modified.astimezone(UTC)
                    found.append(StoredArchive(name, self.storage.size(name), aware))
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self.refused("The archives cannot be listed", error) from error
        return sorted(found, key=lambda archive: archive.name, reverse=True)

    def exists(self, name: str) -> bool:
        """Ask the backend."""
        try:
            return self.storage.exists(checked_name(name))
        except BackupError:
            raise
        except Exception as error:
            raise self.refused(f"The archive {name} cannot be looked for", error) from error

    def delete(self, name: str) -> None:
        """Delete in the backend."""
        try:
            if self.storage.exists(checked_name(name)):
                self.storage.delete(name)
        except BackupError:
            raise
        except Exception as error:
            raise self.refused(f"The archive {name} cannot be deleted", error) from error

    def check_writable(self) -> None:
        """Save and delete a small file whose name is no archive's."""
        try:
            self.storage.delete(self.storage.save("check.partial", ContentFile(bytes(4096))))
        except Exception as error:
            raise self.refused("Nothing can be written", error) from error

    def save_record(self, operation_id: str, data: bytes) -> None:
        """Delete the old record, then save: ``Storage`` knows no replacing."""
        name = f"{HISTORY}/{checked_operation(operation_id)}.json"
        try:
            if self.storage.exists(name):
                self.storage.delete(name)
            self.storage.save(name, ContentFile(data))
        except Exception as error:
            raise BackupError(f"The run history cannot be written in {self.describe()}: {str(error).rstrip('.')}.") from error

    def records(self) -> Iterator[tuple[str, bytes]]:
        """The files of the history's folder, which may be absent."""
        try:
            names = sorted(self.storage.listdir(HISTORY)[1])
        except FileNotFoundError:
            return
        except Exception as error:
            raise self.refused("The run history cannot be read", error) from error
        for name in names:
            if operation := record_operation(name):
                try:
                    with self.storage.open(f"{HISTORY}/{name}", "rb") as file:
                        content = file.read()
                except Exception as error:
                    raise self.refused("The run history cannot be read", error) from error
                yield operation, content

    def delete_record(self, operation_id: str) -> None:
        """Delete, where it is there: what a backend does for a missing file is its own affair."""
        name = f"{HISTORY}/{checked_operation(operation_id)}.json"
        try:
            if self.storage.exists(name):
                self.storage.delete(name)
        except Exception as error:
            raise self.refused("The run history cannot be shortened", error) from error

    def sweep_partials(self, operation: str | None) -> tuple[str, ...]:
        """Sweep the outbox; such a backend has no names for unfinished files."""
        return sweep_folder(outbox(), operation)
