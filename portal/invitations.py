"""Invitations: a link by e-mail that sets a client person's first password and logs her in."""

from __future__ import annotations

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.utils import timezone

from portal.models import ClientPerson
from timetracker.accounts.links import mail_send, password_link
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
    return password_link(person.user, page="portal:invitation", tokens=INVITATION_TOKENS, address=address)


def invitation_send(person: ClientPerson, *, address: str) -> None:
    """Send the link by e-mail, and note when.

    Raises ValueError where she may not be invited, OSError (SMTP errors are such) where the mail was not accepted; then
    nothing is noted.
    """
    link = invitation_link(person, address=address)
    context = {"person": person, "link": link, "address": address, "site": SiteSettings.load()}
    mail_send("portal/mail/invitation", context, to=person.user.email)
    person.invited_at = timezone.now()
    person.save(update_fields=["invited_at", "updated_at"])
