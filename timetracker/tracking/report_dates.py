"""Days, weeks and months, as reports go through a range of dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from timetracker.tracking.days import month_after, month_of, week_of
from timetracker.tracking.local_dates import Period

__all__ = ["period_after", "period_for", "period_last", "periods_of"]

_DAY = timedelta(days=1)


def period_for(first: date, last: date) -> Period:
    """Return in which steps a chart shows this range: some dozens at most, up to about a decade."""
    days = (last - first).days + 1
    if days <= 45:
        return "day"
    return "week" if days <= 200 else "month"


def period_first(period: Period, day: date) -> date:
    """Return the first day of the period that ``day`` is in."""
    if period == "week":
        return week_of(day)[0]
    return month_of(day)[0] if period == "month" else day


def period_after(period: Period, first: date) -> date:
    """Return where the period after the one from ``first`` on begins."""
    return month_after(first, 1) if period == "month" else first + timedelta(days=7 if period == "week" else 1)


def period_last(period: Period, first: date) -> date:
    """Return the last day of the period from ``first`` on."""
    return period_after(period, first) - _DAY


def periods_of(period: Period, first: date, last: date) -> Iterator[date]:
    """Yield the first day of each period from the one that ``first`` is in to the one of ``last``."""
    day = period_first(period, first)
    while day <= last:
        yield day
        day = period_after(period, day)
