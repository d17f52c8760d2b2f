"""The lock of a SQLite database: ``flock`` on a file beside it, which the system lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backups.exceptions import OperationLocked, PreflightRefused
from backups.files import apply_owner

__all__ = ["is_file_locked", "lock_held"]

# Seconds for which a lock without waiting is tried again: is_file_locked() itself holds it for some microseconds.
PROBE_SECONDS = 0.2
# Seconds between two tries.
POLL_SECONDS = 0.01


@contextmanager
def lock_held(live: Path, *, wait: float) -> Iterator[None]:
    """Hold the lock of the database ``live``, waiting at most ``wait`` seconds.

    Raises :class:`~backups.exceptions.OperationLocked` where another holds it, PreflightRefused where there is nothing
    to lock with. Children do not inherit the lock.
    """
    descriptor = _open(live)
    try:
        deadline = time.monotonic() + max(wait, PROBE_SECONDS)
        while not _flock(descriptor, fcntl.LOCK_EX, live):
            if time.monotonic() > deadline:
                raise OperationLocked()
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def is_file_locked(live: Path) -> bool:
    """Whether some process holds the lock of ``live`` now (False where it cannot be asked)."""
    try:
        descriptor = os.open(_path(live), os.O_RDWR)
    except OSError:
        return False
    try:
        return not _flock(descriptor, fcntl.LOCK_SH, live)
    except PreflightRefused:
        return False
    finally:
        os.close(descriptor)


def _path(live: Path) -> Path:
    return live.with_name(live.name + ".backups-lock")


def _open(live: Path) -> int:
    """Open the file to lock. It is never removed: another process may be waiting on it."""
    path = _path(live)
    try:
        live.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if is_new:
            apply_owner(path, live if live.exists() else live.parent)
    except OSError as error:
        raise PreflightRefused(
            f"There is nothing to lock with: {path} cannot be opened: {error.strerror}.",
            next_step="Run the command as the user that the site runs as; the database's folder must be writable for it.",
        ) from error
    return descriptor


def _flock(descriptor: int, mode: int, live: Path) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise PreflightRefused(
            f"There is nothing to lock with: the file system of {_path(live)} does not lock: {error.strerror}.",
            next_step="Move the database to a local file system.",
        ) from error
    return True
