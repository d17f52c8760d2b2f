"""A day's work in a browser: the timer by the keyboard, by two tabs, on a phone, and without JavaScript."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN
from backups.tests.browser.person import NARROW, WIDE, Person
from backups.tests.web import SiteProcesses

TODAY = "/"
OWN = f"(SELECT id FROM accounts_user WHERE username = '{ADMIN}')"
RUNNING = f"SELECT notes FROM tracking_timeentry WHERE ended_at IS NULL AND user_id = {OWN}"


@pytest.fixture
def site(embedded: SiteProcesses) -> SiteProcesses:
    """A site on which the admin has recorded no time."""
    embedded.site.execute(f"DELETE FROM tracking_timeentry WHERE user_id = {OWN}")
    return embedded


def comes(arrives: Arrives, site: SiteProcesses, **options: object) -> Person:
    """Somebody who is logged in, on Today."""
    person = arrives(site, **options)
    person.log_in(ADMIN, at="/login/", then=TODAY)
    return person


def timer_of(person: Person) -> Locator:
    """The clock of the running timer."""
    return person.page.get_by_role("timer")


def running(site: SiteProcesses) -> list[str]:
    """The notes of the timers that run by the database."""
    return [str(notes) for (notes,) in site.site.fetch(RUNNING)]


def choose(person: Person) -> None:
    """Choose a project."""
    person.page.get_by_label("roject or task").first.select_option(index=1)


def begin(person: Person, notes: str) -> None:
    """Start a timer on the first project that there is."""
    choose(person)
    person.page.get_by_label("Note").fill(notes)
    person.page.locator("#start").get_by_role("button").click()
    expect(timer_of(person)).to_be_visible()
    expect(person.page.locator(".running").get_by_text(notes)).to_be_visible()


def test_a_day_by_the_keyboard_alone(site: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, site)
    page, press = person.page, person.page.keyboard.press
    press("n")
    expect(page.locator("#start-work")).to_be_focused()
    press("ArrowDown")
    press("Tab")
    page.keyboard.type("first draft")
    press("Enter")
    expect(timer_of(person)).to_be_visible()
    assert running(site) == ["first draft"]
    first = timer_of(person).inner_text()
    expect(timer_of(person)).not_to_have_text(first)
    expect(page.locator("#start-notes")).not_to_be_focused()
    press("s")
    expect(page.get_by_text("Stopped after")).to_be_visible()
    assert running(site) == []

    press("e")
    time = page.get_by_label("Time", exact=True)
    expect(time).to_be_focused()
    # Within a moment of a swap htmx does not know the new links yet, and the browser follows them by itself.
    page.wait_for_load_state()
    press("Control+a")
    page.keyboard.type("0-1:30")
    press("Enter")
    expect(page.locator(".row-sum")).to_have_text("1:30")
    expect(page.locator(".week-sum .figure")).to_have_text("1:30")
    expect(page.get_by_role("link", name=re.compile("^Edit: "))).to_be_focused()

    press("n")
    expect(page.locator("#start-notes")).to_be_focused()
    press("Enter")
    expect(timer_of(person)).to_be_visible()
    assert running(site) == ["first draft"], "two keys start what was done last"

    press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Use single keys").uncheck()
    press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    press("s")
    person.open("/account/")
    expect(page.locator(".header-timer")).to_contain_text(re.compile(r"0:\d\d:\d\d"))
    assert running(site) == ["first draft"], "keys that are switched off do nothing"


def test_two_tabs_show_the_one_timer_and_lose_nothing_that_is_typed(site: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, site)
    begin(person, "in the first tab")
    first, second = person.page, person.context.new_page()
    second.goto(TODAY)
    second.get_by_role("button", name="Stop").click()
    expect(second.get_by_text("Stopped after")).to_be_visible()
    seen = "() => document.dispatchEvent(new Event('visibilitychange'))"
    first.evaluate(seen)
    expect(timer_of(person)).to_be_hidden()

    first.get_by_label("Note").fill("half a sentence")
    second.locator("#start").get_by_role("button").click()
    expect(second.get_by_role("timer")).to_be_visible()
    first.evaluate(seen)
    expect(first.get_by_text("The timer was changed elsewhere.")).to_be_visible()
    expect(first.get_by_label("Note")).to_have_value("half a sentence")
    assert running(site) == ["in the first tab"]

    # As if both had been left open overnight.
    began = datetime.now(UTC) - timedelta(hours=25)
    site.site.execute(f"UPDATE tracking_timeentry SET started_at = '{began:%Y-%m-%d %H:%M:%S}' WHERE ended_at IS NULL AND user_id = {OWN}")
    second.evaluate(seen)
    expect(second.get_by_text("Forgotten?")).to_be_visible()


def test_the_clock_is_the_servers_on_a_computer_that_is_years_behind_and_sleeps(site: SiteProcesses, arrives: Arrives) -> None:
    site.site.execute(f"UPDATE accounts_user SET weekly_hours = 1 WHERE id = {OWN}")
    person = comes(arrives, site)
    person.page.clock.install(time="2020-02-29T12:00:00Z")
    person.open(TODAY)
    begin(person, "on an old clock")
    expect(timer_of(person)).to_have_text(re.compile(r"^0:00:\d\d$"))
    person.open(TODAY)
    expect(timer_of(person)).to_have_text(re.compile(r"^0:0\d:\d\d$"))
    # What is to go counts with it, and beyond.
    to_go = person.page.locator(".week-sum [data-agreed]")
    expect(to_go).to_have_text(re.compile(r"^(1:00|0:5\d) to go$"))
    to_go.evaluate("element => { element.dataset.since -= 2 * 60 * 60 * 1000; }")
    expect(to_go).to_have_text(re.compile(r"^1:0\d over$"))
    # Three hours pass for this computer alone; the server's next answer puts it right.
    person.page.clock.fast_forward("03:00:00")
    expect(timer_of(person)).to_have_text(re.compile(r"^0:0\d:\d\d$"))


def test_a_day_without_javascript(site: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, site, javascript=False)
    page = person.page
    begin(person, "by plain forms")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("link", name=re.compile("^Edit: ")).click()
    time = page.get_by_label("Time", exact=True)
    expect(time).to_be_focused()
    time.fill("0-2")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".row-sum")).to_have_text("2:00")
    page.get_by_role("button", name=re.compile("^Start again: ")).click()
    expect(timer_of(person)).to_be_visible()
    page.get_by_text("Started at another time").click()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("discarded")).to_be_visible()
    assert running(site) == []


def test_today_has_no_serious_barrier_and_fits_a_phone(site: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, site)
    page = person.page
    found: list[str] = []

    def look(name: str) -> None:
        for dark in (False, True):
            person.darken(dark)
            found.extend(f"{name}, dark {dark}: {finding}" for finding in person.accessible(colours_only=dark))
        person.darken(False)
        person.resize(NARROW)
        found.extend(f"{name}, narrow: {finding}" for finding in person.overflowing())
        person.resize(WIDE)

    look("empty")
    page.locator("#start-time").fill("0-0:45")
    choose(person)
    page.locator("#start").get_by_role("button").click()
    expect(page.locator(".row-sum")).to_have_text("0:45")
    begin(person, "a note that is long enough to be broken into several lines on a phone, and one-word-that-cannot-be-broken" * 2)
    look("running")
    site.site.execute(f"UPDATE tracking_timeentry SET started_at = '2025-03-03 09:00:00' WHERE ended_at IS NULL AND user_id = {OWN}")
    person.open(TODAY)
    expect(page.get_by_text("Forgotten?")).to_be_visible()
    page.get_by_text("Started at another time").click()
    page.get_by_role("link", name=re.compile("^Edit: ")).click()
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    look("forgotten, editing")
    # The markup is the same on a phone; its frame, and how far things are apart, are not.
    person.resize(NARROW)
    found.extend(f"narrow: {finding}" for finding in person.accessible())
    person.resize(WIDE)
    page.locator("details.menu summary").click()
    look("menu")
    for path in ("/account/", "/account/password/", "/team/", "/team/invite/"):
        person.open(path)
        look(path)
    person.open("/team/")
    page.locator("tbody a").last.click()
    expect(page.get_by_label("May log in")).to_be_visible()
    look("member")
    assert not found, "\n".join(found)
