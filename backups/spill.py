"""Bytes that are kept in order and read at any place, in a few megabytes of memory however many there are."""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from backups.conf import conf
from backups.exceptions import PreflightRefused
from backups.files import private_folder

__all__ = ["Spill"]

# What is appended stays in memory until there is so much of it.
HELD_BYTES = 1024 * 1024
# What lies on the disk is read in blocks, of which the last ones that were asked for are held: 512 KiB.
BLOCK_BYTES = 16 * 1024
BLOCKS_HELD = 32


class Spill:
    """A row of bytes that grows at its end. Beyond a megabyte it lies in a file without a name in ``BACKUPS_STATE_DIR``.

    Any number of threads may read while none appends. The space is free again when this object ends, or its process. Raises
    :class:`~backups.exceptions.PreflightRefused` where that folder takes no more, or does not give back what it took.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._spilled = 0
        self._descriptor = -1
        self._block: Callable[[int], bytes]

    def __len__(self) -> int:
        return self._spilled + len(self._held)

    def append(self, data: bytes | bytearray | memoryview) -> None:
        """Put bytes at the end."""
        self._held += data
        if len(self._held) >= HELD_BYTES:
            self._write()

    def read(self, start: int, count: int) -> bytes:
        """The bytes from ``start`` on: ``count`` of them, or fewer where it ends before."""
        if start >= self._spilled:
            start -= self._spilled
            return bytes(self._held[start : start + count])
        pieces = []
        while count > 0 and start < self._spilled:
            place, inside = divmod(start, BLOCK_BYTES)
            piece = self._block(place)[inside : inside + count]
            pieces.append(piece)
            start, count = start + len(piece), count - len(piece)
        if count > 0:
            pieces.append(bytes(self._held[:count]))
        return b"".join(pieces)

    def pieces(self) -> Iterator[bytes]:
        """All bytes, from the first to the last."""
        for start in range(0, len(self), BLOCK_BYTES):
            yield self.read(start, BLOCK_BYTES)

    def _write(self) -> None:
        """Bring all whole blocks to the disk."""
        count = len(self._held) // BLOCK_BYTES * BLOCK_BYTES
        try:
            if self._descriptor < 0:
                self._open()
            with memoryview(self._held) as held:
                written = 0
                while written < count:
                    written += os.pwrite(self._descriptor, held[written:count], self._spilled + written)
        except OSError as error:
            raise _refusal("does not fit into", error, "Free some space there") from error
        del self._held[:count]
        self._spilled += count

    def _open(self) -> None:
        private_folder(conf.state_dir)
        with tempfile.TemporaryFile(dir=conf.state_dir) as file:
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        # Whole blocks alone are on the disk, and never change. Without a reference to this object, whose end is to be at once.
        self._block = lru_cache(BLOCKS_HELD)(partial(_block_at, self._descriptor))


def _block_at(descriptor: int, place: int) -> bytes:
    try:
        block = os.pread(descriptor, BLOCK_BYTES, place * BLOCK_BYTES)
    except OSError as error:
        raise _refusal("cannot be read in", error, "Look at its disk") from error
    if len(block) < BLOCK_BYTES:
        raise _refusal("cannot be read in", OSError(errno.EIO, os.strerror(errno.EIO)), "Look at its disk")
    return block


def _refusal(what: str, error: OSError, mend: str) -> PreflightRefused:
    return PreflightRefused(
        f"The list of an archive's members {what} {conf.state_dir}: {error.strerror or error}.",
        next_step=f"{mend}, then run the command again.",
    )
