"""What becomes of a draft: it is issued, paid or cancelled. Each is done as a whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils.text import get_valid_filename

from timetracker.accounts.models import User
from timetracker.attachments import attachment_followed, storage_asked
from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.models import Expense, Invoice, Payment
from timetracker.billing.numbering import invoice_number_take
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.models import TimeEntry

__all__ = ["invoice_cancel", "invoice_issue", "invoice_pdf_keep", "payment_add", "payment_remove"]


def invoice_issue(invoice: Invoice, by: User, *, on: date | None = None, due_on: date | None = None) -> Invoice:
    """Give the draft its number, its date ``on``, ``due_on`` (None: as they are) and its PDF, and return it as issued.

    What comes to nothing is paid at once. Raises InvoiceRefused, and OSError where the PDF cannot be kept; then it is a draft
    as before, no number is used up and no file is left. Invoices are issued one after the other.
    """
    with _held_with_pdf(invoice) as held:
        if not held.is_draft:
            raise InvoiceRefused(f"Invoice {held} has been issued already.", code="state")
        if not held.items.exists():
            raise InvoiceRefused("It has no lines yet. Write at least one, then issue it.", code="empty")
        if held.total < 0:
            raise InvoiceRefused("It comes to less than nothing: more is taken off than there is. Change its lines.", code="negative")
        held.issued_on, held.due_on = on or held.issued_on, due_on or held.due_on
        if held.due_on < held.issued_on:
            raise InvoiceRefused("An invoice is not due before its date. Choose a later day.", code="due")
        held.number = held.number or invoice_number_take()
        held.status = Invoice.Status.SENT if held.total > 0 else Invoice.Status.PAID
        held.issued_by = by
        _put_pdf(held)
        held.save()
    return held


def invoice_pdf_keep(invoice: Invoice) -> Invoice:
    """Make the PDF of an issued invoice that has none, as those of older versions, and return it. Raises as ``invoice_issue``."""
    with _held_with_pdf(invoice) as held:
        if held.is_draft:
            raise InvoiceRefused("A draft has no PDF to keep. Issue it first.", code="state")
        if not held.pdf:
            _put_pdf(held)
            held.save(update_fields=["pdf", "updated_at"])
    return held


def invoice_cancel(invoice: Invoice) -> Invoice:
    """Take an issued invoice back, which keeps its number and PDF; its time and its expenses can be billed again.

    Raises InvoiceRefused for a draft without a number, which is deleted instead, and where there are payments.
    """
    with transaction.atomic():
        held = _held(invoice)
        if held.is_draft and not held.number:
            raise InvoiceRefused("A draft has no number to keep. Delete it instead.", code="state")
        if held.payments.exists():
            raise InvoiceRefused(f"Invoice {held} has payments. Remove them first, then cancel it.", code="paid")
        held.status = Invoice.Status.CANCELLED
        held.save(update_fields=["status", "updated_at"])
        TimeEntry.objects.filter(invoice_item__in=held.items.values("pk")).update(invoice_item=None)
        Expense.objects.filter(invoice_item__in=held.items.values("pk")).update(invoice_item=None)
    return held


def payment_add(invoice: Invoice, *, amount: Decimal, paid_on: date, method: str = Payment.Method.TRANSFER, reference: str = "") -> Payment:
    """Write down money received, in the invoice's currency; with nothing left to pay the invoice is paid.

    More than is left is taken, too: it shows as a balance below zero. Raises InvoiceRefused where the invoice is not issued, and
    ValidationError by fields for what the model does not take.
    """
    with transaction.atomic():
        held = _held(invoice)
        if held.status not in (Invoice.Status.SENT, Invoice.Status.PAID):
            raise InvoiceRefused(f"{held} is {held.get_status_display().lower()}: only an issued invoice is paid.", code="state")
        payment = Payment(invoice=held, amount=amount, paid_on=paid_on, method=method, reference=reference)
        payment.full_clean()
        payment.save()
        _settle(held)
    return payment


def payment_remove(payment: Payment) -> Invoice:
    """Take a payment away that was none, and return its invoice, which is open again with anything left to pay."""
    with transaction.atomic():
        held = _held(payment.invoice)
        if held.status == Invoice.Status.CANCELLED:
            raise InvoiceRefused(f"Invoice {held} is cancelled and stays as it is.", code="state")
        Payment.objects.filter(pk=payment.pk).delete()
        _settle(held)
    return held


def _settle(held: Invoice) -> None:
    status = Invoice.Status.PAID if held.balance <= 0 else Invoice.Status.SENT
    if not held.is_draft and held.status != status:
        held.status = status
        held.save(update_fields=["status", "updated_at"])


def _held(invoice: Invoice) -> Invoice:
    """The row as it is now, which nobody else changes until this transaction ends."""
    held = Invoice.objects.select_for_update().filter(pk=invoice.pk).first()
    if held is None:
        raise InvoiceRefused("This invoice has been deleted meanwhile. Go back to the list.", code="gone")
    return held


@contextmanager
def _held_with_pdf(invoice: Invoice) -> Iterator[Invoice]:
    """As :func:`_held`, in a transaction that leaves no file where it fails."""
    held = Invoice(pk=invoice.pk)
    with attachment_followed(held, "pdf"):
        _held(invoice)
        held.refresh_from_db()
        yield held


def _put_pdf(held: Invoice) -> None:
    # What draws it is a sixth of all that a process loads, and most draw nothing.
    from timetracker.billing.invoice_pdf import invoice_pdf

    content = ContentFile(invoice_pdf(held, site=SiteSettings.load()))
    with storage_asked():
        held.pdf.save(f"{get_valid_filename(held.number)}.pdf", content, save=False)
