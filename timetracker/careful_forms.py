"""Forms that write over nobody's work, and the fields that several of them have."""

# Django's form classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import IntegrityError, models, transaction
from django.db.models import QuerySet
from django.http import HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django_htmx.http import HttpResponseClientRedirect

from timetracker.accounts.access import TeamRequest
from timetracker.money import validate_currency

__all__ = ["FIRST_DAY", "LAST_DAY", "CarefulForm", "CurrencyField", "DayField", "carry", "form_saved", "go_on", "row_to_change"]

logger = logging.getLogger(__name__)

# Every time zone and database can count with them.
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)
_SHOWN = 80


class CarefulForm(forms.ModelForm):
    """A form that carries when its row was last changed (``updated_at``) and refuses to write where that is not so any more.

    Give it a row that is locked. A refused form says what the row holds now, and keeps what was typed; sent once more, it writes.
    """

    as_of = forms.CharField(widget=forms.HiddenInput, required=False, max_length=40)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Carry the row's last change."""
        super().__init__(*args, **kwargs)
        self.initial["as_of"] = self._last_change()

    def full_clean(self) -> None:
        """Let a form that is refused begin at the first field that is wrong."""
        super().full_clean()
        wrong = next((name for name in self.fields if name in self.errors), None)
        if wrong is not None:
            for name, field in self.fields.items():
                field.widget.attrs.pop("autofocus", None)
                if name == wrong:
                    field.widget.attrs["autofocus"] = True

    def clean(self) -> dict[str, Any]:
        """Refuse what somebody has changed meanwhile."""
        asked = super().clean() or self.cleaned_data
        if self.instance.pk is not None and asked.get("as_of") != self._last_change():
            differing = [name for name in self.changed_data if name != "as_of" and not isinstance(self.fields[name], forms.FileField)]
            carry(self, "as_of", self._last_change())
            sentences = ["Somebody has changed this since you opened it, so nothing was saved. Yours is still here; save again to keep it."]
            sentences += [f"{self.fields[name].label}: now “{self._now(name)}”, unlike yours." for name in differing]
            self.add_error(None, ValidationError([ValidationError(sentence, code="changed") for sentence in sentences]))
        return asked

    def _last_change(self) -> str:
        return self.instance.updated_at.isoformat() if self.instance.pk is not None else ""

    def _now(self, name: str) -> str:
        """What the row holds, as people read it."""
        value, field = self.initial.get(name), self.fields[name]
        if isinstance(field, forms.BooleanField):
            return "yes" if value else "no"
        if isinstance(field, forms.ChoiceField):
            for key, words in cast(Iterable[tuple[Any, str]], field.choices):
                if str(key) == str(value or ""):
                    return str(words)
        text = "nothing" if value in (None, "") else str(value)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def carry(form: forms.BaseForm, name: str, value: str) -> None:
    """Let a form that was sent carry another value in a hidden field when it is shown again."""
    form.data = cast(QueryDict, form.data).copy()
    form.data[form.add_prefix(name)] = value


class DayField(forms.DateField):
    """A day from :data:`FIRST_DAY` to :data:`LAST_DAY`, as browsers send it (ISO 8601)."""

    def __init__(self, **options: Any) -> None:
        """Ask for one."""
        sentence = "Choose a day between 2000 and 2100."
        super().__init__(
            input_formats=["%Y-%m-%d"],
            validators=[MinValueValidator(FIRST_DAY, sentence), MaxValueValidator(LAST_DAY, sentence)],
            error_messages={"invalid": "Enter a valid date. Write it as in 2025-03-31.", "required": "Choose a day."},
            widget=forms.DateInput(attrs={"type": "date", "min": f"{FIRST_DAY}", "max": f"{LAST_DAY}"}),
            **options,
        )

    def prepare_value(self, value: Any) -> Any:
        """Write a date as browsers do; what was typed stays as it is."""
        return value.isoformat() if isinstance(value, date) else value


class CurrencyField(forms.CharField):
    """A code of ISO 4217, typed in any case."""

    def __init__(self, **options: Any) -> None:
        """Show a short field."""
        attrs = {"autocapitalize": "characters", "autocomplete": "off", "spellcheck": "false", "size": 4}
        super().__init__(min_length=3, max_length=3, validators=[validate_currency], widget=forms.TextInput(attrs=attrs), **options)

    def to_python(self, value: Any) -> str:
        """Write it in capitals."""
        return str(super().to_python(value)).upper()


@contextmanager
def row_to_change(request: TeamRequest, rows: QuerySet[Any], pk: int) -> Iterator[Any]:
    """Yield the row; where the request changes it (POST) nobody else can until the block ends. Raises Http404."""
    if request.method != "POST":
        yield get_object_or_404(rows, pk=pk)
        return
    with transaction.atomic():
        # Not what comes with it: PostgreSQL locks no row that an outer join may not find.
        yield get_object_or_404(rows.select_for_update(of=("self",)), pk=pk)


def form_saved(form: forms.ModelForm) -> models.Model | None:
    """Write the row of a valid form; None where the database or the storage refused it, and the form says so."""
    try:
        with transaction.atomic():
            saved: models.Model = form.save()
            return saved
    except IntegrityError:
        # What the form looked for has come in between: another row of this name, or what was chosen is gone.
        sentence = "Somebody saved something at this moment that is in the way of this. Look, and save again."
        form.add_error(None, ValidationError(sentence, code="race"))
    except OSError as error:
        logger.error("A file that was sent cannot be kept: %s", error)
        sentence = (
            f"The file cannot be kept ({error.strerror or error}), so nothing was saved. Tell whoever runs this site, and save again."
        )
        form.add_error(None, ValidationError(sentence, code="storage"))
    return None


def go_on(request: TeamRequest, to: str) -> HttpResponseBase:
    """Lead to a page after a change; htmx, which has sent the form, is told to go there."""
    return HttpResponseClientRedirect(to) if request.htmx else redirect(to)
