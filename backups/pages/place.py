"""Where the pages of this package are mounted: inside the admin, or as pages of the site's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib import admin
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.decorators import user_passes_test
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, register_converter, reverse
from django.views.decorators.cache import never_cache

from backups.exceptions import BackupError
from backups.pages.reader import in_readers_zone

__all__ = ["ADMIN", "SITE", "Place", "View", "account_of", "may", "page_path", "refused", "way_back"]

View = Callable[..., HttpResponseBase]


class _Text:
    """A part of a path that is taken as it is, where ``regex`` fits: nothing else reaches a page."""

    def to_python(self, value: str) -> str:
        """As it is."""
        return value

    def to_url(self, value: str) -> str:
        """As it is."""
        return value


class ArchiveName(_Text):
    """``<archive:…>``: the name of an archive in the store. Not the row's number: a restore renumbers."""

    regex = r"backup_[0-9]{8}_[0-9]{6}_[0-9a-f]{8}\.zip"


class OperationId(_Text):
    """``<operation:…>``: the id of an operation."""

    regex = "[0-9a-f]{32}"


register_converter(ArchiveName, "archive")
register_converter(OperationId, "operation")


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
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return admin.site.admin_view(view)(request, *args, **kwargs)

    return guarded


def _staff(view: View) -> View:
    return user_passes_test(lambda user: user.is_active and user.is_staff, login_url="admin:login")(view)


ADMIN = Place(name="admin", frame="backups/frame_admin.html", prefix="admin:backups_", guard=_in_admin)
SITE = Place(name="site", frame="backups/frame_site.html", prefix="backups:site-", guard=_staff)


def page_path(place: Place, route: str, view: View, name: str) -> URLPattern:
    """The URL of a page in ``place``: staff alone get to ``view``, which is called with ``place=place``; never cached. Times on
    it are those of the reader.

    ``name`` is what :meth:`Place.url` takes. Which right the page needs, the view says itself (:func:`may`). A
    :class:`~backups.exceptions.BackupError` that the view does not tell in its own way becomes a page.
    """

    # Attributes of the view (``csrf_exempt``) count for what is mounted: hence wraps.
    @wraps(view)
    def placed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Any of these pages may ask for the password again; a report of an error must not show it.
        request.sensitive_post_parameters = ("password",)  # type: ignore[attr-defined]
        with in_readers_zone(request):
            try:
                response = view(request, *args, place=place, **kwargs)
            except BackupError as error:
                return refused(request, error, place=place)
            return response.render() if isinstance(response, TemplateResponse) else response

    return path(route, never_cache(place.guard(placed)), name=f"{place.prefix.rpartition(':')[2]}{name}")


def refused(request: HttpRequest, error: BackupError, *, place: Place) -> HttpResponse:
    """The page that tells an error in its three sentences: what happened, how things are now, what to do next. 409."""
    return render(request, "backups/refused.html", {**place.context(request), "error": error}, status=409)


def way_back(request: HttpRequest) -> str:
    """Where pages of the admin lead back to: the list of archives, for whoever may see that; else the first page."""
    return reverse("admin:backups_backup_changelist" if request.user.has_perm("backups.view_backup") else "admin:index")


def account_of(request: HttpRequest) -> AbstractBaseUser:
    """The account that asks. Raises PermissionDenied where there is none, which no guard lets happen."""
    if not request.user.is_authenticated:
        raise PermissionDenied
    return request.user


def may(request: HttpRequest, right: str) -> None:
    """Raise PermissionDenied unless the asking user has ``right``: add, change, view, delete, download or restore of backups."""
    if not request.user.has_perm(f"backups.{right}_backup"):
        raise PermissionDenied
