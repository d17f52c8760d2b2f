"""The password once more, before what gives away or replaces all data: a browser left open must not be enough for that."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.contrib.auth import authenticate
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from backups.pages.place import Place, account_of

__all__ = ["password_asked"]

# Seconds for which a confirmed session is not asked again.
CONFIRMED_SECONDS = 600
SESSION_KEY = "backups_confirmed"
# Fields of the form itself, which are not handed on.
OWN_FIELDS = ("password", "csrfmiddlewaretoken")


def password_asked(
    request: HttpRequest,
    *,
    place: Place,
    title: str,
    sentences: Sequence[str] = (),
    button: str = "Go on",
    danger: bool = False,
    back: str = "",
) -> HttpResponse | None:
    """None where the asking user has given the password within ten minutes, or gives it with this POST; else the page that asks.

    The page says what is about to happen (``title``, ``sentences``), and posts the fields of this POST once more, with the password,
    to the same path; ``button`` is what its button says (in red with ``danger``), ``back`` where the way back leads. Check rights
    and fields before this: nobody should type a password for what is refused anyway. A wrong password counts as a failed login, so that
    guessing is throttled.
    """
    if _is_confirmed(request):
        return None
    asking = account_of(request)
    typed = request.POST.get("password", "")
    if typed:
        account = authenticate(request, username=asking.get_username(), password=typed)
        if account is not None and account.pk == asking.pk:
            request.session[SESSION_KEY] = [asking.pk, time.time()]
            return None
    context = {
        **place.context(request),
        "title": title,
        "sentences": sentences,
        "button": button,
        "danger": danger,
        "back": back,
        "fields": [(name, value) for name, values in request.POST.lists() if name not in OWN_FIELDS for value in values],
        "is_wrong": bool(typed),
        "has_password": asking.has_usable_password(),
    }
    return render(request, "backups/confirm_password.html", context)


def _is_confirmed(request: HttpRequest) -> bool:
    match request.session.get(SESSION_KEY):
        # The clock may have been set back meanwhile.
        case [account, float(at)]:
            return bool(account == request.user.pk) and 0 <= time.time() - at < CONFIRMED_SECONDS
    return False
