"""What the Week page reads: which week and whose from the address, and what was typed from the grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from django.http import Http404, QueryDict
from django.urls import reverse

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES, team
from timetracker.careful_forms import FIRST_DAY, LAST_DAY
from timetracker.lists import id_of
from timetracker.tracking.days import week_of
from timetracker.tracking.pages.week_sheet import MOST_ROWS
from timetracker.tracking.pages.week_typing import Typed
from timetracker.tracking.pages.work import ids_of

__all__ = ["FIRST_YEAR", "LAST_YEAR", "GridForm", "week_address", "week_asked", "week_name", "week_owner", "weeks_beside"]

FIRST_YEAR, LAST_YEAR = FIRST_DAY.year, LAST_DAY.year

_WEEK = re.compile(r"([0-9]{4})-?W([0-9]{1,2})", re.ASCII | re.IGNORECASE)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)


def week_asked(text: str, today: date) -> tuple[list[date], str]:
    """Return the days of the week that ``text`` means (``2026-W12``, or a date in it; empty: today's), and a complaint.

    What means none is complained of, and the days are those of today's week.
    """
    text = text.strip()
    try:
        if matched := _WEEK.fullmatch(text):
            day = date.fromisocalendar(int(matched[1]), int(matched[2]), 4)
        elif matched := _DATE.fullmatch(text):
            day = date(int(matched[1]), int(matched[2]), int(matched[3]))
        elif not text:
            day = today
        else:
            raise ValueError
        # The day first: beside the last that Python knows there is no week.
        if not FIRST_YEAR <= day.year <= LAST_YEAR or week_of(day)[3].year < FIRST_YEAR:
            raise ValueError
    except ValueError:
        complaint = f"“{text[:20]}” is no week between {FIRST_YEAR} and {LAST_YEAR}. Write one as 2026-W12, or a date in it as 2026-03-18."
        return week_of(today), f"{complaint} This week is shown."
    return week_of(day), ""


def week_name(days: list[date]) -> str:
    """Return how an address writes a week: ``2026-W12``."""
    # Of the day in its middle, which is in the year that the week belongs to.
    return f"{days[3]:%G-W%V}"


def week_owner(text: str, reader: User) -> User:
    """Return the person whose id ``text`` is; the reader where it is empty. Raises Http404 for whom she may not look at."""
    if text in ("", str(reader.pk)):
        return reader
    if reader.has_perm(ALL_ENTRIES) and (number := id_of(text)) is not None:
        person = team().prefetch_related(None).filter(pk=number).first()
        if person is not None:
            return person
    raise Http404("This is nobody whose week you may see.")


def week_address(days: list[date], *, person: User, reader: User, keys: list[str] | None = None) -> str:
    """Return the address of a week; ``keys`` are rows on which there is no time (yet)."""
    asked: list[tuple[str, str]] = [("week", week_name(days))]
    if person.pk != reader.pk:
        asked.append(("person", str(person.pk)))
    asked += [("row", key) for key in keys or []]
    return f"{reverse('staff:week')}?{urlencode(asked)}"


def weeks_beside(days: list[date]) -> tuple[list[date] | None, list[date] | None]:
    """Return the week before and the week after; None where there is no page of it."""
    before, after = week_of(days[0] - timedelta(days=7)), week_of(days[0] + timedelta(days=7))
    return (before if before[3].year >= FIRST_YEAR else None), (after if after[3].year <= LAST_YEAR else None)


@dataclass(frozen=True)
class GridForm:
    """The posted grid: the keys of its rows, and the cells of which the text is not what they said."""

    keys: list[str]
    typed: list[Typed]
    sure: set[str]

    @classmethod
    def read(cls, data: QueryDict, days: list[date]) -> GridForm:
        """Read it. A row is posted as its key and what each of its cells was, with ``|`` in between; what is none is left out."""
        keys: list[str] = []
        typed: list[Typed] = []
        for row in data.getlist("row")[:MOST_ROWS]:
            key, *states = row.split("|")
            if not ids_of(key) or key in keys:
                continue
            keys.append(key)
            if len(states) != len(days):
                continue
            for day, was in zip(days, states, strict=True):
                text = data.get(f"cell.{key}.{day:%Y-%m-%d}")
                if text is not None and text.strip() != was.split("@")[0]:
                    typed.append(Typed(key, day, text.strip(), was))
        return cls(keys, typed, set(data.getlist("sure")))
