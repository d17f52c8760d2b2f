"""Writing an archive: every byte is read once, hashed and compressed in the same pass, and never held as a whole."""

from __future__ import annotations

import errno
import os
import re
import stat
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from isal import isal_zlib

from backups.archive_layout import (
    BATCH,
    DEFLATED,
    LIMIT_32,
    MANIFEST,
    SHA256SUMS,
    SIGNATURE,
    STORED,
    UNLISTED,
    VERSION_PLAIN,
    VERSION_ZIP64,
    Entry,
    check_member_name,
    checksums,
    dos_moment,
    end_records,
)
from backups.archive_spool import LEVEL, Buffer, MemberSpool, Tally
from backups.durable import write_back_begin
from backups.exceptions import ArchiveRejected, PreflightRefused
from backups.manifest import Manifest, manifest_from_json, manifest_pieces, sign
from backups.members import Member, Members, by_path
from backups.spill import Spill

__all__ = ["ArchiveWriter"]

# The part of a file that is deflated to see whether it pays, and the share of it that deflate must save.
PROBE_BYTES = 64 * 1024
WORTHWHILE = 0.95
# Compressed already: not even a probe.
INCOMPRESSIBLE = re.compile(
    r"\.(7z|aac|avif|br|bz2|docx|epub|flac|gif|gz|heic|jpe?g|jxl|m4[av]|mkv|mov|mp[34]|od[pst]|ogg|opus|pdf|png|pptx|rar|tgz|"
    r"web[mp]|woff2?|xlsx|xz|zip|zst)",
    re.IGNORECASE,
)
# Bytes copied in the kernel at once: the time until a signal is noticed.
COPY_BYTES = 64 * 1024 * 1024
# So many bytes are handed to the disk at once, while the next are made. The fsync at the end then waits for the last of them only.
WRITE_BACK_BYTES = 32 * 1024 * 1024
# From this size on a member's local header has ZIP64 fields; deflate can make data larger by less than what is left to 4 GiB.
LARGE_FROM = LIMIT_32 - 64 * 1024 * 1024


