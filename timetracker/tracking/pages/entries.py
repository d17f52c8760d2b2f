"""Entries: all the time that one sees, filtered, added up, and changed one by one.

The filter is in the address. Forms carry it in theirs, and lead back to the same list; htmx gets the parts of the page instead.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseClientRedirect, push_url, reselect, reswap, retarget

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.roles import ALL_ENTRIES, MONEY
from timetracker.careful_forms import FIRST_DAY, LAST_DAY
from timetracker.csv_text import csv_answer
from timetracker.tracking.days import today_in, zone_of
from timetracker.tracking.entries import EntryRefused, entry_delete, entry_duplicate, entry_refusal
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.pages.entry_csv import entry_columns, entry_rows
from timetracker.tracking.pages.entry_filter import EntryFilter
from timetracker.tracking.pages.entry_list import PAGE, EntryPage, entry_page
from timetracker.tracking.pages.forms import CopyForm, DatedEntryForm, EntryFields, NewEntryForm
from timetracker.tracking.pages.outcomes import say_done, say_refused, worked_said
from timetracker.tracking.pages.sums_later import sums_follow
from timetracker.tracking.pages.work import work_groups, work_options
from timetracker.tracking.sums import TimeSums, time_total
from timetracker.tracking.visibility import entries_seen_by

__all__ = ["add", "copy", "download", "edit", "entries", "list_address", "remove"]

# So many entries are added up within the page; more of them when somebody asks, or by htmx when the page is there.
AT_ONCE = 20_000
# What belongs to the list in an address that leads back to it.
_PLACES = ("older", "newer")
# The elements that hold the list, and a form on a page of its own.
_LIST, _PAGE = "entries-page", "entry-page"


# --- the list ---------------------------------------------------------------------------------------------------------


@require_safe
@team_page()
def entries(request: TeamRequest) -> HttpResponse:
    """The list; ``older`` and ``newer`` are places in it, ``sums=yes`` adds up however much there is."""
    return _list(request)


@require_safe
@team_page()
def download(request: TeamRequest) -> HttpResponseBase:
    """All that is found, as CSV."""
    filters = EntryFilter(request.GET, user=request.user)
    if not filters.is_understood:
        return redirect(list_address(request))
    found, money = filters.find(entries_seen_by(request.user)), request.user.has_perm(MONEY)
    first, last = filters.dates.first, filters.dates.last
    days = f"{first or 'begin'}_{last or filters.today}" if first or last else f"all_{filters.today}"
    rows = entry_rows(found, money=money, zone=filters.zone, now=timezone.now())
    return csv_answer(f"entries_{days}.csv", entry_columns(money=money), rows)


def list_address(request: TeamRequest) -> str:
    """The list that this request came from, by the filter in its address."""
    names = (*EntryFilter.base_fields, *_PLACES)
    query = urlencode({name: value for name in names if (value := request.GET.get(name))})
    return f"{reverse('staff:entries')}?{query}" if query else reverse("staff:entries")


def _list(request: TeamRequest, *, focus: int | None = None) -> HttpResponse:
    """The list or, for htmx, its parts."""
    now = timezone.now()
    filters = EntryFilter(request.GET, user=request.user)
    found = filters.find(entries_seen_by(request.user))
    money = request.user.has_perm(MONEY)
    older, newer = (request.GET.get(name, "") for name in _PLACES)
    page = entry_page(found, older=older, newer=newer, money=money, zone=filters.zone, now=now)
    is_added_up = page.is_all or not sums_follow(request, found, most=AT_ONCE)
    totals = _totals(found, page, money=money, now=now) if is_added_up else None
    # htmx asks for whole pages where somebody goes back.
    is_part = bool(request.htmx) and not request.htmx.history_restore_request
    query = filters.query
    context: dict[str, Any] = {
        "active": "entries",
        "filters": filters,
        "page": page,
        "page_size": PAGE,
        "totals": totals,
        "at_once": AT_ONCE,
        "shows_money": money,
        "columns": entry_columns(money=money),
        "tags": _tags(request),
        "query": query,
        "place_query": list_address(request).partition("?")[2],
        "focus": focus,
        "is_part": is_part,
        # What was said stays while the sums are added up.
        "is_sums": bool(request.htmx) and request.htmx.target == "totals",
        **{f"may_{action}": request.user.has_perm(f"tracking.{action}_timeentry") for action in ("add", "change", "delete")},
    }
    answer = render(request, "staff/entries_parts.html" if is_part else "staff/entries.html", context)
    if is_part and request.method == "GET" and request.htmx.target == _LIST:
        # What the form sends has empty fields; the address has none.
        push_url(answer, list_address(request) if older or newer else reverse("staff:entries") + (f"?{query}" if query else ""))
    return answer


def _totals(found: QuerySet[TimeEntry], page: EntryPage, *, money: bool, now: datetime) -> TimeSums:
    """What all that is found comes to.

    By ids, so that a database finds them first, and once only where they are all on the page: with the tables of the rates
    beside them, SQLite begins with the projects (165 ms instead of 27 where a note is looked for in 250,000 entries, measured).
    """
    entries = TimeEntry.objects.all()
    entries = entries.filter(pk__in=page.numbers) if page.is_all else entries.filter(pk__in=found.order_by().values("pk"))
    return time_total(entries, now=now, money=money)


def _tags(request: TeamRequest) -> list[str]:
    """The tags of the latest entries that she sees, to choose from."""
    latest = entries_seen_by(request.user).exclude(tags="").order_by("-started_at", "-id").values_list("tags", flat=True)[:200]
    return sorted({tag for tags in latest for tag in tags.split(", ")})


# --- one entry --------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.change_timeentry")
def edit(request: TeamRequest, pk: int) -> HttpResponse:
    """Change an entry, in its row or on a page of its own."""
    found = _seen(request, pk)
    if request.method != "POST":
        if refusal := entry_refusal(found, request.user):
            messages.error(request, refusal)
            return _done(request)
        return _form(request, "Edit an entry", DatedEntryForm(entry=found, user=request.user), entry=found)
    form = DatedEntryForm(request.POST, entry=found, user=request.user)
    saved = form.save() if form.is_valid() else None
    if saved is None:
        return _form(request, "Edit an entry", form, entry=_seen(request, pk))
    say_done(request, "Saved.", saved)
    return _done(request, focus=pk)


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.add_timeentry")
def add(request: TeamRequest) -> HttpResponse:
    """Write down time of any day; ``?day=`` proposes one."""
    if "person" in request.POST and not request.user.has_perm(ALL_ENTRIES):
        raise PermissionDenied(f"{request.user.get_username()} may not add time of others.")
    day = _day(request.GET.get("day", "")) or today_in(zone_of(request.user))
    if request.method != "POST":
        return _form(request, "New entry", NewEntryForm(user=request.user, day=day))
    form = NewEntryForm(request.POST, user=request.user, day=day)
    saved = form.save() if form.is_valid() else None
    if saved is None:
        return _form(request, "New entry", form)
    whose = "" if saved.user_id == request.user.pk else f" for {saved.user}"
    say_done(request, f"{worked_said(saved)} on {saved.project} booked{whose}, {_day_said(request, saved)}.", saved)
    return _done(request, focus=saved.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.add_timeentry")
def copy(request: TeamRequest, pk: int) -> HttpResponse:
    """Copy an entry to a day."""
    found = _seen(request, pk)
    form = CopyForm(request.POST or None, initial={"day": today_in(zone_of(request.user))})
    if form.is_valid():
        try:
            copied = entry_duplicate(found, user=request.user, day=form.cleaned_data["day"])
        except EntryRefused as error:
            form.add_error(None, error.messages)
        else:
            say_done(request, f"{worked_said(copied)} on {copied.project} copied to {_day_said(request, copied)}.", copied)
            return _done(request, focus=copied.pk)
    context = {"active": "entries", "form": form, "entry": found, "back": list_address(request)}
    return _row_or_page(request, "staff/entry_copy", context, found)


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.delete_timeentry")
def remove(request: TeamRequest, pk: int) -> HttpResponse:
    """Delete an entry, once that is confirmed."""
    found = _seen(request, pk)
    if "confirmed" not in request.POST:
        context = {"active": "entries", "entry": found, "refusal": entry_refusal(found, request.user), "back": list_address(request)}
        return _row_or_page(request, "staff/entry_delete", context, found)
    try:
        entry_delete(found, user=request.user)
    except EntryRefused as error:
        say_refused(request, error)
    else:
        messages.success(request, f"{worked_said(found)} on {found.project}, {_day_said(request, found)}, deleted.")
    return _done(request)


def _seen(request: TeamRequest, pk: int) -> Any:
    """An entry that has ended and that she sees. Raises Http404 for others; what else is in the way, saving says."""
    seen = entries_seen_by(request.user).select_related("user", "project__client", "task", "invoice_item__invoice")
    return get_object_or_404(seen, pk=pk, ended_at__isnull=False)


# --- answers ----------------------------------------------------------------------------------------------------------


def _done(request: TeamRequest, *, focus: int | None = None) -> HttpResponse:
    """Show the list as it is now."""
    address = list_address(request) + (f"#entry-{focus}" if focus else "")
    if not request.htmx:
        return redirect(address)
    if request.htmx.target == _PAGE:
        return HttpResponseClientRedirect(address)
    # The form asked for its row.
    return reswap(reselect(retarget(_list(request, focus=focus), f"#{_LIST}"), f"#{_LIST}"), "outerHTML")


def _form(request: TeamRequest, title: str, form: EntryFields, *, entry: TimeEntry | None = None) -> HttpResponse:
    groups = work_groups(request.user, keep=getattr(form, "kept", None))
    query = request.META.get("QUERY_STRING", "")
    number = [] if entry is None else [entry.pk]
    addresses = {
        "save": f"{reverse('staff:entries_edit' if number else 'staff:entries_add', args=number)}?{query}",
        "delete": f"{reverse('staff:entries_remove', args=number)}?{query}" if number else "",
        "cancel": list_address(request),
    }
    context = {
        "active": "entries",
        "title": title,
        "entry": entry,
        "editing": form,
        "editing_id": entry.pk if entry else "new",
        "editing_options": work_options(groups, form.chosen),
        "editing_at": addresses,
    }
    return _row_or_page(request, "staff/entry_edit", context, entry)


def _row_or_page(request: TeamRequest, name: str, context: dict[str, Any], entry: TimeEntry | None) -> HttpResponse:
    """A form within its row where htmx asks from the list, and on a page of its own for all others."""
    context |= {"form_template": f"{name}.html"}
    if entry is None or not request.htmx or request.htmx.target == _PAGE:
        return render(request, "staff/entry_page.html", context | {"is_page": True})
    row = f"#entry-{entry.pk}"
    return reswap(reselect(retarget(render(request, "staff/entry_row_form.html", context), row), row), "outerHTML")


def _day_said(request: TeamRequest, entry: TimeEntry) -> str:
    return f"{entry.started_at.astimezone(zone_of(request.user)):%-d %b %Y}"


def _day(text: str) -> date | None:
    """Read a day of an address; None where it is none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_DAY <= day <= LAST_DAY else None
