"""Numbers of invoices."""

from __future__ import annotations

from django.db import transaction

from timetracker.billing.models import Invoice
from timetracker.siteconf.models import SiteSettings

__all__ = ["invoice_number_take"]


@transaction.atomic
def invoice_number_take() -> str:
    """Return the next free number in the form of the site settings, and count on.

    The row of settings is locked until the surrounding transaction ends, so two invoices never get the same number
    and a transaction that fails leaves no gap. Numbers that are taken already are passed over.
    """
    SiteSettings.objects.get_or_create(pk=1)
    site = SiteSettings.objects.select_for_update().get(pk=1)
    while True:
        number = f"{site.invoice_prefix}{site.invoice_next_number:0{site.invoice_digits}d}"
        site.invoice_next_number += 1
        if not Invoice.objects.filter(number=number).exists():
            break
    site.save(update_fields=["invoice_next_number", "updated_at"])
    return number
