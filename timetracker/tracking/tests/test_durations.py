"""Rounding of billed time."""

from __future__ import annotations

import pytest

from timetracker.tracking.durations import rounded_seconds


@pytest.mark.parametrize(
    ("seconds", "minutes", "direction", "rounded"),
    [
        (1, 15, "up", 900),
        (900, 15, "up", 900),
        (901, 15, "up", 1800),
        (1799, 15, "down", 900),
        (899, 15, "down", 0),
        (449, 15, "nearest", 0),
        (450, 15, "nearest", 900),
        (1349, 15, "nearest", 900),
        (0, 15, "up", 0),
        (1234, 0, "up", 1234),
    ],
)
def test_time_is_rounded_to_whole_steps(seconds: int, minutes: int, direction: str, rounded: int) -> None:
    assert rounded_seconds(seconds, minutes=minutes, direction=direction) == rounded


def test_unknown_direction_is_an_error() -> None:
    with pytest.raises(ValueError, match="up, down or nearest, not 'sideways'"):
        rounded_seconds(1, minutes=15, direction="sideways")
