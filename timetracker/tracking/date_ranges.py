"""Ranges of dates, and those that pages are asked for by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from timetracker.tracking.days import month_after, week_of

__all__ = ["SHORTCUTS", "DateRange", "shortcut_range"]

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
_DAY, _WEEK = timedelta(days=1), timedelta(days=7)


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
        days = week_of(today - back * _WEEK)
        return DateRange(days[0], days[-1])
    months = _MONTHS[unit]
    first = month_after(today.replace(month=(today.month - 1) // months * months + 1, day=1), -months * back)
    return DateRange(first, month_after(first, months) - _DAY)
