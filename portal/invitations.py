"""Invitations: a link by e-mail that sets a client person's first password and logs her in.

It is good for a day (``PASSWORD_RESET_TIMEOUT``) and for one use: the signature covers the password and the last login,
so that setting a password or logging in ends it, and so does a restore that brings other ones back. Nothing is stored.
"""

from __future__ import annotations

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from portal.models import ClientPerson
from timetracker.siteconf.models import SiteSettings

__all__ = ["INVITATION_TOKENS", "invitation_link", "invitation_send", "may_be_invited"]


class _InvitationTokens(PasswordResetTokenGenerator):
    """Tokens of their own: a link to a new password is no invitation, nor the other way round."""

    key_salt = "portal.invitations"


INVITATION_TOKENS = _InvitationTokens()


def may_be_invited(person: ClientPerson) -> bool:
    """Whether a link may set her password: never that of an account of the team or of one that is switched off."""
    user = person.user
    return user.is_active and not user.is_team and bool(user.email)


def invitation_link(person: ClientPerson, *, address: str) -> str:
    """Return a link that is good for one use; ``address`` is the site's. Raises ValueError where she may not be invited."""
    if not may_be_invited(person):
        raise ValueError(f"{person} is switched off, has no e-mail address or belongs to the team.")
    uid = urlsafe_base64_encode(force_bytes(person.user_id))
    return address + reverse("portal:invitation", args=[uid, INVITATION_TOKENS.make_token(person.user)])


def invitation_send(person: ClientPerson, *, address: str) -> None:
    """Send the link by e-mail, and note when.

    Raises ValueError where she may not be invited, OSError (SMTP errors are such) where the mail was not accepted; then
    nothing is noted.
    """
    link = invitation_link(person, address=address)
    context = {"person": person, "link": link, "address": address, "site": SiteSettings.load()}
    subject = " ".join(render_to_string("portal/mail/invitation_subject.txt", context).split())
    send_mail(subject, render_to_string("portal/mail/invitation.txt", context), None, [person.user.email])
    person.invited_at = timezone.now()
    person.save(update_fields=["invited_at", "updated_at"])
