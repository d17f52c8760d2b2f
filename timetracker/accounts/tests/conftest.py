"""People of each role, and browsers in which they are logged in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.cache import caches
from django.test import Client as Browser

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give

PASSWORD = "correct horse battery"

Hire = Callable[..., User]


@pytest.fixture(autouse=True)
def nothing_throttled() -> None:
    """No test feels the logins and mails of another."""
    caches["logins"].clear()


@pytest.fixture
def hire(db: None) -> Hire:
    """Makes somebody of the team: ``hire("robin", Role.MEMBER)``."""

    def make(username: str, role: Role | None = None, **fields: object) -> User:
        user = User.objects.create_user(username, f"{username}@studio.example", PASSWORD, is_staff=True, **fields)
        if role:
            role_give(user, role)
        return user

    return make


def browser_of(user: User) -> Browser:
    """A browser in which ``user`` is logged in."""
    browser = Browser()
    browser.force_login(user)
    return browser
