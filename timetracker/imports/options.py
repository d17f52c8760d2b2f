"""How a file is to be read: what a person has chosen, or what was guessed for her to choose from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import IO, Any
from zoneinfo import ZoneInfo

from timetracker.imports.exceptions import FileRefused, Unfit
from timetracker.imports.fields import FIELDS, ImportField, columns_by_name, names_of
from timetracker.imports.records import Record, delimiter_guess, records
from timetracker.imports.text import encoding_guess, text_open
from timetracker.imports.values import ORDERS, read_point

__all__ = ["Options", "Sample", "options_guess", "options_read", "sample_of"]

# Rows that are looked at for a guess, and shown as an example.
_LOOKED_AT, _EXAMPLES = 500, 3
# The fields whose values tell how dates and numbers are written.
_DATES = ("date", "start", "end_date", "end")
_NUMBERS = ("hours", "default_rate", "hourly_rate", "budget_hours")


@dataclass(frozen=True)
class Options:
    """``columns`` maps the name of a field to a column, counted from 0. ``dates`` is one of :data:`ORDERS`, or empty: not known.

    ``zone`` is where clock times without an offset are meant, ``begins_at`` the clock time (``09:00``) of entries that have none,
    and ``creates`` whether clients, projects and tasks that a file names are made where they are missing.
    """

    encoding: str
    delimiter: str
    header: list[str] = field(default_factory=list)
    columns: dict[str, int] = field(default_factory=dict)
    dates: str = ""
    decimal: str = "."
    zone: str = "UTC"
    begins_at: str = "09:00"
    creates: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @staticmethod
    def from_json(held: dict[str, Any]) -> Options:
        """Read what :meth:`to_json` made."""
        return Options(**held)

    @property
    def place(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.zone)


@dataclass(frozen=True)
class Sample:
    """The beginning of a file: the names of its columns, and its first rows."""

    header: list[str]
    rows: list[Record]


def sample_of(file: IO[bytes], encoding: str, delimiter: str, *, most: int = _EXAMPLES) -> Sample:
    """Read the beginning of ``file``. Raises FileRefused where there are no rows."""
    text = text_open(file, encoding)
    try:
        rows = list(islice(records(text, delimiter), most + 1))
    finally:
        text.detach()
    if not rows:
        raise FileRefused("The file is empty. Upload one whose first row has the names of the columns.")
    if rows[0].fault:
        raise FileRefused(f"The first row, with the names of the columns, cannot be read. {rows[0].fault}")
    if len(rows) == 1:
        raise FileRefused("The file has one row alone. The first has the names of the columns, and each row below it is one to import.")
    return Sample(rows[0].cells, rows[1:])


def options_guess(file: IO[bytes], kind: str, fields: list[ImportField], *, zone: str) -> Options:
    """Read all of ``file``, and return how it is most likely meant. Raises FileRefused where it is no table."""
    encoding = encoding_guess(file)
    text = text_open(file, encoding)
    try:
        delimiter = delimiter_guess(text, {name for each in FIELDS[kind] for name in (*names_of(each), each.label.casefold())})
    finally:
        text.detach()
    return options_read(file, Options(encoding, delimiter, zone=zone), fields)


def options_read(file: IO[bytes], options: Options, fields: list[ImportField]) -> Options:
    """Return ``options`` with the columns, the form of dates and the decimal mark guessed anew, by its encoding and delimiter."""
    sample = sample_of(file, options.encoding, options.delimiter, most=_LOOKED_AT)
    columns = columns_by_name(sample.header, fields)
    dates = _values(sample, [columns[name] for name in _DATES if name in columns])
    if not dates and any(each.name in _DATES for each in fields):
        # They are to be matched by hand, and tell in which order they are all the same.
        dates = _values(sample, [index for index in range(len(sample.header)) if index not in columns.values()])
    numbers = _values(sample, [columns[name] for name in _NUMBERS if name in columns])
    return replace(options, header=sample.header, columns=columns, dates=_dates(dates), decimal=_decimal(numbers, options.delimiter))


def _values(sample: Sample, columns: list[int]) -> list[str]:
    return [row.cells[index] for row in sample.rows for index in columns if index < len(row.cells) and row.cells[index]]


def _dates(values: list[str]) -> str:
    """The order in which most of them can be read; empty where that is so of two, so that nobody takes March for May."""
    found = {order: sum(_can_be_read(value, order) for value in values) for order in ORDERS}
    fitting = [order for order in ORDERS if found[order] == max(found.values())]
    # All three: the year stands first wherever there is one.
    return "" if len(fitting) == 2 else fitting[0]


def _can_be_read(value: str, order: str) -> bool:
    try:
        read_point(value, order)
    except Unfit:
        return False
    return True


def _decimal(values: list[str], delimiter: str) -> str:
    """What stands last of point and comma, but before three digits, which may be thousands. Nothing tells: a comma beside semicolons."""
    for value in values:
        place = max(value.rfind("."), value.rfind(","))
        if place >= 0 and len(value) - place != 4:
            return value[place]
    return "," if delimiter == ";" else "."
