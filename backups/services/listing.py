"""``backup_list``: the archives in the store, with what the catalogue knows of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import DatabaseError, connections

from backups.archive import ArchiveReader
from backups.catalogue import Reconciled, catalogue_reconcile
from backups.engines import engine_for
from backups.exceptions import BackupError, reason_of
from backups.models import Backup
from backups.progress import Progress
from backups.services.carry_over import carry_over_pending
from backups.services.operation import operation_run
from backups.storage import ArchiveStore, archive_store

__all__ = ["ListedArchive", "backup_list", "backups_reconcile"]


@dataclass(frozen=True)
class ListedArchive:
    """One archive: times are aware UTC, sizes bytes. ``problem`` says why it cannot be read, or what verifying found."""

    name: str
    created_at: datetime
    size: int
    trigger: str = ""
    vendor: str = ""
    server_version: str = ""
    rows: int = 0
    uploads: int | None = None
    pinned: bool = False
    verified_at: datetime | None = None
    note: str = ""
    problem: str = ""
    is_uploaded: bool = False


def backup_list() -> list[ListedArchive]:
    """All archives, newest first. The store is the truth: works without a database, then by reading each manifest."""
    store = archive_store()
    rows: dict[str, Backup] = {}
    try:
        rows = {row.name: row for row in Backup.objects.all()}
    except DatabaseError:
        connections.close_all()
    listed = []
    for stored in store.list():
        row = rows.get(stored.name)
        listed.append(_from_row(row, stored.size) if row else _from_archive(store, stored.name, stored.size, stored.modified))
    return sorted(listed, key=lambda archive: (archive.created_at, archive.name), reverse=True)


def backups_reconcile(*, progress: Progress | None = None, requested_by: str = "", request: str = "") -> Reconciled:
    """Make the catalogue agree with the store, and finish what a restore has not carried over.

    ``request``: the queued journal that asks for it; then it is an operation like others, with the lock. Raises
    :class:`~backups.exceptions.BackupError` where the catalogue cannot be written.
    """
    if not request:
        return _reconciled()
    progress = progress or Progress()
    with operation_run("reconcile", engine=engine_for(), progress=progress, requested_by=requested_by, request=request) as journal:
        progress.stage("reconcile")
        journal.enter("reconcile")
        found = _reconciled()
        journal.report = asdict(found)
        for name, problem in found.unreadable.items():
            progress.warn(f"{name} cannot be read: {problem}")
        return found


def _reconciled() -> Reconciled:
    try:
        carry_over_pending()
        return catalogue_reconcile(archive_store())
    except DatabaseError as error:
        connections.close_all()
        raise BackupError(f"The catalogue cannot be written: {reason_of(error)}") from error


def _from_row(row: Backup, size: int) -> ListedArchive:
    return ListedArchive(
        name=row.name,
        created_at=row.created_at,
        size=size,
        trigger=row.trigger,
        vendor=row.vendor,
        server_version=row.server_version,
        rows=row.row_count,
        uploads=row.upload_count if row.has_uploads else None,
        pinned=row.pinned,
        verified_at=row.verified_at,
        note=row.note,
        problem=row.problem,
        is_uploaded=row.is_uploaded,
    )


def _from_archive(store: ArchiveStore, name: str, size: int, modified: datetime) -> ListedArchive:
    try:
        with store.open(name) as source, ArchiveReader(source, name=name) as reader:
            manifest = reader.manifest
    except BackupError as error:
        return ListedArchive(name=name, created_at=modified, size=size, problem=error.message)
    return ListedArchive(
        name=name,
        created_at=manifest.created_at,
        size=size,
        trigger=manifest.trigger,
        vendor=manifest.database.vendor,
        server_version=manifest.database.server_version,
        rows=sum(manifest.rows.values()),
        uploads=manifest.uploads.count if manifest.uploads.included else None,
        pinned=manifest.pinned,
        note=manifest.note,
    )
