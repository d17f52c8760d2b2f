"""The questions that a person asks of reports and budgets, as parameters of the address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.careful_forms import DayField
from timetracker.tracking.date_ranges import SHORTCUTS, DateRange, shortcut_range
from timetracker.tracking.report_names import ReportNames
from timetracker.tracking.reports import ReportQuestion
from timetracker.tracking.sums import Grouping

__all__ = ["GROUPINGS", "ReportForm"]

GROUPINGS: dict[Grouping, str] = {
    "client": "Client",
    "project": "Project",
    "person": "Person",
    "task": "Task",
    "day": "Day",
    "week": "Week",
    "month": "Month",
}
# Where the address names none.
_USUAL, _FIRST = "this_month", "project"


class ReportForm(forms.Form):
    """Groupings, dates and filters. Dates that are written count before a named range; both left empty mean all time."""

    by = forms.ChoiceField(label="By", required=False, choices=list(GROUPINGS.items()))
    then = forms.ChoiceField(label="Then by", required=False, choices=[("", "Nothing else"), *GROUPINGS.items()])
    range = forms.ChoiceField(required=False, choices=list(SHORTCUTS.items()))
    to = DayField(label="To", required=False)
    person = forms.TypedChoiceField(label="Person", required=False, coerce=int, empty_value=None)
    client = forms.TypedChoiceField(label="Client", required=False, coerce=int, empty_value=None)
    project = forms.TypedChoiceField(label="Project", required=False, coerce=int, empty_value=None)
    billable = forms.ChoiceField(
        label="Billable", required=False, choices=[("", "All time"), ("yes", "Billable alone"), ("no", "Not billable alone")]
    )

    def __init__(self, data: Mapping[str, Any], *, user: User, names: ReportNames, today: date) -> None:
        """Offer what ``names`` has; people to who sees everybody's time. ``today`` is where she is."""
        super().__init__({"by": _FIRST} | dict(data.items()), auto_id="report-%s", label_suffix="")
        self.today = today
        # The name is a word of Python's.
        self.fields["from"] = DayField(label="From", required=False)
        groups: dict[str, list[tuple[int, str]]] = {}
        for pk, label in names.projects.items():
            groups.setdefault(names.clients[names.client_of[pk]], []).append((pk, label))
        _offer(self.fields["client"], "All clients", list(names.clients.items()))
        _offer(self.fields["project"], "All projects", list(groups.items()))
        for field in self.fields.values():
            if isinstance(field, forms.ChoiceField):
                field.error_messages["invalid_choice"] = "There is no such choice. Take one from the list."
        if user.has_perm(ALL_ENTRIES):
            _offer(self.fields["person"], "Everybody", list(names.people.items()))
        else:
            del self.fields["person"]

    def clean(self) -> dict[str, Any]:
        """Refuse a range that ends before it begins."""
        asked = super().clean() or self.cleaned_data
        first, last = asked.get("from"), asked.get("to")
        if first and last and last < first:
            self.add_error("to", ValidationError("This is before the first day. Choose a later one.", code="order"))
        return asked

    @property
    def dates(self) -> DateRange:
        """The range of a valid form."""
        asked = self.cleaned_data
        if asked["from"] or asked["to"]:
            return DateRange(asked["from"], asked["to"])
        if not asked["range"] and ("from" in self.data or "to" in self.data):
            return DateRange()
        return shortcut_range(asked["range"] or _USUAL, self.today)

    @property
    def shortcut(self) -> str:
        """Which named range a valid form means; empty where it means none."""
        return next((name for name in SHORTCUTS if shortcut_range(name, self.today) == self.dates), "")

    def question(self, sort: str) -> ReportQuestion:
        """What a valid form asks."""
        asked = self.cleaned_data
        by = cast(Grouping, asked["by"] or _FIRST)
        then = cast(Grouping, asked["then"])
        return ReportQuestion(
            by=(by, then) if then and then != by else (by,),
            dates=self.dates,
            person=asked.get("person"),
            client=asked["client"],
            project=asked["project"],
            billable={"yes": True, "no": False}.get(asked["billable"]),
            sort=sort,
        )

    @property
    def is_narrowed(self) -> bool:
        """Whether a filter is set, or was meant to be."""
        return any(self.data.get(name) for name in ("person", "client", "project", "billable"))

    def date_shown(self, name: str) -> str:
        """What a field for a day holds: what was typed, or the day that the range means."""
        if not self.is_valid() or self.data.get(name):
            return str(self.data.get(name, ""))
        day = self.dates.first if name == "from" else self.dates.last
        return f"{day or ''}"

    @property
    def from_shown(self) -> str:
        """:meth:`date_shown` of the first day."""
        return self.date_shown("from")

    @property
    def to_shown(self) -> str:
        """The same of the last."""
        return self.date_shown("to")


def _offer(field: forms.Field, nobody: str, choices: list[Any]) -> None:
    cast(forms.ChoiceField, field).choices = [("", nobody), *choices]
