"""Time entries as CSV, for spreadsheets and other programs.

Columns, in this order: ``date`` (on which the entry starts), ``start`` and ``end`` (ISO 8601 with the offset of the reader's time
zone; no end while the timer runs), ``person``, ``client``, ``project_code``, ``project``, ``task``, ``note``, ``tags`` (with
commas), ``break_seconds``, ``seconds`` (worked, without the break), ``hours`` (the same as a decimal, to four places),
``billable`` (yes: the entry and its project are) and ``billed`` (yes: on an invoice). Who may see money gets ``invoice`` (its
number), ``rate`` (per hour), ``amount`` (rounded to cents by itself, as in all sums) and ``currency`` as well; empty where there
is no rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from timetracker.billing.totals import cents
from timetracker.csv_text import Cell
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.pages.entry_list import shown_entries

__all__ = ["COLUMNS", "MONEY_COLUMNS", "entry_columns", "entry_rows"]

COLUMNS = (
    *("date", "start", "end", "person", "client", "project_code", "project", "task", "note", "tags"),
    *("break_seconds", "seconds", "hours", "billable", "billed"),
)
MONEY_COLUMNS = ("invoice", "rate", "amount", "currency")
# Rows read from the database at once.
_ROWS = 1000


def entry_columns(*, money: bool) -> tuple[str, ...]:
    """Return the names of the columns; with ``money`` those of the amounts as well."""
    return (*COLUMNS, *MONEY_COLUMNS) if money else COLUMNS


def entry_rows(found: QuerySet[TimeEntry], *, money: bool, zone: ZoneInfo, now: datetime) -> Iterator[list[Cell]]:
    """Yield the rows of ``found``, the first entry first."""
    rows = shown_entries(found, money=money, now=now).order_by("started_at", "id")
    if money:
        rows = rows.select_related("invoice_item__invoice")
    for entry in rows.iterator(chunk_size=_ROWS):
        yield [*_row(entry, zone), *(_money(entry) if money else ())]


def _row(entry: Any, zone: ZoneInfo) -> Iterator[Cell]:
    began = entry.started_at.astimezone(zone)
    yield began.date().isoformat()
    yield began.isoformat(timespec="seconds")
    yield entry.ended_at.astimezone(zone).isoformat(timespec="seconds") if entry.ended_at else ""
    texts = (entry.user, entry.project.client, entry.project.code, entry.project.name, entry.task or "", entry.notes, entry.tags)
    yield from (str(text) for text in texts)
    yield entry.break_seconds
    yield entry.worked_seconds
    yield f"{Decimal(entry.worked_seconds) / 3600:.4f}"
    yield "yes" if entry.is_billable else "no"
    yield "yes" if entry.invoice_item_id else "no"


def _money(entry: Any) -> Iterator[Cell]:
    yield entry.invoice_item.invoice.number if entry.invoice_item_id else ""
    if entry.amount_cents is None:
        yield from ("", "", "")
    else:
        yield entry.rate
        yield cents(entry.amount_cents)
        yield entry.rate_currency
