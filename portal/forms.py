"""Forms of the portal."""

# Django's form classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from zoneinfo import ZoneInfo

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from portal.figures import BILLED, FREE, TO_BILL, people_of, projects_of, with_standing
from timetracker.accounts.links import is_first_mail
from timetracker.accounts.models import User
from timetracker.accounts.password_links import PasswordForgottenForm
from timetracker.careful_forms import DayField
from timetracker.clients.models import Client
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.sums import starting_on

__all__ = ["ForgottenForm", "LoginForm", "TimeFilter"]


class LoginForm(AuthenticationForm):
    """The e-mail address is the name; capital letters make no difference."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ask for an e-mail address, as phones know it."""
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail address"
        self.fields["username"].widget = forms.EmailInput(attrs={"autofocus": True, "autocomplete": "username", "maxlength": 150})
        self.error_messages = self.error_messages | {
            "invalid_login": "This e-mail address and this password do not go together. Mind capital letters in the password.",
            "team": "This is the clients' entrance. The team has one of its own: /login/.",
        }

    def clean_username(self) -> str:
        """Write it as accounts do."""
        return str(self.cleaned_data["username"]).lower()

    def confirm_login_allowed(self, user: User) -> None:
        """Let in whoever works for a client."""
        super().confirm_login_allowed(user)
        if user.is_team or not hasattr(user, "client_person"):
            raise ValidationError(self.error_messages["team"], code="team")


class ForgottenForm(PasswordForgottenForm):
    """Sends a link to a new password to a client's person, also to one who has not used her invitation."""

    def get_users(self, email: str) -> Iterable[User]:
        """Return whom the address belongs to, once in five minutes. The team's passwords are not to be had here."""
        found = User.objects.filter(
            email__iexact=email, is_active=True, is_staff=False, is_superuser=False, client_person__invited_at__isnull=False
        )
        return [user for user in found if is_first_mail(user, kind="portal.forgotten")]


class TimeFilter(forms.Form):
    """Which time entries: of a project, a person, from a day, to a day (inclusive, in the reader's time zone), billed or not."""

    project = forms.ModelChoiceField(queryset=Project.objects.none(), required=False, empty_label="All projects")
    person = forms.ModelChoiceField(queryset=User.objects.none(), required=False, empty_label="Everybody")
    standing = forms.ChoiceField(
        label="Billing",
        required=False,
        choices=[("", "All"), (BILLED, "Billed"), (TO_BILL, "Not billed yet"), (FREE, "Not charged")],
    )
    since = DayField(label="From", required=False)
    until = DayField(label="To", required=False)

    def __init__(self, *args: Any, client: Client, **kwargs: Any) -> None:
        """Offer what the client may know: its own projects, and who works for it."""
        super().__init__(*args, **kwargs | {"label_suffix": ""})
        self.client = client
        cast(forms.ModelChoiceField, self.fields["project"]).queryset = projects_of(client)
        cast(forms.ModelChoiceField, self.fields["person"]).queryset = people_of(client)
        if not client.portal_shows_people:
            del self.fields["person"]
        if not client.portal_shows_unbilled:
            del self.fields["standing"]

    def clean(self) -> dict[str, Any]:
        """Refuse an end before the beginning."""
        cleaned = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", "This day is before the first one.")
        return cleaned

    @property
    def names_what_is_not_there(self) -> bool:
        """Whether it asks for a project or a person that is not the client's."""
        return "project" in self.errors or "person" in self.errors

    def chosen(self, entries: QuerySet[TimeEntry], *, zone: ZoneInfo) -> QuerySet[TimeEntry]:
        """Return those of the client's ``entries`` that a valid form asks for."""
        asked = self.cleaned_data
        if asked["project"]:
            entries = entries.filter(project=asked["project"])
        if asked.get("person"):
            entries = entries.filter(user=asked["person"])
        if asked.get("standing"):
            entries = with_standing(entries, self.client).filter(standing=asked["standing"])
        return starting_on(entries, asked["since"], asked["until"], zone=zone)
