"""The snapshot of the site settings that goes into every backup, for people to read."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models.fields.files import FieldFile

from timetracker.siteconf.models import SiteSettings

__all__ = ["SNAPSHOT_FIELDS", "settings_snapshot", "site_name"]

# An allow-list: a field that is added later stays out until someone has decided that it is no secret.
SNAPSHOT_FIELDS = (
    "company_name",
    "company_address",
    "company_email",
    "tax_number",
    "logo",
    "portal_color",
    "time_zone",
    "currency",
    "rounding_minutes",
    "rounding_direction",
    "invoice_prefix",
    "invoice_next_number",
    "invoice_digits",
    "invoice_due_days",
    "invoice_notes",
    "tax_name",
    "default_tax_rate",
    "updated_at",
)


def settings_snapshot() -> dict[str, Any]:
    """Return the site settings as JSON-ready values: amounts as text, times in ISO 8601, the logo as its name in the uploads.

    Where nobody has saved settings yet, the defaults; ``updated_at`` is then None.
    """
    site = SiteSettings.load()
    return {name: _json_ready(getattr(site, name)) for name in SNAPSHOT_FIELDS}


def site_name() -> str:
    """The name that a person types to confirm a restore: the company's, or the product's where nobody has set one."""
    return SiteSettings.load().company_name.strip() or "TimeTracker"


def _json_ready(value: Any) -> str | int | bool | None:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, FieldFile):
        return value.name or ""
    if isinstance(value, (Decimal, str)):
        return str(value)
    raise TypeError(f"No JSON form is known for {type(value).__name__}.")
