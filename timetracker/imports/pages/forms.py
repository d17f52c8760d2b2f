"""Forms of an import: the file, and what its columns mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField

from timetracker.accounts.models import User
from timetracker.imports.fields import ImportField, fields_for
from timetracker.imports.models import Import
from timetracker.imports.options import Options, Sample
from timetracker.imports.permissions import kinds_for, may_create
from timetracker.imports.records import DELIMITERS
from timetracker.imports.text import ENCODINGS, LARGEST
from timetracker.imports.values import ORDERS
from timetracker.time_zones import time_zone_names

__all__ = ["MatchForm", "UploadForm"]

# Of a value that is shown as an example.
_SHOWN = 24
# What takes what: without a column for one of each group a file of this kind says too little.
_NEEDED: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    Import.Kind.TIME: (
        (("project", "project_code"), "Say which column has the project: its name, or its code."),
        (("start", "date"), "Say which column has the start, or at least the date."),
        (("end", "seconds", "hours"), "Say which column has the end, or how long it took: seconds or hours."),
    ),
    Import.Kind.CLIENTS: ((("name",), "Say which column has the name of the client."),),
    Import.Kind.PROJECTS: (
        (("client",), "Say which column has the client."),
        (("name",), "Say which column has the name of the project."),
    ),
}
_DATED = ("date", "start", "end_date", "end")
_CREATING: dict[str, str] = {
    Import.Kind.TIME: "Make clients, projects and tasks that are missing",
    Import.Kind.PROJECTS: "Make clients that are missing",
}


class UploadForm(forms.Form):
    """A file, and what is in it."""

    kind = forms.ChoiceField(label="What is in it")
    file = forms.FileField(
        label="File",
        help_text="CSV: the first row has the names of the columns. "
        f"Up to {LARGEST // 1024**2} MB; commas, semicolons or tabs; UTF-8, UTF-16 or Windows.",
        widget=forms.FileInput(attrs={"accept": ".csv,.tsv,.txt,text/csv,text/plain,.zip,.json"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Offer what ``user`` may bring in."""
        super().__init__(*args, **kwargs)
        kinds = [(kind.value, kind.label) for kind in kinds_for(user)]
        cast(forms.ChoiceField, self.fields["kind"]).choices = kinds if len(kinds) == 1 else [("", "Choose…"), *kinds]


class MatchForm(forms.Form):
    """Which column means what, and how the values are written."""

    encoding = forms.ChoiceField(label="Encoding", choices=list(ENCODINGS.items()))
    delimiter = forms.ChoiceField(label="Between the columns", choices=[(repr(mark), words) for mark, words in DELIMITERS.items()])
    dates = forms.ChoiceField(
        label="Dates", choices=[("", "Choose…"), *ORDERS.items()], required=False, help_text="A year in front is always understood."
    )
    decimal = forms.ChoiceField(label="Decimal mark", choices=[(".", "Point: 1,234.50"), (",", "Comma: 1.234,50")])
    zone = forms.ChoiceField(label="Time zone", help_text="Of clock times without an offset.")
    begins_at = forms.TimeField(
        label="Begins at",
        help_text="Entries without a clock time.",
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
    )
    creates = forms.BooleanField(required=False)

    def __init__(self, *args: Any, row: Import, user: User, sample: Sample, **kwargs: Any) -> None:
        """Begin with what ``row`` has, and offer the columns of ``sample``."""
        self.options = Options.from_json(row.options)
        self.kind, self.matched = row.kind, fields_for(row.kind, user)
        initial = self.options.to_json() | {"delimiter": repr(self.options.delimiter)}
        initial |= {f"column_{name}": str(index) for name, index in self.options.columns.items()}
        super().__init__(*args, **kwargs | {"initial": initial, "label_suffix": ""})
        offered = [("", "not in the file"), *((str(index), _said(index, sample)) for index in range(len(sample.header)))]
        for field in self.matched:
            self.fields[f"column_{field.name}"] = forms.ChoiceField(
                label=field.label, choices=offered, required=False, help_text=field.help
            )
        names = sorted(time_zone_names() | {self.options.zone})
        cast(forms.ChoiceField, self.fields["zone"]).choices = [(name, name.replace("_", " ")) for name in names]
        self._leave_out(user)

    def _leave_out(self, user: User) -> None:
        """What this kind of file has no use for."""
        if self.kind != Import.Kind.TIME:
            del self.fields["dates"], self.fields["zone"], self.fields["begins_at"]
        if may_create(user, self.kind):
            self.fields["creates"].label = _CREATING[self.kind]
            self.fields["creates"].help_text = "Not ticked: a row that names one is wrong."
        else:
            del self.fields["creates"]

    @property
    def columns(self) -> list[tuple[ImportField, BoundField]]:
        """The fields that have a column each."""
        return [(field, self[f"column_{field.name}"]) for field in self.matched]

    @property
    def reading(self) -> list[BoundField]:
        """The fields that say how the file is read."""
        return [self[name] for name in ("encoding", "delimiter")]

    @property
    def values(self) -> list[BoundField]:
        """The fields that say how values are written."""
        return [self[name] for name in ("dates", "decimal", "zone", "begins_at") if name in self.fields]

    def clean_delimiter(self) -> str:
        """Return the mark itself."""
        return next(mark for mark in DELIMITERS if repr(mark) == self.cleaned_data["delimiter"])

    def clean(self) -> dict[str, Any]:
        """Refuse what says too little, and a column that is used twice."""
        asked = super().clean() or self.cleaned_data
        used: dict[str, str] = {}
        for field in self.matched:
            index = asked.get(f"column_{field.name}")
            if index and index in used:
                self.add_error(f"column_{field.name}", f"This column is matched with {used[index]} already. Choose another one for either.")
            elif index:
                used[index] = field.label
        for names, sentence in _NEEDED[self.kind]:
            if not any(asked.get(f"column_{name}") for name in names):
                self.add_error(f"column_{names[0]}", ValidationError(sentence, code="needed"))
        if "dates" in self.fields and not asked.get("dates") and any(asked.get(f"column_{name}") for name in _DATED):
            self.add_error("dates", "The dates of this file can be read in several orders. Choose the right one.")
        return asked

    @property
    def is_read_otherwise(self) -> bool:
        """Whether encoding or delimiter are others than those by which the columns are shown; of a bound form that has both."""
        asked = self.cleaned_data
        return any(asked.get(name, getattr(self.options, name)) != getattr(self.options, name) for name in ("encoding", "delimiter"))

    @property
    def chosen(self) -> Options:
        """What a valid form says."""
        asked = self.cleaned_data
        columns = {field.name: int(asked[f"column_{field.name}"]) for field in self.matched if asked[f"column_{field.name}"]}
        changed: dict[str, Any] = {
            name: asked[name] for name in ("encoding", "delimiter", "dates", "decimal", "zone", "creates") if name in asked
        }
        if "begins_at" in asked:
            changed["begins_at"] = f"{asked['begins_at']:%H:%M}"
        return replace(self.options, columns=columns, **changed)


def _said(index: int, sample: Sample) -> str:
    """A column as people recognise it."""
    name = sample.header[index] or f"column {index + 1}"
    value = next((row.cells[index] for row in sample.rows if index < len(row.cells) and row.cells[index]), "")
    value = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    return f"{name} (“{' '.join(value.split())}”)" if value else f"{name} (empty)"
