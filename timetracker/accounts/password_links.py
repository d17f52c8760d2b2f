"""Passwords by mail: a link to a new one, and the page that it leads to. The team's entrance and the portal's say for whom."""

# Django's form classes and views take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.views import PasswordResetConfirmView, PasswordResetView
from django.http import HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from timetracker.accounts.links import mail_send, site_address
from timetracker.mail_faults import mail_fault
from timetracker.siteconf.models import SiteSettings

__all__ = ["PasswordByLink", "PasswordForgotten", "PasswordForgottenForm"]

logger = logging.getLogger(__name__)


class PasswordForgottenForm(PasswordResetForm):
    """Asks for an e-mail address. ``get_users`` MUST return those alone whom this entrance lets in, each once in a while."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Call the address what the login calls it."""
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "E-mail address"

    def send_mail(
        self,
        subject_template_name: str,
        email_template_name: str,
        context: dict[str, Any],
        from_email: str | None,
        to_email: str,
        html_email_template_name: str | None = None,
    ) -> None:
        """Send it, or log why not: the page says the same whether the address is known or not."""
        try:
            mail_send(email_template_name.removesuffix(".txt"), context, to=to_email)
        except OSError as error:
            logger.error("The mail for a new password to %s was not sent. %s", to_email, mail_fault(error))  # noqa: TRY400 - no trace needed
        except Exception:  # each mail backend has errors of its own
            logger.exception("The mail for a new password to %s was not sent.", to_email)


@method_decorator(never_cache, name="dispatch")
class PasswordForgotten(PasswordResetView):
    """Asks for the e-mail address; the answer is the same whether it is known or not."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Give the mail the site's address and name."""
        self.extra_email_context = {"address": site_address(self.request), "site": SiteSettings.load()}
        return super().form_valid(form)


class PasswordByLink(PasswordResetConfirmView):
    """Sets a password by a link, and logs its person in. ``get_user`` MUST return None for whom this entrance does not let in."""

    post_reset_login = True
    # There are several, and the link does not say by which one she has logged in.
    post_reset_login_backend = "django.contrib.auth.backends.ModelBackend"
