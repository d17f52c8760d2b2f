"""Links in mails: where they begin, and how often one is sent."""

from __future__ import annotations

import logging

from django.conf import settings
from django.core.cache import caches
from django.http import HttpRequest

from timetracker.accounts.models import User

__all__ = ["SECONDS_BETWEEN_MAILS", "is_first_mail", "site_address"]

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_MAILS = 300


def site_address(request: HttpRequest) -> str:
    """Return the scheme and host that links in mails begin with: ``SITE_URL``, else what the browser asked for."""
    return settings.SITE_URL or request.build_absolute_uri("/").rstrip("/")


def is_first_mail(user: User, *, kind: str) -> bool:
    """Whether no mail of this kind was asked for her in the last minutes: nobody fills a stranger's mailbox by a form.

    Asking counts. With the cache out of reach the answer is yes.
    """
    try:
        return caches["logins"].add(f"{kind}.{user.pk}", True, timeout=SECONDS_BETWEEN_MAILS)
    except Exception as error:  # each cache backend has errors of its own
        logger.warning("Mails of links are not throttled, the cache cannot be written: %s", error)
        return True
