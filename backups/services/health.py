"""Whether backups happen and the site could come back: what a monitor asks, answered in every state of the site.

Nothing here hangs or fails with what it asks about: database, store and lock are each asked for a bounded time, and what
does not answer is told. No archive is opened: its name says when it was made, its row what a verification found.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from django.apps import apps
from django.db import DatabaseError, connections
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from backups.conf import conf
from backups.engines import engine_for
from backups.exceptions import BackupError, reason_of
from backups.gate import GateState, gate_read
from backups.journal import Journal, journal_load_all, journals_damaged
from backups.models import Backup, BackupSchedule
from backups.presence import WorkerSeen, tick_seen, worker_seen
from backups.retention import CLOCKS_DIFFER
from backups.schedules import next_runs, schedule_zone, sentence
from backups.services.kept import kept_current, kept_describe, kept_usable
from backups.services.question import Question
from backups.storage import archive_store, is_archive_name

__all__ = [
    "Failure",
    "Health",
    "LastBackup",
    "Readiness",
    "ScheduleHealth",
    "backup_health",
    "backup_ready",
    "judge_backups",
    "judge_operations",
    "judge_processes",
    "look_at_journals",
    "schedule_health",
]

# Seconds for an answer of the database, of the lock (another connection to the same server) and of the store.
DATABASE_SECONDS = 2.0
LOCK_SECONDS = 3.0
STORE_SECONDS = 5.0
# The tick comes every minute; one that is older than this says that nothing makes it come.
TICK_LATE = timedelta(minutes=5)

DatabaseState = Literal["ok", "closed", "incomplete", "broken", "silent"]


@dataclass(frozen=True)
class Readiness:
    """Whether pages can be served now: ``gate`` is its state; ``database`` is ok, closed (not asked), broken or silent."""

    gate: str
    database: DatabaseState

    @property
    def is_ready(self) -> bool:
        """Whether a visitor should be sent here."""
        return self.gate != "closed" and self.database == "ok"


@dataclass(frozen=True)
class LastBackup:
    """The newest archive that this site has made and in which no verification found a problem; times are aware UTC."""

    name: str
    made_at: datetime
    verified_at: datetime | None = None


@dataclass(frozen=True)
class Failure:
    """An operation that failed, as its journal tells it; one that was cancelled did not."""

    operation: str
    kind: str
    ended_at: datetime
    error: str


@dataclass(frozen=True)
class ScheduleHealth:
    """One enabled schedule: the due time it has settled last, and what stands in the way of the next; times are aware UTC."""

    key: str
    sentence: str
    last_due_at: datetime
    next_due_at: datetime | None
    attempts: int
    last_error: str


@dataclass
class Health:
    """How things stand. ``problems`` are the sentences for which the site is not healthy; without any it is.

    None means that it is not known, because what knows it did not answer: ``archives`` and ``schedules``. ``has_brought``: a good
    archive was brought here, and none was made here.
    """

    checked_at: datetime
    gate: GateState
    database: DatabaseState = "closed"
    last_backup: LastBackup | None = None
    has_brought: bool = False
    archives: int | None = None
    verified_at: datetime | None = None
    last_failure: Failure | None = None
    schedules: list[ScheduleHealth] | None = None
    tick_at: datetime | None = None
    worker: WorkerSeen | None = None
    is_worker_expected: bool = False
    queued: list[Journal] = field(default_factory=list)
    running: list[Journal] = field(default_factory=list)
    interrupted: list[Journal] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def is_healthy(self) -> bool:
        """Whether there is no problem."""
        return not self.problems


def backup_ready() -> Readiness:
    """Look whether pages can be served: the gate, and one query that is given two seconds."""
    gate = gate_read().state
    if gate == "closed":
        return Readiness(gate, "closed")
    try:
        _SELECT.begin().result(timeout=DATABASE_SECONDS)
    except TimeoutError:
        return Readiness(gate, "silent")
    except Exception:  # whatever it is: the database cannot be used
        return Readiness(gate, "broken")
    return Readiness(gate, "ok")


def backup_health() -> Health:
    """Look at everything that a backup, or the way back, depends on. Never raises for it; takes ten seconds where nothing answers."""
    health = Health(checked_at=timezone.now(), gate=gate_read())
    # Both are asked at once, and waited for below.
    stored = _STORED.begin()
    noted = _NOTED.begin() if health.gate.state != "closed" else None
    look_at_journals(health)
    rows = _look_at_database(health, noted)
    _look_at_store(health, stored, rows)
    health.tick_at, health.worker = tick_seen(), worker_seen()
    judge_backups(health)
    judge_operations(health)
    judge_processes(health)
    return health


# --- the questions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """What the database says: of each archive when it was verified, what was wrong, and whether it was brought; the enabled schedules."""

    archives: dict[str, tuple[datetime | None, str, bool]] = field(default_factory=dict)
    schedules: list[ScheduleHealth] | None = None


def _select() -> None:
    connection = connections["default"]
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        # Connecting would make an empty file, which hides that the database is lost.
        raise DatabaseError("There is no database file.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _noted() -> _Rows:
    _select()
    if missing := sorted(_expected_tables() - set(connections["default"].introspection.table_names())):
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise _Incomplete(f"it lacks {', '.join(missing[:3])}{more}.")
    try:
        known = Backup.objects.values_list("name", "verified_at", "problem", "is_uploaded")
        archives = {name: (at, problem, is_uploaded) for name, at, problem, is_uploaded in known}
        return _Rows(archives, [schedule_health(schedule) for schedule in BackupSchedule.objects.filter(enabled=True)])
    except DatabaseError as error:
        raise _Incomplete(reason_of(error)) from error


@cache
def _expected_tables() -> frozenset[str]:
    """The tables that migrations make for the models of this code."""
    models = [model._meta for model in apps.get_models(include_auto_created=True)]
    without = MigrationLoader(None).unmigrated_apps
    return frozenset(meta.db_table for meta in models if meta.managed and not meta.proxy and meta.app_label not in without)


class _Incomplete(Exception):
    """The database answers, and lacks what the code expects."""


def schedule_health(schedule: BackupSchedule) -> ScheduleHealth:
    """What is to be told of one schedule."""
    next_due = schedule.next_attempt_at or next_runs(schedule, timezone.now(), count=1)[0]
    error = schedule.last_error
    if schedule_zone(schedule).key != schedule.time_zone:
        error = error or f"this machine does not know the time zone {schedule.time_zone}, so it runs by UTC."
    return ScheduleHealth(schedule.key, sentence(schedule), schedule.last_due_at, next_due, schedule.attempts, error)


def _stored() -> list[str]:
    return [archive.name for archive in archive_store().list()]


_SELECT = Question(_select)
_NOTED = Question(_noted)
_STORED = Question(_stored)
_LOCKED = Question(lambda: engine_for().is_locked())


# --- looking ----------------------------------------------------------------------------------------------------------


def look_at_journals(health: Health) -> None:
    """What the files of the operations tell. The lock is asked only where one of them has not ended."""
    try:
        journals, damaged = journal_load_all(), journals_damaged()
    except (BackupError, OSError) as error:
        health.problems.append(f"The journals cannot be read: {reason_of(error)}")
        return
    health.problems.extend(f"The journal of operation {operation[:8]} is damaged." for operation in damaged)
    health.queued = [journal for journal in journals if journal.status == "queued"]
    unfinished = [journal for journal in journals if journal.status == "running"]
    if unfinished and _is_locked(health):
        health.running = unfinished
    else:
        health.interrupted = unfinished
    failed = [journal for journal in journals if journal.outcome == "failed" and journal.ended_at]
    if failed:
        last = max(failed, key=lambda journal: journal.ended_at)
        health.last_failure = Failure(last.id, last.kind, datetime.fromisoformat(last.ended_at), last.error)
    kept = kept_current(journals)
    if kept is not None and kept_usable(kept):
        health.kept = kept_describe(kept)


def _is_locked(health: Health) -> bool:
    """Whether an operation is at work; where nobody answers, it is taken to be, and the doubt is told."""
    try:
        return _LOCKED.begin().result(timeout=LOCK_SECONDS)
    except Exception as error:
        health.problems.append(f"Whether an operation is at work cannot be asked: {_why(error, LOCK_SECONDS)}")
        return True


def _look_at_database(health: Health, noted: Future[_Rows] | None) -> _Rows:
    """What the rows say; nothing where the database is closed or does not answer."""
    if noted is None:
        return _Rows()
    try:
        rows = noted.result(timeout=DATABASE_SECONDS)
    except Exception as error:
        states: dict[type[Exception], DatabaseState] = {TimeoutError: "silent", _Incomplete: "incomplete"}
        health.database = states.get(type(error), "broken")
        # While an operation runs, the swap may have come in between.
        if not health.gate.operation:
            health.problems.append(f"The database is {health.database}: {_why(error, DATABASE_SECONDS)}")
        return _Rows()
    health.database, health.schedules = "ok", rows.schedules
    return rows


def _look_at_store(health: Health, stored: Future[list[str]], rows: _Rows) -> None:
    """The newest archive that no verification found bad: it was verified when it was made, and its name says when that was.

    What was brought here never counts, not even a site's own archive that came back: it may be another site's, and what is live now
    was not in the site that it was made of.
    """
    try:
        names = stored.result(timeout=STORE_SECONDS)
    except Exception as error:
        health.problems.append(f"The store cannot be listed: {_why(error, STORE_SECONDS)}")
        return
    archives = [name for name in sorted(names) if _made_at(name)]
    health.archives = len(archives)
    good: list[LastBackup] = []
    for name in archives:
        verified_at, problem, is_uploaded = rows.archives.get(name, (None, "", False))
        made_at = _made_at(name) or health.checked_at
        if made_at > health.checked_at + CLOCKS_DIFFER:
            # Made while the clock was ahead. As the newest it would hide for months that no other is made.
            continue
        if not problem and is_uploaded:
            health.has_brought = True
        elif not problem:
            good.append(LastBackup(name, made_at, verified_at))
        elif name == archives[-1]:
            health.problems.append(f"The newest archive {name} is not good: {problem}")
    health.has_brought = health.has_brought and not good
    health.last_backup = good[-1] if good else None
    health.verified_at = max((backup.verified_at for backup in good if backup.verified_at), default=None)


def _made_at(name: str) -> datetime | None:
    """When the archive of that name was made (aware UTC); None where its name does not say so."""
    try:
        return datetime.strptime(name[:22], "backup_%Y%m%d_%H%M%S").replace(tzinfo=UTC) if is_archive_name(name) else None
    except ValueError:
        return None


def _why(error: Exception, seconds: float) -> str:
    return f"no answer within {seconds:.0f} seconds" if isinstance(error, TimeoutError) else reason_of(error)


# --- judging ----------------------------------------------------------------------------------------------------------


def judge_backups(health: Health) -> None:
    """Add what is wrong with the backups themselves."""
    limit = timedelta(hours=conf.max_age_hours)
    if health.last_backup is None:
        if health.has_brought:
            health.problems.append("There is no good backup of this site's own: the good archives of the store were brought here.")
        elif health.archives is not None:
            health.problems.append("There is no good backup in the store.")
    elif health.checked_at - health.last_backup.made_at > limit:
        hours = (health.checked_at - health.last_backup.made_at) / timedelta(hours=1)
        health.problems.append(f"The last good backup is {hours:.0f} hours old, more than {conf.max_age_hours}.")
    health.problems.extend(
        f"The schedule {schedule.key} fails: {schedule.last_error}" for schedule in health.schedules or () if schedule.last_error
    )


def judge_operations(health: Health) -> None:
    """Add a problem for each operation that did not come to its end."""
    health.problems.extend(f"The {journal.named} was interrupted and waits for recovery." for journal in health.interrupted)


def judge_processes(health: Health) -> None:
    """Add what keeps a request or a schedule from being carried out."""
    if not health.gate.reachable:
        health.problems.append("The gate's cache is out of reach: no restore could begin.")
    # Where the database does not say whether there are schedules, a tick that came once should come again.
    has_schedule = bool(health.schedules) if health.schedules is not None else health.tick_at is not None
    health.is_worker_expected = has_schedule or bool(health.queued)
    if not health.is_worker_expected:
        return
    if health.worker is None and health.gate.reachable:
        health.problems.append("No worker is there: nothing that was asked for, and no schedule, is carried out.")
    if health.tick_at is None:
        health.problems.append("The tick that starts the schedules has never come.")
    elif health.checked_at - health.tick_at > TICK_LATE:
        minutes = (health.checked_at - health.tick_at) // timedelta(minutes=1)
        health.problems.append(f"The tick that starts the schedules has not come for {minutes} minutes.")
