"""Statistics of the rows of a test, for whoever plans its queries."""

from __future__ import annotations

from django.db import connection

__all__ = ["analyze"]


def analyze() -> None:
    """Count the rows that this transaction has made.

    Autovacuum may have counted the tables meanwhile, and seen none of what is not committed: queries planned for no rows take minutes
    over 20,000.
    """
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
