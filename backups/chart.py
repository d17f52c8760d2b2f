"""Where the marks, the line and the labels of a small chart of bytes over time stand. Pure: no clock, no query; a template draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from backups.preflight import size_human

__all__ = ["HEIGHT", "WIDTH", "Mark", "Plot", "Point", "Tick", "chart_plot"]

# Units of the drawing; at a column's usual width one is about a pixel, so that its letters are as large as those around it.
WIDTH, HEIGHT = 360, 180
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 26
# A column of so many units holds two marks at most, its lowest and its highest: more could not be told apart.
COLUMN = 4
MOST_TICKS = 4


@dataclass(frozen=True)
class Point:
    """A number of bytes at an (aware) instant."""

    at: datetime
    value: float


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


def chart_plot(points: Iterable[Point], *, label: Callable[[Point], str], joined: bool = False, ahead: Sequence[Point] = ()) -> Plot | None:
    """Lay out ``points`` from zero up, ``joined`` by a line or not; None without any. ``label`` says what a point is.

    Through ``ahead``, what is foreseen, goes a line of its own.
    """
    drawn = sorted(points, key=lambda point: point.at)
    if not drawn:
        return None
    first, last = _span([*drawn, *ahead])
    step, top = _scale(max(point.value for point in (*drawn, *ahead)))

    def x(point: Point) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * ((point.at - first) / (last - first)), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value / top), 1)

    marks = tuple(Mark(at, y(point.value), label(point)) for at, point in _thinned([(x(point), point) for point in drawn]))
    return Plot(
        marks=marks,
        across=_dates(first, last),
        upwards=tuple(Tick(y(step * number), _bytes(step * number)) for number in range(round(top / step) + 1)),
        line=_polyline((mark.x, mark.y) for mark in marks) if joined and len(marks) > 1 else "",
        ahead=_polyline((x(point), y(point.value)) for point in ahead),
    )


def _span(points: Sequence[Point]) -> tuple[datetime, datetime]:
    """Both ends of the time; at least a day, so that one point stands in the middle."""
    first, last = min(point.at for point in points), max(point.at for point in points)
    missing = max(timedelta(0), timedelta(days=1) - (last - first)) / 2
    return first - missing, last + missing


def _bytes(value: float) -> str:
    """A round number of bytes for people."""
    return size_human(value).replace(".0 ", " ") if value else "0"


def _scale(highest: float) -> tuple[float, float]:
    """The step between two labels (1, 2 or 5 times a power of ten) and the end of an axis that ``highest`` fits on."""
    least = max(highest, 1) / MOST_TICKS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= least * (1 - 1e-9))
    step = max(step, 1.0)
    return step, step * max(1, math.ceil(highest / step - 1e-9))


def _dates(first: datetime, last: datetime) -> tuple[Tick, ...]:
    """Both ends of the time."""
    return Tick(LEFT, f"{first:%Y-%m-%d}", "start"), Tick(WIDTH - RIGHT, f"{last:%Y-%m-%d}", "end")


def _thinned(placed: Iterable[tuple[float, Point]]) -> list[tuple[float, Point]]:
    """The lowest and the highest of each column, in the order of time."""
    thinned = []
    for _, column in groupby(placed, key=lambda place: int((place[0] - LEFT) / COLUMN)):
        inside = list(column)
        extremes = {place[1]: place for place in (min(inside, key=_value), max(inside, key=_value))}
        thinned.extend(sorted(extremes.values(), key=lambda place: place[1].at))
    return thinned


def _value(place: tuple[float, Point]) -> float:
    return place[1].value


def _polyline(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in places)
