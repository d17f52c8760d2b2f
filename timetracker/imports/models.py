"""Imports: one row for each file that somebody brought, until it expires."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from timetracker.timestamps import Timestamped

__all__ = ["FOLDER", "KEPT", "Import"]

# Where the files lie in the default storage. Nothing there is ever served; :mod:`timetracker.imports.expiry` empties it.
FOLDER = "imports/"
# How long a row and its files are kept.
KEPT = timedelta(days=7)


def expiry() -> datetime:
    """Return when what is brought now goes."""
    return timezone.now() + KEPT


def file_name(row: Import, name: str) -> str:
    """Return a name that nobody can guess and that says nothing of the file."""
    return f"{FOLDER}{uuid.uuid4().hex}"


class Import(Timestamped):
    """A file that a person brought, what its columns mean, and how far it has come. It is hers alone.

    ``options`` is what :class:`timetracker.imports.options.Options` holds, ``counts`` what
    :class:`timetracker.imports.counts.Counts` does. ``run`` changes whenever something is begun: work that was begun under
    another one must not end.
    """

    class Kind(models.TextChoices):
        """What is in the file."""

        TIME = "time", "Time entries"
        CLIENTS = "clients", "Clients"
        PROJECTS = "projects", "Projects"
        DATA = "data", "Export of TimeTracker"

    class State(models.TextChoices):
        """How far it has come."""

        BROUGHT = "brought", "Columns to be matched"
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        CHECKED = "checked", "Checked"
        DONE = "done", "Imported"
        FAILED = "failed", "Failed"

    class Act(models.TextChoices):
        """What is being done, or was last: read all and write nothing, or read all and write it."""

        CHECK = "check", "Check"
        WRITE = "write", "Import"

    kind = models.CharField(max_length=10, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.BROUGHT)
    act = models.CharField(max_length=10, choices=Act, default=Act.CHECK)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="imports")
    name = models.CharField(max_length=255, help_text="Of the file, on the computer that it came from.")
    file = models.FileField(upload_to=file_name, max_length=255)
    problems = models.FileField(
        upload_to=file_name, max_length=255, blank=True, help_text="The rows that are wrong: CSV, compressed by gzip."
    )
    options = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    message = models.TextField(blank=True, help_text="Why it failed.")
    run = models.UUIDField(null=True, editable=False)
    begun_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(default=expiry, db_index=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        # A row belongs to who brought it: nothing can be given on rows, but on what may be brought.
        default_permissions = ()
        permissions = [
            ("import_time", "Can import time entries"),
            ("import_clients", "Can import clients"),
            ("import_projects", "Can import projects"),
            ("import_data", "Can import exports of TimeTracker"),
        ]
        constraints = [
            models.CheckConstraint(name="imports_import_kind_known", condition=Q(kind__in=["time", "clients", "projects", "data"])),
            models.CheckConstraint(
                name="imports_import_state_known",
                condition=Q(state__in=["brought", "waiting", "running", "checked", "done", "failed"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.name}"

    @property
    def is_under_way(self) -> bool:
        """Whether it is being checked or written, or is to be."""
        return self.state in (self.State.WAITING, self.State.RUNNING)
