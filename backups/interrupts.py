"""Ctrl-C and SIGTERM as an exception, except where stopping halfway would leave something behind.

A command runs inside :func:`interruptible`; a service wraps the swap and every clean-up in :func:`uninterrupted`, where a
signal is remembered and raised at its end, unless the operation has succeeded by then: :func:`too_late` says so.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from backups.exceptions import Interrupted

__all__ = ["in_time", "interruptible", "is_interruptible", "too_late", "uninterrupted"]

_depth = 0
_pending: int | None = None
_is_too_late = False


def _on_signal(signum: int, frame: FrameType | None) -> None:
    global _pending
    if _is_too_late:
        return
    if _depth:
        _pending = signum
        return
    raise Interrupted(signum)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into :class:`~backups.exceptions.Interrupted`. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    in_time()
    previous = {signum: signal.signal(signum, _on_signal) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, action in previous.items():
            signal.signal(signum, action)


def is_interruptible() -> bool:
    """Whether SIGTERM becomes :class:`~backups.exceptions.Interrupted` in this process now. May be asked from any thread."""
    return signal.getsignal(signal.SIGTERM) is _on_signal


def in_time() -> None:
    """An operation begins: from here on a signal stops it, also where an earlier one of this process has said :func:`too_late`."""
    global _is_too_late
    _is_too_late = False


def too_late() -> None:
    """The operation has succeeded: from here on a signal no longer stops it. Call it inside :func:`uninterrupted`.

    Without it a signal between that block and the end of the operation would clean up after a success.
    """
    global _is_too_late, _pending
    _is_too_late, _pending = True, None


@contextmanager
def uninterrupted(*, swallow: bool = False) -> Iterator[None]:
    """Hold signals back until the end of the block; with ``swallow`` forget them (the work is done by then).

    Does nothing outside the main thread, where no signal arrives: another thread must not hold back those of the main one.
    """
    global _depth, _pending
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _depth += 1
    failed = True
    try:
        yield
        failed = False
    finally:
        _depth -= 1
        if not _depth:
            signum, _pending = _pending, None
            # An error that is on its way out ends the operation anyway, and says more than the signal does.
            if signum is not None and not swallow and not failed:
                raise Interrupted(signum)
