"""Ranges of bytes of one file, as HTTP asks for them (RFC 9110, section 14): one range, which is what resuming a download takes.

Several ranges at once, other units and what makes no sense are passed over, as the standard allows: the answer is then the whole.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from backups.exceptions import ArchiveUnreadable

__all__ = ["BytesOf", "RangeNotSatisfiable", "etag_matches", "range_asked"]

# Bytes read and sent at a time: all that a download of any size has in memory.
BLOCK = 256 * 1024
# Eighteen digits fit into every counter of bytes.
_RANGE = re.compile(r"bytes[ \t]*=[ \t]*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)


class RangeNotSatisfiable(Exception):
    """The range has no byte of the file in it: the answer is 416."""


def range_asked(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last that a ``Range`` header asks for, of a file of ``size`` bytes.

    None where it asks for nothing that is understood. Raises :class:`RangeNotSatisfiable`.
    """
    match = _RANGE.fullmatch(header)
    if match is None:
        return None
    first, last, length = match.groups()
    if length is not None:
        start, stop = max(0, size - int(length)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise RangeNotSatisfiable
    return start, stop


def etag_matches(header: str, etag: str) -> bool:
    """Whether ``If-Match`` or ``If-Range`` names this very content: strongly, so that a weak tag or a date never does."""
    return any(tag.strip() == etag for tag in header.split(","))


class BytesOf:
    """The bytes ``start`` to ``stop`` of an open file, as an iterator in pieces; closing it closes the file.

    Raises :class:`~backups.exceptions.ArchiveUnreadable` where the file ends before them, so that the connection ends, too, and
    nobody takes a part for the whole.
    """

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        """Take the file, and go to the first byte."""
        self._file, self._left = file, stop - start
        file.seek(start)

    def __iter__(self) -> BytesOf:
        """Itself."""
        return self

    def __next__(self) -> bytes:
        """The next piece."""
        if not self._left:
            raise StopIteration
        data = self._file.read(min(BLOCK, self._left))
        if not data:
            raise ArchiveUnreadable("The archive became shorter while it was read.")
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
