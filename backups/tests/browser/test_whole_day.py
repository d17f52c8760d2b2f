"""A consultant's whole day, at a desk and on a phone; and one in which a restore comes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN
from backups.tests.browser.person import NARROW, Person
from backups.tests.browser.staff import comes_to_work
from backups.tests.halting import halted
from backups.tests.web import SiteProcesses

OWN = f"(SELECT id FROM accounts_user WHERE username = '{ADMIN}')"
RUNNING = f"SELECT notes FROM tracking_timeentry WHERE ended_at IS NULL AND user_id = {OWN}"
# Milliseconds since 1970, as the clock in the page counts from.
SINCE = f"""
    SELECT CAST(strftime('%s', substr(started_at, 1, 19)) AS INTEGER) * 1000
    FROM tracking_timeentry WHERE ended_at IS NULL AND user_id = {OWN}
"""
WORKED = f"""
    SELECT SUM(CAST(strftime('%s', substr(ended_at, 1, 19)) AS INTEGER) - CAST(strftime('%s', substr(started_at, 1, 19)) AS INTEGER))
    FROM tracking_timeentry WHERE user_id = {OWN}
"""
SEEN = "() => document.dispatchEvent(new Event('visibilitychange'))"


@pytest.fixture
def site(embedded: SiteProcesses) -> Iterator[SiteProcesses]:
    """A site on which the admin has recorded no time, and has agreed on 38.5 hours a week."""
    embedded.site.execute(f"DELETE FROM tracking_timeentry WHERE user_id = {OWN}")
    embedded.site.execute(f"UPDATE accounts_user SET weekly_hours = 38.5 WHERE username = '{ADMIN}'")
    yield embedded
    embedded.site.execute(f"UPDATE accounts_user SET weekly_hours = NULL WHERE username = '{ADMIN}'")


def running(site: SiteProcesses) -> list[str]:
    """The notes of the timers that run by the database."""
    return [str(notes) for (notes,) in site.site.fetch(RUNNING)]


def timer_of(person: Person) -> Locator:
    """The clock of the running timer."""
    return person.page.get_by_role("timer")


def starts(person: Person, project: int, notes: str) -> None:
    """Start the timer, or switch it."""
    page = person.page
    page.get_by_label("roject or task").first.select_option(index=project)
    page.get_by_label("Note").fill(notes)
    page.locator("#start").get_by_role("button").click()
    expect(page.locator(".running").get_by_text(notes)).to_be_visible()


def same_clock(site: SiteProcesses, *people: Person) -> None:
    """Everybody's display counts from when the one timer began by the database: so it cannot drift."""
    ((since,),) = site.site.fetch(SINCE)
    for person in people:
        expect(timer_of(person)).to_have_attribute("data-since", str(since))


