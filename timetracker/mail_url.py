"""Reading ``EMAIL_URL``: how mail is sent, as Django's ``EMAIL_*`` settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

__all__ = ["mail_settings"]

# Seconds. Without it a mail server that is silent instead of gone would hold up whoever sends.
TIMEOUT = 10
WANTED = "EMAIL_URL must be such as smtp+tls://user:password@mail.example.org:587 (smtp, smtp+tls, smtp+ssl, consolemail, filemail)."


def mail_settings(url: str) -> dict[str, Any]:
    """The settings that send mail to ``url``.

    Raises ImproperlyConfigured for an address that is none; it never repeats the address, which may hold a password.
    """
    try:
        found = environ.Env.email_url_config(url)
        account = urlsplit(url)
    except (ImproperlyConfigured, ValueError):
        raise ImproperlyConfigured(WANTED) from None
    if found["EMAIL_BACKEND"].endswith("smtp.EmailBackend") and not found["EMAIL_HOST"]:
        raise ImproperlyConfigured(WANTED)
    return {
        **{name: value for name, value in found.items() if name.startswith("EMAIL_")},
        # environ takes a plus for a space, as in a query.
        "EMAIL_HOST_USER": unquote(account.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(account.password or ""),
        "EMAIL_TIMEOUT": TIMEOUT,
    }
