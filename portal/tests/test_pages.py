"""The pages: what a client sees, what never, and in how many queries."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.tests.conftest import NINE, Side, make_invoice
from timetracker.billing.models import Invoice, Payment
from timetracker.clients.models import Document
from timetracker.siteconf.models import SiteSettings
from timetracker.tests.invoices import item_on
from timetracker.tracking.models import Project, TimeEntry

SPACE = "\N{NO-BREAK SPACE}"

# Of each page the queries in all: session, user, client, the counts of the navigation, the look, and its own.
PAGES = {
    "portal:dashboard": 12,
    "portal:projects": 8,
    "portal:time": 10,
    "portal:report": 10,
    "portal:invoices": 8,
    "portal:documents": 7,
    "portal:account": 7,
    "portal:change_password": 5,
}


STATES = [
    ("sent", False, False, "Open"),
    ("sent", False, True, "Partly paid"),
    ("sent", True, True, "Overdue"),
    ("paid", True, True, "Paid"),
    ("cancelled", True, False, "Cancelled"),
]


def text_of(browser: Browser, name: str, *args: object, **asked: str | int) -> str:
    """The page's HTML."""
    response = browser.get(reverse(name, args=args), asked)
    assert response.status_code == 200, response
    return response.content.decode()


@pytest.mark.parametrize(("page", "queries"), PAGES.items())
def test_number_of_queries_does_not_grow_with_the_rows(browser: Browser, own: Side, page: str, queries: int) -> None:
    with CaptureQueriesContext(connection) as few:
        text_of(browser, page)
    for number in range(2, 30):
        project = Project.objects.create(client=own.client, name=f"More {number}", code=f"SB-{number}")
        started = NINE + timedelta(days=number)
        TimeEntry.objects.create(user=own.worker, project=project, started_at=started, ended_at=started + timedelta(hours=1))
        make_invoice(own.client, f"MORE-{number}")
        Document.objects.create(client=own.client, title=f"More {number}", file=f"documents/{number}.pdf", visible_to_client=True)
    with CaptureQueriesContext(connection) as many:
        text_of(browser, page)
    assert len(many) == len(few) == queries, "\n".join(query["sql"] for query in many)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_nothing_of_another_client_and_no_draft_and_nothing_internal(
    browser: Browser, own: Side, other: Side, page: str
) -> None:
    html = text_of(browser, page)
    assert own.client.name in html
    for word in ("X-B", other.client.name, own.draft.number, own.hidden.title):
        assert word not in html


def test_rows_of_the_client_are_on_their_pages(browser: Browser, own: Side) -> None:
    assert "Project SB" in text_of(browser, "portal:projects")
    time = text_of(browser, "portal:time")
    assert "Notes SB" in time and "Task SB" in time and "Worker SB" in time and "1:35" in time
    assert own.invoice.number in text_of(browser, "portal:invoices")
    assert own.document.title in text_of(browser, "portal:documents")
    dashboard = text_of(browser, "portal:dashboard")
    for word in ("Project SB", "Notes SB", own.invoice.number, own.document.title):
        assert word in dashboard


@pytest.mark.parametrize("status", ["draft", "cancelled"])
def test_an_invoice_that_is_not_issued_is_nowhere_and_in_no_sum(browser: Browser, own: Side, status: str) -> None:
    hidden = make_invoice(own.client, "HIDDEN-1", status, price="1000000.00", currency="CHF")
    for page in ("portal:dashboard", "portal:invoices"):
        html = text_of(browser, page)
        assert "HIDDEN-1" not in html and "CHF" not in html
    assert browser.get(reverse("portal:invoice", args=[hidden.pk])).status_code == 404


@pytest.mark.parametrize(("status", "is_due", "is_paid", "words"), STATES)
def test_an_invoice_says_where_it_stands(browser: Browser, own: Side, status: str, is_due: bool, is_paid: bool, words: str) -> None:
    due_on = date(2025, 3, 16) if is_due else date.today() + timedelta(days=3)
    invoice = make_invoice(own.client, "STATE-1", status, due_on=due_on)
    invoice.pdf.save("x.pdf", ContentFile(b"%PDF-"))
    if is_paid:
        Payment.objects.create(invoice=invoice, amount=Decimal(1))
    assert f">{words}</span>" in text_of(browser, "portal:invoice", invoice.pk)


def test_time_that_still_runs_is_not_shown(browser: Browser, own: Side) -> None:
    TimeEntry.objects.create(user=own.worker, project=own.project, started_at=timezone.now(), notes="Still at it")
    assert "Still at it" not in text_of(browser, "portal:time")
    assert "Still at it" not in text_of(browser, "portal:dashboard")