def test_a_consultants_day_at_a_desk_with_two_tabs_and_on_a_phone(site: SiteProcesses, arrives: Arrives) -> None:
    desk, phone = comes_to_work(arrives, site, ADMIN), comes_to_work(arrives, site, ADMIN, size=NARROW)
    page, press = desk.page, desk.page.keyboard.press
    starts(desk, 1, "mails")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped after")).to_be_visible()
    # Two keys: the note has the focus and what was done last is in the form.
    press("n")
    press("Enter")
    expect(timer_of(desk)).to_be_visible()
    assert running(site) == ["mails"]

    # On the way to a client: the phone shows the same timer, and switches it.
    phone.page.reload()
    same_clock(site, desk, phone)
    starts(phone, 2, "on the train")
    expect(phone.page.get_by_text("Switched from")).to_be_visible()
    tab = desk.context.new_page()
    tab.goto("/")
    page.evaluate(SEEN)
    for each in (page, tab):
        expect(each.locator(".running").get_by_text("on the train")).to_be_visible()
    assert running(site) == ["on the train"], "one timer, in two tabs and on a phone"
    same_clock(site, desk, phone)

    # That was a mistake: it is discarded in the second tab, and the next one began at midnight.
    tab.once("dialog", lambda dialog: dialog.accept())
    tab.get_by_text("Started at another time").click()
    tab.get_by_role("button", name="Discard").click()
    expect(tab.get_by_text("The timer was discarded")).to_be_visible()
    page.evaluate(SEEN)
    expect(timer_of(desk)).to_be_hidden()
    starts(desk, 2, "at the client's")
    page.get_by_text("Started at another time").click()
    page.get_by_label("at", exact=True).fill("00:00")
    page.get_by_role("button", name="Set the start").click()
    expect(page.get_by_text("The timer counts from 00:00.")).to_be_visible()
    phone.page.reload()
    same_clock(site, desk, phone)
    assert not phone.overflowing()

    phone.page.get_by_role("button", name="Stop", exact=True).click()
    expect(phone.page.get_by_text("Stopped after")).to_be_visible()
    assert running(site) == []

    # In the evening what was written down is put right, in place.
    desk.open("/")
    row = page.locator("li.row").filter(has_text="at the client's")
    row.get_by_role("link", name=re.compile("^Edit: ")).click()
    page.get_by_label("Time", exact=True).fill("8-12:15")
    page.get_by_role("button", name="Save").click()
    expect(row.locator(".row-sum")).to_have_text("4:15")
    ((seconds,),) = site.site.fetch(WORKED)
    minutes = int(seconds) // 60
    expect(page.locator(".week-sum .figure")).to_have_text(f"{minutes // 60}:{minutes % 60:02}")
    expect(page.locator(".week-sum")).to_contain_text("of 38:30")


def test_a_day_in_which_a_restore_comes(site: SiteProcesses, arrives: Arrives) -> None:
    desk, phone = comes_to_work(arrives, site, ADMIN), comes_to_work(arrives, site, ADMIN, size=NARROW)
    desk.forgiven.add(503)
    phone.forgiven.add(503)
    starts(desk, 1, "as the backup knows it")
    archive = site.site.manage("backup_create").stdout.strip()
    desk.page.get_by_role("button", name="Stop", exact=True).click()
    expect(desk.page.get_by_text("Stopped after")).to_be_visible()
    work, notes = desk.page.locator("#start-work"), desk.page.get_by_label("Note")
    work.select_option(index=2)
    chosen = work.input_value()
    notes.fill('half a "sentence"')
    with halted(site.site, "rows") as stopped:
        restore = site.site.popen("backup_restore", archive, "--no-input", "--no-progress", stdout=subprocess.DEVNULL)
        stopped.process()
        notes.press("Enter")
        expect(desk.page.locator("#gate-message")).not_to_be_empty()
        expect(notes).to_have_value('half a "sentence"')
        phone.open("/week/")
        expect(phone.page.get_by_text("You can read, but not change anything.")).to_be_visible()
        with halted(site.site, "closed") as shut:
            shut.process()
            phone.open("/entries/")
    _, errors = restore.communicate(timeout=120)
    assert restore.returncode == 0, errors
    # The page that said that it waits has asked again by itself.
    phone.page.wait_for_url("**/login/**")
    phone.give_name(ADMIN)
    expect(phone.page.locator(".header-timer").or_(timer_of(phone)).first).to_be_visible()

    notes.press("Enter")
    desk.page.wait_for_url("**/login/**")
    desk.give_name(ADMIN)
    expect(desk.page.get_by_text("It is filled in again")).to_be_visible()
    expect(notes).to_have_value('half a "sentence"')
    expect(work).to_have_value(chosen)
    assert running(site) == ["as the backup knows it"], "the timer is back"
    same_clock(site, desk)
    notes.press("Enter")
    expect(desk.page.get_by_text("Switched from")).to_be_visible()
    assert running(site) == ['half a "sentence"'], "what was typed is sent once more"
    desk.page.get_by_role("button", name="Stop", exact=True).click()
    expect(desk.page.get_by_text("Stopped after")).to_be_visible()
    assert running(site) == []
