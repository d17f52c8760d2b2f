"""What of an invoice is fixed, and from when on.

A draft changes as people like. From its issue on it is a document that somebody else has: only where it stands may change,
and its PDF is put there once. The model asks here before it writes, one row or many.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet

if TYPE_CHECKING:
    from timetracker.billing.models import Invoice

__all__ = ["InvoiceRefused", "InvoiceRows", "check_invoice_change", "check_invoice_goes", "hold_drafts"]

_DRAFT = "draft"
# What changes on an issued invoice, and from where an invoice goes to where.
_MOVES = {"status", "pdf", "mailed_at", "mailed_to", "updated_at"}
_WAYS = {"sent": {"paid", "cancelled"}, "paid": {"sent", "cancelled"}, "cancelled": set()}


class InvoiceRefused(ValidationError):
    """This may not happen to the invoice, and nothing did; the message names the cause and the next step."""


class InvoiceRows(QuerySet["Invoice"]):
    """Invoices, of which many at once change only while all are drafts."""

    def update(self, **fields: Any) -> int:
        """Change drafts. Raises InvoiceRefused where one of them is issued."""
        with transaction.atomic():
            hold_drafts(self)
            return super().update(**fields)

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete drafts. Raises InvoiceRefused where one of them is issued, or has a number."""
        with transaction.atomic():
            hold_drafts(self)
            if numbered := self.exclude(number="").first():
                check_invoice_goes(numbered)
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Invoice], *args: Any, **options: Any) -> list[Invoice]:
        """Insert rows. Raises InvoiceRefused where rows that are there would be written over."""
        if options.get("update_conflicts"):
            raise InvoiceRefused("Invoices are not written over.", code="fixed")
        return super().bulk_create(objs, *args, **options)


def hold_drafts(invoices: QuerySet[Invoice]) -> None:
    """Lock these invoices until the transaction ends. Raises InvoiceRefused where one of them is no draft."""
    held = list(invoices.order_by("pk").select_related(None).select_for_update(of=("self",)))
    for invoice in held:
        if invoice.status != _DRAFT:
            raise InvoiceRefused(f"Invoice {invoice} is issued and does not change. Cancel it and write a new one.", code="fixed")


def check_invoice_change(stored: Invoice, changed: Invoice, names: Iterable[str] | None) -> None:
    """Let ``changed`` be written over ``stored``, or only its fields ``names``. Raises InvoiceRefused."""
    fields = [field for field in stored._meta.concrete_fields if names is None or field.name in names or field.attname in names]
    differing = {field.name: field for field in fields if getattr(stored, field.attname) != getattr(changed, field.attname)}
    if stored.status == _DRAFT:
        if "number" in differing and stored.number:
            raise InvoiceRefused(f"The number {stored.number} has been given and stays.", code="fixed")
        return
    fixed = [str(field.verbose_name) for name, field in differing.items() if name not in _MOVES]
    if fixed or ("pdf" in differing and stored.pdf):
        words = ", ".join(fixed) or "PDF"
        raise InvoiceRefused(f"Invoice {stored} is issued and does not change: {words}. Cancel it and write a new one.", code="fixed")
    if "status" in differing and changed.status not in _WAYS[stored.status]:
        raise InvoiceRefused(f"Invoice {stored} is {stored.get_status_display().lower()} and stays so.", code="fixed")


def check_invoice_goes(invoice: Invoice) -> None:
    """Let ``invoice`` be deleted. Raises InvoiceRefused: a number that was given stays, so that none is missing in the row."""
    if invoice.status != _DRAFT or invoice.number:
        raise InvoiceRefused(f"Invoice {invoice} has its number and stays. Cancel it instead.", code="fixed")
