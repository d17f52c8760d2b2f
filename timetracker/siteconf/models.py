"""The site's settings: one row."""

from __future__ import annotations

from decimal import Decimal

from django.core.validators import FileExtensionValidator, MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from timetracker.money import currency_constraint, validate_currency
from timetracker.time_zones import validate_time_zone
from timetracker.timestamps import Timestamped

__all__ = ["SiteSettings"]


class SiteSettings(Timestamped):
    """Settings that people edit. There is one row, of id 1: the database accepts no other."""

    class Rounding(models.TextChoices):
        """Which way billed time is rounded."""

        NEAREST = "nearest", "To the nearest step"
        UP = "up", "Up"
        DOWN = "down", "Down"

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    company_name = models.CharField(max_length=200, blank=True)
    company_address = models.TextField(blank=True)
    company_email = models.EmailField(blank=True)
    tax_number = models.CharField(max_length=40, blank=True)
    payment_details = models.TextField(
        blank=True, help_text="Bank account, printed on invoices. Left out of the settings snapshot of a backup."
    )
    logo = models.ImageField(
        upload_to="branding/", max_length=255, blank=True, validators=[FileExtensionValidator(["png", "jpg", "jpeg", "webp"])]
    )
    portal_color = models.CharField(
        "portal colour",
        max_length=7,
        blank=True,
        validators=[RegexValidator(r"\A#[0-9a-fA-F]{6}\Z", "A colour is # and six digits 0-9 or a-f, such as #1f5f8b.")],
        help_text="Of links and buttons in the clients' portal, such as #1f5f8b; made lighter or darker where they could not be read.",
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", validators=[validate_time_zone], help_text="IANA name, such as Europe/Berlin."
    )
    currency = models.CharField(max_length=3, default="EUR", validators=[validate_currency])
    rounding_minutes = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(60)], help_text="Billed time is rounded to steps of this many minutes; 0: not at all."
    )
    rounding_direction = models.CharField(max_length=10, choices=Rounding, default=Rounding.NEAREST)
    invoice_prefix = models.CharField(max_length=20, default="INV-", blank=True)
    invoice_next_number = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])
    invoice_digits = models.PositiveSmallIntegerField(default=4, validators=[MinValueValidator(1), MaxValueValidator(10)])
    invoice_due_days = models.PositiveSmallIntegerField(default=14, validators=[MaxValueValidator(365)])
    invoice_notes = models.TextField(blank=True, help_text="Written on each new invoice, below its lines; can be changed there.")
    tax_name = models.CharField(max_length=20, default="Tax", help_text="As invoices call it, such as VAT.")
    default_tax_rate = models.DecimalField(
        max_digits=5, decimal_places=2, default=Decimal(0), validators=[MinValueValidator(0), MaxValueValidator(100)], help_text="Percent."
    )

    class Meta:
        verbose_name = verbose_name_plural = "site settings"
        constraints = [
            models.CheckConstraint(
                name="siteconf_only_one_row", condition=Q(id=1), violation_error_message="There is one row of site settings."
            ),
            models.CheckConstraint(
                name="siteconf_rounding_known",
                condition=Q(rounding_minutes__lte=60, rounding_direction__in=["nearest", "up", "down"]),
                violation_error_message="Time is rounded up, down or to the nearest step of at most 60 minutes.",
            ),
            models.CheckConstraint(
                name="siteconf_invoice_numbering",
                condition=Q(invoice_next_number__gte=1, invoice_digits__gte=1, invoice_digits__lte=10, invoice_due_days__lte=365),
                violation_error_message="Invoices are numbered from 1, with 1 to 10 digits, and due within 365 days.",
            ),
            models.CheckConstraint(
                name="siteconf_tax_in_percent",
                condition=Q(default_tax_rate__gte=0, default_tax_rate__lte=100),
                violation_error_message="A tax rate is between 0 and 100 percent.",
            ),
            currency_constraint("siteconf_currency_code"),
        ]

    def __str__(self) -> str:
        return self.company_name or "Site settings"

    @classmethod
    def load(cls) -> SiteSettings:
        """Return the row, or unsaved defaults where there is none: reading never writes."""
        return cls.objects.first() or cls()
