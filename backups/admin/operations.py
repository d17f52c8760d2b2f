"""Admin of the history: what has been done, how it ended, who asked for it. Nobody writes here."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from backups.models import Operation

__all__ = ["OperationAdmin"]


@admin.register(Operation)
class OperationAdmin(admin.ModelAdmin):
    """Operations that have ended."""

    list_display = ("started_at", "kind", "status", "archive", "requested_by")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Operations write themselves."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What has happened stays."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What has happened stays."""
        return False
