"""Who may have which export."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from timetracker.accounts.models import User
from timetracker.exports.models import Export

__all__ = ["EVERYTHING", "exports_of", "may_export"]

EVERYTHING = "exports.export_everything"


def may_export(user: User | AnonymousUser, scope: str) -> bool:
    """Whether she may have such an export now: her own data as one of the team, everything by a permission of its own."""
    if not isinstance(user, User) or not user.is_active or not user.is_team:
        return False
    return scope == Export.Scope.OWN or (scope == Export.Scope.EVERYTHING and user.has_perm(EVERYTHING))


def exports_of(user: User | AnonymousUser) -> QuerySet[Export]:
    """Return what she has asked for and may still have; the latest first."""
    scopes = [scope for scope in Export.Scope.values if may_export(user, scope)]
    return Export.objects.filter(user=user.pk, scope__in=scopes) if scopes else Export.objects.none()
