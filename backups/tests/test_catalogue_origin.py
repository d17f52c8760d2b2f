"""Who made or brought each archive: known when it is made, carried through restores, and found again in the history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from pytest_django import Settings

from backups.catalogue import catalogue_forget, catalogue_reconcile, catalogue_remembered, history_record
from backups.gate import gate_open, gate_raise
from backups.journal import Journal
from backups.models import Backup, Operation
from backups.services.request import requests_remember
from backups.storage import archive_store
from backups.tests.site import Site
from backups.tests.stored import archive_placed, journal_ended, store_of_its_own
from backups.tests.warm import WarmSite
from backups.watch import cancel_request
from timetracker.accounts.models import User

pytestmark = pytest.mark.usefixtures("own_gate")


@pytest.fixture
def archive(db: None, settings: Settings, tmp_path: Path) -> str:
    """An archive whose row does not say where it comes from."""
    return archive_placed(store_of_its_own(settings, tmp_path / "store"))


def origin(name: str) -> tuple[str, bool]:
    """Who made or brought it, and whether it was brought, once the catalogue has been brought into line."""
    catalogue_reconcile(archive_store())
    found: tuple[str, bool] = Backup.objects.values_list("requested_by", "is_uploaded").get(name=name)
    return found


# --- found again in the history -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operations", "found"),
    [
        ([], ("", False)),
        ([("create", {})], ("ada", False)),
        ([("create", {"requested_by": "schedule 0a1b2c3d"})], ("schedule 0a1b2c3d", False)),
        ([("create", {"status": "failed"})], ("", False)),
        ([("upload", {"report": {"is_new": True}})], ("ada", True)),
        ([("create", {}), ("upload", {"requested_by": "bob", "report": {"is_new": False}})], ("ada", False)),
        ([("create", {}), ("delete", {}), ("upload", {"requested_by": "bob", "report": {"is_new": True}})], ("bob", True)),
        ([("create", {}), ("delete", {})], ("", False)),
        ([("create", {}), ("delete", {"status": "failed"})], ("ada", False)),
        ([("create", {}), ("prune", {"archive": "", "report": {"removed": ["ARCHIVE"]}})], ("", False)),
        ([("upload", {"status": "recovered"})], ("ada", True)),
        ([("create", {}), ("upload", {"requested_by": "bob", "status": "recovered"})], ("ada", False)),
        ([("verify", {"requested_by": "bob"}), ("restore", {"requested_by": "bob"})], ("", False)),
        ([("restore", {"archive": "", "kept": {"until": "2026-03-02T00:00:00+00:00", "archive": "ARCHIVE"}})], ("ada", False)),
    ],
    ids=[
        "nothing known", "made", "by a schedule", "not made", "brought", "brought again", "deleted and brought", "deleted",
        "not deleted", "pruned", "brought by a killed one", "made, and a killed one", "others", "kept for an undo",
    ],
)  # fmt: skip
def test_origin_is_found_in_the_history(archive: str, operations: list[tuple[str, dict[str, Any]]], found: tuple[str, bool]) -> None:
    for hour, (kind, values) in enumerate(operations):
        named = json.loads(json.dumps({"archive": archive, **values}).replace("ARCHIVE", archive))
        journal_ended(kind, hour, **named)
    assert origin(archive) == found


def test_origin_that_the_row_knows_stays(archive: str) -> None:
    journal_ended("create", archive=archive)
    Backup.objects.update(requested_by="bob")
    assert origin(archive) == ("bob", False)
    Backup.objects.update(requested_by="", is_uploaded=True)
    assert origin(archive) == ("", True)


def test_origin_is_remembered_through_a_restore_and_while_the_archive_is_away(archive: str) -> None:
    Backup.objects.update(requested_by="bob", is_uploaded=True, note="brought")
    remembered = catalogue_remembered()
    assert remembered[archive] == {
        "pinned": False, "note": "brought", "verified_at": None, "problem": "", "requested_by": "bob", "is_uploaded": True,
    }  # fmt: skip
    Backup.objects.update(requested_by="", is_uploaded=False)
    catalogue_reconcile(archive_store(), remembered=json.loads(json.dumps(remembered)))
    assert origin(archive) == ("bob", True)


def test_forgotten_archive_is_forgotten_wherever_something_is_noted_of_it(archive: str, settings: Settings) -> None:
    vanished = Path(settings.BACKUPS_STATE_DIR) / "vanished"
    vanished.parent.mkdir(exist_ok=True)
    vanished.write_text(json.dumps({archive: {"pinned": True}, "backup_20250101_000000_00000000.zip": {"pinned": True}}))
    catalogue_forget(archive)
    assert not Backup.objects.filter(name=archive).exists()
    assert json.loads(vanished.read_text()).keys() == {"backup_20250101_000000_00000000.zip"}


def test_made_by_whom_is_known_at_once_and_again_after_a_restore_and_in_another_installation(sqlite_site: Site) -> None:
    warm = WarmSite.of(sqlite_site)
    code = "from backups.services.create import backup_create; print(backup_create(requested_by='{}').location)"
    first, second = (warm.manage("shell", "--verbosity", "0", "--command", code.format(who)).stdout.strip() for who in ("ada", "bob"))
    known = [(first, "ada", 0), (second, "bob", 0)]
    rows = "SELECT name, requested_by, is_uploaded FROM backups_backup ORDER BY requested_by"
    assert warm.fetch(rows) == known
    warm.manage("backup_restore", first, "--no-input")
    assert warm.fetch(rows) == known, "neither was in the data that is restored"
    # As in a new installation that was given the store: the records beside the archives say it.
    warm.execute("DELETE FROM backups_backup")
    for journal in (warm.state / "journal").glob("*.json"):
        journal.unlink()
    warm.manage("backup_list", "--reconcile")
    assert warm.fetch(rows) == known


# --- the admin's log ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ada(db: None) -> User:
    """An account."""
    return User.objects.create_user("ada", password="correct horse battery")


@pytest.mark.parametrize("kind", ["restore", "undo"])
def test_admins_log_of_the_restored_data_says_who_restored_it(ada: User, kind: str) -> None:
    journal = journal_ended(kind, archive="backup_20260301_080000_98b10547.zip")
    history_record(journal)
    history_record(journal)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (ada, str(Operation.objects.get().pk))
    assert entry.change_message == f"{kind.capitalize()}: backup_20260301_080000_98b10547.zip"
    assert entry.action_time.isoformat() == journal.ended_at


def test_admins_log_says_who_cancelled_what(ada: User) -> None:
    journal = journal_ended(
        "create", status="failed", archive="backup_20260301_080000_98b10547.zip", requested_by="bob", report={"cancelled_by": "ada"}
    )
    history_record(journal)
    history_record(journal)
    entry = LogEntry.objects.get()
    assert (entry.user, entry.change_message) == (ada, "Cancel: create: backup_20260301_080000_98b10547.zip")


def test_request_that_never_began_gets_into_the_history_and_the_admins_log_once(ada: User, archive: str) -> None:
    waiting = Journal(kind="create", requested_by="bob")
    waiting.save()
    assert cancel_request(waiting.id, by="ada")
    gate_raise("0badcafe" * 4, "restore")
    requests_remember()
    assert not Operation.objects.exists(), "a restore is at work: what is written now may be lost"
    gate_open()
    for _ in range(2):
        requests_remember()
    found = Operation.objects.get()
    assert (found.operation_id, found.outcome, found.requested_by) == (waiting.id, "cancelled", "bob")
    assert [(entry.user, entry.change_message) for entry in LogEntry.objects.all()] == [(ada, "Cancel: create")]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("restore", {"requested_by": "bob"}),
        ("restore", {"requested_by": ""}),
        ("restore", {"status": "failed"}),
        ("create", {}),
        ("create", {"status": "failed", "report": {"cancelled_by": "the holder of a link (::1)"}}),
    ],
    ids=["an account that is not there", "nobody", "one that failed", "one that replaced nothing", "cancelled by nobody in particular"],
)
def test_admins_log_says_nothing_that_it_does_not_know(ada: User, kind: str, values: dict[str, Any]) -> None:
    history_record(journal_ended(kind, **values))
    assert Operation.objects.count() == 1
    assert not LogEntry.objects.exists()


def test_restored_data_itself_says_who_restored_it_and_who_took_that_back(site: Site) -> None:
    code = "from timetracker.accounts.models import User; User.objects.create_user('ada')"
    site.manage("shell", "--verbosity", "0", "--command", code)
    archive = site.manage("backup_create").stdout.strip()
    code = f"from backups.services.restore import backup_restore; backup_restore(archive={archive!r}, requested_by='ada')"
    site.manage("shell", "--verbosity", "0", "--command", code)
    said = "SELECT change_message, username FROM django_admin_log JOIN accounts_user ON accounts_user.id = user_id ORDER BY action_time"
    assert site.fetch(said) == [(f"Restore: {archive}", "ada")]
    site.manage("shell", "--verbosity", "0", "--command", "from backups.services.undo import backup_undo; backup_undo(requested_by='ada')")
    assert site.fetch(said) == [(f"Restore: {archive}", "ada"), (f"Undo: {archive}", "ada")]
