"""Invoices, payments and expenses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import FileExtensionValidator, MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from timetracker.billing.fixed import InvoiceRows, check_invoice_change, check_invoice_goes, hold_drafts
from timetracker.money import currency_constraint, to_cents, validate_currency
from timetracker.timestamps import Timestamped

__all__ = ["Expense", "Invoice", "InvoiceItem", "Payment", "today"]

_CENT = Decimal("0.01")


def today() -> date:
    """Return today's date in UTC."""
    return timezone.now().date()


class Invoice(Timestamped):
    """A bill to a client; every amount of its items and payments is in ``currency``, ``tax_rate`` is in percent.

    Its time entries and expenses hang on its items, from the draft on. Its number is given when it is issued; a draft of an older
    version may have one already, and keeps it. From then on nothing of it changes but where it stands: ``save`` and ``delete``
    raise :class:`~timetracker.billing.fixed.InvoiceRefused`, and so do the bulk operations of ``objects``. That it is overdue or
    paid in part follows from ``due_on`` and the payments and is not stored.
    """

    class Status(models.TextChoices):
        """Where an invoice stands."""

        DRAFT = "draft", "Draft"
        SENT = "sent", "Issued"
        PAID = "paid", "Paid"
        CANCELLED = "cancelled", "Cancelled"

    number = models.CharField(max_length=40, blank=True, default="", help_text="Given when the invoice is issued.")
    client = models.ForeignKey("clients.Client", on_delete=models.PROTECT, related_name="invoices", db_index=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    issued_on = models.DateField("date", default=today)
    due_on = models.DateField("due")
    currency = models.CharField(max_length=3, default="EUR", validators=[validate_currency])
    tax_rate = models.DecimalField(
        max_digits=5, decimal_places=2, default=Decimal(0), validators=[MinValueValidator(0), MaxValueValidator(100)], help_text="Percent."
    )
    notes = models.TextField(blank=True, help_text="Printed on the invoice.")
    pdf = models.FileField("PDF", upload_to="invoices/%Y/%m/", max_length=255, blank=True, editable=False)
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+", db_index=False
    )
    mailed_at = models.DateTimeField(null=True, blank=True, editable=False)
    mailed_to = models.TextField(blank=True, editable=False, help_text="Addresses of the last mail, separated by commas.")

    objects = InvoiceRows.as_manager()

    class Meta:
        ordering = ["-issued_on", "-id"]
        indexes = [
            models.Index(fields=["client", "issued_on"], name="billing_invoice_client"),
            models.Index(fields=["status", "due_on"], name="billing_invoice_due"),
            models.Index(fields=["issued_on", "id"], name="billing_invoice_issued"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["number"],
                condition=~Q(number=""),
                name="billing_invoice_number_unique",
                violation_error_message="There is an invoice of this number already.",
            ),
            models.CheckConstraint(
                name="billing_invoice_issued_has_number",
                condition=Q(status="draft") | ~Q(number=""),
                violation_error_message="An invoice that is no draft has a number.",
            ),
            models.CheckConstraint(
                name="billing_invoice_status_known",
                condition=Q(status__in=["draft", "sent", "paid", "cancelled"]),
                violation_error_message="An invoice is a draft, issued, paid or cancelled.",
            ),
            models.CheckConstraint(
                name="billing_invoice_due_after_issue",
                condition=Q(due_on__gte=F("issued_on")),
                violation_error_message="An invoice is not due before its date.",
            ),
            models.CheckConstraint(
                name="billing_invoice_tax_in_percent",
                condition=Q(tax_rate__gte=0, tax_rate__lte=100),
                violation_error_message="A tax rate is between 0 and 100 percent.",
            ),
            currency_constraint("billing_invoice_currency_code"),
        ]

    def __str__(self) -> str:
        return self.number or (f"Draft {self.pk}" if self.pk else "New draft")

    @property
    def is_draft(self) -> bool:
        """Whether it is still being written."""
        return self.status == self.Status.DRAFT

    @property
    def subtotal(self) -> Decimal:
        """Sum of the items, before tax."""
        return sum((item.amount for item in self.items.all()), Decimal(0))

    @property
    def total(self) -> Decimal:
        """Sum with tax, which is rounded once on the sum."""
        subtotal = self.subtotal
        return subtotal + to_cents(subtotal * self.tax_rate / 100)

    @property
    def paid(self) -> Decimal:
        """Sum of the payments."""
        return sum((payment.amount for payment in self.payments.all()), Decimal(0))

    @property
    def balance(self) -> Decimal:
        """What is left to pay; negative when too much was paid."""
        return self.total - self.paid

    def is_overdue(self, on: date | None = None) -> bool:
        """Whether the invoice is issued, not paid, and was due before ``on`` (None: today)."""
        return self.status == self.Status.SENT and self.due_on < (on or today())

    def save(self, *args: Any, **options: Any) -> None:
        """Write it. Raises InvoiceRefused, judged by the row in the database, where what does not change any more would."""
        with transaction.atomic():
            stored = Invoice.objects.select_for_update().filter(pk=self.pk).first() if self.pk else None
            if stored is not None:
                check_invoice_change(stored, self, options.get("update_fields"))
            super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        """Delete a draft, whose time and expenses are free then. Raises InvoiceRefused for any other, and where it has a number."""
        with transaction.atomic():
            stored = Invoice.objects.select_for_update().filter(pk=self.pk).first()
            if stored is not None:
                check_invoice_goes(stored)
            return super().delete(*args, **options)


