"""Forms of invoices: what is wanted of the list, what a new one bills, and what is written on it."""

# Django's form classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator

from timetracker.billing.lines import Grouping
from timetracker.billing.models import Invoice, InvoiceItem, Payment
from timetracker.billing.totals import cents
from timetracker.billing.unbilled import UnbilledSums
from timetracker.careful_forms import CarefulForm, DayField, carry
from timetracker.clients.models import Client
from timetracker.lists import ListFilter
from timetracker.money import to_cents
from timetracker.tracking.models import Project

__all__ = ["DiscountForm", "DraftForm", "InvoiceFilter", "IssueForm", "LineForm", "MailForm", "NewInvoiceForm", "PaymentForm"]


class InvoiceFilter(ListFilter):
    """What of the invoices is wanted."""

    state = forms.ChoiceField(
        label="Show",
        required=False,
        choices=[
            ("", "All"),
            ("draft", "Drafts"),
            ("open", "Open"),
            ("overdue", "Overdue"),
            ("part", "Paid in part"),
            ("paid", "Paid"),
            ("cancelled", "Cancelled"),
        ],
    )
    since = DayField(label="From", required=False)
    until = DayField(label="To", required=False)
    client = forms.ModelChoiceField(Client.objects.order_by("name"), label="Client", required=False, empty_label="All clients")


class NewInvoiceForm(forms.Form):
    """What a new invoice bills. It is asked by GET, so that a preview has an address, and nothing is kept."""

    client = forms.ModelChoiceField(Client.objects.order_by("name"), label="Client", empty_label="Choose a client")
    since = DayField(label="From", required=False)
    until = DayField(label="To", required=False)
    grouping = forms.ChoiceField(label="One line for", choices=Grouping.choices, required=False)
    expenses = forms.ChoiceField(label="Expenses", choices=[("", "Bill them, too"), ("no", "Leave them")], required=False)
    currency = forms.ChoiceField(label="Currency", required=False)
    projects = forms.ModelMultipleChoiceField(
        Project.objects.none(), label="Projects", required=False, widget=forms.CheckboxSelectMultiple, help_text="None ticked: all."
    )

    def __init__(self, *args: Any, client: Client | None, sums: UnbilledSums, **kwargs: Any) -> None:
        """Offer the projects and the currencies of the client that is chosen."""
        super().__init__(*args, **kwargs | {"label_suffix": ""})
        if client is None:
            for name in [name for name in self.fields if name != "client"]:
                del self.fields[name]
            return
        projects = cast(forms.ModelMultipleChoiceField, self.fields["projects"])
        projects.queryset = Project.objects.filter(client=client, billable=True).order_by("code")
        codes = [unbilled.currency for unbilled in sums.by_currency]
        codes.sort(key=lambda code: code != client.currency)
        if len(codes) < 2:
            del self.fields["currency"]
        else:
            cast(forms.ChoiceField, self.fields["currency"]).choices = [(code, code) for code in codes]
        self.usual_currency = codes[0] if codes else client.currency

    def clean(self) -> dict[str, Any]:
        """Refuse days in the wrong order."""
        asked = super().clean() or self.cleaned_data
        since, until = asked.get("since"), asked.get("until")
        if since and until and until < since:
            self.add_error("until", ValidationError("The last day is before the first. Choose a later one.", code="days"))
        return asked

    def wanted(self) -> dict[str, Any]:
        """What a valid form asks for, as ``draft_make`` takes it."""
        asked = self.cleaned_data
        return {
            "since": asked.get("since"),
            "until": asked.get("until"),
            "projects": list(asked["projects"]) if asked.get("projects") else None,
            "grouping": Grouping(asked.get("grouping") or Grouping.PROJECT),
            "expenses": asked.get("expenses") != "no",
            "currency": asked.get("currency") or self.usual_currency,
        }


class DraftForm(CarefulForm):
    """What a draft says besides its lines."""

    issued_on = DayField(label="Date")
    due_on = DayField(label="Due")

    class Meta:
        model = Invoice
        fields = ("issued_on", "due_on", "tax_rate", "notes")
        labels = {"tax_rate": "Tax in percent"}
        widgets = {"notes": forms.Textarea(attrs={"rows": 3})}

    def clean(self) -> dict[str, Any]:
        """Say beside the field what the database would refuse."""
        asked = super().clean()
        _check_due(self, asked.get("issued_on"), asked.get("due_on"))
        return asked


