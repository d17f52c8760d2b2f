"""People of each role, with passwords."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.cache import caches

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
