"""How large the next archive will be and how long it takes, from the last ones. Pure: no clock, no query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Estimate", "Range", "Run", "estimate"]


# So many times as much is no longer about as much.
FAR = 4.0


@dataclass(frozen=True)
class Run:
    """One operation that went well: bytes that it read (None where that is not known), bytes that it made, seconds that it took."""

    seconds: float
    size: int = 0
    source: int | None = None


@dataclass(frozen=True)
class Range:
    """What is likely (``typical``), and between which bounds it has been."""

    low: float
    typical: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """Bytes and seconds of the next run, from so many earlier ones."""

    size: Range
    seconds: Range
    runs: int


def estimate(runs: Sequence[Run], *, source: int | None = None) -> Estimate | None:
    """What the next one would be, if it reads ``source`` bytes; None without earlier ones of about that size.

    Each earlier run is scaled by how much more there is to read now, where both are known; then the median counts, so that one
    night on which a disk was slow turns nothing. One that read :data:`FAR` times as much or as little says nothing of this one: its
    time was that of the beginning and the end, and what was added since may be of another kind.
    """
    scaled = [(run, by) for run in runs if 1 / FAR < (by := _scale(run, source)) < FAR]
    if not scaled:
        return None
    return Estimate(_range([run.size * by for run, by in scaled]), _range([run.seconds * by for run, by in scaled]), len(scaled))


def _scale(run: Run, source: int | None) -> float:
    return source / run.source if source is not None and run.source else 1.0


def _range(values: Sequence[float]) -> Range:
    return Range(min(values), median(values), max(values))
