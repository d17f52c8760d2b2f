"""The user."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from timetracker.money import currency_constraint, validate_currency
from timetracker.time_zones import validate_time_zone
from timetracker.timestamps import Timestamped

__all__ = ["User"]


class User(Timestamped, AbstractUser):
    """A person who logs in with a username. What she may do comes from her groups (:mod:`timetracker.accounts.roles`)."""

    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    full_name = models.CharField(max_length=150, blank=True)
    time_zone = models.CharField(
        max_length=64, default="UTC", validators=[validate_time_zone], help_text="IANA name, such as Europe/Berlin."
    )
    hourly_rate = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Used where neither the project nor the client has a rate.",
    )
    currency = models.CharField(max_length=3, default="EUR", validators=[validate_currency], help_text="Currency of the hourly rate.")
    weekly_hours = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(168)],
        help_text="Hours a week that are agreed; empty: none.",
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            models.CheckConstraint(
                name="accounts_user_rate_not_negative",
                condition=Q(hourly_rate__isnull=True) | Q(hourly_rate__gte=0),
                violation_error_message="An hourly rate is not below zero.",
            ),
            currency_constraint("accounts_user_currency_code"),
            models.CheckConstraint(
                name="accounts_user_week_has_168_hours",
                condition=Q(weekly_hours__isnull=True) | Q(weekly_hours__gte=0, weekly_hours__lte=168),
                violation_error_message="A week has between 0 and 168 hours.",
            ),
        ]

    def __str__(self) -> str:
        return self.full_name or self.username

    @property
    def is_team(self) -> bool:
        """Whether this is an account of the team, and so of no client."""
        return self.is_staff or self.is_superuser

    def get_full_name(self) -> str:
        """Return the full name, or the username where none is known."""
        return self.full_name or self.username

    def get_short_name(self) -> str:
        """Return the first word of the full name, or the username."""
        return self.full_name.split(" ", 1)[0] or self.username
