"""A restore rewinds the data and not what was decided since: schedules, pins, notes and verifications are today's."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backups.tests.golden import SIGNING_KEY, golden_archives
from backups.tests.site import Site, SiteTemplates
from backups.tests.warm import WarmSite

FIELDS = (
    "key, enabled, days, at, time_zone, uploads, note, keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly, "
    "last_due_at, attempts, next_attempt_at, last_error, is_default"
)
TICK = "from backups.services.tick import backup_tick; backup_tick()"
# A process that dies in a restore right after the swap, before anything is carried over.
DYING_AFTER_THE_SWAP = """
import os, signal
import django
django.setup()
from backups.services import restore
def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)
restore.operation_live = die
restore.backup_restore(archive={archive!r})
"""


@pytest.fixture
def warm(site: Site) -> WarmSite:
    return WarmSite.of(site)


def shell(site: WarmSite, code: str) -> None:
    imports = "from datetime import timedelta; from django.utils import timezone; from backups.models import Backup, BackupSchedule"
    site.manage("shell", "--verbosity", "0", "--command", f"{imports}; S = BackupSchedule.objects; {code}")


def tick(site: WarmSite) -> str:
    return site.manage("shell", "--verbosity", "0", "--command", TICK).stderr


def schedules(site: WarmSite) -> list[tuple[Any, ...]]:
    return site.fetch(f"SELECT {FIELDS} FROM backups_backupschedule ORDER BY key")


def notes(site: WarmSite) -> set[str]:
    return {note for (note,) in site.fetch("SELECT note FROM backups_backupschedule")}


def pinned(site: WarmSite) -> list[bool]:
    return [bool(value) for (value,) in site.fetch("SELECT pinned FROM backups_backup")]


def last_due(site: WarmSite) -> list[datetime]:
    found = [moment for (moment,) in site.fetch("SELECT last_due_at FROM backups_backupschedule")]
    return [moment if isinstance(moment, datetime) else datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in found]


def journals(site: WarmSite) -> list[tuple[Path, dict[str, Any]]]:
    """The journals of restores and undos with their files, oldest first."""
    found = [(path, json.loads(path.read_bytes())) for path in (site.state / "journal").glob("*.json")]
    return sorted(
        ((path, journal) for path, journal in found if journal["kind"] in ("restore", "undo")), key=lambda each: each[1]["created_at"]
    )


@pytest.fixture
def decided(warm: WarmSite) -> tuple[WarmSite, str]:
    """A site whose schedules and pins were changed after its archive was made; and the archive's name."""
    return decide(warm)


@pytest.fixture
def decided_sqlite(sqlite_site: Site) -> tuple[WarmSite, str]:
    """The same on SQLite alone, for what the engine has no part in."""
    return decide(WarmSite.of(sqlite_site))


def decide(warm: WarmSite) -> tuple[WarmSite, str]:
    # Hours from now: no due time passes while a test runs.
    at = f"{datetime.now(UTC) - timedelta(hours=6):%H:%M}"
    shell(warm, f"S.update(is_default=False, at='{at}', note='of the archive', last_due_at='2020-01-01T00:00Z')")
    archive = warm.manage("backup_create").stdout.strip()
    shell(
        warm,
        "S.update(note='of today', days=5, keep_last=9, attempts=2, next_attempt_at=timezone.now() + timedelta(minutes=30), last_error='x',"
        " last_due_at=timezone.now()); S.create(note='added today', time_zone='Europe/Berlin', at='23:15', enabled=False);"
        f"Backup.objects.filter(name='{archive}').update(pinned=True, note='keep it')",
    )
    return warm, archive


def test_restore_keeps_todays_schedules_in_every_field(decided: tuple[WarmSite, str]) -> None:
    site, archive = decided
    today = schedules(site)
    site.manage("backup_restore", archive, "--no-input")
    assert schedules(site) == today
    assert len(today) == 2
    assert [(bool(pinned), note) for pinned, note in site.fetch("SELECT pinned, note FROM backups_backup")] == [(True, "keep it")]


