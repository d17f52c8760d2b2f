"""Admin of people."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin

from timetracker.accounts.models import User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Django's own, with the fields of our user."""

    list_display = ("username", "full_name", "email", "time_zone", "hourly_rate", "currency", "is_active", "is_staff")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    search_fields = ("username", "full_name", "email")
    readonly_fields = ("last_login", "date_joined", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("full_name", "email", "time_zone", "weekly_hours")}),
        ("Rate", {"fields": ("hourly_rate", "currency")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined", "created_at", "updated_at")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "full_name", "email", "usable_password", "password1", "password2")}),
    )
