"""Week: the timesheet of a person, to look at and to type into.

The whole grid is one form. Its buttons save what was typed, add rows (which saves nothing, and keeps what was typed), copy the
week before, or delete an entry whose cell was emptied. Plain browsers are led back here, htmx gets the parts of the page.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES, team
from timetracker.tracking.days import day_bounds, today_in, week_of, zone_of
from timetracker.tracking.entries import future_warning, overlap_warning
from timetracker.tracking.hours_text import hours_said
from timetracker.tracking.pages.week_form import (
    FIRST_YEAR,
    LAST_YEAR,
    GridForm,
    week_address,
    week_asked,
    week_name,
    week_owner,
    weeks_beside,
)
from timetracker.tracking.pages.week_sheet import MOST_ROWS, WeekSheet, week_sheet
from timetracker.tracking.pages.week_typing import TypingResult, typed_keep, typed_save
from timetracker.tracking.pages.work import WorkField, work_groups, work_key, work_options
from timetracker.tracking.week_copy import person_locked, week_before, week_copy

__all__ = ["week"]

# How many warnings are said one by one.
_SAID = 3
_SECOND = timedelta(seconds=1)


@require_http_methods(["GET", "HEAD", "POST"])
@team_page()
def week(request: TeamRequest) -> HttpResponse:
    """The page: ``?week=2026-W12`` or a date in it, ``?person=ID`` for who may see everybody's time, ``?row=KEY`` for more rows."""
    asked = request.POST if request.method == "POST" else request.GET
    person = week_owner(asked.get("person", ""), request.user)
    now = timezone.now()
    days, complaint = week_asked(asked.get("week", "") or asked.get("date", ""), today_in(zone_of(person), now))
    # The clock times of the page are hers, too.
    with timezone.override(zone_of(person)):
        if request.method == "POST":
            if complaint:
                # A grid of another week must never be saved into this one.
                messages.error(request, complaint)
                return redirect(week_address(days, person=person, reader=request.user))
            return _Grid(request, person, days).answer(request.POST.get("do", "save"))
        if complaint:
            messages.warning(request, complaint)
        sheet = week_sheet(person, days, reader=request.user, now=now, extra=request.GET.getlist("row")[:MOST_ROWS])
        return _page(request, sheet)


class _Grid:
    """One posting of the grid."""

    def __init__(self, request: TeamRequest, person: User, days: list[date]) -> None:
        self.request, self.person, self.days = request, person, days
        self.form = GridForm.read(request.POST, days)
        action = "tracking.add_timeentry", "tracking.change_timeentry"
        if not any(map(request.user.has_perm, action)):
            raise PermissionDenied(f"{request.user.get_username()} changes no time.")

    def answer(self, button: str) -> HttpResponse:
        """Do what the button says."""
        if button == "add":
            return self._row_added()
        if button == "rows":
            return self._rows_of_week_before()
        result = self._saved()
        if button == "copy" and not result.left:
            self._copied()
        return self._done(result)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _row_added(self) -> HttpResponse:
        """One more row. Nothing is saved."""
        try:
            key = WorkField().clean(self.request.POST.get("add", "")).key
        except ValidationError as error:
            return self._shown(self.form.keys, fault=" ".join(error.messages))
        if len(self.form.keys) >= MOST_ROWS:
            return self._shown(self.form.keys, fault=f"There are {MOST_ROWS} rows already. Use the list of entries for more.")
        return self._shown([*self.form.keys, key], focus=key)

    def _rows_of_week_before(self) -> HttpResponse:
        """The rows of the week before, without their time. Nothing is saved."""
        entries = week_before(self.person, self.days[0])
        active = [work_key(entry.project_id, entry.task_id) for entry in entries if entry.project.takes_time]
        closed = [entry.project.code for entry in entries if not entry.project.takes_time]
        keys = list(dict.fromkeys([*self.form.keys, *active]))[:MOST_ROWS]
        count = len(keys) - len(self.form.keys)
        if not entries:
            messages.info(self.request, "Nothing was recorded in the week before.")
        elif count:
            messages.success(self.request, f"{_counted(count, 'row')} of the week before added. Type in the time.")
        else:
            messages.info(self.request, "All that takes time of the week before is here already.")
        if closed:
            messages.warning(self.request, f"Left out, as they take no new time: {', '.join(dict.fromkeys(closed))}.")
        return self._shown(keys)

    def _shown(self, keys: list[str], *, fault: str = "", focus: str = "") -> HttpResponse:
        """The page with these rows, and with all that was typed."""
        sheet = week_sheet(self.person, self.days, reader=self.request.user, now=timezone.now(), extra=keys)
        for sentence in typed_keep(sheet, self.form.typed):
            messages.error(self.request, sentence)
        return _page(self.request, sheet, fault=fault, focus=focus)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _saved(self) -> TypingResult:
        """Save what was typed, and say so."""
        try:
            with transaction.atomic():
                person_locked(self.person)
                sheet = week_sheet(self.person, self.days, reader=self.request.user, now=timezone.now(), extra=self.form.keys, locked=True)
                result = typed_save(sheet, self.form.typed, user=self.request.user, sure=self.form.sure)
        except IntegrityError:
            # At the end of the transaction the database looks whether projects and tasks are still there.
            gone = ValidationError("A project or task of this week was deleted at this moment, so nothing was saved. Save once more.")
            result = TypingResult(left=[(each, gone) for each in self.form.typed])
        done = [f"{_counted(result.saved, 'cell')} saved"] if result.saved else []
        done += [f"{_counted(result.deleted, 'entry', 'entries')} deleted"] if result.deleted else []
        if done:
            messages.success(self.request, f"{', '.join(done)}.")
        elif not self.form.typed:
            messages.info(self.request, "Nothing was changed.")
        for sentence in result.warnings[:_SAID]:
            messages.warning(self.request, sentence)
        if len(result.warnings) > _SAID:
            messages.warning(
                self.request, f"{_counted(len(result.warnings) - _SAID, 'more cell')}: sharing time with others, or ending in the future."
            )
        if result.left:
            are = "is" if len(result.left) == 1 else "are"
            messages.error(self.request, f"{_counted(len(result.left), 'cell')} {are} not saved. The reason is below its row.")
        return result

    def _copied(self) -> None:
        """Copy the time of the week before, and say what was left out."""
        copied = week_copy(self.person, self.days[0], user=self.request.user)
        seconds = sum(int(entry.worked.total_seconds()) for entry in copied.entries)
        if copied.entries:
            count = _counted(len(copied.entries), "entry", "entries")
            messages.success(self.request, f"{count} of the week before copied, {hours_said(seconds)} in all.")
        elif not copied.left_out:
            messages.info(self.request, "Nothing was recorded in the week before.")
        else:
            messages.warning(self.request, "Nothing was copied.")
        for sentence in copied.left_out:
            messages.warning(self.request, f"Left out: {sentence}.")
        sharing = sum(bool(overlap_warning(entry)) for entry in copied.entries)
        if sharing:
            messages.warning(self.request, f"{_counted(sharing, 'copy', 'copies')} share time with other entries. All count in full.")
        coming = sum(bool(future_warning(entry)) for entry in copied.entries)
        if coming:
            ends = "copy ends" if coming == 1 else "copies end"
            messages.warning(self.request, f"{coming} {ends} in the future. All count as worked all the same.")

    def _done(self, result: TypingResult) -> HttpResponse:
        """The page as it is now."""
        sheet = week_sheet(self.person, self.days, reader=self.request.user, now=timezone.now(), extra=self.form.keys)
        if not result.left and not self.request.htmx:
            return redirect(week_address(self.days, person=self.person, reader=self.request.user, keys=sheet.empty_keys))
        for sentence in typed_keep(sheet, [], result.left):
            messages.error(self.request, sentence)
        return _page(self.request, sheet)


