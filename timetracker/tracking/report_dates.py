"""Ranges of dates that reports are asked for by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from timetracker.tracking.local_dates import Period

__all__ = ["SHORTCUTS", "DateRange", "period_after", "period_for", "period_last", "periods_of", "shortcut_range"]

# In the order in which they are offered.
SHORTCUTS = {
    "this_week": "This week",
    "last_week": "Last week",
    "this_month": "This month",
    "last_month": "Last month",
    "this_quarter": "This quarter",
    "last_quarter": "Last quarter",
    "this_year": "This year",
    "last_year": "Last year",
    "all": "All time",
}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DateRange:
    """From ``first`` to ``last``, both included; None: open on that side."""

    first: date | None = None
    last: date | None = None

    def clipped(self, first: date, last: date) -> DateRange:
        """Return what of ``first`` to ``last`` is in this range."""
        return DateRange(max(first, self.first or first), min(last, self.last or last))


def shortcut_range(name: str, today: date) -> DateRange:
    """Return the range that one of :data:`SHORTCUTS` means on ``today``. Weeks begin on Monday. Raises KeyError for another name."""
    which, _, unit = name.partition("_")
    if name not in SHORTCUTS:
        raise KeyError(name)
    if name == "all":
        return DateRange()
    back = 1 if which == "last" else 0
    if unit == "week":
        first = today - timedelta(days=today.weekday() + 7 * back)
        return DateRange(first, first + timedelta(days=6))
    months = _MONTHS[unit]
    first = _month_after(today.replace(month=(today.month - 1) // months * months + 1, day=1), -months * back)
    return DateRange(first, _month_after(first, months) - _DAY)


def period_for(first: date, last: date) -> Period:
    """Return in which steps a chart shows this range: some dozens at most, up to about a decade."""
    days = (last - first).days + 1
    if days <= 45:
        return "day"
    return "week" if days <= 200 else "month"


def period_first(period: Period, day: date) -> date:
    """Return the first day of the period that ``day`` is in."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def period_after(period: Period, first: date) -> date:
    """Return where the period after the one from ``first`` on begins."""
    return _month_after(first, 1) if period == "month" else first + timedelta(days=7 if period == "week" else 1)


def period_last(period: Period, first: date) -> date:
    """Return the last day of the period from ``first`` on."""
    return period_after(period, first) - _DAY


def periods_of(period: Period, first: date, last: date) -> Iterator[date]:
    """Yield the first day of each period from the one that ``first`` is in to the one of ``last``."""
    day = period_first(period, first)
    while day <= last:
        yield day
        day = period_after(period, day)


def _month_after(first: date, months: int) -> date:
    """Return the first day of the month that is so many months on (or back) from ``first``, a first day."""
    years, month = divmod(first.month - 1 + months, 12)
    return first.replace(year=first.year + years, month=month + 1)
