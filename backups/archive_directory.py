"""Reading the structure of an archive as hostile input: end records and central directory, before any member is touched."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from typing import BinaryIO

from backups.archive_layout import (
    CENTRAL,
    CENTRAL_MAGIC,
    DEFLATED,
    END,
    END64,
    END64_MAGIC,
    END_MAGIC,
    HARMLESS_FLAGS,
    LIMIT_16,
    LIMIT_32,
    LOCAL_MAGIC,
    LOCATOR64,
    LOCATOR64_MAGIC,
    MAX_NAME_BYTES,
    SIZES64,
    STORED,
    ZIP64_ID,
    Entry,
)
from backups.conf import conf
from backups.exceptions import ArchiveRejected, ArchiveTooLarge
from backups.members import Runs
from backups.spill import Spill

__all__ = ["Directory", "Source", "read_directory"]

# The end of the file that is read at once: in most archives it holds end record, central directory and manifest.
TAIL_BYTES = 1024 * 1024
FOLDER_OR_LABEL = 0x18
# Of each member: where its record lies in the central directory, and whether its local header has ZIP64 fields, which its length
# alone shows.
PLACE = struct.Struct("<Q?")
# The length of the name in a record that is unpacked.
NAME_SIZE = 11


class Source:
    """A seekable file of bytes that is read by ranges; its end is kept, so that small archives cost one range.

    Raises :class:`~backups.exceptions.ArchiveRejected` where it cannot be read or ends early.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        try:
            self._descriptor = file.fileno()
        except (OSError, AttributeError):
            self._descriptor = -1
        try:
            self.size = file.seek(0, 2)
        except OSError as error:
            raise _unreadable(error) from error
        self._tail = b""
        self._tail_start = max(0, self.size - TAIL_BYTES)
        self._tail = self.bytes_at(self._tail_start, self.size - self._tail_start)

    @property
    def can_be_shared(self) -> bool:
        """Whether several threads may read at the same time."""
        return self._descriptor >= 0

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Exactly ``count`` bytes from ``offset`` on."""
        pieces = []
        while count:
            pieces.append(self.some_at(offset, count))
            offset, count = offset + len(pieces[-1]), count - len(pieces[-1])
        return b"".join(pieces)

    def some_at(self, offset: int, count: int) -> bytes:
        """From 1 to ``count`` bytes from ``offset`` on."""
        if offset >= self._tail_start and self._tail:
            data = self._tail[offset - self._tail_start :][:count]
        else:
            try:
                data = os.pread(self._descriptor, count, offset) if self.can_be_shared else self._read(offset, count)
            except OSError as error:
                raise _unreadable(error) from error
        if not data:
            raise ArchiveRejected("it is truncated")
        return data

    def read_into(self, offset: int, buffer: memoryview) -> memoryview:
        """From 1 byte to as many as fit, from ``offset`` on: in ``buffer``, where the file can be read into it."""
        if not self.can_be_shared or (offset >= self._tail_start and self._tail):
            return memoryview(self.some_at(offset, len(buffer)))
        try:
            count = os.preadv(self._descriptor, [buffer], offset)
        except OSError as error:
            raise _unreadable(error) from error
        if not count:
            raise ArchiveRejected("it is truncated")
        return buffer[:count]

    def _read(self, offset: int, count: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(count)


def _unreadable(error: OSError) -> ArchiveRejected:
    return ArchiveRejected(f"it cannot be read: {error.strerror or error}")


class Directory:
    """The members in the order in which they lie, as the bytes of the central directory: each is parsed when it is asked for.

    That takes a few megabytes however many there are (objects take 330 bytes each). ``data`` is the central directory, which must
    hold ``count`` records, and begin at the offset ``end`` of the archive, where the last member ends.
    """

    def __init__(self, data: Spill, count: int, end: int) -> None:
        self._data, self._places, self._runs = data, Spill(), Runs()
        position = start = 0
        entry: Entry | None = None
        for _ in range(count):
            if position + CENTRAL.size > len(data):
                raise ArchiveRejected("its central directory holds fewer members than its end record says")
            following, after = _entry(data, position)
            if entry is None and following.offset:
                raise ArchiveRejected("bytes before its first member belong to none")
            if entry is not None:
                self._places.append(PLACE.pack(start, _is_large(entry, following.offset)))
            self._runs.append(following.name.encode())
            entry, start, position = following, position, after
        if position != len(data):
            raise ArchiveRejected("its central directory holds more than its end record says")
        if entry is not None:
            self._places.append(PLACE.pack(start, _is_large(entry, end)))

    def __len__(self) -> int:
        return len(self._places) // PLACE.size

    def __getitem__(self, place: int) -> Entry:
        start, is_large = self._place(place)
        entry, _ = _entry(self._data, start)
        entry.is_large = is_large
        return entry

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(len(self)))

    def name(self, place: int) -> bytes:
        """The name of the member at ``place`` (from 0 on), in UTF-8."""
        start, _ = self._place(place)
        fixed = CENTRAL.unpack(self._data.read(start, CENTRAL.size))
        return self._data.read(start + CENTRAL.size, fixed[NAME_SIZE])

    def by_name(self) -> Iterator[int]:
        """The places (from 0 on), sorted by name."""
        return self._runs.merged(self.name)

    def _place(self, place: int) -> tuple[int, bool]:
        return PLACE.unpack(self._places.read(PLACE.size * place, PLACE.size))


def read_directory(source: Source) -> Directory:
    """Read end records and central directory.

    Every byte of the file is accounted for: members without a gap from offset 0 on, the central directory in the same order,
    the end records. Names are not judged here. Raises :class:`~backups.exceptions.ArchiveRejected`.
    """
    if source.size == 0:
        raise ArchiveRejected("it is empty")
    count, start, size, end = _read_end(source)
    if count > conf.max_members:
        raise ArchiveTooLarge(f"it has {count} members, more than BACKUPS_MAX_MEMBERS ({conf.max_members})")
    if start + size != end or not CENTRAL.size * count <= size <= (CENTRAL.size + MAX_NAME_BYTES + 28) * count:
        raise ArchiveRejected("its end record and its central directory do not fit together (bytes were put before, between or after them)")
    data = Spill()
    while len(data) < size:
        data.append(source.some_at(start + len(data), min(TAIL_BYTES, size - len(data))))
    return Directory(data, count, start)


def _read_end(source: Source) -> tuple[int, int, int, int]:
    """Members, offset and size of the central directory, and the offset at which it must end."""
    if source.size < END.size:
        raise _without_end(source)
    end = source.size - END.size
    magic, disk, start_disk, count_here, count, size, start, comment = END.unpack(source.bytes_at(end, END.size))
    if magic != END_MAGIC or comment:
        raise _without_end(source)
    if disk or start_disk or count_here != count:
        raise ArchiveRejected("it is split into several disks")
    if end < LOCATOR64.size + END64.size or source.bytes_at(end - LOCATOR64.size, 4) != LOCATOR64_MAGIC:
        if count == LIMIT_16 or LIMIT_32 in (size, start):
            raise ArchiveRejected("its end record refers to a ZIP64 record that is not there")
        return count, start, size, end
    end64 = end - LOCATOR64.size - END64.size
    record = END64.unpack(source.bytes_at(end64, END64.size))
    count64, size64, start64 = record[7:]
    if (
        LOCATOR64.unpack(source.bytes_at(end - LOCATOR64.size, LOCATOR64.size)) != (LOCATOR64_MAGIC, 0, end64, 1)
        or record[:2] != (END64_MAGIC, END64.size - 12)
        or record[4:7] != (0, 0, count64)
        or count not in (count64, LIMIT_16)
        or size not in (size64, LIMIT_32)
        or start not in (start64, LIMIT_32)
    ):
        raise ArchiveRejected("its ZIP64 end record and its end record disagree")
    return count64, start64, size64, end64


def _without_end(source: Source) -> ArchiveRejected:
    if source.bytes_at(0, min(len(LOCAL_MAGIC), source.size)) != LOCAL_MAGIC:
        return ArchiveRejected("it is not a ZIP archive")
    return ArchiveRejected("its end record is not where it must be: it is truncated, or has a comment or bytes after its end")


def _is_large(entry: Entry, following: int) -> bool:
    """Whether the local header carries ZIP64 fields; what lies up to ``following``, the next member's offset, is its own or refused."""
    entry.is_large = following - entry.end == SIZES64.size
    if entry.end != following or (not entry.is_large and max(entry.size, entry.compressed_size) >= LIMIT_32):
        raise ArchiveRejected(f"the member {entry.name[:200]!a} overlaps what follows, or bytes after it belong to none")
    return entry.is_large


