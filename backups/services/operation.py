"""The frame of every operation: the lock, what an earlier one left behind, the journal, the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connections

from backups.catalogue import history_bytes, history_record
from backups.engines import Engine
from backups.exceptions import BackupError, Interrupted, PreflightRefused, RestoreNotUndone
from backups.interrupts import uninterrupted
from backups.journal import Journal
from backups.progress import Progress
from backups.services.lock import lock_taken
from backups.services.recover import recover_interrupted
from backups.storage import ArchiveStore, archive_store

__all__ = ["operation_remember", "operation_run"]

log = logging.getLogger("backups")


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
) -> Iterator[Journal]:
    """Hold the lock, recover what is left of a dead operation, and keep the journal of this one.

    An exception ends the journal as failed and leaves unchanged; cleaning up is the caller's.
    """
    journal = Journal(kind=kind, requested_by=requested_by, archive=archive, arguments=arguments or {})
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
            journal.start()
            try:
                yield journal
            except BaseException as error:
                with uninterrupted(swallow=True):
                    if isinstance(error, RestoreNotUndone):
                        # Unfinished on purpose: that is how recovery finds it.
                        journal.error = _sentence(error)
                        journal.save()
                    elif not journal.is_finished:
                        journal.end("failed", error=_sentence(error))
                        operation_remember(journal)
                raise
            with uninterrupted(swallow=True):
                if not journal.is_finished:
                    journal.end("done")
                operation_remember(journal)
    finally:
        progress.finish()


def _sentence(error: BaseException) -> str:
    if isinstance(error, Interrupted):
        return f"Interrupted by signal {error.signum}."
    return error.message if isinstance(error, BackupError) else f"{type(error).__name__}: {error}"


def operation_remember(journal: Journal, store: ArchiveStore | None = None) -> None:
    """Write the ended operation into the history: the row, and the record beside the archives.

    The journal itself is durable already, and reconciling brings both back; so a database or store that fails here is
    logged and is no reason to call the operation failed.
    """
    try:
        history_record(journal)
    except DatabaseError as error:
        log.warning("The history row of operation %s could not be written: %s", journal.id, str(error).strip().splitlines()[0])
        connections.close_all()
    try:
        (store or archive_store()).save_record(journal.id, history_bytes(journal))
    except (BackupError, OSError) as error:
        reason = error.message if isinstance(error, BackupError) else str(error)
        log.warning("The record of operation %s could not be written beside the archives: %s", journal.id, reason)
