"""Many entries changed or deleted at once, as a browser asks for it: ticked, or all that are found; all or none."""

from __future__ import annotations

import html
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client as Browser

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give
from timetracker.billing.models import Invoice
from timetracker.clients.models import Client
from timetracker.tests.invoices import item_on
from timetracker.tracking.models import Project, Task, TimeEntry

pytestmark = pytest.mark.django_db

NINE = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
CHANGE, DELETE = "/entries/change/", "/entries/delete/"


@pytest.fixture
def robin(project: Project) -> User:
    """A member."""
    user = User.objects.create_user("robin.m", is_staff=True, full_name="Robin Sample")
    role_give(user, Role.MEMBER)
    return user


@pytest.fixture
def browser(robin: User) -> Browser:
    browser = Browser()
    browser.force_login(robin)
    return browser


@pytest.fixture
def entries(robin: User, project: Project) -> list[TimeEntry]:
    """Five of one person, an hour each, the last with another note."""
    return [make(robin, project, NINE + number * HOUR, notes="draft" if number < 4 else "final") for number in range(5)]


def make(user: User, project: Project, begins: datetime = NINE, **fields: Any) -> TimeEntry:
    return TimeEntry.objects.create(user=user, project=project, started_at=begins, ended_at=begins + HOUR, **fields)


def bill(entry: TimeEntry) -> None:
    invoice = Invoice.objects.create(number="INV-0007", client=entry.project.client, due_on=date(2099, 1, 1), status="sent")
    entry.invoice_item = item_on(invoice, description="Work", unit_price=Decimal(90))
    entry.save()


def ticked(*entries: TimeEntry) -> str:
    return "&".join(f"entry={entry.pk}" for entry in entries)


def asked(browser: Browser, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def mark_on(page: str) -> str:
    [mark] = re.findall(r'name="mark" value="([^"]+)"', page)
    return str(mark)


def confirm(browser: Browser, address: str, **form: object) -> str:
    """Look at the page that asks, and answer it."""
    return browser.post(address, {"mark": mark_on(asked(browser, address)), **form}, follow=True).content.decode()


def test_ticked_entries_get_another_project_a_tag_and_are_not_billable(
    browser: Browser, robin: User, project: Project, entries: list[TimeEntry]
) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    TimeEntry.objects.filter(pk=entries[0].pk).update(task=Task.objects.create(project=project, name="Header"), tags="css")
    gone = Client.objects.create(name="Archived", currency="EUR", active=False)
    Project.objects.create(client=gone, name="Archived", code="ARCHIVED")
    address = f"{CHANGE}?{ticked(*entries[:3])}&period=all&notes=draft"
    page = asked(browser, address)
    assert "SB-APP" in page and "ARCHIVED" not in page
    assert "Change 3 entries</h1>" in page and "<strong>3:00</strong> hours" in page
    answer = browser.post(address, {"mark": mark_on(page), "project": other.pk, "billable": "no", "tag": "remote"})
    assert answer.headers["Location"] == "/entries/?notes=draft&period=all"
    assert "3 entries changed." in browser.get(answer.headers["Location"]).content.decode()
    changed = TimeEntry.objects.filter(project=other, task=None, billable=False).order_by("started_at")
    assert [(entry.pk, entry.tags) for entry in changed] == [
        (entries[0].pk, "css, remote"),
        (entries[1].pk, "remote"),
        (entries[2].pk, "remote"),
    ]


def test_all_that_is_found_is_changed_by_the_filter_and_nothing_else(browser: Browser, entries: list[TimeEntry]) -> None:
    page = confirm(browser, f"{CHANGE}?all=yes&found=4&notes=draft&period=all", tag="remote")
    assert "4 entries changed." in page
    assert set(TimeEntry.objects.filter(tags="remote")) == set(entries[:4])


def test_the_list_carries_its_filter_and_number_along(browser: Browser, entries: list[TimeEntry]) -> None:
    page = asked(browser, "/entries/?notes=draft&period=all")
    form = page.split('id="selection"')[1].split("</form>")[0]
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', form))
    assert fields == {"notes": "draft", "period": "all", "found": "4"} and "All 4 found" in form


def test_entries_that_come_or_go_after_the_page_has_shown_them_are_not_touched(
    browser: Browser, robin: User, entries: list[TimeEntry]
) -> None:
    address = f"{DELETE}?all=yes&found=4&notes=draft&period=all"
    mark = mark_on(asked(browser, address))
    # One in, one out: as many as before, and yet others.
    make(robin, entries[0].project, NINE - HOUR, notes="draft")
    TimeEntry.objects.filter(pk=entries[0].pk).update(notes="final")
    page = browser.post(address, {"mark": mark}).content.decode()
    assert "By now these are other entries than this page has shown: 4 entries." in page and TimeEntry.objects.count() == 6
    assert "4 entries deleted." in browser.post(address, {"mark": mark_on(page)}, follow=True).content.decode()
    assert set(TimeEntry.objects.all()) == {entries[0], entries[4]}


def test_a_number_that_has_changed_since_the_list_is_told(browser: Browser, entries: list[TimeEntry]) -> None:
    page = asked(browser, f"{CHANGE}?all=yes&found=3&notes=draft&period=all")
    assert "The list has shown 3 entries; by now it finds 4." in page
    assert "by now" not in asked(browser, f"{CHANGE}?all=yes&found=4&notes=draft&period=all")
    assert "by now" not in asked(browser, f"{CHANGE}?all=yes&found=%3Cb%3E&notes=draft&period=all")


def test_billed_entries_in_the_way_are_named_and_can_be_left_out(browser: Browser, entries: list[TimeEntry]) -> None:
    bill(entries[1])
    for selection in (ticked(*entries[:4]), "all=yes&notes=draft"):
        page = asked(browser, f"{DELETE}?{selection}&period=all")
        assert "1 of 4 is on an invoice" in page and "invoice INV-0007" in page and 'name="mark"' not in page
        [others] = re.findall(r'href="\?([^"]+)">Go on without it', page)
        assert "Delete 3 entries</h1>" in asked(browser, f"{DELETE}?{html.unescape(others)}")
    refused = browser.post(f"{DELETE}?{ticked(*entries[:4])}", {"mark": f"4-{sum(entry.pk for entry in entries[:4])}"}).content.decode()
    assert "1 of these 4 entries are on an invoice and do not change." in refused or "1 of 4 is on an invoice" in refused
    assert TimeEntry.objects.count() == 5
    assert "3 entries deleted." in confirm(browser, f"{DELETE}?{html.unescape(others)}")
    assert set(TimeEntry.objects.all()) == {entries[1], entries[4]}


def test_where_all_are_billed_there_is_nothing_to_go_on_with(browser: Browser, entries: list[TimeEntry]) -> None:
    bill(entries[1])
    page = asked(browser, f"{CHANGE}?{ticked(entries[1])}")
    assert "There is nothing here that can be changed." in page and "Go on without" not in page


def test_entries_of_others_are_not_reached_by_their_ids(browser: Browser, robin: User, person: User, entries: list[TimeEntry]) -> None:
    theirs = make(person, entries[0].project, notes="secret")
    page = asked(browser, f"{DELETE}?{ticked(theirs, entries[0])}")
    assert "Delete 1 entry</h1>" in page and "secret" not in page and "1 of the ticked entries is gone" in page
    assert "Nothing was changed." in browser.get(f"{DELETE}?{ticked(theirs)}", follow=True).content.decode()
    assert "1 entry deleted." in confirm(browser, f"{DELETE}?{ticked(theirs, entries[0])}")
    assert "5 entries deleted" not in confirm(browser, f"{DELETE}?all=yes&period=all")
    assert list(TimeEntry.objects.all()) == [theirs]


def test_who_sees_everybodys_time_changes_it_together(robin: User, person: User, entries: list[TimeEntry]) -> None:
    kim, browser = User.objects.create_user("kim", is_staff=True), Browser()
    role_give(kim, Role.MANAGER)
    browser.force_login(kim)
    make(person, entries[0].project)
    assert "6 entries changed." in confirm(browser, f"{CHANGE}?all=yes&period=all", billable="no")
    assert not TimeEntry.objects.filter(billable=True).exists()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "Nothing is to be changed yet."),
        ({"project": "999999"}, "This project takes no time any more."),
        ({"billable": "maybe"}, "Select a valid choice."),
        ({"tag": "a, b"}, "One tag can be added, without a comma."),
        ({"tag": "x" * 200, "billable": "no"}, "would be longer than 200 characters"),
    ],
)
def test_what_cannot_be_changed_is_said_and_what_was_typed_stays(
    browser: Browser, entries: list[TimeEntry], form: dict[str, str], said: str
) -> None:
    TimeEntry.objects.filter(pk=entries[0].pk).update(tags="css")
    page = confirm(browser, f"{CHANGE}?{ticked(*entries)}", **form)
    assert said in page and (not form.get("tag") or f'value="{form["tag"]}"' in page)
    assert TimeEntry.objects.filter(billable=True).count() == 5 and TimeEntry.objects.exclude(tags="").count() == 1


