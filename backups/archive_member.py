"""The content of one member of an archive, as hostile as the rest: read from its first byte to its last, and inflated."""

from __future__ import annotations

from collections.abc import Generator

from isal import isal_zlib

from backups.archive_directory import Source
from backups.archive_layout import BATCH, STORED, Entry
from backups.archive_spool import Buffer
from backups.exceptions import ArchiveRejected

__all__ = ["Forward", "plain_pieces"]

# One read of the source in a sequential pass. Larger ones are no faster (the S3 reader has windows of its own) and cost their size.
READ_BYTES = BATCH
# Compressed bytes given to the inflater at once; what it cannot use yet is copied.
PACKED_BYTES = 256 * 1024
# isal's stub declares an instance where the class is.
DAMAGED: type[Exception] = isal_zlib.error  # type: ignore[assignment]


class Forward:
    """Reads a part of the source from its start to its end, in large pieces; each is valid until the next is asked for."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._source, self._position, self._end = source, start, end
        self._piece = memoryview(b"")
        self._buffer = memoryview(bytearray(min(READ_BYTES, end - start)))

    def some(self, limit: int) -> memoryview:
        """From 1 to ``limit`` bytes, as they come."""
        if not self._piece:
            self._piece = self._source.read_into(self._position, self._buffer[: self._end - self._position])
            self._position += len(self._piece)
        taken, self._piece = self._piece[:limit], self._piece[limit:]
        return taken

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        pieces = []
        while count:
            pieces.append(bytes(self.some(count)))
            count -= len(pieces[-1])
        return b"".join(pieces)


def plain_pieces(entry: Entry, stream: Forward) -> Generator[Buffer, None, None]:
    """Check the local header, then inflate: pieces of at most :data:`BATCH` bytes, to the last compressed byte exactly.

    Those of a stored member are valid until the next is asked for. Raises ArchiveRejected for any other data.
    """
    if stream.exactly(entry.header_size) != entry.local_header():
        raise ArchiveRejected("its local header disagrees with the central directory")
    left = entry.compressed_size
    if entry.method == STORED:
        while left:
            piece = stream.some(min(left, BATCH))
            left -= len(piece)
            yield piece
        return
    inflater = isal_zlib.decompressobj(-15)
    while not inflater.eof:
        packed: Buffer = inflater.unconsumed_tail
        if not packed and left:
            packed = stream.some(min(left, PACKED_BYTES))
            left -= len(packed)
        try:
            plain = inflater.decompress(packed, BATCH)
        except DAMAGED as error:
            raise ArchiveRejected(f"its deflated data is damaged ({error})") from error
        if plain:
            yield plain
        elif not packed and not inflater.eof:
            raise ArchiveRejected("its deflated data ends early")
    if left or inflater.unused_data or inflater.unconsumed_tail:
        raise ArchiveRejected("its deflated data ends before its last byte")
