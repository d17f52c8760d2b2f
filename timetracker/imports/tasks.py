"""Celery's side of imports. A message only wakes: what is to be done stands in the row, and a message that comes too late does nothing."""

from __future__ import annotations

import uuid

from celery import shared_task

from timetracker.imports.expiry import imports_expire
from timetracker.imports.running import import_run

__all__ = ["expire_imports", "run_import"]


@shared_task(name="imports.run")
def run_import(pk: int, run: str) -> None:
    """Check or write one file."""
    import_run(pk, uuid.UUID(run))


@shared_task(name="imports.expire")
def expire_imports() -> None:
    """Delete what has expired."""
    imports_expire()
