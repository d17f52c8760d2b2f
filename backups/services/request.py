"""What a page asks for and a worker does: a request is a queued journal first, and a message only wakes somebody to it.

So nothing depends on the broker: a message that is lost is made up for by the tick, and one that comes twice, or comes
late, finds that the request waits no more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from backups.conf import conf
from backups.exceptions import (
    BackupError,
    Interrupted,
    NoWorker,
    OperationLocked,
    RequestTaken,
    UsageError,
    reason_of,
)
from backups.gate import is_gate_raised
from backups.interrupts import interruptible
from backups.journal import Journal, journal_find, journal_load_all, journal_queued, journal_unwritten
from backups.models import Operation
from backups.presence import worker_seen
from backups.progress import Event, Progress
from backups.services.create import backup_create
from backups.services.delete import backup_delete
from backups.services.listing import backups_reconcile
from backups.services.operation import operation_remember
from backups.services.preview import backup_preview
from backups.services.prune import backup_prune
from backups.services.restore import backup_restore
from backups.services.undo import backup_undo
from backups.services.upload import backup_upload
from backups.services.verify import backup_verify

__all__ = ["operation_request", "operation_work", "progress_logged", "requests_remember", "requests_run"]

# Seconds for which whoever asks waits until a worker has begun, and between two looks.
PATIENCE = 4.0
POLL_SECONDS = 0.05
# What ended longer ago is in the history: each look at the store writes it there, too.
REMEMBERED = timedelta(days=1)

logger = logging.getLogger(__name__)

# What may be asked for, and with which arguments beside the archive.
ARGUMENTS: Mapping[str, frozenset[str]] = {
    "create": frozenset({"trigger", "note", "pin", "uploads", "gentle"}),
    "restore": frozenset({"strategy", "uploads", "jobs", "trust_unsigned", "previewed"}),
    "preview": frozenset({"uploads"}),
    "undo": frozenset({"undoes"}),
    "verify": frozenset(),
    "prune": frozenset(),
    "delete": frozenset(),
    "reconcile": frozenset(),
    "upload": frozenset({"upload", "path", "sha256"}),
}
WITH_ARCHIVE = ("restore", "preview", "verify", "delete")


# --- asking ---------------------------------------------------------------------------------------------------------------


def operation_request(
    kind: str,
    *,
    archive: str = "",
    arguments: Mapping[str, Any] | None = None,
    requested_by: str = "",
    wake: Callable[[str], None],
    patience: float = PATIENCE,
) -> Journal:
    """Ask for an operation, and return its journal when a worker has begun it, or is there and will (``status`` tells).

    ``kind`` is create, restore, undo, verify or prune; ``arguments`` are those of the service of that name. ``wake`` gets
    the operation's id and tells the workers; where it fails they find the request by themselves within a minute. Raises
    :class:`~backups.exceptions.NoWorker` after ``patience`` seconds without a sign of a worker: then the request has been
    withdrawn and will not be run; ``UsageError`` for what cannot be asked, PreflightRefused where it cannot be written.
    """
    journal = Journal(kind=kind, archive=archive, arguments=_arguments(kind, archive, arguments or {}), requested_by=requested_by)
    deadline = time.monotonic() + patience
    heard = worker_seen()
    try:
        journal.save()
    except OSError as error:
        raise journal_unwritten(error) from error
    # Beside the looking: a broker that is silent instead of gone must not keep whoever asks.
    threading.Thread(target=_wake, args=(wake, journal), name=f"wake {journal.short_id}", daemon=True).start()
    while True:
        now = journal_find(journal.id) or journal
        if now.status != "queued":
            return now
        # A sign from before the request says nothing: that worker may have died since.
        is_alive = (seen := worker_seen()) is not None and seen != heard
        if is_alive and _is_another_running(journal):
            return now
        if time.monotonic() >= deadline:
            return now if is_alive else _withdrawn(journal, patience)
        time.sleep(POLL_SECONDS)


def _wake(wake: Callable[[str], None], journal: Journal) -> None:
    try:
        wake(journal.id)
    except Exception as error:  # each broker has errors of its own
        logger.warning("The workers could not be woken for %s %s: %s", journal.kind, journal.short_id, error)


def _arguments(kind: str, archive: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    known = ARGUMENTS.get(kind)
    if known is None:
        raise UsageError(f"There is no operation {kind!r}.")
    if unknown := sorted(set(arguments) - known):
        raise UsageError(f"A {kind} takes no {unknown[0]}.")
    if bool(archive) != (kind in WITH_ARCHIVE):
        raise UsageError(f"A {kind} needs an archive." if not archive else f"A {kind} takes no archive.")
    return dict(arguments)


def _is_another_running(journal: Journal) -> bool:
    return any(other.status == "running" and other.id != journal.id for other in journal_load_all())


def _withdrawn(journal: Journal, patience: float) -> Journal:
    """End a request that no worker is there for, and say so; where one has begun it at the last moment, its journal."""
    error = NoWorker(f"No worker has answered within {patience:g} seconds, so the {journal.named} was not begun and will not be.")
    try:
        with journal_queued(journal.id) as queued:
            queued.end("failed", error=error.message)
    except RequestTaken:
        return journal_find(journal.id) or journal
    raise error


# --- working --------------------------------------------------------------------------------------------------------------


def operation_work(operation_id: str) -> bool:
    """Run the request if it still waits; returns False where another operation holds the lock, so that it goes on waiting.

    A failure is in the journal, for those who asked, and in the log. :class:`~backups.exceptions.Interrupted` goes on.
    """
    journal = journal_find(operation_id)
    if journal is None or journal.status != "queued":
        return True
    if _is_late(journal):
        _give_up(journal, f"Not started in time: no worker has begun it within {conf.queue_minutes} minutes.")
        return True
    logger.info("The %s %s begins%s.", journal.kind, journal.short_id, f" for {journal.requested_by}" if journal.requested_by else "")
    try:
        with interruptible():
            _run(journal, progress_logged())
    except OperationLocked:
        return False
    except RequestTaken:
        return True
    except Interrupted:
        ended = journal_find(operation_id) or journal
        logger.warning(
            "The %s %s was ended early: %s", journal.kind, journal.short_id, ended.error or "it had not begun, and goes on waiting."
        )
        raise
    except BackupError as error:
        logger.error("The %s %s failed: %s", journal.kind, journal.short_id, error)  # noqa: TRY400 - a person's sentence, no trace
        _give_up(journal, error.message)
    except Exception as error:
        logger.exception("The %s %s failed.", journal.kind, journal.short_id)
        _give_up(journal, f"{type(error).__name__}: {reason_of(error)}")
    else:
        logger.info("The %s %s is done.", journal.kind, journal.short_id)
    return True


def requests_run() -> None:
    """Run the requests that nobody has begun, oldest first, until none waits or another operation holds the lock.

    Those that have waited too long are given up in any case.
    """
    for journal in _queued():
        if _is_late(journal):
            operation_work(journal.id)
    for journal in _queued():
        if not operation_work(journal.id):
            return


def requests_remember() -> None:
    """Write into the history what was cancelled or given up before it began: whoever ended it asked no database. Raises DatabaseError.

    Left to a later call while a restore is at work.
    """
    if is_gate_raised():
        return
    since = (datetime.now(UTC) - REMEMBERED).isoformat()
    unbegun = {
        journal.id: journal for journal in journal_load_all() if journal.is_finished and not journal.started_at and journal.ended_at > since
    }
    if unbegun:
        known = Operation.objects.filter(operation_id__in=unbegun).values_list("operation_id", flat=True)
        for operation in unbegun.keys() - set(known):
            operation_remember(unbegun[operation])


def progress_logged() -> Progress:
    """A progress whose notes and warnings go to the log, for operations that nobody looks at."""
    return Progress(sinks=[_log_event])


def _log_event(event: Event) -> None:
    if event.kind in ("note", "warning"):
        logger.log(logging.WARNING if event.kind == "warning" else logging.INFO, "%s", event.message)


def _queued() -> list[Journal]:
    return [journal for journal in journal_load_all() if journal.status == "queued"]


def _is_late(journal: Journal) -> bool:
    # In either direction: a request from the future was made while the clock was wrong, and nobody knows when.
    return abs(datetime.now(UTC) - datetime.fromisoformat(journal.created_at)) > timedelta(minutes=conf.queue_minutes)


def _give_up(journal: Journal, error: str) -> None:
    """End a request that has not begun; one that has begun has told its end already."""
    try:
        with journal_queued(journal.id) as queued:
            queued.end("failed", error=error)
    except RequestTaken:
        return
    except OSError as failure:
        logger.error("The end of the %s %s could not be recorded: %s", journal.kind, journal.short_id, failure)


def _run(journal: Journal, progress: Progress) -> None:
    """The service of the journal's kind, with what was asked for."""
    asked: dict[str, Any] = {**journal.arguments, "requested_by": journal.requested_by, "request": journal.id, "progress": progress}
    if journal.kind == "create":
        backup_create(**asked)
    elif journal.kind == "restore":
        backup_restore(archive=journal.archive, **asked)
    elif journal.kind == "preview":
        backup_preview(archive=journal.archive, **asked)
    elif journal.kind == "undo":
        backup_undo(**asked)
    elif journal.kind == "verify":
        backup_verify(archive=journal.archive, **asked)
    elif journal.kind == "reconcile":
        backups_reconcile(**asked)
    elif journal.kind == "prune":
        backup_prune(**asked)
    elif journal.kind == "delete":
        backup_delete(archive=journal.archive, **asked)
    elif journal.kind == "upload":
        backup_upload(**asked)
    else:
        raise UsageError(f"There is no operation {journal.kind!r}.")
