"""Tables as CSV, for spreadsheets and other programs: RFC 4180 in UTF-8, streamed, and no text in them is a formula.

Numbers are written as they are, so give them as numbers. A text that a spreadsheet would take for a formula gets an apostrophe in
front (OWASP, "CSV injection").
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

__all__ = ["Cell", "csv_answer", "csv_lines", "defused", "undefused"]

Cell = str | int | Decimal
# The last four are the full-width forms of the first, which East Asian versions read as those.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Rows that are handed on at once: a part of the answer for each row would cost more than the row.
_ROWS = 1000


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_answer(name: str, columns: Sequence[str], rows: Iterable[Iterable[Cell]]) -> StreamingHttpResponse:
    """Return the table as a file called ``name``, to be saved and not shown; ``rows`` are read while it is sent.

    What fails while rows are read comes too late for an error page: look beforehand whether the table can be made.
    """
    answer = StreamingHttpResponse(csv_lines(columns, rows), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = str(content_disposition_header(True, name))
    return answer


def csv_lines(columns: Sequence[str], rows: Iterable[Iterable[Cell]]) -> Iterator[str]:
    """Yield a line with the names of the columns, and then those of ``rows``, up to a thousand at once."""
    write = csv.writer(_Line()).writerow
    yield write([defused(column) for column in columns])
    lines = (write([cell if isinstance(cell, int | Decimal) else defused(str(cell)) for cell in row]) for row in rows)
    while part := "".join(islice(lines, _ROWS)):
        yield part


def defused(text: str) -> str:
    """Return ``text`` such that no spreadsheet takes it for a formula. What looks as if that was done already gets one more apostrophe."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def undefused(text: str) -> str:
    """Return what :func:`defused` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text
