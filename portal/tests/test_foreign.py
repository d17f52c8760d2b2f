"""Attempts: other clients' objects by every address there is, guessed links, and files that are not what they say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.test import Client as Browser
from django.urls import reverse

from portal.tests.conftest import Side, make_invoice
from portal.urls import urlpatterns
from timetracker.accounts.models import User
from timetracker.billing.issuing import invoice_cancel, invoice_issue
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.clients.models import Document

SCRIPT = b"<html><script>alert(1)</script></html>"
PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'


def make_draft(side: Side, **fields: object) -> Invoice:
    """A draft of one line."""
    day = side.invoice.issued_on
    draft = Invoice.objects.create(client=side.client, issued_on=day, due_on=day + timedelta(days=14), **fields)
    InvoiceItem.objects.create(invoice=draft, description="Work by the hour", unit_price=90)
    return draft


def foreign(own: Side, other: Side) -> Iterator[str]:
    """Addresses of everything that is not hers."""
    for invoice in (other.invoice, other.draft, own.draft):
        yield reverse("portal:invoice", args=[invoice.pk])
        yield reverse("portal:invoice_pdf", args=[invoice.pk])
    for document in (other.document, other.hidden, own.hidden):
        yield reverse("portal:document", args=[document.pk])
    for name in ("time", "time_csv"):
        yield reverse(f"portal:{name}") + f"?project={other.project.pk}"
        yield reverse(f"portal:{name}") + f"?person={other.worker.pk}"
        yield reverse(f"portal:{name}") + "?project=nonsense"
    for pk in (0, 10**30):
        yield f"/portal/invoices/{pk}/"
        yield f"/portal/invoices/{pk}/pdf/"
        yield f"/portal/documents/{pk}/"


def test_nothing_of_others_is_there_by_any_address(browser: Browser, own: Side, other: Side) -> None:
    other.invoice.pdf.save("theirs.pdf", ContentFile(b"%PDF-"))
    tried = list(foreign(own, other))
    assert {address: browser.get(address).status_code for address in tried} == dict.fromkeys(tried, 404)
    # Each address that has an id in it was tried.
    with_id = {str(pattern.name) for pattern in urlpatterns if "<int:pk>" in str(pattern.pattern)}
    assert with_id == {"invoice", "invoice_pdf", "document"}


def test_every_id_leads_to_her_own_or_nowhere(browser: Browser, own: Side, other: Side) -> None:
    there = {*Invoice.objects.values_list("pk", flat=True), *Document.objects.values_list("pk", flat=True)}
    assert {other.invoice.pk, other.draft.pk, other.document.pk, other.hidden.pk} <= there
    # And some that nothing has: numbers of tests before this one are not given again, so they may be far apart.
    for pk in there | {one + step for one in (0, *there) for step in (-1, 0, 1) if one + step >= 0}:
        answers = {kind: browser.get(f"/portal/{kind}/{pk}/") for kind in ("invoices", "documents")}
        if answers["documents"].streaming:
            b"".join(answers["documents"])
        assert (answers["invoices"].status_code == 200) == (pk == own.invoice.pk), pk
        assert (answers["documents"].status_code == 200) == (pk == own.document.pk), pk


def test_a_client_gets_nothing_of_the_team_and_files_have_no_address_of_their_own(browser: Browser, own: Side, media: Path) -> None:
    own.invoice.pdf.save("SB-0001.pdf", ContentFile(b"%PDF-"))
    for name in (str(own.invoice.pdf.name), str(own.document.file.name)):
        assert (media / name).is_file()
        for address in (f"/media/{name}", f"/{name}", f"/static/{name}", f"/static/../media/{name}", f"/portal/documents/{name}"):
            assert browser.get(address).status_code == 404, address
    for address in ("/clients/", f"/clients/{own.client.pk}/", "/entries/", "/reports/", "/import-export/", "/admin/"):
        assert browser.get(address).status_code in (302, 403), address
    assert browser.get(f"/clients/{own.client.pk}/documents/").status_code in (302, 403, 404)


def test_a_draft_is_there_once_it_is_issued_and_stays_when_it_is_cancelled(browser: Browser, own: Side) -> None:
    draft = make_draft(own)
    page, pdf = (reverse(f"portal:{name}", args=[draft.pk]) for name in ("invoice", "invoice_pdf"))
    assert [browser.get(address).status_code for address in (page, pdf)] == [404, 404]
    issued = invoice_issue(draft, User.objects.create(username="biller"))
    html = browser.get(page).content.decode()
    assert issued.number in html and pdf in html and "Work by the hour" in html
    answer = browser.get(pdf)
    assert b"".join(answer).startswith(b"%PDF-")
    assert answer["Content-Type"] == "application/pdf" and answer["Content-Disposition"].startswith("attachment; ")
    assert answer["X-Content-Type-Options"] == "nosniff" and "sandbox" in answer["Content-Security-Policy"]
    invoice_cancel(issued)
    html = browser.get(page).content.decode()
    assert "This invoice is cancelled" in html and "To pay" not in html
    assert "Cancelled" in browser.get(reverse("portal:invoices")).content.decode()
    assert b"".join(browser.get(pdf)).startswith(b"%PDF-")
    # It counts in no sum: what is to be paid is that of the other one.
    (money,) = browser.get(reverse("portal:invoices")).context["money"]
    assert (money.count, money.open) == (1, 200)


def test_what_was_cancelled_before_it_was_issued_never_was(browser: Browser, own: Side) -> None:
    """Drafts of older versions have numbers and can be cancelled."""
    hidden = invoice_cancel(make_draft(own, number="OLD-1"))
    assert browser.get(reverse("portal:invoice", args=[hidden.pk])).status_code == 404
    assert "OLD-1" not in browser.get(reverse("portal:invoices")).content.decode()


def test_an_invoice_without_a_pdf_links_none(browser: Browser, own: Side) -> None:
    """Those of older versions have none."""
    make_invoice(own.client, "OLD-2")
    assert "Save the PDF" not in browser.get(reverse("portal:invoice", args=[own.invoice.pk])).content.decode()
    assert browser.get(reverse("portal:invoice_pdf", args=[own.invoice.pk])).status_code == 404


@pytest.mark.parametrize(
    ("name", "content"), [("page.html", SCRIPT), ("page.svg", PICTURE), ("page.xhtml", SCRIPT), ("page", SCRIPT), ("page.pdf", SCRIPT)]
)
def test_a_file_that_would_run_in_a_browser_is_only_saved(browser: Browser, own: Side, name: str, content: bytes) -> None:
    """Forms refuse such files; a restore may bring them."""
    document = Document(client=own.client, title="A page", visible_to_client=True)
    document.file.save(name, ContentFile(content))
    answer = browser.get(reverse("portal:document", args=[document.pk]))
    assert b"".join(answer) == content
    assert answer["Content-Disposition"].startswith("attachment; ") and answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["Content-Type"] == ("application/pdf" if name.endswith(".pdf") else "application/octet-stream")


@pytest.mark.parametrize(("name", "content"), [("page.html", SCRIPT), ("page.svg", PICTURE), ("page.pdf", SCRIPT), ("page.png", PICTURE)])
def test_the_team_cannot_even_upload_one(own: Side, name: str, content: bytes) -> None:
    boss = Browser()
    boss.force_login(User.objects.create(username="boss", is_staff=True, is_superuser=True))
    before = Document.objects.count()
    form = {"title": "A page", "visible_to_client": "on", "file": ContentFile(content, name)}
    assert boss.post(reverse("staff:document_add", args=[own.client.pk]), form).status_code == 200
    assert Document.objects.count() == before


def test_a_file_name_cannot_write_a_header(browser: Browser, own: Side) -> None:
    document = Document(client=own.client, title="Names", visible_to_client=True)
    document.file.save("x.pdf", ContentFile(b"%PDF-"))
    folder = Path(document.file.path).parent
    evil = folder / 'a"; filename="b.html.pdf'
    Path(document.file.path).rename(evil)
    Document.objects.filter(pk=document.pk).update(file=str(Path(str(document.file.name)).parent / evil.name))
    answer = browser.get(reverse("portal:document", args=[document.pk]))
    b"".join(answer)
    assert answer["Content-Disposition"] == 'attachment; filename="a\\"; filename=\\"b.html.pdf"'


def test_account_changes_her_own_name_and_time_zone_and_names_the_clients_people_alone(browser: Browser, own: Side, other: Side) -> None:
    page = reverse("portal:account")
    html = browser.get(page).content.decode()
    assert own.user.email in html and other.user.email not in html and own.worker.full_name not in html
    form = {"full_name": "Toni Crumb", "time_zone": "Asia/Tokyo", "username": "boss", "is_staff": "on", "email": "x@evil.example"}
    assert browser.post(page, form).status_code == 302
    own.user.refresh_from_db()
    assert (own.user.full_name, own.user.time_zone) == ("Toni Crumb", "Asia/Tokyo")
    assert (own.user.username, own.user.email, own.user.is_staff) == ("toni@bakery.example", "toni@bakery.example", False)
    wrong = browser.post(page, {"full_name": "", "time_zone": "Europe/Nowhere"}).content.decode()
    assert "This field is required." in wrong and "Select a valid choice" in wrong and "Toni Crumb<span" in wrong
