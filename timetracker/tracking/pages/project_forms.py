"""Forms of projects, their tasks, and the rates of people on them."""

# Django's form classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.db.models import Q
from django.utils.text import get_text_list

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES, MONEY, team
from timetracker.careful_forms import CarefulForm, DayField
from timetracker.clients.models import Client
from timetracker.deletion import uses_of
from timetracker.lists import ListFilter
from timetracker.tracking.models import Project, Task

__all__ = ["ProjectFilter", "ProjectForm", "RateForm", "TaskForm"]


class ProjectFilter(ListFilter):
    """What of the projects is wanted; also those of one client."""

    client = forms.ModelChoiceField(Client.objects.all(), required=False, widget=forms.HiddenInput)


class ProjectForm(CarefulForm):
    """A project. Its rate is for those alone who may see money; a project that was used stays with its client."""

    class Meta:
        model = Project
        fields = ("client", "name", "code", "status", "billable", "hourly_rate", "budget_hours", "colour", "notes")
        labels = {"hourly_rate": "Rate per hour", "budget_hours": "Budget in hours", "billable": "Its time is billable"}
        help_texts = {"hourly_rate": "In the client's currency. Empty: the client's rate.", "budget_hours": "Empty: no budget."}
        widgets = {"colour": forms.TextInput(attrs={"type": "color"}), "notes": forms.Textarea(attrs={"rows": 4})}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        """Offer the clients that are active, and the one that it has."""
        super().__init__(*args, **kwargs)
        if not user.has_perm(MONEY):
            del self.fields["hourly_rate"]
        if self.instance.pk is None:
            self.fields["name" if self.initial.get("client") else "client"].widget.attrs["autofocus"] = True
        client = cast(forms.ModelChoiceField, self.fields["client"])
        client.queryset = Client.objects.filter(Q(active=True) | Q(pk=self.instance.client_id)).order_by("name")
        if self.instance.pk is not None and (uses := uses_of(self.instance)):
            # Its time would be another client's, at other rates, and in another portal.
            client.disabled = True
            client.help_text = f"It has {get_text_list(uses, 'and')}, so it stays with this client."
        is_archived = self.instance.status == Project.Status.CLOSED
        status = cast(forms.ChoiceField, self.fields["status"])
        status.choices = [
            (Project.Status.ACTIVE.value, "Active"),
            (Project.Status.PAUSED.value, "Paused: takes no new time"),
            *([(Project.Status.CLOSED.value, "Archived: leaves the lists")] if is_archived else []),
        ]

    def clean_colour(self) -> str:
        """Write it in small letters."""
        return str(self.cleaned_data["colour"]).lower()


class TaskForm(forms.ModelForm):
    """A task of a project; ``brief``: its name alone. Who sees neither the team nor its time gives it to herself alone."""

    due_on = DayField(label="Due", required=False)

    class Meta:
        model = Task
        fields = ("name", "assignee", "estimate_hours", "due_on")
        labels = {"name": "Task", "assignee": "Who", "estimate_hours": "Estimate in hours"}

    def __init__(self, *args: Any, user: User, brief: bool = False, **kwargs: Any) -> None:
        """Offer those whom she knows of, and whoever has the task."""
        super().__init__(*args, **kwargs)
        if brief:
            self.fields = {"name": self.fields["name"]}
            return
        self.fields["name"].widget.attrs["autofocus"] = True
        known = Q(is_active=True) if user.has_perm("accounts.view_user") or user.has_perm(ALL_ENTRIES) else Q(pk=user.pk)
        people = team().filter(known | Q(pk=self.instance.assignee_id)).prefetch_related(None)
        cast(forms.ModelChoiceField, self.fields["assignee"]).queryset = people


class RateForm(forms.Form):
    """The rate of a person on a project; it takes the place of the one that she has there."""

    user = forms.ModelChoiceField(team().filter(is_active=True).prefetch_related(None), label="Person")
    hourly_rate = forms.DecimalField(label="Rate per hour", min_value=0, max_digits=12, decimal_places=2)