def test_rows_that_were_lost_are_made_anew_with_what_was_noted(decided_sqlite: tuple[WarmSite, str]) -> None:
    site, archive = decided_sqlite
    verified = site.fetch("SELECT verified_at FROM backups_backup")
    tick(site)
    site.execute("DELETE FROM backups_backup")
    assert archive in site.manage("backup_list", "--reconcile").stdout
    assert pinned(site) == [True]
    assert site.fetch("SELECT note FROM backups_backup") == [("keep it",)]
    assert site.fetch("SELECT verified_at FROM backups_backup") == verified
    shell(site, "Backup.objects.update(pinned=False)")
    tick(site)
    site.execute("DELETE FROM backups_backup")
    site.manage("backup_list", "--reconcile")
    assert pinned(site) == [False], "what was noted last counts"


def test_undo_keeps_todays_schedules(decided: tuple[WarmSite, str]) -> None:
    site, archive = decided
    site.manage("backup_restore", archive, "--no-input")
    shell(site, "S.filter(note='added today').delete(); S.update(note='after the restore')")
    today = schedules(site)
    site.manage("backup_undo", "--no-input")
    assert schedules(site) == today


def test_restore_in_place_keeps_todays_schedules(postgres_site: Site) -> None:
    site = WarmSite.of(postgres_site)
    archive = site.manage("backup_create").stdout.strip()
    shell(site, "S.update(is_default=False, note='of today')")
    today = schedules(site)
    site.manage("backup_restore", archive, "--no-input", "--strategy", "in-place")
    assert schedules(site) == today
    shell(site, "S.update(note='after the restore')")
    today = schedules(site)
    site.manage("backup_undo", "--no-input")
    assert schedules(site) == today


def test_archive_that_is_older_than_schedules_does_not_end_the_backups(warm: WarmSite) -> None:
    warm.manage("migrate", "backups", "0001", "--verbosity", "0")
    archive = warm.manage("backup_create").stdout.strip()
    warm.migrate()
    shell(warm, "S.update(is_default=False, note='of today')")
    today = schedules(warm)
    warm.manage("backup_restore", archive, "--no-input")
    assert schedules(warm) == today


def test_site_that_is_set_up_anew_gets_the_schedules_of_its_archive(
    decided_sqlite: tuple[WarmSite, str], site_templates: SiteTemplates
) -> None:
    site, archive = decided_sqlite
    fresh = WarmSite.of(site_templates.site(site.cluster))
    try:
        fresh.extra_env["SECRET_KEY"] = site.secret_key
        fresh.manage("backup_restore", site.backups / archive, "--no-input")
        assert notes(fresh) == {"of the archive"}
        # Its own were due for years: none of them fires for the past.
        assert all(datetime.now(UTC) - moment < timedelta(minutes=5) for moment in last_due(fresh))
        tick(fresh)
        assert list(fresh.backups.glob("*.zip")) == []
    finally:
        fresh.close()


def test_where_today_has_no_schedule_those_of_the_archive_go_on(decided_sqlite: tuple[WarmSite, str]) -> None:
    site, archive = decided_sqlite
    shell(site, "S.all().delete()")
    site.manage("backup_restore", archive, "--no-input")
    assert notes(site) == {"of the archive"}


def test_where_todays_schedules_cannot_be_read_those_of_the_archive_go_on(decided: tuple[WarmSite, str]) -> None:
    site, archive = decided
    site.execute("DROP TABLE backups_backupschedule")
    site.manage("backup_restore", archive, "--no-input")
    assert notes(site) == {"of the archive"}
    assert all(datetime.now(UTC) - moment < timedelta(minutes=5) for moment in last_due(site))
    assert pinned(site) == [True], "what can be read is carried over"


def test_restore_that_is_killed_after_the_swap_carries_over_in_its_recovery(decided: tuple[WarmSite, str]) -> None:
    site, archive = decided
    today = schedules(site)
    killed = site.run_python("-c", DYING_AFTER_THE_SWAP.format(archive=archive))
    _, said = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, said
    assert notes(site) == {"of the archive"}
    # Not the schedules of the archive, which are due since 2020.
    tick(site)
    assert schedules(site) == today
    assert [path.name for path in site.backups.glob("*.zip")] == [archive]
    assert journals(site)[-1][1]["arguments"]["carry_over"] == "done"