class IssueForm(forms.Form):
    """The days of the invoice that a draft becomes. It carries how that was (``as_of``), and is refused once where it has changed."""

    issued_on = DayField(label="Date of the invoice")
    due_on = DayField(label="Due")
    as_of = forms.CharField(widget=forms.HiddenInput, required=False, max_length=120)

    def __init__(self, *args: Any, as_of: str, **kwargs: Any) -> None:
        """Carry how the draft is."""
        super().__init__(*args, **kwargs)
        self.is_now = self.initial["as_of"] = as_of

    def clean(self) -> dict[str, Any]:
        """Say beside the field what would be refused."""
        asked = super().clean() or self.cleaned_data
        _check_due(self, asked.get("issued_on"), asked.get("due_on"))
        if asked.get("as_of") not in ("", self.is_now):
            carry(self, "as_of", self.is_now)
            sentence = "The draft has changed since you opened this, so it is not issued. Look at it as it is now, and issue it then."
            self.add_error(None, ValidationError(sentence, code="changed"))
        return asked


def _check_due(form: forms.BaseForm, issued_on: date | None, due_on: date | None) -> None:
    if issued_on and due_on and due_on < issued_on:
        form.add_error("due_on", ValidationError("An invoice is not due before its date. Choose a later day.", code="due"))


class LineForm(CarefulForm):
    """A line of a draft."""

    class Meta:
        model = InvoiceItem
        fields = ("description", "quantity", "unit", "unit_price")
        labels = {"unit_price": "Price of one"}
        help_texts = {"unit": "Such as h or pcs.", "unit_price": "Below zero to take off."}


class DiscountForm(forms.Form):
    """So many percent off what the lines come to."""

    percent = forms.DecimalField(
        label="Discount in percent",
        max_digits=5,
        decimal_places=2,
        validators=[MinValueValidator(Decimal("0.01")), MaxValueValidator(100)],
        widget=forms.NumberInput(attrs={"step": "0.01", "min": "0.01", "max": "100"}),
    )

    def of(self, subtotal: Decimal) -> Decimal:
        """Return what a valid form takes off, to the cent."""
        return to_cents(subtotal * self.cleaned_data["percent"] / 100)


class PaymentForm(forms.ModelForm):
    """Money that was received. It carries what was ``paid`` when it was opened (cents), and is refused once where that has changed.

    So a button that is pressed twice, or a colleague with the same statement of the bank, saves a payment once.
    """

    paid_on = DayField(label="Day")
    paid_as_of = forms.CharField(widget=forms.HiddenInput, required=False, max_length=20)

    def __init__(self, *args: Any, paid: int, **kwargs: Any) -> None:
        """Carry what is paid."""
        super().__init__(*args, **kwargs)
        self.paid = paid
        self.initial["paid_as_of"] = str(paid)

    def clean(self) -> dict[str, Any]:
        """Refuse what may have been saved already."""
        asked = super().clean() or self.cleaned_data
        if asked.get("paid_as_of") not in ("", str(self.paid)):
            carry(self, "paid_as_of", str(self.paid))
            sentence = (
                f"Payments have changed since you opened this: {cents(self.paid):,.2f} is paid now. Nothing was saved. "
                "Look whether yours is among them; save again if it is not."
            )
            self.add_error(None, ValidationError(sentence, code="changed"))
        return asked

    class Meta:
        model = Payment
        fields = ("paid_on", "amount", "method", "reference")
        labels = {"method": "How"}
        help_texts = {"reference": "What the bank's statement says."}


class MailForm(forms.Form):
    """To whom an invoice goes, with which words. It carries when the ``last`` mail went, and is refused once where another went since."""

    mailed_as_of = forms.CharField(widget=forms.HiddenInput, required=False, max_length=40)
    to = forms.MultipleChoiceField(label="To whom", required=False, widget=forms.CheckboxSelectMultiple)
    more = forms.EmailField(label="Another address", required=False)
    words = forms.CharField(
        label="Message",
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 7}),
        help_text="The PDF goes with it, and the link to the portal where the client's portal shows invoices.",
    )

    def __init__(self, *args: Any, addresses: list[str], last: datetime | None, **kwargs: Any) -> None:
        """Offer the addresses that are known."""
        super().__init__(*args, **kwargs)
        self.last = last.isoformat() if last else "never"
        self.initial["mailed_as_of"] = self.last
        if addresses:
            cast(forms.MultipleChoiceField, self.fields["to"]).choices = [(address, address) for address in addresses]
        else:
            del self.fields["to"]
            self.fields["more"].label = "Address"

    def clean(self) -> dict[str, Any]:
        """Refuse to send it to nobody, and what may have been sent already."""
        asked = super().clean() or self.cleaned_data
        if asked.get("mailed_as_of") not in ("", self.last):
            carry(self, "mailed_as_of", self.last)
            self.add_error(None, ValidationError("It was sent since you opened this. Press again to send it once more.", code="changed"))
        if "more" in asked and not self.addresses(asked):
            self.add_error("more", ValidationError("Nobody would get it. Tick an address, or type one.", code="nobody"))
        return asked

    def addresses(self, asked: dict[str, Any]) -> list[str]:
        """Each address once."""
        return list(dict.fromkeys([*asked.get("to", []), *([asked["more"]] if asked.get("more") else [])]))
