"""Admin of the archives."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern

from backups.models import Backup
from backups.pages.place import ADMIN

__all__ = ["BackupAdmin"]

PAGES = ("upload", "restore", "undo", "result", "download", "delete", "confirm")


@admin.register(Backup)
class BackupAdmin(admin.ModelAdmin):
    """The archives of the store."""

    list_display = ("created_at", "name", "trigger", "size", "pinned", "note")
    search_fields = ("note",)
    actions = None

    def get_urls(self) -> list[URLPattern]:
        """The pages around the archives, and the list's own."""
        mounted: list[URLPattern] = []
        for page in PAGES:
            if find_spec(f"backups.pages.{page}") and hasattr(module := import_module(f"backups.pages.{page}"), "urls"):
                mounted += module.urls(ADMIN)
        return [*mounted, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Archives are not typed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A row alone is never deleted."""
        return False
