"""Invitations to the team: a link by e-mail that sets somebody's first password and logs her in."""

from __future__ import annotations

from django.contrib.auth.tokens import PasswordResetTokenGenerator

from timetracker.accounts.links import mail_send, password_link
from timetracker.accounts.models import User
from timetracker.siteconf.models import SiteSettings

__all__ = ["TEAM_TOKENS", "invitation_link", "invitation_send", "may_be_invited"]


class _TeamTokens(PasswordResetTokenGenerator):
    """Tokens of their own: neither a link to a new password nor an invitation to the portal is one of these."""

    key_salt = "timetracker.accounts.invitations"


TEAM_TOKENS = _TeamTokens()


def may_be_invited(user: User) -> bool:
    """Whether a link may set her first password: she is of the team, not switched off, and has none yet."""
    return user.is_active and user.is_team and bool(user.email) and not user.has_usable_password()


def invitation_link(user: User, *, address: str) -> str:
    """Return a link that is good for one use; ``address`` is the site's. Raises ValueError where she may not be invited."""
    if not may_be_invited(user):
        raise ValueError(f"{user} is switched off, has no e-mail address, or has a password already.")
    return password_link(user, page="staff:invitation", tokens=TEAM_TOKENS, address=address)


def invitation_send(user: User, *, address: str, inviter: User) -> None:
    """Send the link by e-mail. Raises ValueError where she may not be invited, OSError where the mail was not accepted."""
    context = {
        "user": user,
        "inviter": inviter,
        "link": invitation_link(user, address=address),
        "address": address,
        "site": SiteSettings.load(),
    }
    mail_send("staff/mail/invitation", context, to=user.email)