# --- the page ---------------------------------------------------------------------------------------------------------


def _page(request: TeamRequest, sheet: WeekSheet, *, fault: str = "", focus: str = "") -> HttpResponse:
    """The page or, for htmx, its parts; ``fault`` is about the row to add, ``focus`` the key of one that was added."""
    reader, person, days = request.user, sheet.person, sheet.days
    before, after = weeks_beside(days)

    def address(of: list[date] | None) -> str:
        return week_address(of, person=person, reader=reader) if of else ""

    chosen = request.POST.get("add", "") if fault else ""
    context: dict[str, Any] = {
        "active": "week",
        "sheet": sheet,
        "name": week_name(days),
        "head": [(day, seconds, _entries_address(day, sheet, reader)) for day, seconds in sheet.day_sums],
        "is_own": person.pk == reader.pk,
        "is_elsewhere": zone_of(reader).key != sheet.zone.key,
        "people": _people(reader, person),
        "previous": address(before),
        "next": address(after),
        "this_week": address(week_of(sheet.today)) if sheet.today not in days else "",
        "first_day": date.fromisocalendar(FIRST_YEAR, 1, 1),
        "last_day": date(LAST_YEAR, 12, 31),
        "options": work_options(work_groups(person), chosen) if sheet.may_add else [],
        "fault": fault,
        "focus": focus,
        "most_rows": MOST_ROWS,
        "is_part": bool(request.htmx),
    }
    answer = render(request, "staff/week_parts.html" if request.htmx else "staff/week.html", context)
    if request.htmx:
        # So that a reload keeps the rows.
        answer["HX-Replace-Url"] = week_address(days, person=person, reader=reader, keys=sheet.empty_keys)
    return answer


def _people(reader: User, person: User) -> list[User]:
    """Whose week she may look at; nobody's but her own where there is no choice."""
    if not reader.has_perm(ALL_ENTRIES):
        return []
    return [each for each in team().prefetch_related(None) if each.is_active or each.pk == person.pk]


def _entries_address(day: date, sheet: WeekSheet, reader: User) -> str:
    """Where the entries of a day are listed, one by one."""
    # That page has the days of its reader: where clocks differ, the two that this day touches.
    begins, ends = day_bounds(day, sheet.zone)
    zone = zone_of(reader)
    asked = {"since": begins.astimezone(zone).date().isoformat(), "until": (ends - _SECOND).astimezone(zone).date().isoformat()}
    if reader.has_perm(ALL_ENTRIES):
        asked["person"] = str(sheet.person.pk)
    return f"{reverse('staff:entries')}?{urlencode(asked)}"


def _counted(count: int, one: str, several: str = "") -> str:
    return f"{count} {one}" if count == 1 else f"{count} {several or one + 's'}"
