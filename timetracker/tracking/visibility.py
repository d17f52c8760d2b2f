"""Which time entries a person sees, and which she may change."""

from __future__ import annotations

from django.db.models import QuerySet

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.tracking.models import TimeEntry

__all__ = ["entries_seen_by", "entries_to_change_by"]


def entries_seen_by(user: User) -> QuerySet[TimeEntry]:
    """Return her own entries, or those of everybody where she may see them."""
    entries = TimeEntry.objects.all()
    return entries if user.has_perm(ALL_ENTRIES) else entries.filter(user=user)


def entries_to_change_by(user: User) -> QuerySet[TimeEntry]:
    """Return what she may change of the entries that she sees: none that is on an invoice, or that runs."""
    if not user.has_perm("tracking.change_timeentry"):
        return TimeEntry.objects.none()
    return entries_seen_by(user).filter(invoice_item=None, ended_at__isnull=False)
