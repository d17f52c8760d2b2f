"""``backup_prune``: remove the archives that no rule keeps, and what earlier operations have left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db import DatabaseError, connections
from django.utils import timezone

from backups.audit import audit_check
from backups.catalogue import catalogue_reconcile
from backups.downloads import downloads_sweep
from backups.engines import Engine, engine_for
from backups.exceptions import BackupError, reason_of
from backups.interrupts import uninterrupted
from backups.journal import Journal, journal_load_all
from backups.models import Backup, Operation
from backups.progress import Progress
from backups.quarantine import quarantine_sweep
from backups.services.carry_over import carry_over_finish
from backups.services.keeping import JudgedArchive, archives_judge, archives_needed
from backups.services.kept import kept_expire, kept_expired
from backups.services.listing import backup_list
from backups.services.operation import operation_run
from backups.storage import ArchiveStore, archive_store

__all__ = ["JudgedArchive", "Pruned", "backup_prune"]

# The history stays for so long; and so many of the newest operations always.
HISTORY_AGE = timedelta(days=90)
HISTORY_NEWEST = 50
# What an operation left that failed so recently may still be looked into by a person.
LEFTOVER_AGE = timedelta(days=1)
# Why one stays that was to go.
MEANWHILE = "pinned or asked for meanwhile"


@dataclass
class Pruned:
    """What a prune did, or with ``dry_run`` would do: every archive, newest first, and the sentences about leftovers."""

    dry_run: bool
    archives: list[JudgedArchive] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)

    @property
    def removed(self) -> list[JudgedArchive]:
        """Those that went (or would go)."""
        return [archive for archive in self.archives if not archive.kept_by]

    @property
    def bytes(self) -> int:
        """How much space they free."""
        return sum(archive.size for archive in self.removed)


def backup_prune(
    *, dry_run: bool = False, progress: Progress | None = None, wait: float = 0, requested_by: str = "", request: str = ""
) -> Pruned:
    """Remove the archives that no rule keeps: of each schedule by its own rules, of the safety archives all but the newest.

    Archives that people made or brought, and those of a schedule that is gone, always stay; so does what a kept state or a
    waiting request needs. With ``dry_run`` nothing is touched and no lock is taken. ``request``: the queued journal that asks
    for it. Raises :class:`~backups.exceptions.BackupError`.
    """
    progress = progress or Progress()
    if dry_run:
        return Pruned(dry_run=True, archives=_judged(), swept=[_sentence(journal) for journal in kept_expired()])
    engine = engine_for()
    with operation_run("prune", engine=engine, progress=progress, wait=wait, requested_by=requested_by, request=request) as journal:
        progress.stage("reconcile")
        journal.enter("reconcile")
        store = archive_store()
        _index(store)
        pruned = Pruned(dry_run=False, archives=_judged())
        progress.stage("prune", total=pruned.bytes)
        journal.enter("prune")
        failures = list(_remove(store, pruned, progress))
        progress.stage("sweep")
        journal.enter("sweep")
        pruned.swept = _sweep(engine, store, progress)
        journal.report = {
            "removed": [archive.name for archive in pruned.removed],
            "bytes": pruned.bytes,
            "kept": len(pruned.archives) - len(pruned.removed),
            "swept": pruned.swept,
        }
        if failures:
            raise BackupError(
                f"{len(failures)} of {len(pruned.removed)} archives could not be removed: {failures[0]}",
                state="The others are removed as the rules say.",
                next_step="Look at the store and at STORAGES['backups'], then run: manage.py backup_prune",
            )
        return pruned


# --- archives -----------------------------------------------------------------------------------------------------------


def _index(store: ArchiveStore) -> None:
    """Bring the rows into line first: a restore may have rewound what is known of the archives, pins and rules included."""
    try:
        carry_over_finish()
        catalogue_reconcile(store)
    except DatabaseError as error:
        connections.close_all()
        raise BackupError(f"The catalogue cannot be written, so nothing is removed: {reason_of(error)}") from error


def _judged() -> list[JudgedArchive]:
    """Every archive with the reasons to keep it, newest first."""
    listed = backup_list()
    try:
        kept = archives_judge(listed)
    except DatabaseError as error:
        connections.close_all()
        raise BackupError(f"The schedules cannot be read, so nothing is removed: {reason_of(error)}") from error
    return [
        JudgedArchive(archive.name, archive.created_at, archive.size, archive.trigger, kept[archive.name].kept_by) for archive in listed
    ]


def _remove(store: ArchiveStore, pruned: Pruned, progress: Progress) -> Iterator[str]:
    """Remove those that shall go, oldest first; yields why one could not be removed, and goes on with the next.

    Where there are many, or the store is far away, this takes a while: what is pinned or asked for meanwhile stays.
    """
    for archive in sorted(pruned.removed, key=lambda archive: (archive.created_at, archive.name)):
        try:
            with uninterrupted():
                if _is_wanted(archive.name):
                    pruned.archives[pruned.archives.index(archive)] = replace(archive, kept_by=(MEANWHILE,))
                    progress.note(f"{archive.name} stays: {MEANWHILE}.")
                    continue
                store.delete(archive.name)
                Backup.objects.filter(name=archive.name).delete()
        except (BackupError, OSError, DatabaseError) as error:
            progress.warn(reason_of(error))
            yield reason_of(error)
        else:
            progress.advance(archive.size)
            progress.note(f"Removed {archive.name}.")


def _is_wanted(name: str) -> bool:
    return Backup.objects.filter(name=name, pinned=True).exists() or name in archives_needed()


# --- leftovers ----------------------------------------------------------------------------------------------------------


def _sweep(engine: Engine, store: ArchiveStore, progress: Progress) -> list[str]:
    """Remove kept states past their time, shadows of failed operations, idle uploads and old history; returns what was done.

    Staging folders and partial files are gone already: every operation sweeps them when it has the lock.
    """
    expired = kept_expired()
    kept_expire(engine, progress)
    left = {journal.id for journal in journal_load_all() if journal.kept}
    done = [_sentence(journal) for journal in expired if journal.id not in left]
    _discard_shadows(engine, progress)
    done += quarantine_sweep()
    downloads_sweep()
    _check_audit(progress)
    if count := _shorten_history(store, progress):
        done.append(f"{count} operations older than {HISTORY_AGE.days} days are no longer in the history.")
    return done


def _sentence(journal: Journal) -> str:
    return f"What was live before {journal.kind} {journal.short_id} is past its time ({journal.kept['until'][:16].replace('T', ' ')} UTC)."


def _check_audit(progress: Progress) -> None:
    """Warn where somebody has changed what the audit file says."""
    try:
        faults = audit_check()
    except OSError as error:
        progress.warn(f"The audit file cannot be read: {error.strerror}.")
        return
    if faults:
        progress.warn(f"The audit file was changed before its line {faults[0]} (docs/admin/BACKUP_AND_RESTORE.md says how to look).")


def _discard_shadows(engine: Engine, progress: Progress) -> None:
    """Remove shadows of operations that ended without removing theirs; the engine touches none but the journal's own."""
    before = (datetime.now(UTC) - LEFTOVER_AGE).isoformat()
    for journal in journal_load_all():
        if journal.status in ("failed", "recovered") and journal.ended_at < before and journal.database.get("shadow"):
            try:
                engine.discard_shadow(journal)
            except (BackupError, OSError) as error:
                progress.warn(f"The shadow of {journal.kind} {journal.short_id} could not be removed: {reason_of(error)}")


