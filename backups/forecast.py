"""When a disk will be full, from what was free on it after each backup. Pure: no clock, no query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from statistics import median, quantiles

__all__ = ["Forecast", "Reading", "forecast_full"]

# Fewer say nothing about a pace.
LEAST_DAYS = 5
LEAST_SPAN = timedelta(days=3)
# What was before says nothing about today's pace: rules, data and disks change.
WINDOW = timedelta(days=60)
# Further ahead a straight line says nothing.
FURTHEST = timedelta(days=730)


@dataclass(frozen=True)
class Reading:
    """How many bytes were free at an (aware) instant."""

    at: datetime
    free: int


@dataclass(frozen=True)
class Forecast:
    """When nothing will be free any more (aware) if it goes on like this, and how many bytes a day are taken."""

    full_at: datetime
    bytes_per_day: float


def forecast_full(readings: Iterable[Reading], now: datetime) -> Forecast | None:
    """The straight line through the last reading of each day of the last sixty, or None.

    The slope is the median of those between all pairs of days (Theil, 1950; Sen, 1968), so that a few strange readings turn nothing,
    and what retention frees now and then counts as what it is. None where there are fewer than five days or they span less than
    three, where a quarter of the pairs or more say that space is gained (the disk was cleared: the pace is not clear), and where
    the end is more than two years away.
    """
    days = _last_of_each_day(reading for reading in readings if now - WINDOW <= reading.at <= now)
    if len(days) < LEAST_DAYS or days[-1].at - days[0].at < LEAST_SPAN:
        return None
    slopes = [(later.free - earlier.free) / ((later.at - earlier.at) / timedelta(days=1)) for earlier, later in combinations(days, 2)]
    pace = -median(slopes)
    if pace <= 0 or quantiles(slopes, n=4)[2] >= 0:
        return None
    # From the newest reading, which is known, and not from the line, which only tells the pace.
    left = days[-1].free / pace
    if left > FURTHEST / timedelta(days=1):
        return None
    return Forecast(max(now, days[-1].at + timedelta(days=left)), pace)


def _last_of_each_day(readings: Iterable[Reading]) -> list[Reading]:
    """Several backups of one day must not weigh more than one of another."""
    by_day: dict[date, Reading] = {}
    for reading in sorted(readings, key=lambda reading: reading.at):
        by_day[reading.at.astimezone(UTC).date()] = reading
    return list(by_day.values())
