"""``backup_prune``: what goes, what stays and why, and what is swept along."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backups.tests.site import Site
from backups.tests.warm import WarmSite

KEY = "0a1b2c3d"


@pytest.fixture
def pruned(sqlite_site: Site) -> WarmSite:
    """A site with one schedule that keeps the newest two, and with no archive yet."""
    site = WarmSite.of(sqlite_site)
    keeping(site, last=2)
    return site


def keeping(site: WarmSite, **rules: int) -> None:
    """Let the schedule keep so many, and nothing by the other rules."""
    values = {f"keep_{rule}": rules.get(rule, 0) for rule in ("last", "daily", "weekly", "monthly", "yearly")}
    site.execute(f"UPDATE backups_backupschedule SET key = '{KEY}', " + ", ".join(f"{name} = {value}" for name, value in values.items()))


def make(site: WarmSite, count: int, *, trigger: str = f"schedule:{KEY}") -> list[str]:
    """So many archives made in this order, each a day after the one before; returns their names."""
    code = f"from backups.services.create import backup_create\nfor _ in range({count}): print(backup_create(trigger='{trigger}').location)"
    names = site.manage("shell", "--verbosity", "0", "--command", code).stdout.split()
    for number, name in enumerate(names):
        moment = datetime.now(UTC) - timedelta(days=count - number)
        site.execute(f"UPDATE backups_backup SET created_at = '{moment:%Y-%m-%d %H:%M:%S}' WHERE name = '{name}'")
    return names


def stored(site: WarmSite) -> set[str]:
    return {path.name for path in site.backups.glob("*.zip")}


def listed(site: WarmSite) -> set[str]:
    return {name for (name,) in site.fetch("SELECT name FROM backups_backup")}


def result(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def reasons(site: WarmSite) -> dict[str, list[str]]:
    """Why each archive stays, as the dry run says; none for those that would go."""
    found = result(site.manage("backup_prune", "--dry-run", "--json").stdout)
    return {archive["name"]: archive["kept_by"] for archive in found["archives"]}


def note(site: WarmSite, names: Iterable[str], assignment: str) -> None:
    for name in names:
        site.execute(f"UPDATE backups_backup SET {assignment} WHERE name = '{name}'")


# While the first archive goes, somebody pins the second, and asks for a restore of the third.
MEANWHILE = """
from backups.journal import Journal
from backups.models import Backup
from backups.services.prune import backup_prune
from backups.storage.local import LocalStore
first, second, third = {names!r}
remove = LocalStore.delete
def delete(store, name):
    remove(store, name)
    if name == first:
        Backup.objects.filter(name=second).update(pinned=True)
        Journal(kind='restore', archive=third).save()
