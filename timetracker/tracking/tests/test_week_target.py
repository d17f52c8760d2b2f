"""What is agreed for a week, against what is worked: what pages show of it adds up."""

from __future__ import annotations

from decimal import Decimal

import pytest

from timetracker.accounts.models import User
from timetracker.tracking.hours_text import hours_said
from timetracker.tracking.week_target import WeekTarget


@pytest.mark.parametrize(
    ("hours", "worked", "left", "over"),
    [
        ("2", 0, "2:00", "0:00"),
        ("2", 5370, "0:31", "0:00"),  # 1:29:30
        ("2", 7199, "0:01", "0:00"),
        ("2", 7200, "0:00", "0:00"),
        ("2", 7259, "0:00", "0:00"),
        ("2", 7260, "0:00", "0:01"),
        ("32.33", 3600, "31:19", "0:00"),  # 32:19:48 agreed
        ("32.33", 116399, "0:00", "0:00"),
        ("0", 90, "0:00", "0:01"),
    ],
)
def test_the_sum_and_what_is_left_or_over_come_to_the_target_as_they_are_shown(hours: str, worked: int, left: str, over: str) -> None:
    target = WeekTarget.of(User(weekly_hours=Decimal(hours)), worked)
    assert (hours_said(target.left), hours_said(target.over)) == (left, over)
    assert hours_said(worked // 60 * 60 + target.left - target.over) == hours_said(target.agreed or 0)


@pytest.mark.parametrize(("agreed", "worked", "percent"), [(27000, 26100, 96), (3600, 3599, 99), (3600, 7200, 100), (0, 0, 100)])
def test_the_bar_is_full_when_the_target_is_reached_and_not_before(agreed: int, worked: int, percent: int) -> None:
    assert WeekTarget(agreed, worked).percent == percent


def test_without_an_agreement_there_is_no_target() -> None:
    assert WeekTarget.of(User(), 60).agreed is None
