"""Counting rows that were added or changed since an instant, by the columns that models keep it in."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from django.apps import apps
from django.db import models

from backups.engines import Engine
from backups.exceptions import BackupError

__all__ = ["OWN_TABLES", "changed_rows"]

# Tables that a restore treats in its own way, by how they begin: their difference is no loss.
OWN_TABLES = ("django_session", "backups_", "django_migrations")


def _time_columns(model: type[models.Model]) -> list[str]:
    """Columns that Django itself sets when a row is added or saved."""
    return [
        str(field.column)
        for field in model._meta.local_concrete_fields
        if isinstance(field, models.DateTimeField) and (field.auto_now or field.auto_now_add)
    ]


def changed_rows(engine: Engine, tables: Container[str], *, since: str | datetime) -> dict[str, int]:
    """Rows of the live database added or changed after ``since`` (aware), per model label; models with none are left out.

    ``tables`` are those that the database has. They are asked over the engine's own connection, one by one; one that is
    damaged counts nothing.
    """
    moment = datetime.fromisoformat(since) if isinstance(since, str) else since
    found = {}
    for model in apps.get_models():
        columns = _time_columns(model)
        table = model._meta.db_table
        if not columns or table not in tables or model._meta.app_label == "backups":
            continue
        later = " OR ".join(f'"{column}" > %s' for column in columns)
        stamp = moment if engine.vendor == "postgresql" else moment.strftime("%Y-%m-%d %H:%M:%S.%f")
        query = f'SELECT count(*) FROM "{table}" WHERE {later}'  # noqa: S608 - names of models
        try:
            ((count,),) = engine.select(query, (stamp,) * len(columns))
        except BackupError:
            continue
        if isinstance(count, int) and count:
            found[model._meta.label] = count
    return found
