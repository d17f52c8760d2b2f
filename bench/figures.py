"""Medians, with what lies around them, of values and of pairs of values."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Spread", "quotients", "spread_of"]


@dataclass(frozen=True)
class Spread:
    """The middle of some values, the lowest and the highest, and how many there are."""

    median: float
    low: float
    high: float
    count: int


def spread_of(values: Iterable[float]) -> Spread | None:
    """The spread of ``values``; None where there are none."""
    found = list(values)
    if not found:
        return None
    return Spread(statistics.median(found), min(found), max(found), len(found))


def quotients(numerators: Mapping[int, float], denominators: Mapping[int, float]) -> list[float]:
    """Each numerator by the denominator of the same round; rounds that miss one of the two, or divide by 0, give none.

    Pairs and not medians are divided: what made a whole round slow is in both values of it.
    """
    return [numerators[turn] / denominators[turn] for turn in sorted(numerators) if denominators.get(turn)]
