"""Finding the archive that a person means (a path, or a name in the store), and noting what reading it has shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from django.db import DatabaseError, connections

from backups.archive import ArchiveReader
from backups.catalogue import catalogue_verified
from backups.exceptions import ArchiveNotFound, BackupError, reason_of
from backups.progress import Progress
from backups.storage import archive_store, is_archive_name

__all__ = ["archive_is_stored", "archive_note", "archive_opened"]


@contextmanager
def archive_opened(archive: str) -> Iterator[ArchiveReader]:
    """Open ``archive`` for reading: an existing file, else a name in the store.

    The bare name of an archive that the store has means that one, though a copy may lie in the current folder: what is found in a
    copy must not be noted of the archive. ``./`` before the name makes it the copy.

    Raises :class:`~backups.exceptions.ArchiveNotFound` (exit 2), or ``ArchiveRejected`` (exit 5) for what is no archive.
    """
    with _source(archive) as source, ArchiveReader(source, name=Path(archive).name) as reader:
        yield reader


def _source(archive: str) -> BinaryIO:
    path = Path(archive).expanduser()
    if archive_is_stored(archive):
        return archive_store().open(archive)
    if path.is_dir():
        raise ArchiveNotFound(f"{archive} is a folder, not an archive.")
    if path.exists():
        try:
            return path.open("rb")
        except OSError as error:
            raise ArchiveNotFound(f"{archive} cannot be read: {error.strerror}.") from error
    if path.name != archive:
        raise ArchiveNotFound(f"There is no file {archive}.")
    return archive_store().open(archive)


def archive_is_stored(archive: str) -> bool:
    """Whether ``archive`` means one of the store, and not a file."""
    try:
        return is_archive_name(archive) and archive_store().exists(archive)
    except BackupError:
        # A file of that name will do; where there is none, opening it says what is wrong with the store.
        return False


def archive_note(archive: str, progress: Progress, *, problem: str = "") -> None:
    """Note in the catalogue that every byte of the archive was read, and what was wrong; a database that fails is a warning."""
    try:
        catalogue_verified(archive, problem=problem)
    except DatabaseError as error:
        progress.warn(f"The outcome could not be noted in the catalogue: {reason_of(error)}")
        connections.close_all()
