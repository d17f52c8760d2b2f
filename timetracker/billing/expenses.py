"""Expenses: who sees which, who may change which, and what they come to.

An expense is an amount. So who may see amounts (:data:`timetracker.accounts.roles.MONEY`) sees everybody's, as in the admin,
and others see their own.
"""

from __future__ import annotations

from decimal import Decimal

from django.db.models import Count, QuerySet, Sum

from timetracker.accounts.models import User
from timetracker.accounts.roles import MONEY
from timetracker.billing.models import Expense, Invoice
from timetracker.billing.totals import cents, in_cents

__all__ = ["expense_refusal", "expense_sums", "expenses_seen_by"]


def expenses_seen_by(user: User) -> QuerySet[Expense]:
    """Return her own expenses, or those of everybody where she may see amounts; the latest first."""
    expenses = Expense.objects.order_by("-spent_on", "-id")
    return expenses if user.has_perm(MONEY) else expenses.filter(user=user)


def expense_refusal(expense: Expense) -> str:
    """Say why ``expense`` does not change, as it stands; empty: it may."""
    if expense.invoice_item is None:
        return ""
    invoice = expense.invoice_item.invoice
    if invoice.status == Invoice.Status.DRAFT:
        return f"This expense is on a draft of an invoice: {invoice}. Take it off the draft first."
    return f"This expense is on invoice {invoice}, which has been issued. Enter the difference as a new expense."


def expense_sums(expenses: QuerySet[Expense]) -> list[tuple[str, int, Decimal]]:
    """Sum ``expenses`` by currency: its code, how many there are, and what they come to. One query."""
    rows = expenses.order_by("currency").annotate(in_cents=in_cents("amount")).values("currency")
    return [(row["currency"], row["count"], cents(row["sum"])) for row in rows.annotate(count=Count("pk"), sum=Sum("in_cents"))]
