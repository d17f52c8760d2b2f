"""The export: one file, which somebody asked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from timetracker.timestamps import Timestamped

__all__ = ["FOLDER", "KEPT_FOR", "Export"]

# Where the files are, in the default storage.
FOLDER = "exports"
# How long an export can be had; then row and file go.
KEPT_FOR = timedelta(days=7)


def expires() -> datetime:
    """Return when an export that is asked for now is deleted."""
    return timezone.now() + KEPT_FOR


class Export(Timestamped):
    """What somebody asked for, and what came of it. ``token`` names it in addresses and in the storage, and cannot be guessed.

    ``user`` alone gets the file; ``asked_by`` says who it was when that account is gone. ``size`` is in bytes, ``row_counts``
    maps a section of the JSON to its number of rows, ``missing_files`` counts those that rows name and the storage lacks.
    """

    class Scope(models.TextChoices):
        """What it holds."""

        OWN = "own", "Your own data"
        EVERYTHING = "everything", "Everything"

    class State(models.TextChoices):
        """How far it is."""

        QUEUED = "queued", "Waiting"
        MAKING = "making", "Being made"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"

    # There is something to wait for.
    PENDING = (State.QUEUED, State.MAKING)

    token = models.UUIDField(default=uuid4, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="exports")
    asked_by = models.CharField(max_length=150)
    scope = models.CharField(max_length=10, choices=Scope)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    reason = models.CharField(max_length=300, blank=True, help_text="Why there is no file.")
    size = models.PositiveBigIntegerField(default=0)
    row_counts = models.JSONField(default=dict)
    missing_files = models.PositiveIntegerField(default=0)
    began_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(default=expires)

    class Meta:
        ordering = ["-created_at", "-id"]
        default_permissions = ()
        # One's own data takes no permission.
        permissions = [("export_everything", "Can export everything")]
        constraints = [
            models.CheckConstraint(name="exports_export_scope_known", condition=Q(scope__in=["own", "everything"])),
            models.CheckConstraint(name="exports_export_state_known", condition=Q(state__in=["queued", "making", "ready", "failed"])),
            # A button that is pressed twice asks once.
            models.UniqueConstraint(
                fields=["user", "scope"], condition=Q(state__in=["queued", "making"]), name="exports_export_one_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()}, asked for by {self.asked_by}"

    @property
    def stored_name(self) -> str:
        """Its name in the default storage."""
        return f"{FOLDER}/{self.token.hex}.zip"

    @property
    def is_pending(self) -> bool:
        """Whether there is something to wait for."""
        return self.state in self.PENDING

    @property
    def file_name(self) -> str:
        """What it is called where it is saved to."""
        return f"timetracker-{self.scope}-{self.created_at:%Y-%m-%d-%H%M}.zip"
