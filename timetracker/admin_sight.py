"""What the admin shows of the domain: whole tables with their amounts, and so not to everybody who may work on single rows."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest

__all__ = ["SightAdmin"]


class SightAdmin(admin.ModelAdmin):
    """An admin for those alone who have the permission :attr:`sight` besides Django's own for the model."""

    sight: str

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the index shows it."""
        return self._sees(request) and super().has_module_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether she may see rows, here and where another form offers them for choice."""
        return self._sees(request) and super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whether she may add rows."""
        return self._sees(request) and super().has_add_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether she may change rows."""
        return self._sees(request) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether she may delete rows."""
        return self._sees(request) and super().has_delete_permission(request, obj)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Read the row that a form changes or deletes as it is now, and let nobody else change it until that is done.

        The form writes all of the row: what came in between, such as the invoice that time hangs on by then, would be lost.
        """
        if request.method == "POST" and transaction.get_connection().in_atomic_block:
            with suppress(ValueError, ValidationError):
                self.model._default_manager.select_for_update().order_by().filter(pk=object_id).values_list("pk").first()
        return super().get_object(request, object_id, from_field)

    def _sees(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(self.sight))
