"""What becomes of something quick that was asked for: told at once where it is over within moments, else on the page of its progress."""

from __future__ import annotations

import time

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect

from backups.journal import Journal, journal_find
from backups.kinds import kind_word
from backups.pages.acts import own_progress
from backups.pages.place import Place

__all__ = ["ended_within", "outcome_answered"]

# Seconds that a page waits for the end, and between two looks.
PATIENCE = 3.0
POLL_SECONDS = 0.05


def ended_within(journal: Journal, seconds: float) -> Journal | None:
    """The journal of an operation that ends within ``seconds``; None for one that goes on."""
    deadline = time.monotonic() + seconds
    while True:
        now = journal_find(journal.id) or journal
        if now.is_finished:
            return now
        if time.monotonic() >= deadline:
            return None
        time.sleep(POLL_SECONDS)


def outcome_answered(request: HttpRequest, journal: Journal, *, place: Place, back: str, done: str) -> HttpResponseRedirect:
    """Lead to ``back`` with a message where the operation ends within three seconds, else to its progress.

    ``done`` is the message of success; a failure is told in its own words.
    """
    ended = ended_within(journal, PATIENCE)
    if ended is None:
        return HttpResponseRedirect(own_progress(request, journal.id, place))
    if ended.status == "done":
        messages.success(request, done)
    else:
        say = messages.info if ended.outcome == "cancelled" else messages.error
        say(request, f"{kind_word(ended.kind)}: {ended.outcome}. {ended.error}")
    return HttpResponseRedirect(back)
