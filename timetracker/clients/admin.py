"""Admin of clients and documents."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminFileWidget

from timetracker.accounts.roles import MONEY
from timetracker.admin_sight import SightAdmin
from timetracker.attachments import DOCUMENT_MEGABYTES, PAPERS, AttachmentField
from timetracker.clients.models import PORTAL_SWITCHES, Client, Document


@admin.register(Client)
class ClientAdmin(SightAdmin):
    """Clients with what their portal shows."""

    sight = MONEY
    list_display = ("name", "contact_name", "email", "currency", "default_rate", "active", "portal_enabled")
    list_filter = ("active", "portal_enabled", "currency")
    search_fields = ("name", "contact_name", "email")
    readonly_fields = ("created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "active", "currency", "default_rate")}),
        ("Contact", {"fields": ("contact_name", "email", "phone", "address")}),
        ("Portal", {"fields": PORTAL_SWITCHES}),
        ("For the team", {"fields": ("notes", "created_at", "updated_at")}),
    )


class DocumentForm(forms.ModelForm):
    """A document, whose file is checked as on the team's pages."""

    file = AttachmentField(endings=PAPERS, megabytes=DOCUMENT_MEGABYTES, widget=AdminFileWidget)


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):
    """Documents; whoever uploads one is recorded."""

    form = DocumentForm
    list_display = ("title", "client", "file", "visible_to_client", "uploaded_by", "created_at")
    list_filter = ("visible_to_client", "created_at")
    list_select_related = ("client", "uploaded_by")
    search_fields = ("title", "client__name")
    autocomplete_fields = ("client",)
    readonly_fields = ("uploaded_by", "created_at", "updated_at")
    show_full_result_count = False

    def save_model(self, request, obj, form, change) -> None:  # type: ignore[no-untyped-def]
        """Record who uploaded a new document."""
        if not change:
            obj.uploaded_by = request.user
        super().save_model(request, obj, form, change)
