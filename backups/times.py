"""Times as people read them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.timesince import timesince

__all__ = ["ago", "duration_human", "local_minute", "span_human"]

MINUTE = timedelta(minutes=1)


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long ago ``moment`` (aware) was: ``just now``, ``3 hours ago``; ``in the future`` for what a minute alone does not explain."""
    now = now or timezone.now()
    if moment - now >= MINUTE:
        return "in the future"
    return "just now" if now - moment < MINUTE else f"{span_human(moment, now)} ago"


def span_human(start: datetime, end: datetime) -> str:
    """The time between two instants in one unit: ``3 hours``."""
    return "less than a minute" if end - start < MINUTE else timesince(start, end, depth=1).replace("\xa0", " ")


def local_minute(moment: datetime) -> str:
    """``2026-11-22 18:13``, by the clock of who reads it."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"


def duration_human(spent: timedelta) -> str:
    """A time for people in two units at most: ``less than a second``, ``8 s``, ``3 min 20 s``, ``15 min``, ``2 h 5 min``."""
    seconds = max(0, round(spent.total_seconds()))
    units = (seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s")
    greatest = next((index for index, (count, _) in enumerate(units) if count), None)
    if greatest is None:
        return "less than a second"
    return " ".join(f"{count} {unit}" for count, unit in units[greatest : greatest + 2] if count)
