"""The catalogue: rows that index the store, and the history of operations.

A restore rewinds the database, so neither table is the truth: :mod:`backups.catalogue` rebuilds both from the store
and from the records that lie beside the archives. Who asked is kept as text, since the account may be gone.
"""

from __future__ import annotations

from django.db import models

__all__ = ["Backup", "Operation"]


class Backup(models.Model):
    """One archive in the store."""

    name = models.CharField(max_length=64, unique=True, help_text="The archive's name in the store.")
    archive_id = models.CharField(max_length=32, db_index=True)
    created_at = models.DateTimeField(db_index=True)
    trigger = models.CharField(max_length=32, help_text="Why it was made: manual, before-migrate, before-restore, …")
    note = models.TextField(blank=True)
    pinned = models.BooleanField(default=False, help_text="Marked as one to keep.")
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

    def __str__(self) -> str:
        return f"{self.kind} {self.operation_id[:8]}"
