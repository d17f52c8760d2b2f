"""What Today shows of a person's time: the timer, the entries of the day, and the sums of the week.

As in all sums (:mod:`timetracker.tracking.sums`) an entry counts whole, on the day on which it starts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from timetracker.accounts.models import User
from timetracker.tracking.days import today_in, week_of, zone_of
from timetracker.tracking.durations import worked_seconds
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.sums import starting_on
from timetracker.tracking.week_target import WeekTarget

__all__ = ["LONGEST", "DaySheet", "DaySum", "day_sheet", "forgotten_because"]

# A timer that has run for longer was probably forgotten.
LONGEST = timedelta(hours=10)


@dataclass(frozen=True)
class DaySum:
    """The seconds worked on one day."""

    day: date
    seconds: int


@dataclass(frozen=True)
class DaySheet:
    """The time of ``person`` around ``day``, in her time zone; seconds are whole, a running timer counts up to ``now``.

    ``entries`` are those of the day that have ended, the latest first, each with ``worked_seconds``; so has ``running``.
    """

    person: User
    now: datetime
    zone: ZoneInfo
    day: date
    running: Any
    entries: list[Any]
    week: list[DaySum]

    @property
    def target(self) -> WeekTarget:
        """The sum of the week, against what is agreed for it."""
        return WeekTarget.of(self.person, sum(each.seconds for each in self.week))

    @property
    def now_ms(self) -> int:
        """``now`` in milliseconds since 1970, for the clock in the page."""
        return int(self.now.timestamp() * 1000)

    @property
    def counts_on_week(self) -> bool:
        """Whether the running timer counts in this week's sum."""
        return self.running is not None and self._day_of(self.running) in {each.day for each in self.week}

    @property
    def counts_on_day(self) -> bool:
        """Whether the running timer counts in this day's sum."""
        return self.running is not None and self._day_of(self.running) == self.day

    @property
    def forgotten(self) -> str:
        """Why the running timer looks forgotten; empty where it does not."""
        return forgotten_because(self.running, self.now, self.zone) if self.running else ""

    def _day_of(self, entry: TimeEntry) -> date:
        return entry.started_at.astimezone(self.zone).date()


def day_sheet(user: User, now: datetime) -> DaySheet:
    """Read it; ``now`` is aware. Two queries."""
    zone = zone_of(user)
    day = today_in(zone, now)
    days = week_of(day)
    own: QuerySet[Any] = (
        TimeEntry.objects.filter(user=user).select_related("project__client", "task").annotate(worked_seconds=worked_seconds(now))
    )
    sums: Counter[date] = Counter()
    entries: list[Any] = []
    for entry in starting_on(own, days[0], days[-1], zone=zone).order_by("-started_at", "-id"):
        began = entry.started_at.astimezone(zone).date()
        sums[began] += entry.worked_seconds
        if began == day and not entry.is_running:
            entries.append(entry)
    return DaySheet(
        person=user,
        now=now,
        zone=zone,
        day=day,
        running=own.filter(ended_at=None).first(),
        entries=entries,
        week=[DaySum(each, sums[each]) for each in days],
    )


def forgotten_because(running: TimeEntry, now: datetime, zone: ZoneInfo) -> str:
    """Say why a running timer looks forgotten: it runs since before midnight, or for very long. Empty where it does not."""
    if running.started_at.astimezone(zone).date() < now.astimezone(zone).date():
        return "It has been running since before midnight."
    if now - running.started_at > LONGEST:
        return f"It has been running for more than {LONGEST // timedelta(hours=1)} hours."
    return ""
