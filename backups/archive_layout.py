"""The ZIP of format 1: its names, its records and the bytes they are made of (PKWARE APPNOTE 6.3.10).

The writer makes exactly these bytes and the reader compares against them, so that no two programs can read one archive
in two ways: members follow each other without a gap from the first byte on, in the order of the central directory; every
local header repeats its directory record; no data descriptor, no comment, no encryption, no extra field but ZIP64.
"""

from __future__ import annotations

import heapq
import re
import stat
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from backups.exceptions import ArchiveRejected
from backups.members import Member, by_path, gathered

__all__ = [
    "ARCHIVE_NAME",
    "BATCH",
    "DEFLATED",
    "MANIFEST",
    "SHA256SUMS",
    "SIGNATURE",
    "STORED",
    "UNLISTED",
    "Entry",
    "archive_name",
    "check_member_name",
    "checksums",
]

# Bytes read, inflated and hashed at once. Fewer cost calls, more cost memory and miss the caches (256 KiB to 4 MiB
# measured within 3 % of each other).
BATCH = 1024 * 1024

MANIFEST, SIGNATURE, SHA256SUMS = "manifest.json", "manifest.sig", "SHA256SUMS"
# The members that the manifest cannot list, because they are made from it.
UNLISTED = frozenset({MANIFEST, SIGNATURE, SHA256SUMS})
TOP_LEVEL = UNLISTED | {"RESTORE.txt", "settings.json", "db.dump", "db.sqlite"}
UPLOADS = "uploads/"

STORED, DEFLATED = 0, 8
UTF8_FLAG = 0x0800
# Bits 1 and 2 only tell how hard the deflater tried.
HARMLESS_FLAGS = UTF8_FLAG | 0x0006
UNIX = 3
# A field that holds its largest value says: look into the ZIP64 field.
LIMIT_16, LIMIT_32 = 0xFFFF, 0xFFFFFFFF
ZIP64_ID = 1
VERSION_PLAIN, VERSION_ZIP64 = 20, 45

LOCAL = struct.Struct("<4sHHHHHLLLHH")
CENTRAL = struct.Struct("<4sBBHHHHHLLLHHHHHLL")
END = struct.Struct("<4sHHHHLLH")
END64 = struct.Struct("<4sQHHLLQQQQ")
LOCATOR64 = struct.Struct("<4sLQL")
SIZES64 = struct.Struct("<HHQQ")
LOCAL_MAGIC, CENTRAL_MAGIC, END_MAGIC = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
END64_MAGIC, LOCATOR64_MAGIC = b"PK\x06\x06", b"PK\x06\x07"

# What Linux can hold: 255 bytes a component; of PATH_MAX's 4,096 bytes the rest is left for the folder above.
MAX_COMPONENT_BYTES = 255
MAX_NAME_BYTES = 3_800
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_DRIVE = re.compile(r"[A-Za-z]:")

ARCHIVE_NAME = re.compile(r"backup_[0-9]{8}_[0-9]{6}_[0-9a-f]{8}\.zip")


def archive_name(created_at: datetime, id: str) -> str:
    """Name an archive: ``backup_YYYYMMDD_HHMMSS_<first 8 hex of id>.zip``, the time in UTC.

    Raises ValueError for a time without a zone or an id that does not begin with 8 hex digits.
    """
    if created_at.tzinfo is None:
        raise ValueError("created_at must be aware.")
    name = f"backup_{created_at.astimezone(UTC):%Y%m%d_%H%M%S}_{id[:8]}.zip"
    if ARCHIVE_NAME.fullmatch(name) is None:
        raise ValueError(f"{name} is no name of an archive.")
    return name


def check_member_name(name: str) -> None:
    """Refuse a member's name that is not one of format 1, or that could lead out of the folder it is unpacked into.

    Names are compared as they are: two that differ only in case or in Unicode normalisation are two files, as they were on
    the file system they came from; where a file system folds them into one, unpacking refuses (it never overwrites).
    Raises :class:`~backups.exceptions.ArchiveRejected`.
    """
    fault = _name_fault(name)
    if fault:
        raise ArchiveRejected(f"the member name {name[:200]!a} {fault}")


