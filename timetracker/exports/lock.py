"""The lock of whoever makes exports: one process of the site at a time. The system releases it when that process dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

__all__ = ["export_lock"]

# PostgreSQL's advisory locks are numbers, of which each database has its own: "exports" in ASCII.
_NUMBER = 0x6578706F727473


@contextmanager
def export_lock() -> Iterator[bool]:
    """Hold the lock within the block; False: somebody else does, and the block goes without."""
    with _server_lock() if connections[DEFAULT_DB_ALIAS].vendor == "postgresql" else _file_lock() as is_held:
        yield is_held


@contextmanager
def _server_lock() -> Iterator[bool]:
    # In a transaction, so that a pooler in between leaves it on one session; on a connection of its own, so that the holder
    # can commit on the usual one.
    side = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        side.set_autocommit(False)
        with side.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_NUMBER])
            yield cursor.fetchone()[0]
    finally:
        side.close()


@contextmanager
def _file_lock() -> Iterator[bool]:
    path = Path(settings.STATE_DIR) / "exports.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
