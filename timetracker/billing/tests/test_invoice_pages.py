"""The team's pages of invoices: from what is unbilled to the last payment, by permission, and nothing of an issued one changes."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.billing.drafts import draft_empty, draft_make
from timetracker.billing.issuing import invoice_issue, payment_add
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.billing.tests.conftest import Worked
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings
from timetracker.tests.invoices import item_on
from timetracker.tests.people import HTMX, browser_of, somebody
from timetracker.tracking.models import Project, TimeEntry

PAGES = ["invoices", "invoice_add", "invoice", "invoice_file", "draft_edit", "line_add", "line", "invoice_issue", "draft_delete"]


@pytest.fixture
def kim(db: None) -> User:
    """Who bills."""
    return somebody("kim", Role.BOOKKEEPER)


@pytest.fixture
def browser(kim: User) -> Browser:
    return browser_of(kim)


@pytest.fixture
def draft(media: Path, bakery: Client, worked: Worked, kim: User) -> Invoice:
    """Two hours on a line, and nineteen percent of tax: 238.00 EUR."""
    SiteSettings.objects.create(company_name="Example Studio", default_tax_rate=Decimal(19))
    worked(3, 120)
    return draft_make(bakery, by=kim)


@pytest.fixture
def issued(draft: Invoice, kim: User) -> Invoice:
    return invoice_issue(draft, kim)


def url(name: str, *args: object) -> str:
    return reverse(f"staff:{name}", args=args)


def file_of(browser: Browser, invoice: Invoice) -> bytes | None:
    """What is downloaded; None where there is nothing (404)."""
    answer = browser.get(url("invoice_file", invoice.pk))
    return b"".join(answer.streaming_content) if answer.status_code == 200 else None  # type: ignore[attr-defined]


def words_of(answer: Any) -> str:
    """What a page says, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())).split()).replace("\N{NO-BREAK SPACE}", " ")


def get(browser: Browser, name: str, *args: object, **asked: Any) -> str:
    answer = browser.get(url(name, *args), asked)
    assert answer.status_code == 200, answer.status_code
    return words_of(answer)


def post(browser: Browser, name: str, *args: object, **form: object) -> str:
    """What is on the page to which a form leads."""
    return words_of(browser.post(url(name, *args), form, follow=True))


# --- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sees", "writes"),
    [(Role.OWNER, 200, 200), (Role.BOOKKEEPER, 200, 200), (Role.MANAGER, 200, 403), (Role.MEMBER, 403, 403), (None, 403, 403)],
)
def test_each_role_reaches_by_url_what_it_may(draft: Invoice, role: Role | None, sees: int, writes: int) -> None:
    browser, item = browser_of(somebody("robert", role)), draft.items.get().pk
    args = {"invoices": (), "invoice_add": (), "line": (draft.pk, item)}
    codes = {name: browser.get(url(name, *args.get(name, (draft.pk,)))).status_code for name in PAGES}
    seen = ("invoices", "invoice", "invoice_file")
    assert codes == {name: sees if name in seen else writes for name in PAGES}
    changing = {
        "discount_add": (draft.pk,),
        "line_delete": (draft.pk, item),
        "invoice_blank": (draft.client_id,),
        "invoice_pdf_make": (draft.pk,),
    }
    if writes == 403:
        assert {browser.post(url(name, *where)).status_code for name, where in changing.items()} == {403}
        assert InvoiceItem.objects.count() == 1


@pytest.mark.parametrize("role", [Role.MEMBER, Role.MANAGER])
def test_who_may_not_changes_nothing_of_an_issued_invoice(issued: Invoice, role: Role) -> None:
    browser = browser_of(somebody("robert", role))
    for name in ("invoice_send", "invoice_cancel", "payment_new"):
        assert browser.post(url(name, issued.pk), {"amount": 1, "paid_on": "2025-04-01", "method": "card", "words": "x"}).status_code == 403
    issued.refresh_from_db()
    assert issued.status == "sent" and not Payment.objects.exists() and mail.outbox == []


def test_invoices_are_amounts_and_not_for_who_sees_none(draft: Invoice) -> None:
    browser = browser_of(somebody("robert", None, "billing.view_invoice", "billing.add_invoice", "billing.change_invoice"))
    assert {browser.get(url(name, *([] if name in PAGES[:2] else [draft.pk]))).status_code for name in PAGES[:6]} == {403}
    assert 'href="/invoices/"' not in browser.get(url("account")).content.decode()


