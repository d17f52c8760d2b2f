"""Times as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from backups.times import ago, duration_human


@pytest.mark.parametrize(
    ("spent", "said"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=-5), "just now"),
        (timedelta(hours=3, minutes=7), "3 hours ago"),
        (timedelta(minutes=-1), "in the future"),
    ],
)
def test_ages_are_told_by_their_greatest_unit(spent: timedelta, said: str) -> None:
    now = timezone.now()
    assert ago(now - spent, now) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "less than a second"),
        (8, "8 s"),
        (200, "3 min 20 s"),
        (900, "15 min"),
        (7500, "2 h 5 min"),
        (7203, "2 h"),
        (-3, "less than a second"),
    ],
)
def test_durations_are_told_by_two_units_at_most(seconds: float, said: str) -> None:
    assert duration_human(timedelta(seconds=seconds)) == said
