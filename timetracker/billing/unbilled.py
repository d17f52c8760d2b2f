"""What of a client is on no invoice yet: billable time that has ended, and billable expenses.

Time is rounded as the site's settings say, each entry by itself, and counts at its rate (:mod:`timetracker.tracking.rates`).
What a draft would come to is in its lines (:mod:`timetracker.billing.lines`): their hours have two places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils import timezone

from timetracker.billing.models import Expense
from timetracker.billing.totals import cents, in_cents
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.durations import RoundedSeconds, worked_seconds
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.rates import RoundedAmount, with_rates
from timetracker.tracking.sums import starting_on

__all__ = ["Unbilled", "UnbilledSums", "priced", "unbilled_entries", "unbilled_clients", "unbilled_expenses", "unbilled_sums"]

_UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class Unbilled:
    """In one currency: entries with their seconds (rounded) and amount, expenses with theirs."""

    currency: str
    entries: int = 0
    seconds: int = 0
    time_amount: Decimal = Decimal(0)
    expenses: int = 0
    expense_amount: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """Both together, before tax."""
        return self.time_amount + self.expense_amount


@dataclass(frozen=True)
class UnbilledSums:
    """What can be billed, by currency; and the entries that cannot, for want of a rate, with their seconds."""

    by_currency: tuple[Unbilled, ...]
    entries_without_rate: int = 0
    seconds_without_rate: int = 0

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.by_currency or self.entries_without_rate)


def unbilled_entries(
    client: Client,
    *,
    since: date | None = None,
    until: date | None = None,
    projects: Iterable[Project] | None = None,
    zone: ZoneInfo = _UTC,
) -> QuerySet[TimeEntry]:
    """Return its time that an invoice could bill and none does, of these days in ``zone`` and these projects (None: of all).

    The conditions are on the rows of time alone, so that an UPDATE asks them once more of a row that it had to wait for.
    """
    ids = _billable_projects(client, projects).values_list("pk", flat=True)
    entries = TimeEntry.objects.filter(project_id__in=list(ids), billable=True, ended_at__isnull=False, invoice_item__isnull=True)
    return starting_on(entries.order_by(), since, until, zone=zone)


def unbilled_expenses(
    client: Client, *, since: date | None = None, until: date | None = None, projects: Iterable[Project] | None = None
) -> QuerySet[Expense]:
    """Return its expenses that an invoice could bill and none does, of these days and projects (None: of all)."""
    of = Q(project__client=client) if projects is None else Q(project__client=client, project__in=list(projects))
    expenses = Expense.objects.filter(of, billable=True, invoice_item__isnull=True)
    if since is not None:
        expenses = expenses.filter(spent_on__gte=since)
    return expenses if until is None else expenses.filter(spent_on__lte=until)


def priced(entries: QuerySet[TimeEntry], site: SiteSettings) -> QuerySet[Any]:
    """Add ``billed_seconds`` (rounded as ``site`` says) and ``price_cents`` of an hour (null: no rate), and what ``with_rates`` adds."""
    found: QuerySet[Any] = (
        with_rates(entries)
        .annotate(worked_seconds=worked_seconds(timezone.now()), price_cents=in_cents("rate"))
        .annotate(billed_seconds=RoundedSeconds("worked_seconds", minutes=site.rounding_minutes, direction=site.rounding_direction))
    )
    return found


def unbilled_sums(client: Client, *, projects: Iterable[Project] | None = None) -> UnbilledSums:
    """Sum what could be billed of these projects (None: of all), by the currencies' codes. Four queries."""
    chosen = None if projects is None else list(projects)
    sums = _sums_by_client(unbilled_entries(client, projects=chosen), unbilled_expenses(client, projects=chosen))
    return sums.get(client.pk, UnbilledSums(()))


def unbilled_clients() -> list[tuple[Client, UnbilledSums]]:
    """Return the clients of whom something can be billed, by name, and what. Four queries."""
    entries = TimeEntry.objects.filter(billable=True, project__billable=True, ended_at__isnull=False, invoice_item__isnull=True)
    expenses = Expense.objects.filter(billable=True, invoice_item__isnull=True)
    sums = _sums_by_client(entries.order_by(), expenses)
    return [(client, sums[client.pk]) for client in Client.objects.filter(pk__in=list(sums)).order_by("name", "pk")]


def _sums_by_client(entries: QuerySet[TimeEntry], expenses: QuerySet[Expense]) -> dict[int, UnbilledSums]:
    """Sum by client and currency, in the order of the currencies' codes."""
    time: dict[int, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    without: dict[int, Mapping[str, Any]] = {}
    rows = (
        priced(entries, SiteSettings.load())
        .annotate(in_cents=RoundedAmount("billed_seconds", "rate"))
        .values("rate_currency", client=F("project__client_id"))
        .annotate(count=Count("pk"), seconds=Sum("billed_seconds"), sum=Sum("in_cents"))
    )
    for row in rows:
        if row["rate_currency"] is None:
            without[row["client"]] = row
        else:
            time[row["client"]][row["rate_currency"]] = row
    spent: dict[int, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    costs = expenses.order_by().annotate(in_cents=in_cents("amount")).values("currency", client=F("project__client_id"))
    for row in costs.annotate(count=Count("pk"), sum=Sum("in_cents")):
        spent[row["client"]][row["currency"]] = row
    return {
        client: UnbilledSums(
            tuple(_unbilled(code, time[client].get(code), spent[client].get(code)) for code in sorted({*time[client], *spent[client]})),
            without[client]["count"] if client in without else 0,
            int(without[client]["seconds"]) if client in without else 0,
        )
        for client in {*time, *spent, *without}
    }


def _unbilled(currency: str, time: Mapping[str, Any] | None, spent: Mapping[str, Any] | None) -> Unbilled:
    found = Unbilled(currency)
    if time:
        found = replace(found, entries=time["count"], seconds=int(time["seconds"]), time_amount=cents(time["sum"]))
    if spent:
        found = replace(found, expenses=spent["count"], expense_amount=cents(spent["sum"]))
    return found


def _billable_projects(client: Client, projects: Iterable[Project] | None) -> QuerySet[Project]:
    found = Project.objects.order_by().filter(client=client, billable=True)
    return found if projects is None else found.filter(pk__in=[project.pk for project in projects])
