"""Admin of the history: what was done, how it ended, who asked for it. Nobody writes here but the operations themselves."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from backups.admin import cells
from backups.admin.filters import TimeFilter
from backups.admin.lists import CountedOnce, ListAdmin
from backups.kinds import KINDS, kind_word
from backups.models import Operation
from backups.outcomes import CANCELLED_BY
from backups.pages.place import ADMIN
from backups.storage import is_archive_name
from backups.times import duration_human

__all__ = ["OperationAdmin"]

# How it ended, the class of its sign, the sign, and what people read.
OUTCOMES = {
    "done": ("good", "✓", "done"),
    "failed": ("bad", "✕", "failed"),
    "cancelled": ("quiet", "⊘", "cancelled"),
    "recovered": ("quiet", "↺", "interrupted, and settled"),
}

# Characters of an error in the list: its page has all of it.
MOST_ERROR = 200


class KindFilter(admin.SimpleListFilter):
    """What was done."""

    title = parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The words of the list."""
        return list(KINDS.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those of that kind."""
        return queryset.filter(kind=chosen) if (chosen := self.value()) in KINDS else queryset


class OutcomeFilter(admin.SimpleListFilter):
    """How it ended."""

    title, parameter_name = "outcome", "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The words of the list."""
        return [(status, words) for status, (_, _, words) in OUTCOMES.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those that ended so."""
        chosen, wanted = self.value(), Q(report__has_key=CANCELLED_BY)
        if chosen in ("failed", "cancelled"):
            return queryset.filter(wanted if chosen == "cancelled" else ~wanted, status="failed")
        return queryset.filter(status=chosen) if chosen in OUTCOMES else queryset


class History(CountedOnce):
    """The list; its links name the operation, since a restore gives the rows other numbers."""

    def url_for_result(self, result: Operation) -> str:  # type: ignore[override]
        """The page that tells the outcome at length."""
        return ADMIN.url("result", result.operation_id)


@admin.register(Operation)
class OperationAdmin(ListAdmin):
    """Operations that have ended; what is at work stands above the list of archives."""

    actions = None
    list_filter = (KindFilter, OutcomeFilter, ("started_at", TimeFilter))
    search_fields = ("archive", "requested_by")
    search_help_text = "Search for an archive or a person"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Operations write themselves."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        """What has happened stays."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        """What has happened stays."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        """The history belongs to the backups: whoever sees them sees it."""
        return request.user.has_perm("backups.view_backup")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """The same."""
        return self.has_view_permission(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list whose links name the operations."""
        return History

    def get_list_display(self, request: HttpRequest) -> tuple[Any, ...]:
        """The columns; the time's says whose it is."""
        zone = timezone.localtime().tzname()

        @admin.display(description=f"began ({zone})", ordering="started_at")
        def began(operation: Operation) -> SafeString:
            local = timezone.localtime(operation.started_at)
            return format_html('<time datetime="{}">{}</time>', operation.started_at.isoformat(), f"{local:%Y-%m-%d %H:%M:%S}")

        return began, _kind, _outcome, _duration, _archive, _who

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The history, in the reader's time zone."""
        context = {"title": "History of operations", **(extra_context or {})}
        return self.in_readers_zone(request, lambda: super(OperationAdmin, self).changelist_view(request, context))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of the outcome, which is not a form."""
        operation = self.get_object(request, object_id)
        if operation is None or not self.has_view_permission(request):
            return super().change_view(request, object_id, form_url, extra_context)
        return HttpResponseRedirect(ADMIN.url("result", operation.operation_id))


@admin.display(description="what", ordering="kind")
def _kind(operation: Operation) -> str:
    return kind_word(operation.kind)


@admin.display(description="outcome", ordering="status")
def _outcome(operation: Operation) -> SafeString:
    said = cells.sign(*OUTCOMES.get(operation.outcome, ("quiet", "–", operation.outcome)))
    error = cells.short(operation.error, most=MOST_ERROR)
    return format_html('{}<div class="quiet">{}</div>', said, error) if error else said


@admin.display(description="took")
def _duration(operation: Operation) -> str:
    return duration_human(operation.ended_at - operation.started_at) if operation.ended_at else "-"


@admin.display(description="archive", ordering="archive")
def _archive(operation: Operation) -> SafeString | str:
    if not is_archive_name(operation.archive):
        return operation.archive or "-"
    return format_html('<a href="{}">{}</a>', ADMIN.url("archive", operation.archive), operation.archive)


@admin.display(description="who", ordering="requested_by")
def _who(operation: Operation) -> str:
    return operation.requested_by or "-"
