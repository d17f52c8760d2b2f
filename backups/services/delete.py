"""``backup_delete``: remove one archive, because a person says so; unless something leans on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import DatabaseError, connections

from backups.catalogue import catalogue_forget, catalogue_reconcile
from backups.engines import engine_for
from backups.exceptions import ArchiveNotFound, BackupError, PreflightRefused, reason_of
from backups.interrupts import too_late, uninterrupted
from backups.models import Backup
from backups.progress import Progress
from backups.services.carry_over import carry_over_finish
from backups.services.keeping import archives_needed
from backups.services.operation import operation_run
from backups.storage import ArchiveStore, archive_store

__all__ = ["Deleted", "backup_delete", "deletions_refused"]


@dataclass(frozen=True)
class Deleted:
    """The archive that was removed, and the bytes that it took."""

    archive: str
    size: int


def backup_delete(*, archive: str, requested_by: str = "", wait: float = 0, progress: Progress | None = None, request: str = "") -> Deleted:
    """Remove ``archive`` from the store, and then what is noted of it.

    ``request``: the queued journal that asks for it. Raises :class:`~backups.exceptions.PreflightRefused` where the archive is
    pinned, the last good one, or needed; ``ArchiveNotFound``; and :class:`~backups.exceptions.BackupError` where the catalogue
    cannot be asked. Killed after the archive is gone, the next operation finishes it.
    """
    engine = engine_for()
    progress = progress or Progress()
    with operation_run(
        "delete", engine=engine, progress=progress, wait=wait, requested_by=requested_by, archive=archive, request=request
    ) as journal:
        progress.stage("reconcile")
        journal.enter("reconcile")
        store = archive_store()
        size = _size(store, archive)
        if reason := _indexed_refusal(store, archive):
            raise PreflightRefused(reason, state="It is still there.", next_step="Look at the list of backups.")
        progress.stage("delete", total=size)
        journal.enter("delete")
        with uninterrupted(swallow=True):
            # The store first: what is noted of an archive must not be lost while it is there.
            store.delete(archive)
            _forget(archive, progress)
            too_late()
        progress.advance(size)
        journal.report = {"archive": archive, "bytes": size}
        return Deleted(archive, size)


def _forget(archive: str, progress: Progress) -> None:
    try:
        catalogue_forget(archive)
    except (DatabaseError, BackupError) as error:
        progress.warn(f"{archive} is gone, and its row goes with the next look at the store: {reason_of(error)}")
        connections.close_all()


def deletions_refused(archives: Iterable[str]) -> dict[str, str]:
    """Why each of ``archives`` must stay, by name, in a sentence; those that may go are left out.

    From rows and journals alone: :func:`backup_delete` looks again, under the lock. Raises DatabaseError.
    """
    asked = set(archives)
    pinned = set(Backup.objects.filter(name__in=asked, pinned=True).values_list("name", flat=True))
    last, verified = _last_good()
    needed = archives_needed()
    refused: dict[str, str] = {}
    for name in asked:
        if name in pinned:
            refused[name] = f"{name} is pinned, so it stays. Unpin it first."
        elif name == verified:
            refused[name] = f"{name} is the last good backup: the newest whose every byte was verified. Make and verify another first."
        elif name == last:
            refused[name] = f"{name} is the newest backup. Make another first."
        elif name in needed:
            refused[name] = f"{name} cannot go now: {needed[name][0]}."
    return refused


def _last_good() -> tuple[str, str]:
    """The newest archive without a known problem, and the newest that was verified; empty where there is none.

    What was brought here counts only where the site has made none itself: it may be another site's.
    """
    good = Backup.objects.filter(problem="").order_by("is_uploaded", "-created_at", "-name")
    names = (found.values_list("name", flat=True).first() for found in (good, good.filter(verified_at__isnull=False)))
    last, verified = (name or "" for name in names)
    return last, verified


def _size(store: ArchiveStore, archive: str) -> int:
    for stored in store.list():
        if stored.name == archive:
            return stored.size
    raise ArchiveNotFound(f"There is no archive {archive} in {store.describe()}.", next_step="Look at the list of backups.")


def _indexed_refusal(store: ArchiveStore, archive: str) -> str:
    """Why the archive must stay; empty where it may go. The rows are brought into line first: a restore may have rewound a pin."""
    try:
        carry_over_finish()
        catalogue_reconcile(store)
        return deletions_refused([archive]).get(archive, "")
    except DatabaseError as error:
        connections.close_all()
        raise BackupError(f"The catalogue cannot be asked, so nothing is deleted: {reason_of(error)}") from error
