"""What time comes to, in SQL: seconds worked and money, of any set of entries, by whatever they belong to.

An entry counts whole, on the day on which it starts where the reader is: so it does on an invoice, and so the sums of days,
weeks and months add up to that of all. Its seconds are those of :func:`timetracker.tracking.durations.worked_seconds`, its
amount those at its rate (:mod:`timetracker.tracking.rates`), rounded to cents by itself. Nothing is converted: each currency
has an amount of its own. Both are exact, on both engines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

from django.db.models import Case, Count, F, Max, Min, QuerySet, Sum, When
from django.utils import timezone

from timetracker.billing.totals import cents
from timetracker.tracking.days import day_bounds
from timetracker.tracking.durations import worked_seconds
from timetracker.tracking.local_dates import Period, local_period
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.rates import RoundedAmount, with_billable, with_rates

__all__ = [
    "BudgetUse",
    "Grouping",
    "Key",
    "TimeSums",
    "budgets_used",
    "first_and_last_start",
    "running_count",
    "starting_on",
    "sums_added",
    "time_sums",
    "time_total",
    "with_amounts",
]

Grouping = Literal["client", "project", "person", "task"] | Period
# Ids of rows (None: no task), and dates.
Key = tuple[int | date | None, ...]

_COLUMNS = {"client": "project__client_id", "project": "project_id", "person": "user_id", "task": "task_id"}
_PERIODS: tuple[Period, ...] = ("day", "week", "month")
# Of no entries.
_NEVER = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TimeSums:
    """Of a set of entries: how many, the seconds worked, those of billable ones, and those of them that are on no invoice yet.

    Amounts are what billable time comes to at its rates, by currency; time without a rate is in none of them.
    """

    count: int
    seconds: int
    billable_seconds: int
    unbilled_seconds: int
    amounts: dict[str, Decimal]
    unbilled_amounts: dict[str, Decimal]


@dataclass(frozen=True)
class BudgetUse:
    """The seconds worked on a project, billable or not, and those of its budget (None: it has none)."""

    seconds: int
    budget_seconds: int | None

    @classmethod
    def of(cls, seconds: int, budget_hours: Decimal | None) -> Self:
        """So many seconds of a budget that is kept in hours."""
        return cls(seconds, None if budget_hours is None else int(budget_hours * 3600))

    @property
    def percent(self) -> int | None:
        """How much of the budget is used, rounded down; may be above 100. None without a budget or with one of no hours."""
        return self.seconds * 100 // self.budget_seconds if self.budget_seconds else None

    @property
    def is_over(self) -> bool:
        """Whether more was worked than the budget has."""
        return self.budget_seconds is not None and self.seconds > self.budget_seconds


def starting_on(entries: QuerySet[Any], first: date | None, last: date | None, *, zone: ZoneInfo) -> QuerySet[Any]:
    """Return those that start there from ``first`` to ``last``, both included; None: open on that side."""
    if first is not None:
        entries = entries.filter(started_at__gte=day_bounds(first, zone)[0])
    return entries if last is None else entries.filter(started_at__lt=day_bounds(last, zone)[1])


def first_and_last_start(entries: QuerySet[TimeEntry]) -> tuple[datetime, datetime] | None:
    """Return when the first and the last of them starts (UTC); None of none."""
    ends = entries.order_by().aggregate(first=Min("started_at"), last=Max("started_at"))
    return None if ends["first"] is None else (ends["first"], ends["last"])


def running_count(entries: QuerySet[TimeEntry]) -> int:
    """Return how many of them run. Two quick queries: there is one of a person at most, and an index of those alone."""
    running = list(TimeEntry.objects.order_by().filter(ended_at__isnull=True).values_list("pk", flat=True))
    return entries.filter(pk__in=running).count() if running else 0


def with_amounts(entries: QuerySet[TimeEntry], *, now: datetime | None = None) -> QuerySet[Any]:
    """Add ``worked_seconds`` and ``amount_cents`` (null where there is no rate) to each entry, and what ``with_rates`` adds.

    An entry that runs counts up to ``now`` (aware; None: the clock's).
    """
    found: QuerySet[Any] = with_rates(entries).annotate(
        worked_seconds=worked_seconds(now or timezone.now()),
        amount_cents=RoundedAmount("worked_seconds", "rate"),
    )
    return found


def time_sums(
    entries: QuerySet[TimeEntry], *by: Grouping, zone: ZoneInfo | None = None, now: datetime | None = None, money: bool = True
) -> dict[Key, TimeSums]:
    """Sum ``entries`` by each combination that occurs of what ``by`` names: its keys, in that order, are ids and first days.

    ``zone`` (None: UTC) is that of days, weeks (from Monday on) and months. An entry that runs counts up to ``now`` (aware;
    None: the clock's). Without ``money`` there are no amounts, which is quicker. The result is in the order of its keys, None
    last. One query, and one more where there are periods.
    """
    has_periods = any(grouping in _PERIODS for grouping in by)
    ends = (first_and_last_start(entries) if has_periods else None) or (_NEVER, _NEVER)
    keys = {f"by_{number}": _grouped(grouping, zone or ZoneInfo("UTC"), ends) for number, grouping in enumerate(by)}
    counted: QuerySet[Any] = entries.select_related(None).order_by()
    if money:
        counted = with_amounts(counted, now=now)
    else:
        counted = with_billable(counted).annotate(worked_seconds=worked_seconds(now or timezone.now()))
    rows = (
        counted.annotate(is_unbilled=Case(When(invoice_item__isnull=True, then=True), default=False))
        .values("is_billable", "is_unbilled", *(["rate_currency"] if money else []), **keys)
        .annotate(count=Count("pk"), seconds=Sum("worked_seconds"), **({"cents": Sum("amount_cents")} if money else {}))
    )
    found: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[tuple(row[key] for key in keys)].append(row)
    return {key: _folded(found[key]) for key in sorted(found, key=_none_last)}


def sums_added(sums: Iterable[TimeSums]) -> TimeSums:
    """Return the sums of all of them together."""
    each = list(sums)
    if len(each) == 1:
        return each[0]
    return TimeSums(
        count=sum(one.count for one in each),
        seconds=sum(one.seconds for one in each),
        billable_seconds=sum(one.billable_seconds for one in each),
        unbilled_seconds=sum(one.unbilled_seconds for one in each),
        amounts=_added(one.amounts for one in each),
        unbilled_amounts=_added(one.unbilled_amounts for one in each),
    )


def time_total(entries: QuerySet[TimeEntry], *, now: datetime | None = None, money: bool = True) -> TimeSums:
    """Sum all of ``entries``, as :func:`time_sums` does; zeros where there are none."""
    return time_sums(entries, now=now, money=money).get((), _folded([]))


def budgets_used(projects: QuerySet[Project], *, now: datetime | None = None) -> dict[int, BudgetUse]:
    """Return for the id of each project what is used of its budget, up to ``now`` (aware; None: the clock's). Two queries."""
    entries = TimeEntry.objects.filter(project__in=projects.order_by().values("pk")).order_by()
    rows = entries.annotate(worked_seconds=worked_seconds(now or timezone.now())).values("project_id").annotate(sum=Sum("worked_seconds"))
    seconds = {row["project_id"]: int(row["sum"]) for row in rows}
    return {pk: BudgetUse.of(seconds.get(pk, 0), hours) for pk, hours in projects.order_by().values_list("pk", "budget_hours")}


def _grouped(grouping: Grouping, zone: ZoneInfo, ends: tuple[datetime, datetime]) -> Any:
    if grouping not in _PERIODS:
        return F(_COLUMNS[grouping])
    return local_period("started_at", grouping, zone=zone, since=ends[0], until=ends[1])


def _none_last(key: Key) -> list[tuple[bool, Any]]:
    return [(part is None, part) for part in key]


def _folded(rows: Iterable[Mapping[str, Any]]) -> TimeSums:
    """Bring the rows of one key together: there is one for each currency, billable or not, billed or not."""
    rows = list(rows)
    billable = [row for row in rows if row["is_billable"]]
    unbilled = [row for row in billable if row["is_unbilled"]]
    return TimeSums(
        count=sum(row["count"] for row in rows),
        seconds=_seconds(rows),
        billable_seconds=_seconds(billable),
        unbilled_seconds=_seconds(unbilled),
        amounts=_added(map(_amount, billable)),
        unbilled_amounts=_added(map(_amount, unbilled)),
    )


def _seconds(rows: Iterable[Mapping[str, Any]]) -> int:
    return sum(int(row["seconds"]) for row in rows)


def _added(amounts: Iterable[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """Add up by currency, in the order of the codes."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for one in amounts:
        for currency, amount in one.items():
            sums[currency] += amount
    return dict(sorted(sums.items()))


def _amount(row: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a row comes to, by its currency; nothing without a rate, or where money was not asked for."""
    return {} if row.get("rate_currency") is None else {row["rate_currency"]: cents(row["cents"])}