class ItemRows(QuerySet["InvoiceItem"]):
    """Lines of invoices, of which many at once change only on drafts. All raise InvoiceRefused."""

    def update(self, **fields: Any) -> int:
        """Change lines of drafts."""
        with transaction.atomic():
            hold_drafts(Invoice.objects.filter(pk__in=self.order_by().values("invoice")))
            return super().update(**fields)

    update.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> tuple[int, dict[str, int]]:
        """Take lines off drafts."""
        with transaction.atomic():
            hold_drafts(Invoice.objects.filter(pk__in=self.order_by().values("invoice")))
            return super().delete()

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[InvoiceItem], *args: Any, **options: Any) -> list[InvoiceItem]:
        """Write lines on drafts."""
        items = list(objs)
        with transaction.atomic():
            hold_drafts(Invoice.objects.filter(pk__in={item.invoice_id for item in items}))
            return super().bulk_create(items, *args, **options)


class InvoiceItem(Timestamped):
    """One line of an invoice: ``quantity`` of ``unit`` (hours, pieces) times ``unit_price`` in the invoice's currency.

    Of an issued invoice it does not change: ``save`` and ``delete`` raise :class:`~timetracker.billing.fixed.InvoiceRefused`.
    """

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="items", db_index=False)
    project = models.ForeignKey("tracking.Project", on_delete=models.PROTECT, null=True, blank=True, related_name="invoice_items")
    position = models.PositiveSmallIntegerField(default=1)
    description = models.CharField(max_length=300)
    quantity = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal(1), validators=[MinValueValidator(_CENT)])
    unit = models.CharField(max_length=10, blank=True, help_text="Such as h; printed behind the quantity.")
    unit_price = models.DecimalField(max_digits=12, decimal_places=2, help_text="Negative for a discount.")

    objects = ItemRows.as_manager()

    class Meta:
        ordering = ["position", "id"]
        indexes = [models.Index(fields=["invoice", "position"], name="billing_item_invoice")]
        constraints = [
            models.CheckConstraint(
                name="billing_item_quantity_above_zero",
                condition=Q(quantity__gt=0),
                violation_error_message="A quantity is above zero.",
            ),
        ]

    def __str__(self) -> str:
        return self.description

    @property
    def amount(self) -> Decimal:
        """Quantity times price, rounded to cents."""
        return to_cents(self.quantity * self.unit_price)

    def save(self, *args: Any, **options: Any) -> None:
        """Write it on a draft; an invoice from which it moves is one, too."""
        with transaction.atomic():
            self._hold_drafts()
            super().save(*args, **options)

    def delete(self, *args: Any, **options: Any) -> tuple[int, dict[str, int]]:
        """Take it off a draft; its time and expenses are free then."""
        with transaction.atomic():
            self._hold_drafts()
            return super().delete(*args, **options)

    def _hold_drafts(self) -> None:
        stored = InvoiceItem.objects.filter(pk=self.pk).values("invoice")
        hold_drafts(Invoice.objects.filter(Q(pk=self.invoice_id) | Q(pk__in=stored)))


