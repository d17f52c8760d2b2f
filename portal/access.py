"""Who may see a page of the portal."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh
from django_htmx.middleware import HtmxDetails

from portal.models import ClientPerson
from timetracker.accounts.models import User
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.days import zone_of

__all__ = ["PortalRequest", "client_page", "find_person"]

Switch = Literal["portal_shows_time", "portal_shows_invoices", "portal_shows_documents"]


class PortalRequest(HttpRequest):
    """A request that :func:`client_page` has let in: ``person`` is logged in, lives in ``zone`` and works for ``client``."""

    user: User
    person: ClientPerson
    client: Client
    zone: ZoneInfo
    htmx: HtmxDetails


def find_person(request: HttpRequest) -> ClientPerson | None:
    """Return the client's person who is logged in, with her client; None for the team and for visitors.

    One query beside those of the session and the user. Raises what the database raises.
    """
    user = request.user
    if not user.is_authenticated or user.is_team:
        return None
    person = ClientPerson.objects.select_related("client").filter(user=user).order_by().first()
    if person is not None:
        person.user = user
    return person


def client_page(switch: Switch | None = None) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Let only a client's people see a view, in their time zone; its first parameter is a :class:`PortalRequest`.

    Others are sent to the login or told (403) why they see nothing: an account of the team, a client that is not active or
    whose portal is off. Where the client's ``switch`` is off the page does not exist (404). No cache keeps the answer.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @never_cache
        @wraps(view)
        def page(request: PortalRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _to_login(request)
            person = find_person(request)
            if person is None:
                return _refused(request, "portal/no_client.html", {})
            client = person.client
            if not (client.active and client.portal_enabled):
                return _refused(request, "portal/switched_off.html", {"client": client, "site": SiteSettings.load()})
            if switch is not None and not getattr(client, switch):
                raise Http404(f"{switch} is off for {client}.")
            request.person, request.client = person, client
            request.zone = zone_of(person.user)
            with timezone.override(request.zone):
                return view(request, *args, **kwargs)

        return page

    return decorate


def _refused(request: PortalRequest, template: str, context: dict[str, Any]) -> HttpResponseBase:
    """Say why there is nothing to see; htmx, which swaps no refusal in, is told to load the page anew."""
    return HttpResponseClientRefresh() if request.htmx else render(request, template, context, status=403)


def _to_login(request: PortalRequest) -> HttpResponseBase:
    """Send to the login; htmx would put that page into a corner of the one that is shown."""
    if request.htmx:
        return HttpResponseClientRedirect(redirect_to_login(request.htmx.current_url_abs_path or "", reverse("portal:login")).url)
    return redirect_to_login(request.get_full_path(), reverse("portal:login"))
