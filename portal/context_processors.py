"""What the portal's templates know besides their view's own: the client, the counts in the navigation, and how the portal looks.

All are lazy: a page that does not show them makes no query for them. Pages outside of the portal, and all error pages,
make none whatever they show.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import Error, connection
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from backups.gate import gate_read
from portal.access import find_person
from portal.branding import Brand, brand_of
from portal.figures import NavigationCounts, navigation_counts
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings

__all__ = ["current_client", "get_current_client"]

logger = logging.getLogger(__name__)


def current_client(request: HttpRequest) -> dict[str, Any]:
    """The context processor: ``current_client``, ``navigation_counts`` and ``brand`` on pages of the portal, nothing elsewhere."""
    match = request.resolver_match
    if match is None or match.app_name != "portal":
        return {}
    return {
        "current_client": SimpleLazyObject(lambda: get_current_client(request)),
        "navigation_counts": SimpleLazyObject(lambda: _counts(request)),
        "brand": SimpleLazyObject(_brand),
    }


def get_current_client(request: HttpRequest) -> Client | None:
    """Return the client for whom the visitor works, or None.

    On a page that :func:`~portal.access.client_page` has let in it is known already. Elsewhere it takes up to three
    queries, none while the gate is closed; a database that fails knows no client.
    """
    known = getattr(request, "client", None)
    if isinstance(known, Client):
        return known
    if gate_read().state == "closed":
        return None
    try:
        person = find_person(request)
    except Error as error:
        _forgive(error)
        return None
    return person.client if person is not None and person.client.active and person.client.portal_enabled else None


def _counts(request: HttpRequest) -> NavigationCounts | None:
    """The counts; None during a restore, and where the database fails."""
    if _only_essential():
        return None
    client = get_current_client(request)
    try:
        return navigation_counts(client) if client is not None else None
    except Error as error:
        _forgive(error)
        return None


def _brand() -> Brand | None:
    """How the portal looks; None (as it comes) during a restore, and where the database fails."""
    if _only_essential():
        return None
    try:
        return brand_of(SiteSettings.load())
    except Error as error:
        _forgive(error)
        return None


def _only_essential() -> bool:
    """Whether no query is to be made that is not needed: during a restore, and while closed."""
    gate = gate_read()
    return bool(gate.operation) or gate.state == "closed"


def _forgive(error: Error) -> None:
    """Leave no connection behind in which a transaction or the server has failed."""
    logger.warning("A page of the portal is shown without its client: %s", str(error).strip())
    if connection.in_atomic_block:
        connection.set_rollback(True)
    else:
        connection.close()
