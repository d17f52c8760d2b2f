"""The PDF says what the invoice says, on as many pages as it takes, whatever people have typed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from PIL import Image
from reportlab.pdfbase import pdfmetrics

from timetracker.billing.invoice_pdf import invoice_pdf
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.billing.tests.pdf_text import pdf_pages, pdf_text
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings
from timetracker.tests.invoices import item_on
from timetracker.tests.storages import storage_fails


@pytest.fixture
def site(db: None) -> SiteSettings:
    return SiteSettings(
        company_name="Example Studio",
        company_address="Specimen Square 2\n10000 Exampleville",
        tax_number="XX-1",
        tax_name="VAT",
        payment_details="Account XX00 (invented)",
    )


@pytest.fixture
def invoice(bakery: Client) -> Invoice:
    found = Invoice.objects.create(
        client=bakery, number="INV-7", status="sent", issued_on=date(2025, 3, 2), due_on=date(2025, 3, 16), tax_rate=Decimal("19.5")
    )
    item_on(found, description="Work", quantity=Decimal("1234.50"), unit="h", unit_price=Decimal(90))
    item_on(found, description="Discount", unit_price=Decimal("-10.05"), position=2)
    return found


def png(**options: int) -> bytes:
    output = BytesIO()
    Image.new("RGBA", (300, 80), (15, 118, 110, 128)).save(output, "PNG", **options)
    return output.getvalue()


def test_it_names_who_whom_what_and_how_to_pay(invoice: Invoice, bakery: Client, site: SiteSettings) -> None:
    bakery.contact_name, bakery.address = "Kim Sample", "Oven Street 1\r\n20000 Breadtown"
    bakery.save()
    invoice = Invoice.objects.get(pk=invoice.pk)
    invoice.notes = "Thank you.\nSee you soon."
    text = pdf_text(invoice_pdf(invoice, site=site))
    for words in (
        "Example Studio Specimen Square 2 10000 Exampleville Tax number XX-1",
        "To Sample Bakery Kim Sample Oven Street 1 20000 Breadtown",
        "Invoice INV-7 Date 2 March 2025 Due 16 March 2025 Currency EUR",
        "Description Quantity Price Amount Work 1,234.50",
        "90.00 111,105.00",
        "111,094.95",
        "Thank you. See you soon.",
        "Give INV-7 as the reference. Account XX00 (invented)",
        "Page 1 of 1",
    ):
        assert words in text, (words, text)
    # 111094.95 and 19.5 percent of it, 21663.515..., which goes up.
    assert invoice.total == Decimal("132758.47") and "132,758.47" in text and "21,663.52" in text
    assert "VAT, 19.5" in text and "DRAFT" not in text


@pytest.mark.parametrize("status", ["paid", "cancelled"])
def test_what_is_not_owed_asks_for_no_payment(invoice: Invoice, site: SiteSettings, status: str) -> None:
    invoice.status = status
    assert "Please pay" not in pdf_text(invoice_pdf(invoice, site=site))


def test_draft_says_that_it_is_one(invoice: Invoice, site: SiteSettings) -> None:
    draft = Invoice.objects.create(client=invoice.client, issued_on=date(2025, 3, 2), due_on=date(2025, 3, 16))
    text = pdf_text(invoice_pdf(draft, site=site))
    assert "DRAFT Example Studio" in text and f"Draft {draft.pk} of an invoice" in text


def test_many_lines_take_several_pages_each_with_its_number_and_the_heading(bakery: Client, site: SiteSettings) -> None:
    draft = Invoice.objects.create(client=bakery, issued_on=date(2025, 3, 2), due_on=date(2025, 3, 16))
    InvoiceItem.objects.bulk_create(
        InvoiceItem(invoice=draft, position=number, description=f"Line {number} " + "and more words " * (number % 20), unit_price=number)
        for number in range(1, 101)
    )
    pdf = invoice_pdf(draft, site=site)
    pages, text = pdf_pages(pdf), pdf_text(pdf)
    assert pages > 3
    assert text.count("Description Quantity Price Amount") in (pages, pages - 1)
    for number in range(1, pages + 1):
        assert f"Page {number} of {pages}" in text
    for number in range(1, 101):
        assert f"Line {number} " in text
    assert "5,050.00" in text


def test_what_people_type_is_words_and_never_markup(invoice: Invoice, site: SiteSettings) -> None:
    site.company_name = "<b>R&D</b> <img src='file:///etc/passwd'>"
    invoice.notes = "</para><para>&lt; \x00\x07 ends"
    item = InvoiceItem(invoice=invoice, description='<a href="http://example.org">x</a>' + "W" * 260, unit_price=1)
    item.save_base(force_insert=True)
    text = pdf_text(invoice_pdf(invoice, site=site)).replace(" ", "")
    assert "<b>R&D</b><imgsrc='file:///etc/passwd'>" in text
    assert "</para><para>&lt;ends" in text and '<ahref="http://example.org">' in text


@pytest.mark.parametrize("words", ["Łódź Győr Şişli Ångström ß €", "Αθήνα", "Київ Мир", "−–…„“×", "₴₽₺₹"])
def test_letters_of_europe_and_signs_of_money_are_in_the_font(invoice: Invoice, site: SiteSettings, words: str) -> None:
    invoice.notes = words
    assert invoice_pdf(invoice, site=site).startswith(b"%PDF-")
    for name in ("DejaVuSansCondensed", "DejaVuSansCondensed-Bold"):
        glyphs = pdfmetrics.getFont(name).face.charToGlyph
        assert all(ord(letter) in glyphs for letter in words.replace(" ", ""))


@pytest.mark.parametrize(
    "words", ["漢字かな交じり文", "שלום مرحبا", "😀👩‍👩‍👧", "\u202e\ufeff\u2028 x", "a\u0301" * 50, "x" * 5000, "line\n" * 300]
)
def test_letters_that_the_font_lacks_break_nothing(invoice: Invoice, site: SiteSettings, words: str) -> None:
    invoice.notes = site.payment_details = site.company_address = invoice.client.address = words
    invoice.client.name = words[:200]
    assert pdf_pages(invoice_pdf(invoice, site=site)) >= 1


def test_logo_is_in_it_and_one_that_cannot_be_read_is_left_out(
    invoice: Invoice, site: SiteSettings, media: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.logo.save("logo.png", ContentFile(png()), save=False)
    assert b"/Subtype /Image" in invoice_pdf(invoice, site=site)
    assert not caplog.records
    for content in (b"<svg xmlns='http://www.w3.org/2000/svg'/>", png()[:60], b"%!PS-Adobe-3.0 EPSF-3.0"):
        (media / str(site.logo.name)).write_bytes(content)
        assert b"/Subtype /Image" not in invoice_pdf(invoice, site=site)
        assert "made without the logo branding/logo.png" in caplog.text
    (media / str(site.logo.name)).unlink()
    assert b"/Subtype /Image" not in invoice_pdf(invoice, site=site)


def test_invoice_is_made_without_a_logo_that_its_storage_does_not_hand_out(
    invoice: Invoice, site: SiteSettings, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.logo.save("logo.png", ContentFile(png()), save=False)
    site.logo.close()
    storage_fails(monkeypatch, "open")
    assert pdf_pages(invoice_pdf(invoice, site=site)) == 1
