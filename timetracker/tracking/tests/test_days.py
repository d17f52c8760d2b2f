"""Days, weeks and clock times of places where clocks change in the night, at midnight, by half an hour, or by a whole day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from timetracker.accounts.models import User
from timetracker.tracking.days import day_bounds, local_datetime, split_by_day, today_in, utc_offsets, week_of, zone_of

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
KIRITIMATI, PAGO_PAGO, APIA = ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Pago_Pago"), ZoneInfo("Pacific/Apia")
SANTIAGO, BEIRUT, HAVANA = ZoneInfo("America/Santiago"), ZoneInfo("Asia/Beirut"), ZoneInfo("America/Havana")
ZONES = [ZoneInfo("UTC"), BERLIN, NEW_YORK, LORD_HOWE, KIRITIMATI, PAGO_PAGO, SANTIAGO, BEIRUT, HAVANA]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def zone_id(value: object) -> str | None:
    return value.key if isinstance(value, ZoneInfo) else None


@pytest.mark.parametrize(
    ("zone", "day", "begins", "hours"),
    [
        (BERLIN, date(2025, 3, 29), "2025-03-28 23:00", 24),
        (BERLIN, date(2025, 3, 30), "2025-03-29 23:00", 23),
        (BERLIN, date(2025, 10, 26), "2025-10-25 22:00", 25),
        (NEW_YORK, date(2025, 3, 9), "2025-03-09 05:00", 23),
        (NEW_YORK, date(2025, 11, 2), "2025-11-02 04:00", 25),
        (LORD_HOWE, date(2025, 4, 6), "2025-04-05 13:00", 24.5),
        (LORD_HOWE, date(2025, 10, 5), "2025-10-04 13:30", 23.5),
        (KIRITIMATI, date(2025, 6, 1), "2025-05-31 10:00", 24),
        (PAGO_PAGO, date(2025, 6, 1), "2025-06-01 11:00", 24),
        # Clocks go from 24:00 to 1:00, and from 24:00 back to 23:00.
        (SANTIAGO, date(2025, 9, 7), "2025-09-07 04:00", 23),
        (SANTIAGO, date(2025, 4, 5), "2025-04-05 03:00", 25),
        (SANTIAGO, date(2025, 4, 6), "2025-04-06 04:00", 24),
        (BEIRUT, date(2025, 3, 30), "2025-03-29 22:00", 23),
        (BEIRUT, date(2025, 10, 25), "2025-10-24 21:00", 25),
        # Clocks go from 1:00 back to 0:00: the day begins with the first of both midnights.
        (HAVANA, date(2025, 11, 2), "2025-11-02 04:00", 25),
        # Samoa went over the date line and left a day out.
        (APIA, date(2011, 12, 29), "2011-12-29 10:00", 24),
        (APIA, date(2011, 12, 30), "2011-12-30 10:00", 0),
        (APIA, date(2011, 12, 31), "2011-12-30 10:00", 24),
    ],
    ids=zone_id,
)
def test_day_begins_when_clocks_there_first_show_its_date_and_is_as_long_as_they_make_it(
    zone: ZoneInfo, day: date, begins: str, hours: float
) -> None:
    first, following = day_bounds(day, zone)
    assert first == utc(begins)
    assert following - first == timedelta(hours=hours)
    assert first.tzinfo is UTC and following.tzinfo is UTC


@pytest.mark.parametrize("zone", ZONES, ids=zone_id)
def test_days_follow_on_each_other_without_gap_and_hold_the_moments_of_their_date(zone: ZoneInfo) -> None:
    day = date(2024, 12, 30)
    while day < date(2026, 1, 3):
        begins, ends = day_bounds(day, zone)
        assert ends == day_bounds(day + timedelta(days=1), zone)[0]
        assert begins.astimezone(zone).date() == day
        assert (ends - timedelta(microseconds=1)).astimezone(zone).date() == day
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "day", "at", "moment"),
    [
        (BERLIN, date(2025, 7, 1), time(9), "2025-07-01 07:00"),
        (BERLIN, date(2025, 3, 30), time(1, 59), "2025-03-30 00:59"),
        # 2:30 is left out: an hour later, 3:30 of summer.
        (BERLIN, date(2025, 3, 30), time(2, 30), "2025-03-30 01:30"),
        (BERLIN, date(2025, 3, 30), time(3), "2025-03-30 01:00"),
        # 2:30 is there twice: the first.
        (BERLIN, date(2025, 10, 26), time(2, 30), "2025-10-26 00:30"),
        (BERLIN, date(2025, 10, 26), time(2, 30, fold=1), "2025-10-26 00:30"),
        (BERLIN, date(2025, 10, 26), time(3), "2025-10-26 02:00"),
        (NEW_YORK, date(2025, 3, 9), time(2, 15), "2025-03-09 07:15"),
        (NEW_YORK, date(2025, 11, 2), time(1, 15), "2025-11-02 05:15"),
        # 2:10 is left out: half an hour later, 2:40 of summer.
        (LORD_HOWE, date(2025, 10, 5), time(2, 10), "2025-10-04 15:40"),
        (LORD_HOWE, date(2025, 4, 6), time(1, 45), "2025-04-05 14:45"),
        (SANTIAGO, date(2025, 9, 7), time(0), "2025-09-07 04:00"),
        (SANTIAGO, date(2025, 4, 5), time(23, 30), "2025-04-06 02:30"),
        (BEIRUT, date(2025, 3, 30), time(0, 20), "2025-03-29 22:20"),
        (HAVANA, date(2025, 11, 2), time(0, 30), "2025-11-02 04:30"),
        (KIRITIMATI, date(2025, 1, 1), time(0), "2024-12-31 10:00"),
        (PAGO_PAGO, date(2024, 12, 31), time(23, 59), "2025-01-01 10:59"),
    ],
    ids=zone_id,
)
def test_time_that_is_left_out_is_later_by_the_jump_and_of_two_it_is_the_first(zone: ZoneInfo, day: date, at: time, moment: str) -> None:
    found = local_datetime(day, at, zone)
    assert (found, found.tzinfo) == (utc(moment), UTC)


@pytest.mark.parametrize(
    ("zone", "date_there"), [(PAGO_PAGO, date(2025, 2, 28)), (BERLIN, date(2025, 3, 1)), (KIRITIMATI, date(2025, 3, 2))], ids=zone_id
)
def test_today_is_the_date_there(zone: ZoneInfo, date_there: date) -> None:
    assert today_in(zone, utc("2025-03-01 10:30")) == date_there


def test_today_is_told_by_the_clock_where_no_time_is_named() -> None:
    before = datetime.now(UTC).astimezone(BERLIN).date()
    assert before <= today_in(BERLIN) <= datetime.now(UTC).astimezone(BERLIN).date()


@pytest.mark.parametrize("day", [date(2024, 12, 30), date(2025, 1, 1), date(2025, 1, 5)])
def test_week_goes_from_monday_to_sunday_also_over_the_year(day: date) -> None:
    assert week_of(day) == [date(2024, 12, 30), date(2024, 12, 31), *(date(2025, 1, number) for number in range(1, 6))]


@pytest.mark.parametrize(
    ("zone", "begins", "ends", "parts"),
    [
        (BERLIN, "2025-07-01 07:00", "2025-07-01 15:00", {"2025-07-01": 8}),
        (BERLIN, "2025-07-01 20:00", "2025-07-01 23:00", {"2025-07-01": 2, "2025-07-02": 1}),
        (BERLIN, "2025-07-01 20:00", "2025-07-01 22:00", {"2025-07-01": 2}),
        (BERLIN, "2025-03-29 21:00", "2025-03-30 22:30", {"2025-03-29": 2, "2025-03-30": 23, "2025-03-31": 0.5}),
        (BERLIN, "2025-10-25 21:00", "2025-10-26 23:30", {"2025-10-25": 1, "2025-10-26": 25, "2025-10-27": 0.5}),
        (LORD_HOWE, "2025-04-05 12:00", "2025-04-06 14:00", {"2025-04-05": 1, "2025-04-06": 24.5, "2025-04-07": 0.5}),
        (SANTIAGO, "2025-09-07 03:00", "2025-09-07 05:00", {"2025-09-06": 1, "2025-09-07": 1}),
        (SANTIAGO, "2025-04-06 02:00", "2025-04-06 05:00", {"2025-04-05": 2, "2025-04-06": 1}),
        (KIRITIMATI, "2025-01-01 09:00", "2025-01-01 11:00", {"2025-01-01": 1, "2025-01-02": 1}),
        (PAGO_PAGO, "2025-01-01 10:00", "2025-01-01 12:00", {"2024-12-31": 1, "2025-01-01": 1}),
        (APIA, "2011-12-30 09:00", "2011-12-30 11:00", {"2011-12-29": 1, "2011-12-31": 1}),
        (BERLIN, "2025-07-01 07:00", "2025-07-01 07:00", {}),
        (BERLIN, "2025-07-01 07:00", "2025-07-01 06:00", {}),
    ],
    ids=zone_id,
)
def test_time_over_midnight_falls_on_both_days(zone: ZoneInfo, begins: str, ends: str, parts: dict[str, float]) -> None:
    found = split_by_day(utc(begins), utc(ends), zone)
    assert found == [(date.fromisoformat(day), timedelta(hours=hours)) for day, hours in parts.items()]


def test_parts_add_up_where_clocks_go_back_over_midnight_into_the_day_before() -> None:
    """In Newfoundland until 2011: at 0:01 it was 23:01 of the day before once more, which counts to the day that had begun."""
    begins, ends = utc("2010-11-07 02:00"), utc("2010-11-08 12:00")
    for minutes in range(0, 240, 7):
        found = split_by_day(begins + timedelta(minutes=minutes), ends, ZoneInfo("America/St_Johns"))
        assert sum((part for _, part in found), timedelta()) == ends - begins - timedelta(minutes=minutes)
        assert found[-1][0] == date(2010, 11, 8)


@pytest.mark.parametrize("zone", [*ZONES, ZoneInfo("Africa/Casablanca")], ids=zone_id)
def test_offsets_hold_from_their_point_in_time_on(zone: ZoneInfo) -> None:
    found = utc_offsets(zone, 2024, 2026)
    assert found[0][0] == utc("2024-01-01 00:00")
    for (moment, _), (following, offset) in zip(found, found[1:], strict=False):
        assert moment < following
        assert following.astimezone(zone).utcoffset() == timedelta(seconds=offset)
        assert (following - timedelta(seconds=1)).astimezone(zone).utcoffset() != timedelta(seconds=offset)
    moment = found[0][0]
    while moment < utc("2027-01-01 00:00"):
        held = next(offset for since, offset in reversed(found) if since <= moment)
        assert moment.astimezone(zone).utcoffset() == timedelta(seconds=held)
        moment += timedelta(hours=1)


@pytest.mark.parametrize(("name", "key"), [("Europe/Berlin", "Europe/Berlin"), ("Mars/Olympus", "UTC"), ("", "UTC"), ("../etc", "UTC")])
def test_zone_of_a_person_is_utc_where_its_name_is_not_known(name: str, key: str) -> None:
    assert zone_of(User(time_zone=name)).key == key
