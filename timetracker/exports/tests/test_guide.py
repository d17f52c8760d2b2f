"""The guide names all that an export holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from timetracker.accounts.models import User
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.clients.models import Client, Document
from timetracker.exports.models import KEPT_FOR
from timetracker.exports.sections import FORMAT, fields_of
from timetracker.exports.tables import COLUMNS
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

GUIDE = (Path(__file__).resolve().parents[3] / "docs/IMPORT_EXPORT_GUIDE.md").read_text()
LISTS = {
    "people": (User,),
    "clients": (Client,),
    "projects": (Project,),
    "project_rates": (ProjectRate,),
    "tasks": (Task,),
    "documents": (Document,),
    "invoices": (Invoice, InvoiceItem, Payment),
    "time_entries": (TimeEntry,),
    "expenses": (Expense,),
}


@pytest.mark.parametrize("name", LISTS)
def test_the_guide_names_every_field_of_each_list(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| (.*) \|$", GUIDE, re.MULTILINE)
    assert row, f"no row for {name}"
    named = set(re.findall(r"`([a-z_]+)`", row[1]))
    fields = {field for model in LISTS[name] for field in fields_of(model)} - ({"invoice"} if name == "invoices" else set())
    assert fields <= named


@pytest.mark.parametrize("name", ["time_entries", "clients", "projects"])
def test_the_guide_names_every_column_that_the_import_knows(name: str) -> None:
    line = re.search(rf"^- `{name}\.csv`: (.*(?:\n  .*)*)", GUIDE, re.MULTILINE)
    assert line
    assert re.findall(r"`([A-Z][^`]*)`", line[1]) == list(COLUMNS[name])


def test_the_guide_names_format_and_days() -> None:
    assert f'"format": "{FORMAT}"' in GUIDE
    assert f"deleted after {KEPT_FOR.days} days" in GUIDE
