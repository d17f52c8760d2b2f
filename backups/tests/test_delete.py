"""``backup_delete``: what goes, what must stay and why, and what is left of it by a kill at any moment: all or nothing."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from backups.services.delete import deletions_refused
from backups.tests.site import Site
from backups.tests.stored import archive_placed, journal_ended, store_of_its_own
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
PINNED = "is pinned, so it stays. Unpin it first."
NEWEST = "is the newest backup. Make another first."
LAST_GOOD = "is the last good backup: the newest whose every byte was verified. Make and verify another first."


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


def test_archive_that_must_stay_is_refused_under_the_lock_too(warm: WarmSite) -> None:
    three(warm, old={"pinned": True})
    refused = delete(warm, OLD)
    assert refused == {"refused": f"{OLD} is pinned, so it stays. Unpin it first.", "state": "It is still there.", "exit": 3}
    assert is_stored(warm, OLD) and row(warm, OLD)


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
    moments = range(0, 44, 4)
    place(warm, **{f"backup_20260101_080000_{moment:08x}": {"note": "by hand"} for moment in moments})
    # As people do it: a look at the store before anything is recovered, and one afterwards.
    look, recover = "call_command('backup_list', '--reconcile')", "call_command('backup_status', '--recover')"
    settle = "; ".join(["from django.core.management import call_command", look, recover, look])
    outcomes = set()
    for moment in moments:
        name = f"backup_20260101_080000_{moment:08x}.zip"
        warm.interrupted(signal.SIGKILL, "delete", "shell", "--verbosity", "0", "--command", DELETE.format(name=name), after=moment)
        shell(warm, settle)
        is_there = is_stored(warm, name)
        assert row(warm, name) == ([("by hand",)] if is_there else []), moment
        vanished = warm.state / "vanished"
        assert not vanished.exists() or name not in json.loads(vanished.read_bytes()), moment
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


def test_row_that_cannot_be_removed_now_is_a_warning_and_goes_with_the_next_look_at_the_store(warm: WarmSite) -> None:
    three(warm)
    warm.execute("CREATE TRIGGER stay BEFORE DELETE ON backups_backup BEGIN SELECT RAISE(ABORT, 'not now'); END")
    completed = warm.manage("shell", "--verbosity", "0", "--command", DELETE.format(name=OLD))
    assert json.loads(completed.stdout.splitlines()[-1])["deleted"] == OLD
    assert not is_stored(warm, OLD) and row(warm, OLD)
    warm.execute("DROP TRIGGER stay")
    warm.manage("backup_list", "--reconcile")
    assert not row(warm, OLD)


# --- what must stay -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(own_gate: None, db: None, settings: Settings, tmp_path: Path) -> Path:
    """A store of the test process's own."""
    return store_of_its_own(settings, tmp_path / "store")


GOOD, DAMAGED, BROUGHT = {"verified_at": CHECKED}, {"problem": "damaged"}, {"is_uploaded": True}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"pinned": True}, {}, {}], [PINNED, "", NEWEST]),
        ([{}, {}, {}], ["", "", NEWEST]),
        ([GOOD, {}, {}], [LAST_GOOD, "", NEWEST]),
        ([GOOD, GOOD, {}], ["", LAST_GOOD, NEWEST]),
        ([GOOD, GOOD | DAMAGED, {}], [LAST_GOOD, "", NEWEST]),
        ([GOOD, GOOD, GOOD], ["", "", LAST_GOOD]),
        ([{}, {}, DAMAGED], ["", NEWEST, ""]),
        ([{}, {}, DAMAGED | {"pinned": True}], ["", NEWEST, PINNED]),
        ([DAMAGED, DAMAGED, DAMAGED], ["", "", ""]),
        ([{}, {}, BROUGHT], ["", NEWEST, ""]),
        ([{}, GOOD, BROUGHT | GOOD], ["", LAST_GOOD, ""]),
        ([{}, {}, BROUGHT | GOOD], ["", NEWEST, LAST_GOOD]),
        ([BROUGHT, BROUGHT | GOOD, BROUGHT], ["", LAST_GOOD, NEWEST]),
    ],
    ids=str,
)
def test_what_must_stay_of_three_archives_and_why(store: Path, rows: list[dict[str, Any]], said: list[str]) -> None:
    names = [archive_placed(store, hour, **values) for hour, values in enumerate(rows)]
    refused = deletions_refused(names)
    assert [refused.get(name, "") for name in names] == [f"{name} {why}" if why else "" for name, why in zip(names, said, strict=True)]


def test_archive_that_an_operation_needs_stays(store: Path) -> None:
    kept, waited_for, free, _ = (archive_placed(store, hour) for hour in range(4))
    restore = journal_ended("restore", kept={"until": "2026-03-02T00:00:00+00:00", "archive": kept})
    waiting = journal_ended("restore", status="queued", archive=waited_for)
    assert deletions_refused([kept, waited_for, free]) == {
        kept: f"{kept} cannot go now: the undo of restore {restore.short_id} needs it.",
        waited_for: f"{waited_for} cannot go now: the restore {waiting.short_id} waits for it.",
    }
