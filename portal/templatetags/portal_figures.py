"""How the portal writes hours and money."""

from __future__ import annotations

from pathlib import PurePosixPath

from django import template

from portal.figures import invoice_state
from timetracker.billing.templatetags.money import amount, of_cents

__all__ = ["amount", "file_kind", "hours", "of_cents"]

register = template.Library()
register.filter(amount)
register.filter(of_cents)
register.filter("state", invoice_state)


@register.filter
def hours(seconds: float) -> str:
    """Return hours and minutes, without the seconds left over, as on the team's pages: ``1,212:05``."""
    minutes = int(seconds) // 60
    return f"{minutes // 60:,}:{minutes % 60:02d}"


@register.filter
def file_kind(name: str) -> str:
    """Return the ending of a file's name in capitals: ``PDF``."""
    return PurePosixPath(name).suffix.removeprefix(".").upper() or "File"