@pytest.mark.parametrize("query", ["", "entry=x", "entry=99999999999999999999", "all=yes&since=soon", "all=no", "entry=%00"])
def test_an_address_that_names_no_entries_leads_back(browser: Browser, entries: list[TimeEntry], query: str) -> None:
    for address in (CHANGE, DELETE):
        assert "Tick the entries first" in browser.get(f"{address}?{query}", follow=True).content.decode()
        assert browser.post(f"{address}?{query}", {"mark": "5-15", "tag": "x"}, follow=True).status_code == 200
    assert TimeEntry.objects.filter(tags="").count() == 5


def test_by_htmx_what_is_done_leads_to_the_list(browser: Browser, entries: list[TimeEntry]) -> None:
    address, headers = f"{CHANGE}?{ticked(*entries)}&period=all", {"HX-Request": "true", "HX-Target": "entry-page"}
    mark = mark_on(asked(browser, address))
    assert browser.post(address, {"mark": mark, "tag": "x"}, headers=headers).headers["HX-Redirect"] == "/entries/?period=all"
    assert 'id="entry-page"' in browser.post(address, {"mark": mark}, headers=headers).content.decode()


def test_a_timer_that_runs_can_be_among_them_and_goes_on(browser: Browser, robin: User, entries: list[TimeEntry]) -> None:
    timer = TimeEntry.objects.create(user=robin, project=entries[0].project, started_at=NINE + 9 * HOUR)
    assert "(a timer that runs)" in asked(browser, f"{CHANGE}?all=yes&period=all")
    assert "6 entries changed." in confirm(browser, f"{CHANGE}?all=yes&period=all", tag="remote")
    timer.refresh_from_db()
    assert timer.is_running and timer.tags == "remote"
