"""Making names and files durable, and the C library's calls that Python does not offer."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["large_blocks_given_back", "libc", "sync_file_system", "write_back_begin", "write_back_gently"]

# sync_file_range(2)
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4
# mallopt(3)
_M_MMAP_THRESHOLD = -3
LARGE_BYTES = 128 * 1024
# What says that the disk has not taken what was written; a file system that lacks the call says something else.
_LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
PIECE_BYTES = 8 * 1024 * 1024
SMALL_BYTES = 64 * 1024


@functools.cache
def libc() -> ctypes.CDLL:
    """The C library, for calls that Python does not offer; a name that it lacks is an AttributeError."""
    return ctypes.CDLL(None, use_errno=True)


def large_blocks_given_back() -> None:
    """From now on memory of 128 KiB and more goes back to the system as soon as it is freed; glibc alone.

    By itself glibc keeps what was freed once (the threshold grows), and cuts other blocks out of it. A deflater's output is a large
    buffer of which little is left: if less than a kilobyte, that piece is kept for later, and the rest of the buffer fits nothing any
    more. A dump of minutes so grew by 57 MB (measured), one of seconds by none.
    """
    mallopt = getattr(libc(), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)


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


def write_back_begin(descriptor: int, start: int, count: int) -> None:
    """Let the disk begin with ``count`` bytes of a file, from ``start``, instead of waiting for the fsync at its end.

    By itself Linux begins when a tenth of the free memory is waiting. Durable they are not before the fsync, which also tells of every
    error: sync_file_range(2) is asked for the beginning alone. Does nothing where the system has no such call.
    """
    call = getattr(libc(), "sync_file_range", None)
    if call is not None:
        call(descriptor, ctypes.c_int64(start), ctypes.c_int64(count), ctypes.c_uint(_WRITE))


def write_back_gently(descriptor: int, check: Callable[[], object]) -> None:
    """Write a file back to the disk, a piece at a time, resting after each for as long as it took, and let go of its memory.

    So what else writes meanwhile is not held up, and what others read stays in memory. Small files are left to the system. Durable the
    file is after a sync. ``check`` is called before each piece. Does nothing where the system has no sync_file_range(2).
    """
    call = getattr(libc(), "sync_file_range", None)
    size = os.fstat(descriptor).st_size
    if call is None or size < SMALL_BYTES:
        return
    for start in range(0, size, PIECE_BYTES):
        check()
        begun = time.monotonic()
        flags = ctypes.c_uint(_WAIT_BEFORE | _WRITE | _WAIT_AFTER)
        # An error of the disk is told once: who hears it now keeps it from whoever syncs later.
        if call(descriptor, ctypes.c_int64(start), ctypes.c_int64(PIECE_BYTES), flags) != 0 and (number := ctypes.get_errno()) in _LOST:
            raise OSError(number, os.strerror(number))
        os.posix_fadvise(descriptor, start, PIECE_BYTES, os.POSIX_FADV_DONTNEED)
        time.sleep(time.monotonic() - begun)
