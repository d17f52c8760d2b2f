"""When a schedule is due, in its own time zone, and what it says in words. Pure: no clock, no query.

Instants are aware UTC. A time of day that a change of the clocks leaves out comes at the first instant after the gap, one
that comes twice at the first of the two; so every chosen day has exactly one instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import count as counted
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from backups.models import BackupSchedule

__all__ = ["due_between", "next_runs", "runs_after", "schedule_zone", "sentence"]

DAY = timedelta(days=1)
# Every chosen day comes once a week. Days more than a week: a zone that crosses the date line leaves out a whole day.
WEEK_AND_MORE = 10
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PERIODS = (("keep_daily", "day"), ("keep_weekly", "week"), ("keep_monthly", "month"), ("keep_yearly", "year"))


def schedule_zone(schedule: BackupSchedule) -> ZoneInfo:
    """The schedule's time zone, or UTC where this machine does not know it.

    Names go out of use, and a row may come from another machine: backups must not end for that. The health page tells.
    """
    try:
        return ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown; a path; the name of a folder of zones
        return ZoneInfo("UTC")


def due_between(schedule: BackupSchedule, after: datetime, until: datetime) -> datetime | None:
    """The latest instant in (``after``, ``until``] at which ``schedule`` is due, or None."""
    zone = schedule_zone(schedule)
    first = until.astimezone(zone).date() - WEEK_AND_MORE * DAY
    days = (first + number * DAY for number in range(WEEK_AND_MORE + 2))
    return max((instant for instant in _instants(schedule, zone, days) if after < instant <= until), default=None)


def next_runs(schedule: BackupSchedule, now: datetime, count: int = 5) -> list[datetime]:
    """The next ``count`` instants after ``now``, whether it is enabled or not."""
    return list(islice(runs_after(schedule, now), count))


def runs_after(schedule: BackupSchedule, now: datetime) -> Iterator[datetime]:
    """The instants after ``now``, ascending and without end, whether it is enabled or not; it must have a day."""
    zone = schedule_zone(schedule)
    first = now.astimezone(zone).date() - 2 * DAY
    latest = now
    for instant in _instants(schedule, zone, (first + number * DAY for number in counted())):
        # Two days can share one instant, where the clocks left out the whole of the first.
        if instant > latest:
            latest = instant
            yield instant


def _instants(schedule: BackupSchedule, zone: ZoneInfo, days: Iterable[date]) -> Iterator[datetime]:
    """Its instant on each of ``days`` that is one of its own."""
    weekdays = schedule.weekdays
    for day in days:
        if day.weekday() in weekdays:
            yield _instant(day, schedule.at, zone)


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant of ``at`` on ``day``: the first of two, or the end of the gap that it falls into."""
    local = datetime.combine(day, at, tzinfo=zone)
    instant = local.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return instant
    # PEP 495: in a gap, fold 0 reckons with the offset from before it and fold 1 with the one from after it, so that the change of
    # the clocks lies between the two instants.
    return _change(local.replace(fold=1).astimezone(UTC), instant, zone)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant in (``before``, ``after``] at which the offset from UTC changes; such instants are whole seconds."""
    low, high = int(before.timestamp()), int(after.timestamp()) + 1
    offset = before.astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def sentence(schedule: BackupSchedule) -> str:
    """What the schedule does, in words: when, what is in the archives, and which of them are kept."""
    content = "with uploads" if schedule.uploads else "without uploads"
    said = f"{_days(schedule)} at {schedule.at:%H:%M} ({schedule.time_zone}), {content}. {_kept(schedule)}"
    return said if schedule.enabled else f"Off. {said}"


def _days(schedule: BackupSchedule) -> str:
    weekdays = schedule.weekdays
    if len(weekdays) == 7:
        return "Every day"
    if weekdays == frozenset(range(5)):
        return "From Monday to Friday"
    return f"On {_listed([f'{DAY_NAMES[day]}s' for day in sorted(weekdays)])}"


def _kept(schedule: BackupSchedule) -> str:
    parts = []
    if schedule.keep_last:
        parts.append("the newest" if schedule.keep_last == 1 else f"the newest {schedule.keep_last}")
    counts = [(getattr(schedule, field), period) for field, period in PERIODS]
    periods = [f"{count} {period}{'s' if count > 1 else ''}" for count, period in counts if count]
    if periods:
        parts.append(f"one for each of {_listed(periods)}")
    return f"Keeps {', and '.join(parts)}."


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
