"""Deleting archives: what goes and what must stay, a question, the password, and one request to the workers for each."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern
from django.views.decorators.http import require_http_methods

from backups.journal import Journal
from backups.models import Backup
from backups.origin import why_made
from backups.pages.acts import act_record, asker
from backups.pages.ask import one_by_one, task_request
from backups.pages.confirm import password_asked
from backups.pages.outcome import PATIENCE, ended_within, outcome_answered
from backups.pages.place import Place, may, page_path, way_back
from backups.pages.reader import in_readers_zone
from backups.preflight import size_human
from backups.services.delete import deletions_refused
from backups.storage import archive_store, is_archive_name

__all__ = ["urls"]

# So many at a time: the requests wait in line, and those that wait too long are given up (BACKUPS_QUEUE_MINUTES).
MOST_AT_ONCE = 50


def urls(place: Place) -> list[URLPattern]:
    """The pages of this module."""
    return [
        page_path(place, "archives/delete/", delete_several, "delete-several"),
        page_path(place, "archives/<archive:archive>/delete/", delete, "delete"),
    ]


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, *, place: Place, archive: str) -> HttpResponse:
    """The question (GET), and the deletion of one archive (POST)."""
    may(request, "delete")
    if not Backup.objects.filter(name=archive).exists() and not archive_store().exists(archive):
        raise Http404(f"There is no archive {archive}.")
    return _answered(request, place, [archive])


@require_http_methods(["GET", "HEAD", "POST"])
def delete_several(request: HttpRequest, *, place: Place) -> HttpResponse:
    """The same for every ``archive`` that is named, in the query (GET) or in the form (POST)."""
    may(request, "delete")
    given = request.POST if request.method == "POST" else request.GET
    names = [name for name in dict.fromkeys(given.getlist("archive")) if is_archive_name(name)]
    if not 1 <= len(names) <= MOST_AT_ONCE:
        messages.warning(request, f"Choose archives to delete, at most {MOST_AT_ONCE} at a time.")
        return HttpResponseRedirect(way_back(request))
    return _answered(request, place, names)


def _answered(request: HttpRequest, place: Place, names: Sequence[str]) -> HttpResponse:
    refused = deletions_refused(names)
    going = [name for name in names if name not in refused]
    if request.method != "POST" or not going:
        return _question(request, place, names, refused)
    asked = password_asked(
        request,
        place=place,
        title=f"Delete {going[0]}" if len(going) == 1 else f"Delete {len(going)} archives",
        sentences=(*([", ".join(going) + "."] if len(going) > 1 else []), *refused.values(), "What is deleted cannot be brought back."),
        button="Delete",
        danger=True,
        back=way_back(request),
    )
    if asked:
        return asked
    for reason in refused.values():
        messages.warning(request, reason)
    return _outcome(request, place, one_by_one(going, lambda name: _requested(request, name)))


def _question(request: HttpRequest, place: Place, names: Sequence[str], refused: dict[str, str]) -> HttpResponse:
    rows = {row.name: row for row in Backup.objects.filter(name__in=names)}
    going = [name for name in names if name not in refused]
    with in_readers_zone(request):
        context = {
            **place.context(request),
            "title": "Delete" if len(names) > 1 else f"Delete {names[0]}",
            "going": [(name, _facts(rows.get(name))) for name in going],
            "backups": [rows[name] for name in going if name in rows],
            "refused": list(refused.values()),
            "bytes": size_human(sum(rows[name].size for name in going if name in rows)),
            "list": way_back(request),
        }
        return render(request, "backups/delete.html", context, status=200 if going else 409)


def _facts(row: Backup | None) -> str:
    if row is None:
        return "not in the catalogue: it cannot be read"
    why = why_made(row.trigger, is_uploaded=row.is_uploaded)
    return ", ".join(filter(None, [size_human(row.size), why, row.note, row.problem and "damaged"]))


def _requested(request: HttpRequest, name: str) -> Journal:
    act_record(request, "delete", archive=name)
    return task_request("delete", archive=name, requested_by=asker(request))


def _outcome(request: HttpRequest, place: Place, requests: Sequence[Journal]) -> HttpResponseRedirect:
    if len(requests) == 1:
        return outcome_answered(
            request, requests[0], place=place, back=way_back(request), done=f"The archive {requests[0].archive} is deleted."
        )
    deadline = time.monotonic() + PATIENCE
    ended = [ended_within(journal, deadline - time.monotonic()) for journal in requests]
    if done := sum(journal is not None and journal.status == "done" for journal in ended):
        messages.success(request, f"{done} archive{'' if done == 1 else 's'} deleted.")
    for journal in ended:
        if journal is not None and journal.status != "done":
            say = messages.info if journal.outcome == "cancelled" else messages.error
            say(request, f"The archive {journal.archive} is not deleted. {journal.error}")
    if waiting := ended.count(None):
        messages.info(request, f"{waiting} more {'goes' if waiting == 1 else 'go'} as soon as it is their turn.")
    return HttpResponseRedirect(way_back(request))
