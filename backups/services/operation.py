"""The frame of every operation: the lock, what an earlier one left behind, the journal, the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import DatabaseError, connections

from backups.catalogue import history_bytes, history_record
from backups.engines import Engine
from backups.exceptions import BackupError, Interrupted, PreflightRefused, RestoreNotUndone, reason_of
from backups.interrupts import in_time, uninterrupted
from backups.journal import Journal, journal_queued, journal_unwritten
from backups.outcomes import CANCELLED_BY
from backups.progress import Progress
from backups.services.carry_over import carry_over_keep
from backups.services.lock import lock_taken
from backups.services.recover import recover_interrupted
from backups.storage import archive_store
from backups.watch import cancelled_by, watching

__all__ = ["operation_remember", "operation_run"]


@contextmanager
def operation_run(
    kind: str,
    *,
    engine: Engine,
    progress: Progress,
    wait: float = 0,
    requested_by: str = "",
    archive: str = "",
    arguments: dict[str, Any] | None = None,
    request: str = "",
) -> Iterator[Journal]:
    """Hold the lock, recover what is left of a dead operation, and keep the journal of this one.

    ``request`` is the id of the queued journal that asks for it, empty where nobody has queued it. An exception ends the
    journal as failed and leaves unchanged; cleaning up is the caller's. Raises :class:`~backups.exceptions.RequestTaken`
    where the request waits no more: of several who begin it, one succeeds.
    """
    journal = Journal(kind=kind, requested_by=requested_by, archive=archive, arguments=arguments or {})
    journal.id = request or journal.id
    in_time()
    progress.stage("lock")
    try:
        with lock_taken(engine, journal.id, wait=wait):
            recovered = recover_interrupted(engine=engine, progress=progress)
            if recovered.unsettled:
                raise PreflightRefused(
                    f"An earlier operation was interrupted and could not be settled: {recovered.unsettled}",
                    state="The gate is as that operation left it.",
                    next_step="Run: manage.py backup_status --recover",
                )
            _begin(journal, request)
            with ExitStack() as watched:
                try:
                    watched.enter_context(watching(journal, progress))
                    yield journal
                except BaseException as error:
                    with uninterrupted(swallow=True):
                        # Told with the error and after it: a log line before it would read as its cause.
                        for sentence in _end_failed(journal, error):
                            error.add_note(sentence)
                        watched.close()
                    raise
                with uninterrupted(swallow=True):
                    for sentence in _end_done(journal):
                        progress.warn(sentence)
                    # In here, since a wish to cancel that comes now comes too late.
                    watched.close()
    finally:
        progress.finish()


def _begin(journal: Journal, request: str) -> None:
    try:
        if not request:
            journal.start()
            return
        with journal_queued(request) as queued:
            journal.created_at, journal.requested_by = queued.created_at, journal.requested_by or queued.requested_by
            journal.start()
    except OSError as error:
        raise journal_unwritten(error) from error


def _end_done(journal: Journal) -> list[str]:
    """Record a success; returns what could not be written, in sentences."""
    if not journal.is_finished:
        try:
            journal.end("done")
        except OSError as error:
            return [_unrecorded(journal, error)]
    return operation_remember(journal)


def _end_failed(journal: Journal, error: BaseException) -> list[str]:
    """Record a failure; returns what could not be written, in sentences."""
    try:
        if isinstance(error, RestoreNotUndone):
            # Unfinished on purpose: that is how recovery finds it.
            journal.error = _sentence(journal, error)
            journal.save()
        elif not journal.is_finished:
            if isinstance(error, Interrupted) and (by := cancelled_by(journal.id)):
                journal.report = {**journal.report, CANCELLED_BY: by}
            journal.end("failed", error=_sentence(journal, error))
            return operation_remember(journal)
    except OSError as failure:
        return [_unrecorded(journal, failure)]
    return []


def _unrecorded(journal: Journal, error: OSError) -> str:
    """On a full disk the journal stays unfinished: the next operation takes it for interrupted, and cleans up after it."""
    return f"The end of the {journal.named} could not be recorded ({error.strerror}); the next operation does it."


def _sentence(journal: Journal, error: BaseException) -> str:
    if isinstance(error, Interrupted):
        by = cancelled_by(journal.id)
        return f"Cancelled by {by}." if by else f"Interrupted by signal {error.signum}."
    return error.message if isinstance(error, BackupError) else f"{type(error).__name__}: {error}"


def operation_remember(journal: Journal) -> list[str]:
    """Write the ended operation into the history: the row, and the record beside the archives; returns what failed, in sentences.

    The journal itself is durable already, and reconciling brings both back; so a database or store that fails here is
    no reason to call the operation failed.
    """
    failed = []
    try:
        history_record(journal)
    except DatabaseError as error:
        failed.append(f"The history has no row of the {journal.named} yet: {reason_of(error)}")
        connections.close_all()
    try:
        carry_over_keep()
    except (DatabaseError, BackupError):
        # The tick tries it again, and tells.
        connections.close_all()
    try:
        archive_store().save_record(journal.id, history_bytes(journal))
    except (BackupError, OSError) as error:
        failed.append(error.message if isinstance(error, BackupError) else f"The history beside the archives cannot be written: {error}")
    return failed