def test_clients_people_and_strangers_are_led_away(draft: Invoice) -> None:
    guest = User.objects.create_user("toni@bakery.example")
    assert browser_of(guest).get(url("invoice", draft.pk)).headers["Location"] == reverse("portal:dashboard")
    assert browser_of(guest).get(url("invoice_file", draft.pk)).headers["Location"] == reverse("portal:dashboard")
    assert "/login/" in Browser().get(url("invoice", draft.pk)).headers["Location"]


# --- the list ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def ledger(bakery: Client) -> dict[str, Invoice]:
    """One invoice in each state."""
    made, today = {}, date.today()
    for number, (name, status, due) in enumerate(
        [
            ("open", "sent", 9),
            ("overdue", "sent", -9),
            ("part", "sent", 9),
            ("paid", "paid", -9),
            ("cancelled", "cancelled", 9),
            ("draft", "draft", 9),
        ]
    ):
        on = today - timedelta(days=30 + number)
        made[name] = Invoice.objects.create(
            client=bakery, number="" if name == "draft" else f"N-{name}", status=status, issued_on=on, due_on=today + timedelta(days=due)
        )
        item_on(made[name], unit_price=Decimal(100))
    Payment.objects.create(invoice=made["part"], amount=Decimal(40))
    Payment.objects.create(invoice=made["paid"], amount=Decimal(100))
    return made


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("", {"open", "overdue", "part", "paid", "cancelled", "draft"}),
        ("open", {"open", "overdue", "part"}),
        ("overdue", {"overdue"}),
        ("part", {"part"}),
        ("paid", {"paid"}),
        ("cancelled", {"cancelled"}),
        ("draft", {"draft"}),
    ],
)
def test_list_is_filtered_by_where_invoices_stand(browser: Browser, ledger: dict[str, Invoice], state: str, found: set[str]) -> None:
    page = browser.get(url("invoices"), {"state": state}).context["page"]
    assert {row.pk for row in page} == {ledger[name].pk for name in found}


def test_sums_are_of_all_issued_ones_that_are_asked_for_by_currency(browser: Browser, ledger: dict[str, Invoice], bakery: Client) -> None:
    other = Client.objects.create(name="Other", currency="USD")
    item_on(
        Invoice.objects.create(client=other, number="U-1", status="sent", currency="USD", issued_on="2025-03-02", due_on="2025-03-16"),
        unit_price=Decimal("7.50"),
    )
    said = get(browser, "invoices")
    assert "400.00 EUR billed, 260.00 EUR open, 100.00 EUR overdue" in said
    assert "7.50 USD billed, 7.50 USD open, 7.50 USD overdue" in said
    of_client = get(browser, "invoices", client=bakery.pk)
    assert "USD" not in of_client.split("All clients")[1].split("Invoice Client")[0].replace("Other", "")
    assert "N-overdue" in get(browser, "invoices", q="overdue") and "N-open" not in get(browser, "invoices", q="overdue")
    assert "U-1" in get(browser, "invoices", until="2025-12-31")
    assert "No invoice is like this" in get(browser, "invoices", q="nothing")


@pytest.mark.parametrize(
    "asked",
    [
        "?page=x",
        "?page=99",
        "?state=lost",
        "?client=no",
        "?client=999999999999999999999",
        "?since=0001-01-01",
        "?until=31.31.3131",
        "?q=%00",
    ],
)
def test_nonsense_that_is_asked_for_is_no_error(browser: Browser, ledger: dict[str, Invoice], asked: str) -> None:
    assert browser.get(url("invoices") + asked).status_code == 200
    assert browser.get(url("invoice_add") + asked).status_code == 200


def test_number_of_queries_does_not_grow_with_the_rows(browser: Browser, ledger: dict[str, Invoice], bakery: Client) -> None:
    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            browser.get(url("invoices"))
        return len(queries)

    before = count()
    for number in range(20):
        item_on(Invoice.objects.create(client=bakery, number=f"M-{number}", status="sent", issued_on="2025-03-02", due_on="2025-03-16"))
    assert count() == before <= 12


