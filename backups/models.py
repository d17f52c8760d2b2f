"""The catalogue (rows that index the store, and the history of operations), and the schedules of backups.

A restore rewinds the database, so the catalogue is not the truth: :mod:`backups.catalogue` rebuilds it from the store
and from the records that lie beside the archives. Schedules are carried over by a restore as they stand on that day. Who
asked is kept as text, since the account may be gone.
"""

from __future__ import annotations

import secrets
from datetime import time
from typing import Any
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from backups.kinds import operation_named
from backups.outcomes import outcome_of

__all__ = ["EVERY_DAY", "SCHEDULE_TRIGGER", "Backup", "BackupSchedule", "Operation", "default_time_zone"]

# All seven bits of BackupSchedule.days.
EVERY_DAY = 0b111_1111
SCHEDULE_TRIGGER = "schedule:"


class Backup(models.Model):
    """One archive in the store."""

    name = models.CharField(max_length=64, unique=True, help_text="The archive's name in the store.")
    archive_id = models.CharField(max_length=32, db_index=True)
    created_at = models.DateTimeField(db_index=True)
    trigger = models.CharField(max_length=32, help_text="Why it was made: manual, before-migrate, before-restore, …")
    note = models.TextField(blank=True)
    pinned = models.BooleanField(default=False, help_text="Marked as one to keep.")
    requested_by = models.CharField(max_length=150, blank=True, help_text="Who made or brought it, as far as the history knows.")
    is_uploaded = models.BooleanField(default=False, help_text="Brought here by a person, whatever the archive says of why it was made.")
    size = models.BigIntegerField(help_text="Bytes of the archive.")
    app_version = models.CharField(max_length=64, blank=True)
    vendor = models.CharField(max_length=32)
    server_version = models.CharField(max_length=128, blank=True)
    row_count = models.BigIntegerField(help_text="Rows of all tables together.")
    has_uploads = models.BooleanField()
    upload_count = models.BigIntegerField(default=0)
    upload_bytes = models.BigIntegerField(default=0)
    missing_uploads = models.BigIntegerField(default=0, help_text="Files that rows name but that did not exist.")
    signature = models.CharField(max_length=16, blank=True, help_text="valid, missing or unknown key, when last read.")
    verified_at = models.DateTimeField(null=True, blank=True, help_text="When every byte was last read back and was right.")
    problem = models.TextField(blank=True, help_text="What the last verification found wrong; empty when it was right.")

    class Meta:
        ordering = ("-created_at", "-name")
        # Add: make, and upload. Change: pin, note, verify. An archive holds everything: who may download one has read all data, and
        # who may restore one decides who has which rights afterwards.
        permissions = [("download_backup", "Can download backup"), ("restore_backup", "Can restore backup, and undo")]

    def __str__(self) -> str:
        return self.name


class Operation(models.Model):
    """One create, restore, undo or prune that has ended."""

    operation_id = models.CharField(max_length=32, unique=True)
    kind = models.CharField(max_length=16)
    status = models.CharField(max_length=16)
    archive = models.CharField(max_length=255, blank=True)
    requested_by = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    report = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ("-started_at",)
        # Who may see the backups sees their history, and nobody changes it: a permission of its own would do nothing.
        default_permissions = ()

    def __str__(self) -> str:
        return operation_named(self.kind, self.operation_id).capitalize()

    @property
    def outcome(self) -> str:
        """The status, or ``cancelled``."""
        return outcome_of(self.status, self.report)


def schedule_key() -> str:
    """A new key of a schedule: 8 hex digits."""
    return secrets.token_hex(4)


def default_time_zone() -> str:
    """The site's own time zone."""
    return str(settings.TIME_ZONE)


def validate_time_zone(name: str) -> None:
    """Raise ValidationError unless ``name`` is a time zone that this machine knows."""
    if name not in available_timezones():
        raise ValidationError("“%(name)s” is no IANA time zone, such as Europe/Berlin.", code="time_zone", params={"name": name})


