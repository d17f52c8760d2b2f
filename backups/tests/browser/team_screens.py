"""The team's pages in the midst of a week, to be pictured: a manager's, with her timer running and the time of everybody.

:func:`team_tour` leads through a furnished site. The demo agency's time ends yesterday; what is to be seen of this week she
enters by the pages themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from backups.tests.browser.furnished import ADMIN, GUEST, MANAGER
from backups.tests.browser.person import Person
from backups.tests.browser.screens import Screen, at
from backups.tests.web import SiteProcesses

__all__ = ["team_tour"]


def team_tour(server: SiteProcesses) -> Iterator[Screen]:
    """Each screen in turn; at the end no time entry is left."""
    site = server.site
    # Whatever day it is: this week is a copy of the one before, and nothing else.
    today = datetime.now(UTC).date()
    site.execute(f"DELETE FROM tracking_timeentry WHERE ended_at IS NULL OR started_at >= '{today - timedelta(days=today.weekday())}'")
    yield Screen("team-login", "", at("/login/"))
    yield Screen("week", MANAGER, _copy_week)
    yield Screen("today", MANAGER, _start)
    yield Screen("keys", MANAGER, _ask_for_keys)
    yield Screen("entries", MANAGER, at("/entries/"))
    yield Screen("reports", MANAGER, _last_month)
    yield Screen("budgets", MANAGER, lambda person: person.page.get_by_role("link", name="Budgets").click())
    yield Screen("projects", MANAGER, at("/projects/"))
    yield Screen("project", MANAGER, lambda person: person.page.locator("main tbody a").first.click())
    yield Screen("clients", MANAGER, at("/clients/"))
    yield Screen("client", MANAGER, lambda person: person.page.locator("main tbody a").first.click())
    yield Screen("expenses", MANAGER, at("/expenses/"))
    yield Screen("expense-new", MANAGER, at("/expenses/add/"))
    yield Screen("team", ADMIN, at("/team/"))
    yield Screen("invite", ADMIN, at("/team/invite/"))
    yield Screen("account", ADMIN, at("/account/"))
    yield Screen("invoices", ADMIN, at("/invoices/"))
    yield Screen("invoice-new", ADMIN, _choose_time)
    yield Screen("invoice-draft", ADMIN, _write_draft)
    yield Screen("invoice", ADMIN, _issue)
    yield Screen("import-export", ADMIN, at("/import-export/"))
    yield Screen("import-new", ADMIN, at("/import-export/imports/new/"))
    # What she has just billed, as that client sees it.
    billed = "(SELECT client_id FROM billing_invoice WHERE number <> '' ORDER BY id DESC LIMIT 1)"
    site.execute(f"UPDATE clients_client SET portal_enabled = TRUE WHERE id = {billed}")
    site.execute(f"UPDATE portal_clientperson SET client_id = {billed}")
    yield Screen("portal-overview", GUEST, at("/portal/"))
    for page in ("projects", "time", "report", "invoices", "documents", "account"):
        yield Screen(f"portal-{page}", GUEST, at(f"/portal/{page}/"))
    site.execute("DELETE FROM tracking_timeentry")
    yield Screen("entries-lost", MANAGER, at("/entries/"))


def _copy_week(person: Person) -> None:
    person.open("/week/")
    person.page.get_by_role("button", name="Rows with times").click()
    expect(person.page.locator("#messages")).to_contain_text("copied")
    person.open("/week/")


def _start(person: Person) -> None:
    person.open("/")
    person.page.get_by_label("Project or task").select_option(index=2)
    person.page.get_by_label("Note").fill("Second round of drafts")
    person.page.get_by_role("button", name="Start", exact=True).click()
    expect(person.page.get_by_role("timer")).to_be_visible()


def _ask_for_keys(person: Person) -> None:
    person.page.keyboard.press("?")
    expect(person.page.get_by_role("dialog")).to_be_visible()


def _last_month(person: Person) -> None:
    person.open("/reports/")
    person.page.get_by_role("link", name="Last month").click()
    expect(person.page.get_by_role("link", name="Last month")).to_have_attribute("aria-current", "true")


def _choose_time(person: Person) -> None:
    """What is unbilled of the first client, with a line for each task."""
    person.open("/invoices/new/")
    person.page.locator("tbody tr").filter(has=person.page.locator("td").nth(0).filter(has_not_text="–")).first.get_by_role("link").click()
    person.page.get_by_label("One line for").select_option("Each task")
    person.page.wait_for_url("**grouping=task**")


def _write_draft(person: Person) -> None:
    person.page.get_by_role("button", name="Write the draft").click()
    expect(person.page.locator("h1")).to_contain_text("Draft")


def _issue(person: Person) -> None:
    person.page.get_by_role("link", name="Issue").click()
    person.page.get_by_role("button", name="Issue it").click()
    expect(person.page.locator("h1")).to_contain_text("Invoice INV-")