def test_what_was_left_undone_is_finished_by_the_tick(decided_sqlite: tuple[WarmSite, str]) -> None:
    site, archive = decided_sqlite
    today = schedules(site)
    # A history that cannot be read stops it after the schedules, before the catalogue.
    history = site.backups / "history"
    aside = history.rename(site.backups / "aside")
    history.write_bytes(b"a file where the folder should be")
    said = site.manage("backup_restore", archive, "--no-input").stderr
    assert "not all carried over yet" in said
    assert "backup_list --reconcile" in said
    assert schedules(site) == today
    assert pinned(site) in ([], [False]), "the row is the archive's, or there is none"
    shell(site, "S.filter(note='added today').update(note='changed meanwhile')")
    assert "could not carry over" in tick(site)

    history.unlink()
    aside.rename(history)
    tick(site)
    assert pinned(site) == [True]
    assert notes(site) == {"of today", "changed meanwhile"}, "schedules that were carried over are not carried over again"
    assert journals(site)[-1][1]["arguments"]["carry_over"] == "done"


@pytest.mark.parametrize(
    "by", [("shell", "--verbosity", "0", "--command", TICK), ("backup_list", "--reconcile")], ids=["tick", "reconcile"]
)
def test_schedules_that_were_not_put_back_are_put_back(decided_sqlite: tuple[WarmSite, str], by: tuple[str, ...]) -> None:
    site, archive = decided_sqlite
    today = schedules(site)
    site.manage("backup_restore", archive, "--no-input")
    # As a process leaves it that is killed after the end of its operation is recorded.
    leave_undone(site)
    shell(site, "S.all().delete(); S.create(note='of the archive', last_due_at='2020-01-01T00:00Z')")
    site.manage(*by)
    assert schedules(site) == today
    assert not [path for path in site.backups.glob("*.zip") if path.name != archive], "the archive's schedule has not run"


def leave_undone(site: WarmSite) -> None:
    path, journal = journals(site)[-1]
    journal["arguments"]["carry_over"] = "schedules"
    path.write_text(json.dumps(journal))


def test_next_restore_takes_over_what_the_one_before_left_undone(decided_sqlite: tuple[WarmSite, str]) -> None:
    site, archive = decided_sqlite
    today = schedules(site)
    site.manage("backup_restore", archive, "--no-input")
    leave_undone(site)
    shell(site, "S.all().delete(); S.create(note='of the archive', last_due_at='2020-01-01T00:00Z')")
    # The store does not answer either; so it cannot be finished first.
    history = site.backups / "history"
    aside = history.rename(site.backups / "aside")
    history.write_bytes(b"a file where the folder should be")
    site.manage("backup_undo", "--no-input")
    history.unlink()
    aside.rename(history)
    tick(site)
    assert schedules(site) == today
    assert [journal["arguments"]["carry_over"] for _, journal in journals(site)] == ["done", "done"]


@pytest.fixture(params=["sqlite", "postgresql"])
def blank(request: pytest.FixtureRequest, site_templates: SiteTemplates) -> Iterator[WarmSite]:
    """An installation that was never used."""
    site = WarmSite.of(site_templates.blank(request.getfixturevalue("pg") if request.param == "postgresql" else None))
    yield site
    site.close()


def test_golden_archive_on_a_new_machine_brings_one_schedule(blank: WarmSite) -> None:
    (archive,) = (path for path in golden_archives() if path.stem.endswith(blank.vendor))
    blank.extra_env["BACKUPS_SIGNING_KEYS"] = SIGNING_KEY
    blank.manage("backup_restore", archive, "--no-input")
    assert [bool(default) for (default,) in blank.fetch("SELECT is_default FROM backups_backupschedule")] == [True]
    assert all(datetime.now(UTC) - moment < timedelta(minutes=5) for moment in last_due(blank))
