"""A client's time as CSV. What its switches keep back has no column.

``Date`` (on which the entry starts), ``Start`` and ``End`` (ISO 8601 with the offset of the reader's time zone), ``Project``,
``Project code``, ``Task``, ``Person``, ``Note``, ``Seconds`` (worked, without the break), ``Hours`` (the same as a decimal, to four
places) and ``Billing`` (billed, not billed yet, not charged).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from portal.figures import BILLED, FREE, TO_BILL, with_standing
from timetracker.clients.models import Client
from timetracker.csv_text import Cell
from timetracker.tracking.models import TimeEntry

__all__ = ["columns_of", "rows_of"]

_STANDING_WORDS = {BILLED: "billed", TO_BILL: "not billed yet", FREE: "not charged"}
_TEN_THOUSANDTH = Decimal("0.0001")
# Rows read from the database at once.
_ROWS = 1000


def columns_of(client: Client) -> tuple[str, ...]:
    """Return the names of the columns that the client sees."""
    names = ["Date", "Start", "End", "Project", "Project code", "Task"]
    names += ["Person"] if client.portal_shows_people else []
    names += ["Note"] if client.portal_shows_notes else []
    return (*names, "Seconds", "Hours", "Billing")


def rows_of(entries: QuerySet[TimeEntry], client: Client, *, zone: ZoneInfo) -> Iterator[list[Cell]]:
    """Yield a row for each of the client's ``entries``, the first entry first."""
    for entry in with_standing(entries, client).order_by("started_at", "id").iterator(chunk_size=_ROWS):
        yield _row(entry, client, zone)


def _row(entry: Any, client: Client, zone: ZoneInfo) -> list[Cell]:
    began, ended = (moment.astimezone(zone) for moment in (entry.started_at, entry.ended_at))
    cells: list[Cell] = [began.date().isoformat(), began.isoformat(timespec="seconds"), ended.isoformat(timespec="seconds")]
    cells += [entry.project.name, entry.project.code, entry.task.name if entry.task else ""]
    if client.portal_shows_people:
        cells.append(str(entry.user))
    if client.portal_shows_notes:
        cells.append(entry.notes)
    hours = (Decimal(entry.worked_seconds) / 3600).quantize(_TEN_THOUSANDTH)
    return [*cells, entry.worked_seconds, hours, _STANDING_WORDS[entry.standing]]
