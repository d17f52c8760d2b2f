"""One state of the database for many queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import Error, connection, transaction

__all__ = ["snapshot"]


@contextmanager
def snapshot() -> Iterator[None]:
    """Let all queries within the block see the data as it is at the first of them. For reading alone, and in no other transaction.

    Nobody waits for it: on PostgreSQL it is a transaction that takes no locks, on SQLite one of WAL's readers.
    """
    if connection.vendor == "postgresql":
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
        return
    # atomic() would be a writer here, for whom all others wait (OPTIONS, transaction_mode).
    with connection.cursor() as cursor:
        cursor.execute("BEGIN DEFERRED")
    try:
        yield
    finally:
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
