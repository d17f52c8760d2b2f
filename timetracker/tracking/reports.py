"""What a report says: hours and money of time entries by one or two groupings, and over time.

Everything is summed in SQL (:mod:`timetracker.tracking.sums`); what is added up here are those sums.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from timetracker.tracking.date_ranges import DateRange
from timetracker.tracking.local_dates import Period
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.rates import BILLABLE
from timetracker.tracking.report_dates import period_for, periods_of
from timetracker.tracking.report_names import ReportNames
from timetracker.tracking.sums import Grouping, Key, TimeSums, first_and_last_start, running_count, starting_on, sums_added, time_sums

__all__ = ["PERIODS", "Report", "ReportQuestion", "ReportRow", "Stretch", "report_make"]

PERIODS: tuple[Period, ...] = ("day", "week", "month")
# More months than this are shown as years.
_MOST_MONTHS = 120

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class ReportQuestion:
    """What a report is asked: entries in ``dates`` (of the reader's zone), narrowed by ids, grouped ``by`` one or two.

    ``billable``: only those that are, or only the others; None: both. ``sort`` names a column, with ``-`` from the largest on;
    empty: periods as they follow each other, all else by hours, from the most on.
    """

    by: tuple[Grouping, ...]
    dates: DateRange = DateRange()
    person: int | None = None
    client: int | None = None
    project: int | None = None
    billable: bool | None = None
    sort: str = ""

    def chosen(self, entries: QuerySet[TimeEntry], zone: ZoneInfo) -> QuerySet[TimeEntry]:
        """Return those of ``entries`` that are asked for."""
        entries = starting_on(entries, self.dates.first, self.dates.last, zone=zone)
        if self.person is not None:
            entries = entries.filter(user=self.person)
        if self.client is not None:
            entries = entries.filter(project__client=self.client)
        if self.project is not None:
            entries = entries.filter(project=self.project)
        if self.billable is not None:
            entries = entries.filter(BILLABLE if self.billable else ~BILLABLE)
        return entries


@dataclass(frozen=True)
class ReportRow:
    """What one client, project, person, task or period comes to, and its part of all hours in percent.

    ``names`` are those of :class:`ReportNames`; ``inner`` are the rows of the second grouping.
    """

    keys: Key
    names: tuple[str, ...]
    sums: TimeSums
    share: Decimal
    inner: tuple[ReportRow, ...] = ()

    @property
    def label(self) -> str:
        """What it is called."""
        return self.names[-1]

    @property
    def detail(self) -> str:
        """What it belongs to; empty where it stands for itself."""
        return self.names[0] if len(self.names) > 1 else ""


@dataclass(frozen=True)
class Stretch:
    """A stretch of time from ``first`` on, and its seconds, billable or not."""

    first: date
    seconds: int
    billable_seconds: int


@dataclass(frozen=True)
class Report:
    """The answer. ``dates`` are those that were asked for, where these are open those of the entries; None of no entries.

    ``stretches`` follow each other without a gap, each a ``step`` long (day, week, month or year). ``running`` timers count up to ``now``.
    """

    question: ReportQuestion
    rows: tuple[ReportRow, ...]
    total: TimeSums
    dates: tuple[date, date] | None
    step: str
    stretches: tuple[Stretch, ...]
    running: int
    now: datetime

    @property
    def currencies(self) -> list[str]:
        """The codes of all amounts."""
        return list(self.total.amounts)


def report_make(
    question: ReportQuestion, entries: QuerySet[TimeEntry], *, names: ReportNames, zone: ZoneInfo, now: datetime, money: bool
) -> Report:
    """Answer ``question`` about ``entries``, those that the reader sees. ``now`` is aware. Ten queries at most."""
    entries = question.chosen(entries, zone)
    by, dates = question.by, _dates(question.dates, entries, zone)
    step: Period = period_for(*dates) if dates else "day"
    # Over a long time one look at all entries costs more than a finer sum; with two groupings that would be too fine.
    finer = (*by, step) if len(by) == 1 and step != "day" and step not in by else by
    sums = time_sums(entries, *finer, zone=zone, now=now, money=money)
    if step in finer:
        over_time = _folded(sums, lambda keys: keys[finer.index(step)])
    else:
        over_time = {keys[0]: each for keys, each in time_sums(entries, step, zone=zone, now=now, money=False).items()}
    if finer != by:
        sums = _folded(sums, lambda keys: keys[: len(by)])
    total = sums_added(sums.values())
    if "task" in by:
        names.read_tasks(client=question.client, project=question.project)
    shown_step, stretches = _course(step, over_time, dates)
    return Report(
        question=question,
        rows=_rows(question, sums, names, total.seconds),
        total=total,
        dates=dates,
        step=shown_step,
        stretches=stretches,
        running=running_count(entries),
        now=now,
    )


def _folded(sums: Mapping[Key, TimeSums], part: Callable[[Key], _Part]) -> dict[_Part, TimeSums]:
    """Add up all that have this part of their keys in common."""
    found: dict[_Part, list[TimeSums]] = defaultdict(list)
    for keys, each in sums.items():
        found[part(keys)].append(each)
    return {key: sums_added(each) for key, each in found.items()}


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows(question: ReportQuestion, sums: Mapping[Any, TimeSums], names: ReportNames, all_seconds: int) -> tuple[ReportRow, ...]:
    def row(keys: Key, of_it: TimeSums, inner: tuple[ReportRow, ...] = ()) -> ReportRow:
        return ReportRow(keys, names.of(question.by[len(keys) - 1], keys[-1]), of_it, _percent(of_it.seconds, all_seconds), inner)

    def in_order(rows: Iterable[ReportRow], grouping: Grouping) -> tuple[ReportRow, ...]:
        sort = question.sort or ("name" if grouping in PERIODS else "-hours")
        # By name first, so that rows of the same value have one order.
        by_name = sorted(rows, key=lambda each: _name_order(each, grouping))
        return tuple(sorted(by_name, key=_value_of(sort, grouping), reverse=sort.startswith("-")))

    if len(question.by) == 1:
        return in_order((row(keys, each) for keys, each in sums.items()), question.by[0])
    outer: dict[Any, list[ReportRow]] = defaultdict(list)
    for keys, each in sums.items():
        outer[keys[0]].append(row(keys, each))
    rows = (row((key,), sums_added(each.sums for each in inner), in_order(inner, question.by[1])) for key, inner in outer.items())
    return in_order(rows, question.by[0])


def _name_order(row: ReportRow, grouping: Grouping) -> tuple[Any, ...]:
    key = row.keys[-1]
    if key is None or grouping in PERIODS:
        return (key is None, key)
    return (False, row.label.casefold(), row.detail.casefold(), key)


def _value_of(sort: str, grouping: Grouping) -> Callable[[ReportRow], Any]:
    column, _, currency = sort.removeprefix("-").partition("_")
    values: dict[str, Callable[[ReportRow], Any]] = {
        "entries": lambda row: row.sums.count,
        "hours": lambda row: row.sums.seconds,
        "billable": lambda row: row.sums.billable_seconds,
        "unbilled": lambda row: row.sums.unbilled_seconds,
        "amount": lambda row: row.sums.amounts.get(currency, Decimal(0)),
        "open": lambda row: row.sums.unbilled_amounts.get(currency, Decimal(0)),
    }
    return values.get(column) or (lambda row: _name_order(row, grouping))


def _percent(part: int, whole: int) -> Decimal:
    return (Decimal(100 * part) / (whole or 1)).quantize(Decimal("0.1"), rounding=ROUND_HALF_UP)


# --- over time --------------------------------------------------------------------------------------------------------


def _dates(asked: DateRange, entries: QuerySet[TimeEntry], zone: ZoneInfo) -> tuple[date, date] | None:
    if asked.first is not None and asked.last is not None:
        return asked.first, asked.last
    found = first_and_last_start(entries)
    if found is None:
        return None
    first, last = (moment.astimezone(zone).date() for moment in found)
    return asked.first or first, asked.last or last


def _course(step: Period, sums: Mapping[Any, TimeSums], dates: tuple[date, date] | None) -> tuple[str, tuple[Stretch, ...]]:
    """Bring the sums by their first days into a course without gaps, and say how long its stretches are."""
    if dates is None or not sums:
        return step, ()
    stretches = [_stretch(first, [sums[first]] if first in sums else []) for first in periods_of(step, *dates)]
    if len(stretches) <= _MOST_MONTHS:
        return step, tuple(stretches)
    years: dict[date, list[TimeSums]] = {stretch.first.replace(month=1, day=1): [] for stretch in stretches}
    for first, of_month in sums.items():
        years[first.replace(month=1, day=1)].append(of_month)
    return "year", tuple(_stretch(first, of_year) for first, of_year in years.items())


def _stretch(first: date, sums: list[TimeSums]) -> Stretch:
    return Stretch(first, sum(each.seconds for each in sums), sum(each.billable_seconds for each in sums))
