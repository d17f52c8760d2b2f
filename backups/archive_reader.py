"""Reading an archive as hostile input: nothing is believed before it is checked, and nothing is unpacked that is not proven."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

from backups.archive_directory import Directory, Source, read_directory
from backups.archive_layout import (
    DEFLATED,
    MANIFEST,
    SHA256SUMS,
    SIGNATURE,
    STORED,
    TOP_LEVEL,
    UNLISTED,
    UPLOADS,
    Entry,
    check_member_name,
    checksums,
)
from backups.archive_member import Forward, plain_pieces
from backups.archive_spool import Buffer, Tally, write_sparsely
from backups.archive_tree import NEW_FILE, Tree
from backups.conf import conf
from backups.exceptions import ArchiveRejected, ArchiveTooLarge
from backups.manifest import Manifest, Signature, manifest_from_json, signature_state
from backups.members import Members
from backups.pace import Pace, ahead, beside
from backups.spill import Spill

__all__ = ["ArchiveReader", "Part"]

Part = Literal["all", "uploads", "rest"]

# What a manifest may weigh beside its list of members, whose weight follows from the central directory: rows and migrations
# are a few kilobytes, missing files a hundred bytes each.
MANIFEST_BASE_BYTES = 64 * 1024 * 1024
MANIFEST_MEMBER_BYTES = 256
# What a byte costs that was deflated, against one that was stored: measured, inflating takes as long as hashing (each 1.5 GB/s of rows).
INFLATING = 2
# From so many bytes on an archive is read by two threads, and a member inflated by one and proven by another. Hashing and inflating
# leave Python to others; a disk reads on meanwhile.
WORTH_TWO_THREADS = 8 * 1024 * 1024
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
            self._entries = read_directory(self._source)
            # The places of the members at the top, and the SHA-256 of those of them that were read.
            self._places: dict[str, int] = {}
            self._made: dict[int, str] = {}
            self._survey()
            self._read_manifest()
            # Where the manifest lists each member.
            self._listed = array("I", bytes(4 * len(self._entries)))
            self._check_members()
            self._check_checksums()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the members; nothing else is held."""
        self.let_go()

    def let_go(self) -> None:
        """Forget the single members: nothing can be extracted any more. The rest of the manifest stays."""
        self._entries, self._listed, self._members = Directory(Spill(), 0, 0), array("I"), Members()
        self.manifest = replace(self.manifest, members=())

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
        if "settings.json" not in self._places:
            return {}
        with self._named():
            data = b"".join(map(bytes, self._pieces("settings.json", SETTINGS_BYTES)))
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

    def extract(
        self,
        *,
        database_to: Path | None,
        uploads_to: Path | None,
        on_bytes: Callable[[int], object],
        part: Part = "all",
        on_upload: Callable[[int], object] | None = None,
    ) -> None:
        """Prove every member in one pass over the file, and write those that have a destination; ``on_bytes`` may be told by two threads.

        ``database_to`` is the dump's new file (0600; its folder is made 0700 if missing), ``uploads_to`` a folder, made if missing,
        below which the uploads are written (0644 and 0755, less the umask). Nothing is synced, no file is overwritten and no link
        followed. On failure what was written stays: the caller discards it. With ``part`` the uploads alone are proven and written, or
        the rest alone. ``on_upload`` is handed the descriptor of each upload that is written and proven.

        Raises :class:`~backups.exceptions.ArchiveRejected`; OSError where the destination fails (disk full, file exists).
        """
        with self._named():
            if part != "all":
                for places in self._runs(of_uploads=part == "uploads"):
                    self._extract(places, database_to, uploads_to, on_bytes, on_upload)
                return
            first, second = self._halves()
            if not second:
                self._extract(first, database_to, uploads_to, on_bytes, on_upload)
                return
            # At full speed even for a gentle operation: the thread that makes it hands its priority on.
            pace = Pace()
            told = pace.counted(on_bytes)
            with beside(pace, lambda: self._extract(second, database_to, uploads_to, told, on_upload), name="backups-archive"):
                self._extract(first, database_to, uploads_to, told, on_upload)

    def _runs(self, *, of_uploads: bool) -> Iterator[range]:
        """The places of the uploads, or of all other members, as they follow one another."""
        end = 0
        for is_upload, run in groupby(self._entries, key=lambda entry: entry.name.startswith(UPLOADS)):
            start, end = end, end + sum(1 for _ in run)
            if is_upload == of_uploads:
                yield range(start, end)

    def _halves(self) -> tuple[range, range]:
        """The places of the members, cut where half of the work is done, for two threads; all in the first where that is not worth it."""
        everything = range(len(self._entries))
        if self._work < WORTH_TWO_THREADS or not self._source.can_be_shared:
            return everything, everything[:0]
        done = 0
        for place, entry in enumerate(self._entries):
            left, done = abs(done - self._work / 2), done + _work(entry)
            if abs(done - self._work / 2) > left:
                return everything[:place], everything[place:]
        return everything, everything[:0]

    def _extract(
        self,
        places: range,
        database_to: Path | None,
        uploads_to: Path | None,
        on_bytes: Callable[[int], object],
        on_upload: Callable[[int], object] | None,
    ) -> None:
        """Prove and write members that follow one another."""
        with Tree(uploads_to) as tree:
            stream = Forward(self._source, self._entries[places[0]].offset, self._entries[places[-1]].end)
            for place in places:
                entry = self._entries[place]
                with (
                    self._destination(entry, database_to, tree) as descriptor,
                    closing(self._proven_pieces(entry, stream, self._sha256(place))) as pieces,
                ):
                    for piece in pieces:
                        if descriptor is not None:
                            write_sparsely(descriptor, piece)
                        on_bytes(len(piece))
                    if on_upload is not None and descriptor is not None and entry.name.startswith(UPLOADS):
                        on_upload(descriptor)

    @contextmanager
    def _destination(self, entry: Entry, database_to: Path | None, tree: Tree) -> Iterator[int | None]:
        """A new file for the member, or None where it goes nowhere."""
        descriptor = None
        if database_to is not None and entry.name == self.manifest.database.member:
            database_to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(database_to, NEW_FILE, 0o600)
        elif entry.name.startswith(UPLOADS):
            descriptor = tree.create(entry.name.removeprefix(UPLOADS))
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _sha256(self, place: int) -> str:
        return self._made.get(place) or self._members.sha256(self._listed[place])

    def _proven_pieces(self, entry: Entry, stream: Forward, sha256: str | None) -> Generator[Buffer, None, str]:
        """The content of one member, never a byte more than its size; refused at the end where a sum is another. Returns its SHA-256.

        Each piece is valid until the next is asked for.

        ``sha256`` is None where nothing says yet what it must be: while manifest, signature and checksums are read for the first time.
        """
        tally = Tally()
        pieces = plain_pieces(entry, stream)
        # Not what is stored, whose pieces share one buffer, nor from far away, where a signal would wait for the network.
        if entry.method == DEFLATED and entry.size >= WORTH_TWO_THREADS and self._source.can_be_shared:
            pieces = ahead(pieces, name="backups-inflate")
        with self._named(entry), closing(pieces):
            for piece in pieces:
                tally.add(piece)
                if tally.size > entry.size:
                    raise ArchiveRejected(f"it holds more than its {entry.size} bytes")
                yield piece
            if tally.size != entry.size:
                raise ArchiveRejected(f"it holds {tally.size} bytes instead of {entry.size}")
            if tally.crc != entry.crc:
                raise ArchiveRejected("it does not match its CRC-32")
            if sha256 is not None and tally.sha256 != sha256:
                raise ArchiveRejected("it does not match its SHA-256")
            return tally.sha256

    def _survey(self) -> None:
        """Add up what the members claim, within the limits, and find those that have a meaning of their own."""
        self.total_bytes = self._work = characters = 0
        max_ratio = conf.max_ratio
        excessive: Entry | None = None
        for place, entry in enumerate(self._entries):
            self.total_bytes += entry.size
            self._work += _work(entry)
            characters += len(entry.name)
            if excessive is None and entry.size > max_ratio * entry.compressed_size:
                excessive = entry
            if entry.name in TOP_LEVEL and self._places.setdefault(entry.name, place) != place:
                raise ArchiveRejected(f"the member {entry.name!a} is there twice")
        if self.total_bytes > conf.max_bytes:
            raise ArchiveTooLarge(f"it unpacks to {self.total_bytes} bytes, more than BACKUPS_MAX_BYTES ({conf.max_bytes})")
        if excessive is not None:
            raise ArchiveTooLarge(
                f"the member {excessive.name[:200]!a} claims {excessive.size} bytes from {excessive.compressed_size}, "
                f"more than BACKUPS_MAX_RATIO ({max_ratio}) to one"
            )
        self._manifest_limit = MANIFEST_BASE_BYTES + 4 * characters + MANIFEST_MEMBER_BYTES * len(self._entries)

    def _read_manifest(self) -> None:
        if MANIFEST not in self._places:
            raise ArchiveRejected("it has no manifest.json, so it is no archive of this application")
        # The signature first: what it covers is parsed only where nobody touched it, or where there is none to say so. The second
        # pass, since a long list of members is not held, must find what the first has found.
        signature = b"".join(map(bytes, self._pieces(SIGNATURE, SIGNATURE_BYTES))) if SIGNATURE in self._places else None
        with closing(self._pieces(MANIFEST, self._manifest_limit)) as pieces:
            self.signature = signature_state(pieces, signature)
        with closing(self._pieces(MANIFEST, self._manifest_limit)) as pieces:
            self.manifest = manifest_from_json(pieces)
        self._members = Members.packed(self.manifest.members)
        if not UNLISTED.isdisjoint(self._members.path(place).decode() for place in range(len(self._members))):
            raise ArchiveRejected("its manifest lists a member that is made from it")

    def _check_members(self) -> None:
        """Refuse what the manifest does not list, what it lists and is not there, and every name that is not plain."""
        listed = self._members.by_path()
        awaited = next(listed, None)
        # Those whose names the next one may begin with: in this order, all of one beginning follow each other.
        beginnings: list[bytes] = []
        for place in self._entries.by_name():
            name = self._entries.name(place)
            check_member_name(name.decode())
            while beginnings and not name.startswith(beginnings[-1]):
                beginnings.pop()
            for beginning in beginnings:
                if name == beginning:
                    raise ArchiveRejected(f"{_said(name)} is there twice")
                if name.startswith(beginning + b"/"):
                    raise ArchiveRejected(f"{_said(beginning)} is a file and a folder at once")
            beginnings.append(name)
            if name.decode() in UNLISTED:
                continue
            if awaited is None or name < (expected := self._members.path(awaited)):
                raise ArchiveRejected(f"{_said(name)} is not in its manifest")
            if name > expected:
                raise ArchiveRejected(f"{_said(expected)} is in its manifest, but not in the archive")
            self._listed[place] = awaited
            awaited = next(listed, None)
        if awaited is not None:
            raise ArchiveRejected(f"{_said(self._members.path(awaited))} is in its manifest, but not in the archive")
        for entry, place in zip(self._entries, self._listed, strict=True):
            if entry.name not in UNLISTED and entry.size != self._members.size(place):
                where = f"the member {entry.name[:200]!a}"
                raise ArchiveRejected(f"{where} has {entry.size} bytes, in its manifest {self._members.size(place)}")

    def _check_checksums(self) -> None:
        if SHA256SUMS not in self._places:
            raise ArchiveRejected("it has no SHA256SUMS")
        expected = Tally()
        for piece in checksums(self._members, self._made[self._places[MANIFEST]]):
            expected.add(piece)
        for _ in self._pieces(SHA256SUMS, expected.size):
            pass
        if self._made[self._places[SHA256SUMS]] != expected.sha256:
            raise ArchiveRejected("SHA256SUMS and manifest.json disagree")

    def _pieces(self, name: str, limit: int) -> Generator[Buffer, None, None]:
        """The content of a member at the top, of at most ``limit`` bytes; at its end it is proven, and remembered for later passes."""
        place = self._places[name]
        entry = self._entries[place]
        if max(entry.size, entry.compressed_size) > limit:
            raise ArchiveRejected(f"the member {name!a} has {entry.size} bytes, more than the {limit} that it can have here")
        known = self._made.get(place) if name in UNLISTED else self._sha256(place)
        self._made[place] = yield from self._proven_pieces(entry, Forward(self._source, entry.offset, entry.end), known)

    @contextmanager
    def _named(self, entry: Entry | None = None) -> Iterator[None]:
        """Put the archive's name, or the member's, before the cause of a refusal."""
        try:
            yield
        except ArchiveRejected as error:
            cause = error.message.rstrip(".")
            message = f"{self.name}: {cause}." if entry is None else f"the member {entry.name[:200]!a}: {cause}"
            raise type(error)(message, next_step=error.next_step) from error


def _said(name: bytes) -> str:
    return f"the member {name.decode()[:200]!a}"


def _work(entry: Entry) -> int:
    """What it costs to read a member, in bytes of a stored one."""
    return entry.size if entry.method == STORED else INFLATING * entry.size
