"""Ordinary tasks, as an app of the project would have them. A worker of the tests imports them (``--include``)."""

from __future__ import annotations

from pathlib import Path

from celery import shared_task

__all__ = ["count_users"]


@shared_task(name="ordinary.count_users")  # type: ignore[untyped-decorator]  # Celery has no types
def count_users(path: str) -> None:
    """Write the number of accounts into the file ``path``."""
    from django.contrib.auth import get_user_model

    Path(path).write_text(str(get_user_model().objects.count()))
