"""Where the bars of a chart of hours stand. Pure: no clock, no query; a template draws it.

Each bar has a billable part, and one that is not, which the template fills with a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from timetracker.tracking.hours_text import hours_said

__all__ = ["Bar", "BarChart", "Tick", "Tower", "TowerChart", "bar_chart", "tower_chart"]

# Units of the drawing; at a figure's usual width one is a little more than a pixel, on a phone a little less.
WIDTH = 440
LINE, BAR, GAP = 17, 12, 9
MOST_BARS = 10
HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 240, 58, 6, 12, 26
MOST_TICKS, MOST_DATES = 5, 6
# Letters that fit on a line beside its hours.
MOST_LETTERS = 42
# About the width of a letter below the axis.
LETTER = 8
# Steps of an axis below an hour, in seconds.
_QUARTERS = (900, 1800, 3600)


@dataclass(frozen=True)
class Bar:
    """One bar across, with its words above it at ``text_y``. ``title`` is the whole of what it says."""

    text_y: float
    y: float
    label: str
    said: str
    title: str
    billable_width: float
    other_width: float

    @property
    def width(self) -> float:
        """Of both parts."""
        return self.billable_width + self.other_width


@dataclass(frozen=True)
class BarChart:
    """Bars below each other. ``rest`` is how many more there are, brought together in the last one."""

    bars: tuple[Bar, ...]
    height: float
    rest: int = 0

    width, bar_height = WIDTH, BAR


@dataclass(frozen=True)
class Tick:
    """A label of an axis, where it stands along it."""

    at: float
    label: str


@dataclass(frozen=True)
class Tower:
    """One column; its parts stand on each other, the billable one below."""

    x: float
    title: str
    billable_y: float
    billable_height: float
    other_y: float
    other_height: float


@dataclass(frozen=True)
class TowerChart:
    """Columns beside each other over an axis of time, each ``tower_width`` wide."""

    towers: tuple[Tower, ...]
    tower_width: float
    across: tuple[Tick, ...]
    upwards: tuple[Tick, ...]

    width, height, left, right, bottom = WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM


def bar_chart(values: Sequence[tuple[str, int, int]]) -> BarChart:
    """Lay out bars of (label, seconds, billable seconds), the longest first, those beyond the tenth in one."""
    longest_first = sorted(values, key=lambda value: -value[1])
    shown, rest = longest_first[:MOST_BARS], longest_first[MOST_BARS:]
    if len(rest) == 1:
        shown, rest = longest_first, []
    if rest:
        shown.append((f"{len(rest)} more", sum(value[1] for value in rest), sum(value[2] for value in rest)))
    most = max((value[1] for value in shown), default=0) or 1
    bars = []
    for number, (label, seconds, billable) in enumerate(shown):
        top = number * (LINE + BAR + GAP)
        bars.append(
            Bar(
                text_y=top + LINE - 5,
                y=top + LINE,
                label=label if len(label) <= MOST_LETTERS else f"{label[: MOST_LETTERS - 1].rstrip()}…",
                said=hours_said(seconds),
                title=f"{label}: {_said(seconds, billable)}",
                billable_width=round(WIDTH * billable / most, 1),
                other_width=round(WIDTH * (seconds - billable) / most, 1),
            )
        )
    return BarChart(tuple(bars), len(bars) * (LINE + BAR + GAP), len(rest))


def tower_chart(values: Sequence[tuple[str, str, int, int]]) -> TowerChart:
    """Lay out columns of (short label, name, seconds, billable seconds) in their order."""
    step, top = _scale(max((value[2] for value in values), default=0))
    each = (WIDTH - LEFT - RIGHT) / max(len(values), 1)
    width = round(min(each * 0.8, 48), 2)

    def height(seconds: int) -> float:
        return round((HEIGHT - TOP - BOTTOM) * seconds / top, 1)

    towers, across = [], []
    every = math.ceil(len(values) / MOST_DATES)
    for number, (label, name, seconds, billable) in enumerate(values):
        middle = LEFT + each * (number + 0.5)
        low = HEIGHT - BOTTOM - height(billable)
        other = height(seconds - billable)
        title = f"{name}: {_said(seconds, billable)}"
        towers.append(Tower(round(middle - width / 2, 1), title, round(low, 1), height(billable), round(low - other, 1), other))
        if number % every == 0:
            # The last one must not reach beyond the edge.
            across.append(Tick(round(min(middle, WIDTH - LETTER / 2 * len(label)), 1), label))
    upwards = tuple(Tick(HEIGHT - BOTTOM - height(step * number), _axis_hours(step * number)) for number in range(top // step + 1))
    return TowerChart(tuple(towers), width, tuple(across), upwards)


def _axis_hours(seconds: int) -> str:
    return hours_said(seconds) if seconds % 3600 else f"{seconds // 3600} h"


def _said(seconds: int, billable: int) -> str:
    if billable in (0, seconds):
        return f"{hours_said(seconds)} hours, {'all of it' if billable else 'none of it'} billable"
    return f"{hours_said(seconds)} hours, {hours_said(billable)} of it billable"


def _scale(highest: int) -> tuple[int, int]:
    """The step between two labels (in seconds; 1, 2 or 5 times a power of ten hours, or quarters of one) and the end of the axis."""
    least = max(highest, 1) / MOST_TICKS
    step = next((quarters for quarters in _QUARTERS if quarters >= least), 0)
    if not step:
        power = 3600 * 10 ** math.floor(math.log10(least / 3600))
        step = next(times * power for times in (1, 2, 5, 10) if times * power >= least)
    return step, step * max(1, math.ceil(highest / step))
