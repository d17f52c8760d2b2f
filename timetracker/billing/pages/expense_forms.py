"""Forms of expenses."""

# Django's form classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q

from timetracker.accounts.models import User
from timetracker.accounts.roles import MONEY, team
from timetracker.attachments import PICTURES, RECEIPT_MEGABYTES, AttachmentField, attachment_followed
from timetracker.billing.models import Expense
from timetracker.careful_forms import CarefulForm, CurrencyField, DayField
from timetracker.clients.models import Client
from timetracker.lists import ListFilter
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.days import today_in, zone_of
from timetracker.tracking.models import TAKES_TIME, Project

__all__ = ["ExpenseFilter", "ExpenseForm"]


class ExpenseFilter(ListFilter):
    """What of the expenses is wanted. Who sees her own alone is not asked whose."""

    state = forms.ChoiceField(
        label="Show",
        required=False,
        choices=[
            ("", "All"),
            ("open", "To be billed"),
            ("billed", "On an invoice"),
            ("own", "Not billable"),
            ("bare", "Without a receipt"),
        ],
    )
    since = DayField(label="From", required=False)
    until = DayField(label="To", required=False)
    person = forms.ModelChoiceField(team().prefetch_related(None), label="Person", required=False, empty_label="Everybody")
    client = forms.ModelChoiceField(Client.objects.all(), required=False, widget=forms.HiddenInput)
    project = forms.ModelChoiceField(Project.objects.all(), required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Ask whose alone of who sees everybody's."""
        super().__init__(*args, **kwargs)
        if not user.has_perm(MONEY):
            del self.fields["person"]


class ExpenseForm(CarefulForm):
    """An expense. Who sees everybody's may enter one for somebody else."""

    spent_on = DayField(label="Day")
    currency = CurrencyField(label="Currency")
    receipt = AttachmentField(label="Receipt", endings=PICTURES, megabytes=RECEIPT_MEGABYTES, required=False)
    without_receipt = forms.BooleanField(label="Remove the receipt that is there", required=False)
    field_order = ("spent_on", "description", "amount", "currency", "category", "project", "billable", "receipt", "without_receipt", "user")

    class Meta:
        model = Expense
        fields = ("spent_on", "description", "amount", "currency", "category", "project", "billable", "receipt", "user")
        labels = {"description": "What for", "billable": "The client pays it (billable)", "user": "Whose expense"}
        help_texts = {"project": "Empty: of no project."}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Begin a new one today, in the site's currency, as her own."""
        super().__init__(*args, **kwargs)
        expense: Expense = self.instance
        self.had_receipt = bool(expense.receipt)
        if expense.pk is None:
            expense.user = user
            self.fields["description"].widget.attrs["autofocus"] = True
            self.initial |= {"spent_on": today_in(zone_of(user)), "currency": SiteSettings.load().currency, "user": user.pk} | (
                kwargs.get("initial") or {}
            )
        if user.has_perm(MONEY):
            people = team().filter(Q(is_active=True) | Q(pk=expense.user_id)).prefetch_related(None)
            cast(forms.ModelChoiceField, self.fields["user"]).queryset = people
        else:
            del self.fields["user"]
        takes = TAKES_TIME | Q(pk=expense.project_id)
        project = cast(forms.ModelChoiceField, self.fields["project"])
        project.queryset = Project.objects.filter(takes).order_by("code")
        project.empty_label = "–"
        if self.had_receipt:
            self.fields["receipt"].label = "Another receipt in its place"
        else:
            del self.fields["without_receipt"]

    def clean(self) -> dict[str, Any]:
        """Refuse what does not go together."""
        asked = super().clean() or self.cleaned_data
        if asked.get("billable") and "project" in asked and asked["project"] is None:
            sentence = "A billable expense needs a project. Choose one, or untick billable."
            self.add_error("project", ValidationError(sentence, code="project"))
        if asked.get("without_receipt") and "receipt" in asked:
            if "receipt" in self.changed_data:
                sentence = "Either choose another receipt, or remove the one that is there."
                self.add_error("without_receipt", ValidationError(sentence, code="both"))
            else:
                asked["receipt"] = False
        return asked

    def save(self, commit: bool = True) -> Expense:
        """Write the row; a receipt that it does not name any more goes."""
        with attachment_followed(self.instance, "receipt"):
            expense: Expense = super().save()
        return expense
