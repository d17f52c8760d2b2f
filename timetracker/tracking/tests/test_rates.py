"""Which rate counts, in every combination of those that are set."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from timetracker.accounts.models import User
from timetracker.tracking.models import Project, ProjectRate
from timetracker.tracking.rates import Rate, rate_for

SOURCES = ("user on project", "project", "client", "user")


@pytest.mark.parametrize("is_set", list(product([True, False], repeat=4)))
def test_first_rate_that_is_set_counts_in_its_own_currency(person: User, project: Project, is_set: tuple[bool, ...]) -> None:
    on_project, of_project, of_client, of_user = is_set
    if on_project:
        ProjectRate.objects.create(project=project, user=person, hourly_rate=Decimal("100.50"))
    project.hourly_rate = Decimal(90) if of_project else None
    project.client.default_rate = Decimal(80) if of_client else None
    person.hourly_rate = Decimal(60) if of_user else None

    expected = [
        Rate(Decimal("100.50"), "USD", "user on project"),
        Rate(Decimal(90), "USD", "project"),
        Rate(Decimal(80), "USD", "client"),
        Rate(Decimal(60), "SEK", "user"),
    ]
    assert rate_for(user=person, project=project) == next((rate for rate, there in zip(expected, is_set, strict=True) if there), None)


@pytest.mark.parametrize("source", SOURCES)
def test_zero_is_a_rate(person: User, project: Project, source: str) -> None:
    """Work for nothing is agreed on somewhere; the rates behind it must not come back."""
    zero = Decimal(0)
    if source == "user on project":
        ProjectRate.objects.create(project=project, user=person, hourly_rate=zero)
    else:
        project.hourly_rate = zero if source == "project" else None
        project.client.default_rate = zero if source == "client" else None if source == "user" else Decimal(80)
        person.hourly_rate = zero if source == "user" else Decimal(60)
    rate = rate_for(user=person, project=project)
    assert rate is not None and (rate.amount, rate.source) == (zero, source)


def test_rates_of_another_person_and_on_another_project_do_not_count(person: User, project: Project) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    ProjectRate.objects.create(project=project, user=User.objects.create(username="kim"), hourly_rate=Decimal(1))
    ProjectRate.objects.create(project=other, user=person, hourly_rate=Decimal(2))
    assert rate_for(user=person, project=project) == Rate(Decimal(90), "USD", "project")


def test_work_that_is_not_billable_has_no_rate(person: User, project: Project) -> None:
    ProjectRate.objects.create(project=project, user=person, hourly_rate=Decimal(100))
    project.billable = False
    assert rate_for(user=person, project=project) is None
