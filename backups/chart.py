"""Where the marks, the line and the labels of a small chart of bytes over time stand. Pure: no clock, no query; a template draws it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from backups.preflight import size_human

__all__ = ["HEIGHT", "WIDTH", "Mark", "Plot", "Point", "Tick", "chart_plot"]

# Units of the drawing; at a column's usual width one is about a pixel, so that its letters are as large as those around it.
WIDTH, HEIGHT = 360, 180
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 26
# A column of so many units holds two marks at most, its lowest and its highest: more could not be told apart.
COLUMN = 2.0
MOST_TICKS = 4


@dataclass(frozen=True)
class Point:
    """A number of bytes at an (aware) instant, and what it is of."""

    at: datetime
    value: float
    label: str = ""


@dataclass(frozen=True)
class Mark:
    """A point of the drawing, and what it says when pointed at."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class Tick:
    """A label of an axis, where it stands along it."""

    at: float
    label: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Plot:
    """Everything a template needs to draw one chart. ``line`` and ``ahead`` are the points of polylines, empty where there is none."""

    marks: tuple[Mark, ...]
    across: tuple[Tick, ...]
    upwards: tuple[Tick, ...]
    line: str = ""
    ahead: str = ""

    width, height = WIDTH, HEIGHT
    left, right, top, bottom = LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM


def chart_plot(points: Iterable[Point], *, joined: bool = False, ahead: Sequence[Point] = ()) -> Plot | None:
    """Lay out ``points`` from zero up, ``joined`` by a line or not; None without any.

    Through ``ahead``, what is foreseen, goes a line of its own.
    """
    drawn = sorted(points, key=lambda point: point.at)
    if not drawn:
        return None
    everything = [*drawn, *ahead]
    first, last = min(point.at for point in everything), max(point.at for point in everything)
    if last - first < timedelta(hours=1):
        first, last = first - timedelta(hours=12), last + timedelta(hours=12)
    step, top = _scale(max(point.value for point in everything))

    def x(at: datetime) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * ((at - first) / (last - first)), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value / top), 1)

    marks = _thinned(Mark(x(point.at), y(point.value), point.label) for point in drawn)
    return Plot(
        marks=tuple(marks),
        across=_dates(first, last),
        upwards=tuple(Tick(y(step * number), size_human(step * number) if number else "0") for number in range(round(top / step) + 1)),
        line=_polyline(marks) if joined and len(marks) > 1 else "",
        ahead=" ".join(f"{x(point.at)},{y(point.value)}" for point in ahead),
    )


def _scale(highest: float) -> tuple[float, float]:
    """The step between two labels (1, 2 or 5 times a power of ten) and the end of an axis that ``highest`` fits on."""
    least = max(highest, 1) / MOST_TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= least * (1 - 1e-9))
    step = max(step, 1.0)
    return step, step * max(1, math.ceil(highest / step - 1e-9))


def _dates(first: datetime, last: datetime) -> tuple[Tick, ...]:
    """Both ends of the time, named so that they can be told apart."""
    form = "%Y-%m-%d" if last - first >= timedelta(days=1) else "%m-%d %H:%M"
    return (
        Tick(LEFT, f"{first:{form}}", "start"),
        Tick(WIDTH - RIGHT, f"{last:{form}}", "end"),
    )


def _thinned(marks: Iterable[Mark]) -> list[Mark]:
    """The lowest and the highest of each column."""
    thinned: list[Mark] = []
    for _, column in groupby(marks, key=lambda mark: int(mark.x / COLUMN)):
        inside = list(column)
        kept = {id(mark): mark for mark in (min(inside, key=lambda mark: mark.y), max(inside, key=lambda mark: mark.y))}
        thinned.extend(sorted(kept.values(), key=lambda mark: mark.x))
    return thinned


def _polyline(marks: Iterable[Mark]) -> str:
    return " ".join(f"{mark.x},{mark.y}" for mark in marks)
