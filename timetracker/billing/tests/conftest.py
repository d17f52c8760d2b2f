"""A client with a project at 100 an hour, and somebody who works on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from timetracker.accounts.models import User
from timetracker.clients.models import Client
from timetracker.tracking.models import Project, TimeEntry

Worked = Callable[..., TimeEntry]


@pytest.fixture
def bakery(db: None) -> Client:
    """The client."""
    return Client.objects.create(name="Sample Bakery", currency="EUR", default_rate=Decimal(100), email="office@bakery.example")


@pytest.fixture
def website(bakery: Client) -> Project:
    """Its project."""
    return Project.objects.create(client=bakery, name="Website", code="WEB")


@pytest.fixture
def robin(db: None) -> User:
    """Who works on it."""
    return User.objects.create(username="robin", full_name="Robin Example", is_staff=True)


@pytest.fixture
def worked(robin: User, website: Project) -> Worked:
    """Writes an entry of so many minutes on a day of March 2025, from nine o'clock UTC on."""

    def write(day: int = 3, minutes: float = 60, **fields: object) -> TimeEntry:
        began = datetime(2025, 3, day, 9, tzinfo=UTC)
        values = {"user": robin, "project": website, "started_at": began, "ended_at": began + timedelta(minutes=minutes)} | fields
        return TimeEntry.objects.create(**values)

    return write
