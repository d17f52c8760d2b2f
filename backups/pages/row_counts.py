"""Rows per table before and after, as tables for people: named as the models are, the biggest differences first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.utils.text import capfirst

from backups.services.changes import OWN_TABLES

__all__ = ["RowCount", "RowCounts", "model_counts", "row_counts"]


@dataclass(frozen=True)
class RowCount:
    """One table: the name of what its rows are, and how many there are ``before`` and ``after``."""

    table: str
    name: str
    before: int
    after: int

    @property
    def is_record(self) -> bool:
        """Whether the pages themselves write it, so that it differs always: it is shown, and nobody needs a warning of it."""
        return self.table == LogEntry._meta.db_table

    @property
    def difference(self) -> str:
        """With its sign: ``+5``, ``−3``."""
        return f"{self.after - self.before:+,}".replace("-", "−")


@dataclass(frozen=True)
class RowCounts:
    """The tables that differ, the biggest difference first, and those that do not, by name; empty tables are left out."""

    different: list[RowCount]
    equal: list[RowCount]


def row_counts(rows: Mapping[str, Sequence[int]]) -> RowCounts:
    """``rows`` maps a table to (before, after). Sessions, and what a restore brings into line by itself, are left out."""
    names = {model._meta.db_table: _name(str(model._meta.verbose_name_plural)) for model in apps.get_models(include_auto_created=True)}
    counts = [
        RowCount(table, names.get(table, table), before, after)
        for table, (before, after) in rows.items()
        if (before or after) and not table.startswith(OWN_TABLES)
    ]
    return RowCounts(
        different=sorted((count for count in counts if count.before != count.after), key=lambda count: -abs(count.after - count.before)),
        equal=sorted((count for count in counts if count.before == count.after), key=lambda count: count.name),
    )


def model_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Counts by a model's label, as (name of its rows, count), the biggest first; a model that this code lacks keeps its label."""
    known = {model._meta.label: _name(str(model._meta.verbose_name_plural)) for model in apps.get_models()}
    return sorted(((known.get(label, label), count) for label, count in counts.items()), key=lambda pair: -pair[1])


def _name(plural: str) -> str:
    return str(capfirst(plural))