def _shorten_history(store: ArchiveStore, progress: Progress) -> int:
    """Forget operations that ended long ago: journal, record beside the archives, row. Returns how many."""
    newest = Operation.objects.order_by("-started_at").values_list("operation_id", flat=True)[:HISTORY_NEWEST]
    old = Operation.objects.filter(ended_at__lt=timezone.now() - HISTORY_AGE).exclude(operation_id__in=list(newest))
    journals = {journal.id: journal for journal in journal_load_all()}
    forgotten = 0
    for operation_id in old.values_list("operation_id", flat=True):
        journal = journals.get(operation_id)
        if journal is not None and _is_needed(journal):
            continue
        try:
            # The row last: while there is one, the next prune tries again.
            if journal is not None:
                journal.path.unlink(missing_ok=True)
            store.delete_record(operation_id)
            Operation.objects.filter(operation_id=operation_id).delete()
        except (BackupError, OSError, DatabaseError) as error:
            progress.warn(f"The history could not be shortened: {reason_of(error)}")
            break
        forgotten += 1
    return forgotten


def _is_needed(journal: Journal) -> bool:
    """Whether files lie about that only this journal explains: a kept state, or uploads whose outcome nobody has judged."""
    staging = journal.uploads.get("staging")
    return bool(journal.kept) or not journal.is_finished or bool(staging and Path(staging).exists())
