"""Today: the timer, the day's entries, and the week against its target.

Each form posts and leads back here; htmx gets the parts of the page instead. A time entry is always one's own here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from backups.gate import gate_read
from timetracker.accounts.access import TeamRequest, team_page
from timetracker.lists import id_of
from timetracker.tracking.days import today_in, zone_of
from timetracker.tracking.entries import EntryRefused, entry_delete, entry_refusal
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.pages.day_sheet import DaySheet, day_sheet, forgotten_because
from timetracker.tracking.pages.forms import EntryForm, MomentForm, StartForm
from timetracker.tracking.pages.outcomes import say_done, say_refused, worked_said
from timetracker.tracking.pages.work import work_groups, work_options
from timetracker.tracking.timer import TimerMoved, TimerRefused, running_for, timer_discard, timer_shift, timer_start, timer_stop

__all__ = ["again", "clock", "delete", "discard", "entry", "shift", "start", "stop", "today"]


@require_safe
@team_page()
def today(request: TeamRequest) -> HttpResponse:
    """The page; ``?edit=ID`` opens one of the day's entries."""
    return _page(request, edit=id_of(request.GET.get("edit")))


@require_safe
@team_page()
def clock(request: TeamRequest) -> JsonResponse:
    """The server's time in milliseconds, and what a page that stays open is compared with: her day, which timer runs, and whether
    it looks forgotten. During a restore the timer is not looked for, and nothing is compared."""
    now, zone = timezone.now(), zone_of(request.user)
    answer: dict[str, Any] = {"now": int(now.timestamp() * 1000)}
    if not gate_read().operation:
        running = running_for(request.user)
        forgotten = running is not None and bool(forgotten_because(running, now, zone))
        answer |= {"day": today_in(zone, now).isoformat(), "running": running.pk if running else None, "forgotten": forgotten}
    return JsonResponse(answer)


# --- the timer --------------------------------------------------------------------------------------------------------


@require_POST
@team_page("tracking.add_timeentry")
def start(request: TeamRequest) -> HttpResponse:
    """Start the timer; what runs ends. With a time, book that instead."""
    now = timezone.now()
    form = StartForm(request.POST, user=request.user, zone=zone_of(request.user), now=now)
    if not form.is_valid():
        return _page(request, form=form)
    work = form.cleaned_data["work"]
    if form.entry is not None:
        booked = form.save()
        if booked is None:
            return _page(request, form=form)
        say_done(request, f"{worked_said(booked)} booked on {work}.", booked)
        return _done(request)
    before = running_for(request.user)
    try:
        timer_start(request.user, project=work.project, task=work.task, notes=form.cleaned_data["notes"])
    except TimerRefused as error:
        form.add_error(None, ValidationError(error.messages))
        return _page(request, form=form)
    if before is not None:
        messages.success(request, f"Switched from {before.project} to {work}.")
    return _done(request)


@require_POST
@team_page()
def stop(request: TeamRequest) -> HttpResponse:
    """Stop the timer that the page has shown, now or at the time that is given."""
    form, ended_at = None, None
    if "day" in request.POST:
        form = MomentForm(request.POST, zone=zone_of(request.user))
        if not form.is_valid():
            return _page(request, ending=form)
        ended_at = form.moment()

    def change(entry_id: int) -> None:
        stopped = timer_stop(request.user, entry_id=entry_id, ended_at=ended_at)
        if stopped is None:
            messages.info(request, "No timer runs: it was stopped elsewhere.")
        else:
            say_done(request, f"Stopped after {worked_said(stopped)}.", stopped)

    return _change_timer(request, change, ending=form)


@require_POST
@team_page()
def discard(request: TeamRequest) -> HttpResponse:
    """Throw away the timer that the page has shown."""

    def change(entry_id: int) -> None:
        timer_discard(request.user, entry_id=entry_id)
        messages.success(request, "The timer was discarded; its time is not kept.")

    return _change_timer(request, change)


@require_POST
@team_page()
def shift(request: TeamRequest) -> HttpResponse:
    """Set when the timer that the page has shown began."""
    form = MomentForm(request.POST, zone=zone_of(request.user))
    if not form.is_valid():
        return _page(request, shifting=form)

    def change(entry_id: int) -> None:
        shifted = timer_shift(request.user, entry_id=entry_id, started_at=form.moment())
        say_done(request, f"The timer counts from {form.cleaned_data['time']:%H:%M}.", shifted)

    return _change_timer(request, change, shifting=form)


