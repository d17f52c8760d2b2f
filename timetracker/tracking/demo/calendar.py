"""The working days of the demo data."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

__all__ = ["MONTHS", "first_day", "midnight_in_utc_seconds", "month_after", "working_days"]

# What the demo data covers by itself.
MONTHS = 18

# Month and day of the days on which nobody works: the year's end and the first of May.
_HOLIDAYS = {(1, 1), (5, 1), *((12, day) for day in range(24, 32))}


def month_after(first: date, months: int) -> date:
    """Return the first day of the month ``months`` (may be negative) after the month of ``first``."""
    count = first.year * 12 + first.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def first_day(anchor_on: date, months: int = MONTHS) -> date:
    """Return the first day of the month ``months`` months before the anchor's."""
    return month_after(anchor_on, -months)


def working_days(anchor_on: date, months: int = MONTHS) -> list[date]:
    """Return the working days from :func:`first_day` to the day before the anchor."""
    day = first_day(anchor_on, months)
    days = []
    while day < anchor_on:
        if day.weekday() < 5 and (day.month, day.day) not in _HOLIDAYS:
            days.append(day)
        day += timedelta(days=1)
    return days


def midnight_in_utc_seconds(day: date, zone: str) -> int:
    """Return what to add to seconds since local midnight to get seconds since midnight in UTC (at noon's offset)."""
    offset = datetime.combine(day, time(12), ZoneInfo(zone)).utcoffset()
    return -int((offset or timedelta()).total_seconds())
