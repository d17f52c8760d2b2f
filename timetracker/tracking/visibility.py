"""Which time entries a person sees. What she may change of them, :mod:`timetracker.tracking.entries` says."""

from __future__ import annotations

from django.db.models import QuerySet

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.tracking.models import TimeEntry

__all__ = ["entries_seen_by"]


def entries_seen_by(user: User) -> QuerySet[TimeEntry]:
    """Return her own entries, or those of everybody where she may see them."""
    entries = TimeEntry.objects.all()
    return entries if user.has_perm(ALL_ENTRIES) else entries.filter(user=user)
