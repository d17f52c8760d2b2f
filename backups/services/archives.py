"""Finding the archive that a person means: a path, or a name in the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backups.archive import ArchiveReader
from backups.exceptions import ArchiveNotFound
from backups.storage import archive_store

__all__ = ["archive_opened"]


@contextmanager
def archive_opened(archive: str) -> Iterator[ArchiveReader]:
    """Open ``archive`` for reading: an existing file, else a name in the store.

    Raises :class:`~backups.exceptions.ArchiveNotFound` (exit 2), or ``ArchiveRejected`` (exit 5) for what is no archive.
    """
    path = Path(archive).expanduser()
    if path.is_dir():
        raise ArchiveNotFound(f"{archive} is a folder, not an archive.")
    if path.exists():
        try:
            source = path.open("rb")
        except OSError as error:
            raise ArchiveNotFound(f"{archive} cannot be read: {error.strerror}.") from error
        with source, ArchiveReader(source, name=path.name) as reader:
            yield reader
        return
    if path.name != archive:
        raise ArchiveNotFound(f"There is no file {archive}.")
    with archive_store().open(archive) as stored, ArchiveReader(stored, name=archive) as reader:
        yield reader
