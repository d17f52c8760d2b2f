"""Links in mails, as their people follow them."""

from __future__ import annotations

import re
from typing import Any

from django.core import mail
from django.test import Client as Browser

__all__ = ["NEW_PASSWORD", "SITE", "link_in_mail", "use_link"]

SITE = "https://time.example.org"
NEW_PASSWORD = "a battery of correct horses"


def link_in_mail() -> str:
    """The link to a password in the last mail."""
    found = re.search(r"https?://\S+/(?:invitation|password)/\S+", str(mail.outbox[-1].body))
    assert found, mail.outbox[-1].body
    return found[0]


def use_link(browser: Browser, link: str, password: str = NEW_PASSWORD) -> Any:
    """Open a link, of whatever site, and choose a password; the last answer."""
    opened = browser.get(re.sub("^https?://[^/]+", "", link), follow=True)
    if not opened.context["validlink"]:
        return opened
    return browser.post(opened.request["PATH_INFO"], {"new_password1": password, "new_password2": password})
