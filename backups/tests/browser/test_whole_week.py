"""A manager's week, and the limits of each role, at which people arrive by an address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN, GUEST, PASSWORD
from backups.tests.browser.staff import comes_to_work, hire
from backups.tests.web import SiteProcesses

ALLOWED, MISSING = "You may not see this", "There is no such page"
# Of a project that takes time and is on an invoice: itself, and an entry that is billed.
BILLED = """
    SELECT p.id, MIN(e.id) FROM tracking_timeentry e
    JOIN tracking_project p ON p.id = e.project_id JOIN clients_client c ON c.id = p.client_id
    WHERE e.invoice_item_id IS NOT NULL AND p.status = 'active' AND c.active GROUP BY p.id ORDER BY p.id LIMIT 1
"""
FREE = "SELECT id FROM tracking_timeentry WHERE invoice_item_id IS NULL AND ended_at IS NOT NULL ORDER BY started_at DESC, id LIMIT 2"
FOUND = "SELECT tags, billable FROM tracking_timeentry WHERE notes = 'a rare word' ORDER BY id"
# What is somebody else's: an entry, an expense, a client, a person.
OTHERS = f"""
    SELECT (SELECT MIN(e.id) FROM tracking_timeentry e JOIN accounts_user u ON u.id = e.user_id
            WHERE u.username != 'member' AND e.ended_at IS NOT NULL),
           (SELECT MIN(id) FROM billing_expense), (SELECT MIN(id) FROM clients_client),
           (SELECT id FROM accounts_user WHERE username = '{ADMIN}')
