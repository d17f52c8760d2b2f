"""A person, a client and a project to work on."""

from __future__ import annotations

from decimal import Decimal

import pytest

from timetracker.accounts.models import User
from timetracker.clients.models import Client
from timetracker.tracking.models import Project


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create(username="robin", full_name="Robin Sample", hourly_rate=Decimal(60), currency="SEK")


@pytest.fixture
def project(db: None) -> Project:
    client = Client.objects.create(name="Sample Bakery", currency="USD", default_rate=Decimal(80))
    return Project.objects.create(client=client, name="Website relaunch", code="SB-WEB", hourly_rate=Decimal(90))
