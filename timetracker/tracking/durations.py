"""Lengths of time, in seconds: in SQL, and rounded for invoices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, DateTimeField, F, FloatField, Func, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Greatest
from django.db.models.sql.compiler import SQLCompiler

__all__ = ["RoundedSeconds", "SecondsBetween", "WholeSecond", "WholeSecondsBetween", "rounded_seconds", "whole_second", "worked_seconds"]


class SecondsBetween(Func):
    """``SecondsBetween("start", "end")``: seconds from one point in time to another, to the millisecond on SQLite.

    Django's own subtraction of datetimes calls a function that only Django registers on SQLite. In a constraint it
    would make the table unusable for ``sqlite3`` and for ``PRAGMA integrity_check``; this uses built-in ones.
    """

    arity = 2
    output_field = FloatField()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """A Julian day is a double with a resolution of 0.04 ms today."""
        return self._between("ROUND((julianday(%s) - julianday(%s)) * 86400.0, 3)", compiler)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """Exact, to the microsecond."""
        return self._between("EXTRACT(EPOCH FROM (%s - %s))", compiler)

    def _between(self, template: str, compiler: SQLCompiler) -> tuple[str, list[Any]]:
        start, end = self.get_source_expressions()
        start_sql, start_params = compiler.compile(start)
        end_sql, end_params = compiler.compile(end)
        return template % (end_sql, start_sql), [*end_params, *start_params]


class WholeSecond(Func):
    """``WholeSecond("moment")``: the point in time without its fraction of a second, on both engines."""

    arity = 1
    output_field = DateTimeField()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """Django writes "2025-03-03 09:00:00", and a fraction behind it; SQLite itself would round that to a thousandth."""
        return self.as_sql(compiler, connection, template="substr(%(expressions)s, 1, 19)")

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """``date_trunc`` cuts."""
        return self.as_sql(compiler, connection, template="date_trunc('second', %(expressions)s)")


class WholeSecondsBetween(Func):
    """``WholeSecondsBetween("start", "end")``: seconds from one point in time to another, both without their fractions of a second."""

    arity = 2
    output_field = BigIntegerField()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """Days apart are whole seconds to within 0.1 ms. Rounded to a whole number: with places SQLite would print and read it."""
        return self._between(
            "CAST(ROUND((julianday(substr({end}, 1, 19)) - julianday(substr({start}, 1, 19))) * 86400.0) AS INTEGER)", compiler
        )

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """Whole seconds on both sides."""
        return self._between("EXTRACT(EPOCH FROM (date_trunc('second', {end}) - date_trunc('second', {start})))::bigint", compiler)

    def _between(self, template: str, compiler: SQLCompiler) -> tuple[str, list[Any]]:
        start, end = (compiler.compile(expression) for expression in self.get_source_expressions())
        return template.format(start=start[0], end=end[0]), [*end[1], *start[1]]


def whole_second(moment: datetime) -> datetime:
    """Return ``moment`` without its fraction of a second: :class:`WholeSecond` in Python."""
    return moment.replace(microsecond=0)


def worked_seconds(now: datetime) -> Combinable:
    """Seconds of a time entry, without the break; of one that runs up to ``now`` (aware), and never below zero.

    A whole number, exact on both engines. Start and end count without their fractions of a second, so that entries which
    follow on each other add up to the time from the first start to the last end.
    """
    end = Coalesce(F("ended_at"), Value(now, output_field=DateTimeField()))
    span = WholeSecondsBetween("started_at", end)
    return Greatest(span - F("break_seconds"), Value(0), output_field=BigIntegerField())


def rounded_seconds(seconds: int, *, minutes: int, direction: str) -> int:
    """Round ``seconds`` to whole steps of ``minutes`` (0: not at all), ``direction`` being ``up``, ``down`` or ``nearest``.

    Half a step goes up. Raises ValueError for another direction.
    """
    step = minutes * 60
    if step == 0:
        return seconds
    if direction == "up":
        return -(-seconds // step) * step
    if direction == "down":
        return seconds // step * step
    if direction == "nearest":
        return (seconds + step // 2) // step * step
    raise ValueError(f"The direction of rounding is up, down or nearest, not {direction!r}.")


class RoundedSeconds(Func):
    """``RoundedSeconds("seconds", minutes=15, direction="up")``: :func:`rounded_seconds` in SQL, of whole seconds from 0 on."""

    arity = 1
    output_field = BigIntegerField()

    def __init__(self, seconds: Any, *, minutes: int, direction: str) -> None:
        """Both engines cut when they divide whole numbers, so what is added first decides the direction."""
        step = minutes * 60 or 1
        added = {"up": step - 1, "down": 0, "nearest": step // 2}[direction]
        super().__init__(seconds)
        self.template = f"((%(expressions)s + {added}) / {step} * {step})"
