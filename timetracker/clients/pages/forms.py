"""Forms of clients and their documents."""

# Django's form classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Value
from django.db.models.functions import Lower

from timetracker.accounts.models import User
from timetracker.accounts.roles import MONEY
from timetracker.attachments import DOCUMENT_MEGABYTES, PAPERS, AttachmentField, attachment_followed
from timetracker.careful_forms import CarefulForm, CurrencyField
from timetracker.clients.models import PORTAL_SWITCHES, Client, Document
from timetracker.siteconf.models import SiteSettings

__all__ = ["ClientForm", "DocumentForm"]


class ClientForm(CarefulForm):
    """A client. Rate and currency are for those alone who may see money."""

    currency = CurrencyField(label="Currency", help_text="Of its rates and invoices. Amounts that are there already are not converted.")

    class Meta:
        model = Client
        fields = (
            "name",
            "contact_name",
            "email",
            "phone",
            "address",
            "currency",
            "default_rate",
            *PORTAL_SWITCHES,
            "notes",
        )
        labels = {
            "contact_name": "Contact",
            "email": "E-mail address",
            "default_rate": "Rate per hour",
            "portal_enabled": "The client may use the portal",
            "portal_shows_time": "The portal shows time",
            "portal_shows_invoices": "The portal shows invoices",
            "portal_shows_documents": "The portal shows documents that are released",
            "portal_shows_people": "The portal shows who has worked",
            "portal_shows_notes": "The portal shows the notes of time entries",
            "portal_shows_unbilled": "The portal shows time before it is billed",
            "portal_shows_amounts": "The portal shows amounts",
        }
        help_texts = {
            "portal_enabled": "",
            "portal_shows_people": "",
            "portal_shows_notes": "",
            "default_rate": "Used where the project has no rate.",
        }
        widgets = {"address": forms.Textarea(attrs={"rows": 3}), "notes": forms.Textarea(attrs={"rows": 4})}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Begin a new client with the site's currency."""
        super().__init__(*args, **kwargs)
        if not user.has_perm(MONEY):
            del self.fields["currency"], self.fields["default_rate"]
        if self.instance.pk is None:
            self.fields["name"].widget.attrs["autofocus"] = True
            self.initial["currency"] = self.instance.currency = SiteSettings.load().currency

    def clean_name(self) -> str:
        """Refuse a name that another client has."""
        name = str(self.cleaned_data["name"])
        same = Client.objects.annotate(lower_name=Lower("name")).filter(lower_name=Lower(Value(name))).exclude(pk=self.instance.pk).first()
        if same is not None:
            state = "" if same.active else ", archived"
            raise ValidationError(f"There is a client of this name already: {same}{state}. Choose another name.", code="taken")
        return name


class DocumentForm(forms.ModelForm):
    """A file for a client. Another one takes the place of the one that is there."""

    title = forms.CharField(label="Title", max_length=200, required=False, help_text="Empty: the name of the file.")
    file = AttachmentField(label="File", endings=PAPERS, megabytes=DOCUMENT_MEGABYTES)
    field_order = ("file", "title", "visible_to_client")

    class Meta:
        model = Document
        fields = ("title", "file", "visible_to_client")
        labels = {"visible_to_client": "The client may see it in the portal"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Ask for a file where there is none, and else for another one."""
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.fields["file"].label = "Another file in its place"
            self.fields["file"].required = False

    def clean(self) -> dict[str, Any]:
        """Call a document without a title like its file."""
        asked = super().clean() or self.cleaned_data
        if not asked.get("title") and asked.get("file"):
            asked["title"] = PurePosixPath(str(asked["file"].name)).stem[:200] or "Document"
        return asked

    def save(self, commit: bool = True) -> Document:
        """Write the row; the file that it had before goes with the row that named it."""
        with attachment_followed(self.instance, "file"):
            document: Document = super().save()
        return document
