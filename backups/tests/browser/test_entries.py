"""Entries in a browser: found, edited, ticked and changed by the keyboard; on a phone, dark and light; and during a restore."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN
from backups.tests.browser.person import NARROW, Person
from backups.tests.web import SiteProcesses

ENTRIES = "/entries/?period=all"
NOTES = "SELECT id FROM tracking_timeentry WHERE invoice_item_id IS NULL AND ended_at IS NOT NULL ORDER BY started_at DESC LIMIT 3"
FOUND = "SELECT tags FROM tracking_timeentry WHERE notes LIKE '%seldom word%' ORDER BY started_at DESC"


def comes(arrives: Arrives, site: SiteProcesses) -> Person:
    """Somebody who sees everybody's time, of which three entries have a note that no other has."""
    numbers = ", ".join(str(number) for (number,) in site.site.fetch(NOTES))
    site.site.execute("UPDATE tracking_timeentry SET notes = 'none' WHERE notes LIKE '%seldom word%'")
    site.site.execute(f"UPDATE tracking_timeentry SET notes = 'a seldom word', tags = '' WHERE id IN ({numbers})")
    person = arrives(site)
    person.log_in(ADMIN, at="/login/", then="/")
    person.open(ENTRIES)
    return person


def test_entries_are_found_edited_and_changed_together_by_the_keyboard(embedded: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, embedded)
    page, press = person.page, person.page.keyboard.press
    rows = page.locator(".entry-row")
    press("/")
    expect(page.get_by_label("Note has")).to_be_focused()
    page.keyboard.type("seldom word")
    press("Enter")
    expect(rows).to_have_count(3)
    expect(page.locator("#totals dd").first).to_have_text("3")
    assert person.path == "/entries/?notes=seldom+word&period=all"

    press("Escape")
    press("j")
    expect(rows.first).to_be_focused()
    press("ArrowDown")
    expect(rows.nth(1)).to_be_focused()
    press("e")
    expect(page.get_by_label("Time", exact=True)).to_be_focused()
    press("Control+a")
    page.keyboard.type("8-9:15")
    press("Enter")
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.locator(".row-sum").filter(has_text="1:15").first).to_be_visible()

    press("k")
    press("x")
    press("j")
    press("x")
    expect(page.locator("[data-picked]")).to_have_text("2 ticked")
    page.get_by_role("button", name="Change ticked…").press("Enter")
    person.heading("Change 2 entries")
    page.get_by_label("Add a tag").fill("looked-at")
    press("Enter")
    expect(page.get_by_text("2 entries changed.")).to_be_visible()
    assert person.path == "/entries/?notes=seldom+word&period=all"
    assert sorted(str(tags) for (tags,) in embedded.site.fetch(FOUND)) == ["", "looked-at", "looked-at"]


def test_entries_fit_a_phone_have_no_serious_barrier_and_outlast_a_restore(embedded: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, embedded)
    page = person.page
    found: list[str] = []

    def look(name: str) -> None:
        for dark in (False, True):
            person.darken(dark)
            found.extend(f"{name}, dark {dark}: {finding}" for finding in [*person.overflowing(), *person.accessible(colours_only=dark)])
        person.darken(False)

    look("wide")
    person.resize(NARROW)
    look("narrow")
    page.get_by_text("Person, client, project and more").click()
    page.get_by_label("Billable").select_option("yes")
    expect(page.get_by_role("link", name="Leave out: Billable yes")).to_be_visible()
    assert person.path == "/entries/?billable=yes&period=all"
    page.get_by_role("link", name=re.compile("^Edit: ")).first.click()
    expect(page.get_by_role("button", name="Save")).to_be_visible()
    look("filter and form")
    page.get_by_role("link", name="Cancel").click()
    expect(page.get_by_role("button", name="Save")).to_be_hidden()
    page.get_by_role("link", name="New entry").click()
    person.heading("New entry")
    look("new")
    # A restore begins: what was typed stays.
    person.forgiven.add(503)
    page.get_by_label("Note").fill("a long sentence")
    page.get_by_label("Project or task").select_option(index=1)
    page.get_by_label("Time", exact=True).fill("1:30")
    embedded.site.manage("backup_maintenance", "on", "--read-only", "--message", "We are moving.")
    try:
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#gate-message")).to_contain_text("We are moving.")
        expect(page.get_by_label("Note")).to_have_value("a long sentence")
    finally:
        embedded.site.manage("backup_maintenance", "off")
    person.open("/entries/delete/?all=yes&notes=seldom+word&period=all")
    person.heading("Delete 3 entries")
    look("delete")
    person.open("/entries/change/?all=yes&period=all")
    look("in the way")
    assert not found, "\n".join(found)
