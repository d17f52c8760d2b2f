"""How pages write money."""

from __future__ import annotations

from decimal import Decimal

from django import template

from timetracker.billing import totals

__all__ = ["amount", "money", "of_cents"]

register = template.Library()


@register.filter
def money(value: Decimal) -> str:
    """Return an amount whose currency stands elsewhere, as at the head of a column: ``1,234.50``."""
    return f"{value:,.2f}"


@register.filter
def amount(value: Decimal, currency: str) -> str:
    """Return an amount with its currency, which no line break parts from it: ``1,234.50 EUR``."""
    return f"{money(value)}\N{NO-BREAK SPACE}{currency}"


@register.filter
def of_cents(value: int | Decimal) -> Decimal:
    """Return the amount of so many hundredths."""
    return totals.cents(value)
