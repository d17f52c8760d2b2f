"""Drafts: invoices that are being written, from time and expenses that are on none yet.

What a draft bills hangs on its lines from the beginning, so that no other takes it. Taking a line off the draft, or deleting the
draft, frees it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q, QuerySet

from timetracker.accounts.models import User
from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.lines import Grouping, TimeLine, days_said, entries_of_line, time_lines
from timetracker.billing.models import Expense, Invoice, InvoiceItem
from timetracker.billing.unbilled import unbilled_entries, unbilled_expenses
from timetracker.clients.models import Client
from timetracker.money import to_cents
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.days import today_in, zone_of
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.rates import with_rates

__all__ = ["MOST_LINES", "DraftPreview", "draft_empty", "draft_make", "draft_preview"]

# Of one invoice. Its page and its PDF show all of them.
MOST_LINES = 500


@dataclass(frozen=True)
class DraftPreview:
    """What a draft would bill, and what it would come to before tax."""

    lines: list[TimeLine]
    expenses: list[Expense]

    @property
    def subtotal(self) -> Decimal:
        """Sum of all lines."""
        return sum((line.amount for line in self.lines), Decimal(0)) + sum((expense.amount for expense in self.expenses), Decimal(0))

    @property
    def is_too_long(self) -> bool:
        """Whether one invoice does not take so many lines."""
        return len(self.lines) + len(self.expenses) > MOST_LINES


def draft_preview(
    client: Client,
    *,
    by: User,
    since: date | None = None,
    until: date | None = None,
    projects: Iterable[Project] | None = None,
    grouping: Grouping = Grouping.PROJECT,
    expenses: bool = True,
    currency: str = "",
) -> DraftPreview:
    """Return what :func:`draft_make` would write now."""
    currency = currency or client.currency
    chosen = None if projects is None else list(projects)
    zone = zone_of(by)
    entries = unbilled_entries(client, since=since, until=until, projects=chosen, zone=zone)
    lines = time_lines(with_rates(entries).filter(rate_currency=currency), grouping, site=SiteSettings.load(), zone=zone)
    spent = _expenses(client, since, until, chosen, currency) if expenses else []
    return DraftPreview(lines, list(spent))


def draft_make(
    client: Client,
    *,
    by: User,
    since: date | None = None,
    until: date | None = None,
    projects: Iterable[Project] | None = None,
    grouping: Grouping = Grouping.PROJECT,
    expenses: bool = True,
    currency: str = "",
) -> Invoice:
    """Write a draft that bills the client's unbilled time (by rates in ``currency``; empty: the client's) and its expenses in it.

    Days, from ``since`` to ``until`` (both included; None: open), are those where ``by`` is. Each expense has a line of its own.
    Two drafts at once never take the same: the second goes on without it. Raises InvoiceRefused where there is nothing to
    bill, or more lines than an invoice takes; then nothing was written.
    """
    currency = currency or client.currency
    chosen = None if projects is None else list(projects)
    zone = zone_of(by)
    with transaction.atomic():
        # One draft of a client after the other: two that take the same rows in another order would wait for each other.
        Client.objects.select_for_update(no_key=True).get(pk=client.pk)
        invoice = draft_empty(client, by=by, currency=currency)
        claim = InvoiceItem.objects.create(invoice=invoice, description="Time to be billed", unit_price=Decimal(0))
        _claim(unbilled_entries(client, since=since, until=until, projects=chosen, zone=zone), claim, currency)
        position = _bill_time(claim, grouping, zone)
        if expenses:
            position = _bill_expenses(_expenses(client, since, until, chosen, currency), invoice, position)
        if position > MOST_LINES:
            raise InvoiceRefused(
                f"These are {position} lines, and an invoice has {MOST_LINES} at most. Bring more together, or bill fewer days at once.",
                code="lines",
            )
        if not position:
            raise InvoiceRefused("There is nothing to bill: no time and no expense is like this and on no invoice.", code="nothing")
        claim.delete()
    return invoice


def draft_empty(client: Client, *, by: User, currency: str = "") -> Invoice:
    """Write a draft without lines, of today and with the settings of the site."""
    site, today = SiteSettings.load(), today_in(zone_of(by))
    return Invoice.objects.create(
        client=client,
        issued_on=today,
        due_on=today + timedelta(days=site.invoice_due_days),
        currency=currency or client.currency,
        tax_rate=site.default_tax_rate,
        notes=site.invoice_notes,
    )


def _claim(entries: QuerySet[TimeEntry], claim: InvoiceItem, currency: str) -> None:
    """Hang on ``claim`` what has a rate in ``currency``: from here on nobody else changes these rows, or takes them."""
    entries.update(invoice_item=claim)
    others = with_rates(TimeEntry.objects.filter(invoice_item=claim)).filter(Q(rate_currency__isnull=True) | ~Q(rate_currency=currency))
    TimeEntry.objects.filter(pk__in=others.order_by().values("pk")).update(invoice_item=None)


def _bill_time(claim: InvoiceItem, grouping: Grouping, zone: ZoneInfo) -> int:
    """Bring what hangs on ``claim`` onto lines, and return how many there are."""
    site, claimed = SiteSettings.load(), TimeEntry.objects.filter(invoice_item=claim).order_by()
    lines = time_lines(claimed, grouping, site=site, zone=zone)
    if len(lines) > MOST_LINES:
        return len(lines)
    items = InvoiceItem.objects.bulk_create(
        InvoiceItem(
            invoice=claim.invoice,
            project_id=line.project_id,
            position=position,
            description=line.description,
            quantity=line.hours,
            unit="h",
            unit_price=line.unit_price,
        )
        for position, line in enumerate(lines, 1)
    )
    for item, line in zip(items, lines, strict=True):
        moved = TimeEntry.objects.filter(pk__in=entries_of_line(line, claimed, site=site).values("pk")).update(invoice_item=item)
        if moved != line.entries:
            raise InvoiceRefused("A rate or a task has been changed at this moment, so no draft was written. Try again.", code="race")
    return len(lines)


def _expenses(client: Client, since: date | None, until: date | None, projects: list[Project] | None, currency: str) -> QuerySet[Expense]:
    found = unbilled_expenses(client, since=since, until=until, projects=projects).filter(currency=currency)
    return found.order_by("spent_on", "id")


def _bill_expenses(expenses: QuerySet[Expense], invoice: Invoice, position: int) -> int:
    """Write a line for each expense behind ``position``, and return the last one's."""
    for expense in expenses.select_for_update(of=("self",)):
        if expense.invoice_item_id is not None or not expense.billable:
            continue
        position += 1
        expense.invoice_item = InvoiceItem.objects.create(
            invoice=invoice,
            project_id=expense.project_id,
            position=position,
            description=f"{expense.description[:280]}, {days_said(expense.spent_on, expense.spent_on)}",
            quantity=Decimal(1),
            unit_price=to_cents(expense.amount),
        )
        expense.save(update_fields=["invoice_item"])
    return position
