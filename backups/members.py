"""The members that a manifest lists, in a few megabytes of memory and a few bytes for each."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

from backups.spill import Spill

__all__ = ["Member", "Members", "Runs", "by_path", "gathered"]

# Of each member: where its path begins and ends, its size, its SHA-256.
RECORD = struct.Struct("<QQQ32s")
DIGEST_BYTES = 32
# Texts of about 150 bytes that are made one of.
GATHERED = 400


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of the archive: its path in the ZIP, its size in bytes (not compressed) and its SHA-256 (hex)."""

    path: str
    size: int
    sha256: str


class Members(Sequence[Member]):
    """What a list of members is, in a few megabytes: objects take 300 bytes each, and what does not fit lies on the disk.

    A member is made anew whenever it is asked for. Equal to any sequence of the same members.
    """

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._paths, self._records = Spill(), Spill()
        # Where paths begin anew that are sorted.
        self._runs = Runs()
        for member in members:
            self.append(member)

    @classmethod
    def packed(cls, members: Sequence[Member]) -> Members:
        """These members; not copied where they are packed already."""
        return members if isinstance(members, Members) else cls(members)

    def append(self, member: Member) -> None:
        """Put one at the end. Raises ValueError for a path that is not Unicode and for a SHA-256 that is none."""
        digest = bytes.fromhex(member.sha256)
        if len(digest) != DIGEST_BYTES:
            raise ValueError(f"{member.sha256!r} is no SHA-256.")
        path = member.path.encode()
        self._runs.append(path)
        start = len(self._paths)
        self._paths.append(path)
        self._records.append(RECORD.pack(start, start + len(path), member.size, digest))

    def path(self, place: int) -> bytes:
        """The path of the member at ``place`` (from 0 on), in UTF-8."""
        start, end, _, _ = self._record(place)
        return self._paths.read(start, end - start)

    def size(self, place: int) -> int:
        """The size of the member at ``place`` (from 0 on), in bytes."""
        return self._record(place)[2]

    def sha256(self, place: int) -> str:
        """The SHA-256 (hex) of the member at ``place`` (from 0 on)."""
        return self._record(place)[3].hex()

    def by_path(self) -> Iterator[int]:
        """The places (from 0 on), sorted by path."""
        return self._runs.merged(self.path)

    def _record(self, place: int) -> tuple[int, int, int, bytes]:
        return RECORD.unpack(self._records.read(RECORD.size * place, RECORD.size))

    def __len__(self) -> int:
        return len(self._records) // RECORD.size

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> list[Member]: ...
    def __getitem__(self, index: int | slice) -> Member | list[Member]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        start, end, size, digest = self._record(range(len(self))[index])
        return Member(self._paths.read(start, end - start).decode(), size, digest.hex())

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Sequence):
            return len(self) == len(other) and all(member == another for member, another in zip(self, other, strict=True))
        return NotImplemented


def by_path(members: Sequence[Member]) -> Iterator[Member]:
    """The members, sorted by path."""
    if isinstance(members, Members):
        return map(members.__getitem__, members.by_path())
    return iter(sorted(members, key=lambda member: member.path))


class Runs:
    """Where, in a row of names, those begin anew that are sorted: of uploads, which are archived as their folders are listed, hardly ever.

    So many names are put in order by merging, and nothing of them need be held.
    """

    def __init__(self) -> None:
        self._starts = [0]
        self._count = 0
        self._last = b""

    def append(self, name: bytes) -> None:
        """Note the next name."""
        if name < self._last:
            self._starts.append(self._count)
        self._last = name
        self._count += 1

    def merged(self, name: Callable[[int], bytes]) -> Iterator[int]:
        """The places of the names (from 0 on), sorted by them; ``name`` tells the one at a place."""
        return heapq.merge(*map(range, self._starts, [*self._starts[1:], self._count]), key=name)


def gathered(texts: Iterable[str]) -> Iterator[bytes]:
    """Many short texts as few long ones, in UTF-8."""
    left = iter(texts)
    while some := list(islice(left, GATHERED)):
        yield "".join(some).encode()
