"""What a client may know, and its sums: every query of the portal starts here, from the client.

Sums are made in SQL over all rows, whatever a page shows of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Count, ExpressionWrapper, F, FloatField, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce
from django.utils import timezone

from timetracker.billing.models import Invoice
from timetracker.billing.totals import ISSUED, CurrencySums, InvoiceTotals, sums_by_currency, with_totals
from timetracker.clients.models import Client, Document
from timetracker.tracking.durations import SecondsBetween
from timetracker.tracking.models import Project, TimeEntry

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

__all__ = [
    "CurrencySums",
    "NavigationCounts",
    "TimeSums",
    "documents_of",
    "entries_of",
    "invoice_sums",
    "invoices_of",
    "month_start",
    "navigation_counts",
    "projects_of",
    "projects_with_time",
    "time_sums",
]


@dataclass(frozen=True)
class TimeSums:
    """Of a set of entries: how many, the seconds worked, and how many of those are billable and on no invoice yet."""

    count: int
    seconds: int
    unbilled_seconds: int


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


def projects_with_time(client: Client) -> QuerySet[Project]:
    """The projects with ``seconds`` worked and ``last_started_at``."""
    entries = TimeEntry.objects.filter(project=OuterRef("pk"), ended_at__isnull=False).order_by().values("project")
    return projects_of(client).annotate(
        seconds=Coalesce(Subquery(entries.annotate(sum=Sum(_worked())).values("sum")), 0.0),
        last_started_at=Subquery(entries.annotate(last=Max("started_at")).values("last")),
    )


def entries_of(client: Client) -> QuerySet[TimeEntry]:
    """Time that has ended, the newest first. Time that still runs is nobody's business yet."""
    return (
        TimeEntry.objects.filter(project__client=client, ended_at__isnull=False)
        .select_related("user", "project", "task")
        .order_by("-started_at", "-id")
    )


def invoices_of(client: Client) -> QuerySet[WithAnnotations[Invoice, InvoiceTotals]]:
    """Issued invoices with their totals in cents, the newest first: never a draft."""
    return with_totals(Invoice.objects.filter(client=client, status__in=ISSUED)).order_by("-issued_on", "-id")


def documents_of(client: Client) -> QuerySet[Document]:
    """Documents that were released for the client, the newest first."""
    return Document.objects.filter(client=client, visible_to_client=True).order_by("-created_at", "-id")


# --- sums -------------------------------------------------------------------------------------------------------------


def time_sums(entries: QuerySet[TimeEntry], *, since: datetime | None = None) -> TimeSums:
    """Sum ``entries``; ``count`` and ``seconds`` are of those from ``since`` (aware) on, unbilled time is of all."""
    recent = Q(started_at__gte=since) if since is not None else Q()
    unbilled = Q(billable=True, project__billable=True, invoice_item__isnull=True)
    # No rows to join for a sum: only the conditions on the project stay.
    found = entries.select_related(None).aggregate(
        count=Count("pk", filter=recent), seconds=Sum(_worked(), filter=recent), unbilled=Sum(_worked(), filter=unbilled)
    )
    return TimeSums(found["count"], round(found["seconds"] or 0), round(found["unbilled"] or 0))


def invoice_sums(client: Client) -> list[CurrencySums]:
    """Sum all issued invoices, currency by currency."""
    return sums_by_currency(Invoice.objects.filter(client=client))


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


def month_start() -> datetime:
    """Return the first instant of this month in the current time zone."""
    return timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _worked() -> ExpressionWrapper[CombinedExpression]:
    return ExpressionWrapper(SecondsBetween("started_at", "ended_at") - F("break_seconds"), output_field=FloatField())


def _count_of(rows: QuerySet[Any]) -> Coalesce:
    return Coalesce(Subquery(rows.order_by().values("client").annotate(count=Count("pk")).values("count")), 0)
