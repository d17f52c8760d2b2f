"""Admin of the clients' people: their accounts, and invitations."""

# Django's admin and form classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from portal.invitations import invitation_link, invitation_send
from portal.models import ClientPerson
from timetracker.accounts.links import site_address
from timetracker.accounts.models import User
from timetracker.mail_faults import mail_fault
from timetracker.siteconf.models import SiteSettings
from timetracker.time_zones import validate_time_zone


class ClientPersonForm(forms.ModelForm):
    """A person of a client together with her account: the e-mail address is what she logs in with."""

    full_name = forms.CharField(max_length=150)
    email = forms.EmailField(max_length=150, label="E-mail address", help_text="She logs in with it, and invitations go there.")
    time_zone = forms.CharField(max_length=64, validators=[validate_time_zone], help_text="IANA name, such as Europe/Berlin.")
    is_active = forms.BooleanField(label="Active", required=False, initial=True, help_text="Off: she cannot log in, and is logged out.")

    class Meta:
        model = ClientPerson
        fields = ("client",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with the account's values, or for a new one with the site's time zone."""
        person = kwargs.get("instance")
        if person is not None:
            user = person.user
            own = {"full_name": user.full_name, "email": user.email, "time_zone": user.time_zone, "is_active": user.is_active}
        else:
            own = {"time_zone": SiteSettings.load().time_zone}
        kwargs["initial"] = own | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)

    def clean_email(self) -> str:
        """Write it in small letters; refuse one that another account logs in with."""
        email = str(self.cleaned_data["email"]).lower()
        User.username_validator(email)
        if User.objects.filter(username__iexact=email).exclude(pk=self.instance.user_id).exists():
            raise ValidationError("There is an account with this e-mail address already.", code="taken")
        return email

    def save_account(self) -> User:
        """Write the account and return it. A new one has no password until its person uses her invitation."""
        user = self.instance.user if self.instance.user_id is not None else User()
        if user.pk is None:
            user.set_unusable_password()
        asked = self.cleaned_data
        user.username = user.email = asked["email"]
        user.full_name, user.time_zone, user.is_active = asked["full_name"], asked["time_zone"], asked["is_active"]
        user.save()
        return user


@admin.register(ClientPerson)
class ClientPersonAdmin(admin.ModelAdmin):
    """People of clients; actions let them in."""

    form = ClientPersonForm
    list_display = ("full_name", "email", "client", "state", "last_login")
    list_filter = ("user__is_active", ("invited_at", admin.EmptyFieldListFilter))
    list_select_related = ("user", "client")
    search_fields = ("user__full_name", "user__email", "client__name")
    autocomplete_fields = ("client",)
    readonly_fields = ("invited_at", "last_login")
    fields = ("client", "full_name", "email", "time_zone", "is_active", "invited_at", "last_login")
    actions = ("send_invitations", "show_links")

    @admin.display(ordering="user__full_name", description="name")
    def full_name(self, person: ClientPerson) -> str:
        """Show the account's name."""
        return str(person.user)

    @admin.display(ordering="user__email", description="e-mail address")
    def email(self, person: ClientPerson) -> str:
        """Show the account's address."""
        return person.user.email

    @admin.display(ordering="invited_at")
    def state(self, person: ClientPerson) -> str:
        """Show how far she has come."""
        if not person.user.is_active:
            return "switched off"
        if person.user.has_usable_password():
            return "has a password"
        return "invited" if person.invited_at else "not invited yet"

    @admin.display(ordering="user__last_login", description="last login")
    def last_login(self, person: ClientPerson) -> Any:
        """Show when she was here last."""
        return person.user.last_login

    def save_model(self, request: HttpRequest, obj: ClientPerson, form: Any, change: bool) -> None:
        """Write the account and the person in one transaction."""
        with transaction.atomic():
            obj.user = form.save_account()
            super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: ClientPerson) -> None:
        """Delete the account with the person, unless the team uses it."""
        _delete_with_account(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ClientPerson]) -> None:
        """The same for several."""
        for person in queryset.select_related("user"):
            _delete_with_account(person)

    @admin.action(description="Send an invitation by e-mail", permissions=["change"])
    def send_invitations(self, request: HttpRequest, queryset: QuerySet[ClientPerson]) -> None:
        """Send each a link of one day; say who could not be reached."""
        sent = 0
        for person in queryset.select_related("user", "client"):
            try:
                invitation_send(person, address=site_address(request))
            except ValueError as error:
                self.message_user(request, f"No invitation was sent: {error}", messages.ERROR)
            except OSError as error:
                advice = "Until then hand the link over yourself: the action “Show a link to hand over”."
                self.message_user(request, f"The mail to {person.user.email} was not sent. {mail_fault(error)} {advice}", messages.ERROR)
            else:
                sent += 1
                self.log_change(request, person, "An invitation was sent.")
        if sent:
            people = "1 invitation" if sent == 1 else f"{sent} invitations"
            self.message_user(request, f"{people} sent. The link works once, for a day.", messages.SUCCESS)

    @admin.action(description="Show a link to hand over", permissions=["change"])
    def show_links(self, request: HttpRequest, queryset: QuerySet[ClientPerson]) -> None:
        """Show the link of each, for a site that sends no mail."""
        for person in queryset.select_related("user", "client"):
            try:
                link = invitation_link(person, address=site_address(request))
            except ValueError as error:
                self.message_user(request, f"There is no link: {error}", messages.ERROR)
            else:
                self.log_change(request, person, "A link was shown.")
                text = format_html("{}, once and for a day: {}", person, link)
                self.message_user(request, text, messages.SUCCESS)


def _delete_with_account(person: ClientPerson) -> None:
    user = person.user
    if user.is_team:
        person.delete()
    else:
        user.delete()
