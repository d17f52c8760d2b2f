"""What was brought goes after a week, and files of no row go, too."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.imports.expiry import imports_expire
from timetracker.imports.models import FOLDER, Import
from timetracker.imports.tests.files import checked
from timetracker.tests.people import browser_of, somebody
from timetracker.tests.storages import storage_fails

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]


@pytest.fixture
def ann() -> User:
    """An owner."""
    return somebody("ann", Role.OWNER)


def files_of(row: Import) -> list[str]:
    return [str(row.file.name), str(row.problems.name)]


def older(name: str, seconds: int) -> None:
    then = time.time() - seconds
    os.utime(default_storage.path(name), (then, then))


def test_a_week_later_row_and_files_are_gone_and_younger_ones_stay(ann: User) -> None:
    old, young = (checked(ann, "clients", "Name,E-mail\nMill,none\n") for _ in range(2))
    assert abs(old.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=5)
    Import.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    rows, _ = imports_expire()
    assert rows == 1
    assert [default_storage.exists(name) for name in files_of(old)] == [False, False]
    assert [default_storage.exists(name) for name in files_of(young)] == [True, True]
    assert list(Import.objects.all()) == [young]


def test_a_file_that_its_storage_does_not_delete_holds_up_no_other_and_goes_with_those_of_no_row(
    ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [checked(ann, "clients", "Name,E-mail\nMill,none\n") for _ in range(2)]
    Import.objects.update(expires_at=timezone.now())
    with monkeypatch.context() as patch:
        storage_fails(patch, "delete")
        assert imports_expire() == (2, 0)
    assert not Import.objects.exists()
    files = [name for row in rows for name in files_of(row)]
    for name in files:
        older(name, 3700)
    assert imports_expire() == (0, 4)
    assert not any(default_storage.exists(name) for name in files)


def test_what_has_expired_is_not_shown_even_before_it_is_deleted(ann: User) -> None:
    row = checked(ann, "clients", "Name\nMill\n")
    browser = browser_of(ann)
    assert browser.get(f"/import-export/imports/{row.pk}/").status_code == 200
    Import.objects.update(expires_at=timezone.now())
    assert browser.get(f"/import-export/imports/{row.pk}/").status_code == 404
    assert row.name.encode() not in browser.get("/import-export/").content


def test_files_without_a_row_go_once_they_are_an_hour_old(ann: User) -> None:
    row = checked(ann, "clients", "Name,E-mail\nMill,none\n")
    orphans = [default_storage.save(f"{FOLDER}{name}", ContentFile(b"x")) for name in ("old", "young")]
    elsewhere = default_storage.save("documents/old", ContentFile(b"x"))
    for name in (orphans[0], elsewhere, *files_of(row)):
        older(name, 3700)
    imports_expire()
    assert [default_storage.exists(name) for name in (*orphans, elsewhere, *files_of(row))] == [False, True, True, True, True]


def test_an_import_that_is_checked_again_leaves_no_file_behind(ann: User) -> None:
    row = checked(ann, "clients", "Name,E-mail\nMill,none\n")
    before = files_of(row)
    browser_of(ann).post(f"/import-export/imports/{row.pk}/begin/", {"act": "check"})
    row.refresh_from_db()
    assert (row.state, row.counts["bad"]) == ("checked", 1)
    assert [default_storage.exists(name) for name in before] == [True, False]
    assert default_storage.exists(str(row.problems.name))


def test_names_of_files_tell_nothing_and_cannot_be_guessed(ann: User) -> None:
    row = checked(ann, "clients", "Name\nMill\n")
    name = str(row.file.name).removeprefix(FOLDER)
    assert (len(name), row.name in name) == (32, False)
    for address in (f"/media/{row.file.name}", f"/static/{row.file.name}", f"/{row.file.name}"):
        assert browser_of(ann).get(address).status_code == 404
