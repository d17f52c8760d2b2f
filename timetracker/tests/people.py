"""People of each role, and browsers in which they are logged in, for tests of any app's pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client as Browser

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give

__all__ = ["HTMX", "PDF", "PNG", "browser_of", "file_names", "somebody"]

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/"}
# What files of these kinds begin with.
PDF, PNG = b"%PDF-1.4\n1 0 obj", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def somebody(username: str, role: Role | None = None, *permissions: str, **fields: Any) -> User:
    """An account of the team, with a role, and permissions (``app.codename``) beyond it."""
    user = User.objects.create_user(username, f"{username}@studio.example", is_staff=True, **fields)
    if role:
        role_give(user, role)
    for label in permissions:
        app, codename = label.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return user


def browser_of(user: User) -> Browser:
    """A browser in which ``user`` is logged in."""
    browser = Browser()
    browser.force_login(user)
    return browser


def file_names(media: Path) -> list[str]:
    """The names of all files in there."""
    return sorted(path.name for path in media.rglob("*") if path.is_file())
