"""What a client that reads again and again got while the data was replaced: gaps between good answers, and wrong answers.

Pure: it judges the log that :mod:`bench.reader` has written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Answer", "Attempt", "Gaps", "NoAnswer", "gaps_between"]

# A good answer that comes after so many seconds is one that had to wait. A usual one takes 3 to 10 milliseconds.
SLOW_SECONDS = 0.1

Answer = tuple[int, ...]


class NoAnswer(Exception):
    """The log does not say how long there was no answer."""


@dataclass(frozen=True)
class Attempt:
    """One read, from connecting to the answer: seconds of the machine's clock, and the answer, None for an error."""

    began: float
    ended: float
    answer: Answer | None


@dataclass(frozen=True)
class Gaps:
    """What the reads of one replacement come to.

    ``longest`` is the longest time between two good answers, seconds. ``without`` adds up the times between two good answers
    with a refused or wrong one in between or longer than :data:`SLOW_SECONDS`. ``wrong`` counts answers that neither the old
    nor the new data gives, and old ones after new ones; ``refused`` counts errors, ``good`` all others.
    """

    longest: float
    without: float
    wrong: int
    refused: int
    good: int


def gaps_between(attempts: Sequence[Attempt], *, old: Answer, new: Answer, began: float, ended: float) -> Gaps:
    """Judge what a reader got while the old data was replaced by the new, between ``began`` and ``ended``.

    Raises :class:`NoAnswer` where it had no good answer before or none of the new data after: nothing would be known of the time between.
    """
    longest = without = 0.0
    wrong = refused = good = 0
    last = None
    is_new = is_spoilt = False
    for attempt in attempts:
        is_inside = began <= attempt.ended and attempt.began <= ended
        if attempt.answer != new and (attempt.answer != old or is_new):
            refused += is_inside and attempt.answer is None
            wrong += is_inside and attempt.answer is not None
            is_spoilt = True
            continue
        if last is None and attempt.ended > began:
            break
        is_new = attempt.answer == new
        good += is_inside
        if last is not None and last <= ended and attempt.ended >= began:
            gap = attempt.ended - last
            longest = max(longest, gap)
            without += gap if is_spoilt or gap > SLOW_SECONDS else 0.0
        last, is_spoilt = attempt.ended, False
    if last is None or last <= ended or not is_new:
        raise NoAnswer("The reader had no good answer before the replacement, or none of the new data after it.")
    return Gaps(longest, without, wrong, refused, good)
