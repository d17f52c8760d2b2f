"""Who may change which entry, copies, changes of many at once, and overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from timetracker.accounts.models import User
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.tests.invoices import item_on
from timetracker.tracking.entries import (
    EntryRefused,
    entries_change,
    entries_delete,
    entry_delete,
    entry_duplicate,
    entry_refusal,
    entry_save,
    overlap_warning,
    overlaps_of,
    tagged,
)
from timetracker.tracking.models import Project, Task, TimeEntry

pytestmark = pytest.mark.django_db

NINE = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def permitted(user: User, *codenames: str) -> User:
    """Give ``user`` these permissions alone, and read her anew: Django keeps them."""
    content_type = ContentType.objects.get_for_model(TimeEntry)
    user.user_permissions.set(
        [Permission.objects.get_or_create(content_type=content_type, codename=name, defaults={"name": name})[0] for name in codenames]
    )
    return User.objects.get(pk=user.pk)


@pytest.fixture
def person(person: User) -> User:
    return permitted(person, "add_timeentry", "change_timeentry", "delete_timeentry")


@pytest.fixture
def lead(db: None) -> User:
    """One who sees the time of everybody."""
    user = User.objects.create(username="lead")
    return permitted(user, "add_timeentry", "change_timeentry", "delete_timeentry", "view_all_entries")


@pytest.fixture
def other(project: Project) -> Project:
    return Project.objects.create(client=project.client, name="App", code="SB-APP")


def make(user: User, project: Project, begins: datetime = NINE, length: timedelta = HOUR, **fields: object) -> TimeEntry:
    return TimeEntry.objects.create(user=user, project=project, started_at=begins, ended_at=begins + length, **fields)


def bill(entry: TimeEntry, status: str = "draft") -> InvoiceItem:
    invoice = Invoice.objects.create(number="INV-0007", client=entry.project.client, due_on=date(2099, 1, 1), status=status)
    entry.invoice_item = item_on(invoice, description="Work", unit_price=Decimal(90))
    entry.save()
    return entry.invoice_item


@contextmanager
def refused(said: str) -> Iterator[None]:
    with pytest.raises(EntryRefused) as found:
        yield
    assert found.value.messages == [said]


ON_DRAFT = "This time is on a draft of an invoice: INV-0007. Take it off the draft first."
ON_INVOICE = "This time is on invoice INV-0007, which has been issued. Enter the difference as new time."
OF_OTHERS = "You may not change time of other people. Ask them, or somebody who sees everybody's time."


# --- who may ----------------------------------------------------------------------------------------------------------


def test_own_time_may_be_changed_and_that_of_others_by_who_sees_everybodys(person: User, project: Project, lead: User) -> None:
    entry = make(person, project)
    assert entry_refusal(entry, person) == ""
    assert entry_refusal(entry, lead) == ""
    kim = permitted(User.objects.create(username="kim"), "change_timeentry")
    assert entry_refusal(entry, kim) == OF_OTHERS


def test_who_may_see_everything_and_change_nothing_changes_nothing(person: User, project: Project) -> None:
    reader = permitted(User.objects.create(username="reader"), "view_timeentry", "view_all_entries")
    no_change = "You may not change time entries. Ask somebody who gives out roles."
    assert entry_refusal(make(person, project), reader) == no_change
    assert entry_refusal(make(reader, project), reader) == no_change
    new = TimeEntry(user=reader, project=project, started_at=NINE, ended_at=NINE + HOUR)
    assert entry_refusal(new, reader) == "You may not add time entries. Ask somebody who gives out roles."


@pytest.mark.parametrize(("status", "said"), [("draft", ON_DRAFT), ("sent", ON_INVOICE), ("paid", ON_INVOICE), ("cancelled", ON_INVOICE)])
def test_billed_time_may_be_changed_by_nobody(person: User, project: Project, lead: User, status: str, said: str) -> None:
    entry = make(person, project)
    bill(entry, status)
    boss = User.objects.create(username="boss", is_superuser=True)
    assert [entry_refusal(entry, user) for user in (person, lead, boss)] == [said] * 3


def test_member_may_change_her_entries_by_the_role_that_migrations_make(project: Project) -> None:
    user = User.objects.create(username="member")
    user.groups.add(Group.objects.get(name="Member"))
    assert entry_refusal(make(user, project), user) == ""
    assert entry_refusal(make(User.objects.create(username="kim"), project), user) == OF_OTHERS


# --- one entry --------------------------------------------------------------------------------------------------------


def test_saved_entry_is_in_whole_seconds_and_its_tags_in_one_form(person: User, project: Project) -> None:
    half = timedelta(milliseconds=500)
    entry = TimeEntry(user=person, project=project, started_at=NINE + half, ended_at=NINE + HOUR + half, tags="web,,css")
    assert entry_save(entry, user=person) is entry
    entry.refresh_from_db()
    assert (entry.started_at, entry.ended_at, entry.tags) == (NINE, NINE + HOUR, "web, css")


def test_entry_of_less_than_a_second_is_refused(person: User, project: Project) -> None:
    entry = TimeEntry(user=person, project=project, started_at=NINE, ended_at=NINE + timedelta(milliseconds=900))
    with pytest.raises(ValidationError) as found:
        entry_save(entry, user=person)
    assert found.value.messages == ["The end must be after the start."]
    assert not TimeEntry.objects.exists()


def test_entry_that_was_billed_since_it_was_read_is_not_changed(person: User, project: Project) -> None:
    entry = make(person, project, notes="as billed")
    bill(TimeEntry.objects.get(pk=entry.pk), "sent")
    entry.notes = "changed"
    with refused(ON_INVOICE):
        entry_save(entry, user=person)
    with refused(ON_INVOICE):
        entry_delete(entry, user=person)
    entry.refresh_from_db()
    assert entry.notes == "as billed" and entry.invoice_item is not None


def test_entry_is_not_put_on_an_invoice_by_saving_it(person: User, project: Project) -> None:
    item = bill(make(person, project))
    entry = make(person, project, NINE + HOUR)
    entry.invoice_item = item
    with refused(ON_DRAFT):
        entry_save(entry, user=person)
    entry.refresh_from_db()
    assert entry.invoice_item is None


def test_entry_of_somebody_else_is_neither_changed_nor_taken_nor_given_nor_deleted(person: User, project: Project) -> None:
    kim = User.objects.create(username="kim")
    entry = make(kim, project)
    entry.notes = "changed"
    with refused(OF_OTHERS):
        entry_save(entry, user=person)
    entry.user = person
    with refused(OF_OTHERS):
        entry_save(entry, user=person)
    with refused(OF_OTHERS.replace("change", "delete")):
        entry_delete(entry, user=person)
    with refused(OF_OTHERS.replace("change", "add")):
        entry_save(TimeEntry(user=kim, project=project, started_at=NINE, ended_at=NINE + HOUR), user=person)
    own = make(person, project)
    own.user = kim
    with refused(OF_OTHERS):
        entry_save(own, user=person)
    assert sorted(TimeEntry.objects.values_list("user__username", "notes")) == [("kim", ""), ("robin", "")]


def test_lead_changes_gives_and_deletes_entries_of_others(person: User, project: Project, lead: User) -> None:
    entry = make(person, project)
    entry.user, entry.notes = lead, "was mine"
    entry_save(entry, user=lead)
    entry.refresh_from_db()
    assert (entry.user, entry.notes) == (lead, "was mine")
    entry_delete(make(person, project), user=lead)
    assert TimeEntry.objects.get() == entry


def test_entry_that_was_deleted_elsewhere_is_not_made_again(person: User, project: Project) -> None:
    entry = make(person, project)
    TimeEntry.objects.all().delete()
    for attempt in (entry_save, entry_delete):
        with refused("This entry has been deleted meanwhile. Reload the page."):
            attempt(entry, user=person)
    assert not TimeEntry.objects.exists()


def test_project_that_is_not_active_takes_no_new_time_and_lets_its_own_be_corrected(person: User, project: Project, other: Project) -> None:
    entry, moved = make(person, project), make(person, other)
    Project.objects.filter(pk=project.pk).update(status="closed")
    said = "SB-WEB is closed and takes no new time. Choose an active project, or have this one opened again."
    with refused(said):
        entry_save(TimeEntry(user=person, project=project, started_at=NINE, ended_at=NINE + HOUR), user=person)
    moved.project = project
    with refused(said):
        entry_save(moved, user=person)
    with refused(said):
        entry_duplicate(entry, user=person)
    entry.notes = "corrected"
    entry_save(entry, user=person)
    assert TimeEntry.objects.get(notes="corrected") == entry
    assert TimeEntry.objects.count() == 2


def test_entry_may_overlap_another_and_is_refused_for_what_the_model_refuses(person: User, project: Project, other: Project) -> None:
    make(person, project)
    entry = TimeEntry(user=person, project=project, started_at=NINE, ended_at=NINE + HOUR)
    entry_save(entry, user=person)
    entry.task = Task.objects.create(project=other, name="Login")
    with pytest.raises(ValidationError) as found:
        entry_save(entry, user=person)
    assert found.value.message_dict == {"task": ["This task belongs to another project."]}


# --- copies -----------------------------------------------------------------------------------------------------------


def test_copy_is_a_new_entry_by_hand_that_is_on_no_invoice(person: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates")
    entry = make(person, project, task=task, notes="Header", tags="web", break_seconds=600, source="timer")
    bill(entry, "sent")
    copy = entry_duplicate(entry, user=person)
    copy.refresh_from_db()
    assert copy.pk != entry.pk
    assert (copy.user, copy.project, copy.task, copy.notes, copy.tags) == (person, project, task, "Header", "web")
    assert (copy.started_at, copy.ended_at, copy.break_seconds, copy.billable) == (NINE, NINE + HOUR, 600, True)
    assert (copy.invoice_item, copy.source) == (None, "manual")


@pytest.mark.parametrize(
    ("day", "begins"),
    [
        (date(2025, 3, 31), datetime(2025, 3, 31, 0, 30, tzinfo=UTC)),
        # 2:30 is left out on that day, and 3:30 it is.
        (date(2025, 3, 30), datetime(2025, 3, 30, 1, 30, tzinfo=UTC)),
        (date(2025, 10, 26), datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
    ],
)
def test_copy_on_another_day_begins_at_the_same_clock_time_and_is_as_long(
    person: User, project: Project, lead: User, day: date, begins: datetime
) -> None:
    User.objects.filter(pk=person.pk).update(time_zone="Europe/Berlin")
    person.refresh_from_db()
    entry = make(person, project, datetime(2025, 3, 3, 1, 30, tzinfo=UTC), 3 * HOUR)
    copy = entry_duplicate(entry, user=lead, day=day)
    assert (copy.user, copy.started_at, copy.ended_at) == (person, begins, begins + 3 * HOUR)


def test_timer_that_runs_is_not_copied(person: User, project: Project) -> None:
    running = TimeEntry.objects.create(user=person, project=project, started_at=NINE)
    with refused("This timer still runs. Stop it first, then copy it."):
        entry_duplicate(running, user=person)


def test_entry_of_somebody_else_is_not_copied(person: User, project: Project) -> None:
    with refused(OF_OTHERS.replace("change", "add")):
        entry_duplicate(make(User.objects.create(username="kim"), project), user=person)


# --- many entries -----------------------------------------------------------------------------------------------------


def test_many_entries_change_in_one_query(person: User, project: Project, other: Project) -> None:
    kept = Task.objects.create(project=other, name="Login")
    entries = [make(person, project, task=Task.objects.create(project=project, name="Header")), make(person, other, task=kept)]
    before = entries[0].updated_at
    with CaptureQueriesContext(connection) as queries:
        assert entries_change(TimeEntry.objects.filter(project__client=project.client), user=person, project=other, billable=False) == 2
    assert len([query for query in queries if query["sql"].startswith("UPDATE")]) == 1
    for entry in entries:
        entry.refresh_from_db()
    assert [(entry.project, entry.task, entry.billable) for entry in entries] == [(other, None, False), (other, kept, False)]
    assert entries[0].updated_at > before


def test_tag_is_added_once_and_capital_letters_make_another(person: User, project: Project) -> None:
    tags = ["", "web", "css, web", "webs", "Web", "a, web, b"]
    entries = [make(person, project, tags=some) for some in tags]
    assert entries_change(TimeEntry.objects.all(), user=person, add_tag=" web ") == 6
    found = [TimeEntry.objects.get(pk=entry.pk).tags for entry in entries]
    assert found == ["web", "web", "css, web", "webs, web", "Web, web", "a, web, b"]
    assert TimeEntry.objects.filter(tagged("Web")).count() == 1
    assert TimeEntry.objects.filter(tagged("web")).count() == 6
    assert TimeEntry.objects.filter(tagged("we")).count() == 0


def test_tag_that_does_not_fit_changes_nothing(person: User, project: Project) -> None:
    make(person, project, tags="x" * 196)
    make(person, project)
    with refused("With “web” the tags of some entries would be longer than 200 characters."):
        entries_change(TimeEntry.objects.all(), user=person, add_tag="web")
    for tag in ("a, b", " "):
        with refused("One tag can be added, without a comma. Add several one after the other."):
            entries_change(TimeEntry.objects.all(), user=person, add_tag=tag)
    assert not TimeEntry.objects.filter(tagged("web")).exists()
    TimeEntry.objects.filter(tags="x" * 196).update(tags="x" * 195)
    assert entries_change(TimeEntry.objects.all(), user=person, add_tag="web") == 2


def test_one_billed_entry_keeps_all_from_being_changed_or_deleted(person: User, project: Project, lead: User) -> None:
    bill(make(person, project))
    make(person, project)
    said = "1 of these 2 entries are on an invoice and do not change. Choose the others alone."
    with refused(said):
        entries_change(TimeEntry.objects.all(), user=lead, billable=False)
    with refused(said):
        entries_delete(TimeEntry.objects.all(), user=lead)
    assert TimeEntry.objects.filter(billable=True).count() == 2


def test_one_entry_of_somebody_else_keeps_all_from_being_changed_or_deleted(person: User, project: Project, lead: User) -> None:
    make(User.objects.create(username="kim"), project)
    make(person, project)
    with refused(OF_OTHERS):
        entries_change(TimeEntry.objects.all(), user=person, billable=False)
    with refused(OF_OTHERS.replace("change", "delete")):
        entries_delete(TimeEntry.objects.all(), user=person)
    assert TimeEntry.objects.filter(billable=True).count() == 2
    assert entries_change(TimeEntry.objects.all(), user=lead, billable=False) == 2
    assert entries_delete(TimeEntry.objects.all(), user=lead) == 2
    assert not TimeEntry.objects.exists()


def test_many_entries_do_not_move_to_a_project_that_is_not_active(person: User, project: Project, other: Project) -> None:
    make(person, project)
    Project.objects.filter(pk=other.pk).update(status="paused")
    with refused("SB-APP is paused and takes no new time. Choose an active project, or have this one opened again."):
        entries_change(TimeEntry.objects.all(), user=person, project=other)
    assert TimeEntry.objects.get().project == project


def test_no_entries_are_changed_and_deleted_as_none(person: User) -> None:
    assert entries_change(TimeEntry.objects.all(), user=person, billable=False) == 0
    assert entries_delete(TimeEntry.objects.all(), user=person) == 0


# --- overlaps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begins", "ends", "overlaps"),
    [
        (-HOUR, timedelta(), False),
        (-HOUR, SECOND, True),
        (timedelta(), HOUR, True),
        (MINUTE, 2 * MINUTE, True),
        (-HOUR, 2 * HOUR, True),
        (HOUR - SECOND, 2 * HOUR, True),
        (HOUR, 2 * HOUR, False),
        (-HOUR, None, True),
        (HOUR - SECOND, None, True),
        (HOUR, None, False),
    ],
)
def test_entries_that_share_time_overlap_and_those_that_touch_do_not(
    person: User, project: Project, begins: timedelta, ends: timedelta | None, overlaps: bool
) -> None:
    first = make(person, project)
    second = TimeEntry(user=person, project=project, started_at=NINE + begins, ended_at=None if ends is None else NINE + ends)
    assert list(overlaps_of(second)) == ([first] if overlaps else [])
    second.save()
    assert list(overlaps_of(second)) == ([first] if overlaps else [])
    assert list(overlaps_of(first)) == ([second] if overlaps else [])


def test_time_of_another_person_does_not_overlap(person: User, project: Project) -> None:
    make(User.objects.create(username="kim"), project)
    assert overlap_warning(make(person, project)) == ""


def test_warning_names_up_to_three_entries_on_the_persons_clock(person: User, project: Project) -> None:
    User.objects.filter(pk=person.pk).update(time_zone="Europe/Berlin")
    person.refresh_from_db()
    entry = make(person, project, length=4 * HOUR)
    for number in range(2):
        make(person, project, NINE + number * HOUR)
    TimeEntry.objects.create(user=person, project=project, started_at=NINE + 2 * HOUR)
    named = "SB-WEB 2025-03-03 10:00–11:00, SB-WEB 2025-03-03 11:00–12:00, SB-WEB 2025-03-03 12:00–now"
    assert overlap_warning(entry) == f"Shares time with {named}. Both count in full."
    make(person, project, NINE + 3 * HOUR)
    assert overlap_warning(entry) == f"Shares time with {named} and more. Both count in full."
