"""Where bars and columns of hours stand."""

from __future__ import annotations

import pytest

from timetracker.tracking.bar_charts import BOTTOM, HEIGHT, MOST_LETTERS, TOP, WIDTH, bar_chart, tower_chart


def test_the_longest_bar_comes_first_and_is_as_wide_as_the_chart() -> None:
    chart = bar_chart([("short", 900, 450), ("long", 3600, 3600)])
    assert [(bar.label, bar.billable_width, bar.other_width) for bar in chart.bars] == [("long", WIDTH, 0), ("short", 55, 55)]
    assert chart.bars[1].title == "short: 0:15 hours, 0:07 of it billable"


def test_what_is_beyond_the_tenth_bar_is_one() -> None:
    chart = bar_chart([(f"bar {number}", 3600 * (20 - number), 0) for number in range(13)])
    assert (len(chart.bars), chart.rest, chart.bars[-1].label) == (11, 3, "3 more")
    assert chart.bars[-1].said == "27:00" and max(bar.width for bar in chart.bars) == WIDTH
    assert bar_chart([(f"bar {number}", 3600, 0) for number in range(11)]).rest == 0, "one more needs no heap"


def test_a_long_name_is_cut_and_stays_whole_in_the_title() -> None:
    (bar,) = bar_chart([("x" * 200, 0, 0)]).bars
    assert len(bar.label) == MOST_LETTERS and bar.label.endswith("…") and "x" * 200 in bar.title and bar.width == 0


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (0, ["0 h", "0:15"]),
        (1, ["0 h", "0:15"]),
        (3600, ["0 h", "0:15", "0:30", "0:45", "1 h"]),
        (8 * 3600, ["0 h", "2 h", "4 h", "6 h", "8 h"]),
        (8 * 3600 + 1, ["0 h", "2 h", "4 h", "6 h", "8 h", "10 h"]),
        (1234 * 3600, ["0 h", "500 h", "1000 h", "1500 h"]),
    ],
)
def test_the_axis_has_round_steps_and_holds_the_highest_column(highest: int, labels: list[str]) -> None:
    chart = tower_chart([("1 Mar", "Sat 1 Mar 2025", highest, highest // 2)])
    assert [tick.label for tick in chart.upwards] == labels
    (tower,) = chart.towers
    assert tower.other_y >= TOP - 0.2 and tower.billable_y + tower.billable_height == pytest.approx(HEIGHT - BOTTOM)
    assert tower.other_y + tower.other_height == pytest.approx(tower.billable_y, abs=0.2)


@pytest.mark.parametrize("count", [1, 2, 31, 53, 120])
def test_columns_and_their_dates_stay_within_the_chart(count: int) -> None:
    chart = tower_chart([(f"{number} Mar", "", 3600, 0) for number in range(count)])
    assert all(chart.left <= tower.x and tower.x + chart.tower_width <= WIDTH for tower in chart.towers)
    assert all(one.x + chart.tower_width <= other.x + 0.1 for one, other in zip(chart.towers, chart.towers[1:], strict=False))
    assert 1 <= len(chart.across) <= 6


def test_of_nothing_there_are_axes_alone() -> None:
    assert tower_chart([]).towers == () and bar_chart([]).bars == ()
