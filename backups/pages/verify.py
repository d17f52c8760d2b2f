"""Looking at what the store holds: every byte of one archive, or which archives there are."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern
from django.views.decorators.http import require_POST

from backups.pages.acts import act_record, asker
from backups.pages.ask import task_request
from backups.pages.outcome import outcome_answered
from backups.pages.place import Place, may, page_path

__all__ = ["urls"]


def urls(place: Place) -> list[URLPattern]:
    """The buttons of the list and of an archive's page."""
    return [
        page_path(place, "archives/<archive:archive>/verify/", verify, "verify"),
        page_path(place, "reconcile/", reconcile, "reconcile"),
    ]


@require_POST
def verify(request: HttpRequest, *, archive: str, place: Place) -> HttpResponseRedirect:
    """Have every byte of the archive read back."""
    may(request, "change")
    act_record(request, "verify", archive=archive)
    journal = task_request("verify", archive=archive, requested_by=asker(request))
    done = f"{archive} is whole: every byte is as it was when it was made."
    return outcome_answered(request, journal, place=place, back=place.url("archive", archive), done=done)


@require_POST
def reconcile(request: HttpRequest, *, place: Place) -> HttpResponse:
    """Make the list agree with the store: archives that somebody has brought or removed by hand."""
    may(request, "change")
    act_record(request, "reconcile")
    journal = task_request("reconcile", requested_by=asker(request))
    done = "The list agrees with the store."
    return outcome_answered(request, journal, place=place, back=place.url("backup_changelist"), done=done)