def _entry(data: Spill, position: int) -> tuple[Entry, int]:
    """The record at ``position``, and the position after it."""
    fixed = CENTRAL.unpack(data.read(position, CENTRAL.size))
    magic, _, _, version, flags, method, dos_time, dos_date, crc, compressed_size, size = fixed[:11]
    name_size, extra_size, comment_size, disk, _, attributes, offset = fixed[11:]
    rest = data.read(position + CENTRAL.size, name_size + extra_size)
    raw_name, extra = rest[:name_size], rest[name_size:]
    if magic != CENTRAL_MAGIC or len(rest) != name_size + extra_size or comment_size:
        raise ArchiveRejected("its central directory is damaged, or holds comments")
    try:
        # With or without the flag: Info-ZIP leaves it out. The manifest must list the name that comes out.
        name = raw_name.decode()
    except UnicodeDecodeError as error:
        raise ArchiveRejected(f"a member's name is not UTF-8: {raw_name[:200]!r}") from error
    if fault := _fault(flags, method, attributes):
        raise ArchiveRejected(f"the member {name[:200]!a} {fault}")
    if disk:
        raise ArchiveRejected("it is split into several disks")
    if extra or LIMIT_32 in (size, compressed_size, offset):
        size, compressed_size, offset = _zip64(extra, [size, compressed_size, offset], name)
    if method == STORED and size != compressed_size:
        raise ArchiveRejected(f"the member {name[:200]!a} is stored, but with two different sizes")
    return Entry(name, method, crc, compressed_size, size, offset, dos_time, dos_date, flags, version), position + CENTRAL.size + len(rest)


