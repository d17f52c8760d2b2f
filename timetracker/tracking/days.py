"""Days and clock times of a place: where they begin and end as points in time, and which day a point in time is in.

Points in time are aware and in UTC, dates and clock times are those of the zone. A date near the first or the last that
Python knows raises OverflowError.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.utils import timezone

from timetracker.accounts.models import User

__all__ = ["day_bounds", "local_datetime", "month_after", "month_of", "split_by_day", "today_in", "utc_offsets", "week_of", "zone_of"]

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def zone_of(user: User) -> ZoneInfo:
    """Return her time zone; UTC where this system does not know the name (data of a system with newer zones)."""
    try:
        return ZoneInfo(user.time_zone)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def today_in(zone: ZoneInfo, now: datetime | None = None) -> date:
    """Return the date there at ``now`` (aware; None: the clock's)."""
    return (now or timezone.now()).astimezone(zone).date()


def local_datetime(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the point in time at which clocks there show ``at`` on ``day``.

    A time that clocks leave out is as much later as they jump (2:30 becomes 3:30); of one that they show twice it is the first.
    """
    # Both are what fold=0 means (PEP 495).
    return datetime.combine(day, at.replace(fold=0), zone).astimezone(UTC)


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return where ``day`` begins and where the next one does: 24 hours apart, or 23, 25 and the like where clocks change.

    A day that a place left out (Samoa had no 30 December 2011) ends where it begins.
    """
    return local_datetime(day, time.min, zone), local_datetime(day + _DAY, time.min, zone)


def week_of(day: date) -> list[date]:
    """Return the seven dates of the week that ``day`` is in, Monday first."""
    monday = day - timedelta(days=day.weekday())
    return [monday + timedelta(days=number) for number in range(7)]


def month_of(day: date) -> tuple[date, date]:
    """Return the first and the last date of the month that ``day`` is in."""
    first = day.replace(day=1)
    return first, month_after(first, 1) - _DAY


def month_after(first: date, months: int) -> date:
    """Return the first day of the month that is so many months on (or back) from ``first``, a first day."""
    years, month = divmod(first.month - 1 + months, 12)
    return first.replace(year=first.year + years, month=month + 1)


def split_by_day(started_at: datetime, ended_at: datetime, zone: ZoneInfo) -> list[tuple[date, timedelta]]:
    """Return how much of the time between two points falls on each day there, without days of none.

    The parts add up to the whole; there are none where the end is not after the start.
    """
    parts = []
    day, begins = started_at.astimezone(zone).date(), started_at
    while begins < ended_at:
        ends = min(day_bounds(day, zone)[1], ended_at)
        if ends > begins:
            parts.append((day, ends - begins))
            begins = ends
        day += _DAY
    return parts


@lru_cache(maxsize=256)
def utc_offsets(zone: ZoneInfo, first_year: int, last_year: int) -> tuple[tuple[datetime, int], ...]:
    """Return what clocks there are ahead of UTC in these years (of UTC), in seconds, each with the point from which on it holds.

    The first is the beginning of ``first_year``. Clocks are looked at once a day: two changes within a day would count as one.
    """
    moment, end = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC)
    found = [(moment, _offset(moment, zone))]
    while moment < end:
        following = min(moment + _DAY, end)
        if _offset(following, zone) != found[-1][1]:
            change = _change_between(moment, following, zone)
            found.append((change, _offset(change, zone)))
        moment = following
    return tuple(found)


def _offset(moment: datetime, zone: ZoneInfo) -> int:
    return (moment.astimezone(zone).utcoffset() or timedelta()) // _SECOND


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Halve the time until one second is left: clocks change on whole seconds."""
    old = _offset(before, zone)
    while after - before > _SECOND:
        middle = before + (after - before) // _SECOND // 2 * _SECOND
        if _offset(middle, zone) == old:
            before = middle
        else:
            after = middle
    return after
