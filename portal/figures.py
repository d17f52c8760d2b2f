"""What a client may know, and its sums: every query of the portal starts here, from the client and its switches.

Sums are made in SQL over all rows, whatever a page shows of them. Seconds are those of
:func:`timetracker.tracking.durations.worked_seconds`, as everywhere; nothing is converted between currencies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, ExtractMonth
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.billing.models import Invoice
from timetracker.billing.totals import ISSUED, CurrencySums, InvoiceTotals, cents, sums_by_currency, with_totals
from timetracker.clients.models import Client, Document
from timetracker.tracking.days import day_bounds
from timetracker.tracking.durations import worked_seconds
from timetracker.tracking.local_dates import local_period
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.rates import BILLABLE
from timetracker.tracking.sums import BudgetUse, first_and_last_start, starting_on

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

__all__ = [
    "BILLED",
    "FREE",
    "TO_BILL",
    "NavigationCounts",
    "ProjectTime",
    "TimeSums",
    "billed",
    "documents_of",
    "entries_of",
    "first_and_last_day",
    "invoice_state",
    "invoice_sums",
    "invoiced_by_month",
    "invoices_of",
    "navigation_counts",
    "people_of",
    "projects_of",
    "projects_with_time",
    "sums_added",
    "time_by",
    "time_by_month",
    "time_sums",
    "with_standing",
]

# What becomes of time: it is on an issued invoice of the client, it is to be on one, it is not billed at all.
BILLED, TO_BILL, FREE = "billed", "to bill", "free"


@dataclass(frozen=True)
class TimeSums:
    """Of a set of entries: how many, the seconds worked, those on issued invoices, and those that are to be billed."""

    count: int = 0
    seconds: int = 0
    billed_seconds: int = 0
    unbilled_seconds: int = 0

    @property
    def billable_seconds(self) -> int:
        """Those that are billed or to be billed."""
        return self.billed_seconds + self.unbilled_seconds

    @property
    def free_seconds(self) -> int:
        """Those that are never billed."""
        return self.seconds - self.billable_seconds


@dataclass(frozen=True)
class ProjectTime:
    """A project, what its time comes to, and what that is of its budget."""

    project: Project
    sums: TimeSums
    use: BudgetUse


@dataclass(frozen=True)
class NavigationCounts:
    """How many projects are active, invoices are to be paid, and documents there are; 0 where the client does not see them."""

    projects: int
    open_invoices: int
    documents: int


# --- rows -------------------------------------------------------------------------------------------------------------


def projects_of(client: Client) -> QuerySet[Project]:
    """All projects, those that run first."""
    return Project.objects.filter(client=client).order_by("status", "code")


def billed(client: Client) -> Q:
    """Of time entries: an issued invoice of the client has it. That it waits on a draft is nobody's business yet."""
    return Q(invoice_item__invoice__client=client, invoice_item__invoice__status__in=ISSUED)


def entries_of(client: Client) -> QuerySet[TimeEntry]:
    """Time that has ended and that the client's switches let it see, the newest first: the one source of all its time.

    Time that still runs is nobody's business yet. Names and notes, which have switches of their own, are left to the reader.
    """
    entries = TimeEntry.objects.filter(project__client=client, ended_at__isnull=False)
    if not client.portal_shows_time:
        entries = entries.none()
    elif not client.portal_shows_unbilled:
        entries = entries.filter(billed(client))
    names = ("user", "project", "task") if client.portal_shows_people else ("project", "task")
    return entries.select_related(*names).order_by("-started_at", "-id")


def with_standing(entries: QuerySet[TimeEntry], client: Client) -> QuerySet[Any]:
    """Add ``standing`` (BILLED, TO_BILL or FREE) and ``worked_seconds`` to each of the client's entries."""
    return entries.annotate(
        standing=Case(When(billed(client), then=Value(BILLED)), When(BILLABLE, then=Value(TO_BILL)), default=Value(FREE)),
        worked_seconds=worked_seconds(timezone.now()),
    )


def people_of(client: Client) -> QuerySet[User]:
    """Who has worked for the client, as far as it sees that: nobody where names are kept back."""
    if not client.portal_shows_people:
        return User.objects.none()
    entries = entries_of(client).select_related(None).order_by()
    return User.objects.filter(pk__in=entries.values("user")).order_by("full_name", "username")


def invoices_of(client: Client) -> QuerySet[WithAnnotations[Invoice, InvoiceTotals]]:
    """Invoices of which the client was told, with their totals in cents, the newest first: never a draft.

    One that was cancelled is among them if it has a PDF or was mailed: it was shown here as issued, and must not vanish. Others may
    have been cancelled before anybody saw them.
    """
    told = Q(status__in=ISSUED) | Q(status=Invoice.Status.CANCELLED) & (~Q(pdf="") | Q(mailed_at__isnull=False))
    return with_totals(_invoices(client).filter(told)).order_by("-issued_on", "-id")


def invoice_state(invoice: WithAnnotations[Invoice, InvoiceTotals]) -> str:
    """Say of one of :func:`invoices_of` where it stands: Cancelled, Paid, Overdue, Partly paid or Open."""
    if invoice.status != Invoice.Status.SENT:
        return invoice.get_status_display()
    if invoice.is_overdue():
        return "Overdue"
    return "Partly paid" if invoice.paid_cents else "Open"


def documents_of(client: Client) -> QuerySet[Document]:
    """Documents that were released for the client, the newest first."""
    documents = Document.objects.filter(client=client, visible_to_client=True).order_by("-created_at", "-id")
    return documents if client.portal_shows_documents else documents.none()


def _invoices(client: Client) -> QuerySet[Invoice]:
    invoices = Invoice.objects.filter(client=client)
    return invoices if client.portal_shows_invoices else invoices.none()


