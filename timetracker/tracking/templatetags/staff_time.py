"""How the team's pages show time and money; the clock in the page (``static/staff.js``) writes the same."""

from __future__ import annotations

from decimal import Decimal

from django import template

from timetracker.tracking.hours_text import hours_said
from timetracker.tracking.models import TimeEntry

__all__ = ["before", "clock", "hours", "money", "since"]

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
def money(amount: Decimal) -> str:
    """Return an amount such as ``1,234.50``."""
    return f"{amount:,.2f}"


@register.filter
def since(entry: TimeEntry) -> int:
    """Return from when on the clock of a running entry counts, in milliseconds since 1970: its break is left out."""
    return int(entry.started_at.timestamp()) * 1000 + 1000 * entry.break_seconds


@register.filter
def before(now_ms: int, seconds: int) -> int:
    """Return from when on a sum that grows would have counted, in milliseconds since 1970."""
    return now_ms - 1000 * seconds
