"""Sums of so many entries that they would hold up a page: it comes at once, and they follow.

The page shows ``staff/sums_later.html`` in their place (Entries a line of its own): htmx asks for the page with the sums as soon as
it is there, and takes the element that holds them from it. Without JavaScript a link leads there.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

__all__ = ["SUMS", "sums_address", "sums_follow"]

# The parameter of the address that adds up however much there is, when it says "yes".
SUMS = "sums"


def sums_follow(request: HttpRequest, entries: QuerySet[Any], *, most: int) -> bool:
    """Whether there are more than ``most`` entries, and the address does not ask for their sums. One query: it stops counting there."""
    return request.GET.get(SUMS) != "yes" and entries.order_by()[: most + 1].count() > most


def sums_address(request: HttpRequest) -> str:
    """Return the address of this page with its sums."""
    asked = request.GET.copy()
    asked[SUMS] = "yes"
    return f"?{asked.urlencode()}"
