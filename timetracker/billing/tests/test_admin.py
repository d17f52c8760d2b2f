"""The admin writes drafts and payments, and changes nothing of an issued invoice."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from timetracker.accounts.models import User
from timetracker.billing.drafts import draft_make
from timetracker.billing.issuing import invoice_issue
from timetracker.billing.models import Invoice, InvoiceItem, Payment
from timetracker.billing.tests.conftest import Worked
from timetracker.clients.models import Client
from timetracker.tests.people import browser_of


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss", "boss@studio.example")


@pytest.fixture
def browser(boss: User) -> Browser:
    return browser_of(boss)


@pytest.fixture
def draft(media: Path, bakery: Client, worked: Worked, boss: User) -> Invoice:
    """Two hundred euros."""
    worked(3, 120)
    return draft_make(bakery, by=boss)


@pytest.fixture
def issued(draft: Invoice, boss: User) -> Invoice:
    return invoice_issue(draft, boss)


def url(model: str, action: str, *args: object) -> str:
    return reverse(f"admin:billing_{model}_{action}", args=args)


def form_of(invoice: Invoice, **changed: Any) -> dict[str, Any]:
    """What the page of an invoice with one line sends."""
    item = invoice.items.get()
    form = {
        "client": invoice.client_id,
        "issued_on": "2025-04-02",
        "due_on": "2025-04-16",
        "currency": "EUR",
        "tax_rate": "0",
        "notes": "Changed",
        "items-TOTAL_FORMS": "1",
        "items-INITIAL_FORMS": "1",
        "items-0-id": item.pk,
        "items-0-invoice": invoice.pk,
        "items-0-position": "1",
        "items-0-description": "Changed",
        "items-0-quantity": "1",
        "items-0-unit_price": "1",
        "payments-TOTAL_FORMS": "0",
        "payments-INITIAL_FORMS": "0",
    }
    return form | changed


def test_draft_is_changed_with_its_lines(browser: Browser, draft: Invoice) -> None:
    assert browser.post(url("invoice", "change", draft.pk), form_of(draft)).status_code == 302
    draft.refresh_from_db()
    assert (draft.notes, draft.total, draft.status) == ("Changed", Decimal(1), "draft")


def test_draft_stays_with_its_client_and_its_currency(browser: Browser, draft: Invoice) -> None:
    other = Client.objects.create(name="Sample Mill", currency="USD")
    form = form_of(draft, client=other.pk, currency="USD")
    assert browser.post(url("invoice", "change", draft.pk), form).status_code == 302
    draft.refresh_from_db()
    assert (draft.client.name, draft.currency, draft.notes) == ("Sample Bakery", "EUR", "Changed")


def test_issued_invoice_is_shown_and_neither_changed_nor_deleted(browser: Browser, issued: Invoice) -> None:
    page = browser.get(url("invoice", "change", issued.pk))
    assert page.status_code == 200 and b'name="_save"' not in page.content and b'name="items-0-description"' not in page.content
    assert browser.post(url("invoice", "change", issued.pk), form_of(issued)).status_code == 403
    assert browser.post(url("invoice", "delete", issued.pk), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [issued.pk], "post": "yes"}
    browser.post(url("invoice", "changelist"), action)
    issued.refresh_from_db()
    assert (issued.status, issued.total, issued.notes) == ("sent", Decimal(200), "")


def test_draft_that_is_issued_meanwhile_is_not_changed_and_that_is_said(
    browser: Browser, boss: User, draft: Invoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = form_of(draft)
    changeable = "timetracker.billing.admin.InvoiceAdmin.has_change_permission"
    # It was one when the page looked, and is none when it writes.
    invoice_issue(draft, boss)
    monkeypatch.setattr(changeable, lambda *_: True)
    said = browser.post(url("invoice", "change", draft.pk), form, follow=True)
    assert b"is issued and does not change" in said.content
    draft.refresh_from_db()
    assert draft.total == Decimal(200) and InvoiceItem.objects.get().description != "Changed"


def test_payments_decide_whether_the_invoice_is_paid(browser: Browser, issued: Invoice) -> None:
    form = {"invoice": issued.pk, "amount": "200", "paid_on": "2025-04-03", "method": "transfer", "reference": ""}
    assert browser.post(url("payment", "add"), form).status_code == 302
    issued.refresh_from_db()
    payment = Payment.objects.get()
    assert (issued.status, payment.paid_on) == ("paid", date(2025, 4, 3))
    assert browser.post(url("payment", "change", payment.pk), form | {"amount": "1"}).status_code == 403
    assert browser.post(url("payment", "delete", payment.pk), {"post": "yes"}).status_code == 302
    issued.refresh_from_db()
    assert issued.status == "sent" and not Payment.objects.exists()


def test_payment_for_a_draft_is_refused_in_the_form(browser: Browser, draft: Invoice) -> None:
    form = {"invoice": draft.pk, "amount": "200", "paid_on": "2025-04-03", "method": "transfer"}
    page = browser.post(url("payment", "add"), form)
    assert page.status_code == 200 and b"Only an issued invoice is paid." in page.content
    assert not Payment.objects.exists()
