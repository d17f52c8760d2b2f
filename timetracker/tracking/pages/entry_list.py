"""What the Entries page shows of the entries that were found: a page of them by day, and what all of them come to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from timetracker.tracking.durations import worked_seconds
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.rates import with_billable
from timetracker.tracking.sums import starting_on, time_sums, with_amounts

__all__ = ["PAGE", "EntryDay", "EntryPage", "entry_page", "shown_entries"]

# Entries on a page.
PAGE = 100
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_PLACE = re.compile(r"(-?[0-9]{1,17})-([0-9]{1,18})")


@dataclass(frozen=True)
class EntryDay:
    """A day, the seconds of all that was found on it, and the entries of it that are on this page."""

    day: date
    seconds: int
    entries: list[Any]


@dataclass(frozen=True)
class EntryPage:
    """Days, the latest first, and the places in the list behind which it goes on; empty where it does not."""

    days: list[EntryDay]
    older: str
    newer: str

    @property
    def is_all(self) -> bool:
        """Whether nothing was found besides."""
        return not self.older and not self.newer

    @property
    def numbers(self) -> list[int]:
        """The ids of its entries."""
        return [entry.pk for day in self.days for entry in day.entries]


def shown_entries(found: QuerySet[TimeEntry], *, money: bool, now: datetime) -> QuerySet[Any]:
    """Return ``found`` with all that a row shows: ``is_billable``, ``worked_seconds`` and, with ``money``, what ``with_amounts`` adds."""
    rows = found.select_related("user", "project__client", "task")
    return with_amounts(rows, now=now) if money else with_billable(rows).annotate(worked_seconds=worked_seconds(now))


def entry_page(
    found: QuerySet[TimeEntry], *, older: str, newer: str, money: bool, zone: ZoneInfo, now: datetime, size: int = PAGE
) -> EntryPage:
    """Read the page of ``found`` that begins behind the place ``older``, or ends before ``newer``; else the first one.

    A place names an entry by start and id, and stays what it is when entries come and go: a page costs the same wherever
    it is. Days are those of ``zone``, entries that run count up to ``now``. Three queries, or four.
    """
    rows = shown_entries(found, money=money, now=now)
    behind, before = _place_of(older), _place_of(newer)
    listed: list[Any] = []
    has_older = has_newer = True
    if before is not None:
        listed = list(_after(rows, before).order_by("started_at", "id")[: size + 1])[::-1]
        # Fewer than fill a page: that is the first one.
        listed = listed[1:] if len(listed) > size else []
    elif behind is not None:
        listed = list(_before(rows, behind).order_by("-started_at", "-id")[: size + 1])
        has_older = len(listed) > size
    if not listed:
        listed = list(rows.order_by("-started_at", "-id")[: size + 1])
        has_newer, has_older = False, len(listed) > size
    listed = listed[:size]
    if not listed:
        return EntryPage([], "", "")
    return EntryPage(
        days=_days(found, listed, zone, now),
        older=_place(listed[-1]) if has_older else "",
        newer=_place(listed[0]) if has_newer else "",
    )


def _days(found: QuerySet[TimeEntry], listed: list[Any], zone: ZoneInfo, now: datetime) -> list[EntryDay]:
    """A day's first entries may be on another page: its sum counts all of them."""

    def day_of(entry: TimeEntry) -> date:
        return entry.started_at.astimezone(zone).date()

    sums = time_sums(starting_on(found, day_of(listed[-1]), day_of(listed[0]), zone=zone), "day", zone=zone, now=now, money=False)
    seconds = {day: each.seconds for (day,), each in sums.items()}
    return [EntryDay(day, seconds.get(day, 0), list(entries)) for day, entries in groupby(listed, day_of)]


# The first condition alone is what an index answers; the second takes apart what began in the same instant.


def _before(rows: QuerySet[Any], place: tuple[datetime, int]) -> QuerySet[Any]:
    moment, number = place
    return rows.filter(Q(started_at__lte=moment) & (Q(started_at__lt=moment) | Q(id__lt=number)))


def _after(rows: QuerySet[Any], place: tuple[datetime, int]) -> QuerySet[Any]:
    moment, number = place
    return rows.filter(Q(started_at__gte=moment) & (Q(started_at__gt=moment) | Q(id__gt=number)))


def _place(entry: TimeEntry) -> str:
    return f"{(entry.started_at - _EPOCH) // _MICROSECOND}-{entry.pk}"


def _place_of(text: str) -> tuple[datetime, int] | None:
    """Read a place; None where there is none, or nothing that this page has written."""
    matched = _PLACE.fullmatch(text)
    if matched is None:
        return None
    try:
        return _EPOCH + int(matched[1]) * _MICROSECOND, int(matched[2])
    except OverflowError:
        return None
