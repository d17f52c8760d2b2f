"""Admin of projects, tasks and time, which stays quick with millions of entries."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.http import HttpRequest

from timetracker.accounts.roles import ALL_ENTRIES, MONEY
from timetracker.admin_sight import SightAdmin
from timetracker.deletion import uses_of
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry


class ProjectRateInline(admin.TabularInline):
    """Rates of single people, on the project's page."""

    model = ProjectRate
    autocomplete_fields = ("user",)
    extra = 0


@admin.register(Project)
class ProjectAdmin(SightAdmin):
    """Projects with the rates of single people."""

    sight = MONEY
    list_display = ("code", "name", "client", "status", "billable", "hourly_rate", "budget_hours")
    list_filter = ("status", "billable")
    list_select_related = ("client",)
    search_fields = ("code", "name", "client__name")
    autocomplete_fields = ("client",)
    readonly_fields = ("created_at", "updated_at")
    inlines = (ProjectRateInline,)

    def get_readonly_fields(self, request: HttpRequest, obj: Project | None = None) -> tuple[str, ...]:
        """Keep the client of a project that was used: its time would be another one's, and in another portal."""
        return (*self.readonly_fields, "client") if obj is not None and uses_of(obj) else self.readonly_fields


@admin.register(Task)
class TaskAdmin(admin.ModelAdmin):
    """Tasks of all projects."""

    list_display = ("name", "project", "status", "assignee", "estimate_hours", "due_on")
    list_filter = ("status", "due_on")
    list_select_related = ("project", "assignee")
    search_fields = ("name", "project__code", "project__name")
    autocomplete_fields = ("project", "assignee")
    readonly_fields = ("created_at", "updated_at")
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: Task | None = None) -> tuple[str, ...]:
        """Keep the project of a task that has time, which is this project's."""
        return (*self.readonly_fields, "project") if obj is not None and uses_of(obj) else self.readonly_fields

    def has_delete_permission(self, request: HttpRequest, obj: Task | None = None) -> bool:
        """Keep a task that has time, which may be billed and does not change then."""
        return (obj is None or not uses_of(obj)) and super().has_delete_permission(request, obj)


@admin.register(TimeEntry)
class TimeEntryAdmin(SightAdmin):
    """Time entries.

    No ``date_hierarchy``: it sorts the distinct dates of all rows on each page. No filter by project or invoice: it
    would list them all. Search is by exact username and project code, which the indexes answer; notes have none.
    """

    sight = ALL_ENTRIES
    list_display = ("started_at", "ended_at", "user", "project", "task", "worked_time", "billable", "source", "invoice_item")
    list_filter = (
        "started_at",
        "billable",
        "source",
        ("ended_at", admin.EmptyFieldListFilter),
        ("invoice_item", admin.EmptyFieldListFilter),
    )
    list_select_related = ("user", "project", "task", "invoice_item")
    list_per_page = 50
    search_fields = ("user__username__exact", "project__code__exact")
    search_help_text = "Exact username or project code."
    autocomplete_fields = ("user", "project", "task")
    readonly_fields = ("invoice_item", "worked_time", "created_at", "updated_at")
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("user", "project", "task", "started_at", "ended_at", "break_seconds", "worked_time")}),
        ("Details", {"fields": ("notes", "tags", "billable", "source")}),
        ("Record", {"fields": ("invoice_item", "created_at", "updated_at")}),
    )

    @admin.display(description="worked")
    def worked_time(self, entry: TimeEntry) -> str:
        """Show the time worked as hours and minutes."""
        minutes = entry.worked // timedelta(minutes=1)
        return f"{minutes // 60}:{minutes % 60:02d}" + (" (running)" if entry.is_running else "")

    def has_change_permission(self, request: HttpRequest, obj: TimeEntry | None = None) -> bool:
        """Show time that is on an invoice, and no more."""
        return (obj is None or obj.invoice_item_id is None) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: TimeEntry | None = None) -> bool:
        """Refuse to delete time that is on an invoice."""
        if obj is not None and obj.invoice_item_id is not None:
            return False
        return super().has_delete_permission(request, obj)
