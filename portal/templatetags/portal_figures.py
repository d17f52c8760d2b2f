"""How the portal writes hours and money."""

from __future__ import annotations

from decimal import Decimal
from pathlib import PurePosixPath

from django import template

from timetracker.billing.templatetags.money import amount, of_cents

__all__ = ["amount", "file_kind", "hours", "of_cents", "percent_of"]

register = template.Library()
register.filter(amount)
register.filter(of_cents)


@register.filter
def hours(seconds: float) -> str:
    """Return hours and minutes, rounded to the nearest minute: ``12:05``."""
    minutes = round(seconds / 60)
    return f"{minutes // 60:,}:{minutes % 60:02d}"


@register.filter
def percent_of(seconds: float, budget_hours: Decimal) -> int:
    """Return how much of a budget of hours is used, in whole percent; all of it where the budget is zero."""
    return round(seconds / 36 / float(budget_hours)) if budget_hours else 100


@register.filter
def file_kind(name: str) -> str:
    """Return the ending of a file's name in capitals: ``PDF``."""
    return PurePosixPath(name).suffix.removeprefix(".").upper() or "File"
