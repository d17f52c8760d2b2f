"""Projects, tasks, rates and time entries."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from timetracker.timestamps import Timestamped
from timetracker.tracking.durations import SecondsBetween

__all__ = ["TAKES_TIME", "DemoRun", "Project", "ProjectRate", "Task", "TimeEntry"]


class Project(Timestamped):
    """Work for a client. ``hourly_rate`` is in the client's currency."""

    class Status(models.TextChoices):
        """Where a project stands; only an active one takes new time."""

        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        CLOSED = "closed", "Closed"

    client = models.ForeignKey("clients.Client", on_delete=models.PROTECT, related_name="projects")
    name = models.CharField(max_length=200)
    code = models.CharField(max_length=20, unique=True, help_text="Short and unique, such as WEB-24.")
    billable = models.BooleanField(default=True)
    hourly_rate = models.DecimalField(
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="In the client's currency; empty: the client's default rate.",
    )
    budget_hours = models.DecimalField(max_digits=9, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)])
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    colour = models.CharField(
        max_length=7,
        default="#64748b",
        validators=[RegexValidator(r"\A#[0-9a-f]{6}\Z", "A colour is # and six digits 0-9 or a-f, such as #64748b.")],
    )
    notes = models.TextField(blank=True)

    class Meta:
        ordering = ["code"]
        indexes = [models.Index(fields=["status", "client"], name="tracking_project_status")]
        constraints = [
            models.CheckConstraint(
                name="tracking_project_code_not_empty", condition=~Q(code=""), violation_error_message="A project needs a code."
            ),
            models.CheckConstraint(
                name="tracking_project_status_known",
                condition=Q(status__in=["active", "paused", "closed"]),
                violation_error_message="A project is active, paused or closed.",
            ),
            models.CheckConstraint(
                name="tracking_project_rate_not_negative",
                condition=Q(hourly_rate__isnull=True) | Q(hourly_rate__gte=0),
                violation_error_message="A rate is not below zero.",
            ),
            models.CheckConstraint(
                name="tracking_project_budget_not_negative",
                condition=Q(budget_hours__isnull=True) | Q(budget_hours__gte=0),
                violation_error_message="A budget is not below zero.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"

    @property
    def takes_time(self) -> bool:
        """Whether new time can be booked on it: it is active, and its client is not archived."""
        return self.status == Project.Status.ACTIVE and self.client.active


# :attr:`Project.takes_time`, in SQL.
TAKES_TIME = Q(status=Project.Status.ACTIVE, client__active=True)


class ProjectRate(Timestamped):
    """What an hour of one person costs on one project, in the client's currency."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rates")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="project_rates")
    hourly_rate = models.DecimalField(max_digits=12, decimal_places=2, validators=[MinValueValidator(0)])

    class Meta:
        ordering = ["project", "user"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"],
                name="tracking_projectrate_one_per_user",
                violation_error_message="This person has a rate on this project already.",
            ),
            models.CheckConstraint(
                name="tracking_projectrate_not_negative",
                condition=Q(hourly_rate__gte=0),
                violation_error_message="A rate is not below zero.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} on {self.project}: {self.hourly_rate}"


class Task(Timestamped):
    """A piece of a project."""

    class Status(models.TextChoices):
        """Where a task stands."""

        TODO = "todo", "To do"
        DOING = "doing", "In progress"
        REVIEW = "review", "In review"
        DONE = "done", "Done"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=10, choices=Status, default=Status.TODO)
    assignee = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="tasks")
    estimate_hours = models.DecimalField(max_digits=7, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)])
    due_on = models.DateField(null=True, blank=True)
    notes = models.TextField(blank=True)

    class Meta:
        ordering = ["project", "id"]
        indexes = [models.Index(fields=["project", "status"], name="tracking_task_project")]
        constraints = [
            models.CheckConstraint(
                name="tracking_task_status_known",
                condition=Q(status__in=["todo", "doing", "review", "done"]),
                violation_error_message="A task is to do, in progress, in review or done.",
            ),
            models.CheckConstraint(
                name="tracking_task_estimate_not_negative",
                condition=Q(estimate_hours__isnull=True) | Q(estimate_hours__gte=0),
                violation_error_message="An estimate is not below zero.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class TimeEntry(Timestamped):
    """Time that a person spent on a project, from ``started_at`` to ``ended_at`` (None: still running) less the break.

    An invoice item bills it at most once: there is one ``invoice_item``, and only ended, billable time may have it.
    """

    class Source(models.TextChoices):
        """How the entry came to be."""

        TIMER = "timer", "Timer"
        MANUAL = "manual", "By hand"
        IMPORT = "import", "Imported"

    # No index of their own for user and project: the indexes with started_at below begin with them.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="time_entries", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="time_entries", db_index=False)
    task = models.ForeignKey(Task, on_delete=models.SET_NULL, null=True, blank=True, related_name="time_entries")
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Empty while the timer runs.")
    break_seconds = models.PositiveIntegerField(default=0)
    notes = models.TextField(blank=True)
    tags = models.CharField(max_length=200, blank=True, help_text="Separated by commas.")
    billable = models.BooleanField(default=True)
    source = models.CharField(max_length=10, choices=Source, default=Source.MANUAL)
    invoice_item = models.ForeignKey("billing.InvoiceItem", on_delete=models.SET_NULL, null=True, blank=True, related_name="time_entries")

    class Meta:
        ordering = ["-started_at", "-id"]
        verbose_name_plural = "time entries"
        # Without them a person sees her own entries, and no amounts anywhere.
        permissions = [("view_all_entries", "Can view the time entries of everybody"), ("view_money", "Can view rates and amounts")]
        indexes = [
            models.Index(fields=["user", "started_at"], name="tracking_entry_user_start"),
            models.Index(fields=["project", "started_at"], name="tracking_entry_project_start"),
            models.Index(fields=["started_at", "id"], name="tracking_entry_start"),
            models.Index(
                fields=["project", "started_at"],
                condition=Q(billable=True, invoice_item__isnull=True),
                name="tracking_entry_unbilled",
            ),
        ]
        constraints = [
            models.CheckConstraint(
                name="tracking_entry_ends_after_start",
                condition=Q(ended_at__isnull=True) | Q(ended_at__gt=F("started_at")),
                violation_error_message="The end must be after the start.",
            ),
            models.CheckConstraint(
                name="tracking_entry_break_fits",
                condition=Q(ended_at__isnull=True) | Q(break_seconds__lte=SecondsBetween("started_at", "ended_at")),
                violation_error_message="The break is longer than the entry.",
            ),
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(ended_at__isnull=True),
                name="tracking_entry_one_running_per_user",
                violation_error_message="This person has a running timer already. Stop it first.",
            ),
            models.CheckConstraint(
                name="tracking_entry_billed_is_ended_and_billable",
                condition=Q(invoice_item__isnull=True) | Q(ended_at__isnull=False, billable=True),
                violation_error_message="Only billable time that has ended can be on an invoice.",
            ),
            models.CheckConstraint(
                name="tracking_entry_source_known",
                condition=Q(source__in=["timer", "manual", "import"]),
                violation_error_message="An entry comes from the timer, by hand or from an import.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.project.code}, {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def is_running(self) -> bool:
        """Whether the timer still runs."""
        return self.ended_at is None

    @property
    def worked(self) -> timedelta:
        """The time worked, without the break; for a running entry up to now, never below zero."""
        span = (self.ended_at or timezone.now()) - self.started_at
        return max(span - timedelta(seconds=self.break_seconds), timedelta())

    def clean(self) -> None:
        """Bring the tags into one form, and refuse a task of another project."""
        self.tags = ", ".join(dict.fromkeys(tag for tag in (part.strip() for part in self.tags.split(",")) if tag))
        if self.task is not None and self.task.project_id != self.project_id:
            raise ValidationError({"task": "This task belongs to another project."})


class DemoRun(models.Model):
    """What ``manage.py demo_data`` made here, so that ``--remove`` takes away exactly that. One row at most.

    ``rows`` maps a model's label to the first and the last id; ``files`` maps a name in the default storage to the
    SHA-256 of the content that was written.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    seed = models.BigIntegerField()
    anchor_on = models.DateField()
    rows = models.JSONField()
    files = models.JSONField()

    class Meta:
        constraints = [models.CheckConstraint(name="tracking_demorun_only_one", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"Demo data of seed {self.seed} up to {self.anchor_on}"
