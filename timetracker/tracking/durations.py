"""Lengths of time, in seconds: in SQL, and rounded for invoices."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import FloatField, Func
from django.db.models.sql.compiler import SQLCompiler

__all__ = ["SecondsBetween", "rounded_seconds"]


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
