"""How pages about time write amounts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template

from timetracker.billing.totals import cents

__all__ = ["amount_of", "in_currency"]

register = template.Library()


@register.filter
def in_currency(amount: Decimal, currency: str) -> str:
    """Return an amount with its currency, which no line break parts from it: ``1,234.50 EUR``."""
    return f"{amount:,.2f}\N{NO-BREAK SPACE}{currency}"


@register.filter
def amount_of(entry: Any) -> str:
    """Return what an entry comes to, as ``with_amounts`` has read it; a dash where it has no rate or is not billable."""
    return "–" if entry.amount_cents is None else in_currency(cents(entry.amount_cents), entry.rate_currency)
