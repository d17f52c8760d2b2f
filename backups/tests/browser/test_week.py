"""A week in a browser: the timesheet by the keyboard, and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN
from backups.tests.browser.person import NARROW, WIDE, Person
from backups.tests.web import SiteProcesses

# Of 2 to 8 March: in the admin's time zone no clocks change.
WEEK = "/week/?week=2026-W10"
OWN = f"(SELECT id FROM accounts_user WHERE username = '{ADMIN}')"
LENGTHS = f"""
    SELECT CAST(ROUND((julianday(ended_at) - julianday(started_at)) * 1440) AS INTEGER)
    FROM tracking_timeentry WHERE user_id = {OWN} ORDER BY started_at, id
"""


@pytest.fixture
def site(embedded: SiteProcesses) -> Iterator[SiteProcesses]:
    """A site on which the admin has recorded no time."""
    embedded.site.execute(f"DELETE FROM tracking_timeentry WHERE user_id = {OWN}")
    yield embedded
    embedded.site.manage("backup_maintenance", "off")


def minutes(site: SiteProcesses) -> list[int]:
    """The admin's entries by the database, in minutes."""
    return [int(length) for (length,) in site.site.fetch(LENGTHS)]


def comes(arrives: Arrives, site: SiteProcesses, **options: object) -> Person:
    """Somebody who is logged in, on a week without time."""
    person = arrives(site, **options)
    person.log_in(ADMIN, at="/login/", then="/")
    person.open(WEEK)
    return person


def cells(person: Person) -> Locator:
    """The fields of the grid, seven a row."""
    return person.page.locator("#grid table input:not([type=hidden])")


def add_row(person: Person, number: int) -> None:
    """Add the row of a project, and wait for it."""
    before = cells(person).count()
    person.page.get_by_label("Another project or task").select_option(index=number)
    person.page.get_by_role("button", name="Add row").click()
    expect(cells(person)).to_have_count(before + 7)


def test_a_week_by_the_keyboard_and_what_is_typed_outlasts_a_refusal(site: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, site)
    page, press, write = person.page, person.page.keyboard.press, person.page.keyboard.type
    add_row(person, 1)
    expect(cells(person).nth(0)).to_be_focused()
    write("1:30")
    press("ArrowRight")
    expect(cells(person).nth(1)).to_be_focused()
    write("9-10:30")
    press("ArrowLeft")
    expect(cells(person).nth(1)).to_be_focused()
    add_row(person, 4)
    expect(cells(person).filter(visible=True)).to_have_count(14)
    filled = [text for text in (cell.input_value() for cell in cells(person).all()) if text]
    assert filled == ["1:30", "9-10:30"] and minutes(site) == [], "a row was added, and nothing saved"
    expect(page.get_by_role("button", name="Save 2 cells")).to_be_visible()
    page.locator("#grid table input[value='1:30']").focus()
    press("Enter")
    expect(page.get_by_text("2 cells saved.")).to_be_visible()
    expect(page.locator("#grid table input:focus")).to_have_value("1:30")
    assert minutes(site) == [90, 90]

    # Esc restores; what means nothing stays, beside what is wrong with it.
    write("7")
    press("Escape")
    expect(page.locator("#grid table input:focus")).to_have_value("1:30")
    write("soon")
    press("Enter")
    expect(page.locator(".week-faults")).to_contain_text("is no time")
    expect(page.locator("#grid table input:focus")).to_have_value("soon")
    person.forgiven.add(503)
    site.site.manage("backup_maintenance", "on", "--read-only", "--message", "We are moving.")
    press("Control+a")
    write("2h")
    press("Enter")
    expect(page.locator("#gate-message")).to_contain_text("We are moving.")
    expect(page.locator("#grid table input:focus")).to_have_value("2h")
    site.site.manage("backup_maintenance", "off")
    press("Enter")
    expect(page.get_by_text("1 cell saved.")).to_be_visible()
    expect(page.locator("#gate-message")).to_be_empty()
    assert minutes(site) == [120, 90]

    # The week after begins with the rows of this one; an emptied cell is asked about.
    page.get_by_role("link", name="Next week").click()
    expect(page).to_have_url(re.compile("2026-W11"))
    page.get_by_role("button", name="Rows with times").click()
    expect(page.get_by_text("2 entries of the week before copied, 3:30 in all.")).to_be_visible()
    page.locator("#grid table input[value='2:00']").fill("")
    press("Enter")
    page.get_by_role("button", name="Delete 2:00 of Monday").click()
    expect(page.get_by_text("1 entry deleted.")).to_be_visible()
    assert minutes(site) == [120, 90, 90]


def test_a_week_on_a_phone_without_javascript_too_and_no_serious_barrier(site: SiteProcesses, arrives: Arrives) -> None:
    plain = comes(arrives, site, javascript=False, size=NARROW)
    add_row(plain, 1)
    cells(plain).nth(6).fill("9-10:30")
    cells(plain).nth(6).press("Enter")
    expect(plain.page.get_by_text("1 cell saved.")).to_be_visible()
    assert minutes(site) == [90]

    person = comes(arrives, site)
    page = person.page
    cells(person).nth(0).fill("soon")
    cells(person).nth(6).fill("")
    page.get_by_role("button", name="Save 2 cells").click()
    expect(page.get_by_role("button", name="Delete 1:30 of Sunday")).to_be_visible()
    found: list[str] = []
    for dark in (False, True):
        person.darken(dark)
        found.extend(f"dark {dark}: {finding}" for finding in person.accessible(colours_only=dark))
    person.darken(False)
    person.resize(NARROW)
    for number in range(7):
        cells(person).nth(number).click()
        page.keyboard.type("22:15-23:45")
        found.extend(f"narrow, typing into {number}: {finding}" for finding in person.overflowing())
    found.extend(f"narrow: {finding}" for finding in person.accessible())
    person.resize(WIDE)
    assert not found, "\n".join(found)
