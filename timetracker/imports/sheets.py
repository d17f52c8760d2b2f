"""What every kind of file has in common: rows are read into the spool, and from there compared with what is here, or written."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from typing import TypeVar

from django.db import IntegrityError

from timetracker.accounts.models import User
from timetracker.imports.counts import Counts
from timetracker.imports.exceptions import CHANGED, ImportStopped, Unfit
from timetracker.imports.options import Options
from timetracker.imports.records import Record
from timetracker.imports.spool import Row, Spool

__all__ = ["Cells", "Sheet"]

Value = TypeVar("Value")


class Cells:
    """The cells of one row by the names of the fields, and what is wrong with them."""

    def __init__(self, record: Record, options: Options) -> None:
        """Of ``record``."""
        self.line, self._cells, self._options = record.line, record.cells, options
        self.faults: list[tuple[str, str, str]] = []

    def __getitem__(self, name: str) -> str:
        index = self._options.columns.get(name, -1)
        return self._cells[index] if 0 <= index < len(self._cells) else ""

    def read(self, name: str, read: Callable[[str], Value]) -> Value | None:
        """Return what ``read`` makes of the cell of this field; None where it is empty, or ``read`` raises Unfit, which is noted."""
        if not self[name]:
            return None
        try:
            return read(self[name])
        except Unfit as error:
            self.fault(name, str(error))
            return None

    def fault(self, name: str, reason: str) -> None:
        """Note that the cell of this field is wrong."""
        index = self._options.columns.get(name)
        column = "" if index is None else self._options.header[index] or f"column {index + 1}"
        self.faults.append((column, self[name], reason))


class Sheet(abc.ABC):
    """One kind of file. First each row MUST be read, then either :meth:`compare` all or :meth:`write` all, that within a transaction.

    A row that is here already MUST be neither written nor changed, so that the same file changes nothing a second time.
    """

    def __init__(self, options: Options, user: User, spool: Spool) -> None:
        """Read with ``options`` what ``user`` brought."""
        self.options, self.user, self.spool, self.counts = options, user, spool, Counts()

    def read(self, record: Record) -> None:
        """Keep a row in the spool, or what is wrong with it."""
        self.counts.rows += 1
        cells = Cells(record, self.options)
        if record.fault:
            cells.faults.append(("", "", record.fault))
        elif len(record.cells) > len(self.options.header) and any(record.cells[len(self.options.header) :]):
            reason = f"The row has {len(record.cells)} cells, and there are {len(self.options.header)} columns. Put quotation marks around"
            cells.faults.append(("", "", f"{reason} a cell that holds the delimiter."))
        else:
            self.keep(cells)
        for fault in cells.faults:
            self.spool.complain(cells.line, *fault)

    @abc.abstractmethod
    def keep(self, cells: Cells) -> None:
        """Put the row into the spool, or note what is wrong with it."""

    @abc.abstractmethod
    def new(self, rows: list[Row]) -> list[Row]:
        """Return those of ``rows`` that are not here, as far as they can be written; complain of all others of them."""

    @abc.abstractmethod
    def insert(self, rows: list[Row]) -> None:
        """Write rows that are new."""

    @abc.abstractmethod
    def look(self) -> None:
        """Read what rows are compared with, where that is not looked for as they come."""

    @abc.abstractmethod
    def prepare(self) -> None:
        """Write what was planned for the rows. May raise IntegrityError, and ImportStopped, where somebody has done so meanwhile."""

    @abc.abstractmethod
    def tell(self, rows: list[Row]) -> None:
        """Count what there is to be told of rows that are new."""

    def compare(self) -> Iterator[int]:
        """Count what would happen; yields the number of rows that are done after each thousand."""
        yield from self._settle(is_written=False)

    def write(self) -> Iterator[int]:
        """Write all rows that are new; yields the number of rows that are done after each thousand.

        Raises ImportStopped where something has come in between since :meth:`compare`.
        """
        try:
            self.prepare()
        except IntegrityError as error:
            # Somebody has made a client of this name, or a project of this code.
            raise ImportStopped(CHANGED) from error
        yield from self._settle(is_written=True)

    def _settle(self, *, is_written: bool) -> Iterator[int]:
        self.counts = Counts(rows=self.counts.rows, repeated=self.counts.repeated)
        self.look()
        done = 0
        for rows in self.spool.batches():
            bad = self.spool.bad
            new = self.new(rows)
            if is_written and self.spool.bad:
                raise ImportStopped(CHANGED)
            self.tell(new)
            self.counts.new += len(new)
            self.counts.here += len(rows) - len(new) - (self.spool.bad - bad)
            if is_written:
                self._insert(new)
            done += len(rows)
            yield done

    def _insert(self, rows: list[Row]) -> None:
        try:
            self.insert(rows)
        except IntegrityError as error:
            raise ImportStopped(
                f"The database refused a row of lines {min(row.line for row in rows):,} to {max(row.line for row in rows):,} "
                f"({' '.join(str(error).split())}), so nothing was imported. Check the file again: something may have changed meanwhile."
            ) from error

    def unique(self, cells: Cells, row: Row, *, major: int = 0, minor: int = 0) -> None:
        """Put ``row`` into the spool, or count that it is there already."""
        if not self.spool.add(row, major=major, minor=minor):
            self.counts.repeated += 1
