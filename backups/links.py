"""Links to the progress of an operation, and to cancelling it: whoever has one has the right, no session is asked.

A restore ends all sessions and closes the database; so the right is in the link itself, signed with ``SECRET_KEY``, each
kind with a salt of its own, for ``BACKUPS_PROGRESS_HOURS``.
"""

from __future__ import annotations

from urllib.parse import urlencode

from django.core.signing import BadSignature, SignatureExpired, TimestampSigner
from django.urls import reverse

from backups.conf import conf
from backups.journal import is_operation_id

__all__ = ["LinkExpired", "LinkInvalid", "cancel_link", "cancel_operation_of", "progress_link", "progress_operation_of"]

PROGRESS_SALT = "backups.progress"
CANCEL_SALT = "backups.cancel"


class LinkInvalid(Exception):
    """This link is not one that the site has made."""


class LinkExpired(LinkInvalid):
    """This link has expired."""


def progress_link(operation_id: str, *, may_cancel: bool = False, place: str = "admin") -> str:
    """The path of the page that shows how the operation goes; with ``may_cancel`` the page offers to cancel it.

    ``place`` says where the page's links lead once it is over: ``admin``, or ``site`` for whoever came from outside the admin.
    """
    path = reverse("backups:progress", args=[_token(operation_id, PROGRESS_SALT)])
    query = {"cancel": _token(operation_id, CANCEL_SALT)} if may_cancel else {}
    if place != "admin":
        query["place"] = place
    return f"{path}?{urlencode(query)}" if query else path


def cancel_link(operation_id: str) -> str:
    """The path of the form that cancels the operation."""
    return reverse("backups:cancel", args=[_token(operation_id, CANCEL_SALT)])


def progress_operation_of(token: str) -> str:
    """The id of the operation that a progress token shows. Raises :class:`LinkInvalid` or :class:`LinkExpired`."""
    return _operation_of(token, PROGRESS_SALT)


def cancel_operation_of(token: str) -> str:
    """The id of the operation that a cancel token ends. Raises :class:`LinkInvalid` or :class:`LinkExpired`."""
    return _operation_of(token, CANCEL_SALT)


def _token(operation_id: str, salt: str) -> str:
    if not is_operation_id(operation_id):
        raise ValueError(f"{operation_id!r} is no operation id.")
    return _signer(salt).sign(operation_id)


def _operation_of(token: str, salt: str) -> str:
    try:
        return _signer(salt).unsign(token, max_age=conf.progress_hours * 3600)
    except SignatureExpired as error:
        raise LinkExpired from error
    except BadSignature as error:
        raise LinkInvalid from error


def _signer(salt: str) -> TimestampSigner:
    # Mail programs take a dot for a part of a link, and not every one a colon.
    return TimestampSigner(sep=".", salt=salt)
