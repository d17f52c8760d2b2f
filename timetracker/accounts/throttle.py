"""The throttle of logins, by django-axes: ten wrong passwords for one name from one address, then a pause.

It counts in a cache (``CACHES["logins"]``) and has no table, so that a restore changes nothing of it.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from axes.handlers.cache import AxesCacheHandler
from axes.helpers import get_cool_off
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from timetracker.accounts.models import User

__all__ = ["ThrottleHandler", "client_address", "locked_out"]

logger = logging.getLogger(__name__)


class ThrottleHandler(AxesCacheHandler):  # type: ignore[misc]  # django-axes has no types
    """Counts in the cache; a cache out of reach ends the throttle and not the logins, which is logged.

    The file cache's ``incr`` reads and writes, so the threads of a process take turns; processes that count the same
    name in the same instant may count it once.
    """

    _turn = threading.Lock()

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Return the wrong passwords so far; 0 where the cache cannot be asked."""
        try:
            with self._turn:
                return int(super().get_failures(request, credentials))
        except Exception as error:  # each cache backend has errors of its own
            logger.warning("Logins are not throttled, the cache cannot be read: %s", error)
            return 0

    def user_login_failed(self, sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
        """Count a wrong password."""
        try:
            with self._turn:
                super().user_login_failed(sender, credentials, request, **kwargs)
        except Exception as error:
            logger.warning("A failed login is not counted, the cache cannot be written: %s", error)

    def user_logged_in(self, sender: Any, request: HttpRequest, user: User, **kwargs: Any) -> None:
        """Forget the wrong passwords."""
        try:
            with self._turn:
                super().user_logged_in(sender, request, user, **kwargs)
        except Exception as error:
            logger.warning("The failed logins of a person stay counted, the cache cannot be written: %s", error)


def client_address(request: HttpRequest) -> str:
    """Return the address that a request comes from: behind one of ``TRUSTED_PROXIES``, what that proxy has added last."""
    peer = str(request.META.get("REMOTE_ADDR", ""))
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
    # A proxy on a unix socket has no address.
    trusted = not peer or peer in settings.TRUSTED_PROXIES or "*" in settings.TRUSTED_PROXIES
    return forwarded if forwarded and trusted else peer


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: dict[str, Any] | None) -> HttpResponse:
    """Answer a login that has to wait: 429, no query."""
    pause = get_cool_off(request)
    page = render(request, "locked_out.html", {"minutes": round(pause.total_seconds() / 60)}, status=429)
    page.headers["Retry-After"] = str(round(pause.total_seconds()))
    page.headers["Cache-Control"] = "no-store"
    return page
