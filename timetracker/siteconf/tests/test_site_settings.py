"""The site's settings: one row, and a snapshot without what is nobody's business."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from timetracker.siteconf.models import SiteSettings
from timetracker.siteconf.snapshot import SNAPSHOT_FIELDS, settings_snapshot

pytestmark = pytest.mark.django_db


def test_database_accepts_no_second_row() -> None:
    SiteSettings.objects.create(company_name="Example Studio")
    for pk in (1, 2):
        with pytest.raises(IntegrityError), transaction.atomic():
            SiteSettings.objects.create(id=pk, company_name="Another")
    assert [str(site) for site in SiteSettings.objects.all()] == ["Example Studio"]


def test_reading_defaults_writes_nothing() -> None:
    assert SiteSettings.load().currency == "EUR"
    assert not SiteSettings.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounding_minutes": 61},
        {"rounding_direction": "sideways"},
        {"invoice_next_number": 0},
        {"invoice_digits": 11},
        {"invoice_due_days": 366},
        {"default_tax_rate": Decimal("100.01")},
        {"currency": "eur"},
    ],
)
def test_form_and_database_both_refuse(wrong: dict[str, object]) -> None:
    site = SiteSettings(**wrong)
    with pytest.raises(ValidationError) as refused:
        site.full_clean()
    assert list(wrong)[0] in refused.value.message_dict
    with pytest.raises(IntegrityError), transaction.atomic():
        site.save()


def test_snapshot_is_what_the_backups_setting_names() -> None:
    assert import_string(settings.BACKUPS_SETTINGS_SNAPSHOT) is settings_snapshot


def test_snapshot_holds_the_allowed_fields_as_json_and_nothing_else() -> None:
    site = SiteSettings.objects.create(
        company_name="Example Studio", payment_details="Account XX00", default_tax_rate=Decimal("19.00"), logo="branding/logo.png"
    )
    snapshot = json.loads(json.dumps(settings_snapshot()))
    assert set(snapshot) == set(SNAPSHOT_FIELDS)
    assert "Account XX00" not in json.dumps(snapshot)
    assert snapshot["company_name"] == "Example Studio"
    assert snapshot["default_tax_rate"] == "19.00"
    assert snapshot["logo"] == "branding/logo.png"
    assert snapshot["updated_at"] == site.updated_at.isoformat()


def test_snapshot_of_a_new_site_is_the_defaults() -> None:
    snapshot = settings_snapshot()
    assert snapshot["company_name"] == "" and snapshot["invoice_prefix"] == "INV-" and snapshot["updated_at"] is None


def test_every_field_is_either_in_the_snapshot_or_left_out_on_purpose() -> None:
    left_out = {"id", "created_at", "payment_details"}
    assert {field.name for field in SiteSettings._meta.concrete_fields} == left_out | set(SNAPSHOT_FIELDS)
