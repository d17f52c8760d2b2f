"""The user: names, what the database refuses, and the roles."""

from __future__ import annotations

from decimal import Decimal
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from timetracker.accounts.models import User
from timetracker.time_zones import time_zone_names, validate_time_zone

pytestmark = pytest.mark.django_db


def test_person_logs_in_with_username_and_password() -> None:
    user = User.objects.create_user("robin", "robin@studio.example", "correct horse battery")
    assert authenticate(HttpRequest(), username="robin", password="correct horse battery") == user
    assert authenticate(HttpRequest(), username="robin", password="wrong") is None


def test_full_name_stands_for_the_person_and_the_username_where_there_is_none() -> None:
    assert str(User(username="robin", full_name="Robin Sample")) == "Robin Sample"
    assert User(username="robin", full_name="Robin Sample").get_short_name() == "Robin"
    assert str(User(username="robin")) == User(username="robin").get_full_name() == User(username="robin").get_short_name() == "robin"


def test_unknown_time_zone_is_refused_with_an_example() -> None:
    user = User(username="robin", password="!", time_zone="Europe/Nowhere")
    with pytest.raises(ValidationError) as refused:
        user.full_clean()
    assert refused.value.message_dict == {"time_zone": ["“Europe/Nowhere” is no IANA time zone, such as Europe/Berlin."]}


@pytest.mark.parametrize("name", ["localtime", "Factory"])
def test_files_among_the_zones_that_name_none_are_no_choice(name: str) -> None:
    assert name not in time_zone_names()
    with pytest.raises(ValidationError):
        validate_time_zone(name)


@pytest.mark.parametrize(
    ("wrong", "field", "message"),
    [
        ({"hourly_rate": Decimal("-0.01")}, "hourly_rate", "Ensure this value is greater than or equal to 0."),
        ({"currency": "eur"}, "currency", "“eur” is no currency code, such as EUR or USD."),
        ({"currency": "EU"}, "currency", "“EU” is no currency code, such as EUR or USD."),
    ],
)
def test_form_and_database_both_refuse(wrong: dict[str, object], field: str, message: str) -> None:
    user = User(username="robin", password="!", **wrong)
    with pytest.raises(ValidationError) as refused:
        user.full_clean()
    assert refused.value.message_dict[field] == [message]
    with pytest.raises(IntegrityError), transaction.atomic():
        user.save()


def test_roles_are_made_with_their_permissions_and_kept_as_people_changed_them() -> None:
    create_roles = import_module("timetracker.accounts.migrations.0002_roles").create_roles
    Group.objects.filter(name__in=["Member", "Accountant"]).delete()
    create_roles(apps, None)
    member = Group.objects.get(name="Member")
    codes = set(member.permissions.values_list("codename", flat=True))
    assert {"add_timeentry", "delete_timeentry", "view_client"} <= codes
    assert not {"add_invoice", "view_invoice", "change_client"} & codes
    assert Group.objects.get(name="Accountant").permissions.filter(codename="change_invoice").exists()

    member.permissions.clear()
    create_roles(apps, None)
    assert not member.permissions.exists()
