"""What the pages about time say when an entry was written, or was not."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError

from timetracker.accounts.access import TeamRequest
from timetracker.tracking.entries import entry_warnings
from timetracker.tracking.hours_text import hours_said
from timetracker.tracking.models import TimeEntry

__all__ = ["say_done", "say_refused", "worked_said"]


def say_done(request: TeamRequest, sentence: str, entry: TimeEntry) -> None:
    """Say what was done, and what should be known of the entry."""
    messages.success(request, sentence)
    for warning in entry_warnings(entry):
        messages.warning(request, warning)


def say_refused(request: TeamRequest, error: ValidationError) -> None:
    """Say why nothing was done."""
    for sentence in error.messages:
        messages.error(request, sentence)


def worked_said(entry: TimeEntry) -> str:
    """Return the time worked, as hours and minutes."""
    return hours_said(int(entry.worked.total_seconds()))
