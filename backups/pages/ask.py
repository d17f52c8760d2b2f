"""Asking the workers from a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backups.journal import Journal
from backups.services.request import operation_request

__all__ = ["task_request"]


def task_request(kind: str, *, archive: str = "", arguments: Mapping[str, Any] | None = None, requested_by: str = "") -> Journal:
    """Ask the workers for an operation: :func:`~backups.services.request.operation_request` with Celery as its voice."""
    # Imported when somebody asks: every command loads the admin, and with it the pages, and none needs Celery.
    from backups.tasks import work

    return operation_request(
        kind,
        archive=archive,
        arguments=arguments,
        requested_by=requested_by,
        wake=lambda operation_id: work.apply_async((operation_id,), retry=False),
    )