def _fault(flags: int, method: int, attributes: int) -> str:
    if flags & 1:
        return "is encrypted"
    if flags & ~HARMLESS_FLAGS:
        return f"uses a feature of ZIP that this format does not (flags {flags:#06x})"
    if method not in (STORED, DEFLATED):
        return f"is compressed with method {method}; only stored and deflated are known"
    if stat.S_IFMT(attributes >> 16) not in (0, stat.S_IFREG) or attributes & FOLDER_OR_LABEL:
        return "is no regular file but a link, a folder or a device"
    return ""


def _zip64(extra: bytes, values: list[int], name: str) -> list[int]:
    """Replace the values that say "look into the ZIP64 field"; that field must hold exactly those."""
    wanted = [index for index, value in enumerate(values) if value == LIMIT_32]
    expected_size = 8 * len(wanted)
    if len(extra) != (4 + expected_size if wanted else 0) or (wanted and struct.unpack_from("<HH", extra) != (ZIP64_ID, expected_size)):
        raise ArchiveRejected(f"the member {name[:200]!a} has an extra field other than the ZIP64 sizes that it needs")
    for index, value in zip(wanted, struct.unpack_from(f"<{len(wanted)}Q", extra, 4) if wanted else (), strict=True):
        values[index] = value
    return values
