"""What a reader's log comes to."""

from __future__ import annotations

import pytest

from bench.gaps import Answer, Attempt, Gaps, NoAnswer, gaps_between

OLD, NEW, EMPTY = (100, 5), (100, 6), (0, 0)


def log(*attempts: tuple[float, Answer | None]) -> list[Attempt]:
    """Attempts that took a hundredth of a second each, by the instants of their ends."""
    return [Attempt(ended - 0.01, ended, answer) for ended, answer in attempts]


def judged(*attempts: tuple[float, Answer | None], began: float = 1.0, ended: float = 2.0) -> Gaps:
    """The attempts of a replacement from second 1 to second 2, rounded to what a log can say."""
    found = gaps_between(log(*attempts), old=OLD, new=NEW, began=began, ended=ended)
    return Gaps(round(found.longest, 6), round(found.without, 6), found.wrong, found.refused, found.good)


def test_answers_without_a_break_leave_no_time_without_one() -> None:
    assert judged((0.95, OLD), (1.02, OLD), (1.1, NEW), (1.15, NEW), (2.05, NEW), began=1.0, ended=1.2) == Gaps(0.9, 0.9, 0, 0, 3)
    assert judged((0.95, OLD), (1.02, OLD), (1.1, NEW), (1.15, NEW), (1.24, NEW), began=1.0, ended=1.2) == Gaps(0.09, 0.0, 0, 0, 3)


def test_refusals_count_from_the_last_good_answer_to_the_next() -> None:
    assert judged((0.98, OLD), (1.02, None), (1.03, None), (1.05, NEW), (1.1, NEW), (2.1, NEW), ended=1.08) == Gaps(0.07, 0.07, 0, 2, 1)


def test_several_times_without_an_answer_add_up() -> None:
    found = judged((0.99, OLD), (1.2, None), (1.5, OLD), (1.55, OLD), (1.7, None), (1.95, NEW), (2.01, NEW))
    assert (found.longest, found.without, found.refused) == (0.51, 0.91, 2)


def test_answer_that_had_to_wait_counts_without_a_refusal() -> None:
    assert judged((0.99, OLD), (1.9, NEW), (2.01, NEW)) == Gaps(0.91, 1.02, 0, 0, 2)


@pytest.mark.parametrize(
    ("answers", "wrong"), [([EMPTY], 1), ([EMPTY, (7, 7)], 2), ([NEW, OLD], 1), ([NEW, OLD, NEW, OLD], 2), ([OLD, NEW], 0)], ids=str
)
def test_answer_of_neither_data_or_of_the_old_after_the_new_is_wrong(answers: list[Answer], wrong: int) -> None:
    inside = [(1.1 + 0.01 * number, answer) for number, answer in enumerate(answers)]
    assert judged((0.99, OLD), *inside, (1.5, NEW), (2.1, NEW)).wrong == wrong


def test_what_comes_after_the_replacement_is_not_counted() -> None:
    found = judged((0.99, OLD), (1.05, NEW), (1.99, NEW), (2.01, NEW), (2.2, None), (2.9, EMPTY), (3.0, NEW))
    assert (found.wrong, found.refused, found.longest) == (0, 0, 0.94)


def test_gap_that_begins_inside_is_followed_to_its_end() -> None:
    assert judged((0.99, OLD), (1.95, OLD), (1.97, None), (2.5, None), (3.0, NEW)) == Gaps(1.05, 2.01, 0, 1, 1)


@pytest.mark.parametrize(
    "attempts",
    [[], [(1.5, NEW), (2.5, NEW)], [(0.5, OLD), (1.9, NEW)], [(0.5, OLD), (1.9, OLD), (2.5, OLD)], [(0.5, None), (2.5, NEW)]],
    ids=str,
)
def test_log_that_does_not_say_it_is_refused(attempts: list[tuple[float, Answer | None]]) -> None:
    with pytest.raises(NoAnswer):
        judged(*attempts)
