"""What the lists of this app have in common."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from backups.pages.reader import in_readers_zone

__all__ = ["CountedOnce", "ListAdmin"]


class CountedOnce(ChangeList):
    """A list that asks once how many there are, and knows so that all are shown where nothing is left out."""

    def get_results(self, request: HttpRequest) -> None:
        """As ever, with the one count for both numbers where they are the same."""
        super().get_results(request)
        if not self.has_active_filters and not self.query:
            self.full_result_count = self.result_count


class ListAdmin(admin.ModelAdmin):
    """A list whose columns are made for each request, since their heads name the reader's time zone; the first leads to the row."""

    list_per_page = 50
    # One more query for a number that the list says anyway.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def get_sortable_by(self, request: HttpRequest) -> None:  # type: ignore[override]  # None is what Django begins with
        """Every column that has an order: they are made for each request, so no list could name them."""

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> list[Any]:
        """When it was leads to its page."""
        return [list_display[0]]

    def in_readers_zone(self, request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
        """What ``answer`` returns, made and rendered in the reader's time zone."""
        with in_readers_zone(request):
            response = answer()
            return response.render() if isinstance(response, TemplateResponse) else response
