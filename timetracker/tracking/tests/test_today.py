"""Today, as a browser asks for it: the timer, entries edited in place, the week against its target."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backups import gate
from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give
from timetracker.billing.models import Invoice
from timetracker.clients.models import Client
from timetracker.staff_frame import staff_frame
from timetracker.tests.invoices import item_on
from timetracker.tests.people import browser_of, somebody
from timetracker.tracking.models import Project, Task, TimeEntry
from timetracker.tracking.pages.day_sheet import day_sheet, forgotten_because
from timetracker.tracking.pages.work import WorkField, work_groups, work_options
from timetracker.tracking.timer import running_for
from timetracker.tracking.visibility import entries_seen_by
from timetracker.tracking.week_target import WeekTarget

pytestmark = pytest.mark.django_db

TODAY = "/"
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/"}


def zone_at_noon() -> str:
    """A time zone in which it is past noon, before one: no test meets midnight."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"


@pytest.fixture
def robin(project: Project) -> User:
    """A member."""
    user = User.objects.create_user("robin.m", is_staff=True, full_name="Robin Sample", time_zone=zone_at_noon())
    role_give(user, Role.MEMBER)
    return user


@pytest.fixture
def browser(robin: User) -> Browser:
    browser = Browser()
    browser.force_login(robin)
    return browser


def at(user: User, clock: str) -> datetime:
    """Today's point in time at which her clock shows that."""
    hours, minutes = map(int, clock.split(":"))
    return timezone.now().astimezone(ZoneInfo(user.time_zone)).replace(hour=hours, minute=minutes, second=0, microsecond=0)


def entry_of(user: User, project: Project, begin: str, end: str, **fields: Any) -> TimeEntry:
    return TimeEntry.objects.create(user=user, project=project, started_at=at(user, begin), ended_at=at(user, end), **fields)


def running(user: User, project: Project, *, minutes: int, **fields: Any) -> TimeEntry:
    started_at = timezone.now().replace(microsecond=0) - timedelta(minutes=minutes)
    return TimeEntry.objects.create(user=user, project=project, started_at=started_at, source="timer", **fields)


def post(browser: Browser, name: str, pk: int | None = None, **form: object) -> str:
    """Send a form as a browser without JavaScript does; the page that it leads to."""
    return browser.post(reverse(f"staff:{name}", args=[pk] if pk else []), form, follow=True).content.decode()


# --- the timer --------------------------------------------------------------------------------------------------------


def test_a_site_without_projects_leads_to_where_they_are_made() -> None:
    said = {role: browser_of(somebody(role.value, role)).get(TODAY).content.decode() for role in (Role.MANAGER, Role.MEMBER)}
    assert all("There is no project to work on yet." in page and "Nothing yet today." not in page for page in said.values())
    leads = {role: page.split('id="entries"')[1].count(f'href="{reverse("staff:projects")}"') for role, page in said.items()}
    assert leads == {Role.MANAGER: 1, Role.MEMBER: 0}


def test_an_empty_day_says_what_to_do_next(browser: Browser) -> None:
    page = browser.get(TODAY).content.decode()
    assert "Nothing yet today." in page and "<script>" not in page and " style=" not in page


def test_who_records_no_time_is_not_told_to_start_a_timer(project: Project) -> None:
    page = browser_of(somebody("kim", Role.BOOKKEEPER)).get(TODAY).content.decode()
    entries = page.split('id="entries"')[1]
    assert "Nothing of yours today." in entries and f'href="{reverse("staff:entries")}"' in entries
    assert "start the timer" not in page and 'id="start"' not in page


