"""What Today shows of a person's time: the timer, the entries of the day, and the sums of the week."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q

from timetracker.accounts.models import User
from timetracker.tracking.days import day_bounds, split_by_day, today_in, week_of, zone_of
from timetracker.tracking.models import TimeEntry

__all__ = ["LONGEST", "DaySheet", "DaySum", "Row", "day_sheet", "forgotten_since"]

# A timer that has run for longer was probably forgotten.
LONGEST = timedelta(hours=10)


@dataclass(frozen=True)
class Row:
    """An entry that has ended: the seconds worked, those of them on the day that is shown, and whether it began before."""

    entry: TimeEntry
    seconds: int
    seconds_here: int
    began_before: bool


@dataclass(frozen=True)
class DaySum:
    """The seconds worked on one day."""

    day: date
    seconds: int


@dataclass(frozen=True)
class DaySheet:
    """The time of one person around ``day``, in her time zone; seconds are whole, a running timer counts up to ``now``.

    ``target`` is what is agreed for the week, in seconds; None where nothing is.
    """

    now: datetime
    zone: ZoneInfo
    day: date
    running: TimeEntry | None
    running_seconds: int
    rows: list[Row]
    week: list[DaySum]
    target: int | None

    @property
    def day_seconds(self) -> int:
        """The sum of the day."""
        return next(each.seconds for each in self.week if each.day == self.day)

    @property
    def week_seconds(self) -> int:
        """The sum of the week."""
        return sum(each.seconds for each in self.week)

    @property
    def left(self) -> int | None:
        """What is missing up to the target, in seconds; below zero where more was worked."""
        return None if self.target is None else self.target - self.week_seconds

    @property
    def percent(self) -> int:
        """How much of the target is worked, at most 100."""
        return min(100, 100 * self.week_seconds // self.target) if self.target else 100

    @property
    def now_ms(self) -> int:
        """``now`` as milliseconds since 1970, for the clock in the page."""
        return _milliseconds(self.now)

    @property
    def running_since(self) -> int | None:
        """From when on the running seconds count, for the clock in the page: breaks are left out."""
        return None if self.running is None else _milliseconds(self.running.started_at) + 1000 * self.running.break_seconds

    @property
    def forgotten(self) -> str:
        """Why the running timer looks forgotten; empty where it does not."""
        return forgotten_since(self.running, self.now, self.zone) if self.running else ""


def day_sheet(user: User, now: datetime) -> DaySheet:
    """Read it; ``now`` is aware. One query."""
    zone = zone_of(user)
    day = today_in(zone, now)
    days = week_of(day)
    begin, end = day_bounds(days[0], zone)[0], day_bounds(days[-1], zone)[1]
    entries = (
        TimeEntry.objects.filter(Q(ended_at__gt=begin) | Q(ended_at=None), user=user, started_at__lt=end)
        .select_related("project__client", "task")
        .order_by("-started_at", "-id")
    )
    sums = dict.fromkeys(days, timedelta())
    running, rows = None, []
    for entry in entries:
        entry.user = user
        parts = dict(_worked_by_day(entry, now, zone))
        for part_day, part in parts.items():
            if part_day in sums:
                sums[part_day] += part
        if entry.is_running:
            running = entry
        elif day in parts:
            began_before = entry.started_at.astimezone(zone).date() < day
            rows.append(Row(entry, _seconds(sum(parts.values(), timedelta())), _seconds(parts[day]), began_before))
    return DaySheet(
        now=now,
        zone=zone,
        day=day,
        running=running,
        running_seconds=_seconds(max(now - running.started_at - timedelta(seconds=running.break_seconds), timedelta())) if running else 0,
        rows=rows,
        week=[DaySum(each, _seconds(worked)) for each, worked in sums.items()],
        target=None if user.weekly_hours is None else int(user.weekly_hours * 3600),
    )


def forgotten_since(running: TimeEntry, now: datetime, zone: ZoneInfo) -> str:
    """Say why a running timer looks forgotten: it runs since before midnight, or for very long. Empty where it does not."""
    if running.started_at.astimezone(zone).date() < now.astimezone(zone).date():
        return "It has been running since before midnight."
    if now - running.started_at > LONGEST:
        return f"It has been running for more than {LONGEST // timedelta(hours=1)} hours."
    return ""


def _worked_by_day(entry: TimeEntry, now: datetime, zone: ZoneInfo) -> Iterator[tuple[date, timedelta]]:
    """The time worked per local day; the break is taken off from the beginning on."""
    ended_at = entry.ended_at or now
    if ended_at <= entry.started_at:
        return
    rest = timedelta(seconds=entry.break_seconds)
    for day, part in split_by_day(entry.started_at, ended_at, zone):
        taken = min(part, rest)
        rest -= taken
        yield day, part - taken


def _seconds(worked: timedelta) -> int:
    return worked // timedelta(seconds=1)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
