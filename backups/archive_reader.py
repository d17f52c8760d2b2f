"""Reading an archive as hostile input: nothing is believed before it is checked, and nothing is unpacked that is not proven."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from isal import isal_zlib

from backups.archive_directory import Source, read_directory
from backups.archive_layout import (
    BATCH,
    MANIFEST,
    SHA256SUMS,
    SIGNATURE,
    STORED,
    UNLISTED,
    UPLOADS,
    Entry,
    check_member_name,
    checksums,
)
from backups.archive_spool import Buffer, Tally, write_sparsely
from backups.conf import conf
from backups.exceptions import ArchiveRejected, ArchiveTooLarge
from backups.manifest import Manifest, Signature, manifest_from_json, signature_state
from backups.pace import Pace, Step, Stopped

__all__ = ["ArchiveReader"]

# One read of the source in a sequential pass. Larger ones are no faster (the S3 reader has windows of its own) and cost their size.
READ_BYTES = BATCH
# What a manifest may weigh beside its list of members, whose weight follows from the central directory: rows and migrations
# are a few kilobytes, missing files a hundred bytes each.
MANIFEST_BASE_BYTES = 64 * 1024 * 1024
MANIFEST_MEMBER_BYTES = 256
# What a byte costs that was deflated, against one that was stored: measured, inflating takes as long as hashing (each 1.5 GB/s of rows).
INFLATING = 2
# From so many bytes on an archive is read by two threads. Hashing and inflating leave Python to others; a disk reads on meanwhile.
WORTH_TWO_THREADS = 8 * 1024 * 1024
# Compressed bytes given to the inflater at once; what it cannot use yet is copied.
PACKED_BYTES = 256 * 1024
# isal's stub declares an instance where the class is.
DAMAGED: type[Exception] = isal_zlib.error  # type: ignore[assignment]
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
SIGNATURE_BYTES = 1024
SETTINGS_BYTES = 16 * 1024 * 1024


class ArchiveReader:
    """An archive, checked. ``source`` is a seekable binary file, local or over S3; ``name`` is what messages call it.

    Opening reads end record, central directory, manifest, signature and checksums by ranges, and accepts only what is whole,
    of format 1, and in agreement with itself; the members' contents are proven by :meth:`extract` and :meth:`verify`.
    ``total_bytes`` is the sum of all members' sizes, not compressed. The source stays the caller's to close, and must not be
    used by others meanwhile.

    Every failure of the archive or its source raises :class:`~backups.exceptions.ArchiveRejected` with the cause and, where it
    lies in one member, the member's name.
    """

    manifest: Manifest
    signature: Signature

    def __init__(self, source: BinaryIO, *, name: str) -> None:
        self.name = name
        with self._named():
            self._source = Source(source)
            self._entries, self._members_end = read_directory(self._source)
            self._by_name = {entry.name: entry for entry in self._entries}
            if len(self._by_name) != len(self._entries):
                raise ArchiveRejected(f"the member {_first_duplicate(self._entries)[:200]!a} is there twice")
            self._check_sizes()
            # SHA-256 of every member that the manifest lists, and of the others as they were read here.
            self._digests: dict[str, str] = {}
            self._read_manifest()
            self._check_members()
            self._check_checksums()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing is held but memory."""

    def require_trust(self, trust_unsigned: bool) -> None:
        """Refuse an archive without a valid signature unless ``trust_unsigned``: hashes alone do not say who made it."""
        if self.signature == "valid" or trust_unsigned:
            return
        cause = (
            "it carries no signature, so nothing says who made it"
            if self.signature == "missing"
            else "it is signed with a key that this site does not have (another site's, or an old SECRET_KEY)"
        )
        raise ArchiveRejected(
            f"{self.name}: {cause}.",
            next_step="If you know where it comes from, run the command again with --trust-unsigned; "
            "or add the other site's key to BACKUPS_SIGNING_KEYS.",
        )

    def settings(self) -> dict[str, Any]:
        """The content of ``settings.json``; empty where the archive has none."""
        if "settings.json" not in self._by_name:
            return {}
        with self._named():
            data = self._small("settings.json", SETTINGS_BYTES)
            try:
                content = json.loads(data)
            except (ValueError, RecursionError) as error:
                raise ArchiveRejected(f"settings.json is not valid JSON: {error!s:.200}") from error
            if not isinstance(content, dict):
                raise ArchiveRejected("settings.json holds no JSON object")
            return content

    def verify(self, on_bytes: Callable[[int], object]) -> None:
        """Read and prove every member, writing nothing. ``on_bytes`` is told the plain bytes, up to ``total_bytes`` in all."""
        self.extract(database_to=None, uploads_to=None, on_bytes=on_bytes)

    def extract(self, *, database_to: Path | None, uploads_to: Path | None, on_bytes: Callable[[int], object]) -> None:
        """Prove every member in one pass over the file, and write those that have a destination; ``on_bytes`` may be told by two threads.

        ``database_to`` is the dump's new file (0600; its folder is made 0700 if missing), on the disk when this returns.
        ``uploads_to`` is a folder, made if missing, below which the uploads are written (0644 and 0755, less the umask; not
        synced). No file is overwritten and no link followed. On failure what was written stays: the caller discards it.

        Raises :class:`~backups.exceptions.ArchiveRejected`; OSError where the destination fails (disk full, file exists).
        """
        with self._named():
            first, second = self._halves()
            if not second:
                self._extract(first, database_to, uploads_to, on_bytes)
                return
            stopped = threading.Event()

            def told(count: int) -> None:
                if stopped.is_set():
                    raise Stopped
                on_bytes(count)

            def extract_second() -> None:
                try:
                    self._extract(second, database_to, uploads_to, told)
                except BaseException:
                    stopped.set()
                    raise

            # At full speed even for a gentle operation: the thread that makes it hands its priority on.
            beside = Step(Pace(), extract_second, name="backups-archive")
            try:
                beside.start()
                self._extract(first, database_to, uploads_to, told)
                beside.result()
            except BaseException as error:
                stopped.set()
                beside.abandon()
                if isinstance(error, Stopped):
                    beside.result()
                raise

    def _halves(self) -> tuple[list[Entry], list[Entry]]:
        """The members in their order, cut where half of the work is done, for two threads; all in the first where that is not worth it."""
        work = list(accumulate(entry.size if entry.method == STORED else INFLATING * entry.size for entry in self._entries))
        if work[-1] < WORTH_TWO_THREADS or not self._source.can_be_shared:
            return self._entries, []
        cut = min(range(len(work)), key=lambda index: abs(work[index] - work[-1] / 2)) + 1
        return self._entries[:cut], self._entries[cut:]

    def _extract(self, entries: list[Entry], database_to: Path | None, uploads_to: Path | None, on_bytes: Callable[[int], object]) -> None:
        """Prove and write members that follow one another."""
        with _Tree(uploads_to) as tree:
            stream = _Forward(self._source, entries[0].offset, entries[-1].end)
            for entry in entries:
                with self._destination(entry, database_to, tree) as descriptor:
                    for piece in self._proven_pieces(entry, stream):
                        if descriptor is not None:
                            write_sparsely(descriptor, piece)
                        on_bytes(len(piece))

    @contextmanager
    def _destination(self, entry: Entry, database_to: Path | None, tree: _Tree) -> Iterator[int | None]:
        """A new file for the member, or None where it goes nowhere; the dump's is on the disk afterwards."""
        descriptor = None
        is_database = entry.name == self.manifest.database.member
        if is_database and database_to is not None:
            database_to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(database_to, NEW_FILE, 0o600)
        elif entry.name.startswith(UPLOADS):
            descriptor = tree.create(entry.name.removeprefix(UPLOADS))
        try:
            yield descriptor
            if is_database and descriptor is not None:
                os.fsync(descriptor)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _proven_pieces(self, entry: Entry, stream: _Forward) -> Iterator[Buffer]:
        """The content of one member, never a byte more than its size; refused at the end where a sum is another."""
        tally = Tally()
        with self._named(entry):
            for piece in _plain_pieces(entry, stream):
                tally.add(piece)
                if tally.size > entry.size:
                    raise ArchiveRejected(f"it holds more than its {entry.size} bytes")
                yield piece
            if tally.size != entry.size:
                raise ArchiveRejected(f"it holds {tally.size} bytes instead of {entry.size}")
            if tally.crc != entry.crc:
                raise ArchiveRejected("it does not match its CRC-32")
            # None only while manifest, signature and checksums are read for the first time.
            expected = self._digests.get(entry.name)
            if expected is not None and tally.sha256 != expected:
                raise ArchiveRejected("it does not match its SHA-256")

    def _check_sizes(self) -> None:
        self.total_bytes = sum(entry.size for entry in self._entries)
        if self.total_bytes > conf.max_bytes:
            raise ArchiveTooLarge(f"it unpacks to {self.total_bytes} bytes, more than BACKUPS_MAX_BYTES ({conf.max_bytes})")
        for entry in self._entries:
            if entry.size > conf.max_ratio * entry.compressed_size:
                raise ArchiveTooLarge(
                    f"the member {entry.name[:200]!a} claims {entry.size} bytes from {entry.compressed_size}, "
                    f"more than BACKUPS_MAX_RATIO ({conf.max_ratio}) to one"
                )

    def _read_manifest(self) -> None:
        if MANIFEST not in self._by_name:
            raise ArchiveRejected("it has no manifest.json, so it is no archive of this application")
        names = sum(len(entry.name) for entry in self._entries)
        data = self._small(MANIFEST, MANIFEST_BASE_BYTES + 4 * names + MANIFEST_MEMBER_BYTES * len(self._entries))
        # The signature first: what it covers is parsed only where nobody touched it, or where there is none to say so.
        signature = self._small(SIGNATURE, SIGNATURE_BYTES) if SIGNATURE in self._by_name else None
        self.signature = signature_state(data, signature)
        self.manifest = manifest_from_json(data)
        listed = {member.path: member.sha256 for member in self.manifest.members}
        if not UNLISTED.isdisjoint(listed):
            raise ArchiveRejected("its manifest lists a member that is made from it")
        self._digests.update(listed)

    def _check_members(self) -> None:
        """Refuse what the manifest does not list, what it lists and is not there, and every name that is not plain."""
        folders: set[str] = set()
        for name in self._by_name:
            check_member_name(name)
            if name not in self._digests and name not in UNLISTED:
                raise ArchiveRejected(f"the member {name[:200]!a} is not in its manifest")
            folder = name.rpartition("/")[0]
            while folder and folder not in folders:
                folders.add(folder)
                folder = folder.rpartition("/")[0]
        for name in folders & self._by_name.keys():
            raise ArchiveRejected(f"the member {name[:200]!a} is a file and a folder at once")
        for member in self.manifest.members:
            entry = self._by_name.get(member.path)
            if entry is None:
                raise ArchiveRejected(f"the member {member.path[:200]!a} is in its manifest, but not in the archive")
            if entry.size != member.size:
                raise ArchiveRejected(f"the member {member.path[:200]!a} has {entry.size} bytes, in its manifest {member.size}")

    def _check_checksums(self) -> None:
        if SHA256SUMS not in self._by_name:
            raise ArchiveRejected("it has no SHA256SUMS")
        expected = checksums({name: digest for name, digest in self._digests.items() if name != SIGNATURE})
        if self._small(SHA256SUMS, len(expected)) != expected:
            raise ArchiveRejected("SHA256SUMS and manifest.json disagree")

    def _small(self, name: str, limit: int) -> bytes:
        """The proven content of one member of at most ``limit`` bytes, which is remembered for later passes."""
        entry = self._by_name[name]
        if max(entry.size, entry.compressed_size) > limit:
            raise ArchiveRejected(f"the member {name!a} has {entry.size} bytes, more than the {limit} that it can have here")
        data = b"".join(self._proven_pieces(entry, _Forward(self._source, entry.offset, entry.end)))
        self._digests[name] = hashlib.sha256(data).hexdigest()
        return data

    @contextmanager
    def _named(self, entry: Entry | None = None) -> Iterator[None]:
        """Put the archive's name, or the member's, before the cause of a refusal."""
        try:
            yield
        except ArchiveRejected as error:
            cause = error.message.rstrip(".")
            message = f"{self.name}: {cause}." if entry is None else f"the member {entry.name[:200]!a}: {cause}"
            raise type(error)(message, next_step=error.next_step) from error


