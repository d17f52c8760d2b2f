"""Who may see a page of the team."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from timetracker.accounts.models import User
from timetracker.tracking.days import zone_of

__all__ = ["TeamRequest", "team_page"]


class TeamRequest(HttpRequest):
    """A request that :func:`team_page` has let in: ``user`` is of the team."""

    user: User
    htmx: HtmxDetails


def team_page(permission: str = "") -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Let only the team see a view, in each one's time zone; its first parameter is a :class:`TeamRequest`.

    Strangers are sent to the login, a client's person to the portal. Who lacks ``permission`` is told so (403). No cache
    keeps the answer.
    """

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @never_cache
        @wraps(view)
        def page(request: TeamRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return _to_login(request)
            if not request.user.is_team:
                portal = reverse("portal:dashboard")
                return HttpResponseClientRedirect(portal) if request.htmx else redirect(portal)
            if permission and not request.user.has_perm(permission):
                raise PermissionDenied(f"{request.user.get_username()} lacks {permission}.")
            with timezone.override(zone_of(request.user)):
                return view(request, *args, **kwargs)

        return page

    return decorate


def _to_login(request: TeamRequest) -> HttpResponseBase:
    """Send to the login, and from there back to a page that can be asked for again."""
    login = reverse("staff:login")
    if request.htmx:
        # htmx would put the login into a corner of the page that is shown.
        return HttpResponseClientRedirect(redirect_to_login(request.htmx.current_url_abs_path or "", login).url)
    wanted = request.get_full_path() if request.method in ("GET", "HEAD") else reverse("staff:today")
    return redirect_to_login(wanted, login)
