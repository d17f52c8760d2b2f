"""Scheduled backups by the tick: once each, caught up once, retried, reported; whatever stops them in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backups.models import BackupSchedule
from backups.schedules import due_between
from backups.tests.site import Completed, Site
from backups.tests.warm import WarmSite

# Hours from now: no due time passes while a test runs.
AT = (datetime.now(UTC) - timedelta(hours=6)).time().replace(second=0, microsecond=0)
TICK = "from backups.services.tick import backup_tick; backup_tick()"


@pytest.fixture
def scheduled(sqlite_site: Site, tmp_path: Path) -> WarmSite:
    """A site whose default schedule is settled up to now, and whose mails to the admins are files."""
    return prepared(sqlite_site, tmp_path)


@pytest.fixture
def scheduled_on_each(site: Site, tmp_path: Path) -> WarmSite:
    """The same on each engine, for what its lock and its columns have a part in."""
    return prepared(site, tmp_path)


def prepared(site: Site, tmp_path: Path) -> WarmSite:
    site.extra_env |= {"EMAIL_URL": f"filemail:///{tmp_path}/mail", "ADMINS": "ann@example.org", "BACKUPS_RETRY_MINUTES": "5"}
    site.execute(f"UPDATE backups_backupschedule SET at = '{AT:%H:%M}:00'")
    return WarmSite.of(site)


def tick(site: WarmSite) -> Completed:
    return site.manage("shell", "--verbosity", "0", "--command", TICK)


def mails(tmp_path: Path) -> list[str]:
    return [path.read_text() for path in sorted((tmp_path / "mail").glob("*"))]


def row(site: WarmSite) -> dict[str, Any]:
    names = ("key", "last_due_at", "attempts", "next_attempt_at", "last_error", "enabled")
    (values,) = site.fetch(f"SELECT {', '.join(names)} FROM backups_backupschedule")
    return dict(zip(names, values, strict=True))


def as_instant(value: object) -> datetime:
    """A column of time, from either driver."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value)).replace(tzinfo=UTC)


def stamp(moment: datetime) -> str:
    return f"'{moment:%Y-%m-%d %H:%M:%S}'"


def now() -> datetime:
    return datetime.now(UTC)


def make_due(site: WarmSite, *, days: int = 1) -> datetime:
    """Settle the schedule ``days`` ago only, so that runs are missed since; returns the due time of the latest."""
    site.execute(f"UPDATE backups_backupschedule SET last_due_at = {stamp(now() - timedelta(days=days))}")
    due = due_between(BackupSchedule(at=AT, time_zone="UTC"), now() - timedelta(days=days), now())
    assert due
    return due


def end_pause(site: WarmSite) -> None:
    """Let the pause before the next attempt be over."""
    site.execute(f"UPDATE backups_backupschedule SET next_attempt_at = {stamp(now() - timedelta(seconds=5))}")


def archives(site: WarmSite) -> list[str]:
    return sorted(path.name for path in site.backups.glob("*.zip"))


@contextmanager
def lock_held(site: WarmSite) -> Iterator[None]:
    """Another operation holds the lock meanwhile."""
    holder = site.run_python("-m", "backups.tests.holding", stdin=subprocess.PIPE)
    assert holder.stdout
    holder.stdout.readline()
    try:
        yield
    finally:
        holder.communicate("\n", timeout=60)


@contextmanager
def store_in_the_way(site: WarmSite) -> Iterator[None]:
    """A store that cannot be written, so that every backup fails."""
    site.backups.mkdir(exist_ok=True)
    aside = site.backups.rename(site.backups.with_name("aside"))
    site.backups.write_bytes(b"a file where the folder should be")
    yield
    site.backups.unlink()
    aside.rename(site.backups)


def test_new_schedule_does_not_fire_for_the_past(scheduled: WarmSite) -> None:
    tick(scheduled)
    assert archives(scheduled) == []


def test_missed_runs_are_caught_up_once_and_pruned(scheduled_on_each: WarmSite) -> None:
    due = make_due(scheduled_on_each, days=9)
    tick(scheduled_on_each)
    tick(scheduled_on_each)
    (archive,) = archives(scheduled_on_each)
    settled = row(scheduled_on_each)
    assert as_instant(settled["last_due_at"]) == due
    assert (settled["attempts"], settled["next_attempt_at"]) == (0, None)
    assert f"schedule:{settled['key']}" in scheduled_on_each.manage("backup_list").stdout
    kinds = [kind for (kind,) in scheduled_on_each.fetch("SELECT kind FROM backups_operation ORDER BY started_at")]
    assert kinds == ["create", "prune"]
    assert archive


def test_note_of_several_lines_as_a_browser_sends_them_ends_no_backup(scheduled: WarmSite) -> None:
    scheduled.execute("UPDATE backups_backupschedule SET note = 'Nightly.' || char(13) || char(10) || 'Keep it.'")
    make_due(scheduled)
    tick(scheduled)
    assert len(archives(scheduled)) == 1
    assert scheduled.fetch("SELECT note FROM backups_backup") == [("Nightly.\nKeep it.",)]


