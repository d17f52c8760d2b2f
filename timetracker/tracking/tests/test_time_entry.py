"""Time entries and what they hang on: what form and database refuse."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Model, ProtectedError

from timetracker.accounts.models import User
from timetracker.clients.models import Client
from timetracker.tracking.models import DemoRun, Project, ProjectRate, Task, TimeEntry

NINE = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)


def refused_by_form_and_database(row: Model, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        row.full_clean()
    assert message in refused.value.messages
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ended_at": NINE}, "The end must be after the start."),
        ({"ended_at": NINE - timedelta(microseconds=1)}, "The end must be after the start."),
        ({"ended_at": NINE + timedelta(minutes=30), "break_seconds": 1801}, "The break is longer than the entry."),
        ({"ended_at": NINE + timedelta(hours=1), "break_seconds": -1}, "Ensure this value is greater than or equal to 0."),
        ({"source": "guess"}, "Value 'guess' is not a valid choice."),
    ],
)
def test_wrong_entry_is_refused(person: User, project: Project, wrong: dict[str, object], message: str) -> None:
    refused_by_form_and_database(TimeEntry(**{"user": person, "project": project, "started_at": NINE, **wrong}), message)


@pytest.mark.parametrize(
    ("length", "break_seconds"),
    [(timedelta(minutes=30), 1800), (timedelta(seconds=30, microseconds=500), 30), (timedelta(days=40), 40 * 86400)],
)
def test_break_may_be_as_long_as_the_entry(person: User, project: Project, length: timedelta, break_seconds: int) -> None:
    entry = TimeEntry(user=person, project=project, started_at=NINE, ended_at=NINE + length, break_seconds=break_seconds)
    entry.full_clean()
    entry.save()
    assert entry.worked < timedelta(seconds=1)


def test_second_running_timer_of_a_person_is_refused_until_the_first_has_ended(person: User, project: Project) -> None:
    first = TimeEntry.objects.create(user=person, project=project, started_at=NINE)
    second = TimeEntry(user=person, project=project, started_at=NINE + timedelta(hours=1))
    refused_by_form_and_database(second, "This person has a running timer already. Stop it first.")

    TimeEntry.objects.create(user=User.objects.create(username="kim"), project=project, started_at=NINE)
    first.ended_at = NINE + timedelta(hours=1)
    first.save()
    second.full_clean()
    second.save()
    assert TimeEntry.objects.filter(ended_at__isnull=True).count() == 2


def test_running_entry_counts_up_to_now_and_never_below_zero(person: User, project: Project) -> None:
    running = TimeEntry(user=person, project=project, started_at=NINE)
    assert running.is_running and running.worked > timedelta(days=1)
    running.break_seconds = 100 * 365 * 86400
    assert running.worked == timedelta()


def test_task_of_another_project_is_refused(person: User, project: Project) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    entry = TimeEntry(user=person, project=project, task=Task.objects.create(project=other, name="Login"), started_at=NINE)
    with pytest.raises(ValidationError) as refused:
        entry.full_clean()
    assert refused.value.message_dict == {"task": ["This task belongs to another project."]}


def test_tags_are_brought_into_one_form(person: User, project: Project) -> None:
    entry = TimeEntry(user=person, project=project, tags=" remote,, urgent ,remote")
    entry.full_clean()
    assert entry.tags == "remote, urgent"


def test_time_keeps_its_person_and_project_and_survives_its_task(person: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates")
    entry = TimeEntry.objects.create(user=person, project=project, task=task, started_at=NINE)
    for owner in (person, project):
        with pytest.raises(ProtectedError):
            owner.delete()
    task.delete()
    entry.refresh_from_db()
    assert entry.task is None


def test_wrong_projects_tasks_and_rates_are_refused(person: User, project: Project) -> None:
    client = project.client
    negative = "Ensure this value is greater than or equal to 0."
    refused_by_form_and_database(Project(client=client, name="X", code=""), "This field cannot be blank.")
    refused_by_form_and_database(Project(client=client, name="X", code="SB-WEB"), "Project with this Code already exists.")
    refused_by_form_and_database(Project(client=client, name="X", code="X", status="lost"), "Value 'lost' is not a valid choice.")
    refused_by_form_and_database(Project(client=client, name="X", code="X", hourly_rate=Decimal(-1)), negative)
    refused_by_form_and_database(Project(client=client, name="X", code="X", budget_hours=Decimal(-1)), negative)
    refused_by_form_and_database(Task(project=project, name="X", status="lost"), "Value 'lost' is not a valid choice.")
    refused_by_form_and_database(Task(project=project, name="X", estimate_hours=Decimal(-1)), negative)
    refused_by_form_and_database(ProjectRate(project=project, user=person, hourly_rate=Decimal(-1)), negative)
    ProjectRate.objects.create(project=project, user=person, hourly_rate=Decimal(1))
    again = ProjectRate(project=project, user=person, hourly_rate=Decimal(2))
    refused_by_form_and_database(again, "This person has a rate on this project already.")


def test_colour_is_six_digits(project: Project) -> None:
    project.colour = "#12345g"
    with pytest.raises(ValidationError) as refused:
        project.full_clean()
    assert refused.value.message_dict == {"colour": ["A colour is # and six digits 0-9 or a-f, such as #64748b."]}


def test_demo_data_is_recorded_once(db: None) -> None:
    DemoRun.objects.create(seed=1, anchor_on=NINE.date(), rows={}, files={})
    with pytest.raises(IntegrityError), transaction.atomic():
        DemoRun.objects.create(id=2, seed=1, anchor_on=NINE.date(), rows={}, files={})


def test_sqlite_without_django_can_check_and_write_the_tables(person: User, project: Project) -> None:
    """No constraint or index calls a function that only Django registers: ``sqlite3`` could not restore by hand."""
    Client.objects.create(name="Another Client")
    entry = TimeEntry.objects.create(user=person, project=project, started_at=NINE, ended_at=NINE + timedelta(minutes=30))
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            image = bytearray(cursor.connection.serialize())
        # The header's two bytes for WAL, which a database in memory cannot have.
        image[18:20] = b"\x01\x01"
        whole = sqlite3.connect(":memory:")
        whole.deserialize(bytes(image))
        try:
            assert whole.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            whole.execute("UPDATE tracking_timeentry SET break_seconds = 1800 WHERE id = ?", [entry.pk])
            with pytest.raises(sqlite3.IntegrityError, match="tracking_entry_break_fits"):
                whole.execute("UPDATE tracking_timeentry SET break_seconds = 1801 WHERE id = ?", [entry.pk])
            with pytest.raises(sqlite3.IntegrityError, match="clients_client_currency_code"):
                whole.execute("UPDATE clients_client SET currency = 'usd'")
        finally:
            whole.close()
