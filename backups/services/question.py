"""Asking what may never answer: a server that hangs, a store out of reach."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from django.db import connections

__all__ = ["Question"]

T = TypeVar("T")


class Question(Generic[T]):
    """A question whose answer may never come, asked in a thread of its own and at most once at a time in this process.

    Who asks while it is open waits for the same answer; so a server that hangs costs one thread and not one per request.
    """

    def __init__(self, ask: Callable[[], T]) -> None:
        """Keep what is to be asked; nothing is asked yet."""
        self._ask = ask
        self._lock = threading.Lock()
        self._open: Future[T] | None = None

    def begin(self) -> Future[T]:
        """Ask, unless the question is open already; the answer, or the error, comes in the future."""
        with self._lock:
            if self._open is None or self._open.done():
                self._open = Future()
                # A daemon: at the end of the process nobody waits for a server that does not answer.
                threading.Thread(target=self._answer, args=(self._open,), name="question", daemon=True).start()
            return self._open

    def _answer(self, future: Future[T]) -> None:
        try:
            future.set_result(self._ask())
        except BaseException as error:
            future.set_exception(error)
        finally:
            connections.close_all()