class Payment(Timestamped):
    """Money received for an invoice, in its currency."""

    class Method(models.TextChoices):
        """How it was paid."""

        TRANSFER = "transfer", "Bank transfer"
        CARD = "card", "Card"
        CASH = "cash", "Cash"
        OTHER = "other", "Other"

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments")
    amount = models.DecimalField(max_digits=12, decimal_places=2, validators=[MinValueValidator(_CENT)])
    paid_on = models.DateField(default=today, db_index=True)
    method = models.CharField(max_length=10, choices=Method, default=Method.TRANSFER)
    reference = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["-paid_on", "-id"]
        constraints = [
            models.CheckConstraint(
                name="billing_payment_above_zero", condition=Q(amount__gt=0), violation_error_message="A payment is above zero."
            ),
            models.CheckConstraint(
                name="billing_payment_method_known",
                condition=Q(method__in=["transfer", "card", "cash", "other"]),
                violation_error_message="A payment is a transfer, by card, in cash or other.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} for {self.invoice}"

    def clean(self) -> None:
        """Refuse money for what nobody owes."""
        if self.invoice_id is not None and self.invoice.status not in (Invoice.Status.SENT, Invoice.Status.PAID):
            raise ValidationError("Only an issued invoice is paid. Issue it first.", code="not_issued")


class Expense(Timestamped):
    """Money that a person spent, with its receipt. An invoice item bills it at most once, and only if it is billable."""

    class Category(models.TextChoices):
        """What the money went to."""

        TRAVEL = "travel", "Travel"
        MEALS = "meals", "Meals"
        SOFTWARE = "software", "Software"
        HARDWARE = "hardware", "Hardware"
        PRINT = "print", "Print"
        OTHER = "other", "Other"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="expenses")
    project = models.ForeignKey("tracking.Project", on_delete=models.PROTECT, null=True, blank=True, related_name="expenses")
    category = models.CharField(max_length=10, choices=Category, default=Category.OTHER)
    description = models.CharField(max_length=300)
    spent_on = models.DateField(default=today, db_index=True)
    amount = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        validators=[MinValueValidator(_CENT)],
        help_text="Without tax that you get back: an invoice adds its own.",
    )
    currency = models.CharField(max_length=3, default="EUR", validators=[validate_currency])
    billable = models.BooleanField(default=False)
    receipt = models.FileField(
        upload_to="receipts/%Y/%m/",
        max_length=255,
        blank=True,
        validators=[FileExtensionValidator(["pdf", "png", "jpg", "jpeg", "webp"])],
    )
    invoice_item = models.ForeignKey(InvoiceItem, on_delete=models.SET_NULL, null=True, blank=True, related_name="expenses")

    class Meta:
        ordering = ["-spent_on", "-id"]
        constraints = [
            models.CheckConstraint(
                name="billing_expense_above_zero", condition=Q(amount__gt=0), violation_error_message="An expense is above zero."
            ),
            models.CheckConstraint(
                name="billing_expense_category_known",
                condition=Q(category__in=["travel", "meals", "software", "hardware", "print", "other"]),
                violation_error_message="The category is not known.",
            ),
            models.CheckConstraint(
                name="billing_expense_billable_has_project",
                condition=Q(billable=False) | Q(project__isnull=False),
                violation_error_message="A billable expense needs a project.",
            ),
            models.CheckConstraint(
                name="billing_expense_billed_is_billable",
                condition=Q(invoice_item__isnull=True) | Q(billable=True),
                violation_error_message="Only a billable expense can be on an invoice.",
            ),
            currency_constraint("billing_expense_currency_code"),
        ]

    def __str__(self) -> str:
        return self.description
