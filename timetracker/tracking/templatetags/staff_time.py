"""How the team's pages show time and what it comes to; the clock in the page (``static/staff.js``) writes the same."""

from __future__ import annotations

from typing import Any

from django import template

from timetracker.billing.templatetags.money import amount
from timetracker.billing.totals import cents
from timetracker.tracking.hours_text import hours_said
from timetracker.tracking.models import TimeEntry

__all__ = ["amount_of", "before", "clock", "hours", "since"]

register = template.Library()


@register.filter
def hours(seconds: int) -> str:
    """Return hours and minutes such as ``1:30``."""
    return hours_said(seconds)


@register.filter
def clock(seconds: int) -> str:
    """Return hours, minutes and seconds such as ``1:30:05``."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


@register.filter
def amount_of(entry: Any) -> str:
    """Return what an entry comes to, as ``with_amounts`` has read it; a dash where it has no rate or is not billable."""
    return "–" if entry.amount_cents is None else amount(cents(entry.amount_cents), entry.rate_currency)


@register.filter
def since(entry: TimeEntry) -> int:
    """Return from when on the clock of a running entry counts, in milliseconds since 1970: its break is left out."""
    return int(entry.started_at.timestamp()) * 1000 + 1000 * entry.break_seconds


@register.filter
def before(now_ms: int, seconds: int) -> int:
    """Return from when on a sum that grows would have counted, in milliseconds since 1970."""
    return now_ms - 1000 * seconds
