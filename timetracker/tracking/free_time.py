"""Where in a person's day an entry goes of which only the length is known."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from timetracker.accounts.models import User
from timetracker.tracking.days import day_bounds, local_datetime
from timetracker.tracking.models import TimeEntry

__all__ = ["free_start", "length_start", "times_around"]

# A day on which nothing is recorded yet begins at nine.
MORNING = time(9)

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)


def length_start(person: User, *, length: timedelta, day: date, zone: ZoneInfo, now: datetime) -> datetime:
    """Return where ``length`` of hers goes on ``day`` (aware, UTC): :func:`free_start` beside her entries. One query."""
    return free_start(times_around(person, day, zone), length=length, day=day, zone=zone, now=now)


def times_around(person: User, day: date, zone: ZoneInfo) -> list[tuple[datetime, datetime | None]]:
    """Return start and end (None: it runs) of her entries that an entry of at most 24 hours, begun on ``day``, may meet. One query."""
    begins, ends = day_bounds(day, zone)
    entries = TimeEntry.objects.filter(user=person, started_at__lt=ends + _DAY).exclude(ended_at__lte=begins)
    return list(entries.order_by("started_at", "id").values_list("started_at", "ended_at"))


def free_start(
    times: Iterable[tuple[datetime, datetime | None]], *, length: timedelta, day: date, zone: ZoneInfo, now: datetime
) -> datetime:
    """Return a whole minute of ``day`` there (aware, UTC) from which on ``length`` shares no time with ``times``.

    On the day that ``now`` (aware) is in, it ends now; if that is taken, in the last room before; if there is none, now all the
    same. It never begins before the day: shortly after midnight it begins at midnight, and ends after now.

    On another day it is where the last entry begun on the day ends; 9:00 where there is none. If that is taken or reaches beyond
    the day, it is the first room after 9:00, then the last before; then time that reaches beyond midnight; and if nothing is
    free, 9:00 all the same. A time without an end takes all that comes after it.
    """
    begins, ends = day_bounds(day, zone)
    morning = local_datetime(day, MORNING, zone)
    taken = [(_minute(start), _minute_after(end) if end else ends + 2 * _DAY) for start, end in times]

    def is_free(start: datetime) -> bool:
        return all(until <= start or start + length <= since for since, until in taken)

    if begins <= now < ends:
        until_now = [_minute(now), *sorted((since for since, _ in taken if since < now), reverse=True)]
        starts = (end - length for end in until_now)
        return next((start for start in starts if begins <= start and is_free(start)), max(begins, _minute(now) - length))
    own_ends = [until for since, until in taken if begins <= since < ends]
    after = [max(own_ends, default=morning), *sorted(until for _, until in [*taken, (morning, morning)] if until >= morning)]
    before = sorted((since - length for since, _ in [*taken, (ends, ends)]), reverse=True)
    for start in (*after, *before):
        if begins <= start and start + length <= ends and is_free(start):
            return start
    return next((start for start in after if begins <= start < ends and is_free(start)), morning)


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _minute_after(moment: datetime) -> datetime:
    minute = _minute(moment)
    return minute if minute == moment else minute + _MINUTE