LocalStore.delete = delete
print(*(archive.name for archive in backup_prune().removed))
"""


def test_what_is_pinned_or_asked_for_while_others_go_stays(pruned: WarmSite) -> None:
    first, second, third, *newest = make(pruned, 5)
    code = MEANWHILE.format(names=(first, second, third))
    assert pruned.manage("shell", "--verbosity", "0", "--command", code).stdout.split() == [first]
    assert stored(pruned) == listed(pruned) == {second, third, *newest}
    ((report,),) = pruned.fetch("SELECT report FROM backups_operation WHERE kind = 'prune'")
    assert (json.loads(report)["removed"], json.loads(report)["kept"]) == ([first], 4)


def test_dry_run_names_the_rule_that_keeps_each_and_touches_nothing(pruned: WarmSite) -> None:
    first, second, third, fourth = make(pruned, 4)
    (manual,) = make(pruned, 1, trigger="manual")
    before = (stored(pruned), listed(pruned), sorted((pruned.state / "journal").iterdir()))
    assert reasons(pruned) == {
        first: [],
        second: [],
        third: ["last 2 of 2"],
        fourth: ["newest", "last verified", "last 1 of 2"],
        manual: ["manual ones always stay"],
    }
    text = pruned.manage("backup_prune", "--dry-run").stdout
    assert "Would remove 2 of 5 archives" in text
    assert (stored(pruned), listed(pruned), sorted((pruned.state / "journal").iterdir())) == before


def test_prune_removes_what_no_rule_keeps(pruned: WarmSite) -> None:
    first, second, third, fourth = make(pruned, 4)
    (manual,) = make(pruned, 1, trigger="manual")
    size = sum((pruned.backups / name).stat().st_size for name in (first, second))
    found = result(pruned.manage("backup_prune", "--no-input", "--json").stdout)
    assert stored(pruned) == listed(pruned) == {third, fourth, manual}
    assert (found["bytes"], found["dry_run"]) == (size, False)
    ((kind, status, report),) = pruned.fetch("SELECT kind, status, report FROM backups_operation WHERE kind = 'prune'")
    assert (kind, status) == ("prune", "done")
    assert sorted(json.loads(report)["removed"]) == sorted([first, second])
    assert "Removed 0 of 3 archives" in pruned.manage("backup_prune").stdout, "where nothing goes, nobody is asked"


def test_nothing_goes_without_a_yes(pruned: WarmSite) -> None:
    names = make(pruned, 3)
    declined = pruned.manage("backup_prune", input="yes\n", check=False)
    assert declined.returncode == 2
    assert names[0] in declined.stderr
    assert stored(pruned) == set(names)
    pruned.manage("backup_prune", input="prune\n")
    assert stored(pruned) == set(names[1:])


def test_pinned_and_the_last_verified_stay(pruned: WarmSite) -> None:
    names = make(pruned, 6)
    note(pruned, names[:1], "pinned = true")
    note(pruned, names[3:], "problem = 'The archive is damaged.'")
    pruned.manage("backup_prune", "--no-input")
    # Of the three that count the newest two; of the damaged those that would be kept if they counted.
    assert stored(pruned) == {names[0], names[1], names[2], names[4], names[5]}
    keeping(pruned, yearly=1)
    pruned.manage("backup_prune", "--no-input")
    assert reasons(pruned)[names[2]][0] == "last verified"
    assert stored(pruned) == {names[0], names[2], names[5]}


def test_archives_of_a_schedule_that_is_gone_stay(pruned: WarmSite) -> None:
    names = make(pruned, 4)
    pruned.execute("DELETE FROM backups_backupschedule")
    assert set(map(tuple, reasons(pruned).values())) == {("its schedule is gone",)}
    pruned.manage("backup_prune", "--no-input")
    assert stored(pruned) == set(names)


def test_each_schedule_has_its_own_rules(pruned: WarmSite) -> None:
    pruned.manage("shell", "--verbosity", "0", "--command", "from backups.models import *; BackupSchedule.objects.create(key='ffffffff')")
    own, other = make(pruned, 3), make(pruned, 3, trigger="schedule:ffffffff")
    pruned.manage("backup_prune", "--no-input")
    assert stored(pruned) == {*own[1:], *other}


def test_newest_safety_archives_of_each_kind_stay(pruned: WarmSite) -> None:
    pruned.extra_env["BACKUPS_KEEP_SAFETY"] = "2"
    before_restore, before_migrate = make(pruned, 3, trigger="before-restore"), make(pruned, 4, trigger="before-migrate")
    pruned.manage("backup_prune", "--no-input")
    assert stored(pruned) == {*before_restore[1:], *before_migrate[2:]}


def test_safety_archive_that_undo_needs_stays(postgres_site: Site) -> None:
    site = WarmSite.of(postgres_site)
    site.extra_env["BACKUPS_KEEP_SAFETY"] = "1"
    archive = site.manage("backup_create").stdout.strip()
    site.manage("backup_restore", archive, "--no-input", "--strategy", "in-place")
    (safety,) = stored(site) - {archive}
    later = make(site, 3, trigger="before-restore")
    note(site, [safety], "created_at = '2020-01-01 00:00:00'")
    (why,) = reasons(site)[safety]
    assert why.startswith("the undo of restore ")
    site.manage("backup_prune", "--no-input")
    assert stored(site) == {archive, safety, later[-1]}
    site.manage("backup_undo", "--no-input")


def test_archive_that_a_waiting_request_names_stays(pruned: WarmSite) -> None:
    first, *rest = make(pruned, 3)
    ask = f"from backups.journal import Journal; Journal(kind='restore', archive='{first}').save()"
    pruned.manage("shell", "--verbosity", "0", "--command", ask)
    pruned.manage("backup_prune", "--no-input")
    assert stored(pruned) == {first, *rest}


def test_prune_works_from_the_store_and_not_from_rows_that_a_restore_rewound(pruned: WarmSite) -> None:
    (old,) = make(pruned, 1, trigger="manual")
    names = make(pruned, 4)
    note(pruned, names[:1], "pinned = true")
    pruned.manage("backup_restore", old, "--no-input")
    # As if the restore had been killed before it carried anything over: no row of the four, and no pin.
    (path,) = (path for path in (pruned.state / "journal").glob("*.json") if json.loads(path.read_bytes())["kind"] == "restore")
    journal = json.loads(path.read_bytes())
    journal["arguments"]["carry_over"] = "schedules"
    path.write_text(json.dumps(journal))
    pruned.execute("DELETE FROM backups_backup")
    pruned.execute("UPDATE backups_backupschedule SET keep_last = 1")
    pruned.manage("backup_prune", "--no-input")
    assert stored(pruned) == {old, names[0], names[2], names[3]}


def test_archive_that_cannot_be_read_stays(pruned: WarmSite) -> None:
    names = make(pruned, 3)
    strange = pruned.backups / "backup_20200101_000000_00000000.zip"
    strange.write_bytes(b"no archive")
    pruned.manage("backup_prune", "--no-input")
    assert stored(pruned) == {strange.name, *names[1:]}


def test_without_the_database_nothing_goes(pruned: WarmSite) -> None:
    names = make(pruned, 4)
    pruned.execute("DROP TABLE backups_backupschedule")
    refused = pruned.manage("backup_prune", "--no-input", check=False)
    assert refused.returncode == 1
    assert "The schedules cannot be read, so nothing is removed" in refused.stderr
    assert stored(pruned) == set(names)


def test_archive_that_cannot_be_removed_is_named_and_the_others_go(pruned: WarmSite) -> None:
    names = make(pruned, 4)
    stuck = pruned.backups / names[0]
    stuck.unlink()
    # The superuser may unlink anything but a folder.
    stuck.mkdir()
    listing = (
        "from backups.storage.local import LocalStore; from backups.storage.base import StoredArchive; from datetime import datetime, UTC;"
    )
    code = (
        f"{listing} real = LocalStore.list\n"
        f"LocalStore.list = lambda store: [*real(store), StoredArchive({names[0]!r}, 1, datetime.now(UTC))]\n"
        "from django.core.management import call_command\n"
        "call_command('backup_prune', '--no-input')"
    )
    failed = pruned.manage("shell", "--verbosity", "0", "--command", code, check=False)
    assert failed.returncode == 1
    assert f"1 of 2 archives could not be removed: The archive {names[0]} cannot be deleted" in failed.stderr
    assert stored(pruned) == {names[0], names[2], names[3]}
    assert pruned.fetch("SELECT status FROM backups_operation WHERE kind = 'prune'") == [("failed",)]


def test_interrupted_prune_leaves_rows_and_store_in_agreement(pruned: WarmSite) -> None:
    names = make(pruned, 4)
    # The signal comes when the first file is gone and its row is not.
    code = (
        "import os, signal\n"
        "from backups.storage.local import LocalStore; from django.core.management import call_command\n"
        "real = LocalStore.delete\n"
        "def delete(store, name): real(store, name); os.kill(os.getpid(), signal.SIGTERM)\n"
        "LocalStore.delete = delete\n"
        "call_command('backup_prune', '--no-input')"
    )
    assert pruned.manage("shell", "--verbosity", "0", "--command", code, check=False).returncode == 143
    assert stored(pruned) == listed(pruned) == set(names[1:])
    pruned.manage("backup_prune", "--no-input")
    assert stored(pruned) == set(names[2:])


def test_kept_state_past_its_time_and_orphans_are_swept(site: Site) -> None:
    warm = WarmSite.of(site)
    archive = warm.manage("backup_create").stdout.strip()
    warm.manage("backup_restore", archive, "--no-input")
    (warm.backups / ".partial" / "0badcafe_copy.partial").mkdir(parents=True, exist_ok=True)
    (warm.state / "staging" / "0badcafe").mkdir(parents=True)
    (path,) = (path for path in (warm.state / "journal").glob("*.json") if json.loads(path.read_bytes())["kind"] == "restore")
    shift_times(path, days=4)
    assert "is past its time" in warm.manage("backup_prune", "--dry-run").stdout
    found = result(warm.manage("backup_prune", "--no-input", "--json").stdout)
    assert [sentence.startswith("What was live before restore ") for sentence in found["swept"]] == [True]
    assert "nothing to undo" in warm.manage("backup_undo", "--dry-run", check=False).stderr
    if warm.cluster:
        assert warm.cluster.databases(f"{warm.database}_") == []
    else:
        assert list(warm.data_dir.glob("db_before_*")) == []
    assert list((warm.backups / ".partial").iterdir()) == []
    assert list((warm.state / "staging").iterdir()) == []


def test_shadow_of_an_operation_that_nobody_judged_is_removed_after_a_day(site: Site) -> None:
    warm = WarmSite.of(site)
    archive = warm.manage("backup_create").stdout.strip()
    # Killed with its shadow built, and the gate opened by hand.
    killed = warm.interrupted(signal.SIGKILL, "analyze", "backup_restore", archive, "--no-input")
    assert killed.returncode == -signal.SIGKILL
    warm.manage("backup_status", "--force-open", input="open the gate\n")
    assert len(shadows(warm)) == 1
    warm.manage("backup_prune", "--no-input")
    assert len(shadows(warm)) == 1, "somebody may still look into it"
    (path,) = (path for path in (warm.state / "journal").glob("*.json") if json.loads(path.read_bytes())["kind"] == "restore")
    shift_times(path, days=2)
    warm.manage("backup_prune", "--no-input")
    assert shadows(warm) == []


def shadows(site: WarmSite) -> list[str]:
    if site.cluster:
        return [name for name in site.cluster.databases(f"{site.database}_") if "_shadow_" in name]
    return [path.name for path in site.data_dir.glob("*shadow*")]


def shift_times(path: Path, *, days: int) -> None:
    """Date a journal back."""
    journal = json.loads(path.read_bytes())
    for name in ("created_at", "started_at", "ended_at"):
        journal[name] = (datetime.fromisoformat(journal[name]) - timedelta(days=days)).isoformat()
    if journal["kept"]:
        journal["kept"]["until"] = (datetime.fromisoformat(journal["kept"]["until"]) - timedelta(days=days)).isoformat()
    path.write_text(json.dumps(journal))


def test_history_ends_after_ninety_days_but_for_the_newest_fifty(pruned: WarmSite) -> None:
    # Sixty operations, the newest of them a hundred days ago.
    write = (
        "from backups.journal import Journal; from datetime import datetime, timedelta, UTC; from backups.services.operation import *\n"
        "for number in range(60):\n"
        "    at = (datetime.now(UTC) - timedelta(days=160 - number)).isoformat()\n"
        "    journal = Journal(kind='create', id=f'{number:032x}', created_at=at, started_at=at, ended_at=at, status='done')\n"
        "    journal.save()\n"
        "    operation_remember(journal)"
    )
    pruned.manage("shell", "--verbosity", "0", "--command", write)
    # The oldest one is the only one that knows what lies in its staging folder.
    staging = pruned.media / ".backups-00000000"
    staging.mkdir(parents=True)
    oldest = pruned.state / "journal" / f"{0:032x}.json"
    journal = json.loads(oldest.read_bytes())
    oldest.write_text(json.dumps({**journal, "status": "failed", "uploads": {"staging": str(staging)}}))
    found = result(pruned.manage("backup_prune", "--no-input", "--json").stdout)
    assert found["swept"] == ["9 operations older than 90 days are no longer in the history."]
    left = {f"{number:032x}" for number in (0, *range(10, 60))}
    for names in (
        {path.stem for path in (pruned.state / "journal").glob("0000*.json")},
        {path.stem for path in (pruned.backups / "history").glob("0000*.json")},
        {operation for (operation,) in pruned.fetch("SELECT operation_id FROM backups_operation WHERE operation_id LIKE '0000%'")},
    ):
        assert names == left


def test_prune_waits_for_no_lock_and_says_who_holds_it(pruned: WarmSite) -> None:
    names = make(pruned, 3)
    holder = pruned.run_python("-m", "backups.tests.holding", stdin=-1)
    assert holder.stdout
    operation = holder.stdout.readline().strip()
    try:
        refused = pruned.manage("backup_prune", "--no-input", check=False)
        assert refused.returncode == 4
        assert f"restore {operation[:8]}" in refused.stderr
        assert stored(pruned) == set(names)
        assert reasons(pruned)[names[0]] == [], "the dry run takes no lock"
    finally:
        holder.communicate("\n", timeout=60)


def test_a_store_that_is_away_for_a_while_costs_no_pin(pruned: WarmSite) -> None:
    first, second, third, fourth = make(pruned, 4)
    note(pruned, [first], "pinned = 1, note = 'before the audit'")
    # Its disk is not mounted, and the folder below is empty.
    away = pruned.backups.rename(pruned.data_dir / "away")
    pruned.backups.mkdir(mode=0o700)
    pruned.manage("backup_prune", "--no-input")
    assert listed(pruned) == set()
    shutil.rmtree(pruned.backups)
    away.rename(pruned.backups)
    pruned.manage("backup_prune", "--no-input")
    assert stored(pruned) == {first, third, fourth}, f"and not {second}, which no rule keeps"
    assert reasons(pruned)[first] == ["pinned"]
    assert reasons(pruned)[fourth] == ["newest", "last verified", "last 1 of 2"], "it is as verified as it was"
    assert pruned.fetch(f"SELECT note FROM backups_backup WHERE name = '{first}'") == [("before the audit",)]


@pytest.mark.parametrize("name", ["Atlantis/Capital", "Europe", "../etc", ""])
def test_a_time_zone_that_this_machine_does_not_know_stops_neither_pruning_nor_backups(pruned: WarmSite, name: str) -> None:
    _, _, third = make(pruned, 3)
    pruned.execute(f"UPDATE backups_backupschedule SET time_zone = '{name}', last_due_at = '2026-01-01 00:00:00'")
    assert [bool(why) for why in reasons(pruned).values()] == [True, True, False]
    # What says that the one of today has been made already.
    for journal in (pruned.state / "journal").glob("*.json"):
        journal.unlink()
    pruned.manage("shell", "--verbosity", "0", "--command", "from backups.services.schedule import schedules_run; schedules_run()")
    assert len(stored(pruned)) == 2, "the one that was due, and the one before it"
    assert third in stored(pruned)


def test_prune_forgets_used_links_of_downloads_and_warns_where_the_audit_file_was_changed(pruned: WarmSite) -> None:
    make(pruned, 1)
    old, new = (pruned.state / "downloads" / (letter * 32) for letter in "ab")
    old.parent.mkdir(mode=0o700)
    old.touch()
    new.touch()
    two_days_ago = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    os.utime(old, (two_days_ago, two_days_ago))
    code = "from backups.audit import audit_record\nfor act in ('pin', 'delete'): audit_record(act, who='ada', address='')"
    pruned.manage("shell", "--verbosity", "0", "--command", code)
    assert "audit" not in pruned.manage("backup_prune").stderr
    assert list(old.parent.iterdir()) == [new]
    log = pruned.state / "audit.log"
    log.write_text(log.read_text().replace("ada", "bob", 1))
    assert "warning: The audit file was changed before its line 2" in pruned.manage("backup_prune").stderr
