"""Hours as people type and read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError

from timetracker.tracking.days import local_datetime

__all__ = ["Hours", "hours_said", "read_hours"]

_EXAMPLES = "Write 1:30, 1.5, 90m, 1h 30m, or from and to: 9-10:30."
_DAY = 24 * 3600

_CLOCK = re.compile(r"([0-9]{0,3}):([0-5][0-9]) ?h?")
_DECIMAL = re.compile(r"([0-9]{0,3}[.,][0-9]{1,4}|[0-9]{1,3}) ?h?")
_MINUTES = re.compile(r"([0-9]{1,4}) ?(?:m|min)")
_HOURS_AND_MINUTES = re.compile(r"([0-9]{1,3}) ?h ?([0-5]?[0-9]) ?(?:m|min)?")
_FROM_TO = re.compile(r"([0-9]{1,2})(?::([0-5][0-9]))? ?[-–—−] ?([0-9]{1,2})(?::([0-5][0-9]))?")


@dataclass(frozen=True)
class Hours:
    """A length in seconds, and the points in time (aware, UTC) where from and to were given."""

    seconds: int
    started_at: datetime | None = None
    ended_at: datetime | None = None


def read_hours(text: str, *, day: date, zone: ZoneInfo) -> Hours:
    """Understand ``text``: a length of at most 24 hours (0 is one), or from and to on the clock of ``zone``, beginning on ``day``.

    A length is ``1:30``, ``1.5``, ``1,5``, ``90m`` or ``1h 30m``; from and to are ``9-10:30``, over midnight ``22-1``, with
    any dash. Their seconds are those that pass: where clocks change in between, an hour less or more.

    Raises ValidationError, with examples, for anything else.
    """
    words = " ".join(text.lower().split())
    if match := _FROM_TO.fullmatch(words):
        return _from_to(match, text, day, zone)
    seconds = _length(words)
    if seconds is None:
        raise ValidationError(f"“{text.strip()}” is no time. {_EXAMPLES}" if words else f"No time is given. {_EXAMPLES}", code="hours")
    if seconds > _DAY:
        raise ValidationError(f"“{text.strip()}” is more than 24 hours. {_EXAMPLES}", code="hours")
    return Hours(seconds)


def hours_said(seconds: int) -> str:
    """Return hours and minutes such as ``1:30``, without the seconds left over; ``-1:30`` for less than nothing."""
    minutes = abs(seconds) // 60
    sign = "-" if seconds < 0 and minutes else ""
    return f"{sign}{minutes // 60}:{minutes % 60:02d}"


def _length(words: str) -> int | None:
    """Return seconds, or None where ``words`` are no length."""
    if match := _CLOCK.fullmatch(words) or _HOURS_AND_MINUTES.fullmatch(words):
        return int(match[1] or 0) * 3600 + int(match[2]) * 60
    if match := _MINUTES.fullmatch(words):
        return int(match[1]) * 60
    if match := _DECIMAL.fullmatch(words):
        hours = Decimal(match[1].replace(",", "."))
        return int((hours * 3600).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return None


def _from_to(match: re.Match[str], text: str, day: date, zone: ZoneInfo) -> Hours:
    start, end = (int(match[hour]) * 60 + int(match[hour + 1] or 0) for hour in (1, 3))
    # 24:00 is an end only.
    if start >= 24 * 60 or end > 24 * 60:
        raise ValidationError(f"“{text.strip()}”: a day goes from 0:00 to 24:00. {_EXAMPLES}", code="hours")
    if start == end:
        raise ValidationError(f"“{text.strip()}” ends when it begins. {_EXAMPLES}", code="hours")
    started_at = _at(day, start, zone)
    ended_at = _at(day if end > start else day + timedelta(days=1), end, zone)
    if ended_at <= started_at:
        raise ValidationError(f"“{text.strip()}” is no time on {day}: clocks were put forward then.", code="hours")
    return Hours((ended_at - started_at) // timedelta(seconds=1), started_at, ended_at)


def _at(day: date, minutes: int, zone: ZoneInfo) -> datetime:
    days, minutes = divmod(minutes, 24 * 60)
    return local_datetime(day + timedelta(days=days), time(minutes // 60, minutes % 60), zone)
