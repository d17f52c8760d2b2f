"""A task is deleted while time is saved on it: that is told, what was typed stays, and nothing is half written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.signals import post_save
from django.urls import reverse

from timetracker.accounts.models import User
from timetracker.tests.people import browser_of
from timetracker.tracking.models import Project, Task, TimeEntry
from timetracker.tracking.timer import timer_start

# Both engines look at references when a transaction ends.
pytestmark = pytest.mark.django_db(transaction=True)

NINE = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)


@pytest.fixture
def robin() -> User:
    return User.objects.create_superuser("robin")


@pytest.fixture
def task(project: Project) -> Task:
    return Task.objects.create(project=project, name="Wireframes")


@contextmanager
def deleted_meanwhile(task: Task) -> Iterator[None]:
    """The row of the task goes after every look at it, and before what is saved on it is committed."""

    def delete(sender: type[TimeEntry], **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM tracking_task WHERE id = %s", [task.pk])

    post_save.connect(delete, sender=TimeEntry)
    try:
        yield
    finally:
        post_save.disconnect(delete, sender=TimeEntry)


def test_a_timer_on_a_task_that_goes_is_refused_and_what_runs_goes_on(robin: User, task: Task) -> None:
    running = timer_start(robin, project=task.project, started_at=NINE)
    with deleted_meanwhile(task):
        page = browser_of(robin).post(reverse("staff:start"), {"work": f"{task.project_id}-{task.pk}", "notes": "typed"}).content.decode()
    assert "was deleted at this moment" in page and 'value="typed"' in page
    assert list(TimeEntry.objects.values_list("pk", "ended_at")) == [(running.pk, None)]


def test_an_entry_on_a_task_that_goes_is_not_saved_and_the_form_says_so(robin: User, task: Task) -> None:
    form = {"day": "2025-03-03", "work": f"{task.project_id}-{task.pk}", "time": "9-10", "notes": "typed"}
    with deleted_meanwhile(task):
        page = browser_of(robin).post(reverse("staff:entries_add"), form).content.decode()
    assert "Somebody changed the same at this moment" in page and ">typed</textarea>" in page
    assert not TimeEntry.objects.exists() and Task.objects.exists()


def test_cells_of_a_task_that_goes_keep_what_was_typed(robin: User, task: Task) -> None:
    key, day = f"{task.project_id}-{task.pk}", NINE.date()
    cells = {f"cell.{key}.{day}": "1:30", f"cell.{key}.{day + timedelta(days=1)}": "2:15"}
    form = {"week": f"{day:%G-W%V}", "row": key + 7 * "|@"} | cells
    with deleted_meanwhile(task):
        page = browser_of(robin).post(reverse("staff:week"), form).content.decode()
    assert "was deleted at this moment, so nothing was saved" in page and 'value="1:30"' in page and 'value="2:15"' in page
    assert not TimeEntry.objects.exists()