def test_work_is_started_and_stopped(browser: Browser, robin: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates")
    page = post(browser, "start", work=f"{project.pk}-{task.pk}", notes="first draft", time="")
    started = running_for(robin)
    assert started and (started.project, started.task, started.notes, started.source) == (project, task, "first draft", "timer")
    assert 'role="timer"' in page and f'data-running="{started.pk}"' in page
    page = post(browser, "stop", entry=started.pk)
    assert running_for(robin) is None and "Stopped after 0:00." in page and 'role="timer"' not in page


def test_a_timer_that_is_stopped_at_once_is_not_said_to_end_in_the_future(browser: Browser, robin: User, project: Project) -> None:
    # Stopped before the second of its start is over: it ends one second after that, still in this minute.
    began = timezone.now().replace(second=58, microsecond=0)
    timer = TimeEntry.objects.create(user=robin, project=project, started_at=began, source="timer")
    page = post(browser, "stop", entry=timer.pk)
    assert "Stopped after 0:00." in page and "in the future" not in page


def test_the_list_of_keys_says_where_the_timer_is_stopped_by_one(browser: Browser, robin: User, project: Project) -> None:
    running(robin, project, minutes=1)
    today, week = (browser.get(address).content.decode() for address in (TODAY, reverse("staff:week")))
    assert 'data-key="s"' in today and 'data-key="s"' not in week
    assert all("<dt><kbd>s</kbd></dt><dd>On Today: stop the timer</dd>" in page for page in (today, week))


def test_what_was_done_last_is_remembered_and_one_post_starts_it(browser: Browser, robin: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates")
    entry_of(robin, project, "9:00", "10:00", task=task, notes="first <draft>")
    page = browser.get(TODAY).content.decode()
    assert f'<option value="{project.pk}-{task.pk}" selected>' in page and 'value="first &lt;draft&gt;"' in page
    assert page.count(" selected>") == 1


def test_starting_while_a_timer_runs_is_a_switch_and_leads_back(browser: Browser, robin: User, project: Project) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    entry_of(robin, project, "9:00", "10:00", notes="before the call")
    first = running(robin, other, minutes=30)
    page = browser.get(TODAY).content.decode()
    assert f'<option value="{project.pk}" selected>' in page and ">Switch<" in page
    page = post(browser, "start", work=project.pk, notes="before the call", time="")
    first.refresh_from_db()
    now_running = running_for(robin)
    assert now_running and now_running.project == project and first.ended_at == now_running.started_at
    assert "Switched from SB-APP App to SB-WEB Website relaunch." in page


def test_a_timer_that_another_tab_has_changed_is_not_stopped_from_here(browser: Browser, robin: User, project: Project) -> None:
    shown = entry_of(robin, project, "9:00", "10:00")
    now_running = running(robin, project, minutes=5)
    for name in ("stop", "discard"):
        page = post(browser, name, entry=shown.pk)
        assert 'class="message error"' in page
    post(browser, "shift", entry=shown.pk, day=f"{at(robin, '8:00'):%Y-%m-%d}", time="08:00")
    now_running.refresh_from_db()
    assert now_running.is_running and TimeEntry.objects.count() == 2


def test_the_start_is_moved_to_a_local_time(browser: Browser, robin: User, project: Project) -> None:
    timer = running(robin, project, minutes=1)
    page = post(browser, "shift", entry=timer.pk, day=f"{at(robin, '9:05'):%Y-%m-%d}", time="09:05")
    timer.refresh_from_db()
    assert timer.started_at == at(robin, "9:05") and "counts from 09:05" in page and "Shares time" not in page


def test_a_start_that_is_moved_over_another_entry_is_told(browser: Browser, robin: User, project: Project) -> None:
    entry_of(robin, project, "9:00", "10:00")
    timer = running(robin, project, minutes=1)
    page = post(browser, "shift", entry=timer.pk, day=f"{at(robin, '9:30'):%Y-%m-%d}", time="09:30")
    timer.refresh_from_db()
    day = f"{at(robin, '9:00'):%Y-%m-%d}"
    assert timer.started_at == at(robin, "9:30") and f"Shares time with SB-WEB {day} 09:00–10:00. Both count in full." in page


def test_a_start_that_is_still_to_come_is_refused_beside_what_was_typed(browser: Browser, robin: User, project: Project) -> None:
    timer = running(robin, project, minutes=1)
    tomorrow = f"{at(robin, '12:00') + timedelta(days=1):%Y-%m-%d}"
    page = post(browser, "shift", entry=timer.pk, day=tomorrow, time="23:59")
    form = page.split('<details class="running-more"')[1].split("</details>")[0]
    assert "is still to come" in form and 'class="errorlist"' in form and form.startswith(" open>")
    assert f'value="{tomorrow}"' in form and 'value="23:59"' in form
    began = timer.started_at
    timer.refresh_from_db()
    assert timer.started_at == began


@pytest.mark.parametrize("minutes", [24 * 60, 1], ids=["forgotten", "moved meanwhile by another tab"])
def test_an_end_before_the_start_is_refused_beside_what_was_typed(browser: Browser, robin: User, project: Project, minutes: int) -> None:
    timer = running(robin, project, minutes=minutes)
    early = timer.started_at.astimezone(ZoneInfo(robin.time_zone)) - timedelta(hours=1)
    page = post(browser, "stop", entry=timer.pk, day=f"{early:%Y-%m-%d}", time=f"{early:%H:%M}")
    form = page.split('class="message running-notice"')[1].split("</form>")[0]
    assert "Choose an end after that" in form and 'class="errorlist"' in form
    assert f'value="{early:%Y-%m-%d}"' in form and f'value="{early:%H:%M}"' in form
    timer.refresh_from_db()
    assert timer.is_running


def test_a_moment_that_is_none_keeps_what_was_typed(browser: Browser, robin: User, project: Project) -> None:
    timer = running(robin, project, minutes=1)
    page = post(browser, "shift", entry=timer.pk, day="2025-02-30", time="9:05")
    assert "Enter a valid date." in page and 'value="2025-02-30"' in page and "<details" in page and " open>" in page


def test_discarding_keeps_no_time(browser: Browser, robin: User, project: Project) -> None:
    timer = running(robin, project, minutes=1)
    assert "discarded" in post(browser, "discard", entry=timer.pk)
    assert not TimeEntry.objects.exists()


def test_a_forgotten_timer_is_told_and_stopped_when_the_work_ended(browser: Browser, robin: User, project: Project) -> None:
    timer = running(robin, project, minutes=24 * 60)
    page = browser.get(TODAY).content.decode()
    assert "Forgotten?" in page and "since before midnight" in page
    end = timer.started_at.astimezone(ZoneInfo(robin.time_zone)) + timedelta(hours=2)
    post(browser, "stop", entry=timer.pk, day=f"{end:%Y-%m-%d}", time=f"{end:%H:%M}")
    timer.refresh_from_db()
    assert timer.ended_at == end.replace(second=0)


@pytest.mark.parametrize(
    ("began", "now", "because"),
    [
        ("2025-03-03 09:00", "2025-03-03 18:59", ""),
        ("2025-03-03 09:00", "2025-03-03 19:00", ""),
        ("2025-03-03 09:00", "2025-03-03 19:01", "more than 10 hours"),
        ("2025-03-03 23:59", "2025-03-04 00:00", "before midnight"),
    ],
)
def test_when_a_timer_counts_as_forgotten(began: str, now: str, because: str) -> None:
    zone = ZoneInfo("Pacific/Auckland")
    moments = [datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC) for text in (began, now)]
    found = forgotten_because(TimeEntry(started_at=moments[0]), moments[1], zone)
    assert because in found and bool(because) == bool(found)


def test_without_a_named_timer_nothing_is_stopped(browser: Browser, robin: User, project: Project) -> None:
    running(robin, project, minutes=1)
    for entry in ("", "x", "²", "9" * 30):
        assert browser.post(reverse("staff:stop"), {"entry": entry}).status_code == 404
    assert running_for(robin)


def test_the_clock_says_the_servers_time_and_what_runs(browser: Browser, robin: User, project: Project) -> None:
    before = timezone.now()
    assert browser.get(reverse("staff:clock")).json()["running"] is None
    timer = running(robin, project, minutes=1)
    answer = browser.get(reverse("staff:clock"))
    said = answer.json()
    assert said["running"] == timer.pk and "no-store" in answer.headers["Cache-Control"]
    assert before.timestamp() * 1000 - 1 <= said["now"] <= timezone.now().timestamp() * 1000


@pytest.mark.parametrize(("minutes", "is_forgotten"), [(5, False), (601, True)])
def test_a_page_that_stays_open_learns_of_a_new_day_and_of_a_forgotten_timer(
    browser: Browser, robin: User, project: Project, minutes: int, is_forgotten: bool
) -> None:
    # The script in the page compares these with what the page was made of, and loads it anew where they differ.
    assert f'data-day="{at(robin, "0:00"):%Y-%m-%d}" data-running="">' in browser.get(TODAY).content.decode()
    timer = running(robin, project, minutes=minutes)
    said, page = browser.get(reverse("staff:clock")).json(), browser.get(TODAY).content.decode()
    assert (said["day"], said["running"], said["forgotten"]) == (f"{at(robin, '0:00'):%Y-%m-%d}", timer.pk, is_forgotten)
    shown = f'data-day="{said["day"]}" data-running="{timer.pk}"'
    assert (f"{shown}>" in page, f"{shown} data-forgotten>" in page) == (not is_forgotten, is_forgotten)


def test_the_clock_in_the_page_counts_from_the_start_without_the_break(browser: Browser, robin: User, project: Project) -> None:
    timer = running(robin, project, minutes=90, break_seconds=600)
    since = int(timer.started_at.timestamp() * 1000) + 600_000
    for page in (TODAY, reverse("staff:account")):
        assert f'data-since="{since}" data-show="seconds"' in browser.get(page).content.decode()


# --- booking and editing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "begin", "end"), [("9-10:30", "9:00", "10:30"), ("8:15–9", "8:15", "9:00")])
def test_time_that_is_over_is_booked_at_its_clock_times(
    browser: Browser, robin: User, project: Project, text: str, begin: str, end: str
) -> None:
    page = post(browser, "start", work=project.pk, notes="by hand", time=text)
    booked = TimeEntry.objects.get()
    assert (booked.started_at, booked.ended_at) == (at(robin, begin), at(robin, end))
    assert (booked.user, booked.source, booked.notes, booked.billable) == (robin, "manual", "by hand", True)
    assert "booked on SB-WEB" in page and running_for(robin) is None


def test_a_length_is_booked_up_to_now(browser: Browser, project: Project) -> None:
    post(browser, "start", work=project.pk, notes="", time="1,5")
    booked = TimeEntry.objects.get()
    assert booked.worked == timedelta(minutes=90)
    assert booked.ended_at and timedelta() <= timezone.now() - booked.ended_at < timedelta(minutes=2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"time": "soon"}, "is no time"),
        ({"work": ""}, "Choose what you work on."),
        ({"work": "999999"}, "takes no time any more"),
        ({"work": "0"}, "Choose a project or a task from the list."),
        ({"work": "1-x"}, "Choose a project or a task from the list."),
        ({"notes": "x" * 20_001}, "at most 20000 characters"),
        ({"time": "0"}, "The end must be after the start."),
    ],
)
def test_what_cannot_be_booked_is_said_and_what_was_typed_stays(
    browser: Browser, project: Project, wrong: dict[str, str], said: str
) -> None:
    typed: dict[str, Any] = {"work": project.pk, "notes": "typed <words>", "time": "", **wrong}
    page = post(browser, "start", **typed)
    assert said in page and not TimeEntry.objects.exists()
    if "notes" not in wrong:
        assert 'value="typed &lt;words&gt;"' in page


