"""The rows of an export, as they are read: every field is looked at as the model would, before anything is compared or written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db import models

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.clients.models import Client, Document
from timetracker.exports.sections import fields_of
from timetracker.imports.values import FIRST_YEAR, LAST_YEAR
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

__all__ = ["INNER", "SECTIONS", "Fault", "Section", "values_of"]

# What tells rows apart, and has the time of its writing for a default.
_TELLING = {"started_at", "spent_on", "issued_on"}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field: its name (empty: the row), the value as it stands there, and what to do."""

    field: str
    value: str
    reason: str


@dataclass(frozen=True)
class Section:
    """A list of the file. ``with_ids``: others name its rows. ``is_unique``: what its rows are told apart by is there once."""

    name: str
    model: type[models.Model]
    with_ids: bool = False
    is_unique: bool = False
    without: tuple[str, ...] = ()

    @cached_property
    def fields(self) -> dict[str, models.Field[Any, Any]]:
        """The fields that a row may have, by their names."""
        names = (name for name in fields_of(self.model) if name not in self.without)
        return {name: cast("models.Field[Any, Any]", self.model._meta.get_field(name)) for name in names}

    @cached_property
    def references(self) -> dict[str, str]:
        """Which fields name a row of which list."""
        return {name: _LISTS[cast(Any, field.related_model)] for name, field in self.fields.items() if field.is_relation}

    @cached_property
    def files(self) -> list[str]:
        """Which fields are files."""
        return [name for name, field in self.fields.items() if isinstance(field, models.FileField)]


# Each names rows of those before it alone.
SECTIONS = {
    section.name: section
    for section in (
        Section("people", User, with_ids=True, is_unique=True),
        Section("clients", Client, with_ids=True, is_unique=True),
        Section("projects", Project, with_ids=True, is_unique=True),
        Section("project_rates", ProjectRate, is_unique=True),
        Section("tasks", Task, with_ids=True),
        Section("documents", Document),
        Section("invoices", Invoice),
        Section("time_entries", TimeEntry),
        Section("expenses", Expense),
    )
}
# Lists within the rows of invoices.
INNER = {
    "items": Section("items", InvoiceItem, with_ids=True, without=("invoice",)),
    "payments": Section("payments", Payment, without=("invoice",)),
}
_LISTS: dict[type[models.Model], str] = {User: "people", Client: "clients", Project: "projects", Task: "tasks", InvoiceItem: "items"}


def values_of(section: Section, row: Any) -> tuple[dict[str, Any], list[Fault]]:
    """Return what a row says, as JSON has it, and all that is wrong with it. Fields that are not there have their defaults."""
    if not isinstance(row, dict):
        return {}, [Fault("", str(row), "A row is an object, between { and }.")]
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in row.items():
        try:
            values[name] = _value(section, name, value)
        except ValidationError as error:
            faults.append(Fault(name, str(value), " ".join(error.messages)))
    for name, field in section.fields.items():
        if name not in row and _is_needed(name, field):
            faults.append(Fault(name, "", "This is missing."))
        elif name not in row:
            is_none = name in section.references or name in section.files
            values[name] = None if is_none else _canonical(field, field.get_default())
    if not faults:
        faults += _conflicts(section.model, values)
    return values, faults


def _is_needed(name: str, field: models.Field[Any, Any]) -> bool:
    """Whether a row must say it. So it must where the default is today: the same file would mean something else tomorrow."""
    return name in _TELLING or not (field.null or field.blank or field.has_default())


def _value(section: Section, name: str, value: Any) -> Any:
    """Return the value as it is kept. Raises ValidationError."""
    if name == "id" or name in section.references:
        if value is None and name != "id" and section.fields[name].null:
            return None
        if type(value) is not int:
            raise ValidationError("This is the id of a row: a whole number.")
        return value
    if name == "role" and section.model is User:
        if value not in ("", *Role.values):
            raise ValidationError(f"A role is one of {', '.join(Role.values)}, or empty.")
        return value
    if name in INNER and section.model is Invoice:
        return _inner(INNER[name], value)
    field = section.fields.get(name)
    if field is None:
        raise ValidationError("This version of TimeTracker knows no such field. Take it out of the file, or bring the site up to date.")
    if isinstance(field, models.FileField):
        return _file(field, value)
    if value is None:
        if not field.null:
            raise ValidationError("There must be a value.")
        return None
    if type(value) not in _types(field):
        raise ValidationError(f"This must be {_said(field)}.")
    if isinstance(value, str):
        _check_text(value)
    return _canonical(field, field.clean(field.to_python(value), None))


