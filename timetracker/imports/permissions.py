"""Who may bring in what.

Each kind takes the permission to import it and the one to add its rows. With the first alone nobody could do more here than on
the pages of the single rows; with the second alone nobody can change thousands of rows at once.
"""

from __future__ import annotations

from timetracker.accounts.models import User
from timetracker.imports.models import Import

__all__ = ["kinds_for", "may_create", "may_import"]

_ADDS: dict[Import.Kind, tuple[str, ...]] = {
    Import.Kind.TIME: ("tracking.add_timeentry",),
    Import.Kind.CLIENTS: ("clients.add_client",),
    Import.Kind.PROJECTS: ("tracking.add_project",),
    Import.Kind.DATA: (
        *("accounts.add_user", "clients.add_client", "clients.add_document", "tracking.add_project", "tracking.add_projectrate"),
        *("tracking.add_task", "tracking.add_timeentry", "billing.add_invoice", "billing.add_payment", "billing.add_expense"),
    ),
}
_CREATES: dict[str, tuple[str, ...]] = {
    Import.Kind.TIME: ("clients.add_client", "tracking.add_project", "tracking.add_task"),
    Import.Kind.PROJECTS: ("clients.add_client",),
}


def may_import(user: User, kind: str) -> bool:
    """Whether she may bring in files of this :class:`Import.Kind`."""
    return user.has_perms([f"imports.import_{kind}", *_ADDS[Import.Kind(kind)]])


def kinds_for(user: User) -> list[Import.Kind]:
    """Return what she may bring in, clients first: the others lean on them."""
    kinds = (Import.Kind.CLIENTS, Import.Kind.PROJECTS, Import.Kind.TIME, Import.Kind.DATA)
    return [kind for kind in kinds if may_import(user, kind)]


def may_create(user: User, kind: str) -> bool:
    """Whether a file of this kind can name things that are missing and are made then, and she may add all of those."""
    return kind in _CREATES and user.has_perms(_CREATES[kind])
