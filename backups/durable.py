"""Making names and files durable, and the C library's calls that Python does not offer."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

__all__ = ["libc", "sync_file_system"]


@functools.cache
def libc() -> ctypes.CDLL:
    """The C library, for calls that Python does not offer; a name that it lacks is an AttributeError."""
    return ctypes.CDLL(None, use_errno=True)


def sync_file_system(folder: Path) -> None:
    """Make the whole file system of ``folder`` durable: one call where fsync would take one for each file."""
    syncfs = getattr(libc(), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)
