"""``python -m backups.tests.asker``: a process that asks the workers for operations, as a page does.

It is told ``kind``, ``archive`` and ``arguments``, and answers with the journal, or with ``{"error": class, "message": …,
"next_step": …}``; beside it the ``seconds`` that the asking took.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from backups.tests.site import Site
from backups.tests.standing import answer_lines, answering

__all__ = ["Asker", "NobodyThere", "asker"]


class NobodyThere(AssertionError):
    """No worker was there to take the operation on."""


class Asker:
    """That process, as a test speaks to it."""

    def __init__(self, ask: Callable[[object], Any]) -> None:
        self._ask = ask

    def answer(self, kind: str, archive: str = "", **arguments: object) -> dict[str, Any]:
        """Ask for an operation; the answer, whatever it is."""
        answer: dict[str, Any] = self._ask({"kind": kind, "archive": archive, "arguments": arguments})
        return answer

    def __call__(self, kind: str, *, archive: str = "", **arguments: object) -> str:
        """Ask for an operation; returns its id when a worker has taken it on.

        Raises :class:`NobodyThere` where none was there, and AssertionError where the operation was refused.
        """
        answer = self.answer(kind, archive, **arguments)
        if answer["error"] == "NoWorker":
            raise NobodyThere(answer["message"])
        assert "id" in answer, f"{answer['error']}: {answer['message']}"
        return str(answer["id"])


@contextlib.contextmanager
def asker(site: Site) -> Iterator[Asker]:
    """Such a process of ``site`` for the length of the block."""
    with answering(site, __name__) as ask:
        yield Asker(ask)


def main() -> None:
    """Ask for what each line says."""
    import timetracker.wsgi

    assert timetracker.wsgi.application, "a web process, with its Celery app"
    from backups.exceptions import BackupError
    from backups.pages.ask import task_request

    def ask(asked: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any]
        began = time.monotonic()
        try:
            answer = asdict(task_request(**asked, requested_by="a visitor"))
        except BackupError as error:
            answer = {"error": type(error).__name__, "message": error.message, "next_step": error.next_step}
        return {**answer, "seconds": time.monotonic() - began}

    answer_lines(ask)


if __name__ == "__main__":
    main()
