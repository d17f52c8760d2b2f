"""Making a backup: what is to be in it, what it will cost, and the request to the workers."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern
from django.views.decorators.http import require_http_methods

from backups.exceptions import BackupError
from backups.pages.acts import act_record, asker, own_progress
from backups.pages.ask import task_request
from backups.pages.place import Place, may, page_path
from backups.pages.running import running_context
from backups.services.estimates import create_estimate

__all__ = ["CreateForm", "urls"]

MOST_NOTE = 2000


class CreateForm(forms.Form):
    """What a person decides about a backup."""

    uploads = forms.TypedChoiceField(
        label="Contents",
        choices=[("yes", "Database, settings and uploads"), ("no", "Database and settings alone")],
        coerce=lambda value: value == "yes",
        initial="yes",
        widget=forms.RadioSelect,
    )
    note = forms.CharField(
        max_length=MOST_NOTE,
        required=False,
        strip=True,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What you want to know of it later. It stays with the archive.",
    )
    pin = forms.BooleanField(required=False, label="Pin it", help_text="Nobody can delete a pinned archive before it is unpinned.")
    gentle = forms.BooleanField(
        required=False,
        label="Make it gently",
        help_text="At a low priority, as schedules do: it may take longer, and visitors notice less of it.",
    )


def urls(place: Place) -> list[URLPattern]:
    """The page stands where the admin would have its form for a new row."""
    return [page_path(place, "add/", create, "backup_add")]


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest, *, place: Place) -> HttpResponse:
    """The form with what either choice would cost; with POST the request, and on to its progress."""
    may(request, "add")
    form = CreateForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return _page(request, place, form)
    asked: dict[str, Any] = form.cleaned_data
    detail = "with uploads" if asked["uploads"] else "without uploads"
    try:
        act_record(request, "create", detail=f"{detail}, pinned" if asked["pin"] else detail)
        arguments = {"trigger": "manual", **asked}
        journal = task_request("create", arguments=arguments, requested_by=asker(request))
    except BackupError as error:
        # Here and not on a page of its own: what was typed stays.
        return _page(request, place, form, error)
    return HttpResponseRedirect(own_progress(request, journal.id, place))


def _page(request: HttpRequest, place: Place, form: CreateForm, error: BackupError | None = None) -> HttpResponse:
    choices = [(choice, create_estimate(uploads=choice.data["value"] == "yes")) for choice in form["uploads"]]
    context = {
        **place.context(request),
        "title": "Create a backup",
        "form": form,
        "choices": choices,
        "at_work": running_context(request, place)["at_work"],
        "error": error,
        "back": place.url("backup_changelist"),
    }
    return render(request, "backups/create.html", context, status=409 if error else 200)
