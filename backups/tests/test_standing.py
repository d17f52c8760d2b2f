"""The banner: its level and sentences in each state, and that it never says less than the health page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site_settings
from django.core.cache import caches
from django.db import connection
from django.template.loader import render_to_string
from django.utils import timezone
from pytest_django import Settings

from backups.conf import conf
from backups.engines import engine_for
from backups.gate import gate_close, gate_open, gate_raise
from backups.journal import Journal
from backups.models import Backup, BackupSchedule
from backups.presence import WORKER_KEY, tick_note, worker_announce, worker_withdraw
from backups.services.health import backup_health
from backups.services.lock import lock_taken
from backups.services.standing import Standing, standing
from backups.storage.local import LocalStore

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def well(own_gate: None, db: None, tmp_path: Path, settings: Settings) -> None:
    """All is well: a fresh archive that was verified, an older one, a schedule, a worker, a tick."""
    store = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path / "store")}}
    settings.STORAGES = {**settings.STORAGES, "backups": store}
    (tmp_path / "store").mkdir(mode=0o700)
    made(3, verified_at=timezone.now() - 2 * HOUR)
    made(20)
    BackupSchedule.objects.all().delete()
    BackupSchedule.objects.create(key="5c4ed01e")
    worker_announce("worker@here")
    caches["backups"].touch(WORKER_KEY, None)
    tick_note()


def made(hours_ago: float, **fields: Any) -> None:
    """An archive in the store (none of its bytes may be read), and its row."""
    at = (timezone.now() - hours_ago * HOUR).replace(microsecond=0)
    name = f"backup_{at:%Y%m%d_%H%M%S}_{Backup.objects.count():08x}.zip"
    row = {"trigger": "manual", "size": 1, "vendor": "x", "row_count": 1, "has_uploads": True, **fields}
    Backup.objects.create(name=name, archive_id=name[23:31], created_at=at, **row)
    (store_folder() / name).write_bytes(b"not opened")


def store_folder() -> Path:
    return Path(site_settings.STORAGES["backups"]["OPTIONS"]["location"])


def told(found: Standing, icon: str) -> list[str]:
    """The sentences with that icon."""
    return [line.text for line in found.lines if line.icon == icon]


# --- what each state is -------------------------------------------------------------------------------------------------


def test_an_archive_that_was_brought_does_not_hide_that_none_is_made() -> None:
    Backup.objects.all().delete()
    made(50)
    made(1, is_uploaded=True, verified_at=timezone.now())
    assert told(standing(), "bad") == ["The last good backup is 50 hours old, more than 26."]


def test_an_archive_that_was_brought_is_no_backup_of_this_site() -> None:
    Backup.objects.all().delete()
    made(1, is_uploaded=True, verified_at=timezone.now())
    found = standing()
    assert (found.level, found.last_backup) == ("red", None)
    assert told(found, "bad") == ["There is no good backup of this site's own: the good archives of the store were brought here."]
    made(2, problem="db.dump is damaged.")
    assert standing().level == "red", "one of its own that is damaged is none"
    made(0.5)
    assert standing().level == "green"


def test_all_is_well() -> None:
    found = standing()
    assert (found.level, found.headline, found.icon) == ("green", "The backups are in order.", "good")
    last, following = found.lines
    assert last.icon == "good"
    assert last.text.startswith("Last good backup: 3 hours ago (")
    assert last.text.endswith("), verified 2 hours ago.")
    assert following.text.startswith("Next backup: in ")
    assert found.last_backup
    assert found.next_run
    assert found.undo_until is None
    assert timezone.now() < found.next_run <= timezone.now() + timedelta(days=1)


def no_backup() -> None:
    Backup.objects.all().delete()
    for path in store_folder().iterdir():
        path.unlink()


def too_old() -> None:
    no_backup()
    made(40)


def newest_damaged() -> None:
    Backup.objects.filter(pk=Backup.objects.first().pk).update(problem="db.dump is damaged.")  # type: ignore[union-attr]


def given_up() -> None:
    BackupSchedule.objects.update(last_error="The disk is full.")


def interrupted() -> None:
    journal = Journal("restore", id="0badcafe" * 4)
    journal.start()


def journal_damaged() -> None:
    Journal("create", id="0badcafe" * 4).path.parent.mkdir(parents=True, exist_ok=True)
    Journal("create", id="0badcafe" * 4).path.write_bytes(b"\0\0")


@pytest.mark.parametrize(
    ("happen", "sentence"),
    [
        (no_backup, "There is no good backup in the store."),
        (too_old, "The last good backup is 40 hours old, more than 26."),
        (newest_damaged, "is not good: db.dump is damaged."),
        (given_up, "The schedule 5c4ed01e fails: The disk is full."),
        (interrupted, "The restore 0badcafe was interrupted and waits for recovery."),
        (journal_damaged, "The journal of operation 0badcafe is damaged."),
    ],
)
def test_what_puts_the_data_at_risk_is_red(happen: Callable[[], None], sentence: str) -> None:
    happen()
    found = standing()
    assert (found.level, found.headline) == ("red", "The backups need you now.")
    (said,) = told(found, "bad")
    assert said.endswith(sentence)
    assert found.lines[0].text == said, "what is wrong comes first"


def no_worker() -> None:
    worker_withdraw("worker@here")


def tick_late() -> None:
    late = (timezone.now() - timedelta(minutes=9)).isoformat()
    (conf.state_dir / "tick").write_text(f'{{"time": "{late}"}}')
    caches["backups"].set("tick", late, timeout=None)


def none_on() -> None:
    BackupSchedule.objects.update(enabled=False)


def being_retried() -> None:
    BackupSchedule.objects.update(attempts=2, next_attempt_at=timezone.now() + HOUR)


@pytest.mark.parametrize(
    ("happen", "sentence"),
    [
        (no_worker, "No worker is there: nothing that was asked for, and no schedule, is carried out."),
        (tick_late, "The tick that starts the schedules has not come for 9 minutes."),
        (none_on, "No schedule is on, so no backup is made by itself."),
        (being_retried, "The schedule 5c4ed01e has not succeeded yet, in 2 of 4 attempts; it tries again by itself."),
    ],
)
def test_what_will_put_the_data_at_risk_is_amber(happen: Callable[[], None], sentence: str) -> None:
    happen()
    found = standing()
    assert (found.level, found.headline, told(found, "warning")) == ("amber", "The backups need a look.", [sentence])
    assert told(found, "bad") == []


# The health page asks in threads of its own.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("happen", [no_backup, too_old, newest_damaged, given_up, interrupted, journal_damaged, no_worker, tick_late])
def test_banner_says_all_that_the_health_page_says(happen: Callable[[], None]) -> None:
    happen()
    # A machine that is very busy may take too long to answer for its cache, once.
    problems = [problem for problem in backup_health().problems if "cache" not in problem]
    assert problems
    assert [line.text for line in standing().lines if line.icon in ("bad", "warning") and "cache" not in line.text] == problems


def test_worst_of_several_is_the_level_and_all_are_said() -> None:
    no_worker()
    given_up()
    found = standing()
    assert (found.level, len(told(found, "bad")), len(told(found, "warning"))) == ("red", 1, 1)


def test_an_attempt_that_is_at_work_has_not_failed() -> None:
    BackupSchedule.objects.update(attempts=1, next_attempt_at=timezone.now() + HOUR)
    Journal("create", id="0badcafe" * 4).start()
    with lock_taken(engine_for(), "0badcafe" * 4):
        found = standing()
    assert (found.level, told(found, "busy")) == ("green", ["The backup is at work."])


def test_damaged_newest_leaves_the_one_before_as_the_last_good() -> None:
    newest_damaged()
    assert any(
        line.startswith("Last good backup: 20 hours ago") and line.endswith("not verified here.") for line in told(standing(), "clock")
    )


def test_archive_of_a_clock_that_was_ahead_is_not_the_last_backup() -> None:
    made(-500)
    found = standing()
    assert found.last_backup
    assert found.last_backup.made_at < timezone.now()
    assert found.level == "green"


def test_backup_that_is_due_is_told_as_due_now() -> None:
    BackupSchedule.objects.update(attempts=1, next_attempt_at=timezone.now() - timedelta(minutes=1))
    assert any(line.startswith("Next backup: now (") for line in told(standing(), "clock"))


def test_moments_are_told_as_such() -> None:
    made(0.001, verified_at=timezone.now())
    BackupSchedule.objects.update(attempts=1, next_attempt_at=timezone.now() + timedelta(seconds=40))
    found = standing()
    assert told(found, "good")[0].startswith("Last good backup: just now (")
    assert told(found, "good")[0].endswith("), verified just now.")
    assert told(found, "clock")[0].startswith("Next backup: in less than a minute (")


def test_undo_is_told_while_it_is_there() -> None:
    until = timezone.now() + 5 * HOUR
    journal = Journal("restore", kept={"database": {"path": "x"}, "until": until.isoformat()})
    journal.start()
    journal.end("done")
    found = standing()
    assert found.undo_until == until
    assert told(found, "undo") == [f"The last restore can be undone until {until:%Y-%m-%d %H:%M}."]


def test_undo_past_its_time_is_not_told() -> None:
    journal = Journal("restore", kept={"database": {"path": "x"}, "until": (timezone.now() - HOUR).isoformat()})
    journal.start()
    journal.end("done")
    found = standing()
    assert (found.undo_until, told(found, "undo")) == (None, [])


def test_times_are_those_of_the_site() -> None:
    with timezone.override("Asia/Kathmandu"):
        found = standing()
    assert found.next_run
    assert f"({found.next_run + timedelta(hours=5, minutes=45):%Y-%m-%d %H:%M})" in told(found, "clock")[0]


# --- what it costs, and what cannot break it ----------------------------------------------------------------------------


def test_three_queries_and_no_store(django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def untouchable(*_: object, **__: object) -> None:
        raise AssertionError("The store was asked.")

    monkeypatch.setattr(LocalStore, "open", untouchable)
    monkeypatch.setattr(LocalStore, "list", untouchable)
    with django_assert_num_queries(3):
        assert standing().level == "green"


def test_closed_database_is_not_asked(django_assert_num_queries: Any) -> None:
    gate_raise("0badcafe" * 4, "restore")
    gate_close()
    try:
        with django_assert_num_queries(0):
            found = standing()
    finally:
        gate_open()
    assert told(found, "busy") == ["The database is being replaced: what it knows of the backups can be read in a moment."]


@pytest.mark.django_db(transaction=True)
def test_database_without_its_tables_is_told() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE backups_backup RENAME TO elsewhere")
    try:
        found = standing()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO backups_backup")
    assert found.level == "red"
    assert any(line.startswith("The database cannot be asked: ") for line in told(found, "bad"))


def test_gate_out_of_reach_is_told(cache_away: None) -> None:
    found = standing()
    assert found.level == "amber"
    assert told(found, "warning")[0] == "The gate's cache is out of reach: no restore could begin."


def test_banner_has_words_beside_each_icon_and_escapes_them() -> None:
    BackupSchedule.objects.update(last_error="<script>alert(1)</script>")
    page = render_to_string("backups/banner_standing.html", {"standing": standing()})
    assert "<script>" not in page
    assert "The backups need you now." in page
    assert page.count("<svg") == page.count('aria-hidden="true"') == 1 + page.count("<li ")
    assert "style=" not in page
