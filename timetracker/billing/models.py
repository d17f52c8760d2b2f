"""Invoices, payments and expenses."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from django.conf import settings
from django.core.validators import FileExtensionValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from timetracker.money import currency_constraint, to_cents, validate_currency
from timetracker.timestamps import Timestamped

__all__ = ["Expense", "Invoice", "InvoiceItem", "Payment", "today"]

_CENT = Decimal("0.01")


def today() -> date:
    """Return today's date in UTC."""
    return timezone.now().date()


class Invoice(Timestamped):
    """A bill to a client; every amount of its items and payments is in ``currency``, ``tax_rate`` is in percent.

    Its time entries and expenses hang on its items. That it is overdue or paid in part follows from ``due_on`` and
    the payments and is not stored.
    """

    class Status(models.TextChoices):
        """Where an invoice stands."""

        DRAFT = "draft", "Draft"
        SENT = "sent", "Sent"
        PAID = "paid", "Paid"
        CANCELLED = "cancelled", "Cancelled"

    number = models.CharField(max_length=40, unique=True, help_text="Given when the invoice is first saved.")
    client = models.ForeignKey("clients.Client", on_delete=models.PROTECT, related_name="invoices", db_index=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    issued_on = models.DateField(default=today)
    due_on = models.DateField()
    currency = models.CharField(max_length=3, default="EUR", validators=[validate_currency])
    tax_rate = models.DecimalField(
        max_digits=5, decimal_places=2, default=Decimal(0), validators=[MinValueValidator(0), MaxValueValidator(100)], help_text="Percent."
    )
    notes = models.TextField(blank=True, help_text="Printed on the invoice.")

    class Meta:
        ordering = ["-issued_on", "-id"]
        indexes = [
            models.Index(fields=["client", "issued_on"], name="billing_invoice_client"),
            models.Index(fields=["status", "due_on"], name="billing_invoice_due"),
            models.Index(fields=["issued_on", "id"], name="billing_invoice_issued"),
        ]
        constraints = [
            models.CheckConstraint(
                name="billing_invoice_number_not_empty", condition=~Q(number=""), violation_error_message="An invoice needs a number."
            ),
            models.CheckConstraint(
                name="billing_invoice_status_known",
                condition=Q(status__in=["draft", "sent", "paid", "cancelled"]),
                violation_error_message="An invoice is a draft, sent, paid or cancelled.",
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
        return self.number

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
        """Whether the invoice is sent, not paid, and was due before ``on`` (None: today)."""
        return self.status == self.Status.SENT and self.due_on < (on or today())


class InvoiceItem(Timestamped):
    """One line of an invoice: ``quantity`` (hours, pieces) times ``unit_price`` in the invoice's currency."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="items", db_index=False)
    project = models.ForeignKey("tracking.Project", on_delete=models.PROTECT, null=True, blank=True, related_name="invoice_items")
    position = models.PositiveSmallIntegerField(default=1)
    description = models.CharField(max_length=300)
    quantity = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal(1), validators=[MinValueValidator(_CENT)])
    unit_price = models.DecimalField(max_digits=12, decimal_places=2, help_text="Negative for a discount.")

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
    amount = models.DecimalField(max_digits=12, decimal_places=2, validators=[MinValueValidator(_CENT)], help_text="With tax.")
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
