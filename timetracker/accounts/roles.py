"""The four roles: groups of Django, which the migrations make and people may change.

What a person may do is asked of her permissions and never of her role. Two of them say what Django's four per model do
not: :data:`ALL_ENTRIES` and :data:`MONEY`.
"""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet, TextChoices

from timetracker.accounts.models import User

__all__ = ["ALL_ENTRIES", "MONEY", "Role", "may_change", "permissions_of", "role_give", "role_of", "roles_to_give", "team"]

ALL_ENTRIES = "tracking.view_all_entries"
MONEY = "tracking.view_money"


class Role(TextChoices):
    """The name of the group, and what a person reads."""

    OWNER = "Owner", "Owner: everything, with people, settings and backups"
    MANAGER = "Manager", "Manager: clients, projects and the time of everybody"
    MEMBER = "Member", "Member: her own time, no amounts"
    BOOKKEEPER = "Bookkeeper", "Bookkeeper: invoices, payments and expenses"


def team() -> QuerySet[User]:
    """All accounts of the team, also those switched off, with their groups."""
    people = User.objects.filter(is_staff=True) | User.objects.filter(is_superuser=True)
    return people.prefetch_related("groups").order_by("-is_active", "full_name", "username")


def role_of(user: User) -> Role | None:
    """Return her role, the first where somebody has given her several; None where she has none."""
    names = {group.name for group in user.groups.all()}
    return next((role for role in Role if role.value in names), None)


def role_give(user: User, role: Role) -> None:
    """Give her this role in place of the one that she has; groups that people have made themselves stay.

    Raises Group.DoesNotExist where people have deleted or renamed the role's group.
    """
    with transaction.atomic():
        group = Group.objects.get(name=role.value)
        user.groups.remove(*Group.objects.filter(name__in=Role.values).exclude(pk=group.pk))
        user.groups.add(group)


def permissions_of(role: Role) -> set[str]:
    """Return what the role may do, each as ``app.codename``; nothing where its group is gone."""
    found = Group.objects.filter(name=role.value).values_list("permissions__content_type__app_label", "permissions__codename")
    return {f"{app}.{codename}" for app, codename in found if codename}


def roles_to_give(giver: User) -> list[Role]:
    """Return the roles whose group is there and which may do nothing that ``giver`` may not: nobody makes somebody her better."""
    there = set(Group.objects.filter(name__in=Role.values).values_list("name", flat=True))
    return [role for role in Role if role.value in there and giver.has_perms(permissions_of(role))]


def may_change(changer: User, person: User) -> bool:
    """Whether ``changer`` may change role and access of ``person``: never her own, and not of somebody who may do more."""
    if changer.pk == person.pk or not changer.has_perm("accounts.change_user"):
        return False
    if changer.is_superuser:
        return True
    # Of an account that is switched off Django says that it may do nothing.
    rights = {f"{app}.{codename}" for app, codename in _rights(person)}
    return not person.is_superuser and changer.has_perms(rights)


def _rights(person: User) -> set[tuple[str, str]]:
    own = person.user_permissions.values_list("content_type__app_label", "codename")
    of_groups = person.groups.values_list("permissions__content_type__app_label", "permissions__codename")
    return {(app, codename) for app, codename in [*own, *of_groups] if codename}
