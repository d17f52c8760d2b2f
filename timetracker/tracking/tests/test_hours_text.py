"""Hours as people type them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError

from timetracker.tracking.hours_text import Hours, hours_said, read_hours

BERLIN = ZoneInfo("Europe/Berlin")
SUMMER_DAY = date(2025, 7, 1)
SPRING, AUTUMN = date(2025, 3, 30), date(2025, 10, 26)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1:30", 5400),
        ("01:30", 5400),
        (" 1:30 ", 5400),
        ("1:30h", 5400),
        (":45", 2700),
        ("1.5", 5400),
        ("1,5", 5400),
        (",5", 1800),
        ("1.5 h", 5400),
        ("0.01", 36),
        ("1.333", 4799),
        ("8", 28800),
        ("8h", 28800),
        ("90m", 5400),
        ("90 min", 5400),
        ("90 MIN", 5400),
        ("1440m", 86400),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("1h30", 5400),
        ("1 h 5 min", 3900),
        ("1H\u00a030M", 5400),
        ("0", 0),
        ("0:00", 0),
        ("24", 86400),
    ],
)
def test_length_is_understood(text: str, seconds: int) -> None:
    assert read_hours(text, day=SUMMER_DAY, zone=BERLIN) == Hours(seconds)


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("9-10:30", "2025-07-01 07:00", "2025-07-01 08:30"),
        ("9:00–10:30", "2025-07-01 07:00", "2025-07-01 08:30"),
        ("09:00 — 10:30", "2025-07-01 07:00", "2025-07-01 08:30"),
        ("9:00−10:30", "2025-07-01 07:00", "2025-07-01 08:30"),
        ("22-1", "2025-07-01 20:00", "2025-07-01 23:00"),
        ("22-24", "2025-07-01 20:00", "2025-07-01 22:00"),
        ("22-0", "2025-07-01 20:00", "2025-07-01 22:00"),
        ("0-24:00", "2025-06-30 22:00", "2025-07-01 22:00"),
        ("9:30-9:00", "2025-07-01 07:30", "2025-07-02 07:00"),
    ],
)
def test_from_and_to_are_understood_also_over_midnight(text: str, begins: str, ends: str) -> None:
    started_at, ended_at = utc(begins), utc(ends)
    expected = Hours(int((ended_at - started_at).total_seconds()), started_at, ended_at)
    assert read_hours(text, day=SUMMER_DAY, zone=BERLIN) == expected


@pytest.mark.parametrize(
    ("text", "day", "zone", "hours"),
    [
        ("1-4", SPRING, "Europe/Berlin", 2),
        ("1-4", AUTUMN, "Europe/Berlin", 4),
        ("22-4", date(2025, 3, 29), "Europe/Berlin", 5),
        ("22-4", date(2025, 10, 25), "Europe/Berlin", 7),
        ("0-24", AUTUMN, "Europe/Berlin", 25),
        # Clocks show 2:30 twice, and the first is meant.
        ("2:30-3", AUTUMN, "Europe/Berlin", 1.5),
        ("1-2:30", AUTUMN, "Europe/Berlin", 1.5),
        # Clocks never show 2:30; it is 3:30 then.
        ("2:30-4", SPRING, "Europe/Berlin", 0.5),
        ("1-4", date(2025, 3, 9), "America/New_York", 2),
        ("1-4", date(2025, 4, 6), "Australia/Lord_Howe", 3.5),
        ("23-1", date(2025, 9, 6), "America/Santiago", 1),
        ("22-1", date(2025, 4, 5), "America/Santiago", 4),
        ("23-2", date(2025, 3, 29), "Asia/Beirut", 2),
    ],
)
def test_seconds_are_those_that_pass_where_clocks_change(text: str, day: date, zone: str, hours: float) -> None:
    found = read_hours(text, day=day, zone=ZoneInfo(zone))
    assert found.started_at is not None and found.ended_at is not None
    assert (found.ended_at - found.started_at).total_seconds() == found.seconds == hours * 3600


@pytest.mark.parametrize("text", ["2:00-3:00", "2:30-3:15", "2:10-3"])
def test_time_that_clocks_leave_out_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read_hours(text, day=SPRING, zone=BERLIN)
    assert refused.value.messages == [f"“{text}” is no time on 2025-03-30: clocks were put forward then."]


EXAMPLES = "Write 1:30, 1.5, 90m, 1h 30m, or from and to: 9-10:30."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "No time is given."),
        ("  ", "No time is given."),
        ("soon", "“soon” is no time."),
        ("1:75", "“1:75” is no time."),
        ("1:5", "“1:5” is no time."),
        ("1:30:00", "“1:30:00” is no time."),
        ("-1", "“-1” is no time."),
        ("1.000,5", "“1.000,5” is no time."),
        (".", "“.” is no time."),
        (":", "“:” is no time."),
        ("h", "“h” is no time."),
        ("1h 75m", "“1h 75m” is no time."),
        ("9-10-11", "“9-10-11” is no time."),
        ("1e3", "“1e3” is no time."),
        ("٣", "“٣” is no time."),
        ("24:01", "“24:01” is more than 24 hours."),
        ("100", "“100” is more than 24 hours."),
        ("1441m", "“1441m” is more than 24 hours."),
        ("9-9", "“9-9” ends when it begins."),
        ("9-25", "“9-25”: a day goes from 0:00 to 24:00."),
        ("9-24:30", "“9-24:30”: a day goes from 0:00 to 24:00."),
        ("24-1", "“24-1”: a day goes from 0:00 to 24:00."),
    ],
)
def test_anything_else_is_refused_with_examples(text: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read_hours(text, day=SUMMER_DAY, zone=BERLIN)
    assert refused.value.messages == [f"{message} {EXAMPLES}"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0:00"), (59, "0:00"), (60, "0:01"), (5400, "1:30"), (5459, "1:30"), (360000, "100:00"), (-5400, "-1:30"), (-59, "0:00")],
)
def test_hours_are_said_in_hours_and_minutes(seconds: int, said: str) -> None:
    assert hours_said(seconds) == said


def test_what_is_said_is_understood() -> None:
    for minutes in range(24 * 60 + 1):
        assert read_hours(hours_said(minutes * 60), day=SUMMER_DAY, zone=BERLIN).seconds == minutes * 60
