"""Values as they stand in files: dates, clock times, lengths, numbers, yes and no.

Each function takes text that is not empty and raises Unfit, with a sentence that says what to write, for what it cannot read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from timetracker.careful_forms import FIRST_DAY, LAST_DAY
from timetracker.imports.exceptions import Unfit

__all__ = [
    "FIRST_YEAR",
    "LAST_YEAR",
    "LONGEST",
    "ORDERS",
    "Point",
    "moments_at",
    "read_length",
    "read_number",
    "read_point",
    "read_seconds",
    "read_yes",
]

# The orders of day, month and year: what people choose from, with an example.
ORDERS = {
    "ymd": "year, month, day: 2026-11-23",
    "dmy": "day, month, year: 23.11.2026 or 23/11/2026",
    "mdy": "month, day, year: 11/23/2026",
}
FIRST_YEAR, LAST_YEAR = FIRST_DAY.year, LAST_DAY.year
# The longest that an entry takes, in seconds: beyond a year one is mistyped.
LONGEST = 366 * 86400

_ISO = re.compile(r"([0-9]{4})[-./]([0-9]{1,2})[-./]([0-9]{1,2})")
_OTHER = re.compile(r"([0-9]{1,2})[-./]([0-9]{1,2})[-./]([0-9]{4}|[0-9]{2})")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]{1,9})?)? ?([ap]\.?m\.?)?", re.IGNORECASE)
_OFFSET = re.compile(r" ?(?:(z|utc|gmt)|([+-])([0-9]{2}):?([0-9]{2})?)", re.IGNORECASE)
_BETWEEN = re.compile(r"(?:, ?| |t)", re.IGNORECASE)

_HOURS_MINUTES = re.compile(r"([0-9]{1,6}):([0-5]?[0-9])(?::([0-5][0-9]))?")
_UNITS = re.compile(r"(?:([0-9]{1,6}) ?h(?:ours?|rs?)?)? ?(?:([0-9]{1,8}) ?m(?:in(?:utes?)?)?)? ?(?:([0-9]{1,9}) ?s(?:ec(?:onds?)?)?)?")
# By the decimal mark: digits, or groups of three with one of the other marks between them, and places.
_NUMBER = {
    mark: re.compile(rf"([+-]?)([0-9]{{1,3}}(?:[{others}' \u00a0\u2019\u202f][0-9]{{3}}){{1,4}}|[0-9]{{1,15}})(?:[{mark}]([0-9]{{1,9}}))?")
    for mark, others in ((".", ","), (",", "."))
}

_YES = frozenset(("yes", "y", "true", "t", "1", "x", "on", "billable", "active", "ja", "j", "oui", "si", "sí"))
_NO = frozenset(("no", "n", "false", "f", "0", "-", "off", "non-billable", "not billable", "inactive", "archived", "nein", "non"))


@dataclass(frozen=True)
class Point:
    """A point in time as it is written: a day, a clock time, or both; ``offset`` says how far that clock is ahead of UTC.

    ``is_next_day`` for 24:00, which is 0:00 of the next day.
    """

    day: date | None
    clock: time | None = None
    offset: timezone | None = None
    is_next_day: bool = False


def read_point(text: str, order: str) -> Point:
    """Read a date, a clock time, or both, with or without an offset from UTC (ISO 8601, or with a blank or comma between).

    ``order`` is one of :data:`ORDERS`, of dates whose year does not stand first.
    """
    match = _ISO.match(text)
    if match:
        day: date | None = _day(text, match[1], match[2], match[3])
    elif match := _OTHER.match(text):
        # With dots the day stands first wherever they are used.
        if order == "ymd" or (order == "mdy" and "." in match[0]):
            raise Unfit("Write a date as 2026-11-23, or choose another order of dates.")
        day = _day(text, match[3], *((match[2], match[1]) if order == "dmy" else (match[1], match[2])))
    else:
        day = None
    rest = text[match.end() :] if match else text
    if match and not rest:
        return Point(day)
    if match:
        between = _BETWEEN.match(rest)
        rest = rest[between.end() :] if between else "?"
    clock = _CLOCK.match(rest)
    if clock is None:
        raise Unfit("Write a date and a time as 2026-11-23 14:05, or a time as 14:05." if day else "Write a time as 14:05 or 2:05 PM.")
    at, is_next_day = _clock(clock)
    return Point(day, at, _offset(rest[clock.end() :]), is_next_day)


def moments_at(day: date, clock: time, zone: ZoneInfo) -> list[datetime]:
    """Return the points in time (UTC) at which clocks there show this: none where they leave it out, two where they show it twice."""
    found: list[datetime] = []
    for fold in (0, 1):
        local = datetime.combine(day, clock.replace(fold=fold), zone)
        moment = local.astimezone(UTC)
        if moment not in found and moment.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
            found.append(moment)
    return found


def read_length(text: str, decimal: str) -> int:
    """Read hours (``1:30``, ``1:30:15``, ``1.5``, ``90m``, ``1h 30m``) as seconds; a number is one of hours, with this decimal mark."""
    words = " ".join(text.lower().split())
    if match := _HOURS_MINUTES.fullmatch(words):
        seconds = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3] or 0)
    elif (match := _UNITS.fullmatch(words)) and words:
        seconds = int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + int(match[3] or 0)
    else:
        try:
            hours = read_number(text, decimal)
        except Unfit as error:
            raise Unfit(f"Write hours as 1:30, 1{decimal}5 or 90m.") from error
        seconds = int((hours * 3600).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    return _within(seconds)


def read_seconds(text: str) -> int:
    """Read a whole number of seconds."""
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise Unfit("Write a whole number of seconds, such as 5400.")
    return _within(int(text))


def read_number(text: str, decimal: str) -> Decimal:
    """Read a number with this decimal mark, and with or without marks between thousands."""
    match = _NUMBER[decimal].fullmatch(text)
    if match is None:
        raise Unfit(f"Write a number as 1234{decimal}50, or choose the other decimal mark.")
    whole = "".join(digit for digit in match[2] if digit.isdigit())
    return Decimal(f"{match[1]}{whole}.{match[3] or 0}")


def read_yes(text: str) -> bool:
    """Read yes or no, also in the words of other programs."""
    word = text.casefold()
    if word not in _YES | _NO:
        raise Unfit("Write yes or no.")
    return word in _YES


def _day(text: str, year: str, month: str, day: str) -> date:
    number = int(year) if len(year) == 4 else 2000 + int(year)
    try:
        found = date(number, int(month), int(day))
    except ValueError as error:
        raise Unfit(f"There is no day {text.split()[0]}. Mend it, or choose another order of dates.") from error
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Unfit(f"The year is {found.year}, and only {FIRST_YEAR} to {LAST_YEAR} are taken.")
    return found


def _clock(match: re.Match[str]) -> tuple[time, bool]:
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
    if match[4]:
        if not 1 <= hours <= 12:
            raise Unfit("With AM or PM the hour is 1 to 12.")
        hours = hours % 12 + (12 if match[4].lower().startswith("p") else 0)
    if (hours, minutes, seconds) == (24, 0, 0):
        return time(0), True
    try:
        return time(hours, minutes, seconds), False
    except ValueError as error:
        raise Unfit(f"There is no clock time {match[0].strip()}. A day goes from 0:00 to 24:00.") from error


def _offset(text: str) -> timezone | None:
    if not text.strip():
        return None
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise Unfit("Behind the time there is more than an offset such as Z or +02:00.")
    if match[1]:
        return UTC
    ahead = timedelta(hours=int(match[3]), minutes=int(match[4] or 0))
    if ahead > timedelta(hours=14):
        raise Unfit("No clock is more than 14 hours ahead of UTC or behind it.")
    return timezone(ahead if match[2] == "+" else -ahead)


def _within(seconds: int) -> int:
    if seconds < 0:
        raise Unfit("This is less than no time. Write how long it took.")
    if seconds > LONGEST:
        raise Unfit("This is longer than a year.")
    return seconds