def _issued(client: Client) -> QuerySet[Invoice]:
    """Those that count in sums."""
    return _invoices(client).filter(status__in=ISSUED)


# --- sums of time -----------------------------------------------------------------------------------------------------


def time_sums(entries: QuerySet[TimeEntry], client: Client) -> TimeSums:
    """Sum ``entries``, which are the client's."""
    return _summed(entries, client).get((), TimeSums())


def time_by(entries: QuerySet[TimeEntry], client: Client, *columns: str) -> dict[tuple[Any, ...], TimeSums]:
    """Sum ``entries``, which are the client's, by each combination of ``columns`` (``project_id``) that occurs."""
    return _summed(entries, client, **{f"by_{column}": F(column) for column in columns})


def projects_with_time(projects: Iterable[Project], sums: Mapping[tuple[Any, ...], TimeSums]) -> list[ProjectTime]:
    """Return ``projects`` with their sums, which :func:`time_by` has made by ``project_id``."""
    found = []
    for project in projects:
        own = sums.get((project.pk,), TimeSums())
        budget = None if project.budget_hours is None else int(project.budget_hours * 3600)
        found.append(ProjectTime(project, own, BudgetUse(own.seconds, budget)))
    return found


def time_by_month(entries: QuerySet[TimeEntry], client: Client, year: int, *, zone: ZoneInfo) -> dict[int, TimeSums]:
    """Sum those of ``entries`` that start in ``year`` there by the number of the month; those without time are left out."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    within = starting_on(entries, first, last, zone=zone)
    month = local_period("started_at", "month", zone=zone, since=day_bounds(first, zone)[0], until=day_bounds(last, zone)[1])
    return {first.month: sums for (first,), sums in _summed(within, client, by_month=month).items()}


def sums_added(sums: Iterable[TimeSums]) -> TimeSums:
    """Return the sums of all of them together."""
    each = list(sums)
    return TimeSums(
        count=sum(one.count for one in each),
        seconds=sum(one.seconds for one in each),
        billed_seconds=sum(one.billed_seconds for one in each),
        unbilled_seconds=sum(one.unbilled_seconds for one in each),
    )


def first_and_last_day(client: Client, *, zone: ZoneInfo) -> tuple[date, date] | None:
    """Return the days there of the first and the last thing that a report counts, time or invoice; None where there is nothing."""
    found = first_and_last_start(entries_of(client).select_related(None))
    days = [moment.astimezone(zone).date() for moment in found] if found else []
    issued = _issued(client).order_by("issued_on").values_list("issued_on", flat=True)
    days += [day for day in (issued.first(), issued.last()) if day is not None]
    return (min(days), max(days)) if days else None


def _summed(entries: QuerySet[TimeEntry], client: Client, **keys: Any) -> dict[tuple[Any, ...], TimeSums]:
    # No rows to join for a sum: only the conditions on the invoice and the project stay.
    rows = (
        with_standing(entries.select_related(None).order_by(), client)
        .values("standing", **keys)
        .annotate(count=Count("pk"), seconds=Sum("worked_seconds"))
    )
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[tuple(row[key] for key in keys)].append(row)
    return {key: _folded(parts) for key, parts in found.items()}


def _folded(rows: Iterable[Mapping[str, Any]]) -> TimeSums:
    """Bring the rows of one key together: there is one for each standing."""
    seconds: dict[str, int] = defaultdict(int)
    count = 0
    for row in rows:
        count += row["count"]
        seconds[row["standing"]] += int(row["seconds"])
    return TimeSums(count, sum(seconds.values()), seconds[BILLED], seconds[TO_BILL])


# --- sums of money ----------------------------------------------------------------------------------------------------


def invoice_sums(client: Client) -> list[CurrencySums]:
    """Sum all issued invoices, currency by currency. Nothing where the client sees no invoices or no amounts."""
    return sums_by_currency(_issued(client)) if client.portal_shows_amounts else []


def invoiced_by_month(client: Client, year: int) -> dict[int, dict[str, Decimal]]:
    """Return what was invoiced, with tax, by the number of the month of the invoice's date and by currency.

    Nothing where the client sees no invoices or no amounts.
    """
    if not client.portal_shows_amounts:
        return {}
    rows = (
        with_totals(_issued(client).filter(issued_on__year=year))
        .order_by("currency")
        .values("currency", month=ExtractMonth("issued_on"))
        .annotate(billed=Sum("total_cents"))
        .values_list("month", "currency", "billed")
    )
    found: dict[int, dict[str, Decimal]] = defaultdict(dict)
    for month, currency, total in rows:
        found[month][currency] = cents(total)
    return dict(found)


# --- counts -----------------------------------------------------------------------------------------------------------


def navigation_counts(client: Client) -> NavigationCounts:
    """Count what the navigation shows, in one query."""
    found = Client.objects.filter(pk=client.pk).values(
        running=_count_of(Project.objects.filter(client=OuterRef("pk"), status=Project.Status.ACTIVE)),
        unpaid=_count_of(Invoice.objects.filter(client=OuterRef("pk"), status=Invoice.Status.SENT)),
        shared=_count_of(Document.objects.filter(client=OuterRef("pk"), visible_to_client=True)),
    )[0]
    return NavigationCounts(
        projects=found["running"],
        open_invoices=found["unpaid"] if client.portal_shows_invoices else 0,
        documents=found["shared"] if client.portal_shows_documents else 0,
    )


def _count_of(rows: QuerySet[Any]) -> Coalesce:
    return Coalesce(Subquery(rows.order_by().values("client").annotate(count=Count("pk")).values("count")), 0)
