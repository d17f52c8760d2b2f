"""The running timer: a time entry without an end, of which the database holds one per person.

Two tabs and a phone may ask at once. Every change first locks the running entry (on SQLite the whole database), and says which
one it means, so that nobody stops or discards a timer that she has not seen. Times are kept in whole seconds.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.tracking.days import zone_of
from timetracker.tracking.durations import whole_second
from timetracker.tracking.entries import project_refusal
from timetracker.tracking.models import Project, Task, TimeEntry

__all__ = ["TimerMoved", "TimerRefused", "running_for", "timer_discard", "timer_shift", "timer_start", "timer_stop"]

_SECOND = timedelta(seconds=1)
# Of so many starts in the same instant each one still gets its turn: in every round one of them wins.
_ROUNDS = 20


class TimerRefused(ValidationError):
    """The timer cannot do that, and nothing was changed; the message names the cause and the next step."""


class TimerMoved(TimerRefused):
    """The timer that was meant does not run any more, and nothing was changed."""


def running_for(user: User) -> TimeEntry | None:
    """Return her running entry, with its project, client and task."""
    return TimeEntry.objects.select_related("project__client", "task").filter(user=user, ended_at__isnull=True).first()


def timer_start(
    user: User,
    *,
    project: Project,
    task: Task | None = None,
    notes: str = "",
    tags: str = "",
    started_at: datetime | None = None,
    now: datetime | None = None,
) -> TimeEntry:
    """Start a timer at ``started_at`` (aware; None: ``now``, by default the clock's), and end the one that runs there: a switch.

    Where no start is named and the running one began in this very second, or later by a clock that is ahead, that one gets
    one second and the new one begins then: an entry needs a length, and no second may count twice.

    Raises TimerRefused for a project that is not active, a task of another project, tags that are too long, a start that is
    still to come or not after the start of the timer that runs, and for what is deleted meanwhile.
    """
    now = whole_second(now or timezone.now())
    entry = TimeEntry(
        user=user, project=project, task=task, notes=notes, tags=tags, billable=project.billable, source=TimeEntry.Source.TIMER
    )
    try:
        with transaction.atomic():
            return _start(entry, None if started_at is None else _passed(user, started_at, now), now)
    except IntegrityError as error:
        # At the end of the transaction the database looks whether the project and the task are still there.
        raise TimerRefused("The project or its task was deleted at this moment. Choose another, and start again.", code="gone") from error


def _start(entry: TimeEntry, started_at: datetime | None, now: datetime) -> TimeEntry:
    _check(entry)
    for _ in range(_ROUNDS):
        # Another start may come between looking and writing; then the database refuses this one, and there is one to end.
        with suppress(IntegrityError), transaction.atomic():
            entry.started_at = _room_made(entry.user, started_at, now)
            entry.save(force_insert=True)
            return entry
    raise TimerRefused("Other tabs or devices start timers of yours at this moment. See which one runs, and start again.", code="busy")


@transaction.atomic
def timer_stop(
    user: User, *, entry_id: int | None = None, ended_at: datetime | None = None, now: datetime | None = None
) -> TimeEntry | None:
    """End her running entry at ``ended_at`` (aware; None: ``now``, by default the clock's) and return it; None where none runs.

    Where no end is named and the clock is not past the start (stopped in the second of the start, or the start came from
    a clock that is ahead), it ends one second after its start: an entry needs a length, to refuse would let the timer
    run on, and to drop the entry would lose its note. It can be corrected or deleted like any other.

    Raises TimerMoved where another runs than ``entry_id``, and TimerRefused for an end that is still to come or not after
    the start.
    """
    running = _locked(user)
    if running is None:
        return None
    if entry_id is not None and running.pk != entry_id:
        raise _moved(user, running)
    now = whole_second(now or timezone.now())
    if ended_at is None:
        ended_at = max(now, _soonest_end(running))
    else:
        ended_at = _passed(user, ended_at, now)
        if ended_at <= running.started_at:
            since = _said(user, running.started_at)
            raise TimerRefused(f"The timer was started at {since}. Choose an end after that, or discard the timer.", code="end")
    _end(running, ended_at)
    return running


@transaction.atomic
def timer_discard(user: User, *, entry_id: int) -> None:
    """Delete her running entry ``entry_id``; nothing where it is deleted already. Raises TimerMoved where it does not run any more."""
    running = _locked(user)
    if running is not None and running.pk == entry_id:
        running.delete()
    elif running is not None or TimeEntry.objects.filter(user=user, pk=entry_id).exists():
        raise _moved(user, running)


@transaction.atomic
def timer_shift(user: User, *, entry_id: int, started_at: datetime, now: datetime | None = None) -> TimeEntry:
    """Let her running entry ``entry_id`` have begun at ``started_at`` (aware), and return it.

    Raises TimerMoved where it does not run any more, and TimerRefused for a start that is still to come at ``now`` (None:
    the clock's).
    """
    running = _locked(user)
    if running is None or running.pk != entry_id:
        raise _moved(user, running)
    running.started_at = _passed(user, started_at, whole_second(now or timezone.now()))
    running.save(update_fields=["started_at", "updated_at"])
    return running


def _locked(user: User) -> TimeEntry | None:
    """The running entry, which nobody else can change until this transaction ends."""
    # Without its project and task: PostgreSQL locks no row that an outer join may not find.
    running = TimeEntry.objects.select_for_update().filter(user=user, ended_at__isnull=True).first()
    if running is not None:
        running.user = user
    return running


def _check(entry: TimeEntry) -> None:
    if refusal := project_refusal(entry.project):
        raise TimerRefused(refusal, code="project")
    try:
        entry.clean_fields(exclude=["user", "project", "task", "invoice_item"])
        entry.clean()
    except ValidationError as error:
        raise TimerRefused(error) from error


def _room_made(user: User, started_at: datetime | None, now: datetime) -> datetime:
    """End the timer that runs at the start of the next one, and return that."""
    running = _locked(user)
    if running is None:
        return started_at or now
    if started_at is not None and started_at <= running.started_at:
        since = _said(user, running.started_at)
        raise TimerRefused(f"Another timer runs since {since}. Choose a later start, or correct or discard that timer first.", code="start")
    start = started_at or max(now, _soonest_end(running))
    _end(running, start)
    return start


def _soonest_end(entry: TimeEntry) -> datetime:
    return whole_second(entry.started_at) + _SECOND


def _end(entry: TimeEntry, ended_at: datetime) -> None:
    entry.ended_at = ended_at
    # A break that was entered beforehand may be longer than the time: nothing is left of it then, cut or not, and the
    # database takes no break that is longer than its entry.
    entry.break_seconds = min(entry.break_seconds, (ended_at - entry.started_at) // _SECOND)
    entry.save(update_fields=["ended_at", "break_seconds", "updated_at"])


def _passed(user: User, moment: datetime, now: datetime) -> datetime:
    """Return ``moment`` in whole seconds, if it is not still to come."""
    moment = whole_second(moment)
    if moment > now:
        raise TimerRefused(
            f"{_said(user, moment)} is still to come, it is {_said(user, now)} now. Choose a time that has passed.", code="future"
        )
    return moment


def _moved(user: User, running: TimeEntry | None) -> TimerMoved:
    if running is None:
        return TimerMoved("This timer was stopped elsewhere. It is in the list of entries; change or delete it there.", code="moved")
    since = _said(user, running.started_at)
    return TimerMoved(
        f"By now another timer runs, on {running.project.code} since {since}. Choose again what to do with that one.", code="moved"
    )


def _said(user: User, moment: datetime) -> str:
    """Date and clock time where she is."""
    return f"{moment.astimezone(zone_of(user)):%Y-%m-%d %H:%M}"
