"""The four roles: what each may do, what becomes of groups that people have changed, and who may give which."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.urls import reverse

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES, MONEY, Role, may_change, permissions_of, role_give, role_of, roles_to_give
from timetracker.accounts.tests.conftest import Hire
from timetracker.tests.people import browser_of

pytestmark = pytest.mark.django_db

four_roles = import_module("timetracker.accounts.migrations.0004_four_roles")


def permission(label: str) -> Permission:
    """The permission that is called ``app.codename``."""
    app, codename = label.split(".")
    return Permission.objects.get(content_type__app_label=app, codename=codename)


# --- what each may do -------------------------------------------------------------------------------------------------


def test_there_are_four_roles_and_the_old_names_are_gone() -> None:
    names = set(Group.objects.values_list("name", flat=True))
    assert set(Role.values) <= names and not names & {"Project lead", "Accountant"}


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (
            Role.MEMBER,
            {"tracking.add_timeentry", "billing.add_expense"},
            {ALL_ENTRIES, MONEY, "accounts.view_user", "billing.view_invoice"},
        ),
        (Role.MANAGER, {ALL_ENTRIES, MONEY, "tracking.add_project", "accounts.view_user"}, {"accounts.change_user", "billing.add_invoice"}),
        (Role.BOOKKEEPER, {ALL_ENTRIES, MONEY, "billing.add_invoice"}, {"accounts.view_user", "tracking.add_timeentry"}),
        (Role.OWNER, {ALL_ENTRIES, MONEY, "accounts.change_user", "backups.restore_backup", "portal.add_clientperson"}, set()),
    ],
)
def test_a_role_may_what_it_is_for(hire: Hire, role: Role, may: set[str], may_not: set[str]) -> None:
    user = hire("robin", role)
    assert user.has_perms(may)
    assert not {each for each in may_not if user.has_perm(each)}


def test_an_owner_may_everything_of_the_apps() -> None:
    labels = {app for app in four_roles.APPS if app != "auth"}
    every = Permission.objects.filter(content_type__app_label__in=labels)
    owned = Group.objects.get(name=Role.OWNER.value).permissions.all()
    assert set(every) <= set(owned)


# --- groups that people have changed ----------------------------------------------------------------------------------


def as_before() -> None:
    """The groups as migration 0002 left them."""
    Group.objects.all().delete()
    import_module("timetracker.accounts.migrations.0002_roles").create_roles(apps, None)


def test_groups_are_renamed_with_their_people_and_with_what_people_changed() -> None:
    as_before()
    lead = Group.objects.get(name="Project lead")
    robin = User.objects.create(username="robin")
    robin.groups.add(lead)
    lead.permissions.remove(permission("clients.add_client"))
    lead.permissions.add(permission("siteconf.view_sitesettings"))
    four_roles.make_roles(apps, None)
    assert role_of(User.objects.get(pk=robin.pk)) is Role.MANAGER and not Group.objects.filter(name="Project lead").exists()
    rights = permissions_of(Role.MANAGER)
    assert "clients.add_client" not in rights and {"siteconf.view_sitesettings", ALL_ENTRIES, MONEY} <= rights


def test_a_group_that_is_called_like_a_role_already_is_left_alone() -> None:
    as_before()
    own = Group.objects.create(name="Manager")
    four_roles.make_roles(apps, None)
    assert not own.permissions.exists() and Group.objects.filter(name="Project lead").exists()


def test_roles_that_people_have_deleted_are_made_and_a_second_run_changes_nothing() -> None:
    as_before()
    Group.objects.all().delete()
    four_roles.make_roles(apps, None)
    first = {role: permissions_of(role) for role in Role}
    assert all(first.values())
    Group.objects.get(name=Role.MEMBER.value).permissions.clear()
    four_roles.make_roles(apps, None)
    assert permissions_of(Role.MEMBER) == set()
    assert all(permissions_of(role) == first[role] for role in Role if role is not Role.MEMBER)


def test_who_saw_all_time_and_all_rates_in_the_admin_goes_on_seeing_them() -> None:
    as_before()
    office = Group.objects.create(name="Office")
    office.permissions.add(permission("clients.change_client"))
    kim = User.objects.create(username="kim")
    kim.user_permissions.add(permission("tracking.view_timeentry"))
    four_roles.make_roles(apps, None)
    assert [each.codename for each in office.permissions.filter(codename__startswith="view_")] == ["view_money"]
    kim = User.objects.get(pk=kim.pk)
    assert kim.has_perm(ALL_ENTRIES) and not kim.has_perm(MONEY)


# --- who gives which --------------------------------------------------------------------------------------------------


def test_a_role_takes_the_place_of_another_and_other_groups_stay(hire: Hire) -> None:
    robin = hire("robin", Role.MEMBER)
    robin.groups.add(Group.objects.create(name="Choir"))
    role_give(robin, Role.BOOKKEEPER)
    assert set(robin.groups.values_list("name", flat=True)) == {"Choir", "Bookkeeper"}


def test_nobody_gives_a_role_that_may_more_than_she(hire: Hire) -> None:
    assert roles_to_give(hire("owner", Role.OWNER)) == list(Role)
    manager = hire("manager", Role.MANAGER)
    manager.user_permissions.add(permission("accounts.add_user"))
    assert Role.OWNER not in roles_to_give(User.objects.get(pk=manager.pk))
    assert roles_to_give(User.objects.create_superuser("root")) == list(Role)
    Group.objects.get(name=Role.MEMBER.value).delete()
    assert Role.MEMBER not in roles_to_give(User.objects.get(username="owner"))


def test_nobody_changes_herself_or_who_may_more(hire: Hire) -> None:
    owner, other, member = hire("owner", Role.OWNER), hire("other", Role.OWNER), hire("robin", Role.MEMBER)
    root = User.objects.create_superuser("root")
    assert may_change(owner, member) and may_change(owner, other) and may_change(root, owner)
    assert not may_change(owner, owner) and not may_change(owner, root) and not may_change(member, owner)
    clerk = hire("clerk", Role.MEMBER)
    clerk.user_permissions.add(permission("accounts.change_user"))
    clerk = User.objects.get(pk=clerk.pk)
    assert may_change(clerk, member) and not may_change(clerk, owner)
    User.objects.filter(pk=other.pk).update(is_active=False)
    assert not may_change(clerk, User.objects.get(pk=other.pk)), "an owner who is switched off stays out of reach"


# --- the admin --------------------------------------------------------------------------------------------------------

WHOLE_TABLES = ["tracking_timeentry", "tracking_project", "clients_client", "billing_invoice", "billing_payment", "billing_expense"]


@pytest.mark.parametrize("table", WHOLE_TABLES)
def test_a_member_finds_no_whole_table_in_the_admin(hire: Hire, table: str) -> None:
    page = reverse(f"admin:{table}_changelist")
    assert browser_of(hire("robin", Role.MEMBER)).get(page).status_code == 403
    assert browser_of(hire("owner", Role.OWNER)).get(page).status_code == 200


def test_the_admin_of_a_member_names_no_amount_and_opens(hire: Hire) -> None:
    index = browser_of(hire("robin", Role.MEMBER)).get(reverse("admin:index"))
    assert index.status_code == 200 and b"Invoices" not in index.content and b"Time entries" not in index.content