def test_a_closed_project_takes_no_time(browser: Browser, project: Project) -> None:
    Project.objects.update(status=Project.Status.CLOSED)
    assert "takes no time any more" in post(browser, "start", work=project.pk, notes="", time="")
    assert not TimeEntry.objects.exists()


@pytest.fixture
def entry(robin: User, project: Project) -> TimeEntry:
    """An entry of a timer: with seconds that no form shows."""
    entry = entry_of(robin, project, "9:00", "10:00", notes="draft", tags="remote", break_seconds=600)
    entry.started_at += timedelta(seconds=23)
    entry.ended_at = at(robin, "10:00") + timedelta(seconds=41)
    entry.save()
    return entry


def form_of(entry: TimeEntry, **changes: object) -> dict[str, object]:
    """What the form sends when nothing but ``changes`` is touched."""
    own = {"work": entry.project_id, "time": "09:00–10:00", "break_minutes": 10, "notes": entry.notes, "tags": entry.tags, "billable": "on"}
    return own | changes


def test_the_form_opens_in_its_row(browser: Browser, entry: TimeEntry) -> None:
    page = browser.get(f"{TODAY}?edit={entry.pk}").content.decode()
    assert 'value="09:00–10:00"' in page and 'value="10"' in page and ">draft</textarea>" in page and 'value="remote"' in page
    assert browser.get(reverse("staff:entry", args=[entry.pk])).headers["Location"] == f"/?edit={entry.pk}"
    assert "entry-form" not in browser.get(f"{TODAY}?edit=999999").content.decode()


