"""The CSV of an export is known by the names of its columns, and comes in again as it was."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from timetracker.accounts.models import User
from timetracker.clients.models import Client
from timetracker.exports.tests.agency import FORMULA, TABLES, Agency, agency, content_of, made
from timetracker.imports.models import Import
from timetracker.imports.problems import problems_first
from timetracker.imports.running import import_begin, import_bring
from timetracker.tracking.models import Project, TimeEntry

pytestmark = pytest.mark.usefixtures("media")


@pytest.fixture
def staffed(transactional_db: None) -> Agency:
    staffed = agency()
    # A closed project takes no time, and a timer that runs has no end.
    TimeEntry.objects.exclude(project__code="WEB-1", user=staffed.robin).delete()
    return staffed


def brought(boss: User, kind: str, content: bytes) -> dict[str, Any]:
    """What it comes to, checked and imported."""
    row = import_bring(SimpleUploadedFile(f"{kind}.csv", content), kind=kind, by=boss)
    # What she ticks: the tasks that are missing are made.
    row.options["creates"] = True
    row.save()
    for act in (Import.Act.CHECK, Import.Act.WRITE):
        import_begin(row, act)
        row.refresh_from_db()
    assert (row.message, problems_first(row.problems, 9) if row.problems else []) == ("", [])
    counts: dict[str, Any] = row.counts
    return counts


def rows() -> list[list[Any]]:
    clients = Client.objects.values("name", "phone", "currency", "default_rate", "active", "notes").order_by("name")
    projects = Project.objects.values("client__name", "name", "code", "hourly_rate", "budget_hours", "status").order_by("code")
    entries = TimeEntry.objects.values("user", "project__code", "ended_at", "break_seconds", "notes", "tags").order_by("ended_at")
    return [list(clients), list(projects), list(entries)]


def test_the_tables_of_an_export_come_in_again_as_they_were(staffed: Agency) -> None:
    archive, _ = content_of(made(staffed.owner, "everything"))
    boss = User.objects.create_superuser("boss", is_staff=True)
    tables = {"clients": "clients", "projects": "projects", "time": "time_entries"}
    before = rows()
    assert [entry["notes"] for entry in before[2]] == [FORMULA, "'=kept"]
    for model in TABLES:
        model._base_manager.all().delete()
    assert rows() == [[], [], []]
    assert [brought(boss, kind, archive.read(f"{name}.csv"))["new"] for kind, name in tables.items()] == [2, 2, 2]
    assert rows() == before
    assert [brought(boss, kind, archive.read(f"{name}.csv"))["new"] for kind, name in tables.items()] == [0, 0, 0]
