"""When a disk will be full: told from enough days, whatever happened on one of them, and not told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.forecast import FURTHEST, WINDOW, Forecast, Reading, forecast_full

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
GB = 10**9


def falling(days: int, *, free: int = 100 * GB, pace: int = GB) -> list[Reading]:
    """One reading a day, the last one now, with ``pace`` bytes less each day and ``free`` at the end."""
    return [Reading(NOW - day * DAY, free + day * pace) for day in reversed(range(days))]


def days_left(readings: list[Reading]) -> float | None:
    """Days until it is full, by the forecast."""
    found = forecast_full(readings, NOW)
    return None if found is None else (found.full_at - NOW) / DAY


def test_steady_pace_leads_to_the_day_on_which_nothing_is_left() -> None:
    assert forecast_full(falling(10), NOW) == Forecast(NOW + 100 * DAY, GB)


@pytest.mark.parametrize("days", [0, 1, 4])
def test_fewer_than_five_days_say_nothing(days: int) -> None:
    assert forecast_full(falling(days), NOW) is None


def test_five_readings_of_one_night_say_nothing() -> None:
    readings = [Reading(NOW - timedelta(hours=hour), hour * GB) for hour in range(5)]
    assert forecast_full(readings, NOW) is None


def test_days_count_and_not_readings() -> None:
    # Ten backups on one day, on which an import has filled the disk.
    imported = [Reading(NOW - timedelta(minutes=minute), 100 * GB + minute * 5 * GB) for minute in range(1, 11)]
    assert days_left([*falling(10), *imported]) == pytest.approx(100)


def test_after_the_disk_was_cleared_no_end_is_told_until_the_pace_is_clear_again() -> None:
    cleared = [Reading(reading.at, reading.free - 50 * GB * (number < 6)) for number, reading in enumerate(falling(12))]
    assert forecast_full(cleared, NOW) is None
    cleared = [Reading(reading.at, reading.free - 50 * GB * (number < 3)) for number, reading in enumerate(falling(30))]
    assert days_left(cleared) == pytest.approx(100, rel=0.05)


def test_retention_that_frees_each_week_what_the_week_took_is_no_end() -> None:
    readings = [Reading(NOW - day * DAY, 100 * GB + (day % 7) * GB) for day in range(42)]
    assert forecast_full(readings, NOW) is None


def test_space_that_comes_and_goes_has_no_end() -> None:
    readings = [Reading(NOW - day * DAY, 100 * GB + (day % 3) * GB) for day in range(12)]
    assert forecast_full(readings, NOW) is None


def test_growing_space_has_no_end() -> None:
    assert forecast_full(falling(10, pace=-GB), NOW) is None


def test_the_same_space_each_day_has_no_end() -> None:
    assert forecast_full(falling(10, pace=0), NOW) is None


def test_an_end_in_many_years_is_not_told() -> None:
    assert days_left(falling(10, free=729 * GB)) == pytest.approx(729)
    assert forecast_full(falling(10, free=731 * GB), NOW) is None


def test_what_was_long_ago_does_not_count() -> None:
    long_ago = [Reading(NOW - WINDOW - day * DAY, 100 * GB + day * GB) for day in range(1, 10)]
    assert forecast_full(long_ago, NOW) is None
    assert days_left([*long_ago, *falling(10, pace=2 * GB)]) == pytest.approx(50)


def test_disk_that_is_full_is_full_now() -> None:
    assert days_left(falling(10, free=0)) == 0


def test_backups_that_stopped_a_while_ago_do_not_put_the_end_into_the_past() -> None:
    readings = [Reading(reading.at - 10 * DAY, reading.free) for reading in falling(10, free=3 * GB)]
    assert days_left(readings) == 0


readings_of_any_kind = st.lists(
    st.builds(Reading, st.integers(-100 * 86400, 5 * 86400).map(lambda seconds: NOW + timedelta(seconds=seconds)), st.integers(0, 10**13)),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(
    days=st.integers(5, 60),
    pace=st.integers(-(10**10), 10**10),
    free=st.integers(0, 10**12),
    noise=st.lists(st.integers(0, 10**11), min_size=60, max_size=60),
)
def test_an_end_that_is_told_is_neither_past_nor_too_far(days: int, pace: int, free: int, noise: list[int]) -> None:
    readings = [
        Reading(reading.at, max(0, reading.free) + more) for reading, more in zip(falling(days, free=free, pace=pace), noise, strict=False)
    ]
    found = forecast_full(readings, NOW)
    assert found is None or (NOW <= found.full_at <= NOW + FURTHEST and found.bytes_per_day > 0)


@settings(max_examples=200, deadline=None)
@given(readings=readings_of_any_kind, order=st.randoms(use_true_random=False))
def test_the_order_of_the_readings_means_nothing(readings: list[Reading], order: object) -> None:
    # Two readings of one instant have no order of their own.
    readings = list({reading.at: reading for reading in readings}.values())
    mixed = readings.copy()
    order.shuffle(mixed)  # type: ignore[attr-defined]  # a random.Random
    assert forecast_full(mixed, NOW) == forecast_full(readings, NOW)


@settings(max_examples=200, deadline=None)
@given(
    days=st.integers(12, 50),
    pace=st.integers(10**6, 10**9),
    left=st.integers(1, 600),
    spoilt=st.integers(0, 49),
    free=st.integers(0, 10**12),
)
def test_one_reading_that_is_wrong_hardly_moves_the_end(days: int, pace: int, left: int, spoilt: int, free: int) -> None:
    readings = falling(days, free=left * pace, pace=pace)
    # Not the last one: what is free now is known.
    spoilt %= days - 1
    readings[spoilt] = Reading(readings[spoilt].at, free)
    found = days_left(readings)
    assert found is not None
    assert found == pytest.approx(left, rel=0.05, abs=0.1)
