"""Asking the workers from a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from backups.exceptions import BackupError
from backups.journal import Journal
from backups.services.request import operation_request

__all__ = ["one_by_one", "task_request"]

Answer = TypeVar("Answer")


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


def one_by_one(names: Sequence[str], act: Callable[[str], Answer], *, said: str = "asked for") -> list[Answer]:
    """What ``act`` answers for each archive of ``names``; ``said`` is what has become of one then.

    A :class:`~backups.exceptions.BackupError` that comes amid them tells which are ``said`` already, and which are not and will not be.
    """
    answers: list[Answer] = []
    for name in names:
        try:
            answers.append(act(name))
        except BackupError as error:
            if answers:
                done, left = ", ".join(names[: len(answers)]), ", ".join(names[len(answers) :])
                error.state = f"{said.capitalize()} already: {done}. Not {said}: {left}."
            raise
    return answers
