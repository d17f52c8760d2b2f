"""The rows of a CSV file, one by one and with the line of the file at which each begins; no more of them is in memory than one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from timetracker.csv_text import undefused
from timetracker.imports.exceptions import FileRefused

__all__ = ["DELIMITERS", "MOST_COLUMNS", "MOST_ROWS", "Record", "delimiter_guess", "records"]

DELIMITERS = {",": "Comma", ";": "Semicolon", "\t": "Tab", "|": "Bar"}
MOST_ROWS = 250_000
MOST_COLUMNS = 200
# Characters that one row may have. Below what the csv module allows for one field (131,072), so this is met first.
_LONGEST = 100_000


@dataclass(frozen=True)
class Record:
    """A row: the line at which it begins, counted from 1, and its cells without blanks around them; or why it cannot be read."""

    line: int
    cells: list[str]
    fault: str = ""


def records(text: io.TextIOBase, delimiter: str) -> Iterator[Record]:
    """Yield all rows that are not empty, the first with the names of the columns. Lines are those of the file, also within quotation marks.

    Raises FileRefused for a file that is no table: a row without an end, columns or rows without number.
    """
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    count = 0
    while True:
        line = lines.begin()
        try:
            cells = [undefused(cell.strip()) for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(line, [], _fault(error))
            continue
        if len(cells) > MOST_COLUMNS:
            raise FileRefused(f"Line {line} has {len(cells):,} columns, and {MOST_COLUMNS} is the most. Is this the right delimiter?")
        if any(cells):
            count += 1
            if count > MOST_ROWS + 1:
                raise FileRefused(f"The file has more than {MOST_ROWS:,} rows. Divide it, and import one part after the other.")
            yield Record(line, cells)


def delimiter_guess(text: io.TextIOBase, names: set[str]) -> str:
    """Return the delimiter with which the first row holds most of ``names`` (in small letters), and most columns where that is even."""
    head = _head(text)
    best = (-1, -1, ",")
    for delimiter in DELIMITERS:
        try:
            cells = next((record.cells for record in records(io.StringIO(head, newline=""), delimiter)), [])
            found = (sum(cell.casefold() in names for cell in cells), len(cells))
        except FileRefused:
            # Whoever reads the file with it says why.
            found = (0, MOST_COLUMNS + 1)
        if found > best[:2]:
            best = (*found, delimiter)
    return best[2]


class _Lines:
    """Lines for the csv module: counted, and never more of them at once than one row may have."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text, self._number, self._first, self._length = text, 0, 1, 0

    def begin(self) -> int:
        """A new row begins; return its line."""
        self._first, self._length = self._number + 1, 0
        return self._first

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(_LONGEST + 1)
        if not line:
            raise StopIteration
        self._number += 1
        self._length += len(line)
        if self._length > _LONGEST:
            raise FileRefused(
                f"The row that begins in line {self._first} has more than {_LONGEST:,} characters. "
                "Most likely a quotation mark in it is not closed: mend it, and upload the file again."
            )
        return line


def _fault(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "A quotation mark is not closed. Close it; within a cell that has quotation marks around it, write it twice."
    return "The quotation marks do not match. Within a cell that has quotation marks around it, write a quotation mark twice."


def _head(text: io.TextIOBase) -> str:
    """The first lines that are there."""
    lines = []
    for _ in range(5):
        lines.append(text.readline(_LONGEST))
    return "".join(lines)