def _name_fault(name: str) -> str:
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if len(encoded) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    if _CONTROL.search(name):
        return "holds a control character"
    if "\\" in name:
        return "holds a backslash"
    if name.startswith("/") or _DRIVE.match(name):
        return "is an absolute path"
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "holds an empty part, '.' or '..'"
    if any(len(part.encode()) > MAX_COMPONENT_BYTES for part in parts):
        return f"holds a part longer than {MAX_COMPONENT_BYTES} bytes"
    if name.startswith(UPLOADS):
        return "is reserved for staging" if parts[1].startswith(".backups-") else ""
    return "" if name in TOP_LEVEL else "is none that this format knows"


@dataclass(slots=True)
class Entry:
    """One record of the central directory. Sizes and ``offset`` (of the local header) are in bytes.

    ``is_large`` says that the local header carries its sizes in a ZIP64 field.
    """

    name: str
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int
    dos_time: int
    dos_date: int
    flags: int = UTF8_FLAG
    version: int = VERSION_PLAIN
    is_large: bool = False

    @property
    def header_size(self) -> int:
        """Bytes of the local header."""
        return LOCAL.size + len(self.name.encode()) + (SIZES64.size if self.is_large else 0)

    @property
    def end(self) -> int:
        """Offset of the first byte after this member."""
        return self.offset + self.header_size + self.compressed_size

    def local_header(self) -> bytes:
        """The local header that this record implies: the only one that is accepted."""
        name = self.name.encode()
        compressed_size, size, extra = self.compressed_size, self.size, b""
        if self.is_large:
            compressed_size = size = LIMIT_32
            extra = SIZES64.pack(ZIP64_ID, 16, self.size, self.compressed_size)
        fixed = LOCAL.pack(
            LOCAL_MAGIC,
            self.version,
            self.flags,
            self.method,
            self.dos_time,
            self.dos_date,
            self.crc,
            compressed_size,
            size,
            len(name),
            len(extra),
        )
        return fixed + name + extra

    def central_record(self) -> bytes:
        """The directory record: a regular file of mode 0600, made on Unix."""
        name = self.name.encode()
        compressed_size, size, offset, large = self.compressed_size, self.size, self.offset, b""
        if self.is_large:
            large = struct.pack("<QQ", size, compressed_size)
            compressed_size = size = LIMIT_32
        if offset >= LIMIT_32:
            large += struct.pack("<Q", offset)
            offset = LIMIT_32
        extra = struct.pack("<HH", ZIP64_ID, len(large)) + large if large else b""
        fixed = CENTRAL.pack(
            CENTRAL_MAGIC,
            VERSION_ZIP64,
            UNIX,
            self.version,
            self.flags,
            self.method,
            self.dos_time,
            self.dos_date,
            self.crc,
            compressed_size,
            size,
            len(name),
            len(extra),
            0,
            0,
            0,
            (stat.S_IFREG | 0o600) << 16,
            offset,
        )
        return fixed + name + extra


def end_records(count: int, directory_offset: int, directory_size: int) -> bytes:
    """What follows the central directory: the end record, before it ZIP64's two where a field would not fit."""
    records = b""
    if count >= LIMIT_16 or directory_offset >= LIMIT_32 or directory_size >= LIMIT_32:
        records = END64.pack(
            END64_MAGIC, END64.size - 12, VERSION_ZIP64, VERSION_ZIP64, 0, 0, count, count, directory_size, directory_offset
        )
        records += LOCATOR64.pack(LOCATOR64_MAGIC, 0, directory_offset + directory_size, 1)
    short_count = min(count, LIMIT_16)
    return records + END.pack(END_MAGIC, 0, 0, short_count, short_count, min(directory_size, LIMIT_32), min(directory_offset, LIMIT_32), 0)


def checksums(members: Sequence[Member], manifest_sha256: str) -> Iterator[bytes]:
    """The content of ``SHA256SUMS`` for these members and the manifest, as ``sha256sum`` writes it, sorted by path: in pieces."""
    made = Member(MANIFEST, 0, manifest_sha256)
    listed = heapq.merge(by_path(members), [made], key=lambda member: member.path)
    return gathered(f"{member.sha256}  {member.path}\n" for member in listed)


def dos_moment(moment: datetime) -> tuple[int, int]:
    """ZIP's time and date fields (steps of two seconds, without a zone: UTC here; years 1980 to 2107)."""
    utc = moment.astimezone(UTC)
    time = utc.hour << 11 | utc.minute << 5 | utc.second // 2
    return time, (utc.year - 1980) << 9 | utc.month << 5 | utc.day
