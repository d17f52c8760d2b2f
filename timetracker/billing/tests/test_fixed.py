"""A draft changes as people like; an issued invoice does not, by whichever way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.clients.models import Client
from timetracker.tests.invoices import item_on

ON, DUE = date(2025, 3, 2), date(2025, 3, 16)


@pytest.fixture
def draft(bakery: Client) -> Invoice:
    return Invoice.objects.create(client=bakery, issued_on=ON, due_on=DUE)


@pytest.fixture
def issued(bakery: Client) -> Invoice:
    invoice = Invoice.objects.create(client=bakery, number="INV-1", status="sent", issued_on=ON, due_on=DUE)
    item_on(invoice, unit_price=Decimal(90))
    return invoice


def state_of(invoice: Invoice) -> tuple[object, ...]:
    """All that the database holds of it."""
    rows = Invoice.objects.filter(pk=invoice.pk).values_list(
        "number", "status", "client", "issued_on", "due_on", "currency", "tax_rate", "notes"
    )
    return (*rows, *InvoiceItem.objects.filter(invoice=invoice.pk).values_list("description", "quantity", "unit_price", "position"))


def saved(field: str, value: object) -> Callable[[Invoice], object]:
    def save(invoice: Invoice) -> None:
        setattr(invoice, field, value)
        invoice.save()

    return save


def item_saved(invoice: Invoice) -> None:
    item = invoice.items.get()
    item.unit_price = Decimal(9)
    item.save()


def item_moved(invoice: Invoice) -> None:
    item = invoice.items.get()
    item.invoice = Invoice.objects.create(client=invoice.client, issued_on=ON, due_on=DUE)
    item.save()


WAYS: dict[str, Callable[[Invoice], object]] = {
    "number": saved("number", "INV-2"),
    "no number": saved("number", ""),
    "notes": saved("notes", "Other words"),
    "tax": saved("tax_rate", Decimal(7)),
    "currency": saved("currency", "USD"),
    "date": saved("issued_on", date(2025, 3, 1)),
    "due": saved("due_on", date(2025, 4, 1)),
    "draft again": saved("status", "draft"),
    "deleted": lambda invoice: invoice.delete(),
    "update": lambda invoice: Invoice.objects.filter(pk=invoice.pk).update(notes="Other words"),
    "update of status": lambda invoice: Invoice.objects.filter(pk=invoice.pk).update(status="draft"),
    "bulk update": lambda invoice: Invoice.objects.bulk_update([Invoice(pk=invoice.pk, notes="Other words")], ["notes"]),
    "bulk delete": lambda invoice: Invoice.objects.all().delete(),
    "bulk create over it": lambda invoice: Invoice.objects.bulk_create(
        [invoice], update_conflicts=True, unique_fields=["id"], update_fields=["notes"]
    ),
    "item": item_saved,
    "item to another": item_moved,
    "item deleted": lambda invoice: invoice.items.get().delete(),
    "new item": lambda invoice: InvoiceItem.objects.create(invoice=invoice, description="More", unit_price=1),
    "items": lambda invoice: invoice.items.update(unit_price=1),
    "items by invoice": lambda invoice: InvoiceItem.objects.filter(invoice=invoice).update(description="x"),
    "items deleted": lambda invoice: invoice.items.all().delete(),
    "new items": lambda invoice: InvoiceItem.objects.bulk_create([InvoiceItem(invoice=invoice, description="More", unit_price=1)]),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
@pytest.mark.parametrize("status", ["sent", "paid", "cancelled"])
def test_issued_invoice_does_not_change(issued: Invoice, way: Callable[[Invoice], object], status: str) -> None:
    Invoice._base_manager.filter(pk=issued.pk).update(status=status)
    before = state_of(issued)
    with pytest.raises(InvoiceRefused), transaction.atomic():
        way(Invoice.objects.get(pk=issued.pk))
    assert state_of(issued) == before


# What changes nothing of a draft that has no number, and what a draft refuses, too.
NONE_OF_A_DRAFT = {"no number", "draft again", "update of status", "bulk create over it"}


@pytest.mark.parametrize("way", [name for name in WAYS if name not in NONE_OF_A_DRAFT])
def test_draft_changes(draft: Invoice, way: str) -> None:
    item_on(draft, unit_price=Decimal(90))
    before = state_of(draft)
    pk = draft.pk
    WAYS[way](draft)
    assert state_of(Invoice(pk=pk)) != before


def test_copy_that_was_read_while_it_was_a_draft_does_not_write_over_the_issued_invoice(draft: Invoice) -> None:
    stale = Invoice.objects.get(pk=draft.pk)
    draft.number, draft.status = "INV-9", "sent"
    draft.save()
    stale.notes = "Written before, saved after"
    with pytest.raises(InvoiceRefused, match="Invoice INV-9 is issued and does not change"):
        stale.save()
    draft.refresh_from_db()
    assert (draft.number, draft.status, draft.notes) == ("INV-9", "sent", "")


def test_where_it_stands_changes_and_nothing_returns_from_cancelled(issued: Invoice) -> None:
    for status in ("paid", "sent", "cancelled"):
        issued.status = status
        issued.save()
    issued.status = "sent"
    with pytest.raises(InvoiceRefused, match="is cancelled and stays so"):
        issued.save()


def test_pdf_is_put_there_once(issued: Invoice) -> None:
    issued.pdf.name = "invoices/2025/03/INV-1.pdf"
    issued.save()
    issued.pdf.name = "invoices/2025/03/another.pdf"
    with pytest.raises(InvoiceRefused):
        issued.save()


def test_draft_with_a_number_of_before_keeps_it_and_is_not_deleted(draft: Invoice) -> None:
    draft.number = "INV-7"
    draft.save()
    draft.number = "INV-8"
    with pytest.raises(InvoiceRefused, match="The number INV-7 has been given and stays"):
        draft.save()
    for delete in (draft.delete, Invoice.objects.filter(pk=draft.pk).delete):
        with pytest.raises(InvoiceRefused, match="Cancel it instead"):
            delete()
    assert Invoice.objects.get(pk=draft.pk).number == "INV-7"


def test_drafts_have_no_numbers_and_all_others_one_of_their_own(bakery: Client, draft: Invoice, issued: Invoice) -> None:
    assert str(draft) == f"Draft {draft.pk}" and str(issued) == "INV-1" and str(Invoice()) == "New draft"
    # As many drafts without a number as people like.
    Invoice.objects.create(client=bakery, issued_on=ON, due_on=DUE)
    for wrong in ({"number": "INV-1"}, {"number": "", "status": "sent"}, {"number": "", "status": "cancelled"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Invoice.objects.create(client=bakery, issued_on=ON, due_on=DUE, **wrong)
