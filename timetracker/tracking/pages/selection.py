"""Many entries changed or deleted at once: those that were ticked, or all that the filter finds; all of them or none.

The address says which, so the page that asks for confirmation can be loaded again. It tells how many there are and which are in
the way, and what it has told is what is changed: where the entries are others by then, nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.models import User
from timetracker.careful_forms import go_on
from timetracker.lists import id_of
from timetracker.tracking.entries import EntryRefused, entries_change, entries_delete
from timetracker.tracking.models import TAKES_TIME, Project, TimeEntry
from timetracker.tracking.pages.entries import list_address
from timetracker.tracking.pages.entry_filter import EntryFilter
from timetracker.tracking.pages.entry_list import shown_entries
from timetracker.tracking.sums import time_total
from timetracker.tracking.visibility import entries_seen_by

__all__ = ["ChangeForm", "Selection", "change_many", "delete_many", "selection_of"]

# So many of those in the way are named.
_NAMED = 20


@dataclass(frozen=True)
class Selection:
    """The entries that are meant, how many they are, how many of them are billed, and how many were meant but are not there.

    ``mark`` is another one when they are other entries. ``is_all``: whatever the filter finds is meant.
    """

    entries: QuerySet[TimeEntry]
    is_all: bool
    count: int
    billed: int
    missing: int
    mark: str


class ChangeForm(forms.Form):
    """What becomes of many entries; what is left empty stays as it is."""

    project = forms.ModelChoiceField(Project.objects.none(), required=False)
    billable = forms.ChoiceField(required=False, choices=[("", "As it is"), ("yes", "Billable"), ("no", "Not billable")])
    tag = forms.CharField(required=False, max_length=200)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer projects that take time."""
        super().__init__(*args, **kwargs)
        field = self.fields["project"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - for mypy
        field.queryset = Project.objects.filter(TAKES_TIME).select_related("client").order_by("client__name", "code")
        field.error_messages["invalid_choice"] = "This project takes no time any more. Choose another."

    def clean(self) -> dict[str, Any]:
        """Ask for one change at least."""
        asked = super().clean() or self.cleaned_data
        if not self.errors and not any(asked.values()):
            raise ValidationError("Nothing is to be changed yet. Choose a project, say whether it is billable, or write a tag.")
        return asked

    def change(self, entries: QuerySet[TimeEntry], user: User) -> int:
        """Change them. Raises EntryRefused."""
        asked = self.cleaned_data
        billable = asked["billable"] == "yes" if asked["billable"] else None
        return entries_change(entries, user=user, project=asked["project"], billable=billable, add_tag=asked["tag"])


def selection_of(request: TeamRequest) -> Selection | None:
    """Read the address: ``entry=ID`` for each, or ``all=yes`` and the filter. None where it names nothing that is understood."""
    seen = entries_seen_by(request.user)
    is_all, meant = request.GET.get("all") == "yes", 0
    if is_all:
        filters = EntryFilter(request.GET, user=request.user)
        if not filters.is_understood:
            return None
        chosen = filters.find(seen)
    else:
        numbers = {number for number in map(id_of, request.GET.getlist("entry")) if number is not None}
        if not numbers:
            return None
        chosen, meant = seen.filter(pk__in=numbers), len(numbers)
    found = chosen.order_by().aggregate(count=Count("pk"), billed=Count("pk", filter=Q(invoice_item__isnull=False)), sum=Sum("pk"))
    count = int(found["count"])
    return Selection(
        entries=chosen,
        is_all=is_all,
        count=count,
        billed=int(found["billed"]),
        missing=max(0, meant - count),
        mark=f"{count}-{int(found['sum'] or 0)}",
    )


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.change_timeentry")
def change_many(request: TeamRequest) -> HttpResponseBase:
    """Set the project, whether it is billable, or a tag."""
    form = ChangeForm(request.POST or None)

    def change(entries: QuerySet[TimeEntry]) -> int:
        return form.change(entries, request.user)

    return _answer(request, form, change, is_delete=False)


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.delete_timeentry")
def delete_many(request: TeamRequest) -> HttpResponseBase:
    """Delete them."""

    def delete(entries: QuerySet[TimeEntry]) -> int:
        return entries_delete(entries, user=request.user)

    return _answer(request, forms.Form(request.POST or None), delete, is_delete=True)


def _answer(request: TeamRequest, form: forms.Form, act: Callable[[QuerySet[TimeEntry]], int], *, is_delete: bool) -> HttpResponseBase:
    """Ask first; do it when the form comes back, and say so on the list."""
    selection = selection_of(request)
    if selection is None or not selection.count:
        words = "Tick the entries first, or choose all that are found." if selection is None else "None of these entries is there any more."
        messages.error(request, f"{words} Nothing was changed.")
        return go_on(request, list_address(request))
    if form.is_valid():
        try:
            with transaction.atomic():
                selection = selection_of(request) or selection
                if selection.mark != request.POST.get("mark"):
                    raise EntryRefused(
                        f"By now these are other entries than this page has shown: {_many(selection.count)}. "
                        "Nothing was changed. Look at what is shown now, and confirm once more.",
                        code="moved",
                    )
                done = act(selection.entries)
        except EntryRefused as error:
            for sentence in error.messages:
                form.add_error(None, sentence)
        else:
            messages.success(request, f"{_many(done)} {'deleted' if is_delete else 'changed'}.")
            return go_on(request, list_address(request))
    return render(request, "staff/selection.html", _context(request, form, selection, is_delete=is_delete))


def _context(request: TeamRequest, form: forms.Form, selection: Selection, *, is_delete: bool) -> dict[str, Any]:
    totals = time_total(selection.entries, money=False)
    billed = selection.entries.filter(invoice_item__isnull=False).select_related("user", "project", "invoice_item__invoice")
    shown = request.GET.get("found", "")
    # The same without those in the way.
    if selection.is_all:
        query = {name: value for name, value in request.GET.items() if name != "found"} | {"billed": "no"}
        others = urlencode(query)
    elif selection.billed:
        free = selection.entries.filter(invoice_item__isnull=True).order_by("pk").values_list("pk", flat=True)
        kept = [(name, value) for name, value in request.GET.items() if name not in ("entry", "found")]
        others = urlencode([*kept, *(("entry", number) for number in free)])
    else:
        others = ""
    return {
        "active": "entries",
        "form": form,
        "is_delete": is_delete,
        "selection": selection,
        "many": _many(selection.count),
        "totals": totals,
        "first": shown_entries(selection.entries, money=False, now=timezone.now()).order_by("-started_at", "-id")[:5],
        "in_the_way": billed.order_by("-started_at", "-id")[:_NAMED],
        "more_in_the_way": max(0, selection.billed - _NAMED),
        "others": others,
        "can_leave_out": 0 < selection.billed < selection.count,
        "moved_from": shown if selection.is_all and shown.isdecimal() and shown != str(selection.count) else "",
        "back": list_address(request),
    }


def _many(count: int) -> str:
    return "1 entry" if count == 1 else f"{count:,} entries"
