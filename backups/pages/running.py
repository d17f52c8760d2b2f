"""What is at work just now, for everybody who looks at the list: from journals and signs of life, the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.views.decorators.http import require_safe

from backups.exceptions import BackupError
from backups.journal import Journal, journal_load_all
from backups.kinds import kind_word
from backups.links import cancel_link, progress_link
from backups.operation_words import Way, watched_words, ways_on
from backups.pages.acts import asker
from backups.pages.place import Place, View, may, page_path
from backups.times import duration_human
from backups.watch import Watched, watch_read

__all__ = ["AtWork", "running_context", "urls"]

# Whoever may begin an operation may end it.
RIGHTS = {
    "create": "add",
    "upload": "add",
    "preview": "restore",
    "restore": "restore",
    "undo": "restore",
    "verify": "change",
    "reconcile": "change",
    "delete": "delete",
    "prune": "delete",
}
# The end of an operation is told for so long.
TOLD = timedelta(minutes=30)
LOG_LINES = 3


@dataclass(frozen=True)
class AtWork:
    """An operation that waits or runs, in words, and where it can be followed; ``cancel`` is empty for who may not."""

    watched: Watched
    words: dict[str, str]
    progress: str
    cancel: str

    @property
    def log(self) -> list[str]:
        """The last lines of its log."""
        return self.watched.log[-LOG_LINES:]


@dataclass(frozen=True)
class Ended:
    """The operation that ended last, and where to go on from it."""

    journal: Journal
    title: str
    duration: str
    ways: list[Way]


def urls(place: Place) -> list[URLPattern]:
    """The part of the list that is asked for again and again."""
    mounted = page_path(place, "running/", running, "running")
    return [URLPattern(mounted.pattern, _with_login_told(mounted.callback, place), name=mounted.name)]


def _with_login_told(guarded: View, place: Place) -> View:
    """Say to a part of a page that its reader is logged out: a whole login page has no place in it."""

    @wraps(guarded)
    def told(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.headers.get("HX-Request") == "true" and not request.user.is_authenticated:
            return TemplateResponse(request, "backups/running_logged_out.html", {"back": place.url("backup_changelist")})
        return guarded(request, *args, **kwargs)

    return told


@require_safe
def running(request: HttpRequest, *, place: Place) -> HttpResponse:
    """The operations at work, as a part of a page. When one of those ends that the page knows, it is asked to load itself anew."""
    may(request, "view")
    context = running_context(request, place)
    response = TemplateResponse(request, "backups/running.html", context)
    known = set(filter(None, request.GET.get("known", "").split(",")))
    if known - {at_work.watched.operation for at_work in context["at_work"]}:
        response.headers["HX-Refresh"] = "true"
    return response


def running_context(request: HttpRequest, place: Place) -> dict[str, Any]:
    """What the template ``backups/running.html`` needs; no query but for the asking user's rights. Never raises."""
    try:
        journals = journal_load_all()
    except BackupError as error:
        return {"at_work": [], "running_fault": error.message, "running_url": place.url("running")}
    unfinished = [watched for journal in journals if not journal.is_finished and (watched := watch_read(journal.id))]
    at_work = [_at_work(request, watched, place) for watched in unfinished if not watched.is_finished]
    known = ",".join(one.watched.operation for one in at_work)
    url = f"{place.url('running')}?known={known}" if known else place.url("running")
    ended = None if at_work else _ended(journals, place, may_download=request.user.has_perm("backups.download_backup"))
    return {"at_work": at_work, "ended": ended, "running_url": url}


def _at_work(request: HttpRequest, watched: Watched, place: Place) -> AtWork:
    may_end = request.user.has_perm(f"backups.{RIGHTS.get(watched.kind, 'delete')}_backup")
    return AtWork(
        watched=watched,
        words=watched_words(watched),
        progress=progress_link(watched.operation, may_cancel=may_end, account=asker(request), place=place.name),
        cancel=cancel_link(watched.operation, account=asker(request)) if may_end and not watched.cancelled_by else "",
    )


def _ended(journals: list[Journal], place: Place, *, may_download: bool) -> Ended | None:
    """The last operation, where it ended a little while ago; pruning that went well is no news."""
    ended = [journal for journal in journals if journal.ended_at and not (journal.kind == "prune" and journal.status == "done")]
    if not ended:
        return None
    last = max(ended, key=lambda journal: journal.ended_at)
    until = datetime.fromisoformat(last.ended_at)
    watched = watch_read(last.id)
    if watched is None or datetime.now(UTC) - until > TOLD:
        return None
    began = watched.started_at or watched.created_at or until
    ways = ways_on(watched, place.name, is_logged_in=True, may_download=may_download)
    # The list itself is where they are told of.
    ways = [way for way in ways if way.path != place.url("backup_changelist")]
    return Ended(last, kind_word(last.kind), duration_human(until - began), ways)
