"""Dates, clock times, lengths and numbers as other programs write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from timetracker.imports.exceptions import Unfit
from timetracker.imports.values import Point, moments_at, read_length, read_number, read_point, read_seconds, read_yes

DAY = date(2026, 3, 4)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "order", "point"),
    [
        ("2026-03-04", "mdy", Point(DAY)),
        ("2026/3/4", "dmy", Point(DAY)),
        ("04.03.2026", "dmy", Point(DAY)),
        ("4/3/26", "dmy", Point(DAY)),
        ("3/4/2026", "mdy", Point(DAY)),
        ("14:05", "ymd", Point(None, time(14, 5))),
        ("2:05 PM", "ymd", Point(None, time(14, 5))),
        ("12:00 a.m.", "ymd", Point(None, time(0))),
        ("12:30pm", "ymd", Point(None, time(12, 30))),
        ("24:00", "ymd", Point(None, time(0), None, True)),
        ("2026-03-04T14:05:06.789Z", "ymd", Point(DAY, time(14, 5, 6), UTC)),
        ("2026-03-04 14:05+02:00", "ymd", Point(DAY, time(14, 5), timezone(timedelta(hours=2)))),
        ("2026-03-04 14:05 -0330", "ymd", Point(DAY, time(14, 5), timezone(-timedelta(hours=3, minutes=30)))),
        ("04.03.2026, 14:05", "dmy", Point(DAY, time(14, 5))),
        ("3/4/2026 2:05:06 PM", "mdy", Point(DAY, time(14, 5, 6))),
    ],
)
def test_a_date_and_a_time_are_read(text: str, order: str, point: Point) -> None:
    assert read_point(text, order) == point


@pytest.mark.parametrize(
    ("text", "order", "sentence"),
    [
        ("31.02.2026", "dmy", "There is no day 31.02.2026"),
        ("13/13/2026", "mdy", "There is no day"),
        ("0001-01-01", "ymd", "The year is 1, and only 2000 to 2100"),
        ("9999-12-31", "ymd", "The year is 9999"),
        ("1999-12-31 10:00", "ymd", "The year is 1999"),
        ("04.03.2026", "ymd", "choose another order"),
        ("yesterday", "ymd", "Write a time as 14:05"),
        ("2026-03-04 noon", "ymd", "Write a date and a time"),
        ("2026-03-04x10:00", "ymd", "Write a date and a time"),
        ("25:00", "ymd", "no clock time 25:00"),
        ("10:60", "ymd", "no clock time 10:60"),
        ("13:00 PM", "ymd", "With AM or PM the hour is 1 to 12"),
        ("2026-03-04 10:00 CET", "ymd", "more than an offset"),
        ("2026-03-04 10:00+99:00", "ymd", "more than 14 hours"),
    ],
)
def test_what_is_no_date_or_time_says_what_to_write(text: str, order: str, sentence: str) -> None:
    with pytest.raises(Unfit, match=sentence):
        read_point(text, order)


def test_clocks_that_change_show_a_time_twice_or_not_at_all() -> None:
    assert moments_at(date(2026, 3, 29), time(2, 30), BERLIN) == []
    assert moments_at(date(2026, 10, 25), time(2, 30), BERLIN) == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    ]
    assert moments_at(DAY, time(9), BERLIN) == [datetime(2026, 3, 4, 8, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("text", "decimal", "seconds"),
    [
        ("1:30", ".", 5400),
        ("01:30:15", ".", 5415),
        ("1.5", ".", 5400),
        ("1,5", ",", 5400),
        ("0.3333", ".", 1200),
        ("90m", ".", 5400),
        ("1h 30m", ".", 5400),
        ("2 hours", ".", 7200),
        ("45 min", ".", 2700),
        ("100:00", ".", 360_000),
        ("0", ".", 0),
    ],
)
def test_hours_are_read(text: str, decimal: str, seconds: int) -> None:
    assert read_length(text, decimal) == seconds


@pytest.mark.parametrize(("text", "decimal"), [("1,5", "."), ("1.5", ","), ("a while", "."), ("1:75", "."), ("-1", "."), ("999999", ".")])
def test_what_are_no_hours_is_refused(text: str, decimal: str) -> None:
    with pytest.raises(Unfit):
        read_length(text, decimal)


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("80", ".", "80"),
        ("1234.50", ".", "1234.50"),
        ("1,234.50", ".", "1234.50"),
        ("1.234,50", ",", "1234.50"),
        ("1’234.5", ".", "1234.5"),
        ("1 234,5", ",", "1234.5"),
        ("1.500", ".", "1.5"),
        ("1.500", ",", "1500"),
        ("-3", ".", "-3"),
    ],
)
def test_numbers_are_read_by_the_decimal_mark(text: str, decimal: str, number: str) -> None:
    assert read_number(text, decimal) == Decimal(number)


@pytest.mark.parametrize(
    ("text", "decimal"), [("1.5", ","), ("1,5", "."), ("12,34.5", "."), ("€ 80", "."), ("1e5", "."), ("NaN", "."), ("٣", ".")]
)
def test_what_is_no_number_is_refused(text: str, decimal: str) -> None:
    with pytest.raises(Unfit, match="Write a number"):
        read_number(text, decimal)


def test_seconds_are_whole_and_of_a_year_at_most() -> None:
    assert read_seconds("5400") == 5400
    for text in ("1.5", "-1", "٣", "99999999", "9" * 30):
        with pytest.raises(Unfit):
            read_seconds(text)


def test_yes_and_no_are_read_in_the_words_of_other_programs() -> None:
    assert [read_yes(word) for word in ("Yes", "TRUE", "1", "x", "Ja")] == [True] * 5
    assert [read_yes(word) for word in ("No", "false", "0", "Nein")] == [False] * 4
    with pytest.raises(Unfit, match="Write yes or no"):
        read_yes("perhaps")
