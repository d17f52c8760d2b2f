"""Somebody on the staff, and the browser that they are logged in with."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

__all__ = ["staff_browser"]


def staff_browser(name: str, *permissions: str, **account: Any) -> Client:
    """The browser of a new account of that name, with these permissions (``view_backup``) and no other; ``account``: its other fields."""
    person = get_user_model().objects.create_user(name, password="correct horse battery", is_staff=True, **account)
    person.user_permissions.set(Permission.objects.filter(content_type__app_label="backups", codename__in=permissions))
    browser = Client()
    browser.force_login(person)
    return browser
