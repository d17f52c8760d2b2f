"""The team's ways in and out: login, logout, invitation, forgotten password, new password."""

# Django's form views take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.forms import PasswordChangeForm
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse, reverse_lazy
from django.views.decorators.http import require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.invitations import TEAM_TOKENS, may_be_invited
from timetracker.accounts.models import User
from timetracker.accounts.pages.forms import ForgottenForm, LoginForm
from timetracker.accounts.password_links import PasswordByLink, PasswordForgotten

__all__ = ["Forgotten", "Invitation", "Login", "Logout", "NewPassword", "change_password", "forgotten_sent"]


class Login(auth_views.LoginView):
    """Shown without a query: also while the database is away. A client's person comes out in the portal."""

    template_name = "staff/login.html"
    authentication_form = LoginForm

    def get_success_url(self) -> str:
        """Where the team wanted to go, else Today."""
        if not self.request.user.is_team:  # type: ignore[union-attr]  # she has just logged in
            return reverse("portal:dashboard")
        return self.get_redirect_url() or reverse("staff:today")


class Logout(auth_views.LogoutView):
    """Ends the session (POST)."""

    next_page = "staff:login"


class Forgotten(PasswordForgotten):
    """Sends a link to a new password."""

    template_name = "staff/forgotten.html"
    form_class = ForgottenForm
    subject_template_name = "staff/mail/forgotten_subject.txt"
    email_template_name = "staff/mail/forgotten.txt"
    success_url = reverse_lazy("staff:forgotten_sent")


@require_safe
def forgotten_sent(request: HttpRequest) -> HttpResponse:
    """Say that a mail may be on its way."""
    return render(request, "staff/forgotten_sent.html")


class NewPassword(PasswordByLink):
    """Sets a new password for somebody of the team, and logs her in."""

    template_name = "staff/new_password.html"
    success_url = reverse_lazy("staff:today")

    def get_user(self, uidb64: str) -> User | None:
        """Return whom the link is for: nobody who is switched off, and no client's person."""
        user = super().get_user(uidb64)
        return user if isinstance(user, User) and user.is_active and user.is_team else None


class Invitation(NewPassword):
    """Sets the first password of an invited person, and logs her in."""

    token_generator = TEAM_TOKENS
    extra_context = {"is_invitation": True}

    def get_user(self, uidb64: str) -> User | None:
        """Return whom the link is for, as long as she has no password."""
        user = super().get_user(uidb64)
        return user if user is not None and may_be_invited(user) else None


class _ChangePassword(auth_views.PasswordChangeView):
    template_name = "staff/change_password.html"
    success_url = reverse_lazy("staff:account")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Say on the next page that it is done."""
        answer = super().form_valid(form)
        messages.success(self.request, "Your password is changed. Everywhere else you are logged out.")
        return answer


@team_page()
def change_password(request: TeamRequest) -> HttpResponseBase:
    """Ask for the old password and a new one; other sessions of the account end."""
    return _ChangePassword.as_view(extra_context={"active": "account"})(request)
