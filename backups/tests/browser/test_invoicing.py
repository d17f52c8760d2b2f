"""Invoices in a browser: from time that nobody has billed to an invoice that is paid, by the keyboard and on a phone."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN, CLIENT, GUEST
from backups.tests.browser.person import NARROW, Person
from backups.tests.web import SiteProcesses


def comes(arrives: Arrives, site: SiteProcesses, **options: object) -> Person:
    """Somebody who is logged in."""
    person = arrives(site, **options)
    person.log_in(ADMIN, at="/login/", then="/")
    return person


def figures(text: str) -> str:
    """The first amount in it."""
    found = re.search(r"[\d,]+\.\d\d", text)
    assert found, text
    return found.group()


def test_unbilled_time_becomes_a_paid_invoice(embedded: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, embedded)
    page, press = person.page, person.page.keyboard.press
    # What waits, by the keyboard; of the first client that has time.
    press("g")
    press("i")
    person.heading("Invoices")
    press("n")
    person.heading("New invoice")
    row = page.locator("tbody tr").filter(has=page.locator("td").nth(0).filter(has_not_text="–")).first
    client, unbilled = row.get_by_role("link").inner_text(), figures(row.locator("td").last.inner_text())
    row.get_by_role("link").press("Enter")
    person.heading(f"New invoice for {client}")
    preview = page.get_by_role("region", name="Lines of the new invoice")
    expect(preview.locator("tfoot")).to_contain_text(unbilled)
    # Another way to bring it together comes at once, and comes to the same.
    page.get_by_label("One line for").select_option("Each day")
    expect(page).to_have_url(re.compile("grouping=day"))
    expect(preview.locator("tbody tr").first).to_contain_text(re.compile(r"\d{4}, "))
    expect(preview.locator("tfoot")).to_contain_text(re.compile(r"[\d,]+\.\d\d"))
    page.get_by_role("button", name="Write the draft").press("Enter")

    # The draft: another line, one before the other, ten percent off.
    person.heading(re.compile("Draft [0-9]+"))
    lines = page.locator("#lines tbody tr")
    count = page.locator(".invoice-lines tbody tr").count()
    page.get_by_text("Add a line").click()
    page.get_by_label("Description").fill("Hosting")
    page.get_by_label("Price of one").fill("10.50")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".invoice-lines tbody tr")).to_have_count(count + 1)
    page.get_by_role("button", name="Move up: Hosting").click()
    expect(page.locator(".invoice-lines tbody tr").nth(count - 1)).to_contain_text("Hosting")
    page.get_by_text("Take a discount off").click()
    page.get_by_label("Discount in percent").fill("10")
    page.get_by_role("button", name="Take off", exact=True).click()
    expect(page.locator(".invoice-lines tbody tr").last).to_contain_text("Discount, 10 %")
    assert lines.count() > count
    with page.expect_download() as preview_pdf:
        page.get_by_role("link", name="Preview as PDF").click()
    assert Path(preview_pdf.value.path()).read_bytes().startswith(b"%PDF-")
    total = figures(page.locator(".totals .total").inner_text())

    # Issued: it has its number and its PDF, and nothing changes it any more.
    page.get_by_role("link", name="Issue").click()
    person.heading(re.compile("Issue Draft"))
    expect(page.locator(".sheet")).to_contain_text(total)
    page.get_by_role("button", name="Issue it").click()
    person.heading(re.compile("Invoice INV-[0-9]+"))
    expect(page.get_by_text("Add a line")).to_have_count(0)
    with page.expect_download() as issued_pdf:
        page.get_by_role("link", name="Download the PDF").click()
    assert issued_pdf.value.suggested_filename.startswith("INV-")
    number = issued_pdf.value.suggested_filename.removesuffix(".pdf")

    # Paid in two parts.
    amount = page.get_by_label("Amount")
    assert f"{float(amount.input_value()):,.2f}" == total
    amount.fill("1.50")
    page.get_by_role("button", name="Save the payment").press("Enter")
    expect(page.locator("#messages")).to_contain_text("left to pay")
    expect(page.locator("h1")).to_contain_text("paid in part")
    page.get_by_role("button", name="Save the payment").press("Enter")
    expect(page.locator("#messages")).to_contain_text("It is paid.")
    expect(page.locator("h1")).to_contain_text(f"Invoice {number} paid")
    assert person.accessible() == []


def test_invoices_fit_a_phone_and_a_draft_is_nothing_to_the_client(embedded: SiteProcesses, arrives: Arrives) -> None:
    person = comes(arrives, embedded, size=NARROW)
    page = person.page
    page.get_by_text("More").click()
    page.get_by_role("link", name="Invoices").click()
    person.heading("Invoices")
    assert person.overflowing() == []
    page.get_by_role("link", name="New invoice").click()
    page.get_by_label("Client").select_option(CLIENT)
    person.heading(f"New invoice for {CLIENT}")
    page.get_by_role("button", name="Begin with an empty draft").click()
    person.heading(re.compile("Draft [0-9]+"))
    page.get_by_label("Description").fill("A secret of ours")
    page.get_by_label("Price of one").fill("77.00")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#lines")).to_contain_text("77.00")
    for dark in (False, True):
        person.darken(dark)
        assert person.overflowing() == [] and person.accessible() == []
    draft = int(person.path.strip("/").split("/")[-1].split("#")[0])

    guest = arrives(embedded)
    guest.log_in(GUEST, at="/portal/login/", then="/portal/")
    for path in ("/portal/", "/portal/invoices/"):
        guest.open(path)
        expect(guest.page.locator("body")).not_to_contain_text(re.compile("Draft|secret"))
    for path in (f"/portal/invoices/{draft}/", f"/invoices/{draft}/pdf/"):
        guest.open(path, forgive=404)
        expect(guest.page.locator("body")).not_to_contain_text("secret")
