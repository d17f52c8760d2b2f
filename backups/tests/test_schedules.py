"""When schedules are due: one instant for each chosen day, in every time zone and across every change of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.models import EVERY_DAY, BackupSchedule
from backups.schedules import due_between, next_runs, sentence

MICROSECOND = timedelta(microseconds=1)


def schedule_at(at: str, zone: str, *, days: int = EVERY_DAY, **fields: object) -> BackupSchedule:
    return BackupSchedule(at=time.fromisoformat(at), time_zone=zone, days=days, **fields)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "at", "day", "instant"),
    [
        ("Europe/Berlin", "02:30", "2026-07-01", "2026-07-01 00:30"),
        # The clocks leave out 02:00 to 03:00 …
        ("Europe/Berlin", "02:00", "2026-03-29", "2026-03-29 01:00"),
        ("Europe/Berlin", "02:30", "2026-03-29", "2026-03-29 01:00"),
        ("Europe/Berlin", "03:00", "2026-03-29", "2026-03-29 01:00"),
        # … and have it twice.
        ("Europe/Berlin", "02:30", "2026-10-25", "2026-10-25 00:30"),
        # Half an hour, at the other end of the world.
        ("Australia/Lord_Howe", "02:15", "2026-10-04", "2026-10-03 15:30"),
        # The day itself begins an hour late.
        ("Africa/Cairo", "00:00", "2026-04-24", "2026-04-23 22:00"),
        # Samoa went across the date line: 30 December 2011 never was.
        ("Pacific/Apia", "02:30", "2011-12-30", "2011-12-30 10:00"),
        ("Pacific/Apia", "02:30", "2011-12-31", "2011-12-30 12:30"),
    ],
)
def test_each_day_has_one_instant(zone: str, at: str, day: str, instant: str) -> None:
    chosen = schedule_at(at, zone, days=1 << date.fromisoformat(day).weekday())
    expected = utc(instant)
    assert due_between(chosen, expected - timedelta(days=3), expected + timedelta(days=3)) == expected
    assert next_runs(chosen, expected - timedelta(days=3), 2)[0] == expected


def test_hour_that_comes_twice_has_one_run() -> None:
    nightly = schedule_at("02:30", "Europe/Berlin")
    runs = next_runs(nightly, utc("2026-10-24 12:00"), 3)
    assert runs == [utc("2026-10-25 00:30"), utc("2026-10-26 01:30"), utc("2026-10-27 01:30")]
    assert due_between(nightly, runs[0], utc("2026-10-25 23:00")) is None


def test_days_that_share_an_instant_have_one_run() -> None:
    at_midnight = schedule_at("00:00", "Pacific/Apia")
    runs = next_runs(at_midnight, utc("2011-12-29 00:00"), 4)
    assert runs == [utc("2011-12-29 10:00"), utc("2011-12-30 10:00"), utc("2011-12-31 10:00"), utc("2012-01-01 10:00")]


def test_only_the_latest_of_missed_runs_is_due() -> None:
    nightly = schedule_at("02:30", "UTC")
    assert due_between(nightly, utc("2020-01-01 00:00"), utc("2026-01-10 02:29")) == utc("2026-01-09 02:30")
    assert due_between(nightly, utc("2026-01-09 02:30"), utc("2026-01-10 02:29")) is None


def test_days_that_were_not_chosen_have_no_run() -> None:
    weekend = schedule_at("12:00", "UTC", days=0b1100000)
    assert [run.strftime("%a") for run in next_runs(weekend, utc("2026-01-05 00:00"), 4)] == ["Sat", "Sun", "Sat", "Sun"]


def first_instant_that_shows(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The same by watching a clock on the wall, minute by minute, until it shows the time or is past it."""
    wanted = datetime.combine(day, at)
    instant = wanted.replace(tzinfo=UTC) - timedelta(hours=15)
    while instant.astimezone(zone).replace(tzinfo=None) < wanted:
        instant += timedelta(minutes=1)
    return instant


zones = st.sampled_from(sorted(available_timezones()))
# Half of the days are those of a change of the clocks, or a neighbour of one: at random they would hardly be met.
days_of_change = st.sampled_from(
    [date(year, month, day) for year in range(1990, 2031) for month in (3, 4, 9, 10, 11) for day in (*range(1, 9), *range(24, 31))]
)
any_days = st.dates(date(1990, 1, 1), date(2037, 12, 31)) | days_of_change
minutes = st.times().map(lambda moment: moment.replace(second=0, microsecond=0)) | st.builds(
    time, st.sampled_from([0, 1, 2, 3]), st.integers(0, 59)
)


@settings(max_examples=300, deadline=None)
@given(zone=zones, day=any_days, at=minutes)
def test_instant_is_the_one_at_which_a_clock_on_the_wall_first_shows_the_time(zone: str, day: date, at: time) -> None:
    watched = first_instant_that_shows(day, at, ZoneInfo(zone))
    daily = schedule_at(at.isoformat(), zone, days=1 << day.weekday())
    assert due_between(daily, watched - MICROSECOND, watched) == watched
    assert due_between(daily, watched, watched + timedelta(days=4)) is None
    assert next_runs(daily, watched - timedelta(days=4), 1) == [watched]


@settings(max_examples=200, deadline=None)
@given(zone=zones, at=minutes, days=st.integers(1, EVERY_DAY), now=st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)))
def test_what_is_announced_is_what_becomes_due(zone: str, at: time, days: int, now: datetime) -> None:
    chosen, now = schedule_at(at.isoformat(), zone, days=days), now.replace(tzinfo=UTC)
    runs = next_runs(chosen, now)
    assert len(runs) == 5
    assert runs == sorted(set(runs))
    assert due_between(chosen, now, runs[0] - MICROSECOND) is None
    for run in runs:
        assert due_between(chosen, now, run) == run
    # Settled one by one, none runs twice and none is left out.
    for earlier, later in zip(runs, runs[1:], strict=False):
        assert due_between(chosen, earlier, later - MICROSECOND) is None
        assert due_between(chosen, earlier, later) == later


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {},
            "Every day at 02:30 (Europe/Berlin), with uploads. Keeps the newest 3, and one for each of 7 days, 4 weeks and 12 months.",
        ),
        (
            {"days": 0b11111, "uploads": False, "keep_last": 1, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0},
            "From Monday to Friday at 02:30 (Europe/Berlin), without uploads. Keeps the newest.",
        ),
        (
            {"days": 0b1000001, "keep_last": 0, "keep_daily": 1, "keep_weekly": 0, "keep_monthly": 0, "keep_yearly": 2, "enabled": False},
            "Off. On Mondays and Sundays at 02:30 (Europe/Berlin), with uploads. Keeps one for each of 1 day and 2 years.",
        ),
    ],
)
def test_schedule_in_words(fields: dict[str, object], said: str) -> None:
    assert sentence(BackupSchedule(time_zone="Europe/Berlin", **fields)) == said
