"""Lists of rows: what is searched for, in which state, and page by page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

__all__ = ["ListFilter", "asked_of", "id_of", "page_of"]

ROWS_PER_PAGE = 50


class ListFilter(forms.Form):
    """What of a list is wanted: words to look for, and those in use, those that are archived, or all."""

    q = forms.CharField(
        label="Search",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "data-key": "/", "autocomplete": "off"}),
    )
    state = forms.ChoiceField(label="Show", required=False, choices=[("", "Active"), ("archived", "Archived"), ("all", "All")])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Label fields as a row of them does."""
        super().__init__(*args, **kwargs | {"label_suffix": ""})

    def wanted(self, name: str) -> Any:
        """What is asked for; None where it is not, or makes no sense, which the form says beside the field."""
        self.is_valid()
        return self.cleaned_data.get(name) or None


def page_of(request: HttpRequest, rows: QuerySet[Any], *, per_page: int = ROWS_PER_PAGE) -> Page[Any]:
    """Return the page that is asked for; where there is none of this number, the nearest."""
    return Paginator(rows, per_page).get_page(request.GET.get("page"))


def asked_of(request: HttpRequest) -> str:
    """Return what is asked for besides the page, for the links to the other pages."""
    asked = request.GET.copy()
    asked.pop("page", None)
    return asked.urlencode()


def id_of(text: str | None) -> int | None:
    """Return the id that ``text`` writes; None where it writes none."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 18 else None
