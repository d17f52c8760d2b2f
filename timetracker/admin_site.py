"""The admin of this project: its login page renders whatever state the database is in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin import AdminSite, autodiscover
from django.contrib.admin.apps import SimpleAdminConfig
from django.core.checks import CheckMessage
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver

from backups.gate import connections_close, is_database_restore_in_progress

__all__ = ["SiteAdmin", "SiteAdminConfig"]


class SiteAdminConfig(SimpleAdminConfig):
    """Makes :class:`SiteAdmin` the ``admin.site`` at which all models register."""

    default_site = "timetracker.admin_site.SiteAdmin"

    def ready(self) -> None:
        """Make the site: the checks look at those that there are, and Django makes it when it is first asked for anything."""
        super().ready()
        self.module.site.name  # type: ignore[union-attr]  # noqa: B018


class SiteAdmin(AdminSite):
    """Django's admin, in the site's name.

    It finds the apps' admin modules when its pages or its checks are asked for: the start of every command would import them, and
    with them every page of the backups.
    """

    site_title = site_header = "TimeTracker"
    # "View site" would lead back to the admin.
    site_url = None

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """The URLs of all that registers."""
        autodiscover()
        return super().get_urls()

    def check(self, app_configs: Sequence[AppConfig] | None) -> list[CheckMessage]:
        """Check all that registers."""
        autodiscover()
        return super().check(app_configs)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The login page; to ask for it (GET) needs no database.

        It asks who is logged in already, and takes "nobody" where the database cannot say. During a restore it does not
        even ask: the restore ends all sessions.
        """
        # Django names this module while it is still loading the apps: no model can be imported above.
        from django.contrib.auth.models import AnonymousUser

        if request.method == "GET" and not _knows_user(request):
            request.user = AnonymousUser()
        return super().login(request, extra_context)


def _knows_user(request: HttpRequest) -> bool:
    """Whether the database said who sends the request; the user is kept in the request then, and not asked for again."""
    if is_database_restore_in_progress():
        return False
    try:
        request.user.get_username()
    except DatabaseError:
        connections_close()
        return False
    return True