class _Forward:
    """Reads a part of the source from its start to its end, in large pieces."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._source, self._position, self._end = source, start, end
        self._piece = memoryview(b"")

    def some(self, limit: int) -> memoryview:
        """From 1 to ``limit`` bytes, as they come."""
        if not self._piece:
            data = self._source.some_at(self._position, min(READ_BYTES, self._end - self._position))
            self._position += len(data)
            self._piece = memoryview(data)
        taken, self._piece = self._piece[:limit], self._piece[limit:]
        return taken

    def exactly(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        pieces = []
        while count:
            pieces.append(self.some(count))
            count -= len(pieces[-1])
        return b"".join(pieces)


def _plain_pieces(entry: Entry, stream: _Forward) -> Iterator[Buffer]:
    """Check the local header, then inflate: pieces of at most :data:`BATCH` bytes, to the last compressed byte exactly."""
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


def _first_duplicate(entries: list[Entry]) -> str:
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            return entry.name
        seen.add(entry.name)
    return ""


class _Tree:
    """Makes files below one folder. Every step down opens a real folder, so no link can lead out of it.

    Without a folder it makes nothing. Folders that members share in a row stay open.
    """

    def __init__(self, root: Path | None) -> None:
        self._open: list[tuple[str, int]] = []
        if root is not None:
            root.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._open.append(("", os.open(root, FOLDER)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close_from(0)

    def create(self, relative: str) -> int | None:
        """Open a new file for writing."""
        if not self._open:
            return None
        *folders, name = relative.split("/")
        shared = 0
        for (is_open, _), folder in zip(self._open[1:], folders, strict=False):
            if is_open != folder:
                break
            shared += 1
        self._close_from(1 + shared)
        for folder in folders[shared:]:
            above = self._open[-1][1]
            with suppress(FileExistsError):
                os.mkdir(folder, 0o755, dir_fd=above)
            self._open.append((folder, os.open(folder, FOLDER, dir_fd=above)))
        return os.open(name, NEW_FILE, 0o644, dir_fd=self._open[-1][1])

    def _close_from(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])
