"""A worker that does nothing and says so: it lives, takes what pages ask for, and ends it as it is told. It needs no database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from backups.exceptions import RequestTaken
from backups.journal import Journal, journal_load_all, journal_queued
from backups.presence import worker_announce, worker_withdraw

__all__ = ["busy_worker", "obliging_worker"]

NODE = "obliging@here"
PAUSE = 0.02


@contextmanager
def obliging_worker(*, status: str = "done", error: str = "", dies_after: int = 0) -> Iterator[None]:
    """Until the end of the block, whatever is asked for is begun at once, and ends with ``status``.

    With ``dies_after`` the worker is gone as soon as it has taken so many.
    """
    taken_on = 0

    def take() -> bool:
        nonlocal taken_on
        for journal in journal_load_all():
            if journal.status == "queued" and not (dies_after and taken_on >= dies_after):
                with suppress(RequestTaken), journal_queued(journal.id) as taken:
                    taken_on += 1
                    taken.start()
                    taken.end(status, error=error)
        return bool(dies_after) and taken_on >= dies_after

    with _living(take):
        yield


@contextmanager
def busy_worker() -> Iterator[Journal]:
    """Until the end of the block a worker lives and is at work on a backup, so that whatever is asked for waits; yields its journal."""
    journal = Journal(kind="create", requested_by="the night")
    journal.start()
    with _living(lambda: False):
        yield journal


@contextmanager
def _living(work: Callable[[], bool]) -> Iterator[None]:
    """A worker that is heard and does ``work``, until the end of the block or until that says it is the last."""
    ended = threading.Event()

    def live() -> None:
        while not ended.wait(PAUSE):
            worker_announce(NODE)
            if work():
                break
        worker_withdraw(NODE)

    thread = threading.Thread(target=live, name="obliging worker")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
