"""An operation as others see it while it runs, outside the database: how far it is, and that somebody wants it cancelled.

What has happened stands in the journal; how far it is, in the gate's cache under ``progress.<id>``, written at most twice a
second by a thread of the operation's process, so that neither a slow cache nor many events hold the operation up. A
request to cancel is a small file, ``BACKUPS_STATE_DIR/cancel/<id>``: the same thread sees it and sends its process
SIGTERM, which takes the operation's clean way back.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.filebased import FileBasedCache

from backups.conf import conf
from backups.exceptions import PreflightRefused, RequestTaken
from backups.files import write_durably
from backups.gate import CACHE_ALIAS
from backups.interrupts import is_interruptible
from backups.journal import Journal, journal_find, journal_load_all, journal_queued
from backups.kinds import kind_word
from backups.outcomes import CANCELLED_BY, outcome_of
from backups.progress import Event, Progress

__all__ = ["Watched", "cancel_request", "cancel_sweep", "cancelled_by", "watch_read", "watch_sweep", "watching"]

# Seconds between two looks of the thread: at what is new, and at whether somebody wants the operation cancelled.
PERIOD = 0.5
# Seconds after which the progress is written again although nothing is new: a cache may have been emptied.
REPEAT = 5.0
# Seconds for which the cache keeps what was last written, also after the end.
KEPT = 86400
LOG_LINES = 30
# Seconds after the end of an operation within which the last of its log is written, unless its process was killed.
LAST_WORDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watched:
    """One operation.

    ``status`` is queued, running, done, failed or recovered. ``stage`` is empty before the first; ``percent`` (0 to 100),
    ``done``, ``total`` (bytes) and ``rate`` (bytes per second) are of this stage, None where unknown. ``log`` holds the last
    lines, oldest first. ``waits_for`` names the operation that a queued one waits for, for people, ``cancelled_by`` who wants it
    cancelled; both may be empty. ``is_whole`` is false for the moment between the end and the last of its log. Times are aware UTC.
    """

    operation: str
    kind: str
    status: str
    archive: str = ""
    requested_by: str = ""
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    stage: str = ""
    percent: float | None = None
    done: int = 0
    total: int | None = None
    rate: float | None = None
    warnings: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    updated: datetime | None = None
    waits_for: str = ""
    cancelled_by: str = ""
    error: str = ""
    report: dict[str, Any] = field(default_factory=dict)
    is_whole: bool = True

    @property
    def is_finished(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.status not in ("queued", "running")

    @property
    def outcome(self) -> str:
        """The status, or ``cancelled``."""
        return outcome_of(self.status, self.report)


# --- those who look -------------------------------------------------------------------------------------------------------


def watch_read(operation_id: str) -> Watched | None:
    """The operation as the journal and the cache tell of it; None where there is none. Asks no database, and never raises."""
    journal = journal_find(operation_id)
    if journal is None:
        return None
    told = _told(operation_id)
    # The cache may be behind: what it says of another stage than the journal's is of no use any more.
    if not journal.is_finished and told.get("stage") not in (None, journal.stage) and journal.stage:
        told = {**told, "stage": journal.stage, "percent": None, "done": 0, "total": None, "rate": None}
    return Watched(
        operation=journal.id,
        kind=journal.kind,
        status=journal.status,
        archive=journal.archive,
        requested_by=journal.requested_by,
        created_at=_time(journal.created_at),
        started_at=_time(journal.started_at),
        ended_at=_time(journal.ended_at),
        stage=told.get("stage") or journal.stage,
        percent=told.get("percent"),
        done=told.get("done", 0),
        total=told.get("total"),
        rate=told.get("rate"),
        # The report is there with the end, the last of what was told a moment later.
        warnings=list(journal.report.get("warnings") or told.get("warnings", ())),
        log=list(told.get("log", ())),
        updated=_time(told.get("updated", "")),
        waits_for=_running_beside(journal.id) if journal.status == "queued" else "",
        cancelled_by="" if journal.is_finished else cancelled_by(journal.id),
        error=journal.error,
        report=journal.report,
        is_whole=_is_whole(journal, told),
    )


def cancel_request(operation_id: str, *, by: str) -> bool:
    """Ask for the end of an operation; one that has not begun is ended at once. ``by`` says who asks, for the journal.

    Returns whether the wish was taken; False where there is no such operation, or it is over. An operation that has
    succeeded but for its last clean-up goes on to its end. Raises OSError where the wish cannot be written.
    """
    with suppress(RequestTaken), journal_queued(operation_id) as journal:
        journal.report = {CANCELLED_BY: by}
        journal.end("failed", error=f"Cancelled by {by} before it began.")
        return True
    running = journal_find(operation_id)
    if running is None or running.is_finished:
        return False
    write_durably(_cancel_path(operation_id), json.dumps({"by": by, "at": datetime.now(UTC).isoformat()}).encode())
    return True


def cancelled_by(operation_id: str) -> str:
    """Who has asked for the end of a running operation; empty where nobody has."""
    try:
        return str(json.loads(_cancel_path(operation_id).read_bytes())["by"])
    except FileNotFoundError:
        return ""
    except (OSError, KeyError, TypeError, ValueError):
        return "somebody"


def cancel_sweep() -> None:
    """Remove the wishes that dead operations left. The operation's lock must be held, so that none of them is alive."""
    for path in (conf.state_dir / "cancel").glob("*"):
        path.unlink(missing_ok=True)