"""


@pytest.fixture
def site(embedded: SiteProcesses) -> Iterator[SiteProcesses]:
    """A site with somebody in each role; two entries of the member have a note that no other has."""
    hire(embedded)
    free = ", ".join(str(number) for (number,) in embedded.site.fetch(FREE))
    member = "(SELECT id FROM accounts_user WHERE username = 'member')"
    embedded.site.execute("UPDATE tracking_timeentry SET notes = 'none' WHERE notes = 'a rare word'")
    embedded.site.execute(
        f"UPDATE tracking_timeentry SET notes = 'a rare word', tags = '', billable = true, user_id = {member} WHERE id IN ({free})"
    )
    yield embedded
    embedded.site.execute("DELETE FROM accounts_user_groups WHERE user_id IN (SELECT id FROM accounts_user WHERE username LIKE 'new@%')")
    embedded.site.execute("DELETE FROM accounts_user WHERE username LIKE 'new@%'")


def test_a_managers_week(site: SiteProcesses, arrives: Arrives) -> None:
    manager = comes_to_work(arrives, site, "manager")
    page = manager.page
    ((project, billed),) = site.site.fetch(BILLED)

    # The week of somebody of the team, in which she worked.
    manager.open("/entries/?period=all&notes=a+rare+word")
    day = page.locator(".day-head time").first.get_attribute("datetime")
    manager.open(f"/week/?week={day}")
    page.get_by_label("Person", exact=True).select_option(label="The member")
    page.get_by_role("button", name="Show").first.click()
    manager.heading("The member: week")
    expect(page.locator(".week-grid tbody tr").first).to_be_visible()

    # Her entries, found and changed together.
    manager.open("/entries/?period=all")
    page.get_by_text("Person, client, project and more").click()
    page.get_by_label("Person").select_option(label="The member")
    expect(page.get_by_role("link", name="Leave out: Person The member")).to_be_visible()
    page.get_by_label("Note has").fill("a rare word")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("link", name="Leave out: Note has a rare word")).to_be_visible()
    expect(page.locator(".entry-row")).to_have_count(2)
    page.get_by_label(re.compile("All 2 found")).check()
    page.get_by_role("button", name="Change ticked…").click()
    manager.heading("Change 2 entries")
    page.get_by_label("Billable").select_option("no")
    page.get_by_label("Add a tag").fill("looked-at")
    page.get_by_role("button", name="Change 2 entries").click()
    expect(page.get_by_text("2 entries changed.")).to_be_visible()
    assert [(tags, bool(billable)) for tags, billable in site.site.fetch(FOUND)] == [("looked-at", False)] * 2

    # What is billed has no button to change it, and says why where she comes by an address.
    manager.open(f"/entries/?period=all&project={project}&billed=yes")
    expect(page.locator(".entry-row").first).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^(Edit|Delete): "))).to_have_count(0)
    manager.open(f"/entries/{billed}/edit/")
    expect(page.get_by_text(re.compile("This time is on (the draft of )?invoice"))).to_be_visible()

    # The report of the project, and its budget.
    manager.open("/reports/?range=all&by=person")
    expect(page.get_by_role("link", name="The member")).to_be_visible()
    page.get_by_role("link", name="Budgets").click()
    manager.heading("Budgets")
    expect(page.locator(".budget-table tbody tr").first).to_contain_text("%")

    # The project was billed: it is archived and not deleted.
    manager.open(f"/projects/{project}/")
    name = page.locator("h1").inner_text().split()[0]
    page.get_by_role("link", name="Delete").click()
    expect(page.get_by_text("What was used is not deleted")).to_be_visible()
    page.get_by_role("button", name="Archive this project").click()
    expect(page.get_by_text(f"{name} ").and_(page.get_by_text("is archived: it takes no new time"))).to_be_visible()
    page.get_by_role("button", name="Reopen", exact=True).click()
    expect(page.get_by_text("is open again.")).to_be_visible()

    # She sees the team; whom to take in is the owner's decision.
    page.get_by_role("link", name="Team").click()
    expect(page.get_by_role("link", name="The bookkeeper").or_(page.get_by_text("The bookkeeper")).first).to_be_visible()
    expect(page.get_by_role("link", name="Invite somebody")).to_have_count(0)
    owner = comes_to_work(arrives, site, "owner")
    owner.open("/team/")
    owner.page.get_by_role("link", name="Invite somebody").click()
    owner.page.get_by_label("Name").fill("Somebody New")
    owner.page.get_by_label("E-mail address").fill("new@studio.example")
    owner.page.get_by_label("Member: her own time").check()
    owner.page.get_by_role("button", name="Send the invitation").click()
    # No mail leaves this site: the page says so, and the owner hands the link over herself.
    expect(owner.page.get_by_text("hand the link over yourself")).to_be_visible()
    owner.page.get_by_role("link", name="Somebody New").click()
    owner.page.get_by_role("button", name="Show a link to hand over").click()
    link = owner.page.locator("#messages code").inner_text()
    new = arrives(site)
    new.open(urlsplit(link).path)
    for field in new.page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    new.page.get_by_role("button", name="Save and log in").click()
    new.heading("Today")
    page.reload()
    expect(page.get_by_role("row", name=re.compile("Somebody New.*Member.*active"))).to_be_visible()


def test_each_role_meets_its_limits_by_address(site: SiteProcesses, arrives: Arrives) -> None:
    ((entry, expense, client, other),) = site.site.fetch(OTHERS)
    limits = {
        "member": {
            f"/entries/{entry}/edit/": 404,
            f"/week/?person={other}": 404,
            f"/expenses/{expense}/": 404,
            "/reports/budgets/": 403,
            f"/clients/{client}/edit/": 403,
            f"/clients/{client}/invoices/": 403,
            "/team/": 403,
            "/import-export/": 403,
        },
        "bookkeeper": {"/entries/new/": 403, "/projects/add/": 403, "/team/": 403},
        "manager": {"/team/invite/": 403, f"/clients/{client}/delete/": 403, f"/team/{other}/": 403},
    }
    for role, pages in limits.items():
        person = comes_to_work(arrives, site, role)
        for path, status in pages.items():
            answer = person.open(path, forgive=status)
            assert answer.status == status, f"{role}, {path}: {answer.status}"
            person.heading(ALLOWED if status == 403 else MISSING)
        person.page.get_by_role("link", name="To the start").click()
        person.page.wait_for_url(re.compile(r"//[^/]+/$"))
        expect(person.page.get_by_role("navigation").get_by_role("link", name="Team")).to_have_count(int(role == "manager"))

    guest = arrives(site)
    guest.log_in_as(GUEST)
    guest.open("/reports/")
    guest.page.wait_for_url("**/portal/")
    nobody = arrives(site)
    nobody.open("/projects/")
    nobody.page.wait_for_url("**/login/?next=/projects/")
