"""What the next run costs, going by the last ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups.estimate import Range, Run, estimate


def test_without_earlier_runs_nothing_is_known() -> None:
    assert estimate([], source=5) is None


def test_the_median_counts_and_the_bounds_are_told() -> None:
    found = estimate([Run(seconds, size) for seconds, size in [(3, 30), (60, 31), (4, 29)]])
    assert found is not None
    assert (found.seconds, found.size, found.runs) == (Range(3, 4, 60), Range(29, 30, 31), 3)


def test_twice_as_much_to_read_costs_twice_as_much() -> None:
    found = estimate([Run(10, 100, source=1000), Run(30, 300, source=3000)], source=2000)
    assert found is not None
    assert (found.seconds, found.size) == (Range(20, 20, 20), Range(200, 200, 200))


@pytest.mark.parametrize("source", [250, 16_000, 10**9])
def test_run_of_another_size_says_nothing(source: int) -> None:
    assert estimate([Run(1, 1000, source=1000), Run(3, 4000, source=4000)], source=source) is None


def test_runs_of_about_the_size_count_alone() -> None:
    found = estimate([Run(1, 4, source=4), Run(20, 900, source=900)], source=950)
    assert found is not None
    assert found.runs == 1
    assert found.seconds.typical == pytest.approx(20 * 950 / 900)


@pytest.mark.parametrize("source", [None, 2000])
def test_run_of_which_it_is_not_known_what_it_read_counts_as_it_is(source: int | None) -> None:
    found = estimate([Run(10, 100)], source=source)
    assert found is not None
    assert found.size.typical == 100


def test_run_that_read_nothing_divides_by_nothing() -> None:
    found = estimate([Run(1, 5, source=0)], source=2000)
    assert found is not None
    assert found.size.typical == 5


runs = st.lists(st.builds(Run, st.floats(0, 1e6), st.integers(0, 10**13), st.none() | st.integers(0, 10**13)), min_size=1, max_size=9)


@given(runs=runs, source=st.none() | st.integers(0, 10**13))
def test_what_is_likely_lies_between_the_bounds(runs: list[Run], source: int | None) -> None:
    found = estimate(runs, source=source)
    if found is None:
        return
    for likely in (found.size, found.seconds):
        assert 0 <= likely.low <= likely.typical <= likely.high
