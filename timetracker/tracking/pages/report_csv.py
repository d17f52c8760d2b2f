"""A report as CSV: one line for each row of the innermost grouping, and no line of sums, so that a sheet's own come out right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from timetracker.csv_text import Cell
from timetracker.tracking.report_names import NAME_COLUMNS, ReportNames
from timetracker.tracking.reports import Report, ReportRow
from timetracker.tracking.sums import Grouping, Key

__all__ = ["report_columns", "report_file_name", "report_rows"]

_TEN_THOUSANDTH = Decimal("0.0001")


def report_columns(report: Report) -> list[str]:
    """Return the names of the columns; each currency has some of its own."""
    columns = [column for grouping in report.question.by for column in NAME_COLUMNS[grouping]]
    columns += ["Entries", "Hours", "Seconds", "Billable hours", "Billable seconds", "Unbilled hours", "Unbilled seconds"]
    return columns + [f"{word} {currency}" for currency in report.currencies for word in ("Amount", "Unbilled amount")]


def report_rows(report: Report, names: ReportNames) -> Iterator[list[Cell]]:
    """Yield the rows; amounts are those that the report has."""
    for row in _innermost(report.rows):
        sums = row.sums
        values: list[Cell] = [*_names(report.question.by, row.keys, names), sums.count]
        for seconds in (sums.seconds, sums.billable_seconds, sums.unbilled_seconds):
            values += [(Decimal(seconds) / 3600).quantize(_TEN_THOUSANDTH), seconds]
        for currency in report.currencies:
            values += [amounts.get(currency, Decimal("0.00")) for amounts in (sums.amounts, sums.unbilled_amounts)]
        yield values


def report_file_name(report: Report) -> str:
    """Return what the file is called, with its dates."""
    dates = "_".join(f"{day}" for day in report.dates) if report.dates else "empty"
    return f"report_{'_'.join(report.question.by)}_{dates}.csv"


def _innermost(rows: tuple[ReportRow, ...]) -> Iterator[ReportRow]:
    for row in rows:
        yield from row.inner or (row,)


def _names(by: tuple[Grouping, ...], keys: Key, names: ReportNames) -> Iterator[str]:
    for grouping, key in zip(by, keys, strict=True):
        if isinstance(key, date):
            yield f"{key:%Y-%m}" if grouping == "month" else f"{key}"
        else:
            yield from names.of(grouping, key)
