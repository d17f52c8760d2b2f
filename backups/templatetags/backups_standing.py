"""How the backups stand, for pages that are not of this app: the index of the admin."""

from __future__ import annotations

from typing import Any

from django import template

from backups.pages.reader import in_readers_zone
from backups.services.standing import standing

register = template.Library()


@register.inclusion_tag("backups/banner_index.html", takes_context=True)
def standing_banner(context: dict[str, Any]) -> dict[str, Any]:
    """The banner, for whoever may see the backups, where it is amber or red: nothing else calls anybody to the backups."""
    request = context["request"]
    user = request.user
    if not user.has_perm("backups.view_backup"):
        return {"standing": None}
    with in_readers_zone(request):
        found = standing()
    return {"standing": found if found.level != "green" else None, "may_create": user.has_perm("backups.add_backup")}
