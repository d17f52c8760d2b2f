"""Reports in a browser: asked for by the keyboard alone, and on a phone."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN
from backups.tests.browser.person import NARROW, Person
from backups.tests.web import SiteProcesses

ALL = "/reports/?range=all"


def comes(arrives: Arrives, site: SiteProcesses) -> Person:
    """Somebody who sees everybody's time, on Today."""
    person = arrives(site)
    person.log_in(ADMIN, at="/login/", then="/")
    return person


def test_a_report_by_the_keyboard_alone(embedded: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, embedded)
    page, press = person.page, person.page.keyboard.press
    press("g")
    press("r")
    expect(page.get_by_role("heading", name="Reports")).to_be_visible()
    page.get_by_role("link", name="All time").focus()
    press("Enter")
    page.wait_for_url("**/reports/?range=all")
    page.get_by_label("By", exact=True).focus()
    page.keyboard.type("Pers")
    page.get_by_role("button", name="Show").press("Enter")
    expect(page.get_by_role("heading", name="By person")).to_be_visible()
    ((plain,),) = embedded.site.fetch("SELECT COUNT(*) FROM tracking_timeentry")
    expect(page.locator("tfoot td").first).to_have_text(str(plain))
    page.get_by_role("link", name="Entries", exact=True).last.press("Enter")
    expect(page.locator("[aria-sort=descending]")).to_have_text(re.compile("Entries"))
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as CSV").press("Enter")
    assert download.value.path().read_text().startswith("Person,Entries,Hours,Seconds,")


def test_reports_have_no_serious_barrier_and_fit_a_phone(embedded: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, embedded)
    found: list[str] = []
    for path in (f"{ALL}&by=project&then=month&billable=yes", "/reports/budgets/?state=all", "/reports/?by=x&to=1999-01-01"):
        person.open(path)
        person.heading("Budgets" if "budgets" in path else "Reports")
        found += person.accessible()
        person.darken()
        found += person.accessible(colours_only=True)
        person.darken(False)
        person.resize(NARROW)
        found += [*person.overflowing(), *person.accessible()]
        person.resize((1280, 900))
    assert not found, "\n".join(found)
