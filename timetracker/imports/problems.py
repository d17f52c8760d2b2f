"""The rows that are wrong, as a file: CSV compressed by gzip, which is unpacked on its way to the person."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO

from django.db.models.fields.files import FieldFile

from timetracker.attachments import storage_asked
from timetracker.csv_text import defused, undefused
from timetracker.imports.spool import Problem

__all__ = ["problems_bytes", "problems_file", "problems_first"]

_COLUMNS = ("line", "column", "value", "reason")
# Bytes handed out at once.
_PIECE = 64 * 1024


@contextmanager
def problems_file(problems: Iterable[Problem]) -> Iterator[IO[bytes]]:
    """Write ``problems`` into a temporary file, and yield it from its beginning; text that would be a formula is made harmless."""
    with tempfile.TemporaryFile() as file:
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed, io.TextIOWrapper(packed, encoding="utf-8", newline="") as text:
            write = csv.writer(text).writerow
            write(_COLUMNS)
            for problem in problems:
                write([problem.line, defused(problem.column), defused(problem.value), problem.reason])
        file.seek(0)
        yield file


def problems_first(file: FieldFile, count: int) -> list[Problem]:
    """Return the first ``count`` of those in ``file``. Raises OSError where it cannot be read, whatever its storage says of that."""
    with storage_asked(), file.storage.open(str(file.name)) as packed, gzip.open(packed, "rt", encoding="utf-8", newline="") as text:
        rows = islice(csv.reader(text), 1, count + 1)
        return [Problem(int(line), undefused(column), undefused(value), reason) for line, column, value, reason in rows]


def problems_bytes(file: FieldFile) -> Iterator[bytes]:
    """Yield the CSV in ``file``, piece by piece. Raises OSError at once where it cannot be opened."""
    with storage_asked():
        packed = file.storage.open(str(file.name))

    def pieces() -> Iterator[bytes]:
        with packed, gzip.open(packed, "rb") as text:
            while piece := text.read(_PIECE):
                yield piece

    return pieces()