def test_empty_list_says_what_to_do(browser: Browser) -> None:
    assert "No invoices yet. Write the first one from the time and the expenses of a client." in get(browser, "invoices")
    assert "Everything is billed" in get(browser, "invoice_add")


# --- a new one --------------------------------------------------------------------------------------------------------


def test_unbilled_work_is_chosen_looked_at_and_written_as_a_draft(
    browser: Browser, bakery: Client, website: Project, worked: Worked, robin: User
) -> None:
    worked(3, 90)
    worked(10, 60)
    Expense.objects.create(user=robin, project=website, description="Train", amount=40, spent_on="2025-03-04", billable=True)
    assert "Sample Bakery 2:30 40.00 EUR 290.00 EUR" in get(browser, "invoice_add")
    asked = {"client": bakery.pk, "since": "2025-03-01", "until": "2025-03-05", "grouping": "day"}
    said = get(browser, "invoice_add", **asked)
    assert "3 March 2025, Website" in said and "10 March" not in said and "Before tax 190.00 EUR" in said
    assert "Before tax 150.00 EUR" in get(browser, "invoice_add", **asked, expenses="no")
    answer = browser.post(url("invoice_add") + "?" + "&".join(f"{name}={value}" for name, value in asked.items()))
    draft = Invoice.objects.get()
    assert answer.headers["Location"] == url("invoice", draft.pk) and draft.total == Decimal("190.00")
    lines = [item.description for item in draft.items.order_by("position")]
    assert lines == ["3 March 2025, Website", "Train, 4 March 2025"] and all(line in said for line in lines)
    # It is gone from what waits, and sent once more nothing is left to bill.
    again = words_of(browser.post(url("invoice_add") + f"?client={bakery.pk}&until=2025-03-05", follow=True))
    assert "There is nothing to bill" in again and Invoice.objects.count() == 1


def test_projects_and_currencies_are_offered_where_there_are_several(
    browser: Browser, bakery: Client, website: Project, worked: Worked
) -> None:
    shop = Project.objects.create(client=bakery, name="Shop", code="SHOP")
    worked(3, 60)
    worked(3, 30, project=shop)
    other = Project.objects.create(client=Client.objects.create(name="Other"), name="Other", code="OTHER")
    Expense.objects.create(
        user=User.objects.get(username="kim"), project=shop, description="Hosting", amount=9, currency="USD", billable=True
    )
    said = get(browser, "invoice_add", client=bakery.pk)
    assert "SHOP Shop" in said and "OTHER" not in said and "several currencies" in said
    assert "Before tax 50.00 EUR" in get(browser, "invoice_add", client=bakery.pk, projects=shop.pk)
    assert "Before tax 9.00 USD" in get(browser, "invoice_add", client=bakery.pk, currency="USD")
    # Projects of others, currencies that are none, and days in the wrong order are refused beside their fields.
    for wrong in ({"projects": other.pk}, {"currency": "XXX"}, {"since": "2025-03-05", "until": "2025-03-01"}, {"grouping": "colour"}):
        answer = browser.post(url("invoice_add") + f"?client={bakery.pk}&" + "&".join(f"{name}={value}" for name, value in wrong.items()))
        assert answer.status_code == 200 and answer.context["form"].errors, wrong
    assert not Invoice.objects.exists()


def test_time_without_a_rate_is_named_and_an_empty_draft_can_be_begun(browser: Browser, bakery: Client, worked: Worked) -> None:
    Client.objects.update(default_rate=None)
    worked(3, 90)
    assert "1:30 h of 1 entry have no rate and are left out" in get(browser, "invoice_add", client=bakery.pk)
    assert "Add its lines" in post(browser, "invoice_blank", bakery.pk)
    assert Invoice.objects.get().items.count() == 0
    assert "deleted meanwhile" in post(browser, "invoice_blank", 9999)


def test_pages_of_a_client_and_a_project_say_what_is_unbilled(bakery: Client, website: Project, worked: Worked) -> None:
    worked(3, 90)
    owner = browser_of(somebody("owner", Role.OWNER))
    assert "150.00 EUR unbilled: 1:30 h of time" in get(owner, "client", bakery.pk)
    assert "150.00 EUR unbilled: 1:30 h of time · New invoice" in get(owner, "project", website.pk)
    member = browser_of(somebody("member", Role.MEMBER))
    assert "unbilled" not in get(member, "client", bakery.pk) + get(member, "project", website.pk)


