"""Clients, projects, tasks, documents and expenses in a browser: by the keyboard, on a phone, and during a restore."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN
from backups.tests.browser.person import NARROW, Person
from backups.tests.web import SiteProcesses

PDF = b"%PDF-1.4\n1 0 obj"
TYPED = "a long sentence that nobody wants to type twice"


@pytest.fixture
def site(embedded: SiteProcesses) -> Iterator[SiteProcesses]:
    """A site that is open again afterwards."""
    yield embedded
    embedded.site.manage("backup_maintenance", "off")


def comes(arrives: Arrives, site: SiteProcesses, **options: object) -> Person:
    """Somebody who is logged in."""
    person = arrives(site, **options)
    person.log_in(ADMIN, at="/login/", then="/")
    return person


def test_a_client_with_a_project_and_tasks_is_made_by_the_keyboard(site: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, site)
    person.forgiven.add(503)
    page, press, write = person.page, person.page.keyboard.press, person.page.keyboard.type
    press("g")
    press("c")
    person.heading("Clients")
    press("n")
    expect(page.get_by_label("Name")).to_be_focused()
    write("Keyboard & Sons")
    page.get_by_role("textbox", name="Notes").fill(TYPED)
    site.site.manage("backup_maintenance", "on", "--read-only", "--message", "We are moving.")
    page.get_by_label("Name").focus()
    press("Enter")
    expect(page.locator("#gate-message")).to_contain_text("We are moving.")
    expect(page.get_by_role("textbox", name="Notes")).to_have_value(TYPED)
    site.site.manage("backup_maintenance", "off")
    page.get_by_label("E-mail address").fill("nobody")
    # The browser's own check is not what is looked at here.
    page.evaluate("document.querySelector('form.record').noValidate = true")
    press("Enter")
    expect(page.get_by_text("Enter a valid email address.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Notes")).to_have_value(TYPED)
    page.get_by_label("E-mail address").fill("kim@keyboard.example")
    press("Enter")
    person.heading("Keyboard & Sons")

    press("n")
    expect(page.get_by_label("Name")).to_be_focused()
    write("Typing")
    press("Tab")
    write("KEY-1")
    press("Enter")
    person.heading("KEY-1 Typing")
    task = page.get_by_label("New task")
    task.focus()
    for name in ("First", "Second"):
        write(name)
        press("Enter")
        expect(page.locator("#tasks")).to_contain_text(name)
        expect(task).to_be_focused()
        expect(task).to_have_value("")
    page.get_by_role("button", name="Done: First").press("Enter")
    expect(page.get_by_text("1 done")).to_be_visible()
    expect(page.get_by_text("“First” is done.")).to_be_visible()
    page.get_by_role("link", name="Change Second").press("Enter")
    expect(page.get_by_label("Task", exact=True)).to_be_focused()
    press("Control+a")
    write("Second try")
    press("Enter")
    expect(page.get_by_role("button", name="Done: Second try")).to_be_visible()

    press("g")
    press("p")
    person.heading("Projects")
    press("/")
    write("typing")
    expect(page.locator("#list tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?q=typing"))


def test_records_on_a_phone_dark_and_light_have_no_barrier(site: SiteProcesses, arrives: Arrives, tmp_path: Path) -> None:
    receipt = tmp_path / "ticket.pdf"
    receipt.write_bytes(PDF)
    person = comes(arrives, site, size=NARROW)
    page = person.page
    person.open("/expenses/add/")
    page.get_by_label("What for").fill("A ticket of our own")
    page.get_by_label("Amount").fill("12.50")
    page.get_by_label(re.compile("Receipt")).set_input_files(receipt)
    page.get_by_role("button", name="Save").dblclick()
    expect(page.get_by_text("The expense is saved.")).to_be_visible()
    count = site.site.fetch("SELECT COUNT(*) FROM billing_expense WHERE description = 'A ticket of our own'")
    assert count == [(1,)], "two clicks are one expense"
    with page.expect_download() as download:
        page.get_by_role("link", name="Receipt of A ticket of our own").click()
    assert download.value.path().read_bytes() == PDF
    ids = site.site.fetch("SELECT MIN(client_id), MIN(project_id) FROM tracking_task JOIN tracking_project p ON p.id = project_id")[0]
    found: list[str] = []
    for path in ("/clients/", f"/clients/{ids[0]}/", "/clients/add/", "/projects/", f"/projects/{ids[1]}/", "/expenses/", "/expenses/add/"):
        person.open(path)
        for dark in (False, True):
            person.darken(dark)
            found += person.accessible(colours_only=dark)
        found += person.overflowing()
    assert not found, "\n".join(found)
