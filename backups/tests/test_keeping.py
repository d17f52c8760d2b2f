"""What the list says of how long each archive stays; and that the prune goes by the same."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from backups.journal import Journal
from backups.models import Backup, BackupSchedule
from backups.schedules import next_runs
from backups.services.keeping import Kept, archives_judge, archives_judged, rules_try, rules_try_all
from backups.services.listing import backup_list
from backups.storage.local import LocalStore

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_state")]


@pytest.fixture
def schedule() -> BackupSchedule:
    """One that keeps the newest two, and nothing more."""
    BackupSchedule.objects.all().delete()
    return BackupSchedule.objects.create(keep_last=2, keep_daily=0, keep_weekly=0, keep_monthly=0, time_zone="UTC")


def made(nights_ago: int, trigger: str, **fields: Any) -> str:
    """The row of a good archive; its name."""
    at = fields.pop("created_at", timezone.now() - timedelta(days=nights_ago, hours=1))
    name = f"backup_{at:%Y%m%d_%H%M%S}_{Backup.objects.count():08x}.zip"
    row = {"verified_at": at, "size": 1000, "vendor": "sqlite", "row_count": 1, "has_uploads": True, **fields}
    Backup.objects.create(name=name, archive_id=name[23:31], created_at=at, trigger=trigger, **row)
    return name


def judged(name: str) -> Kept:
    return archives_judged()[name]


def test_each_of_a_schedule_stays_until_the_run_that_pushes_it_out(schedule: BackupSchedule) -> None:
    names = [made(night, schedule.trigger) for night in range(3)]
    first, second = next_runs(schedule, timezone.now(), 2)
    kept = archives_judged()
    assert [(kept[name].until, kept[name].rule, kept[name].goes) for name in names] == [
        (second, "last 1 of 2", False),
        (first, "last 2 of 2", False),
        (None, "no rule keeps it", True),
    ]
    assert kept[names[0]].how_long == f"until {second:%Y-%m-%d}"
    assert kept[names[2]].how_long == "until the next prune"


def test_the_day_is_that_of_the_site(schedule: BackupSchedule, settings: Any) -> None:
    BackupSchedule.objects.update(at=time(20))
    name = made(0, schedule.trigger)
    with timezone.override("Pacific/Kiritimati"):  # fourteen hours ahead of UTC
        kept = judged(name)
    assert kept.until
    assert kept.how_long == f"until {kept.until + timedelta(hours=14):%Y-%m-%d}"
    assert (kept.until + timedelta(hours=14)).date() > kept.until.date()


@pytest.mark.parametrize(
    ("trigger", "fields", "how_long", "rule"),
    [
        ("manual", {}, "for ever", "manual ones always stay"),
        ("schedule:0badcafe", {}, "for ever", "its schedule is gone"),
        ("schedule:0badcafe", {"is_uploaded": True}, "for ever", "uploaded ones always stay"),
        ("before-restore", {}, "while among the newest 5 before-restore ones", "last 1 of 5"),
        ("before-migrate", {"pinned": True}, "for ever", "pinned"),
        ("", {}, "for ever", "it cannot be read"),
    ],
)
def test_what_no_schedule_made_stays_for_its_own_reason(
    schedule: BackupSchedule, trigger: str, fields: dict[str, Any], how_long: str, rule: str
) -> None:
    kept = judged(made(900, trigger, **fields))
    assert (kept.how_long, kept.rule, kept.until, kept.goes) == (how_long, rule, None, False)


def test_newest_few_made_for_safety_stay_and_the_others_go(schedule: BackupSchedule, settings: Any) -> None:
    settings.BACKUPS_KEEP_SAFETY = 1
    newest, older = made(0, "before-restore"), made(1, "before-restore")
    assert judged(newest).how_long == "while the newest before-restore one"
    assert judged(older).goes


def test_pinned_one_of_a_schedule_stays_for_ever(schedule: BackupSchedule) -> None:
    made(0, schedule.trigger), made(1, schedule.trigger)
    pinned = made(2, schedule.trigger, pinned=True)
    assert (judged(pinned).how_long, judged(pinned).rule) == ("for ever", "pinned")


def test_uploaded_one_counts_under_no_rule(schedule: BackupSchedule) -> None:
    # Brought back from elsewhere, and newer than those that are here.
    uploaded = made(0, schedule.trigger, is_uploaded=True)
    here = [made(night, schedule.trigger) for night in (1, 2)]
    assert judged(uploaded).how_long == "for ever"
    assert [judged(name).rule for name in here] == ["last 1 of 2", "last 2 of 2"]
    assert [archive.name for archive in rules_try(schedule).archives] == here


def test_what_is_kept_by_a_schedule_that_is_off_stays_while_it_is(schedule: BackupSchedule) -> None:
    BackupSchedule.objects.update(enabled=False)
    names = [made(night, schedule.trigger) for night in range(3)]
    assert [judged(name).how_long for name in names] == ["while its schedule is off"] * 2 + ["until the next prune"]


def test_rules_that_keep_for_many_years_are_not_foreseen_to_their_end(schedule: BackupSchedule) -> None:
    BackupSchedule.objects.update(keep_yearly=30)
    long_ago = made(0, schedule.trigger, created_at=datetime(2020, 12, 31, 12, tzinfo=UTC))
    made(0, schedule.trigger)
    assert (judged(long_ago).how_long, judged(long_ago).rule) == ("for more than 5 years", "yearly 2 of 30")


def test_archive_of_a_clock_that_was_ahead_stays_until_its_time(schedule: BackupSchedule) -> None:
    ahead = made(0, schedule.trigger, created_at=timezone.now() + timedelta(days=400))
    assert (judged(ahead).how_long, judged(ahead).rule) == ("until the clock has caught up", "made while the clock was ahead")


def test_what_an_undo_or_a_request_needs_stays(schedule: BackupSchedule) -> None:
    names = [made(night, schedule.trigger) for night in range(4)]
    Journal("restore", id="a" * 32, status="done", kept={"archive": names[3], "until": timezone.now().isoformat()}).save()
    Journal("verify", id="b" * 32, archive=names[1]).save()
    kept = archives_judged()
    assert (kept[names[3]].how_long, kept[names[3]].rule) == ("while it is needed", "the undo of restore aaaaaaaa needs it")
    assert kept[names[1]].how_long.startswith("at least until ")
    assert kept[names[1]].kept_by == ("last 2 of 2", "the verification bbbbbbbb waits for it")
    assert kept[names[2]].goes
    tried = rules_try(schedule)
    assert ([archive.name for archive in tried.now], tried.next) == ([names[2]], ())


def test_rules_of_each_schedule_are_tried_as_alone(schedule: BackupSchedule) -> None:
    other = BackupSchedule.objects.create(keep_last=1, keep_daily=0, keep_weekly=0, keep_monthly=0, at=time(5), time_zone="UTC")
    mine = [made(night, schedule.trigger) for night in range(5)]
    others = [made(night, other.trigger) for night in range(3)]
    tried = rules_try_all([schedule, other])
    assert tried == {schedule.key: rules_try(schedule), other.key: rules_try(other)}
    assert [archive.name for archive in tried[schedule.key].now] == mine[2:]
    assert [archive.name for archive in tried[schedule.key].next] == [mine[1]]
    assert [archive.name for archive in tried[other.key].now] == others[1:]
    assert tried[other.key].bytes_said == "2 kB"


def test_two_queries_are_enough_for_thousands(schedule: BackupSchedule, django_assert_num_queries: Any) -> None:
    now = timezone.now()
    Backup.objects.bulk_create(
        Backup(
            name=f"backup_20200101_000000_{number:08x}.zip",
            archive_id=f"{number:032x}",
            created_at=now - timedelta(hours=number),
            trigger=(schedule.trigger, "manual", "before-restore")[number % 3],
            size=1,
            vendor="sqlite",
            row_count=1,
            has_uploads=False,
            verified_at=now,
        )
        for number in range(2000)
    )
    with django_assert_num_queries(2):
        kept = archives_judged()
    assert len(kept) == 2000
    assert sum(one.goes for one in kept.values()) == (667 - 2) + (666 - 5)


def test_no_archive_is_read(schedule: BackupSchedule, monkeypatch: pytest.MonkeyPatch) -> None:
    def untouchable(*_: object, **__: object) -> None:
        raise AssertionError("An archive was opened.")

    monkeypatch.setattr(LocalStore, "open", untouchable)
    monkeypatch.setattr(LocalStore, "list", untouchable)
    name = made(0, schedule.trigger)
    assert set(archives_judged()) == {name}


def test_list_says_what_the_prune_goes_by(schedule: BackupSchedule, settings: Any, tmp_path: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "backups": {**settings.STORAGES["backups"], "OPTIONS": {"location": str(tmp_path / "store")}}}
    (tmp_path / "store").mkdir(mode=0o700)
    for trigger in (schedule.trigger, "manual", "before-restore"):
        for night in range(7):
            name = made(night, trigger, pinned=night == 6, verified_at=None if night == 1 else timezone.now(), problem="bad" * (night == 2))
            (tmp_path / "store" / name).write_bytes(b"as large as the row says".ljust(1000))
    assert archives_judge(backup_list()) == archives_judged()
    assert {one.goes for one in archives_judged().values()} == {True, False}
