"""How the pages of an import write numbers."""

from __future__ import annotations

from django import template

from timetracker.imports.models import Import

__all__ = ["rows_said", "thousands"]

register = template.Library()

_NOUNS = {
    Import.Kind.TIME: ("time entry", "time entries"),
    Import.Kind.CLIENTS: ("client", "clients"),
    Import.Kind.PROJECTS: ("project", "projects"),
    Import.Kind.DATA: ("row", "rows"),
}


@register.filter
def thousands(number: float) -> str:
    """Return a whole number such as ``1,234``."""
    return f"{number:,.0f}"


@register.filter
def rows_said(number: int, kind: str) -> str:
    """Return ``1 client`` or ``1,234 clients``."""
    return f"{number:,} {_NOUNS[Import.Kind(kind)][number != 1]}"
