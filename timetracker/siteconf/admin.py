"""Admin of the site settings: one page, no list to add to."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminFileWidget
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from timetracker.siteconf.logos import LogoField
from timetracker.siteconf.models import SiteSettings


class SiteSettingsForm(forms.ModelForm):
    """The settings, with a logo that is drawn anew."""

    logo = LogoField(required=False, widget=AdminFileWidget)


@admin.register(SiteSettings)
class SiteSettingsAdmin(admin.ModelAdmin):
    """The one row; the list leads straight to it, or to the form that makes it."""

    form = SiteSettingsForm
    readonly_fields = ("created_at", "updated_at")
    fieldsets = (
        (
            "Company",
            {"fields": ("company_name", "company_address", "company_email", "tax_number", "payment_details", "logo", "portal_color")},
        ),
        ("Time and money", {"fields": ("time_zone", "currency", "rounding_minutes", "rounding_direction")}),
        (
            "Invoices",
            {
                "fields": (
                    "invoice_prefix",
                    "invoice_next_number",
                    "invoice_digits",
                    "invoice_due_days",
                    "invoice_notes",
                    "tax_name",
                    "default_tax_rate",
                )
            },
        ),
        ("Record", {"fields": ("created_at", "updated_at")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Allow to add the row where there is none."""
        return super().has_add_permission(request) and not SiteSettings.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: SiteSettings | None = None) -> bool:
        """Refuse: settings are changed, not deleted."""
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, object] | None = None) -> HttpResponse:
        """Go to the one row, or to the form that makes it."""
        site = SiteSettings.objects.first()
        if site is not None:
            return redirect(reverse("admin:siteconf_sitesettings_change", args=[site.pk]))
        if self.has_add_permission(request):
            return redirect(reverse("admin:siteconf_sitesettings_add"))
        return super().changelist_view(request, extra_context)
