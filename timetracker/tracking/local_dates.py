"""Dates of a place, in SQL.

Django's ``Trunc`` functions call Python for each row on SQLite, and on PostgreSQL read the server's own table of time zones.
Here Python says when clocks change and the database adds: quick, and the same on both.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Case, DateField, Func, IntegerField, Value, When
from django.db.models.sql.compiler import SQLCompiler

from timetracker.tracking.days import utc_offsets
from timetracker.tracking.durations import WholeSecond

__all__ = ["Period", "local_period"]

Period = Literal["day", "week", "month"]

# Outside of these years the offset at their edge counts.
_FIRST_YEAR, _LAST_YEAR = 1900, 2200


def local_period(field: str, period: Period, *, zone: ZoneInfo, since: datetime, until: datetime) -> PeriodStart:
    """Return the first day (a date) of the local day, week from Monday on, or month in which ``field`` is.

    ``field`` names a column of points in time from ``since`` to ``until`` (aware, UTC).
    """
    first, *changes = utc_offsets(zone, _within(since.year), _within(until.year))
    # The latest first: most rows are of these days, and the first that fits counts.
    cases = [When(**{f"{field}__gte": change}, then=Value(offset)) for change, offset in reversed(changes)]
    return PeriodStart(WholeSecond(field), Case(*cases, default=Value(first[1]), output_field=IntegerField()), period=period)


def _within(year: int) -> int:
    return min(max(year, _FIRST_YEAR), _LAST_YEAR)


class PeriodStart(Func):
    """The first day of the period in which a point in time is, where clocks are so many seconds ahead of UTC."""

    arity = 2
    output_field = DateField()

    def __init__(self, moment: Any, offset: Any, *, period: Period) -> None:
        """Keep the operands."""
        super().__init__(moment, offset)
        self.period = period

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """``weekday 1`` goes on to the next Monday, and stays on one."""
        modifiers = {"day": "", "week": ", '-6 days', 'weekday 1'", "month": ", 'start of month'"}[self.period]
        return self._compiled(f"date(%s, (%s) || ' seconds'{modifiers})", compiler)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """Weeks of ``date_trunc`` begin on Monday (manual, 9.9)."""
        return self._compiled(f"date_trunc('{self.period}', (%s AT TIME ZONE 'UTC') + (%s) * INTERVAL '1 second')::date", compiler)

    def _compiled(self, template: str, compiler: SQLCompiler) -> tuple[str, list[Any]]:
        moment, offset = (compiler.compile(expression) for expression in self.get_source_expressions())
        return template % (moment[0], offset[0]), [*moment[1], *offset[1]]
