"""The ways in and out: login, logout, invitation, forgotten password, new password."""

# Django's form views take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from django.contrib.auth import views as auth_views
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.views.decorators.http import require_safe

from portal.access import client_page
from portal.forms import ForgottenForm, LoginForm
from portal.invitations import INVITATION_TOKENS, may_be_invited
from timetracker.accounts.models import User
from timetracker.accounts.password_links import PasswordByLink, PasswordForgotten

__all__ = ["Forgotten", "Invitation", "Login", "Logout", "NewPassword", "change_password", "forgotten_sent"]


class Login(auth_views.LoginView):
    """Shown also while the database is away."""

    template_name = "portal/login.html"
    authentication_form = LoginForm
    next_page = "portal:dashboard"


class Logout(auth_views.LogoutView):
    """Ends the session (POST)."""

    next_page = "portal:login"


class Forgotten(PasswordForgotten):
    """Sends a link to a new password."""

    template_name = "portal/forgotten.html"
    form_class = ForgottenForm
    subject_template_name = "portal/mail/forgotten_subject.txt"
    email_template_name = "portal/mail/forgotten.txt"
    success_url = reverse_lazy("portal:forgotten_sent")


@require_safe
def forgotten_sent(request: HttpRequest) -> HttpResponse:
    """Say that a mail may be on its way."""
    return render(request, "portal/forgotten_sent.html")


class NewPassword(PasswordByLink):
    """Sets a new password for a client's person, and logs her in."""

    template_name = "portal/new_password.html"
    success_url = reverse_lazy("portal:dashboard")

    def get_user(self, uidb64: str) -> User | None:
        """Return whom the link is for; no link leads to an account of the team or to one that is switched off."""
        user = super().get_user(uidb64)
        person = getattr(user, "client_person", None)
        return user if person is not None and may_be_invited(person) else None


class Invitation(NewPassword):
    """Sets the first password of an invited person, and logs her in."""

    token_generator = INVITATION_TOKENS
    extra_context = {"is_invitation": True}


class _ChangePassword(auth_views.PasswordChangeView):
    template_name = "portal/change_password.html"
    success_url = reverse_lazy("portal:account")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Say on the next page that it is done."""
        super().form_valid(form)
        return redirect(reverse("portal:account") + "?changed=1")


@client_page()
def change_password(request: HttpRequest) -> HttpResponseBase:
    """Ask for the old password and a new one; other sessions of the account end."""
    return _ChangePassword.as_view()(request)
