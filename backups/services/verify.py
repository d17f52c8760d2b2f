"""``backup_verify``: read every byte of an archive back, and note the outcome in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DatabaseError, connections

from backups.catalogue import catalogue_verified
from backups.exceptions import ArchiveRejected, ArchiveUnreadable, reason_of
from backups.manifest import Manifest
from backups.progress import Progress
from backups.services.archives import archive_opened

__all__ = ["Verified", "backup_verify"]


@dataclass(frozen=True)
class Verified:
    """An archive that is whole: each member has the size and SHA-256 of the manifest. ``signature`` as the reader says."""

    archive: str
    signature: str
    members: int
    bytes: int
    manifest: Manifest


def backup_verify(*, archive: str, progress: Progress | None = None) -> Verified:
    """Verify a path or a name in the store. Needs no lock and no database.

    Raises :class:`~backups.exceptions.ArchiveNotFound` or ``ArchiveRejected`` naming the member and what is wrong.
    """
    progress = progress or Progress()
    try:
        with archive_opened(archive) as reader:
            progress.stage("verify", total=reader.total_bytes, message=archive)
            reader.verify(progress.advance)
            verified = Verified(archive, reader.signature, len(reader.manifest.members), reader.total_bytes, reader.manifest)
    except ArchiveUnreadable:
        raise  # That is the store's fault: it says nothing about the archive.
    except ArchiveRejected as error:
        _note(archive, error.message, progress)
        raise
    finally:
        progress.finish()
    _note(archive, "", progress)
    return verified


def _note(archive: str, problem: str, progress: Progress) -> None:
    try:
        catalogue_verified(archive, problem=problem)
    except DatabaseError as error:
        progress.warn(f"The outcome could not be noted in the catalogue: {reason_of(error)}")
        connections.close_all()
