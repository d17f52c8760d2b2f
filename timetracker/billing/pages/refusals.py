"""What becomes of a change that an invoice does not take: it is said on the invoice's page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import HttpResponseBase
from django.urls import reverse

from timetracker.accounts.access import TeamRequest
from timetracker.billing.fixed import InvoiceRefused
from timetracker.careful_forms import go_on

__all__ = ["invoice_address", "refusals_said"]


def invoice_address(pk: int) -> str:
    """Return the address of the invoice's page."""
    return reverse("staff:invoice", args=[pk])


def refusals_said(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let ``view``, whose first key is that of an invoice, raise InvoiceRefused: that is said on the invoice's page, as it stands then."""

    @wraps(view)
    def page(request: TeamRequest, pk: int, *args: Any, **options: Any) -> HttpResponseBase:
        try:
            return view(request, pk, *args, **options)
        except InvoiceRefused as refused:
            messages.error(request, " ".join(refused.messages))
            return go_on(request, invoice_address(pk))

    return page