def _change_timer(
    request: TeamRequest, change: Callable[[int], None], *, shifting: MomentForm | None = None, ending: MomentForm | None = None
) -> HttpResponse:
    """Change the timer whose id was posted. A refusal is said beside the form, with what was typed; without a form, above the page."""
    entry_id = id_of(request.POST.get("entry"))
    if entry_id is None:
        raise Http404("No timer is named.")
    form = shifting or ending
    try:
        change(entry_id)
    except TimerMoved as error:
        say_refused(request, error)
    except TimerRefused as error:
        if form is not None:
            form.add_error("time", ValidationError(error.messages))
            return _page(request, shifting=shifting, ending=ending)
        say_refused(request, error)
    return _done(request)


# --- entries ----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.change_timeentry")
def entry(request: TeamRequest, pk: int) -> HttpResponse:
    """Change an entry."""
    if request.method != "POST":
        return redirect(f"{reverse('staff:today')}?edit={pk}")
    form = EntryForm(request.POST, entry=_own(request, pk), user=request.user)
    saved = form.save() if form.is_valid() else None
    if saved is None:
        return _page(request, editing=form)
    say_done(request, "Saved.", saved)
    return _done(request, focus=pk)


@require_POST
@team_page("tracking.delete_timeentry")
def delete(request: TeamRequest, pk: int) -> HttpResponse:
    """Delete an entry."""
    found = _own(request, pk)
    try:
        entry_delete(found, user=request.user)
    except EntryRefused as error:
        say_refused(request, error)
    else:
        messages.success(request, f"{worked_said(found)} on {found.project} deleted.")
    return _done(request)


@require_POST
@team_page("tracking.add_timeentry")
def again(request: TeamRequest, pk: int) -> HttpResponse:
    """Start the timer on what an entry was about."""
    found = _own(request, pk)
    try:
        timer_start(request.user, project=found.project, task=found.task, notes=found.notes, tags=found.tags)
    except TimerRefused as error:
        say_refused(request, error)
    return _done(request)


def _own(request: TeamRequest, pk: int) -> TimeEntry:
    """Her own entry that has ended. Raises Http404 for others; what else is in the way, saving says."""
    entries = TimeEntry.objects.select_related("project__client", "task", "invoice_item__invoice")
    return get_object_or_404(entries, user=request.user, pk=pk, ended_at__isnull=False)


# --- answers ----------------------------------------------------------------------------------------------------------


def _done(request: TeamRequest, *, focus: int | None = None) -> HttpResponse:
    """Show the page as it is now."""
    return _page(request, focus=focus) if request.htmx else redirect("staff:today")


def _page(
    request: TeamRequest,
    *,
    form: StartForm | None = None,
    editing: EntryForm | None = None,
    shifting: MomentForm | None = None,
    ending: MomentForm | None = None,
    edit: int | None = None,
    focus: int | None = None,
) -> HttpResponse:
    """The page or, for htmx, its parts; forms are those that were refused, ``edit`` is the entry to open, ``focus`` where to go on."""
    now = timezone.now()
    sheet = day_sheet(request.user, now)
    if editing is None and edit is not None:
        found = next((each for each in sheet.entries if each.pk == edit), None)
        if found is not None and not entry_refusal(found, request.user):
            editing = EntryForm(entry=found, user=request.user)
    elif editing is not None and all(each.pk != editing.entry.pk for each in sheet.entries):
        # The day is over, or the entry has been moved to another one: the form stays, with what was typed.
        sheet.entries.append(editing.entry)
    form = form or StartForm(user=request.user, zone=sheet.zone, now=now)
    groups = work_groups(request.user)
    context: dict[str, Any] = {
        "active": "today",
        "sheet": sheet,
        "form": form,
        "options": work_options(groups, form.chosen),
        "shifting": shifting or _moment_of(sheet),
        "is_shifting": shifting is not None,
        "ending": ending or _moment_of(sheet, with_time=False),
        "focus": focus,
        "is_part": bool(request.htmx),
    }
    if editing is not None:
        groups = work_groups(request.user, keep=editing.kept)
        addresses = {name: reverse(f"staff:{view}", args=[editing.entry.pk]) for name, view in (("save", "entry"), ("delete", "delete"))}
        context |= {
            "editing": editing,
            "editing_id": editing.entry.pk,
            "editing_options": work_options(groups, editing.chosen),
            "editing_at": addresses | {"cancel": reverse("staff:today")},
        }
    return render(request, "staff/today_parts.html" if request.htmx else "staff/today.html", context)


def _moment_of(sheet: DaySheet, *, with_time: bool = True) -> MomentForm:
    """A form that begins with the start of the running timer: its day, and its time unless somebody has to say one."""
    began = (sheet.running.started_at if sheet.running else sheet.now).astimezone(sheet.zone)
    return MomentForm(zone=sheet.zone, initial={"day": began.date(), "time": began.time() if with_time else None})