def test_a_form_that_is_refused_after_midnight_stays_with_what_was_typed(browser: Browser, robin: User, project: Project) -> None:
    began = timezone.now() - timedelta(days=1)
    entry = TimeEntry.objects.create(user=robin, project=project, started_at=began, ended_at=began + timedelta(hours=1))
    form = {"work": str(project.pk), "time": "soon", "notes": "typed before midnight"}
    for headers in ({}, HTMX):
        page = browser.post(reverse("staff:entry", args=[entry.pk]), form, headers=headers).content.decode()
        assert "“soon” is no time." in page and ">typed before midnight</textarea>" in page


def test_times_that_nobody_touched_keep_their_seconds(browser: Browser, entry: TimeEntry) -> None:
    page = post(browser, "entry", entry.pk, **form_of(entry, notes="final"))
    changed = TimeEntry.objects.get()
    assert (changed.notes, changed.started_at, changed.ended_at) == ("final", entry.started_at, entry.ended_at)
    assert "Saved." in page


def test_times_are_typed_as_from_and_to_or_as_a_length(browser: Browser, robin: User, entry: TimeEntry) -> None:
    post(browser, "entry", entry.pk, **form_of(entry, time="8-9:30", tags="a,b , a"))
    changed = TimeEntry.objects.get()
    assert (changed.started_at, changed.ended_at, changed.tags) == (at(robin, "8:00"), at(robin, "9:30"), "a, b")
    post(browser, "entry", entry.pk, **form_of(entry, time="2h", break_minutes=15))
    changed.refresh_from_db()
    assert changed.worked == timedelta(hours=2) and changed.ended_at == at(robin, "10:15")


