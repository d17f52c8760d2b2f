"""Where the pages of this package are mounted: inside the admin, or as pages of the site's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.auth.decorators import user_passes_test
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

__all__ = ["ADMIN", "SITE", "Place", "may"]

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True)
class Place:
    """One of the two places. The pages are the same functions in both: each gets its place as ``place``.

    ``frame`` is the template that the pages extend (it has the blocks ``title``, ``extra_head`` and ``page``), ``prefix``
    stands before the names of their URLs, ``guard`` keeps out whoever is not staff.
    """

    name: str
    frame: str
    prefix: str
    guard: Callable[[View], View]

    def url(self, name: str, *args: Any) -> str:
        """The path of the page called ``name`` in this place."""
        return reverse(f"{self.prefix}{name}", args=args)

    def context(self, request: HttpRequest) -> dict[str, Any]:
        """What the frame needs."""
        shared = admin.site.each_context(request) if self is ADMIN else {}
        return {**shared, "place": self}


def _in_admin(view: View) -> View:
    # At the time of the request: the site's admin is made by its configuration, after this module is imported.
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return admin.site.admin_view(view)(request, *args, **kwargs)

    return guarded


def _staff(view: View) -> View:
    return user_passes_test(lambda user: user.is_active and user.is_staff, login_url="admin:login")(view)


ADMIN = Place(name="admin", frame="backups/frame_admin.html", prefix="admin:backups_", guard=_in_admin)
SITE = Place(name="site", frame="backups/frame_site.html", prefix="backups:site-", guard=_staff)


def may(request: HttpRequest, right: str) -> None:
    """Raise PermissionDenied unless the asking user has ``right``: add, change, view, delete, download or restore of backups."""
    if not request.user.has_perm(f"backups.{right}_backup"):
        raise PermissionDenied