def watch_sweep() -> None:
    """Remove from a cache of files what is past its time, and what a process left that died while it wrote.

    Django removes an expired file only when its key is read again, and nobody reads the progress of an operation of last week.
    """
    cache = caches[CACHE_ALIAS]
    if not isinstance(cache, FileBasedCache):
        return
    for path in Path(cache._dir).glob("*"):  # type: ignore[attr-defined]  # Django has no public name for either
        with suppress(FileNotFoundError):
            if path.suffix == cache.cache_suffix:
                with path.open("rb") as file:
                    cache._is_expired(file)  # type: ignore[attr-defined]
            elif time.time() - path.stat().st_mtime > KEPT:
                path.unlink()


# --- the operation itself -------------------------------------------------------------------------------------------------


@contextmanager
def watching(journal: Journal, progress: Progress) -> Iterator[None]:
    """Show what ``progress`` tells to all who look, and let them cancel; until the end of the block.

    Nothing in here can fail the operation: what cannot be shown is passed over.
    """
    watch = _Watch(journal, progress)
    progress.sinks.append(watch.take)
    thread = threading.Thread(target=watch.run, name=f"watch {journal.short_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.end()
        thread.join()
        progress.sinks.remove(watch.take)
        with suppress(OSError):
            _cancel_path(journal.id).unlink(missing_ok=True)


class _Watch:
    """What is shown of one operation, gathered from its events by any thread and written by one."""

    def __init__(self, journal: Journal, progress: Progress) -> None:
        self._journal, self._progress = journal, progress
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._last: Event | None = None
        self._is_new = True
        self._is_signalled = False
        self._main = threading.main_thread().ident or 0

    def take(self, event: Event) -> None:
        """Take in one event of the operation; called by its threads, so it is quick."""
        with self._lock:
            # A stage that is entered again with its total known is the same stage.
            is_same = event.kind == "stage" and not event.message and self._last is not None and self._last.stage == event.stage
            self._last, self._is_new = event, True
            if not is_same and (line := _line(event)):
                self._log.append(line)

    def run(self) -> None:
        """Write and look until the end; the last of it is written then."""
        # At once: whoever looks in the moment after a short operation's end finds that there is more to come.
        self._write()
        written = time.monotonic()
        while not self._ended.wait(PERIOD):
            if self._is_new or time.monotonic() - written >= REPEAT:
                self._write()
                written = time.monotonic()
            self._look()
        self._write(is_last=True)

    def end(self) -> None:
        """Stop; after this no signal is sent any more."""
        with self._lock:
            self._ended.set()

    def _write(self, *, is_last: bool = False) -> None:
        with self._lock:
            event, log, self._is_new = self._last, list(self._log), False
        shown: dict[str, Any] = {"updated": datetime.now(UTC).isoformat(), "warnings": list(self._progress.warnings), "log": log}
        shown["is_last"] = is_last
        if event is not None:
            shown |= {"stage": event.stage, "percent": event.percent, "done": event.done, "total": event.total, "rate": event.rate}
        try:
            caches[CACHE_ALIAS].set(_key(self._journal.id), shown, timeout=KEPT)
        except Exception as error:  # each cache backend has errors of its own
            logger.debug("The progress of %s cannot be shown: %s", self._journal.short_id, error)

    def _look(self) -> None:
        if self._is_signalled or not cancelled_by(self._journal.id):
            return
        with self._lock:
            if self._ended.is_set() or not is_interruptible():
                return
            self._is_signalled = True
            # To the thread that works, so that what it waits for is interrupted.
            signal.pthread_kill(self._main, signal.SIGTERM)


# --- within ---------------------------------------------------------------------------------------------------------------


def _line(event: Event) -> str:
    """The event as a line of the log; empty for one that only counts bytes."""
    if event.kind == "progress":
        return ""
    said = f"{event.stage}: {event.message}" if event.stage and event.message else event.message or event.stage
    return f"{datetime.now(UTC):%H:%M:%S} {'warning: ' if event.kind == 'warning' else ''}{said}"


def _is_whole(journal: Journal, told: Mapping[str, Any]) -> bool:
    """Whether of an operation that is over all has been told, or nobody is left to tell it; as long as it is not over, true."""
    ended_at = _time(journal.ended_at)
    if not journal.is_finished or ended_at is None or not told or told.get("is_last"):
        return True
    return abs((datetime.now(UTC) - ended_at).total_seconds()) > LAST_WORDS


def _told(operation_id: str) -> dict[str, Any]:
    try:
        value = caches[CACHE_ALIAS].get(_key(operation_id))
    except Exception as error:
        logger.debug("The progress of %s cannot be read: %s", operation_id[:8], error)
        return {}
    return value if isinstance(value, dict) else {}


def _running_beside(operation_id: str) -> str:
    try:
        running = [journal for journal in journal_load_all() if journal.status == "running" and journal.id != operation_id]
    except PreflightRefused:
        return "an operation whose journal cannot be read"
    # There is one at a time; of a second, which has been told dead by nobody yet, its number tells.
    return "" if not running else f"the {kind_word(running[-1].kind).lower()}" if len(running) == 1 else running[-1].named


def _key(operation_id: str) -> str:
    return f"progress.{operation_id}"


def _cancel_path(operation_id: str) -> Path:
    return conf.state_dir / "cancel" / operation_id


def _time(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
