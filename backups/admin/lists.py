"""What the lists of this app have in common."""

from __future__ import annotations

from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest

__all__ = ["CountedOnce"]


class CountedOnce(ChangeList):
    """A list that asks once how many there are, and knows so that all are shown where nothing is left out."""

    def get_results(self, request: HttpRequest) -> None:
        """As ever, with the one count for both numbers where they are the same."""
        super().get_results(request)
        if not self.has_active_filters and not self.query:
            self.full_result_count = self.result_count
