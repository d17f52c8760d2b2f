"""Files of clients and of projects."""

from __future__ import annotations

from decimal import Decimal

import pytest

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.clients.models import Client
from timetracker.imports.fields import fields_for
from timetracker.imports.names import MOST_PLANNED, code_for
from timetracker.imports.tests.files import checked, counts_of, faults_of, imported
from timetracker.siteconf.models import SiteSettings
from timetracker.tests.people import somebody
from timetracker.tracking.models import Project

pytestmark = pytest.mark.django_db

CLIENTS = """\
Name;Contact;E-mail;Phone;Address;Currency;Rate;Active;Notes
Bäckerei Süß;Toni;toni@bakery.example;+49 30 1;"Street 1
Berlin";chf;1.234,50;yes;sweet
Mill;;;;;;;no;
"""
PROJECTS = """\
Client,Name,Code,Status,Billable,Rate,Budget in hours,Colour,Notes
mill,Grinding,GRIND,Paused,no,80.5,120,#AABBCC,slow
Mill,Sacks,,,,,,,
"""


@pytest.fixture
def ann() -> User:
    """An owner."""
    return somebody("ann", Role.OWNER)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_clients_come_in_with_all_their_fields(ann: User, encoding: str) -> None:
    SiteSettings.objects.create(currency="USD")
    row = imported(ann, "clients", CLIENTS.encode(encoding))
    assert (row.state, counts_of(row).new, faults_of(row)) == ("done", 2, [])
    bakery, mill = Client.objects.order_by("name")
    assert (bakery.name, bakery.contact_name, bakery.email, bakery.phone) == ("Bäckerei Süß", "Toni", "toni@bakery.example", "+49 30 1")
    assert (bakery.address, bakery.currency, bakery.default_rate, bakery.active) == ("Street 1\nBerlin", "CHF", Decimal("1234.50"), True)
    assert (mill.currency, mill.default_rate, mill.active) == ("USD", None, False)


def test_clients_twice_change_nothing_and_what_is_here_stays_as_it_is(ann: User) -> None:
    imported(ann, "clients", CLIENTS)
    Client.objects.filter(name="Mill").update(contact_name="Somebody else")
    before = list(Client.objects.order_by("pk").values())
    row = imported(ann, "clients", CLIENTS.replace("Mill", "MILL"))
    assert (row.state, counts_of(row).here, counts_of(row).new) == ("done", 2, 0)
    assert list(Client.objects.order_by("pk").values()) == before


def test_clients_that_the_model_does_not_take_are_told_by_column(ann: User) -> None:
    text = f"Name,E-mail,Currency,Rate,Active\n{'n' * 201},no mail,XXX,-1,maybe\n,a@b.example,EUR,1,yes\nGood,,,,\ngood,,,,\n"
    row = checked(ann, "clients", text)
    assert sorted((line, column) for line, column, _, _ in faults_of(row)) == [
        *((2, column) for column in ("Active", "Currency", "E-mail", "Name", "Rate")),
        (3, "Name"),
    ]
    assert (counts_of(row).new, counts_of(row).repeated, counts_of(row).bad) == (1, 1, 2)


def test_projects_come_in_with_all_their_fields_and_a_code_where_there_is_none(ann: User) -> None:
    mill = Client.objects.create(name="Mill")
    row = imported(ann, "projects", PROJECTS)
    assert (row.state, faults_of(row)) == ("done", [])
    grinding, sacks = Project.objects.order_by("code")
    assert (grinding.client, grinding.name, grinding.status, grinding.billable) == (mill, "Grinding", "paused", False)
    assert (grinding.hourly_rate, grinding.budget_hours, grinding.colour) == (Decimal("80.50"), Decimal(120), "#aabbcc")
    assert (sacks.code, sacks.status, sacks.billable, sacks.hourly_rate) == ("SACKS", "active", True, None)


def test_projects_twice_change_nothing(ann: User) -> None:
    Client.objects.create(name="Mill")
    imported(ann, "projects", PROJECTS)
    Project.objects.update(notes="changed here")
    before = list(Project.objects.order_by("pk").values())
    row = imported(ann, "projects", PROJECTS)
    assert (row.state, counts_of(row).here, counts_of(row).new) == ("done", 2, 0)
    assert list(Project.objects.order_by("pk").values()) == before


def test_a_client_that_is_missing_is_made_with_its_projects_or_is_a_fault(ann: User) -> None:
    assert [fault[:3] for fault in faults_of(checked(ann, "projects", PROJECTS))] == [(2, "Client", "mill"), (3, "Client", "Mill")]
    row = imported(ann, "projects", PROJECTS, creates=True)
    assert (row.state, counts_of(row).made) == ("done", {"client": [1, ["mill"]]})
    assert list(Project.objects.values_list("client__name", flat=True)) == ["mill", "mill"]


def test_a_code_of_another_clients_project_is_a_fault(ann: User) -> None:
    Client.objects.create(name="Mill")
    Project.objects.create(client=Client.objects.create(name="Bakery"), name="Flour", code="GRIND")
    assert [fault[:3] for fault in faults_of(checked(ann, "projects", PROJECTS))] == [(2, "Code", "GRIND")]


def test_codes_that_are_made_are_nobodys(ann: User) -> None:
    bakery = Client.objects.create(name="Bakery")
    Project.objects.create(client=bakery, name="Old", code="WEB")
    row = imported(ann, "projects", "Client,Name,Code\nBakery,Web,\nBakery,Other,WEB-2\nBakery,Büro & Lager,\nBakery,日本,\n")
    assert row.state == "done", row.message
    assert dict(Project.objects.values_list("name", "code")) == {
        "Old": "WEB",
        "Web": "WEB-3",
        "Other": "WEB-2",
        "Büro & Lager": "BURO-LAGER",
        "日本": "PROJECT",
    }
    assert len(code_for("A very long name of a project", {"A-VERY-LONG-NAM"})) <= 20


def test_rates_are_for_those_who_see_money(ann: User) -> None:
    member = somebody("cy", Role.MEMBER, "imports.import_clients", "clients.add_client")
    assert "Rate" in [field.label for field in fields_for("clients", ann)]
    assert not {"Rate", "Currency"} & {field.label for field in fields_for("clients", member)}
    imported(member, "clients", "Name,Rate\nMill,80\n")
    assert Client.objects.get().default_rate is None


def test_a_column_that_is_no_project_is_seen_before_it_makes_thousands(ann: User) -> None:
    lines = "".join(f"Mill,Note {number},2026-03-02 9:00,10:00\n" for number in range(MOST_PLANNED + 1))
    row = checked(ann, "time", "Client,Project,Start,End\n" + lines, creates=True)
    assert (row.state, "Is the right column matched?" in row.message) == ("failed", True)
