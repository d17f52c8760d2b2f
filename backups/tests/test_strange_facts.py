"""Archives that are whole and say strange things of themselves: what a person brings must not stop the list, or another operation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import models
from django.test import Client
from pytest_django import Settings

from backups.catalogue import catalogue_reconcile
from backups.exceptions import ArchiveRejected
from backups.models import Backup
from backups.quarantine import Upload, upload_append, upload_begin, upload_find
from backups.services.upload import backup_upload
from backups.storage import archive_store
from backups.tests.hostile import Forgery, make_archive
from backups.tests.stored import store_of_its_own

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_gate")]

LARGEST = 2**63 - 1
LONG = "schedule:" + "x" * 5000


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: Settings) -> Path:
    """An empty store of the test's own."""
    return store_of_its_own(settings, tmp_path / "store")


def brought(tmp_path: Path, facts: dict[str, Any], **database: Any) -> Upload:
    """An upload that has come whole: an archive that is right in every byte, with these facts in its manifest."""
    (tmp_path / "good.zip").unlink(missing_ok=True)
    make_archive(tmp_path / "good.zip", uploads={"a": b"a"})
    forgery = Forgery.of(tmp_path / "good.zip")
    forgery.manifest |= facts | {"database": forgery.manifest["database"] | database}
    data = forgery.sealed()
    upload = upload_begin(name="strange.zip", size=len(data), owner="ann")
    upload_append(upload, 0, [data])
    return upload


def test_more_rows_than_a_column_can_count_stop_nothing(tmp_path: Path) -> None:
    taken = backup_upload(upload=brought(tmp_path, {"rows": {"a": LARGEST, "b": LARGEST}}).id)
    assert Backup.objects.get(name=taken.archive).row_count == LARGEST
    Backup.objects.all().delete()
    assert catalogue_reconcile(archive_store()).added == [taken.archive]


def test_a_row_has_as_much_of_each_text_as_its_column_takes(tmp_path: Path) -> None:
    strange = brought(tmp_path, {"trigger": LONG, "app_version": LONG, "note": LONG}, server_version=LONG)
    row = Backup.objects.get(name=backup_upload(upload=strange.id).archive)
    # SQLite takes longer ones; PostgreSQL refuses the whole row, and with it every reconciliation of the list.
    for field in Backup._meta.get_fields():
        if isinstance(field, models.CharField) and field.max_length is not None:
            assert len(getattr(row, field.name)) <= field.max_length
    assert (row.trigger, row.note) == (LONG[:32], LONG)


@pytest.mark.parametrize("made_at", ["0001-01-01T00:00:00+00:00", "1969-12-31T23:59:59+00:00", "9999-12-31T23:59:59+00:00"])
def test_an_archive_of_no_time_that_a_page_could_say_is_refused(tmp_path: Path, made_at: str) -> None:
    upload = brought(tmp_path, {"created_at": made_at})
    with pytest.raises(ArchiveRejected, match="created_at must be a time from 1970 to 9998"):
        backup_upload(upload=upload.id)
    assert upload_find(upload.id) is None
    assert not Backup.objects.exists()


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_list_shows_the_first_and_the_last_time_that_an_archive_may_have(tmp_path: Path, settings: Settings, zone: str) -> None:
    settings.TIME_ZONE = zone
    for made_at in (datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)):
        backup_upload(upload=brought(tmp_path, {"created_at": made_at.isoformat()}).id)
    browser = Client()
    browser.force_login(get_user_model().objects.create_superuser("root", "root@example.org", "correct horse battery"))
    assert browser.get("/admin/backups/backup/").status_code == 200
    for name in Backup.objects.values_list("name", flat=True):
        assert browser.get(f"/admin/backups/backup/archives/{name}/").status_code == 200
