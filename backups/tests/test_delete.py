"""``backup_delete``: what goes, what must stay and why, and what is left of it by a kill at any moment: all or nothing."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backups.tests.site import Site
from backups.tests.warm import WarmSite

DELETE = """
import json, sys
from backups.exceptions import BackupError
from backups.services.delete import backup_delete
try:
    deleted = backup_delete(archive={name!r}, requested_by='ada')
    print(json.dumps({{'deleted': deleted.archive, 'size': deleted.size}}))
except BackupError as error:
    print(json.dumps({{'refused': error.message, 'state': error.state, 'exit': error.exit_code}}))
"""
PLACE = """
import datetime
from pathlib import Path
from django.core.files.storage import storages
from backups.models import Backup
folder = Path(storages['backups'].location)
folder.mkdir(mode=0o700, exist_ok=True)
for name, values in {archives!r}.items():
    (folder / name).write_bytes(b'not opened')
    Backup.objects.create(**dict(
        name=name, archive_id=name[-12:-4], created_at=datetime.datetime.strptime(name[7:22] + ' +0000', '%Y%m%d_%H%M%S %z'),
        trigger='manual', size=10, vendor='sqlite', row_count=1, has_uploads=False,
    ) | values)
"""
OLD, MIDDLE, NEW = (f"backup_2026030{day}_080000_00000000.zip" for day in (1, 2, 3))
CHECKED = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture
def warm(sqlite_site: Site) -> WarmSite:
    """A site whose commands start quickly."""
    return WarmSite.of(sqlite_site)


def shell(site: WarmSite, code: str) -> str:
    return site.manage("shell", "--verbosity", "0", "--command", code).stdout


def place(site: WarmSite, **archives: dict[str, Any]) -> None:
    """Put archives of these names (without their ending) into store and catalogue; nothing in here opens one."""
    code = PLACE.format(archives={f"{name}.zip": values for name, values in archives.items()})
    shell(site, code)


def three(site: WarmSite, old: Any = None, middle: Any = None, new: Any = None) -> None:
    """The three archives, with these values in their rows."""
    values = {name.removesuffix(".zip"): given or {} for name, given in ((OLD, old), (MIDDLE, middle), (NEW, new))}
    place(site, **values)


def delete(site: WarmSite, name: str) -> dict[str, Any]:
    """What comes of it."""
    found: dict[str, Any] = json.loads(shell(site, DELETE.format(name=name)).splitlines()[-1])
    return found


def is_stored(site: Site, name: str) -> bool:
    return (site.backups / name).exists()


def row(site: Site, name: str) -> list[tuple[Any, ...]]:
    return site.fetch(f"SELECT note FROM backups_backup WHERE name = '{name}'")


def test_deleted_archive_is_gone_from_store_and_catalogue_and_in_the_history(warm: WarmSite) -> None:
    three(warm)
    assert delete(warm, OLD) == {"deleted": OLD, "size": 10}
    assert not is_stored(warm, OLD)
    assert row(warm, OLD) == []
    assert is_stored(warm, MIDDLE) and is_stored(warm, NEW)
    ((kind, status, who, archive, report),) = warm.fetch("SELECT kind, status, requested_by, archive, report FROM backups_operation")
    assert (kind, status, who, archive, json.loads(report)) == ("delete", "done", "ada", OLD, {"archive": OLD, "bytes": 10})


@pytest.mark.parametrize(
    ("rows", "name", "said"),
    [
        ({"old": {"pinned": True}}, OLD, "is pinned, so it stays. Unpin it first."),
        ({}, NEW, "is the newest backup. Make another first."),
        ({"old": {"verified_at": CHECKED}}, OLD, "is the last good backup: the newest whose every byte was verified."),
        ({"old": {"verified_at": CHECKED}, "middle": {"verified_at": CHECKED, "problem": "damaged"}}, OLD, "is the last good backup"),
        ({"new": {"problem": "damaged"}}, MIDDLE, "is the newest backup."),
        ({"new": {"is_uploaded": True}}, MIDDLE, "is the newest backup."),
    ],
    ids=["pinned", "newest", "last good", "last good that is whole", "newest that is whole", "newest of its own"],
)
def test_archive_that_must_stay_stays_and_the_refusal_says_why(warm: WarmSite, rows: dict[str, Any], name: str, said: str) -> None:
    three(warm, **rows)
    refused = delete(warm, name)
    assert refused["refused"].startswith(name)
    assert said in refused["refused"]
    assert (refused["state"], refused["exit"]) == ("It is still there.", 3)
    assert is_stored(warm, name) and row(warm, name)


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ({"new": {"problem": "damaged"}}, NEW),
        ({"old": {"verified_at": CHECKED}, "middle": {"verified_at": CHECKED}}, OLD),
        ({"middle": {"verified_at": CHECKED}, "new": {"is_uploaded": True, "verified_at": CHECKED}}, NEW),
    ],
    ids=["damaged", "verified, and there is a newer one", "brought from elsewhere"],
)
def test_archive_that_nothing_leans_on_goes(warm: WarmSite, rows: dict[str, Any], name: str) -> None:
    three(warm, **rows)
    assert delete(warm, name)["deleted"] == name


def test_only_archive_that_was_brought_is_the_last_good_one(warm: WarmSite) -> None:
    place(warm, **{NEW.removesuffix(".zip"): {"is_uploaded": True, "verified_at": CHECKED}})
    assert "is the last good backup" in delete(warm, NEW)["refused"]


@pytest.mark.parametrize("needs", ["undo", "waiting"])
def test_archive_that_an_operation_needs_stays(warm: WarmSite, needs: str) -> None:
    three(warm)
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    fields = {
        "undo": f"kind='restore', status='done', ended_at='{until}', kept={{'until': '{until}', 'archive': {OLD!r}}}",
        "waiting": f"kind='restore', archive={OLD!r}",
    }[needs]
    shell(warm, f"from backups.journal import Journal\nJournal({fields}).save()")
    said = {"undo": "cannot go now: the undo of restore", "waiting": "waits for it."}[needs]
    assert said in delete(warm, OLD)["refused"]
    assert is_stored(warm, OLD)


def test_archive_that_is_not_there_is_not_found(warm: WarmSite) -> None:
    three(warm)
    assert delete(warm, OLD.replace("00000000", "11111111"))["refused"].startswith("There is no archive")
    assert delete(warm, "../secret_key")["refused"].startswith("There is no archive")


def test_pin_that_a_restore_has_rewound_counts(warm: WarmSite) -> None:
    three(warm)
    shell(
        warm,
        "from backups.journal import Journal\nfrom datetime import UTC, datetime\n"
        f"journal = Journal(kind='restore', arguments={{'carry_over': 'catalogue', 'catalogue': {{{OLD!r}: {{'pinned': True}}}}}})\n"
        "journal.start(); journal.end('done')",
    )
    assert "is pinned" in delete(warm, OLD)["refused"]


def test_what_was_noted_of_a_deleted_archive_does_not_come_back_with_another_of_its_name(warm: WarmSite) -> None:
    made = warm.manage("backup_create", "--note", "as it was made").stdout.strip()
    content = (warm.backups / made).read_bytes()
    warm.execute(f"UPDATE backups_backup SET note = 'changed by hand' WHERE name = '{made}'")
    # An hour without the disk: what was noted is remembered.
    (warm.backups / made).unlink()
    warm.manage("backup_list", "--reconcile")
    (warm.backups / made).write_bytes(content)
    warm.manage("backup_create")
    assert delete(warm, made)["deleted"] == made
    assert made not in (warm.state / "vanished").read_text()
    (warm.backups / made).write_bytes(content)
    warm.manage("backup_list", "--reconcile")
    assert row(warm, made) == [("as it was made",)], "what the archive itself says, and nothing that a person said of another"


def test_kill_at_any_moment_leaves_the_archive_with_all_that_is_noted_of_it_or_nothing_of_both(warm: WarmSite) -> None:
    three(warm)
    outcomes = set()
    for number in range(0, 44, 4):
        name = f"backup_20260101_080000_{number:08x}.zip"
        place(warm, **{name.removesuffix(".zip"): {"note": "by hand"}})
        warm.interrupted(signal.SIGKILL, "delete", "shell", "--verbosity", "0", "--command", DELETE.format(name=name), after=number)
        # As people do it: a look at the store before anything is recovered, and one afterwards.
        warm.manage("backup_list", "--reconcile")
        warm.manage("backup_status", "--recover")
        warm.manage("backup_list", "--reconcile")
        is_there = is_stored(warm, name)
        assert row(warm, name) == ([("by hand",)] if is_there else []), number
        vanished = warm.state / "vanished"
        assert not vanished.exists() or name not in json.loads(vanished.read_bytes()), number
        outcomes.add(is_there)
    assert outcomes == {True, False}, "the kills must come before and after the archive is gone"


def test_store_that_does_not_let_go_keeps_the_row(warm: WarmSite) -> None:
    three(warm)
    code = (
        "from backups.storage import local\n"
        "def refuse(self, name): raise self.refused('The archive cannot be deleted', 'Read-only file system')\n"
        "local.LocalStore.delete = refuse\n"
    )
    refused = json.loads(shell(warm, code + DELETE.format(name=OLD)).splitlines()[-1])
    assert "Read-only file system" in refused["refused"]
    assert row(warm, OLD) and is_stored(warm, OLD)
    ((status,),) = warm.fetch("SELECT status FROM backups_operation")
    assert status == "failed"
