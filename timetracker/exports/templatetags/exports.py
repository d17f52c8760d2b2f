"""The section of a page in which a person takes data with her."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import MONEY
from timetracker.exports.access import exports_of, may_export
from timetracker.exports.models import KEPT_FOR, Export
from timetracker.progress import progress_of

__all__ = ["export_section", "section_context"]

register = template.Library()


@register.inclusion_tag("staff/export_section.html", takes_context=True)
def export_section(context: dict[str, Any], scope: str, place: str = "import_export") -> dict[str, Any]:
    """``{% export_section "own" "account" %}``: nothing for whom it is not. ``place`` names the page, ``account`` or ``import_export``."""
    return section_context(context["request"].user, scope, place)


def section_context(user: User, scope: str, place: str) -> dict[str, Any]:
    """Return what the section's template knows: ``export`` is the latest one that has not expired."""
    if not may_export(user, scope):
        return {"may": False}
    export = exports_of(user).filter(scope=scope, expires_at__gt=timezone.now()).first()
    return {
        "may": True,
        "scope": scope,
        "export": export,
        "progress": progress_of(export.token.hex) if export and export.state == Export.State.MAKING else None,
        "States": Export.State,
        "money": user.has_perm(MONEY),
        "days": KEPT_FOR.days,
        "at": f"?at={place}",
        "page": reverse(f"staff:{place}"),
    }
