"""Links in mails: what they are made of, how they are sent, and how often."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.cache import caches
from django.core.mail import send_mail
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from timetracker.accounts.models import User

__all__ = ["SECONDS_BETWEEN_MAILS", "is_first_mail", "mail_send", "password_link", "site_address"]

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_MAILS = 300


def site_address(request: HttpRequest) -> str:
    """Return the scheme and host that links in mails begin with: ``SITE_URL``, else what the browser asked for."""
    return settings.SITE_URL or request.build_absolute_uri("/").rstrip("/")


def password_link(user: User, *, page: str, tokens: PasswordResetTokenGenerator, address: str) -> str:
    """Return a link to ``page`` (the name of a URL) by which ``user`` sets her password; ``address`` is the site's.

    It is good for a day (``PASSWORD_RESET_TIMEOUT``) and for one use: the signature covers the password and the last login,
    so that setting a password or logging in ends it, and so does a restore that brings other ones back. Nothing is stored.
    """
    return address + reverse(page, args=[urlsafe_base64_encode(force_bytes(user.pk)), tokens.make_token(user)])


def mail_send(name: str, context: dict[str, Any], *, to: str) -> None:
    """Send the templates ``NAME_subject.txt`` and ``NAME.txt``. Raises OSError (SMTP errors are such) where it was not accepted."""
    subject = " ".join(render_to_string(f"{name}_subject.txt", context).split())
    send_mail(subject, render_to_string(f"{name}.txt", context), None, [to])


def is_first_mail(user: User, *, kind: str) -> bool:
    """Whether no mail of this kind was asked for her in the last minutes: nobody fills a stranger's mailbox by a form.

    Asking counts. With the cache out of reach the answer is yes.
    """
    try:
        return caches["logins"].add(f"{kind}.{user.pk}", True, timeout=SECONDS_BETWEEN_MAILS)
    except Exception as error:  # each cache backend has errors of its own
        logger.warning("Mails of links are not throttled, the cache cannot be written: %s", error)
        return True