def _inner(section: Section, rows: Any) -> list[dict[str, Any]]:
    if not isinstance(rows, list):
        raise ValidationError("This is a list, between [ and ].")
    found = []
    for number, row in enumerate(rows, 1):
        values, faults = values_of(section, row)
        if faults:
            raise ValidationError([f"Row {number}, {fault.field}: {fault.reason}" for fault in faults])
        found.append(values)
    return found


def _file(field: models.Field[Any, Any], value: Any) -> dict[str, Any] | None:
    if value is None or value == "":
        if not field.blank:
            raise ValidationError("There must be a file.")
        return None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or type(value.get("member")) not in (str, type(None)):
        raise ValidationError("A file is an object with its name and its place in the ZIP.")
    _check_text(value["name"])
    return {"name": value["name"], "member": value["member"]}


def _types(field: models.Field[Any, Any]) -> tuple[type[Any], ...]:
    if isinstance(field, models.BooleanField):
        return (bool,)
    if isinstance(field, models.DecimalField):
        return (str, int)
    return (int,) if isinstance(field, models.IntegerField) else (str,)


def _said(field: models.Field[Any, Any]) -> str:
    said: dict[tuple[type[Any], ...], str] = {(bool,): "true or false", (int,): "a whole number"}
    return said.get(_types(field), "text, between quotation marks")


def _check_text(text: str) -> None:
    """Refuse what no database keeps: NUL, and halves of a pair that UTF-16 has."""
    try:
        is_kept = b"\0" not in text.encode()
    except UnicodeEncodeError:
        is_kept = False
    if not is_kept:
        raise ValidationError("The text holds a character that cannot be kept.")


def _canonical(field: models.Field[Any, Any], value: Any) -> Any:
    """The one form of a value, so that equal ones are equal; JSON has it. Raises ValidationError for dates that no page takes."""
    if value is None:
        return None
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValidationError("A point in time has an offset, such as +00:00, at its end.")
    if isinstance(value, date) and not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValidationError(f"The year must be from {FIRST_YEAR} to {LAST_YEAR}.")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return f"{value:.{field.decimal_places}f}" if isinstance(field, models.DecimalField) else value


def _conflicts(model: type[models.Model], values: dict[str, Any]) -> Iterator[Fault]:
    """What does not fit within one row; each sentence as the database's constraint says it."""
    if model is TimeEntry:
        yield from _of_entry(values)
    elif model is Expense:
        if values["billable"] and values["project"] is None:
            yield Fault("project", "", "A billable expense needs a project.")
        if values["invoice_item"] is not None and not values["billable"]:
            yield Fault("billable", "", "Only a billable expense can be on an invoice.")
    elif model is Invoice:
        yield from _of_invoice(values)


def _of_invoice(values: dict[str, Any]) -> Iterator[Fault]:
    if values["due_on"] < values["issued_on"]:
        yield Fault("due_on", values["due_on"], "An invoice is not due before its date.")
    if values["status"] != Invoice.Status.DRAFT and not values["number"]:
        yield Fault("number", "", "An invoice that is no draft has a number.")
    if values["status"] == Invoice.Status.DRAFT and values.get("payments"):
        yield Fault("payments", "", "Only an issued invoice is paid.")


def _of_entry(values: dict[str, Any]) -> Iterator[Fault]:
    ended_at = values["ended_at"]
    if values["invoice_item"] is not None and not (ended_at and values["billable"]):
        yield Fault("invoice_item", str(values["invoice_item"]), "Only billable time that has ended can be on an invoice.")
    if not ended_at:
        return
    span = (datetime.fromisoformat(ended_at) - datetime.fromisoformat(values["started_at"])).total_seconds()
    if span <= 0:
        yield Fault("ended_at", ended_at, "The end must be after the start.")
    elif values["break_seconds"] > span:
        yield Fault("break_seconds", str(values["break_seconds"]), "The break is longer than the entry.")
