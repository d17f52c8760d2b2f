"""Where a chart puts what: inside its frame, in order, and not more of it than can be told apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.chart import HEIGHT, WIDTH, Plot, Point, chart_plot
from backups.preflight import size_human

START = datetime(2026, 6, 1, tzinfo=UTC)


def points(*values: float) -> list[Point]:
    """One point a day."""
    return [Point(START + timedelta(days=day), value) for day, value in enumerate(values)]


def said(point: Point) -> str:
    return f"{point.at:%m-%d} {point.value:.0f}"


def plotted(*values: float, joined: bool = False, ahead: tuple[Point, ...] = ()) -> Plot:
    found = chart_plot(points(*values), label=said, joined=joined, ahead=ahead)
    assert found
    return found


def test_without_points_there_is_no_chart() -> None:
    assert chart_plot([], label=said) is None


def test_first_and_last_stand_at_the_ends_and_zero_at_the_bottom() -> None:
    plot = plotted(0, 50, 100)
    assert [(mark.x, mark.title) for mark in plot.marks] == [
        (plot.left, "06-01 0"),
        ((plot.left + plot.right) / 2, "06-02 50"),
        (plot.right, "06-03 100"),
    ]
    assert [mark.y for mark in plot.marks] == [plot.bottom, (plot.bottom + plot.top) / 2, plot.top]
    assert [(tick.at, tick.label, tick.anchor) for tick in plot.across] == [
        (plot.left, "2026-06-01", "start"),
        (plot.right, "2026-06-03", "end"),
    ]


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (0, ["0", "1 bytes"]),
        (3, ["0", "1 bytes", "2 bytes", "3 bytes"]),
        (1500, ["0", "500 bytes", "1 kB", "2 kB"]),
        (100e6, ["0", "50 MB", "100 MB"]),
        (101e6, ["0", "50 MB", "100 MB", "150 MB"]),
        (1.2e9, ["0", "500 MB", "1 GB", "1.5 GB"]),
        (4e12, ["0", "1 TB", "2 TB", "3 TB", "4 TB"]),
    ],
)
def test_labels_are_round_numbers(highest: float, labels: list[str]) -> None:
    assert [tick.label for tick in plotted(highest).upwards] == labels


def test_one_point_stands_in_the_middle() -> None:
    (mark,) = plotted(5, joined=True).marks
    assert mark.x == pytest.approx((WIDTH + 58 - 12) / 2)
    assert plotted(5, joined=True).line == "", "a line has two ends"


def test_line_goes_through_the_marks_and_on_to_what_is_foreseen() -> None:
    plot = plotted(100, 50, joined=True, ahead=(Point(START + timedelta(days=1), 50), Point(START + timedelta(days=2), 0)))
    first, last = plot.marks
    assert plot.line == f"{first.x},{first.y} {last.x},{last.y}"
    assert plot.ahead == f"{last.x},{last.y} {float(plot.right)},{float(plot.bottom)}"
    assert last.x == (plot.left + plot.right) / 2


def test_thousands_of_points_keep_their_extremes_and_are_few() -> None:
    values = [50.0] * 3000
    values[1234], values[2345] = 0.0, 100.0
    plot = plotted(*values)
    assert len(plot.marks) < 160
    assert {"50", "0", "100"} == {mark.title.split()[1] for mark in plot.marks}


some_points = st.lists(
    st.builds(Point, st.integers(0, 10**8).map(lambda seconds: START + timedelta(seconds=seconds)), st.integers(0, 10**15)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(drawn=some_points, ahead=some_points | st.just([]))
def test_everything_stands_inside_the_frame_in_the_order_of_time(drawn: list[Point], ahead: list[Point]) -> None:
    plot = chart_plot(drawn, label=lambda point: size_human(point.value), joined=True, ahead=ahead)
    assert plot
    foreseen = [tuple(map(float, place.split(","))) for place in plot.ahead.split()]
    for x, y in [*((mark.x, mark.y) for mark in plot.marks), *foreseen]:
        assert plot.left <= x <= plot.right
        assert plot.top <= y <= plot.bottom
    assert [mark.x for mark in plot.marks] == sorted(mark.x for mark in plot.marks)
    assert 2 <= len(plot.upwards) <= 6
    assert all(0 <= tick.at <= HEIGHT for tick in plot.upwards)
    assert len(plot.marks) <= 2 * (plot.right - plot.left) / 4 + 2