def test_what_cannot_be_saved_is_said_beside_the_form(browser: Browser, entry: TimeEntry) -> None:
    for changes, said in (
        ({"time": "later"}, "is no time"),
        ({"time": ""}, "This field is required."),
        ({"break_minutes": 61}, "The break is longer than the entry."),
        ({"work": "999999"}, "takes no time any more"),
    ):
        page = post(browser, "entry", entry.pk, **form_of(entry, notes="typed", **changes))
        assert said in page and ">typed</textarea>" in page, changes
    unchanged = TimeEntry.objects.get()
    assert (unchanged.notes, unchanged.break_seconds) == ("draft", 600)


def test_an_entry_keeps_a_project_that_is_closed_by_now(browser: Browser, entry: TimeEntry) -> None:
    Project.objects.update(status=Project.Status.CLOSED)
    page = browser.get(f"{TODAY}?edit={entry.pk}").content.decode()
    assert 'label="As it is"' in page
    assert "Saved." in post(browser, "entry", entry.pk, **form_of(entry, notes="final"))
    assert TimeEntry.objects.get().notes == "final"


def test_an_entry_is_deleted_and_started_again(browser: Browser, robin: User, entry: TimeEntry) -> None:
    post(browser, "again", entry.pk)
    again = running_for(robin)
    assert again and (again.project, again.notes, again.tags) == (entry.project, "draft", "remote")
    assert "deleted" in post(browser, "delete", entry.pk)
    assert list(TimeEntry.objects.all()) == [again]


