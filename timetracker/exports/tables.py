"""The CSV files of an export: the columns that the import of CSV knows by name, and more for what it does not take.

Dates and times are ISO 8601, in the time zone of whoever asked. Text that a spreadsheet would take for a formula has an
apostrophe in front, which the import takes away again (:mod:`timetracker.csv_text`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime
from typing import IO, Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Case, QuerySet, When
from django.utils import timezone

from timetracker.csv_text import defused
from timetracker.exports.sections import Section, member_of
from timetracker.tracking.durations import worked_seconds

__all__ = ["COLUMNS", "Table", "tables_of", "table_write"]

# Rows read at once.
_ROWS = 2000
_SECONDS = "seconds_worked"
# Fields that hold files: what stands in the cell is where the file is in the ZIP.
_FILES = {"file", "receipt", "pdf"}


class Table(NamedTuple):
    """A CSV file: its name without the ending, the rows, and what stands below each heading: a path of fields.

    ``files`` are the headings below which files stand.
    """

    name: str
    found: QuerySet[Any]
    columns: dict[str, str]
    files: frozenset[str]


# By table. What a section has no field for is left out, so that one's own data has the columns that she may see.
COLUMNS: dict[str, dict[str, str]] = {
    "people": {
        "Username": "username",
        "Name": "full_name",
        "E-mail": "email",
        "Time zone": "time_zone",
        "Hours a week": "weekly_hours",
        "Rate": "hourly_rate",
        "Currency": "currency",
        "Active": "is_active",
    },
    "clients": {
        "Name": "name",
        "Contact": "contact_name",
        "E-mail": "email",
        "Phone": "phone",
        "Address": "address",
        "Currency": "currency",
        "Rate": "default_rate",
        "Active": "active",
        "Notes": "notes",
    },
    "projects": {
        "Client": "client__name",
        "Name": "name",
        "Code": "code",
        "Billable": "billable",
        "Rate": "hourly_rate",
        "Budget in hours": "budget_hours",
        "Status": "status",
        "Colour": "colour",
        "Notes": "notes",
    },
    "project_rates": {
        "Project code": "project__code",
        "Person": "user__username",
        "Rate": "hourly_rate",
        "Currency": "project__client__currency",
    },
    "tasks": {
        "Client": "project__client__name",
        "Project": "project__name",
        "Project code": "project__code",
        "Name": "name",
        "Status": "status",
        "Assignee": "assignee__username",
        "Estimated hours": "estimate_hours",
        "Due on": "due_on",
        "Notes": "notes",
    },
    "documents": {"Client": "client__name", "Title": "title", "File": "file", "Visible to client": "visible_to_client"},
    "invoices": {
        "Number": "number",
        "Client": "client__name",
        "Status": "status",
        "Issued on": "issued_on",
        "Due on": "due_on",
        "Currency": "currency",
        "Tax rate": "tax_rate",
        "Notes": "notes",
        "PDF": "pdf",
    },
    "invoice_items": {
        "Invoice": "invoice__number",
        "Client": "invoice__client__name",
        "Position": "position",
        "Description": "description",
        "Quantity": "quantity",
        "Unit price": "unit_price",
        "Currency": "invoice__currency",
        "Project code": "project__code",
    },
    "invoice_payments": {
        "Invoice": "invoice__number",
        "Client": "invoice__client__name",
        "Paid on": "paid_on",
        "Amount": "amount",
        "Currency": "invoice__currency",
        "Method": "method",
        "Reference": "reference",
    },
    "time_entries": {
        "Person": "user__username",
        "Client": "project__client__name",
        "Project": "project__name",
        "Project code": "project__code",
        "Task": "task__name",
        "Start": "started_at",
        "End": "ended_at",
        "Break in seconds": "break_seconds",
        "Seconds": _SECONDS,
        "Note": "notes",
        "Tags": "tags",
        "Billable": "billable",
        "Invoice": "invoice_item__invoice__number",
    },
    "expenses": {
        "Person": "user__username",
        "Client": "project__client__name",
        "Project": "project__name",
        "Project code": "project__code",
        "Spent on": "spent_on",
        "Category": "category",
        "Description": "description",
        "Amount": "amount",
        "Currency": "currency",
        "Billable": "billable",
        "Receipt": "receipt",
        "Invoice": "invoice_item__invoice__number",
    },
}


def tables_of(section: Section) -> Iterator[Table]:
    """Yield the CSV file of a section, and those of the lists within its rows."""
    parts = [(section.name, section.found, section.fields), *((f"invoice_{key}", rows, fields) for key, rows, _, fields in section.inner)]
    for name, found, fields in parts:
        shown = {heading: path for heading, path in COLUMNS[name].items() if _is_in(path, fields)}
        if name == "time_entries":
            # None while the timer runs, so that nobody takes it for the length.
            found = found.annotate(**{_SECONDS: Case(When(ended_at__isnull=False, then=worked_seconds(timezone.now())))})
        files = frozenset(heading for heading, path in shown.items() if path in _FILES)
        yield Table(name, found, shown, files)


def table_write(table: Table, file: IO[str], zone: ZoneInfo) -> Iterator[None]:
    """Write a CSV file to ``file``, which was opened with ``newline=""``; yields after each row."""
    writer = csv.writer(file)
    writer.writerow(table.columns)
    for pk, *values in table.found.values_list("pk", *table.columns.values()).iterator(chunk_size=_ROWS):
        shown = (
            member_of(table.name, pk, value) if value and heading in table.files else value
            for heading, value in zip(table.columns, values, strict=True)
        )
        writer.writerow([_cell(value, zone) for value in shown])
        yield


def _is_in(path: str, fields: tuple[str, ...]) -> bool:
    """Whether one's own data has what the path begins with; the invoice is that of an item, or of the list that it is in."""
    first = path.partition("__")[0]
    return first in (*fields, _SECONDS, "invoice")


def _cell(value: Any, zone: ZoneInfo) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="seconds")
    return defused(value) if isinstance(value, str) else value