# --- drafts -----------------------------------------------------------------------------------------------------------


def test_draft_shows_its_lines_and_totals_and_a_preview(browser: Browser, draft: Invoice) -> None:
    said = get(browser, "invoice", draft.pk)
    for words in (
        f"Draft {draft.pk}",
        "Website, 3 March 2025",
        "1 entry",
        "2.00 h",
        "Before tax 200.00 EUR",
        "Tax, 19 % 38.00 EUR",
        "Total 238.00 EUR",
    ):
        assert words in said, words
    answer = browser.get(url("invoice_file", draft.pk))
    assert answer.content.startswith(b"%PDF-") and answer.headers["Content-Disposition"] == f'attachment; filename="draft-{draft.pk}.pdf"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_draft_is_changed_and_nobody_writes_over_another(browser: Browser, draft: Invoice) -> None:
    loaded = browser.get(url("draft_edit", draft.pk)).context["form"].initial["as_of"]
    form = {"issued_on": "2025-04-01", "due_on": "2025-04-20", "tax_rate": "7.5", "notes": "Thank you.", "as_of": loaded}
    wrong = browser.post(url("draft_edit", draft.pk), form | {"due_on": "2025-03-31"})
    assert "An invoice is not due before its date. Choose a later day." in words_of(wrong) and "Thank you." in wrong.content.decode()
    assert "The draft is saved." in post(browser, "draft_edit", draft.pk, **form)
    draft.refresh_from_db()
    assert (draft.issued_on, draft.due_on, draft.tax_rate, draft.notes) == (
        date(2025, 4, 1),
        date(2025, 4, 20),
        Decimal("7.5"),
        "Thank you.",
    )
    late = browser.post(url("draft_edit", draft.pk), form | {"notes": "Written over"})
    assert "Somebody has changed this since you opened it" in words_of(late)
    draft.refresh_from_db()
    assert draft.notes == "Thank you."


def test_lines_are_added_changed_moved_and_taken_off(browser: Browser, draft: Invoice) -> None:
    def lines() -> list[str]:
        return [item.description for item in draft.items.all()]

    form = {"description": "Hosting", "quantity": "2", "unit": "pcs", "unit_price": "10.05"}
    post(browser, "line_add", draft.pk, **form)
    assert lines() == ["Website, 3 March 2025", "Hosting"]
    work, hosting = draft.items.all()
    said = post(browser, "line_up", draft.pk, hosting.pk)
    assert lines() == ["Hosting", "Website, 3 March 2025"] and said.index("Hosting") < said.index("Website, 3 March 2025")
    post(browser, "line_up", draft.pk, hosting.pk)
    post(browser, "line_down", draft.pk, work.pk)
    assert lines() == ["Hosting", "Website, 3 March 2025"]
    post(browser, "line_down", draft.pk, hosting.pk)
    assert lines() == ["Website, 3 March 2025", "Hosting"]
    for wrong in ({"quantity": "0"}, {"unit_price": "1e9999"}, {"description": ""}, {"quantity": "NaN"}):
        assert browser.post(url("line_add", draft.pk), form | wrong).context["form"].errors, wrong
    loaded = browser.get(url("line", draft.pk, work.pk)).context["form"].initial["as_of"]
    post(browser, "line", draft.pk, work.pk, description="All of it", quantity="1.5", unit="h", unit_price="95", as_of=loaded)
    work.refresh_from_db()
    assert (work.description, work.amount, work.time_entries.count()) == ("All of it", Decimal("142.50"), 1)
    assert "off the draft. What it billed can be billed again." in post(browser, "line_delete", draft.pk, work.pk)
    assert lines() == ["Hosting"] and TimeEntry.objects.get().invoice_item is None
    # Sent a second time it is gone already, and that is no error.
    assert browser.post(url("line_delete", draft.pk, work.pk)).status_code == 302


def test_discount_takes_percent_off_what_the_lines_come_to(browser: Browser, draft: Invoice) -> None:
    post(browser, "discount_add", draft.pk, percent="12.5")
    assert [(item.description, item.unit_price) for item in draft.items.all()][1] == ("Discount, 12.5 %", Decimal("-25.00"))
    for wrong in ("0", "100.01", "-5", "x", ""):
        assert browser.post(url("discount_add", draft.pk), {"percent": wrong}).context["form"].errors
    post(browser, "discount_add", draft.pk, percent="100")
    assert draft.total == 0
    assert "There is nothing to take it off" in post(browser, "discount_add", draft.pk, percent="10")