class ArchiveWriter:
    """Writes one archive to ``path``, which must not exist (its folder must): mode 0600.

    ``created_at`` (aware) becomes the time of every member. A context manager: a block that ends without :meth:`sync`
    removes the file. When adding a member fails, the archive is cut back to where that member began, and can go on.
    Members are written in the order in which they are added. Raises OSError where the disk is full.
    """

    def __init__(self, path: Path, *, created_at: datetime) -> None:
        self.path = path
        self.members = Members()
        self._dos_time, self._dos_date = dos_moment(created_at)
        # The central directory as it will be written.
        self._directory = Spill()
        self._count = self._offset = self._handed_over = 0
        # The places of the members that came in the order in which uploads are listed, and the names of all others.
        self._rising = array("I")
        self._last_rising: list[str] = []
        self._others: set[str] = set()
        self._is_finished = False
        self._buffer = bytearray(BATCH)
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._is_finished:
            self.abort()

    def add_bytes(self, name: str, data: bytes) -> None:
        """Add a small member from memory. Raises ValueError for a name that is there already or is made by :meth:`finish`."""
        self._check_name(name)
        self._remember(self._add_whole(name, data, is_compressible=True))

    def add_file(self, name: str, source: Path, on_bytes: Callable[[int], object]) -> None:
        """Add the regular file ``source``; ``on_bytes`` is told how many of its bytes were read, piece by piece.

        Read to the size that it has when it is opened, so a file that grows meanwhile comes to an end, and recorded as what was
        read. Stored where its type or a probe of its first 64 KB says that deflate does not pay.

        Raises FileNotFoundError where it vanished, another OSError where it is a link or no regular file,
        :class:`~backups.exceptions.PreflightRefused` where its name cannot be archived; each before anything is written.
        """
        self._check_name(name)
        # O_NONBLOCK: opening a pipe must not wait for its other end.
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "Not a regular file", str(source))
            is_compressible = INCOMPRESSIBLE.fullmatch(source.suffix) is None
            if status.st_size <= BATCH:
                data = self._read_small(descriptor, status.st_size)
                member = self._add_whole(name, data, is_compressible=is_compressible)
                on_bytes(len(data))
            else:
                probe = os.pread(descriptor, PROBE_BYTES, 0) if is_compressible else b""
                is_deflated = is_compressible and self._deflate_if_worthwhile(probe) is not None
                pieces = self._file_pieces(descriptor, status.st_size, on_bytes)
                member = self._add_stream(name, pieces, is_deflated=is_deflated, is_large=status.st_size >= LARGE_FROM)
        finally:
            os.close(descriptor)
        self._remember(member)

    def add_spool(self, name: str, spool: MemberSpool, on_bytes: Callable[[int], object]) -> None:
        """Append the bytes of a closed spool as they are, and delete it; ``on_bytes`` is told how many were copied, piece by piece."""
        self._check_name(name)
        entry = self._entry(name, spool.method, is_large=max(spool.size, spool.compressed_size) >= LARGE_FROM)
        entry.crc, entry.size, entry.compressed_size = spool.crc, spool.size, spool.compressed_size
        with self._cut_back_on_failure():
            self._write(entry.local_header())
            self._append_file(spool.path, spool.compressed_size, on_bytes)
        self._list(entry)
        self._remember(Member(name, spool.size, spool.sha256))
        spool.discard()

    def finish(self, manifest: Manifest) -> None:
        """:meth:`end`, then :meth:`sync`."""
        self.end(manifest)
        self.sync()

    def end(self, manifest: Manifest) -> None:
        """Write manifest, signature, checksums and central directory; the archive is whole then, but not durable. Forgets ``members``.

        Raises ValueError where the manifest does not describe the members that were added or could not be read back.
        """
        if manifest.members != self.members and list(by_path(manifest.members)) != list(by_path(self.members)):
            raise ValueError("The manifest must list exactly the members of the archive.")
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for piece in manifest_pieces(manifest):
                size += len(piece)
                yield piece

        try:
            manifest_from_json(counted())
        except ArchiveRejected as error:
            raise ValueError(f"This manifest could not be read back: {error.message}") from error
        is_large = size >= LARGE_FROM
        made = self._add_stream(MANIFEST, manifest_pieces(manifest), is_deflated=True, is_large=is_large)
        self._add_whole(SIGNATURE, sign(manifest_pieces(manifest)), is_compressible=False)
        self._add_stream(SHA256SUMS, checksums(self.members, made.sha256), is_deflated=True, is_large=is_large)
        start = self._offset
        for piece in self._directory.pieces():
            self._write(piece)
        self._write(end_records(self._count, start, self._offset - start))
        os.ftruncate(self._open, self._offset)
        # While it is read back, that takes as much again.
        self.members, self._directory, self._rising, self._others = Members(), Spill(), array("I"), set()

    def sync(self) -> None:
        """Return when the ended archive is on the disk; from then on it stays. May be called by another thread."""
        os.fsync(self._open)
        descriptor, self._descriptor = self._open, None
        os.close(descriptor)
        self._is_finished = True

    def abort(self) -> None:
        """Close and remove the file; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
        self.path.unlink(missing_ok=True)

    @property
    def _open(self) -> int:
        if self._descriptor is None:
            raise ValueError(f"The archive {self.path} is not open for writing.")
        return self._descriptor

    def _check_name(self, name: str) -> None:
        try:
            check_member_name(name)
        except ArchiveRejected as error:
            raise PreflightRefused(
                f"A file cannot be archived: {error.message}.", next_step="Rename the file, then run backup_create again."
            ) from error
        if self._is_taken(name):
            raise ValueError(f"{name} is in the archive already.")
        if name in UNLISTED:
            raise ValueError(f"{name} is written by finish().")

    def _entry(self, name: str, method: int, *, is_large: bool) -> Entry:
        version = VERSION_ZIP64 if is_large or self._offset >= LIMIT_32 else VERSION_PLAIN
        return Entry(
            name,
            method,
            crc=0,
            compressed_size=0,
            size=0,
            offset=self._offset,
            dos_time=self._dos_time,
            dos_date=self._dos_date,
            version=version,
            is_large=is_large,
        )

    def _add_whole(self, name: str, data: Buffer, *, is_compressible: bool) -> Member:
        """Write a member that is in memory: header and data at once."""
        tally = Tally()
        tally.add(data)
        method, packed = STORED, data
        if is_compressible and (deflated := self._deflate_if_worthwhile(data)) is not None:
            method, packed = DEFLATED, deflated
        entry = self._entry(name, method, is_large=tally.size >= LARGE_FROM)
        entry.crc, entry.size, entry.compressed_size = tally.crc, tally.size, len(packed)
        with self._cut_back_on_failure():
            self._write(entry.local_header())
            self._write(packed)
        self._list(entry)
        return Member(name, tally.size, tally.sha256)

    def _add_stream(self, name: str, pieces: Iterable[Buffer], *, is_deflated: bool, is_large: bool) -> Member:
        """Write a member piece by piece, and its header again when its sizes are known."""
        deflater = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, -15) if is_deflated else None
        entry = self._entry(name, DEFLATED if deflater else STORED, is_large=is_large)
        tally = Tally()
        with self._cut_back_on_failure():
            self._write(entry.local_header())
            start = self._offset
            for piece in pieces:
                tally.add(piece)
                self._write(deflater.compress(piece) if deflater else piece)
            if deflater:
                self._write(deflater.flush())
            entry.crc, entry.size, entry.compressed_size = tally.crc, tally.size, self._offset - start
            self._write_at(entry.local_header(), entry.offset)
        self._list(entry)
        return Member(name, tally.size, tally.sha256)

    def _file_pieces(self, source: int, limit: int, on_bytes: Callable[[int], object]) -> Iterator[memoryview]:
        """At most ``limit`` bytes of a file, in pieces that are valid until the next one."""
        view = memoryview(self._buffer)
        left = limit
        while left and (count := os.readv(source, [view[:left]])):
            yield view[:count]
            left -= count
            on_bytes(count)

    def _read_small(self, source: int, limit: int) -> memoryview:
        view = memoryview(self._buffer)
        size = 0
        while size < limit and (count := os.readv(source, [view[size:limit]])):
            size += count
        return view[:size]

    def _append_file(self, source: Path, size: int, on_bytes: Callable[[int], object]) -> None:
        """Append ``size`` bytes of a file without taking them through this process."""
        with source.open("rb", buffering=0) as file:
            done = 0
            while done < size:
                count = self._copy_some(file.fileno(), done, size - done)
                if not count:
                    raise OSError(errno.EIO, f"The file ends {size - done} bytes early", str(source))
                done += count
                self._advance(count)
                on_bytes(count)

    def _copy_some(self, source: int, position: int, size: int) -> int:
        try:
            return os.copy_file_range(source, self._open, min(size, COPY_BYTES), position, self._offset)
        except OSError as error:
            # Two file systems, or one that cannot.
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        os.lseek(self._open, self._offset, os.SEEK_SET)
        return os.sendfile(self._open, source, position, min(size, COPY_BYTES))

    @staticmethod
    def _deflate_if_worthwhile(data: Buffer) -> bytes | None:
        """The deflated data; None where that does not pay, which of much data its first part tells, in a fraction of the time."""
        for part in (data[:PROBE_BYTES], data) if len(data) > 2 * PROBE_BYTES else (data,):
            deflated = isal_zlib.compress(part, LEVEL, -15)
            if len(deflated) >= len(part) * WORTHWHILE:
                return None
        return deflated

    def _write(self, data: Buffer) -> None:
        self._write_at(data, self._offset)
        self._advance(len(data))

    def _advance(self, count: int) -> None:
        self._offset += count
        if self._offset - self._handed_over >= WRITE_BACK_BYTES:
            write_back_begin(self._open, self._handed_over, self._offset - self._handed_over)
            self._handed_over = self._offset

    def _write_at(self, data: Buffer, offset: int) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._open, view, offset)
            view, offset = view[count:], offset + count

    @contextmanager
    def _cut_back_on_failure(self) -> Iterator[None]:
        """Forget what was written of a member that could not be written whole."""
        start = self._offset
        try:
            yield
        except BaseException:
            self._offset = start
            raise

    def _list(self, entry: Entry) -> None:
        self._directory.append(entry.central_record())
        self._count += 1

    def _remember(self, member: Member) -> None:
        parts = member.path.split("/")
        if self._last_rising < parts:
            self._rising.append(len(self.members))
            self._last_rising = parts
        else:
            self._others.add(member.path)
        self.members.append(member)

    def _is_taken(self, name: str) -> bool:
        if name in self._others:
            return True
        parts = name.split("/")
        if self._last_rising < parts:
            return False
        found = bisect_left(self._rising, parts, key=self._parts)
        return found < len(self._rising) and self._parts(self._rising[found]) == parts

    def _parts(self, place: int) -> list[str]:
        return self.members.path(place).decode().split("/")