def test_billed_time_does_not_change(browser: Browser, entry: TimeEntry) -> None:
    invoice = Invoice.objects.create(number="INV-0001", client=entry.project.client, due_on=timezone.now().date(), status="sent")
    item = item_on(invoice, project=entry.project, description="Work", unit_price=Decimal(90))
    TimeEntry.objects.update(invoice_item=item)
    page = browser.get(f"{TODAY}?edit={entry.pk}").content.decode()
    assert "billed" in page and "entry-form" not in page and "Edit: " not in page
    assert "INV-0001" in post(browser, "entry", entry.pk, **form_of(entry, notes="final"))
    assert "INV-0001" in post(browser, "delete", entry.pk)
    assert TimeEntry.objects.get().notes == "draft"


# --- whose time it is -------------------------------------------------------------------------------------------------


def test_nobody_reaches_the_time_of_others(browser: Browser, robin: User, person: User, project: Project) -> None:
    theirs = TimeEntry.objects.create(
        user=person, project=project, started_at=at(robin, "9:00"), ended_at=at(robin, "10:00"), notes="secret"
    )
    timer = running(person, project, minutes=1, notes="secret")
    assert "secret" not in browser.get(f"{TODAY}?edit={theirs.pk}").content.decode()
    for name in ("entry", "delete", "again"):
        assert browser.post(reverse(f"staff:{name}", args=[theirs.pk]), form_of(theirs)).status_code == 404
    for name in ("stop", "discard", "shift"):
        browser.post(reverse(f"staff:{name}"), {"entry": timer.pk, "day": "2025-03-03", "time": "09:00"})
    theirs.refresh_from_db()
    timer.refresh_from_db()
    assert theirs.notes == "secret" and timer.is_running and TimeEntry.objects.count() == 2


def test_a_member_sees_her_own_entries_and_a_manager_those_of_everybody(robin: User, person: User, project: Project) -> None:
    own, theirs = running(robin, project, minutes=1), running(person, project, minutes=1)
    assert list(entries_seen_by(robin)) == [own]
    role_give(robin, Role.MANAGER)
    assert set(entries_seen_by(User.objects.get(pk=robin.pk))) == {own, theirs}


def test_a_member_reads_no_amount(browser: Browser, robin: User, project: Project) -> None:
    User.objects.filter(pk=robin.pk).update(hourly_rate=Decimal("61.23"))
    entry_of(robin, project, "9:00", "10:00")
    page = browser.get(TODAY).content.decode()
    for amount in ("61.23", "90.00", "80.00", "USD"):
        assert amount not in page


def test_who_may_add_no_time_is_told_so_and_refused(browser: Browser, robin: User, project: Project) -> None:
    role_give(robin, Role.BOOKKEEPER)
    assert "Your role records no time of its own." in browser.get(TODAY).content.decode()
    assert browser.post(reverse("staff:start"), {"work": project.pk}).status_code == 403
    robin.groups.set(Group.objects.none())
    assert browser.get(TODAY).status_code == 200


# --- the week ---------------------------------------------------------------------------------------------------------


