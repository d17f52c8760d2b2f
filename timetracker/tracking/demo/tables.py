"""The way into the database: ids, and rows in a stream, as fast as each vendor takes them.

Rows are written as they are given, past ``auto_now``, so that the same seed gives the same rows. Memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice

from django.db import connection
from django.db.models import Max, Model

from timetracker.tracking.demo.refusal import DemoRefused

__all__ = ["Ids", "Value", "analyze", "insert_objects", "insert_rows", "lock_tables", "set_sequences", "utc_text"]

# A value of a row: dates and times as text in UTC, which both vendors read.
Value = str | int | bool | None

# Rows that are turned into text at once, and bytes that psycopg2 asks for at once.
_ROWS_AT_ONCE = 1000
_BYTES_AT_ONCE = 256 * 1024

_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Ids:
    """Ids for new rows, model by model, above every id that the database has given out so far."""

    def __init__(self, models: Iterable[type[Model]]) -> None:
        self._before = {model: _last_id(model) for model in models}
        self._last = dict(self._before)

    def take(self, model: type[Model]) -> int:
        """Return the next id of ``model``."""
        self._last[model] += 1
        return self._last[model]

    def ranges(self) -> dict[type[Model], tuple[int, int]]:
        """Return the first and the last id taken, for each model of which any was."""
        return {model: (first + 1, self._last[model]) for model, first in self._before.items() if self._last[model] > first}


def _last_id(model: type[Model]) -> int:
    """Return the highest id ever given out, also where its row is gone by now."""
    table, column = model._meta.db_table, model._meta.pk.column
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_sequence_last_value(pg_get_serial_sequence(%s, %s)::regclass)", [f'"{table}"', column])
        else:
            cursor.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = %s", [table])
        counted = cursor.fetchone()[0]
    return max(counted or 0, model._default_manager.aggregate(last=Max("pk"))["last"] or 0)


def lock_tables(models: Iterable[type[Model]]) -> None:
    """Keep others from writing to the tables until the transaction ends; they may read.

    SQLite has one writer at most, and its transactions here are IMMEDIATE.
    """
    if connection.vendor == "postgresql":
        names = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in models)
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


def utc_text(moment: datetime) -> str:
    """Return an aware time as ``YYYY-MM-DD HH:MM:SS`` in UTC, the time zone of Django's connections on both vendors."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def insert_objects(model: type[Model], objects: Iterable[Model]) -> None:
    """Insert objects that have their ids, with ``created_at`` and ``updated_at`` as they are set."""
    fields = model._meta.concrete_fields
    insert_rows(model, [field.attname for field in fields], (tuple(_plain(getattr(obj, f.attname)) for f in fields) for obj in objects))


def _plain(value: object) -> Value:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (Decimal, str)):
        return str(value)
    # A file: its name.
    return str(value)


def insert_rows(model: type[Model], names: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """Insert ``rows``, whose values belong to the fields ``names`` (attribute names): by COPY on PostgreSQL."""
    quote = connection.ops.quote_name
    column_of = {field.attname: str(field.column) for field in model._meta.concrete_fields}
    columns = ", ".join(quote(column_of[name]) for name in names)
    table = quote(model._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", _CopyText(rows), _BYTES_AT_ONCE)
        elif connection.vendor == "sqlite":
            marks = ", ".join(["%s"] * len(names))
            sql = f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 (names of our own models)
            # In pieces: Django keeps a copy of every row that one executemany() takes from an iterator (measured: 0.8 GB).
            rest = iter(rows)
            while batch := list(islice(rest, _ROWS_AT_ONCE)):
                cursor.executemany(sql, batch)
        else:
            raise DemoRefused(f"Demo data is made on PostgreSQL and SQLite, not on {connection.vendor}.")


class _CopyText:
    """Rows as a file in COPY's text format, made while it is read."""

    def __init__(self, rows: Iterable[Sequence[Value]]) -> None:
        self._rows: Iterator[Sequence[Value]] = iter(rows)
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        pieces, length = [self._rest], len(self._rest)
        while length < size:
            batch = list(islice(self._rows, _ROWS_AT_ONCE))
            if not batch:
                break
            piece = ("\n".join(["\t".join(map(_copy_text, row)) for row in batch]) + "\n").encode()
            pieces.append(piece)
            length += len(piece)
        whole = b"".join(pieces)
        self._rest = whole[size:]
        return whole[:size]


def _copy_text(value: Value) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_COPY_ESCAPES) if not value.isprintable() or "\\" in value else value
    return str(value)


def set_sequences(ranges: dict[type[Model], tuple[int, int]]) -> None:
    """Let ids go on after the last one taken (SQLite does so by itself)."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for model, (_, last) in ranges.items():
            table, column = model._meta.db_table, model._meta.pk.column
            cursor.execute("SELECT setval(pg_get_serial_sequence(%s, %s), %s)", [f'"{table}"', column, last])


def analyze(models: Iterable[type[Model]]) -> None:
    """Bring the planner's statistics up to date."""
    with connection.cursor() as cursor:
        for model in models:
            cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")
