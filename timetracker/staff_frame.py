"""What the frame of the team's pages knows: where its navigation leads, and the timer that runs.

Both are lazy: a page that does not show them makes no query for them. Other pages, and all error pages, make none.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import Error, connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject

from backups.gate import gate_read
from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES, MONEY
from timetracker.import_export import leads_somewhere
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.timer import running_for

__all__ = ["PAGES", "Page", "navigation_of", "staff_frame"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Page:
    """A page that the navigation leads to: the name of its URL, what it is called, and the permissions that it takes.

    ``key`` is typed after ``g``. Its icon is the symbol of its name in ``icons/staff.svg``.
    """

    name: str
    label: str
    permissions: tuple[str, ...] = ()
    key: str = ""


# In this order.
PAGES = (
    Page("today", "Today", key="t"),
    Page("week", "Week", key="w"),
    Page("entries", "Entries", key="e"),
    Page("reports", "Reports", key="r"),
    Page("projects", "Projects", ("tracking.view_project",), key="p"),
    Page("clients", "Clients", ("clients.view_client",), key="c"),
    Page("invoices", "Invoices", ("billing.view_invoice", MONEY), key="i"),
    Page("expenses", "Expenses", ("billing.view_expense",), key="x"),
    Page("team", "Team", ("accounts.view_user",), key="m"),
)


def staff_frame(request: HttpRequest) -> dict[str, Any]:
    """The context processor: ``navigation``, ``shows_admin``, ``shows_import_export`` and ``running_timer`` on the team's pages.

    ``now_ms`` is the server's time in milliseconds since 1970.
    """
    match = request.resolver_match
    if match is None or match.app_name != "staff":
        return {}
    return {
        "now_ms": int(time.time() * 1000),
        "navigation": SimpleLazyObject(lambda: navigation_of(request.user)),
        "shows_import_export": SimpleLazyObject(lambda: leads_somewhere(request.user)),
        "shows_admin": SimpleLazyObject(lambda: _shows_admin(request.user)),
        "running_timer": SimpleLazyObject(lambda: _running_timer(request.user)),
    }


def navigation_of(user: User | AnonymousUser) -> list[tuple[Page, str]]:
    """Return the pages that she may see, each with its address."""
    return [(page, reverse(f"staff:{page.name}")) for page in PAGES if user.has_perms(page.permissions)]


def _shows_admin(user: User | AnonymousUser) -> bool:
    """Whether there is more for her in the admin than single rows that have pages here."""
    apps = ("accounts", "auth", "backups", "portal", "siteconf")
    return user.is_staff and (user.has_perm(ALL_ENTRIES) or any(user.has_module_perms(app) for app in apps))


def _running_timer(user: User | AnonymousUser) -> TimeEntry | None:
    """Her timer; None during a restore, in which no query is made that is not needed, and where the database fails."""
    gate = gate_read()
    if gate.operation or gate.state == "closed" or not isinstance(user, User):
        return None
    try:
        return running_for(user)
    except Error as error:
        logger.warning("A page is shown without the running timer: %s", str(error).strip())
        if connection.in_atomic_block:
            connection.set_rollback(True)
        else:
            connection.close()
        return None
