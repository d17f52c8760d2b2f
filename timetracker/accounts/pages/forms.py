"""Forms of the ways in, the account and the team."""

# Django's form classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from timetracker.accounts.links import is_first_mail
from timetracker.accounts.models import User
from timetracker.accounts.password_links import PasswordForgottenForm
from timetracker.accounts.roles import Role, may_change, role_give, role_of, roles_to_give
from timetracker.siteconf.models import SiteSettings
from timetracker.time_zones import time_zone_names

__all__ = ["AccountForm", "ForgottenForm", "InvitationForm", "LoginForm", "MemberForm"]


class LoginForm(AuthenticationForm):
    """The username or, where one account alone has it, the e-mail address."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin in the first field."""
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "Username or e-mail address"
        self.error_messages = self.error_messages | {
            "invalid_login": "This name and this password do not go together. Mind capital letters in the password.",
        }

    def clean_username(self) -> str:
        """Return the username of the account that is meant."""
        name = str(self.cleaned_data["username"])
        if "@" not in name or User.objects.filter(username=name).exists():
            return name
        found = User.objects.filter(email__iexact=name, is_active=True).values_list("username", flat=True)[:2]
        # Accounts that are named after their address have it in small letters.
        return found[0] if len(found) == 1 else name.lower()


class ForgottenForm(PasswordForgottenForm):
    """Sends a link to a new password to somebody of the team who has one."""

    def get_users(self, email: str) -> Iterable[User]:
        """Return whom the address belongs to, once in five minutes."""
        found = User.objects.filter(email__iexact=email, is_active=True)
        return [user for user in found if user.is_team and user.has_usable_password() and is_first_mail(user, kind="staff.forgotten")]


class AccountForm(forms.ModelForm):
    """What a person may change of her own account."""

    full_name = forms.CharField(label="Name", max_length=150, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    time_zone = forms.ChoiceField(label="Time zone", help_text="Days and weeks begin at midnight there.")

    class Meta:
        model = User
        fields = ("full_name", "time_zone")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer the time zones that the system knows, the one that she has among them."""
        super().__init__(*args, **kwargs)
        names = sorted(time_zone_names() | {self.instance.time_zone})
        cast(forms.ChoiceField, self.fields["time_zone"]).choices = [(name, name.replace("_", " ")) for name in names]

    def save(self, commit: bool = True) -> User:
        """Write these two and nothing else: that she was switched off meanwhile stays."""
        user: User = self.instance
        user.save(update_fields=self.Meta.fields)
        return user


class _RoleForm(forms.ModelForm):
    """A role, of those that ``giver`` may give."""

    role = forms.ChoiceField(widget=forms.RadioSelect)
    weekly_hours = forms.DecimalField(
        label="Hours a week", required=False, min_value=0, max_value=168, max_digits=5, decimal_places=2, help_text="Empty: none agreed."
    )

    def __init__(self, *args: Any, giver: User, **kwargs: Any) -> None:
        """Offer what the giver may give."""
        super().__init__(*args, **kwargs)
        self.giver = giver
        cast(forms.ChoiceField, self.fields["role"]).choices = [(role.value, role.label) for role in roles_to_give(giver)]


class InvitationForm(_RoleForm):
    """A new account of the team. Her e-mail address is what she logs in with."""

    full_name = forms.CharField(label="Name", max_length=150)
    email = forms.EmailField(label="E-mail address", max_length=150, help_text="She logs in with it, and the invitation goes there.")

    field_order = ("full_name", "email", "role", "weekly_hours")

    class Meta:
        model = User
        fields = ("full_name", "email", "weekly_hours")

    def clean_email(self) -> str:
        """Write it in small letters; refuse one that an account has already, as a name or as its address."""
        email = str(self.cleaned_data["email"]).lower()
        validate_email(email)
        User.username_validator(email)
        if User.objects.filter(username__iexact=email).exists() or User.objects.filter(email__iexact=email).exists():
            raise ValidationError("There is an account with this e-mail address already.", code="taken")
        return email

    def save(self, commit: bool = True) -> User:
        """Make the account, without a password until its person uses her invitation."""
        user: User = self.instance
        user.username = user.email = self.cleaned_data["email"]
        user.is_staff = True
        user.time_zone = SiteSettings.load().time_zone
        user.set_unusable_password()
        with transaction.atomic():
            user.save()
            role_give(user, Role(self.cleaned_data["role"]))
        return user


class MemberForm(_RoleForm):
    """Role, agreed hours and access of somebody of the team. A role that the giver could not give stays as it is."""

    is_active = forms.BooleanField(label="May log in", required=False, help_text="Off: she is logged out everywhere. Her time stays.")

    class Meta:
        model = User
        fields = ("weekly_hours", "is_active")

    field_order = ("role", "weekly_hours", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with the role that she has."""
        super().__init__(*args, **kwargs)
        role = role_of(self.instance)
        self.fields["role"].initial = role.value if role else None
        # An administrator needs none.
        self.fields["role"].required = not self.instance.is_superuser

    def clean(self) -> dict[str, Any]:
        """Refuse what the giver may not do, whatever the page has shown."""
        cleaned = super().clean() or self.cleaned_data
        if not may_change(self.giver, self.instance):
            raise ValidationError("You may not change this account: it is your own, or it may do more than you.", code="rights")
        return cleaned

    def save(self, commit: bool = True) -> User:
        """Write the role, the hours and the access, and nothing else: a password that she has set meanwhile stays."""
        user: User = self.instance
        with transaction.atomic():
            user.save(update_fields=self.Meta.fields)
            if self.cleaned_data["role"]:
                role_give(user, Role(self.cleaned_data["role"]))
        return user
