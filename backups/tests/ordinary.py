"""Ordinary tasks, as an app of the project would have them. A worker of the tests imports them (``--include``)."""

from __future__ import annotations

import time
from pathlib import Path

from celery import shared_task
from django.db import Error

__all__ = ["count_users", "count_users_twice"]

# Longer than any test waits; a task that nobody lets go on must not stay for ever.
LONGEST_SECONDS = 300.0


@shared_task(name="ordinary.count_users")  # type: ignore[untyped-decorator]  # Celery has no types
def count_users(path: str) -> None:
    """Write the number of accounts into the file ``path``."""
    from django.contrib.auth import get_user_model

    Path(path).write_text(str(get_user_model().objects.count()))


@shared_task(name="ordinary.count_users_twice")  # type: ignore[untyped-decorator]
def count_users_twice(folder: str) -> None:
    """Write the number of accounts into ``first``, wait for the file ``go``, and write it, or the error's class, into ``second``.

    The connection stays open in between.
    """
    from django.contrib.auth import get_user_model

    place, users = Path(folder), get_user_model().objects
    _write(place / "first", str(users.count()))
    deadline = time.monotonic() + LONGEST_SECONDS
    while not (place / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        found = str(users.count())
    except Error as error:
        found = type(error).__name__
    _write(place / "second", found)


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.write_text(text)
    unfinished.replace(path)
