"""Invoices for tests, in states that otherwise take several steps."""

from __future__ import annotations

from typing import Any

from timetracker.billing.models import Invoice, InvoiceItem

__all__ = ["item_on"]


def item_on(invoice: Invoice, **fields: Any) -> InvoiceItem:
    """Write a line on an invoice that may be issued already, which the model refuses."""
    item = InvoiceItem(invoice=invoice, **{"description": "Work", "unit_price": 1} | fields)
    item.save_base(force_insert=True)
    return item
