"""What the Entries page looks for: read from the address, applied to entries, and said in words.

The filter lives in the address alone, so that it can be kept as a bookmark, and its downloads and bulk changes mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Case, Model, QuerySet, Value, When
from django.db.models.lookups import Exact

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES, team
from timetracker.careful_forms import DayField
from timetracker.tracking.date_ranges import SHORTCUTS, DateRange, shortcut_range
from timetracker.tracking.days import today_in, zone_of
from timetracker.tracking.entries import tagged
from timetracker.tracking.models import Project, Task, TimeEntry
from timetracker.tracking.rates import BILLABLE
from timetracker.tracking.sums import starting_on

__all__ = ["EntryFilter", "FilterWord"]

# Where the address names no dates.
_USUAL = "this_month"
_YES_NO = [("", "Either"), ("yes", "Yes"), ("no", "No")]
# An expression, and not the column: SQLite takes the index of that for selective, and sorts all that is not billed (250 ms of
# 250,000 entries, measured; 2 ms by the index of the start).
_IS_BILLED = Case(When(invoice_item__isnull=False, then=Value(True)), default=Value(False))
# No id is longer; a database refuses larger numbers.
_LARGEST = 10**17

_Row = TypeVar("_Row", bound=Model)


@dataclass(frozen=True)
class FilterWord:
    """One part of the filter in words, and the query string without it."""

    label: str
    said: str
    cleared: str


class EntryFilter(forms.Form):
    """Which entries somebody asks for. Days are those of her time zone; without any, this month is meant.

    What does not go together is dropped: a task of another project, a project of another client. Of anything that is not
    understood the form says so, and nothing is found. Three queries, one less for who sees her own entries alone.
    """

    notes = forms.CharField(label="Note", required=False, max_length=200)
    person = forms.IntegerField(required=False, min_value=1, max_value=_LARGEST)
    client = forms.IntegerField(required=False, min_value=1, max_value=_LARGEST)
    project = forms.IntegerField(required=False, min_value=1, max_value=_LARGEST)
    task = forms.IntegerField(required=False, min_value=1, max_value=_LARGEST)
    tag = forms.CharField(required=False, max_length=200)
    billable = forms.ChoiceField(required=False, choices=_YES_NO)
    billed = forms.ChoiceField(required=False, choices=_YES_NO)
    period = forms.ChoiceField(required=False, choices=list(SHORTCUTS.items()))
    since = DayField(label="From", required=False)
    until = DayField(label="To", required=False)

    def __init__(self, data: Any, *, user: User) -> None:
        """Read ``data`` (a query string's), as ``user`` asks."""
        super().__init__(data)
        self.zone = zone_of(user)
        self.today = today_in(self.zone)
        self.sees_all = user.has_perm(ALL_ENTRIES)
        self.people: list[User] = []
        if self.sees_all:
            self.people = list(team().prefetch_related(None))
        else:
            del self.fields["person"]
        self.projects = list(Project.objects.select_related("client").order_by("client__name", "code"))
        self.clients = list({project.client_id: project.client for project in self.projects}.values())
        self.dates = DateRange()
        # What is asked for, as in the address: no empty values, and none that were dropped.
        self.asked: dict[str, str] = {}
        self.is_understood = self.is_valid()
        if not self.is_understood:
            self.asked = {name: value for name in self.fields if (value := str(self.data.get(name) or ""))}

    # --- reading ------------------------------------------------------------------------------------------------------

    def clean_person(self) -> User | None:
        """Find the person."""
        return _one_of(self.people, self.cleaned_data["person"], "Nobody of the team is meant by this any more. Choose a person.")

    def clean_client(self) -> Any:
        """Find the client, among those that have projects."""
        return _one_of(self.clients, self.cleaned_data["client"], "This client is gone, or has no projects. Choose another.")

    def clean_project(self) -> Project | None:
        """Find the project, whatever its state."""
        return _one_of(self.projects, self.cleaned_data["project"], "This project is gone. Choose another.")

    def clean_task(self) -> Task | None:
        """Find the task."""
        number = self.cleaned_data["task"]
        return _one_of(Task.objects.filter(pk=number) if number else [], number, "This task is gone. Choose another.")

    def clean(self) -> dict[str, Any]:
        """Drop what does not go together, and find the days."""
        asked = super().clean() or self.cleaned_data
        client, project, task = asked.get("client"), asked.get("project"), asked.get("task")
        if task is not None and project is None:
            project = next((each for each in self.projects if each.pk == task.project_id), None)
        if project is not None and client is not None and project.client_id != client.pk:
            project = None
        if task is not None and (project is None or task.project_id != project.pk):
            task = None
        asked |= {"project": project, "task": task, "tag": str(asked.get("tag") or "").strip()}
        since, until = asked.get("since"), asked.get("until")
        if since and until and until < since:
            self.add_error("until", "This day is before the first. Choose a later one.")
        if since or until:
            asked["period"], self.dates = "", DateRange(since, until)
        else:
            asked["period"] = asked.get("period") or _USUAL
            self.dates = shortcut_range(asked["period"], self.today)
        for name, value in asked.items():
            if value and not (name == "period" and value == _USUAL):
                self.asked[name] = str(value.pk) if isinstance(value, Model) else str(value)
        return asked

    # --- finding ------------------------------------------------------------------------------------------------------

    def find(self, entries: QuerySet[TimeEntry]) -> QuerySet[TimeEntry]:
        """Return those of ``entries`` that are asked for; none where the filter was not understood."""
        if not self.is_understood:
            return entries.none()
        asked = self.cleaned_data
        entries = starting_on(entries, self.dates.first, self.dates.last, zone=self.zone)
        if asked.get("person"):
            entries = entries.filter(user=asked["person"])
        if asked["project"]:
            entries = entries.filter(project=asked["project"])
        elif asked["client"]:
            # By ids, and not by a join: for them there is an index.
            entries = entries.filter(project__in=[project.pk for project in self.projects if project.client_id == asked["client"].pk])
        if asked["task"]:
            entries = entries.filter(task=asked["task"])
        if asked["tag"]:
            entries = entries.filter(tagged(asked["tag"]))
        if asked["notes"]:
            entries = entries.filter(notes__icontains=asked["notes"])
        if asked["billable"]:
            entries = entries.filter(BILLABLE if asked["billable"] == "yes" else ~BILLABLE)
        if asked["billed"]:
            entries = entries.filter(Exact(_IS_BILLED, asked["billed"] == "yes"))
        return entries

    # --- saying -------------------------------------------------------------------------------------------------------

    @property
    def query(self) -> str:
        """The query string that asks for the same."""
        return urlencode(self.asked)

    def query_with(self, **changes: str) -> str:
        """The query string with other values; an empty one leaves that part out."""
        return urlencode({name: value for name, value in (self.asked | changes).items() if value})

    @property
    def projects_offered(self) -> list[Project]:
        """The projects to choose from: all, or those of the client that is asked for."""
        client = self.cleaned_data.get("client") if self.is_understood else None
        return [project for project in self.projects if client is None or project.client_id == client.pk]

    @property
    def tasks(self) -> list[Task]:
        """The tasks of the project that is asked for. One query, or none."""
        project = self.cleaned_data.get("project") if self.is_understood else None
        return list(project.tasks.order_by("id")) if project else []

    @property
    def shortcuts(self) -> list[tuple[str, str, bool]]:
        """Of each named range its words, the query string from its question mark on, and whether it is the one that is asked for."""
        chosen = self.cleaned_data.get("period") if self.is_understood else None
        return [(said, f"?{self.query_with(period=name, since='', until='')}", name == chosen) for name, said in SHORTCUTS.items()]

    @property
    def words(self) -> list[FilterWord]:
        """What is asked for, part by part; all time and no wishes are no words."""
        if not self.is_understood:
            return []
        asked = self.cleaned_data
        found = []
        if self.dates != DateRange():
            found.append(FilterWord("Days", self.days_said, self.query_with(period="all", since="", until="")))
        for name in ("person", "client", "project", "task", "tag", "billable", "billed", "notes"):
            if value := asked.get(name):
                # Without the project there is no task of it.
                dropped = {"project": "", "task": ""} if name == "project" else {name: ""}
                label = "Note has" if name == "notes" else self.fields[name].label or name.capitalize()
                found.append(FilterWord(str(label), str(value), self.query_with(**dropped)))
        return found

    @property
    def days_said(self) -> str:
        """The days in words."""
        since, until = self.dates.first, self.dates.last
        if since and until:
            said = f"{since:%-d %b %Y}" if since == until else f"{_short(since, until)} – {until:%-d %b %Y}"
        elif since:
            said = f"from {since:%-d %b %Y}"
        else:
            said = f"up to {until:%-d %b %Y}" if until else "all time"
        period = self.cleaned_data.get("period")
        return f"{SHORTCUTS[period]}, {said}" if period and period != "all" else said

    @property
    def has_more(self) -> bool:
        """Whether one of the fields that fold away is in use."""
        return bool(set(self.asked) - {"notes", "period"}) or bool(set(self.errors) - {"notes"})


def _short(since: date, until: date) -> str:
    """The first day, without what the last one says again."""
    if since.year != until.year:
        return f"{since:%-d %b %Y}"
    return f"{since:%-d %b}" if since.month != until.month else f"{since:%-d}"


def _one_of(rows: Sequence[_Row] | QuerySet[_Row], number: int | None, sentence: str) -> _Row | None:
    if number is None:
        return None
    found = next((row for row in rows if row.pk == number), None)
    if found is None:
        raise ValidationError(sentence, code="gone")
    return found
