"""Choosing the engine."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections

from backups.engines.base import Engine
from backups.exceptions import PreflightRefused

__all__ = ["engine_for"]


def engine_for(alias: str = DEFAULT_DB_ALIAS) -> Engine:
    """The engine of the database ``alias``; makes no connection."""
    vendor = connections[alias].vendor
    if vendor == "postgresql":
        from backups.engines.postgresql import PostgresEngine

        return PostgresEngine(alias)
    if vendor == "sqlite":
        from backups.engines.sqlite import SqliteEngine

        return SqliteEngine(alias)
    raise PreflightRefused(
        f"There is no backup engine for {vendor}.",
        next_step="Use PostgreSQL or SQLite (DATABASE_URL).",
    )