def test_lines_of_another_draft_do_not_exist_here(browser: Browser, draft: Invoice, bakery: Client, kim: User) -> None:
    other = draft_empty(bakery, by=kim)
    item = draft.items.get().pk
    assert browser.get(url("line", other.pk, item)).status_code == 404
    for name in ("line_up", "line_delete"):
        assert browser.post(url(name, other.pk, item)).status_code == 302
    assert draft.items.count() == 1


def test_draft_takes_no_more_lines_than_an_invoice_has(browser: Browser, draft: Invoice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timetracker.billing.pages.drafts.MOST_LINES", 1)
    form = {"description": "More", "quantity": "1", "unit_price": "1"}
    assert "An invoice has 1 lines at most" in post(browser, "line_add", draft.pk, **form)
    assert draft.items.count() == 1


def test_deleted_draft_frees_its_time_and_one_with_a_number_stays(browser: Browser, draft: Invoice) -> None:
    assert "is deleted. What it billed can be billed again." in post(browser, "draft_delete", draft.pk)
    assert not Invoice.objects.exists() and TimeEntry.objects.get().invoice_item is None
    numbered = Invoice.objects.create(client=draft.client, number="OLD-1", issued_on="2025-03-02", due_on="2025-03-16")
    assert "Cancel it instead" in post(browser, "draft_delete", numbered.pk)
    assert "is cancelled" in post(browser, "invoice_cancel", numbered.pk)


# --- issued -----------------------------------------------------------------------------------------------------------


def test_draft_is_issued_with_the_days_that_are_chosen(browser: Browser, draft: Invoice, kim: User, media: Path) -> None:
    assert "Sample Bakery is billed 238.00 EUR in 1 line." in get(browser, "invoice_issue", draft.pk)
    wrong = browser.post(url("invoice_issue", draft.pk), {"issued_on": "2025-04-02", "due_on": "2025-04-01"})
    assert "not due before its date" in words_of(wrong)
    said = post(browser, "invoice_issue", draft.pk, issued_on="2025-04-02", due_on="2025-04-20")
    assert "Invoice INV-0001 is issued." in said and "Download the PDF" in said
    draft.refresh_from_db()
    assert (draft.number, draft.issued_on, draft.issued_by) == ("INV-0001", date(2025, 4, 2), kim)
    assert file_of(browser, draft) == (media / str(draft.pdf.name)).read_bytes()
    answer = browser.get(url("invoice_file", draft.pk))
    answer.close()
    assert answer.headers["Content-Disposition"] == 'attachment; filename="INV-0001.pdf"'


def test_draft_without_lines_is_not_issued(browser: Browser, draft: Invoice) -> None:
    draft.items.all().delete()
    assert "It has no lines yet" in get(browser, "invoice_issue", draft.pk)
    assert "It has no lines yet. Write at least one" in post(
        browser, "invoice_issue", draft.pk, issued_on="2025-04-02", due_on="2025-04-20"
    )
    draft.refresh_from_db()
    assert draft.is_draft


def test_pdf_that_cannot_be_kept_is_told_and_the_draft_stays(browser: Browser, draft: Invoice, media: Path) -> None:
    media.mkdir()
    (media / "invoices").write_text("In the way.")
    said = post(browser, "invoice_issue", draft.pk, issued_on="2025-04-02", due_on="2025-04-20")
    assert "The PDF cannot be kept" in said and "it is a draft still" in said
    draft.refresh_from_db()
    assert draft.is_draft


def test_issued_invoice_has_no_pages_that_change_it(browser: Browser, issued: Invoice) -> None:
    item = issued.items.get().pk
    pages = {
        "draft_edit": (),
        "line_add": (),
        "line": (item,),
        "line_delete": (item,),
        "line_up": (item,),
        "discount_add": (),
        "invoice_issue": (),
    }
    form = {
        "description": "x",
        "quantity": 1,
        "unit_price": 1,
        "percent": 5,
        "issued_on": "2025-04-02",
        "due_on": "2025-04-20",
        "tax_rate": 1,
    }
    assert {browser.post(url(name, issued.pk, *rest), form).status_code for name, rest in pages.items()} == {404}
    said = get(browser, "invoice", issued.pk)
    assert "Add a line" not in said and "Total 238.00 EUR" in said and "Issued by kim" in said


def test_draft_that_was_changed_since_the_page_was_opened_is_not_issued_unseen(browser: Browser, draft: Invoice) -> None:
    form = {"issued_on": "2025-04-02", "due_on": "2025-04-20"}
    seen = browser.get(url("invoice_issue", draft.pk)).context["form"].initial["as_of"]
    item_on(draft, description="Hosting", unit_price=Decimal(50))
    answer = browser.post(url("invoice_issue", draft.pk), form | {"as_of": seen})
    said = words_of(answer)
    assert "The draft has changed since you opened this, so it is not issued." in said and "297.50 EUR in 2 lines" in said
    draft.refresh_from_db()
    assert draft.is_draft
    now = answer.context["form"]["as_of"].value()
    assert "Invoice INV-0001 is issued." in post(browser, "invoice_issue", draft.pk, **form, as_of=now)


def test_payment_that_is_sent_twice_is_saved_once_unless_it_is_another_one(browser: Browser, issued: Invoice) -> None:
    form = {"paid_on": "2025-04-01", "amount": "100", "method": "transfer", "paid_as_of": "0"}
    assert 'name="paid_as_of" value="0"' in browser.get(url("invoice", issued.pk)).content.decode()
    for _ in range(2):
        answer = browser.post(url("payment_new", issued.pk), form)
    assert "Payments have changed since you opened this: 100.00 is paid now." in words_of(answer)
    assert b'name="paid_as_of" value="10000"' in answer.content and Payment.objects.count() == 1
    assert browser.post(url("payment_new", issued.pk), form | {"paid_as_of": "10000"}).status_code == 302
    assert Payment.objects.count() == 2


def test_invoice_is_paid_in_parts_and_a_payment_can_be_removed(browser: Browser, issued: Invoice) -> None:
    assert browser.get(url("invoice", issued.pk)).context["form"].initial["amount"] == Decimal("238.00")
    form = {"paid_on": "2025-04-03", "amount": "100", "method": "transfer", "reference": "R-1"}
    assert "138.00 EUR left to pay." in post(browser, "payment_new", issued.pk, **form)
    for wrong in ({"amount": "0"}, {"amount": "-1"}, {"amount": "99999999999999"}, {"paid_on": "1999-01-01"}, {"method": "shells"}):
        answer = browser.post(url("payment_new", issued.pk), form | wrong)
        assert answer.status_code == 200 and answer.context["form"].errors, wrong
    assert "paid in part" in get(browser, "invoice", issued.pk)
    assert "It is paid." in post(browser, "payment_new", issued.pk, **form | {"amount": "138.00"})
    assert "10.00 EUR too much was paid." in post(browser, "payment_new", issued.pk, **form | {"amount": "10"})
    removed = Payment.objects.filter(amount=100).get()
    assert "Delete the payment of 100.00 EUR for INV-0001?" in get(browser, "payment_delete", removed.pk)
    assert "The payment of 100.00 EUR is removed." in post(browser, "payment_delete", removed.pk)
    issued.refresh_from_db()
    assert (issued.status, issued.balance) == ("sent", Decimal("90.00"))
    assert browser.get(url("payment_delete", removed.pk)).status_code == 404


def test_form_that_htmx_sent_leads_on_by_its_header(browser: Browser, issued: Invoice) -> None:
    form = {"paid_on": "2025-04-03", "amount": "238", "method": "card"}
    answer = browser.post(url("payment_new", issued.pk), form, headers=HTMX)
    assert answer.headers["HX-Redirect"] == url("invoice", issued.pk)


def test_invoice_is_sent_and_the_page_says_to_whom(browser: Browser, issued: Invoice, settings: Settings) -> None:
    settings.SITE_URL = "https://time.example.org"
    Client.objects.update(portal_enabled=True)
    form = browser.get(url("invoice_send", issued.pk)).context["form"]
    assert form.initial["to"] == ["office@bakery.example"] and "238.00" in form.initial["words"]
    wrong = browser.post(url("invoice_send", issued.pk), {"words": "Hello"})
    assert "Nobody would get it. Tick an address, or type one." in words_of(wrong) and mail.outbox == []
    assert browser.post(url("invoice_send", issued.pk), {"to": "stranger@else.example", "words": "Hello"}).context["form"].errors
    said = post(browser, "invoice_send", issued.pk, to="office@bakery.example", more="kim@bakery.example", words="Hello there")
    assert "on its way to office@bakery.example, kim@bakery.example" in said and "to office@bakery.example, kim@bakery.example" in said
    (message,) = mail.outbox
    assert message.body.startswith("Hello there") and f"https://time.example.org/portal/invoices/{issued.pk}/" in message.body


def test_form_that_was_sent_already_asks_whether_it_is_meant(browser: Browser, issued: Invoice) -> None:
    form = browser.get(url("invoice_send", issued.pk)).context["form"]
    sent = {"mailed_as_of": form.initial["mailed_as_of"], "to": "office@bakery.example", "words": "Hello"}
    assert browser.post(url("invoice_send", issued.pk), sent).status_code == 302
    again = browser.post(url("invoice_send", issued.pk), sent)
    assert "It was sent since you opened this. Press again to send it once more." in words_of(again) and len(mail.outbox) == 1
    meant = sent | {"mailed_as_of": again.context["form"]["mailed_as_of"].value()}
    assert browser.post(url("invoice_send", issued.pk), meant).status_code == 302 and len(mail.outbox) == 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("server", "Nothing was sent. The mail server localhost:25 cannot be reached"),
        ("missing", "is missing among the uploads"),
        ("unreadable", "The PDF of this invoice cannot be read (Is a directory), so nothing was sent."),
    ],
)
def test_mail_that_fails_says_why_and_what_was_typed_stays(
    browser: Browser, issued: Invoice, settings: Settings, media: Path, fault: str, words: str
) -> None:
    pdf = media / str(issued.pdf.name)
    if fault == "server":
        settings.EMAIL_BACKEND = "timetracker.billing.tests.test_invoice_mail.Refusing"
    else:
        pdf.unlink()
    if fault == "unreadable":
        pdf.mkdir()
    said = words_of(browser.post(url("invoice_send", issued.pk), {"to": "office@bakery.example", "words": "My own words"}))
    assert words in said and ("EMAIL_URL" in said) == (fault == "server") and "My own words" in said
    issued.refresh_from_db()
    assert issued.mailed_at is None
    assert (file_of(browser, issued) is None) == (fault != "server")


