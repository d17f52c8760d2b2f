"""The agency's invoices: one a month for each client with billed hours, and what was paid of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from timetracker.billing.lines import days_said
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.money import to_cents
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.demo.agency import Agency, DemoProject
from timetracker.tracking.demo.calendar import month_after
from timetracker.tracking.demo.entries import BilledHours
from timetracker.tracking.demo.tables import Ids

__all__ = ["Ledger", "make_invoices"]

_TAX = {"EUR": Decimal(20)}


@dataclass
class Ledger:
    """Invoices with their lines and payments."""

    invoices: list[Invoice] = field(default_factory=list)
    items: list[InvoiceItem] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)


def make_invoices(
    *,
    seed: int,
    first: date,
    anchor_on: date,
    agency: Agency,
    billed: BilledHours,
    expenses: list[Expense],
    site: SiteSettings,
    prefix: str,
    ids: Ids,
) -> Ledger:
    """Write the invoices of all months before the open one, numbered in the order of their dates; drafts have no number.

    Billable expenses of the month go on the same invoice; their ``invoice_item`` is set here.
    """
    random = Random(f"{seed}/invoices")  # noqa: S311 (invented data)
    projects = {demo.project.id: demo for demo in agency.projects}
    users = {user.id: user for user in agency.users}
    clients = {client.id: (place, client) for place, client in enumerate(agency.clients)}
    lines: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for key in billed.items:
        lines.setdefault((key[1], projects[key[0]].project.client_id), []).append(key)
    spent: dict[tuple[int, int], list[Expense]] = {}
    for expense in expenses:
        if expense.billable and expense.project is not None:
            month = (expense.spent_on.year - first.year) * 12 + expense.spent_on.month - first.month
            spent.setdefault((month, expense.project.client_id), []).append(expense)

    ledger, number = Ledger(), site.invoice_next_number
    for turn, (month, client_id) in enumerate(sorted(lines), 1):
        place, client = clients[client_id]
        issued_on = month_after(first, month + 1).replace(day=2)
        written = datetime.combine(issued_on, time(9, turn % 60), UTC)
        # Of the newest some are being written still, and have no number yet.
        is_draft = issued_on >= month_after(anchor_on, -1) and turn % 4 == 0
        invoice = Invoice(
            id=ids.take(Invoice),
            number="" if is_draft else f"{prefix}{number:0{site.invoice_digits}d}",
            client=client,
            status=Invoice.Status.DRAFT if is_draft else Invoice.Status.SENT,
            issued_on=issued_on,
            due_on=issued_on + timedelta(days=30 if place % 3 else 14),
            currency=client.currency,
            tax_rate=_TAX.get(client.currency, Decimal(0)),
            notes="Thank you for working with us.",
            created_at=written,
            updated_at=written,
        )
        items = []
        for key in sorted(lines[month, client_id]):
            demo, user_id = projects[key[0]], key[2]
            items.append(
                InvoiceItem(
                    id=billed.items[key][0],
                    project=demo.project,
                    description=f"{demo.project.name}, {month_after(first, month):%B %Y}" + (f", {users[user_id]}" if user_id else ""),
                    # Rounding may leave nothing of a month's few minutes; no line is of zero hours.
                    quantity=max(billed.hours(key), Decimal("0.01")),
                    unit="h",
                    unit_price=_rate(demo, user_id),
                )
            )
        for expense in spent.get((month, client_id), []):
            item = InvoiceItem(
                id=ids.take(InvoiceItem),
                project=expense.project,
                description=f"{expense.description}, {days_said(expense.spent_on, expense.spent_on)}",
                quantity=Decimal(1),
                unit_price=expense.amount,
            )
            expense.invoice_item = item
            items.append(item)
        for position, item in enumerate(items, 1):
            item.invoice, item.position = invoice, position
            item.created_at = item.updated_at = written
        ledger.invoices.append(invoice)
        ledger.items += items
        if is_draft:
            continue
        number += 1
        subtotal = sum((item.amount for item in items), Decimal(0))
        _settle(invoice, subtotal + to_cents(subtotal * invoice.tax_rate / 100), anchor_on, random, ids, ledger)
    return ledger


def _rate(demo: DemoProject, user_id: int) -> Decimal:
    """Return what an hour costs, as ``tracking.rates`` has it; each invented client has a rate."""
    for rate in (demo.rates.get(user_id), demo.project.hourly_rate, demo.project.client.default_rate):
        if rate is not None:
            return rate
    raise LookupError(f"No rate for {demo.project}.")


def _settle(invoice: Invoice, total: Decimal, anchor_on: date, random: Random, ids: Ids, ledger: Ledger) -> None:
    """Decide what happened to an issued invoice: most are paid in time, some in part or not."""
    turn = len(ledger.invoices)
    age = (anchor_on - invoice.due_on).days
    newest = invoice.issued_on >= month_after(anchor_on, -1)
    if (newest and turn % 3) or (age > 0 and turn % 23 == 5):
        return
    part = turn % 17 == 9
    amount = to_cents(total * random.randint(3, 7) / 10) if part else total
    paid_on = min(invoice.issued_on + timedelta(days=random.randint(5, 40)), anchor_on - timedelta(days=1))
    booked = datetime.combine(paid_on, time(7, 30), UTC)
    ledger.payments.append(
        Payment(
            id=ids.take(Payment),
            invoice=invoice,
            amount=amount,
            paid_on=paid_on,
            method=Payment.Method.CARD if turn % 9 == 2 else Payment.Method.TRANSFER,
            reference=invoice.number,
            created_at=booked,
            updated_at=booked,
        )
    )
    if not part:
        invoice.status = Invoice.Status.PAID
        invoice.updated_at = booked
