"""Invoices, payments and expenses: sums, numbers, and what form and database refuse."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.db.models import Model, ProtectedError
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.billing.numbering import invoice_number_take
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.models import Project, TimeEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def client_of_ours() -> Client:
    return Client.objects.create(name="Sample Bakery")


@pytest.fixture
def invoice(client_of_ours: Client) -> Invoice:
    return Invoice.objects.create(
        number="INV-0001", client=client_of_ours, issued_on=date(2025, 3, 2), due_on=date(2025, 3, 16), tax_rate=Decimal("19.00")
    )


@pytest.fixture
def person() -> User:
    return User.objects.create(username="robin")


@pytest.fixture
def project(client_of_ours: Client) -> Project:
    return Project.objects.create(client=client_of_ours, name="Website", code="WEB")


def refused_by_form_and_database(row: Model, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        row.full_clean()
    assert message in refused.value.messages
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


def test_total_adds_tax_once_on_the_sum_and_the_balance_takes_payments_off(invoice: Invoice) -> None:
    InvoiceItem.objects.create(invoice=invoice, description="Work", quantity=Decimal("1.25"), unit_price=Decimal("95.10"))
    InvoiceItem.objects.create(invoice=invoice, description="Discount", quantity=Decimal(1), unit_price=Decimal("-10.00"))
    Payment.objects.create(invoice=invoice, amount=Decimal("50.00"))
    # 1.25 * 95.10 = 118.875, half a cent goes up; 108.88 * 0.19 = 20.6872.
    assert invoice.subtotal == Decimal("108.88")
    assert invoice.total == Decimal("129.57")
    assert invoice.balance == Decimal("79.57")


def test_invoice_is_overdue_from_the_day_after_it_was_due_until_it_is_paid(invoice: Invoice) -> None:
    invoice.status = Invoice.Status.SENT
    assert not invoice.is_overdue(date(2025, 3, 16))
    assert invoice.is_overdue(date(2025, 3, 17))
    invoice.status = Invoice.Status.PAID
    assert not invoice.is_overdue(date(2025, 3, 17))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"number": "", "status": "sent"}, "An invoice that is no draft has a number."),
        ({"number": "INV-0001"}, "There is an invoice of this number already."),
        ({"status": "lost"}, "Value 'lost' is not a valid choice."),
        ({"due_on": date(2025, 3, 1)}, "An invoice is not due before its date."),
        ({"tax_rate": Decimal("100.5")}, "Ensure this value is less than or equal to 100."),
        ({"currency": "eur"}, "“eur” is no currency code, such as EUR or USD."),
    ],
)
def test_wrong_invoice_is_refused(invoice: Invoice, wrong: dict[str, object], message: str) -> None:
    right = {"number": "INV-0002", "client": invoice.client, "issued_on": date(2025, 3, 2), "due_on": date(2025, 3, 16)}
    refused_by_form_and_database(Invoice(**{**right, **wrong}), message)


def test_item_of_no_quantity_and_payment_of_nothing_are_refused(invoice: Invoice) -> None:
    message = "Ensure this value is greater than or equal to 0.01."
    refused_by_form_and_database(InvoiceItem(invoice=invoice, description="Work", quantity=Decimal(0), unit_price=Decimal(1)), message)
    refused_by_form_and_database(Payment(invoice=invoice, amount=Decimal(0)), message)
    refused_by_form_and_database(Payment(invoice=invoice, amount=Decimal(1), method="shells"), "Value 'shells' is not a valid choice.")


def test_paid_invoice_is_not_deleted(invoice: Invoice) -> None:
    Payment.objects.create(invoice=invoice, amount=Decimal(1))
    with pytest.raises(ProtectedError), transaction.atomic():
        Invoice._base_manager.filter(pk=invoice.pk).delete()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"amount": Decimal(0)}, "Ensure this value is greater than or equal to 0.01."),
        ({"category": "gold"}, "Value 'gold' is not a valid choice."),
        ({"currency": "E"}, "“E” is no currency code, such as EUR or USD."),
        ({"billable": True}, "A billable expense needs a project."),
    ],
)
def test_wrong_expense_is_refused(person: User, wrong: dict[str, object], message: str) -> None:
    refused_by_form_and_database(Expense(**{"user": person, "description": "Taxi", "amount": Decimal(12), **wrong}), message)


def test_expense_that_is_not_billable_goes_on_no_invoice(person: User, project: Project, invoice: Invoice) -> None:
    item = InvoiceItem.objects.create(invoice=invoice, description="Taxi", unit_price=Decimal(12))
    expense = Expense(user=person, project=project, description="Taxi", amount=Decimal(12), invoice_item=item)
    refused_by_form_and_database(expense, "Only a billable expense can be on an invoice.")


@pytest.mark.usefixtures("media")
def test_receipt_goes_below_receipts_by_year_and_month_and_is_no_program(person: User) -> None:
    expense = Expense(user=person, description="Taxi", amount=Decimal(12))
    expense.receipt.save("taxi.pdf", ContentFile(b"%PDF-"))
    assert expense.receipt.name == f"receipts/{expense.created_at:%Y/%m}/taxi.pdf"
    expense.receipt.name = "taxi.exe"
    with pytest.raises(ValidationError) as refused:
        expense.full_clean()
    assert list(refused.value.message_dict) == ["receipt"]


def test_time_is_billed_once_and_free_again_when_its_draft_goes(person: User, project: Project, invoice: Invoice) -> None:
    item = InvoiceItem.objects.create(invoice=invoice, project=project, description="Work", unit_price=Decimal(95))
    now = timezone.now()
    entry = TimeEntry.objects.create(user=person, project=project, started_at=now - timedelta(hours=1), ended_at=now, invoice_item=item)
    other = InvoiceItem.objects.create(invoice=invoice, project=project, description="Work again", unit_price=Decimal(95))
    TimeEntry.objects.filter(pk=entry.pk).update(invoice_item=other)
    assert list(item.time_entries.all()) == [] and list(other.time_entries.all()) == [entry]
    Invoice._base_manager.filter(pk=invoice.pk).update(number="")
    Invoice.objects.get(pk=invoice.pk).delete()
    entry.refresh_from_db()
    assert entry.invoice_item is None


@pytest.mark.parametrize("wrong", [{"billable": False}, {"ended_at": None}])
def test_running_or_unbillable_time_goes_on_no_invoice(person: User, project: Project, invoice: Invoice, wrong: dict[str, object]) -> None:
    item = InvoiceItem.objects.create(invoice=invoice, project=project, description="Work", unit_price=Decimal(95))
    now = timezone.now()
    right = {"user": person, "project": project, "started_at": now - timedelta(hours=1), "ended_at": now, "invoice_item": item}
    refused_by_form_and_database(TimeEntry(**{**right, **wrong}), "Only billable time that has ended can be on an invoice.")


def test_numbers_follow_the_site_settings_and_pass_over_those_taken(client_of_ours: Client) -> None:
    SiteSettings.objects.create(invoice_prefix="2025-", invoice_next_number=7, invoice_digits=3)
    Invoice.objects.create(number="2025-008", client=client_of_ours, due_on=timezone.now().date())
    assert [invoice_number_take(), invoice_number_take()] == ["2025-007", "2025-009"]
    assert SiteSettings.load().invoice_next_number == 10


def test_number_of_a_transaction_that_fails_is_given_out_again() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        assert invoice_number_take() == "INV-0001"
        raise RuntimeError
    assert invoice_number_take() == "INV-0001"
