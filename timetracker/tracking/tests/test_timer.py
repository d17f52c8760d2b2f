"""The running timer: switching, stopping, and several devices at the same instant on both engines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from timetracker.accounts.models import User
from timetracker.tracking.models import Project, Task, TimeEntry
from timetracker.tracking.timer import TimerMoved, TimerRefused, running_for, timer_discard, timer_shift, timer_start, timer_stop

T = TypeVar("T")

NINE = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def person(person: User) -> User:
    person.time_zone = "Europe/Berlin"
    person.save()
    return person


@contextmanager
def refused(said: str) -> Iterator[pytest.ExceptionInfo[TimerRefused]]:
    with pytest.raises(TimerRefused) as found:
        yield found
    assert found.value.messages == [said]


def times(user: User) -> list[tuple[datetime, datetime | None]]:
    return list(TimeEntry.objects.filter(user=user).order_by("started_at", "id").values_list("started_at", "ended_at"))


# --- starting ---------------------------------------------------------------------------------------------------------


def test_timer_starts_now_in_whole_seconds_with_what_was_typed(person: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates")
    now = NINE.replace(microsecond=999_999)
    entry = timer_start(person, project=project, task=task, notes="Header", tags=" web,, web ,css", now=now)

    running = running_for(person)
    assert running == entry
    assert running is not None
    assert (running.started_at, running.ended_at, running.task, running.notes, running.tags) == (NINE, None, task, "Header", "web, css")
    assert (running.source, running.billable, running.invoice_item) == ("timer", True, None)


def test_timer_on_a_project_that_is_not_billable_is_not_billable(person: User, project: Project) -> None:
    project.billable = False
    project.save()
    assert not timer_start(person, project=project).billable


def test_timer_starts_by_the_clock_where_no_time_is_named(person: User, project: Project) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    started_at = timer_start(person, project=project).started_at
    assert before <= started_at <= datetime.now(UTC)


def test_start_ends_the_timer_that_runs_at_its_own_start(person: User, project: Project) -> None:
    first = timer_start(person, project=project, notes="first", now=NINE)
    second = timer_start(person, project=project, notes="second", started_at=NINE + HOUR, now=NINE + 2 * HOUR)
    assert times(person) == [(NINE, NINE + HOUR), (NINE + HOUR, None)]
    assert running_for(person) == second != first


def test_timers_of_others_run_on(person: User, project: Project) -> None:
    kim = User.objects.create(username="kim")
    timer_start(kim, project=project, now=NINE)
    timer_start(person, project=project, now=NINE + MINUTE)
    timer_stop(person, now=NINE + HOUR)
    assert times(kim) == [(NINE, None)]


@pytest.mark.parametrize("behind", [timedelta(), timedelta(milliseconds=400), HOUR])
def test_switch_in_the_second_of_the_start_or_by_a_clock_that_is_behind_counts_no_second_twice(
    person: User, project: Project, behind: timedelta
) -> None:
    timer_start(person, project=project, now=NINE)
    timer_start(person, project=project, now=NINE - behind)
    assert times(person) == [(NINE, NINE + SECOND), (NINE + SECOND, None)]


def test_switch_from_a_timer_with_a_fraction_of_a_second_counts_no_second_twice(person: User, project: Project) -> None:
    half_past = NINE + timedelta(milliseconds=500)
    TimeEntry.objects.create(user=person, project=project, started_at=half_past)
    timer_start(person, project=project, now=half_past)
    assert times(person) == [(half_past, NINE + SECOND), (NINE + SECOND, None)]


@pytest.mark.parametrize("earlier", [timedelta(), MINUTE])
def test_start_that_is_named_and_not_after_that_of_the_running_timer_is_refused(person: User, project: Project, earlier: timedelta) -> None:
    timer_start(person, project=project, now=NINE)
    with refused("Another timer runs since 2025-03-03 10:00. Choose a later start, or correct or discard that timer first."):
        timer_start(person, project=project, started_at=NINE - earlier, now=NINE + HOUR)
    assert times(person) == [(NINE, None)]


def test_start_that_is_still_to_come_is_refused(person: User, project: Project) -> None:
    with refused("2025-03-03 10:01 is still to come, it is 2025-03-03 10:00 now. Choose a time that has passed."):
        timer_start(person, project=project, started_at=NINE + MINUTE, now=NINE)
    assert times(person) == []


@pytest.mark.parametrize(("status", "said"), [("paused", "paused"), ("closed", "closed"), (None, "deleted")])
def test_project_that_is_not_active_by_now_is_refused_and_the_running_timer_runs_on(
    person: User, project: Project, status: str | None, said: str
) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    timer_start(person, project=project, now=NINE)
    if status:
        Project.objects.filter(pk=other.pk).update(status=status)
    else:
        Project.objects.filter(pk=other.pk).delete()
    with refused(f"SB-APP is {said} and takes no new time. Choose an active project, or have this one opened again."):
        timer_start(person, project=other, now=NINE + HOUR)
    assert times(person) == [(NINE, None)]


def test_task_of_another_project_and_tags_that_are_too_long_are_refused(person: User, project: Project) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    with refused("This task belongs to another project."):
        timer_start(person, project=project, task=Task.objects.create(project=other, name="Login"))
    with refused("Ensure this value has at most 200 characters (it has 201)."):
        timer_start(person, project=project, tags="x" * 201)
    assert times(person) == []


# --- stopping ---------------------------------------------------------------------------------------------------------


def test_stop_ends_the_timer_now_and_a_second_stop_finds_none(person: User, project: Project) -> None:
    entry = timer_start(person, project=project, now=NINE)
    now = NINE + HOUR + timedelta(milliseconds=700)
    stopped = timer_stop(person, entry_id=entry.pk, now=now)
    assert stopped == entry
    assert timer_stop(person, entry_id=entry.pk, now=now + HOUR) is None
    assert timer_stop(person) is None
    assert times(person) == [(NINE, NINE + HOUR)]
    assert running_for(person) is None


def test_stop_at_a_time_that_is_named(person: User, project: Project) -> None:
    timer_start(person, project=project, now=NINE)
    timer_stop(person, ended_at=NINE + HOUR, now=NINE + 8 * HOUR)
    assert times(person) == [(NINE, NINE + HOUR)]


@pytest.mark.parametrize("behind", [timedelta(), HOUR])
def test_stop_in_the_second_of_the_start_or_by_a_clock_that_is_behind_leaves_one_second(
    person: User, project: Project, behind: timedelta
) -> None:
    timer_start(person, project=project, now=NINE)
    timer_stop(person, now=NINE - behind)
    assert times(person) == [(NINE, NINE + SECOND)]


@pytest.mark.parametrize("earlier", [timedelta(), MINUTE])
def test_end_that_is_named_and_not_after_the_start_is_refused(person: User, project: Project, earlier: timedelta) -> None:
    timer_start(person, project=project, now=NINE)
    with refused("The timer was started at 2025-03-03 10:00. Choose an end after that, or discard the timer."):
        timer_stop(person, ended_at=NINE - earlier, now=NINE + HOUR)
    assert times(person) == [(NINE, None)]


def test_end_that_is_still_to_come_is_refused(person: User, project: Project) -> None:
    timer_start(person, project=project, now=NINE)
    with refused("2025-03-03 12:00 is still to come, it is 2025-03-03 11:00 now. Choose a time that has passed."):
        timer_stop(person, ended_at=NINE + 2 * HOUR, now=NINE + HOUR)
    assert times(person) == [(NINE, None)]


@pytest.mark.parametrize("switch", [False, True])
def test_break_that_was_entered_beforehand_is_at_most_as_long_as_the_time(person: User, project: Project, switch: bool) -> None:
    entry = timer_start(person, project=project, now=NINE)
    TimeEntry.objects.filter(pk=entry.pk).update(break_seconds=1800)
    if switch:
        timer_start(person, project=project, now=NINE + 10 * MINUTE)
    else:
        timer_stop(person, now=NINE + 10 * MINUTE)
    entry.refresh_from_db()
    assert (entry.ended_at, entry.break_seconds, entry.worked) == (NINE + 10 * MINUTE, 600, timedelta())


def test_timer_that_the_page_did_not_show_is_not_stopped_discarded_or_shifted(person: User, project: Project) -> None:
    shown = timer_start(person, project=project, notes="shown", now=NINE)
    timer_start(person, project=project, notes="started on the phone", now=NINE + HOUR)
    before = times(person)
    attempts: list[Callable[[], object]] = [
        lambda: timer_stop(person, entry_id=shown.pk, now=NINE + 2 * HOUR),
        lambda: timer_discard(person, entry_id=shown.pk),
        lambda: timer_shift(person, entry_id=shown.pk, started_at=NINE - HOUR, now=NINE + 2 * HOUR),
    ]
    for attempt in attempts:
        with refused("By now another timer runs, on SB-WEB since 2025-03-03 11:00. Choose again what to do with that one.") as moved:
            attempt()
        assert isinstance(moved.value, TimerMoved)
    assert times(person) == before


# --- discarding, correcting -------------------------------------------------------------------------------------------


def test_discarded_timer_is_gone_and_a_second_discard_finds_it_so(person: User, project: Project) -> None:
    entry = timer_start(person, project=project, now=NINE)
    timer_discard(person, entry_id=entry.pk)
    timer_discard(person, entry_id=entry.pk)
    assert times(person) == []


def test_timer_that_was_stopped_elsewhere_is_neither_discarded_nor_shifted(person: User, project: Project) -> None:
    entry = timer_start(person, project=project, now=NINE)
    timer_stop(person, now=NINE + HOUR)
    said = "This timer was stopped elsewhere. It is in the list of entries; change or delete it there."
    with refused(said):
        timer_discard(person, entry_id=entry.pk)
    with refused(said):
        timer_shift(person, entry_id=entry.pk, started_at=NINE, now=NINE + HOUR)
    assert times(person) == [(NINE, NINE + HOUR)]


def test_timer_of_another_person_is_out_of_reach(person: User, project: Project) -> None:
    kim = User.objects.create(username="kim")
    theirs = timer_start(kim, project=project, now=NINE)
    assert timer_stop(person, entry_id=theirs.pk) is None
    timer_discard(person, entry_id=theirs.pk)
    with pytest.raises(TimerMoved):
        timer_shift(person, entry_id=theirs.pk, started_at=NINE - HOUR)
    assert times(kim) == [(NINE, None)]


def test_start_of_the_running_timer_can_be_corrected_but_not_into_the_future(person: User, project: Project) -> None:
    entry = timer_start(person, project=project, now=NINE)
    shifted = timer_shift(person, entry_id=entry.pk, started_at=NINE - HOUR + timedelta(milliseconds=3), now=NINE)
    assert (shifted, shifted.started_at) == (entry, NINE - HOUR)
    with refused("2025-03-03 10:01 is still to come, it is 2025-03-03 10:00 now. Choose a time that has passed."):
        timer_shift(person, entry_id=entry.pk, started_at=NINE + MINUTE, now=NINE)
    assert times(person) == [(NINE - HOUR, None)]


def test_what_is_refused_can_be_shown_like_any_validation_error() -> None:
    assert issubclass(TimerMoved, TimerRefused) and issubclass(TimerRefused, ValidationError)


# --- several devices --------------------------------------------------------------------------------------------------


def at_once(*actions: Callable[[], T]) -> list[T]:
    """Run each in a thread and on a connection of its own, all let go together; what they return."""
    together = threading.Barrier(len(actions), timeout=60)

    def run(action: Callable[[], T]) -> T:
        try:
            # The connection is open before the race begins.
            connection.ensure_connection()
            together.wait()
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actions)) as threads:
        return list(threads.map(run, actions))


DEVICES = 6


@pytest.mark.django_db(transaction=True)
def test_starts_at_the_same_instant_all_succeed_and_one_timer_runs(person: User, project: Project) -> None:
    for turn in range(5):
        now = NINE + turn * HOUR
        entries = at_once(*[partial(timer_start, person, project=project, now=now)] * DEVICES)
        assert len({entry.pk for entry in entries}) == DEVICES

    found = times(person)
    assert len(found) == 5 * DEVICES
    assert [ended_at for _, ended_at in found] == [started_at for started_at, _ in found[1:]] + [None]


@pytest.mark.django_db(transaction=True)
def test_stops_at_the_same_instant_stop_once(person: User, project: Project) -> None:
    for turn in range(5):
        now = NINE + turn * HOUR
        entry = timer_start(person, project=project, now=now)
        stopped = at_once(*[partial(timer_stop, person, entry_id=entry.pk, now=now + MINUTE)] * DEVICES)
        assert [found for found in stopped if found is not None] == [entry]
    assert times(person) == [(NINE + turn * HOUR, NINE + turn * HOUR + MINUTE) for turn in range(5)]


@pytest.mark.django_db(transaction=True)
def test_a_stop_beside_starts_stops_the_timer_it_means_or_none(person: User, project: Project) -> None:
    shown = timer_start(person, project=project, now=NINE)

    def start() -> str:
        timer_start(person, project=project, now=NINE + HOUR)
        return "started"

    def stop() -> str:
        try:
            return "stopped" if timer_stop(person, entry_id=shown.pk, now=NINE + HOUR) else "none ran"
        except TimerMoved:
            return "moved"

    results = at_once(*[start, stop] * 3)
    assert results.count("started") == 3 and results.count("stopped") <= 1
    shown.refresh_from_db()
    assert shown.ended_at == NINE + HOUR
    assert TimeEntry.objects.filter(user=person, ended_at__isnull=True).count() == 1
    found = times(person)
    assert all(ended_at <= following for (_, ended_at), (following, _) in zip(found, found[1:], strict=False) if ended_at)


@pytest.mark.django_db(transaction=True)
def test_a_discard_beside_a_stop_and_a_switch_leaves_no_timer_and_no_entry_twice(person: User, project: Project) -> None:
    entry = timer_start(person, project=project, now=NINE)

    def discard() -> str:
        try:
            timer_discard(person, entry_id=entry.pk)
        except TimerMoved:
            return "kept"
        return "deleted"

    def stop() -> str:
        try:
            return "stopped" if timer_stop(person, entry_id=entry.pk, now=NINE + HOUR) else "none ran"
        except TimerMoved:
            return "moved"

    results = at_once(discard, stop, discard, stop)
    assert running_for(person) is None
    is_there = TimeEntry.objects.filter(pk=entry.pk).exists()
    assert is_there == ("stopped" in results) == ("deleted" not in results)


@pytest.mark.django_db(transaction=True)
def test_timers_of_several_people_start_at_once(project: Project) -> None:
    people = [User.objects.create(username=f"person{number}") for number in range(DEVICES)]
    at_once(*[partial(timer_start, one, project=project, now=NINE) for one in people])
    assert TimeEntry.objects.filter(ended_at__isnull=True).count() == DEVICES
