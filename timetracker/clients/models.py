"""Clients and their documents."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from timetracker.money import currency_constraint, validate_currency
from timetracker.timestamps import Timestamped

__all__ = ["PORTAL_SWITCHES", "Client", "Document"]

# What the portal of a client shows: whether there is one, which pages it has, and what these say.
PORTAL_SWITCHES = (
    "portal_enabled",
    "portal_shows_time",
    "portal_shows_invoices",
    "portal_shows_documents",
    "portal_shows_people",
    "portal_shows_notes",
    "portal_shows_unbilled",
    "portal_shows_amounts",
)


class Client(Timestamped):
    """Someone for whom work is done. ``default_rate`` is per hour, in ``currency``."""

    name = models.CharField(max_length=200)
    contact_name = models.CharField(max_length=150, blank=True)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=40, blank=True)
    address = models.TextField(blank=True)
    currency = models.CharField(max_length=3, default="EUR", validators=[validate_currency])
    default_rate = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Per hour; used where the project has no rate.",
    )
    active = models.BooleanField(default=True)
    portal_enabled = models.BooleanField("portal", default=False, help_text="The client may use the portal.")
    portal_shows_time = models.BooleanField("portal shows time", default=True)
    portal_shows_invoices = models.BooleanField("portal shows invoices", default=True)
    portal_shows_documents = models.BooleanField("portal shows documents", default=True)
    portal_shows_people = models.BooleanField("portal shows names", default=True, help_text="Who has worked; off: no person's name.")
    portal_shows_amounts = models.BooleanField(
        "portal shows amounts", default=True, help_text="Off: invoices without prices, sums and their PDF."
    )
    portal_shows_notes = models.BooleanField("portal shows notes", default=True, help_text="The notes of time entries.")
    portal_shows_unbilled = models.BooleanField(
        "portal shows time before it is billed", default=True, help_text="Off: time appears with its invoice, in sums and budgets too."
    )
    notes = models.TextField(blank=True, help_text="For the team; never shown in the portal.")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="clients_client_name_unique",
                violation_error_message="There is a client of this name already (capital letters make no difference).",
            ),
            models.CheckConstraint(
                name="clients_client_name_not_empty",
                condition=~Q(name=""),
                violation_error_message="A client needs a name.",
            ),
            models.CheckConstraint(
                name="clients_client_rate_not_negative",
                condition=Q(default_rate__isnull=True) | Q(default_rate__gte=0),
                violation_error_message="A rate is not below zero.",
            ),
            currency_constraint("clients_client_currency_code"),
        ]

    def __str__(self) -> str:
        return self.name


class Document(Timestamped):
    """A file kept for a client: a contract, an offer, a report."""

    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="documents")
    title = models.CharField(max_length=200)
    file = models.FileField(upload_to="documents/%Y/%m/", max_length=255)
    visible_to_client = models.BooleanField(default=False)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                name="clients_document_has_file",
                condition=~Q(file=""),
                violation_error_message="A document needs a file.",
            ),
        ]

    def __str__(self) -> str:
        return self.title
