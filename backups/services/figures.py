"""The figures of the list of archives: how large they are, how much is free, and when nothing will be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.utils import timezone

from backups.chart import Plot, Point, chart_plot
from backups.forecast import Forecast, Reading, forecast_full
from backups.models import Backup, Operation
from backups.preflight import size_human, store_free_bytes

__all__ = ["Day", "Figures", "archives_figures"]

# What is drawn: older archives say nothing about today, and more of them are told apart by nobody.
WINDOW = timedelta(days=366)
MOST_ARCHIVES = 400
# Days in the table below the charts.
MOST_DAYS = 60
# The foreseen line is drawn at most so far ahead, and never further than the past is shown.
AHEAD = timedelta(days=120)


@dataclass
class Day:
    """One day of the table: how many archives were made, the largest of them, and what was free after the last; bytes."""

    day: date
    archives: int = 0
    largest: int = 0
    free: int | None = None

    @property
    def largest_said(self) -> str:
        """The largest, for people."""
        return size_human(self.largest) if self.archives else "-"

    @property
    def free_said(self) -> str:
        """What was free, for people."""
        return "-" if self.free is None else size_human(self.free)


@dataclass(frozen=True)
class Figures:
    """Two charts (None where there is nothing to draw), the same as a table, newest day first, and the forecast."""

    sizes: Plot | None = None
    space: Plot | None = None
    days: list[Day] = field(default_factory=list)
    forecast: Forecast | None = None
    forecast_said: str = ""


def archives_figures() -> Figures:
    """Look at the archives of the last year and at what was free after each backup: two queries, no archive is read."""
    now = timezone.now()
    newest = Backup.objects.filter(created_at__range=(now - WINDOW, now)).order_by("-created_at")
    sizes = list(newest.values_list("created_at", "size")[:MOST_ARCHIVES])
    readings = _readings(now)
    forecast = forecast_full(readings, now)
    return Figures(
        sizes=chart_plot((Point(timezone.localtime(at), size) for at, size in sizes), label=_label),
        space=chart_plot(
            (Point(timezone.localtime(reading.at), reading.free) for reading in readings),
            label=_label,
            joined=True,
            ahead=_ahead(readings, forecast),
        ),
        days=_days(sizes, readings),
        forecast=forecast,
        forecast_said=_said(forecast, now),
    )


def _readings(now: datetime) -> list[Reading]:
    """What was free after each backup of the last year, oldest first, and what is free now."""
    reports = (
        Operation.objects.filter(kind="create", status="done", ended_at__range=(now - WINDOW, now))
        .order_by("ended_at")
        .values_list("ended_at", "report__free_bytes")
    )
    readings = [Reading(at, free) for at, free in reports if at is not None and isinstance(free, int) and free >= 0]
    free = store_free_bytes()
    return readings if free is None else [*readings, Reading(now, free)]


def _label(point: Point) -> str:
    return f"{point.at:%Y-%m-%d %H:%M}: {size_human(point.value)}"


def _ahead(readings: list[Reading], forecast: Forecast | None) -> list[Point]:
    """The foreseen line, from the last reading on; none without a forecast."""
    if forecast is None:
        return []
    last = readings[-1]
    shown = min(forecast.full_at - last.at, AHEAD, last.at - readings[0].at)
    left = max(0.0, last.free - forecast.bytes_per_day * (shown / timedelta(days=1)))
    return [Point(timezone.localtime(last.at), last.free), Point(timezone.localtime(last.at + shown), left)]


def _days(sizes: list[tuple[datetime, int]], readings: list[Reading]) -> list[Day]:
    days: dict[date, Day] = {}
    for at, size in sizes:
        day = days.setdefault(timezone.localdate(at), Day(timezone.localdate(at)))
        day.archives, day.largest = day.archives + 1, max(day.largest, size)
    for reading in readings:
        days.setdefault(timezone.localdate(reading.at), Day(timezone.localdate(reading.at))).free = reading.free
    return sorted(days.values(), key=lambda day: day.day, reverse=True)[:MOST_DAYS]


def _said(forecast: Forecast | None, now: datetime) -> str:
    if forecast is None:
        return ""
    left = (forecast.full_at - now) / timedelta(days=1)
    return f"At this pace ({size_human(forecast.bytes_per_day)} a day, the dashed line) the disk is full {_in_about(left)}."


def _in_about(days: float) -> str:
    for least, length, unit in ((90, 30.44, "month"), (14, 7, "week"), (1, 1, "day")):
        if round(days) >= least:
            count = round(days / length)
            return f"in about {count} {unit}{'s' if count > 1 else ''}"
    return "within a day"