def test_schedule_that_was_off_does_not_fire_for_the_past_when_it_is_on_again(scheduled: WarmSite) -> None:
    scheduled.execute("UPDATE backups_backupschedule SET enabled = false")
    make_due(scheduled, days=5)
    tick(scheduled)
    switch_on = "from backups.models import BackupSchedule as S; s = S.objects.get(); s.enabled = True; s.save()"
    scheduled.manage("shell", "--verbosity", "0", "--command", switch_on)
    tick(scheduled)
    assert archives(scheduled) == []
    assert now() - as_instant(row(scheduled)["last_due_at"]) < timedelta(minutes=5)


def test_two_ticks_at_once_make_one_backup(scheduled_on_each: WarmSite) -> None:
    make_due(scheduled_on_each)
    ticks = [Site.popen(scheduled_on_each, "shell", "--verbosity", "0", "--command", TICK) for _ in range(3)]
    for process in ticks:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    tick(scheduled_on_each)
    assert len(archives(scheduled_on_each)) == 1
    assert row(scheduled_on_each)["attempts"] == 0


def test_run_that_meets_the_lock_waits(scheduled_on_each: WarmSite) -> None:
    due = make_due(scheduled_on_each)
    with lock_held(scheduled_on_each):
        said = tick(scheduled_on_each).stderr
    assert "is due and waits" in said
    assert archives(scheduled_on_each) == []
    assert row(scheduled_on_each)["attempts"] == 0, "to wait is no failure"
    tick(scheduled_on_each)
    assert len(archives(scheduled_on_each)) == 1
    assert as_instant(row(scheduled_on_each)["last_due_at"]) == due


def test_failure_is_retried_with_growing_pauses_and_then_reported(scheduled_on_each: WarmSite, tmp_path: Path) -> None:
    due = make_due(scheduled_on_each)
    with store_in_the_way(scheduled_on_each):
        for attempt, minutes in ((1, 5), (2, 15), (3, 45)):
            said = tick(scheduled_on_each).stderr
            assert f"attempt {attempt} of 4, the next in {minutes} minutes" in said
            found = row(scheduled_on_each)
            assert found["attempts"] == attempt
            pause = as_instant(found["next_attempt_at"]) - now()
            assert timedelta(minutes=minutes - 2) < pause <= timedelta(minutes=minutes)
            assert "failed" not in tick(scheduled_on_each).stderr, "it pauses"
            assert (found["last_error"], mails(tmp_path)) == ("", [])
            end_pause(scheduled_on_each)
        assert "was given up after 4 attempts" in tick(scheduled_on_each).stderr
        tick(scheduled_on_each)
    found = row(scheduled_on_each)
    assert (as_instant(found["last_due_at"]), found["attempts"], found["next_attempt_at"]) == (due, 0, None)
    assert found["last_error"].startswith(f"Nothing can be written in the folder {scheduled_on_each.backups}")
    (mail,) = mails(tmp_path)
    assert "To: ann@example.org" in mail
    assert "Subject: [TimeTracker] A scheduled backup failed" in mail
    assert f"due at {due:%Y-%m-%d %H:%M} UTC was not made, in 4 attempts" in mail
    assert f"Last attempt: {found['last_error']}" in mail
    # The next night is a new one, and its success clears the error.
    make_due(scheduled_on_each)
    tick(scheduled_on_each)
    assert len(archives(scheduled_on_each)) == 1
    assert row(scheduled_on_each)["last_error"] == ""


def test_later_attempt_that_succeeds_settles_the_run(scheduled: WarmSite, tmp_path: Path) -> None:
    due = make_due(scheduled)
    with store_in_the_way(scheduled):
        tick(scheduled)
    end_pause(scheduled)
    tick(scheduled)
    assert len(archives(scheduled)) == 1
    assert (as_instant(row(scheduled)["last_due_at"]), row(scheduled)["attempts"]) == (due, 0)
    assert mails(tmp_path) == []


def test_mail_that_cannot_be_sent_does_not_stop_the_tick(scheduled: WarmSite) -> None:
    scheduled.extra_env["EMAIL_URL"] = "smtp://127.0.0.1:9"
    make_due(scheduled)
    with store_in_the_way(scheduled):
        for _ in range(4):
            if row(scheduled)["attempts"]:
                end_pause(scheduled)
            said = tick(scheduled).stderr
    assert "The mail to the admins could not be sent" in said
    assert row(scheduled)["last_error"]