SWITCHES = {
    "portal_shows_time": ["portal:time"],
    "portal_shows_invoices": ["portal:invoices", "portal:invoice"],
    "portal_shows_documents": ["portal:documents", "portal:document"],
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_what_is_switched_off_for_a_client_does_not_exist_and_is_not_linked(browser: Browser, own: Side, switch: str) -> None:
    keys = {"portal:invoice": [own.invoice.pk], "portal:document": [own.document.pk]}
    setattr(own.client, switch, False)
    own.client.save()
    dashboard = text_of(browser, "portal:dashboard")
    for names in SWITCHES.values():
        for name in names:
            address = reverse(name, args=keys.get(name, []))
            is_off = name in SWITCHES[switch]
            response = browser.get(address)
            if response.streaming:
                b"".join(response)
            assert response.status_code == (404 if is_off else 200), name
            assert (address not in dashboard) == is_off, name


def test_projects_are_shown_without_hours_where_time_is_switched_off(browser: Browser, own: Side) -> None:
    assert "1:35" in text_of(browser, "portal:projects")
    own.client.portal_shows_time = False
    own.client.save()
    html = text_of(browser, "portal:projects")
    assert "Project SB" in html and "Active" in html
    assert "1:35" not in html and "Budget" not in html and "Hours" not in html


def test_budget_shows_what_is_used(browser: Browser, own: Side) -> None:
    # 1:35 of 10 hours.
    assert "15 % of 10 h" in text_of(browser, "portal:projects")
    Project.objects.filter(pk=own.project.pk).update(budget_hours=Decimal("1.25"))
    html = text_of(browser, "portal:projects")
    assert "126 % of 1.25 h: over" in html and 'class="below bad"' in html
    Project.objects.filter(pk=own.project.pk).update(budget_hours=0)
    assert "over: 0 h" in text_of(browser, "portal:projects")


def test_sums_are_over_all_rows_and_not_over_the_page(browser: Browser, own: Side) -> None:
    started = [NINE + timedelta(days=number) for number in range(1, 121)]
    TimeEntry.objects.bulk_create(
        TimeEntry(user=own.worker, project=own.project, started_at=at, ended_at=at + timedelta(hours=2), break_seconds=1800)
        for at in started
    )
    # 120 times 1:30, and 1:35.
    html = text_of(browser, "portal:time")
    assert "Sum of 121 entries" in html and "181:35" in html and "Page 1 of 3" in html
    last = text_of(browser, "portal:time", page=3)
    assert "Sum of 121 entries" in last and "Notes SB" in last and "Page 3 of 3" in last
    assert "Page 3 of 3" in text_of(browser, "portal:time", page=99)


def test_money_is_summed_per_currency(browser: Browser, own: Side) -> None:
    # SB-0001: 200 EUR and 20 % tax, of which 40 are paid.
    make_invoice(own.client, "CHF-1", price="1000.00", currency="CHF")
    paid = make_invoice(own.client, "CHF-2", "paid", price="0.05", currency="CHF")
    Payment.objects.create(invoice=paid, amount=Decimal("0.12"))
    make_invoice(own.client, "CHF-3", price="1.00", currency="CHF", due_on=date.today() + timedelta(days=3))
    assert [
        (row.currency, row.count, row.billed, row.paid, row.open, row.overdue) for row in browser.get("/portal/invoices/").context["money"]
    ] == [
        ("CHF", 3, Decimal("2402.52"), Decimal("0.12"), Decimal("2402.40"), Decimal("2400.00")),
        ("EUR", 1, Decimal("240.00"), Decimal("40.00"), Decimal("200.00"), Decimal("200.00")),
    ]
    html = text_of(browser, "portal:dashboard")
    assert f"2,402.40{SPACE}CHF" in html and f"200.00{SPACE}EUR" in html


def test_invoice_shows_lines_tax_payments_and_what_is_left(browser: Browser, own: Side) -> None:
    item_on(own.invoice, description="Discount", unit_price=Decimal("-12.35"), position=2)
    SiteSettings.objects.create(company_name="Example Studio", payment_details="Account XX00", tax_number="XX-1", tax_name="VAT")
    html = text_of(browser, "portal:invoice", own.invoice.pk)
    # (200 - 12.35) * 1.2 = 225.18
    for word in (
        "Work of SB-0001",
        "Discount",
        "-12.35",
        "VAT, 20 %",
        f"187.65{SPACE}EUR",
        f"37.53{SPACE}EUR",
        f"225.18{SPACE}EUR",
        f"185.18{SPACE}EUR",
    ):
        assert word in html, word
    for word in ("Example Studio", "Account XX00", "XX-1", "VAT, 20 %", "9 March 2025", "bank transfer", own.client.name):
        assert word in html, word


@pytest.mark.parametrize("status", ["paid", "cancelled"])
def test_invoice_with_nothing_to_pay_says_no_way_to_pay_it(browser: Browser, own: Side, status: str) -> None:
    SiteSettings.objects.create(payment_details="Account XX00")
    assert "Account XX00" in text_of(browser, "portal:invoice", own.invoice.pk)
    own.invoice.pdf.save("x.pdf", ContentFile(b"%PDF-"))
    Invoice._base_manager.filter(pk=own.invoice.pk).update(status=status)
    assert "Account XX00" not in text_of(browser, "portal:invoice", own.invoice.pk)


def test_time_is_filtered_by_project_and_by_days_in_the_persons_time_zone(browser: Browser, own: Side) -> None:
    own.user.time_zone = "Asia/Tokyo"
    own.user.save()
    second = Project.objects.create(client=own.client, name="Second", code="SB-2")
    # 23:30 of 9 March in UTC is 10 March in Tokyo.
    late = NINE.replace(day=9, hour=23, minute=30)
    TimeEntry.objects.create(user=own.worker, project=second, started_at=late, ended_at=late + timedelta(minutes=20), notes="Late work")

    def shown(**asked: str | int) -> tuple[bool, bool]:
        html = text_of(browser, "portal:time", **asked)
        return "Notes SB" in html, "Late work" in html

    assert shown() == (True, True)
    assert "10 Mar 2025" in text_of(browser, "portal:time")
    assert shown(project=own.project.pk) == (True, False)
    assert shown(since="2025-03-04") == (False, True)
    assert shown(until="2025-03-09") == (True, False)
    assert shown(since="2025-03-10", until="2025-03-10") == (False, True)
    assert "No time matches" in text_of(browser, "portal:time", since="2026-01-01")


def test_wrong_days_are_said_and_nothing_is_shown(browser: Browser, own: Side) -> None:
    html = text_of(browser, "portal:time", since="2025-03-10", until="2025-03-01")
    assert "This day is before the first one." in html and "Notes SB" not in html
    assert "Enter a valid date." in text_of(browser, "portal:time", since="yesterday")


def test_htmx_gets_the_rows_alone_and_history_the_whole_page(browser: Browser) -> None:
    address = reverse("portal:time")
    part = browser.get(address, headers={"HX-Request": "true"})
    assert b"Notes SB" in part.content and b"<html" not in part.content
    assert "HX-Request" in part.headers["Vary"]
    whole = browser.get(address, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert b"<html" in whole.content


def test_filter_stays_on_the_next_page(browser: Browser, own: Side) -> None:
    started = [NINE + timedelta(days=number) for number in range(1, 60)]
    TimeEntry.objects.bulk_create(
        TimeEntry(user=own.worker, project=own.project, started_at=at, ended_at=at + timedelta(hours=1)) for at in started
    )
    html = text_of(browser, "portal:time", project=own.project.pk, since="2025-03-01", page=1)
    assert f"?project={own.project.pk}&amp;since=2025-03-01&amp;page=2" in html


def test_document_is_sent_to_be_saved_whatever_is_in_it(browser: Browser, own: Side) -> None:
    response = browser.get(reverse("portal:document", args=[own.document.pk]))
    assert b"".join(response) == b"contract of SB"
    assert response.headers["Content-Disposition"] == 'attachment; filename="contract-SB.pdf"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response.headers["Cache-Control"] and "private" in response.headers["Cache-Control"]


def test_document_whose_file_is_lost_does_not_exist_and_is_logged(browser: Browser, own: Side, caplog: pytest.LogCaptureFixture) -> None:
    own.document.file.storage.delete(str(own.document.file))
    assert browser.get(reverse("portal:document", args=[own.document.pk])).status_code == 404
    assert f"document {own.document.pk} cannot be read" in caplog.text


@pytest.mark.parametrize("page", PAGES)
def test_no_cache_keeps_a_page(browser: Browser, page: str) -> None:
    assert "no-store" in browser.get(reverse(page)).headers["Cache-Control"]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("portal:change_password", "portal:account")])
def test_pages_only_read(browser: Browser, page: str) -> None:
    assert browser.post(reverse(page)).status_code == 405


def test_empty_pages_say_what_will_be_there(browser: Browser, own: Side) -> None:
    TimeEntry.objects.all().delete()
    Payment.objects.all().delete()
    Invoice._base_manager.filter(pk=own.invoice.pk).delete()
    Document.objects.all().delete()
    Project.objects.all().delete()
    html = text_of(browser, "portal:dashboard")
    for words in ("No projects yet.", "No time yet.", "No invoices yet.", "No documents yet."):
        assert words in html, words


def test_names_are_escaped(browser: Browser, own: Side) -> None:
    own.client.name = own.entry.notes = own.document.title = "<b>R&D</b>"
    own.client.save()
    own.entry.save()
    own.document.save()
    html = text_of(browser, "portal:dashboard")
    assert "<b>R" not in html and html.count("&lt;b&gt;R&amp;D&lt;/b&gt;") >= 4
