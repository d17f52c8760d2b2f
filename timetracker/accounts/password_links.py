"""Passwords by mail: a link to a new one, and the page that it leads to. The team's entrance and the portal's say for whom."""

# Django's form classes and views take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.views import PasswordResetConfirmView, PasswordResetView
from django.http import HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from timetracker.accounts.links import site_address
from timetracker.siteconf.models import SiteSettings

__all__ = ["PasswordByLink", "PasswordForgotten", "PasswordForgottenForm"]


class PasswordForgottenForm(PasswordResetForm):
    """Asks for an e-mail address. ``get_users`` MUST return those alone whom this entrance lets in, each once in a while."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Call the address what the login calls it."""
        super().__init__(*args, **kwargs)
        self.fields["email"].label = "E-mail address"


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