def test_the_week_counts_each_entry_on_the_local_day_on_which_it_starts(person: User, project: Project) -> None:
    person.time_zone, person.weekly_hours = "Pacific/Auckland", Decimal("7.5")
    zone = ZoneInfo(person.time_zone)

    def local(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=zone)

    for begin, end in (
        ("2025-03-02 23:30", "2025-03-03 01:00"),  # Sunday: of the week before
        ("2025-03-03 00:00", "2025-03-03 01:00"),
        ("2025-03-05 22:00", "2025-03-06 02:00"),
        ("2025-03-09 23:00", "2025-03-10 00:30"),
        ("2025-03-10 00:00", "2025-03-10 01:00"),  # Monday: of the week after
    ):
        TimeEntry.objects.create(user=person, project=project, started_at=local(begin), ended_at=local(end))
    TimeEntry.objects.create(user=person, project=project, started_at=local("2025-03-06 09:00"), break_seconds=900)
    sheet = day_sheet(person, local("2025-03-06 10:00").astimezone(UTC))
    assert [each.seconds // 60 for each in sheet.week] == [60, 0, 240, 45, 0, 0, 90]
    assert sheet.target == WeekTarget(agreed=450 * 60, worked=435 * 60)
    assert sheet.running and sheet.entries == []


@pytest.mark.parametrize(
    ("agreed", "said"),
    [(None, "hours"), (Decimal(2), "of 2:00 · <span>0:30 to go"), (Decimal(1), "of 1:00 · <span>0:30 over"), (Decimal(0), "over")],
)
def test_the_week_is_set_against_what_is_agreed(browser: Browser, robin: User, project: Project, agreed: Decimal | None, said: str) -> None:
    User.objects.filter(pk=robin.pk).update(weekly_hours=agreed)
    entry_of(robin, project, "9:00", "10:30")
    week = browser.get(TODAY).content.decode().split('id="week"')[1].split("</section>")[0]
    assert ">1:30</strong>" in week and said in week


def test_seconds_of_the_week_count_in_what_is_to_go(browser: Browser, robin: User, project: Project) -> None:
    User.objects.filter(pk=robin.pk).update(weekly_hours=Decimal(2))
    entry_of(robin, project, "9:00", "10:30", break_seconds=30)
    week = browser.get(TODAY).content.decode().split('id="week"')[1].split("</section>")[0]
    assert ">1:29</strong>" in week and "of 2:00 · <span>0:31 to go" in week


def test_what_is_to_go_counts_with_a_timer_that_runs_in_this_week(browser: Browser, robin: User, project: Project) -> None:
    User.objects.filter(pk=robin.pk).update(weekly_hours=Decimal(2))
    entry_of(robin, project, "0:00", "1:00", break_seconds=1800)
    timer = running(robin, project, minutes=20)
    week = browser.get(TODAY).content.decode().split('id="week"')[1].split("</section>")[0]
    # Half an hour before the timer's start, as much as was worked before it.
    since = int(timer.started_at.timestamp() - 1800) * 1000
    (found,) = re.findall(r'data-since="(\d+)" data-agreed="7200">1:(?:10|09) to go<', week)
    assert 0 <= int(found) - since < 1000


# --- what there is to work on -----------------------------------------------------------------------------------------


def test_choices_are_open_work_by_client_with_the_latest_first(robin: User, project: Project) -> None:
    other = Client.objects.create(name="Another Client")
    app = Project.objects.create(client=other, name="App", code="A-APP")
    Project.objects.create(client=other, name="Paused", code="A-OFF", status="paused")
    login = Task.objects.create(project=app, name="Login")
    Task.objects.create(project=app, name="Done", status="done")
    entry_of(robin, app, "9:00", "10:00", task=login)
    groups = work_groups(robin)
    assert [(group.label, [words for _, words in group.choices]) for group in groups] == [
        ("Lately", ["A-APP App: Login"]),
        ("Another Client", ["A-APP App", "A-APP App: Login"]),
        ("Sample Bakery", ["SB-WEB Website relaunch"]),
    ]
    marked = [is_selected for _, rows in work_options(groups, f"{app.pk}-{login.pk}") for _, _, is_selected in rows]
    assert marked == [True, False, False, False]


def test_a_task_of_another_project_is_no_choice(project: Project) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    task = Task.objects.create(project=other, name="Login")
    form_field = WorkField()
    assert form_field.clean(f"{other.pk}-{task.pk}").task == task
    with pytest.raises(Exception, match="takes no time any more"):
        form_field.clean(f"{project.pk}-{task.pk}")


# --- htmx, queries, restores ------------------------------------------------------------------------------------------


def test_htmx_gets_the_parts_and_plain_browsers_are_led_back(browser: Browser, project: Project) -> None:
    form = {"work": project.pk, "notes": "", "time": ""}
    parts = browser.post(reverse("staff:start"), form, headers=HTMX).content.decode()
    assert 'id="today"' in parts and 'role="timer"' in parts and "<html" not in parts
    answer = browser.post(reverse("staff:start"), form)
    assert (answer.status_code, answer.headers["Location"]) == (302, TODAY)


def test_a_day_of_fifty_entries_takes_as_few_queries_as_one_of_two(browser: Browser, robin: User, project: Project) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(TODAY).status_code == 200
        return len(queries)

    for _ in range(2):
        entry_of(robin, project, "9:00", "10:00")
    running(robin, project, minutes=3)
    few = count()
    client = Client.objects.create(name="Another Client")
    for number in range(48):
        another = Project.objects.create(client=client, name=f"Project {number}", code=f"P-{number}")
        entry_of(robin, another, "9:00", "10:00", task=Task.objects.create(project=another, name="Task"))
    assert count() == few <= 13


@pytest.fixture
def raised(own_gate: None) -> Iterator[None]:
    """A restore of this process: the flag is up."""
    gate.gate_raise("restore-of-the-test", "restore")
    yield
    gate.gate_open()


def test_during_a_restore_pages_are_read_and_nothing_is_changed(browser: Browser, robin: User, project: Project, raised: None) -> None:
    gate.gate_read_only()
    page = browser.get(TODAY)
    assert page.status_code == 200 and b"You can read, but not change anything." in page.content
    form = {"work": project.pk, "notes": "typed", "time": ""}
    refused = browser.post(reverse("staff:start"), form, headers=HTMX)
    assert (refused.status_code, refused.headers["HX-Retarget"]) == (503, "#gate-message")
    assert running_for(robin) is None


def test_during_a_restore_the_frame_and_the_clock_look_for_no_timer(browser: Browser, robin: User, project: Project, raised: None) -> None:
    running(robin, project, minutes=1)
    with CaptureQueriesContext(connection) as queries:
        said = browser.get(reverse("staff:clock")).json()
        account = browser.get(reverse("staff:account"))
    assert "running" not in said and b"header-timer" not in account.content
    assert not [query["sql"] for query in queries if "tracking_timeentry" in query["sql"]]


@pytest.mark.django_db(transaction=True)
def test_torn_tables_leave_the_frame_without_a_timer_and_the_connection_working() -> None:
    # Without a role: an earlier test of this kind has emptied all tables.
    robin, browser = User.objects.create_user("robin", is_staff=True), Browser()
    browser.force_login(robin)
    with connection.schema_editor() as editor:
        editor.execute("ALTER TABLE tracking_timeentry RENAME TO torn")
    try:
        assert browser.get(reverse("staff:account")).status_code == 200
        assert User.objects.filter(pk=robin.pk).exists()
    finally:
        with connection.schema_editor() as editor:
            editor.execute("ALTER TABLE torn RENAME TO tracking_timeentry")


def test_other_pages_know_nothing_of_the_frame(rf: Any) -> None:
    assert staff_frame(rf.get("/admin/")) == {}