@pytest.mark.parametrize("stage", ["dump", "verify", "store"])
def test_run_whose_process_was_killed_is_made_after_a_pause_and_once(scheduled: WarmSite, stage: str) -> None:
    due = make_due(scheduled)
    killed = scheduled.interrupted(signal.SIGKILL, stage, "shell", "--verbosity", "0", "--command", TICK)
    assert killed.returncode == -signal.SIGKILL
    tick(scheduled)
    assert archives(scheduled) == []
    assert row(scheduled)["attempts"] == 1
    end_pause(scheduled)
    tick(scheduled)
    assert len(archives(scheduled)) == 1
    assert as_instant(row(scheduled)["last_due_at"]) == due


def test_run_that_kills_its_process_each_time_is_given_up_and_reported(scheduled_on_each: WarmSite, tmp_path: Path) -> None:
    due = make_due(scheduled_on_each)
    for attempt in range(1, 5):
        scheduled_on_each.interrupted(signal.SIGKILL, "dump", "shell", "--verbosity", "0", "--command", TICK)
        assert row(scheduled_on_each)["attempts"] == attempt
        end_pause(scheduled_on_each)
    tick(scheduled_on_each)
    assert as_instant(row(scheduled_on_each)["last_due_at"]) == due
    assert row(scheduled_on_each)["last_error"] == "Interrupted; it changed nothing."
    assert len(mails(tmp_path)) == 1


def test_backup_that_was_made_is_not_made_again_where_its_row_was_not_settled(scheduled: WarmSite) -> None:
    due = make_due(scheduled)
    tick(scheduled)
    # As if the database had failed between the end of the backup and the row; by now the pause is over.
    scheduled.execute(
        f"UPDATE backups_backupschedule SET last_due_at = {stamp(due - timedelta(days=1))}, attempts = 1, "
        f"next_attempt_at = {stamp(now() - timedelta(seconds=5))}"
    )
    tick(scheduled)
    assert len(archives(scheduled)) == 1
    assert (as_instant(row(scheduled)["last_due_at"]), row(scheduled)["attempts"]) == (due, 0)


def test_clock_that_was_once_set_ahead_does_not_silence_a_schedule(scheduled: WarmSite) -> None:
    scheduled.execute("UPDATE backups_backupschedule SET last_due_at = '2099-01-01 00:00:00'")
    assert "begins anew" in tick(scheduled).stderr
    assert archives(scheduled) == []
    make_due(scheduled)
    tick(scheduled)
    assert len(archives(scheduled)) == 1


def test_schedule_that_cannot_be_reckoned_does_not_keep_others_from_running(scheduled: WarmSite) -> None:
    add = "from backups.models import BackupSchedule as S; S.objects.create(key='0a1b2c3d')"
    scheduled.manage("shell", "--verbosity", "0", "--command", add)
    make_due(scheduled)
    scheduled.execute("UPDATE backups_backupschedule SET at = 'at night' WHERE key = '0a1b2c3d'")
    assert "The schedule 0a1b2c3d could not be looked after" in tick(scheduled).stderr
    assert len(archives(scheduled)) == 1


def test_catalogue_that_a_restore_could_not_carry_over_does_not_end_the_backups_in_silence(scheduled: WarmSite) -> None:
    scheduled.manage("backup_create")
    (path,) = (scheduled.state / "journal").glob("[!.]*.json")
    left = json.loads(path.read_bytes())
    # The schedules are put back, and then the store did not answer any more.
    left["arguments"] |= {"carry_over": "catalogue", "catalogue": {}}
    path.write_text(json.dumps(left))
    make_due(scheduled)
    away = scheduled.backups.rename(scheduled.data_dir / "away")
    scheduled.backups.write_text("not a folder")
    assert "attempt 1 of 4" in tick(scheduled).stderr
    assert row(scheduled)["attempts"] == 1
    scheduled.backups.unlink()
    away.rename(scheduled.backups)
    end_pause(scheduled)
    tick(scheduled)
    assert len(archives(scheduled)) == 2
    assert row(scheduled)["attempts"] == 0


def test_content_and_note_are_those_of_the_schedule(scheduled: WarmSite) -> None:
    scheduled.media.mkdir(exist_ok=True)
    (scheduled.media / "receipt.pdf").write_bytes(b"%PDF")
    scheduled.execute("UPDATE backups_backupschedule SET uploads = false, note = 'nightly'")
    make_due(scheduled)
    tick(scheduled)
    (found,) = json.loads(scheduled.manage("backup_list", "--json").stdout.splitlines()[-1])["archives"]
    assert (found["note"], found["uploads"], found["pinned"]) == ("nightly", None, False)


def test_while_a_restore_is_at_work_no_schedule_runs(scheduled: WarmSite) -> None:
    due = make_due(scheduled)
    inside = (
        "from backups.gate import gate_raise, gate_open; from backups.services.schedule import schedules_run;"
        "gate_raise('f' * 32, 'restore'); schedules_run(); gate_open()"
    )
    scheduled.manage("shell", "--verbosity", "0", "--command", inside)
    assert archives(scheduled) == []
    assert as_instant(row(scheduled)["last_due_at"]) < due
