"""Rows that have been read and not yet written: on disk, so that the memory they take does not grow with the file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Problem", "Row", "Spool"]

# Rows handed out at once.
BATCH = 1000
# Characters of a wrong value that are kept.
_SHOWN = 200


@dataclass(frozen=True)
class Row:
    """A row that can be read: its line, the key that tells it from all others, and what it says."""

    line: int
    key: str
    data: list[Any]


@dataclass(frozen=True)
class Problem:
    """What is wrong: the line in the file, the name of the column (empty: the whole row), the value, and what to do."""

    line: int
    column: str
    value: str
    reason: str


class Spool:
    """A private database of SQLite, which lies in its memory while it is small, then in the folder for temporary files, and goes with it.

    Use it as a context.
    """

    def __init__(self) -> None:
        """Make it."""
        # The empty name is a temporary file that SQLite deletes itself (its manual, "In-memory databases").
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;"
            "CREATE TABLE row (line INTEGER, key TEXT PRIMARY KEY, major INTEGER, minor INTEGER, data TEXT) WITHOUT ROWID;"
            "CREATE TABLE problem (line INTEGER, col TEXT, value TEXT, reason TEXT);"
            "BEGIN"
        )
        self.rows = self.bad = 0
        self._bad_line = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self._base.close()

    def add(self, row: Row, *, major: int = 0, minor: int = 0) -> bool:
        """Keep ``row``; False where one of this key is there. They come out again by ``major`` and ``minor``."""
        values = (row.line, row.key, major, minor, json.dumps(row.data, separators=(",", ":")))
        is_new = self._base.execute("INSERT OR IGNORE INTO row VALUES (?, ?, ?, ?, ?)", values).rowcount > 0
        self.rows += is_new
        return is_new

    def complain(self, line: int, column: str, value: str, reason: str) -> None:
        """Keep what is wrong with a row. What is wrong with one row comes together."""
        shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
        self._base.execute("INSERT INTO problem VALUES (?, ?, ?, ?)", (line, column, shown, reason))
        self.bad += line != self._bad_line
        self._bad_line = line

    def batches(self) -> Iterator[list[Row]]:
        """Yield all rows, a thousand at once."""
        found = self._base.execute("SELECT line, key, data FROM row ORDER BY major, minor, line")
        while rows := found.fetchmany(BATCH):
            yield [Row(line, key, json.loads(data)) for line, key, data in rows]

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong, by line."""
        for found in self._base.execute("SELECT line, col, value, reason FROM problem ORDER BY line, rowid"):
            yield Problem(*found)
