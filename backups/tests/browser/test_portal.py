"""A client in the portal, in a browser: her visit, and her attempts at what belongs to others."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from playwright.sync_api import Download, expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import CLIENT, GUEST
from backups.tests.browser.person import NARROW, WIDE, Person
from backups.tests.web import SiteProcesses

# An invoice of her own that is issued as people do, one of another client's, a colour and a project with a budget.
PREPARE = f"""
from datetime import date
from timetracker.accounts.models import User
from timetracker.billing.issuing import invoice_issue, invoice_pdf_keep
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings

SiteSettings.objects.update(portal_color="#e8a33d")
client = Client.objects.get(name="{CLIENT}")
by = User.objects.filter(is_superuser=True).earliest("pk")
draft = Invoice.objects.create(client=client, issued_on=date.today(), due_on=date.today())
InvoiceItem.objects.create(invoice=draft, description="Counted by hand", unit_price=95)
print(invoice_issue(draft, by).number)
invoice_pdf_keep(Invoice.objects.exclude(client=client).filter(status="sent").earliest("pk"))
"""


def issue(site: SiteProcesses) -> str:
    """Prepare the site; the number of the client's own invoice."""
    return site.site.manage("shell", "-v", "0", "-c", PREPARE).stdout.strip()


def comes(arrives: Arrives, site: SiteProcesses) -> Person:
    """The client's person, on the overview."""
    person = arrives(site)
    person.log_in_as(GUEST)
    return person


def saved(download: Download) -> bytes:
    """What was saved."""
    return Path(download.path()).read_bytes()


def go(person: Person, page: str, heading: str) -> None:
    """Follow the navigation."""
    person.page.get_by_role("navigation", name="Portal").get_by_role("link", name=re.compile(f"^{page}")).click()
    person.heading(heading)


def test_a_clients_visit_from_the_overview_to_report_csv_and_pdf(embedded: SiteProcesses, arrives: Arrives) -> None:
    number = issue(embedded)
    person = comes(arrives, embedded)
    page = person.page
    person.heading(CLIENT)
    go(person, "Projects", "Projects")

    go(person, "Time", "Time")
    before = page.locator("tfoot th").inner_text()
    somebody = page.get_by_label("Person").locator("option").nth(1).inner_text()
    page.get_by_label("Person").select_option(somebody)
    page.wait_for_url(re.compile("person=[0-9]+"))
    expect(page.locator("tfoot th")).not_to_have_text(before)
    words = page.locator("tfoot th").inner_text()
    paths = [person.path]
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as CSV").click()
    rows = list(csv.DictReader(saved(download.value).decode().splitlines()))
    assert words in (f"Sum of {len(rows)} entries", "Sum of 1 entry") and {row["Person"] for row in rows} == {somebody}

    go(person, "Report", "Report of")
    paths.append(person.path)
    page.locator("tbody tr", has_text=re.compile(r"[0-9]+:[0-9]{2}")).get_by_role("link").last.click()
    expect(page.get_by_role("heading", name="By project")).to_be_visible()
    paths.append(person.path)

    go(person, "Invoices", "Invoices")
    page.get_by_role("link", name=number, exact=True).click()
    person.heading(f"Invoice {number}")
    paths.append(person.path)
    expect(page.get_by_text("Counted by hand")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save the PDF").click()
    assert saved(download.value).startswith(b"%PDF-") and download.value.suggested_filename.endswith(".pdf")

    go(person, "Documents", "Documents")
    page.get_by_role("link", name=re.compile("Toni|guest|Account", re.IGNORECASE)).first.click()
    person.heading("Account")
    paths.append(person.path)
    assert not (found := [fault for path in paths for fault in looked_at(person, path)]), "\n".join(found)


def looked_at(person: Person, path: str) -> list[str]:
    """What is wrong with a page: barriers, colours in the dark, too wide for a phone."""
    person.resize(WIDE)
    person.open(path)
    found = person.accessible()
    person.darken()
    found += person.accessible(colours_only=True)
    person.resize(NARROW)
    found += person.overflowing()
    person.darken(False)
    return found


def test_what_belongs_to_others_is_not_there_whatever_she_types(embedded: SiteProcesses, arrives: Arrives) -> None:
    site = embedded.site
    number = issue(embedded)

    def ids(table: str, where: str) -> list[int]:
        return [int(pk) for (pk,) in site.fetch(f"SELECT id FROM {table} WHERE {where} ORDER BY id LIMIT 3")]  # noqa: S608

    foreign = f"client_id <> (SELECT id FROM clients_client WHERE name = '{CLIENT}')"
    invoices = [*ids("billing_invoice", f"{foreign} AND status <> 'draft'"), *ids("billing_invoice", "status = 'draft'"), 0, 10**18]
    tried = [f"/portal/invoices/{pk}/{page}" for pk in invoices for page in ("", "pdf/")]
    tried += [f"/portal/documents/{pk}/" for pk in [*ids("clients_document", foreign), *ids("clients_document", "NOT visible_to_client")]]
    tried += [f"/portal/time/{page}?project={pk}" for pk in ids("tracking_project", foreign) for page in ("", "time.csv")]
    tried += [f"/media/{name}" for (name,) in site.fetch("SELECT file FROM clients_document LIMIT 2")]
    assert len(tried) > 20
    person = comes(arrives, embedded)
    answers = {path: person.open(path, forgive=404).status for path in tried}
    assert answers == dict.fromkeys(tried, 404)
    person.resize(NARROW)
    person.heading("There is no such page")
    assert not person.overflowing()
    # She is in all the same.
    (mine,) = ids("billing_invoice", f"number = '{number}'")
    assert person.open(f"/portal/invoices/{mine}/").status == 200
