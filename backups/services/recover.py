"""``backup_status --recover``: finish or undo what a dead operation left behind, judged from the data itself."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from django.db import DatabaseError, connections

from backups.catalogue import catalogue_forget
from backups.conf import conf
from backups.engines import Engine, engine_for
from backups.engines.base import Which
from backups.exceptions import BackupError, OperationLocked, PreflightRefused, RestoreNotUndone, reason_of
from backups.gate import gate_close, gate_open, gate_raise, gate_read, is_gate_raised
from backups.interrupts import uninterrupted
from backups.journal import Journal, journal_load_all, journals_damaged
from backups.progress import Progress
from backups.services.ending import ended_notes, operation_live
from backups.services.in_place import in_place_settle
from backups.services.kept import kept_current, kept_keep_only, kept_until
from backups.services.lock import lock_taken
from backups.services.partials import partials_remove
from backups.services.stages import PREVIEW, staging_folder, warn_of_strays
from backups.storage import archive_store
from backups.uploads import uploads_discard, uploads_kept, uploads_root, uploads_settle, uploads_sweep
from backups.watch import cancel_sweep

__all__ = ["Recovered", "Settled", "backup_recover", "interrupted", "recover_interrupted"]

# A busy database server takes a moment to see that a process was killed, and holds its lock until then.
SESSION_ENDS_SECONDS = 2.0


@dataclass(frozen=True)
class Settled:
    """One dead operation that was settled: which data is live now, and the sentence that says so."""

    operation: str
    kind: str
    which: Which
    message: str


@dataclass
class Recovered:
    """What a recovery did. ``unsettled`` is empty, or says why an operation could not be settled."""

    settled: list[Settled] = field(default_factory=list)
    unsettled: str = ""


def interrupted() -> list[Journal]:
    """Journals of operations that began and have not ended; they are interrupted when the lock is free."""
    return [journal for journal in journal_load_all() if journal.status == "running"]


def backup_recover(*, wait: float = 0, progress: Progress | None = None) -> Recovered:
    """Settle every interrupted operation.

    Works with the live database closed, broken or missing, and makes no query to it but the engine's own. Raises
    :class:`~backups.exceptions.OperationLocked` where an operation is at work (it is not interrupted then), and
    :class:`~backups.exceptions.RestoreNotUndone` where one could not be settled.
    """
    progress = progress or Progress()
    engine = engine_for()
    if not interrupted():
        # Files that a dead operation left after its end: whatever has begun since need not be waited for, only the session of the dead.
        with suppress(OperationLocked, PreflightRefused), engine.lock("recover", wait=SESSION_ENDS_SECONDS):
            sweep_leftovers(engine)
            _open_for_ended()
        return Recovered()
    with lock_taken(engine, "recover", wait=max(wait, SESSION_ENDS_SECONDS)):
        recovered = recover_interrupted(engine=engine, progress=progress)
    if recovered.unsettled:
        raise RestoreNotUndone(recovered.unsettled)
    return recovered


def _open_for_ended() -> None:
    """Open the gate where its operation has ended, and only the cache did not hear of it."""
    if not is_gate_raised():
        return
    # A damaged marker does not say whose it is: then it may be that of any damaged journal.
    operation, damaged = gate_read().operation, journals_damaged()
    if operation in damaged or (damaged and not operation):
        raise RestoreNotUndone(
            f"The journal of operation {(operation or damaged[0])[:8]} is damaged, so it cannot be known which data is live.",
            state="The gate is as that operation left it, and everything that it staged or kept is still there.",
            next_step="Look at the data (docs/DATABASE_RECOVERY.md), then run: manage.py backup_status --force-open",
        )
    gate_open()


def recover_interrupted(*, engine: Engine, progress: Progress) -> Recovered:
    """Settle every interrupted operation, oldest first. The lock must be held, so that none of them is alive."""
    recovered = Recovered()
    for journal in interrupted():
        try:
            with uninterrupted(swallow=True):
                settled = _settle(journal, engine, progress)
        except (BackupError, OSError) as error:
            reason = reason_of(error)
            recovered.unsettled = f"{journal.kind} {journal.short_id}: {reason}"
            return recovered
        progress.note(settled.message)
        recovered.settled.append(settled)
    sweep_leftovers(engine)
    return recovered


def sweep_leftovers(engine: Engine) -> None:
    """Remove what operations left that were killed after their end was recorded. The lock must be held.

    No operation runs then, so every staging folder and partial file is an orphan, and every kept state but the newest. What
    cannot be removed now is left for the next sweep. Staged uploads of an operation whose outcome nobody has judged (the gate
    was opened by hand, or its journal is damaged) stay: what the switch displaced lies there, and nowhere else.
    """
    kept = kept_current()
    # An operation that failed by itself has removed its staged uploads before its end was recorded.
    unjudged = {journal.short_id for journal in journal_load_all() if journal.status == "failed"}
    unjudged.update(operation[:8] for operation in journals_damaged())
    with suppress(BackupError, OSError):
        kept_keep_only(engine, kept)
    with suppress(OSError):
        cancel_sweep()
    for folder in (conf.state_dir / "staging").glob("*"):
        if not folder.name.startswith(PREVIEW):
            shutil.rmtree(folder, ignore_errors=True)
    with suppress(BackupError, OSError):
        uploads_sweep(uploads_root(), unjudged | ({kept.short_id} if kept else set()))
    with suppress(BackupError, OSError):
        archive_store().sweep_partials(None)


def _settle(journal: Journal, engine: Engine, progress: Progress) -> Settled:
    engine.end_leftovers(journal)
    if journal.kind in ("restore", "undo"):
        return _settle_restore(journal, engine, progress)
    if journal.kind == "delete" and journal.stage == "delete" and _is_gone(journal.archive):
        return _settle_delete(journal)
    _remove_files(journal)
    journal.end("recovered", error="Interrupted; it changed nothing.")
    return Settled(journal.id, journal.kind, "old", f"The interrupted {journal.named} was cleaned up; it changed nothing.")


def _is_gone(archive: str) -> bool:
    """Whether the store says that it has no such archive; one that is out of reach says nothing, and keeps nobody waiting."""
    try:
        return not archive_store().exists(archive)
    except (BackupError, OSError):
        return False


def _settle_delete(journal: Journal) -> Settled:
    """Finish what a dead delete has left: what is noted of an archive that is gone on purpose."""
    try:
        catalogue_forget(journal.archive)
    except (DatabaseError, BackupError):
        # Reconciling removes the row; only what was noted would be known again, if the same archive came back.
        connections.close_all()
    journal.end("recovered", error="Interrupted when the archive was gone already; the rest was done afterwards.")
    message = f"The interrupted {journal.named} was finished: {journal.archive} is gone."
    return Settled(journal.id, journal.kind, "old", message)


def _settle_restore(journal: Journal, engine: Engine, progress: Progress) -> Settled:
    gate_raise(journal.id, "recover")
    in_place = journal.database.get("strategy") == "in-place"
    if in_place:
        gate_close(local_marker=True)
    which = in_place_settle(journal, engine, progress) if in_place else engine.judge(journal)
    # The uploads first: the last thing the engine does is to let the site read again.
    warn_of_strays(progress, uploads_settle(journal.uploads, which, journal.save))
    kept = engine.settle(journal, which)
    _remove_files(journal)
    if which == "old":
        engine.discard_shadow(journal)
        if journal.uploads.get("root"):
            uploads_discard(Path(journal.uploads["root"]), journal.id)
        journal.end("recovered", error="Interrupted; everything is as it was before.")
        gate_open()
        ended_notes(journal, "old")
        return Settled(journal.id, journal.kind, "old", f"The interrupted {journal.named} was undone: the live data is the old data.")
    journal.kept = {
        "strategy": journal.database.get("strategy", "swap"),
        "until": kept_until(),
        "database": kept,
        "archive": journal.arguments.get("safety", ""),
        "uploads": uploads_kept(journal.uploads) if journal.uploads.get("root") else {},
    }
    operation_live(journal, engine, status="recovered", report=None, progress=progress)
    return Settled(
        journal.id,
        journal.kind,
        "new",
        f"The interrupted {journal.named} was finished: the live data is the restored data.",
    )


def _remove_files(journal: Journal) -> None:
    """Remove the partial archive, spools and staging of a dead operation."""
    partial = journal.arguments.get("partial")
    if partial:
        partials_remove(Path(partial).parent, journal.short_id)
    # A store that is out of reach must not keep the site closed: the next sweep tries again.
    with suppress(BackupError, OSError):
        archive_store().sweep_partials(journal.id)
    shutil.rmtree(staging_folder(journal), ignore_errors=True)