class BackupSchedule(models.Model):
    """Backups that happen by themselves: on which days, when, with what, and which of them are kept.

    ``last_due_at`` is the latest due time that is settled: its backup was made, or given up. A run counts its attempt before
    it begins (``attempts``, and ``next_attempt_at`` for when to try again), so that one that kills its process is not tried for ever.
    """

    key = models.CharField(
        max_length=8,
        unique=True,
        default=schedule_key,
        editable=False,
        help_text="Names the schedule in its archives, also after a restore.",
    )
    enabled = models.BooleanField(default=True)
    days = models.PositiveSmallIntegerField(
        default=EVERY_DAY,
        validators=[MinValueValidator(1), MaxValueValidator(EVERY_DAY)],
        help_text="Days of the week as bits: 1 is Monday, 64 is Sunday.",
    )
    at = models.TimeField("time", default=time(2, 30), help_text="Time of day in the time zone below.")
    time_zone = models.CharField(max_length=63, default=default_time_zone, validators=[validate_time_zone])
    uploads = models.BooleanField(
        "with uploads", default=True, help_text="Without them an archive holds the database and the settings alone."
    )
    note = models.TextField(blank=True, help_text="Stays with each archive that this schedule makes.")
    keep_last = models.PositiveSmallIntegerField("last", default=3, help_text="Keep so many of the newest.")
    keep_daily = models.PositiveSmallIntegerField("daily", default=7, help_text="Keep the newest of each of so many days.")
    keep_weekly = models.PositiveSmallIntegerField("weekly", default=4, help_text="Keep the newest of each of so many weeks.")
    keep_monthly = models.PositiveSmallIntegerField("monthly", default=12, help_text="Keep the newest of each of so many months.")
    keep_yearly = models.PositiveSmallIntegerField("yearly", default=0, help_text="Keep the newest of each of so many years.")
    last_due_at = models.DateTimeField(default=timezone.now, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    next_attempt_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_error = models.TextField(blank=True, editable=False)
    is_default = models.BooleanField(default=False, editable=False, help_text="Made by the installation, and never edited.")

    class Meta:
        ordering = ("at", "key")
        constraints = [
            models.CheckConstraint(condition=Q(days__gte=1, days__lte=EVERY_DAY), name="backups_schedule_has_a_day"),
            models.CheckConstraint(
                condition=Q(keep_last__gt=0) | Q(keep_daily__gt=0) | Q(keep_weekly__gt=0) | Q(keep_monthly__gt=0) | Q(keep_yearly__gt=0),
                name="backups_schedule_keeps_something",
                violation_error_message="Keep at least one: with nothing but zeros, each backup would remove the one before it.",
            ),
            models.CheckConstraint(
                condition=Q(attempts=0, next_attempt_at=None) | Q(attempts__gt=0, next_attempt_at__isnull=False),
                name="backups_schedule_attempt_has_a_time",
            ),
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="backups_schedule_one_default"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%H:%M} {self.time_zone} ({self.key})"

    def save(self, **options: Any) -> None:
        """Save; one that is switched on, or has other days or another time, begins anew now: it never fires for the past."""
        named = options.get("update_fields")
        timing = [name for name in ("enabled", "days", "at", "time_zone") if named is None or name in named]
        before = BackupSchedule.objects.filter(pk=self.pk).values(*timing).first() if timing and not self._state.adding else None
        if before and any(before[name] != getattr(self, name) for name in timing):
            anew = {"last_due_at": timezone.now(), "attempts": 0, "next_attempt_at": None, "last_error": ""}
            for name, value in anew.items():
                setattr(self, name, value)
            if named is not None:
                options["update_fields"] = {*named, *anew}
        super().save(**options)

    @property
    def weekdays(self) -> frozenset[int]:
        """Its days as :meth:`datetime.date.weekday` numbers them: 0 is Monday."""
        return frozenset(day for day in range(7) if self.days & 1 << day)

    @property
    def trigger(self) -> str:
        """What manifest and row of its archives say of why they were made."""
        return f"{SCHEDULE_TRIGGER}{self.key}"
