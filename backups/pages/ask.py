"""Asking the workers from a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backups.journal import Journal

__all__ = ["task_request"]


def task_request(kind: str, *, archive: str = "", arguments: Mapping[str, Any] | None = None, requested_by: str = "") -> Journal:
    """:func:`backups.tasks.task_request`, imported when somebody asks: every command loads the admin, and none needs Celery."""
    from backups import tasks

    return tasks.task_request(kind, archive=archive, arguments=arguments, requested_by=requested_by)
