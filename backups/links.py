"""Links to the progress of an operation, and to cancelling it: whoever has one has the right, no session is asked.

A restore ends all sessions and closes the database; so the right is in the link itself, signed with ``SECRET_KEY``, each
kind with a salt of its own, for ``BACKUPS_PROGRESS_HOURS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.core.signing import BadSignature, SignatureExpired, TimestampSigner
from django.urls import reverse
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from backups.conf import conf
from backups.journal import is_operation_id

__all__ = ["CancelRight", "LinkExpired", "LinkInvalid", "cancel_link", "cancel_right_of", "progress_link", "progress_operation_of"]

PROGRESS_SALT = "backups.progress"
CANCEL_SALT = "backups.cancel"


# Characters of an operation's id, which begins a cancel token; the account follows.
ID_LENGTH = 32


@dataclass(frozen=True)
class CancelRight:
    """The right to cancel ``operation``, given to the account of that name; ``account`` is empty where it was given to nobody's."""

    operation: str
    account: str


class LinkInvalid(Exception):
    """This link is not one that the site has made."""


class LinkExpired(LinkInvalid):
    """This link has expired."""


def progress_link(operation_id: str, *, may_cancel: bool = False, account: str = "", place: str = "admin") -> str:
    """The path of the page that shows how the operation goes; with ``may_cancel`` the page offers to cancel it.

    ``account`` is the name of who gets the link: that is who cancels it, if it is cancelled by it.

    ``place`` says where the page's links lead once it is over: ``admin``, or ``site`` for whoever came from outside the admin.
    """
    path = reverse("backups:progress", args=[_signer(PROGRESS_SALT).sign(_checked(operation_id))])
    query = {"cancel": _cancel_token(operation_id, account)} if may_cancel else {}
    if place != "admin":
        query["place"] = place
    return f"{path}?{urlencode(query)}" if query else path


def cancel_link(operation_id: str, *, account: str = "") -> str:
    """The path of the form that cancels the operation; ``account`` is the name of who gets it."""
    return reverse("backups:cancel", args=[_cancel_token(operation_id, account)])


def progress_operation_of(token: str) -> str:
    """The id of the operation that a progress token shows. Raises :class:`LinkInvalid` or :class:`LinkExpired`."""
    return _signed_in(token, PROGRESS_SALT)


def cancel_right_of(token: str) -> CancelRight:
    """What a cancel token allows, and whom. Raises :class:`LinkInvalid` or :class:`LinkExpired`."""
    signed = _signed_in(token, CANCEL_SALT)
    account = urlsafe_base64_decode(signed[ID_LENGTH:]).decode()
    return CancelRight(signed[:ID_LENGTH], account)


def _cancel_token(operation_id: str, account: str) -> str:
    # The name may have any sign in it, and an address may not.
    return _signer(CANCEL_SALT).sign(_checked(operation_id) + urlsafe_base64_encode(account.encode()))


def _checked(operation_id: str) -> str:
    if not is_operation_id(operation_id):
        raise ValueError(f"{operation_id!r} is no operation id.")
    return operation_id


def _signed_in(token: str, salt: str) -> str:
    try:
        return _signer(salt).unsign(token, max_age=conf.progress_hours * 3600)
    except SignatureExpired as error:
        raise LinkExpired from error
    except BadSignature as error:
        raise LinkInvalid from error


def _signer(salt: str) -> TimestampSigner:
    # Mail programs take a dot for a part of a link, and not every one a colon.
    return TimestampSigner(sep=".", salt=salt)
