"""``backup_verify``: read every byte of an archive back, and note the outcome in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from backups.engines import engine_for
from backups.exceptions import ArchiveRejected, ArchiveUnreadable
from backups.manifest import Manifest
from backups.pace import Pace, pace_for
from backups.progress import Progress
from backups.services.archives import archive_note, archive_opened
from backups.services.operation import operation_run

__all__ = ["Verified", "backup_verify"]


@dataclass(frozen=True)
class Verified:
    """An archive that is whole: each member has the size and SHA-256 of the manifest. ``signature`` as the reader says."""

    archive: str
    signature: str
    members: int
    bytes: int
    manifest: Manifest


def backup_verify(
    *, archive: str, gentle: bool = False, progress: Progress | None = None, requested_by: str = "", request: str = ""
) -> Verified:
    """Verify a path or a name in the store. Needs no lock and no database.

    ``request``: the queued journal that asks for it; then it is an operation like others, with the lock, so that what is
    read is not pruned meanwhile and who asked can follow it. ``gentle``: at the pace of a gentle backup. Raises
    :class:`~backups.exceptions.ArchiveNotFound` or ``ArchiveRejected`` naming the member and what is wrong.
    """
    progress, pace = progress or Progress(), pace_for(gentle=gentle)
    if not request:
        return _verify(archive, progress, pace)
    with operation_run(
        "verify", engine=engine_for(), progress=progress, requested_by=requested_by, archive=archive, request=request
    ) as journal:
        verified = _verify(archive, progress, pace)
        journal.report = {"members": verified.members, "bytes": verified.bytes, "signature": verified.signature}
        return verified


def _verify(archive: str, progress: Progress, pace: Pace) -> Verified:
    try:
        with archive_opened(archive) as reader:
            progress.stage("verify", total=reader.total_bytes, message=archive)
            pace.run(lambda: reader.verify(pace.counted(progress.advance)))
            verified = Verified(archive, reader.signature, len(reader.manifest.members), reader.total_bytes, reader.manifest)
    except ArchiveUnreadable:
        raise  # That is the store's fault: it says nothing about the archive.
    except ArchiveRejected as error:
        archive_note(archive, progress, problem=error.message)
        raise
    finally:
        progress.finish()
    archive_note(archive, progress)
    return verified