def test_invoice_is_cancelled_unless_something_was_paid(browser: Browser, issued: Invoice) -> None:
    payment = payment_add(issued, amount=Decimal(1), paid_on=date(2025, 4, 1))
    assert "has payments. Remove them first" in post(browser, "invoice_cancel", issued.pk)
    post(browser, "payment_delete", payment.pk)
    assert "Cancel invoice INV-0001?" in get(browser, "invoice_cancel", issued.pk)
    said = post(browser, "invoice_cancel", issued.pk)
    assert "Invoice INV-0001 is cancelled. What it billed can be billed again." in said and "Add a payment" not in said
    assert TimeEntry.objects.get().invoice_item is None
    assert "only an issued invoice is sent" in post(browser, "invoice_send", issued.pk, words="x")


def test_invoice_of_before_gets_its_pdf_by_a_button(browser: Browser, bakery: Client, media: Path) -> None:
    old = Invoice.objects.create(client=bakery, number="OLD-1", status="sent", issued_on="2025-03-02", due_on="2025-03-16")
    item_on(old, unit_price=5)
    assert "Make the PDF" in get(browser, "invoice", old.pk)
    assert file_of(browser, old) is None
    assert "The PDF is made, and kept with the invoice." in post(browser, "invoice_pdf_make", old.pk)
    old.refresh_from_db()
    assert file_of(browser, old) == (media / str(old.pdf.name)).read_bytes()


def test_what_people_typed_is_escaped(browser: Browser, draft: Invoice, bakery: Client) -> None:
    Client.objects.update(name="<b>R&D</b>")
    post(browser, "line_add", draft.pk, description="<script>alert(1)</script>", quantity="1", unit_price="1")
    for name, args in (("invoices", ()), ("invoice", (draft.pk,)), ("invoice_issue", (draft.pk,)), ("invoice_add", ())):
        html = browser.get(url(name, *args)).content.decode()
        assert "<b>R" not in html and "<script>alert" not in html
