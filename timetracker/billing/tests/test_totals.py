"""Totals in SQL agree with those of ``Invoice`` to the cent, on both engines."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from timetracker.billing.models import Invoice, InvoiceItem, Payment
from timetracker.billing.totals import cents, with_totals
from timetracker.clients.models import Client

quantities = st.decimals("0.01", "99999.99", places=2)
prices = st.decimals("-999999.99", "999999.99", places=2)
# The half cents, where roundings differ.
halves = st.sampled_from([("0.50", "0.01"), ("0.50", "-0.01"), ("1.50", "0.15"), ("0.01", "0.50"), ("2.50", "-1.01"), ("1.15", "1.10")])
lines = st.one_of(st.tuples(quantities, prices), halves.map(lambda pair: (Decimal(pair[0]), Decimal(pair[1]))))


def make_invoice(number: str, tax_rate: Decimal) -> Invoice:
    client, _ = Client.objects.get_or_create(name="Sample Bakery")
    on = date(2025, 3, 2)
    return Invoice.objects.create(number=number, client=client, issued_on=on, due_on=on, tax_rate=tax_rate)


def check(invoice: Invoice) -> None:
    """Compare all five sums."""
    found = with_totals(Invoice.objects.filter(pk=invoice.pk)).get()
    tax = invoice.total - invoice.subtotal
    assert cents(found.subtotal_cents) == invoice.subtotal
    assert cents(found.tax_cents) == tax
    assert cents(found.total_cents) == invoice.total
    assert cents(found.paid_cents) == invoice.paid
    assert cents(found.balance_cents) == invoice.balance


class TotalsTest(TestCase):
    """Random invoices."""

    @hypothesis_settings(max_examples=150, deadline=None, derandomize=True)
    @given(
        items=st.lists(lines, max_size=6),
        payments=st.lists(st.decimals("0.01", "999999.99", places=2), max_size=3),
        tax_rate=st.decimals(0, 100, places=2),
    )
    def test_sql_and_python_agree(self, items: list[tuple[Decimal, Decimal]], payments: list[Decimal], tax_rate: Decimal) -> None:
        invoice = make_invoice("INV-1", tax_rate)
        for quantity, price in items:
            InvoiceItem.objects.create(invoice=invoice, description="Work", quantity=quantity, unit_price=price)
        for amount in payments:
            Payment.objects.create(invoice=invoice, amount=amount)
        check(invoice)


@pytest.mark.django_db
@pytest.mark.parametrize(("quantity", "price"), [("0.50", "0.01"), ("0.50", "-0.01"), ("1.15", "1.10"), ("9999999.99", "9999999.99")])
@pytest.mark.parametrize("tax_rate", ["0", "0.5", "50", "100"])
def test_half_a_cent_goes_away_from_zero_and_large_amounts_are_exact(quantity: str, price: str, tax_rate: str) -> None:
    invoice = make_invoice("INV-1", Decimal(tax_rate))
    InvoiceItem.objects.create(invoice=invoice, description="Work", quantity=Decimal(quantity), unit_price=Decimal(price))
    check(invoice)


@pytest.mark.django_db
def test_an_invoice_without_lines_and_payments_comes_to_nothing() -> None:
    found = with_totals(Invoice.objects.filter(pk=make_invoice("INV-1", Decimal(20)).pk)).get()
    assert {found.subtotal_cents, found.tax_cents, found.total_cents, found.paid_cents, found.balance_cents} == {0}


@pytest.mark.django_db
def test_lines_and_payments_do_not_multiply_each_other_and_one_query_reads_all() -> None:
    for number in range(3):
        invoice = make_invoice(f"INV-{number}", Decimal(20))
        for _ in range(3):
            InvoiceItem.objects.create(invoice=invoice, description="Work", quantity=1, unit_price=Decimal(10))
            Payment.objects.create(invoice=invoice, amount=Decimal(1))
    with CaptureQueriesContext(connection) as queries:
        assert [(found.total_cents, found.paid_cents) for found in with_totals(Invoice.objects.all())] == [(3600, 300)] * 3
    assert len(queries) == 1
