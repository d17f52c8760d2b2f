"""The members that a manifest lists, hundreds of thousands of them in little memory."""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import overload

__all__ = ["Member", "Members", "by_path", "gathered", "in_order"]

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
    """What a list of members is, in 48 bytes for each and its path: objects take 300.

    A member is made anew whenever it is asked for. Equal to any sequence of the same members.
    """

    def __init__(self, members: Iterable[Member] = ()) -> None:
        self._paths = bytearray()
        self._ends, self._sizes = array("Q"), array("Q")
        self._digests = bytearray()
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
        self._paths += member.path.encode()
        self._ends.append(len(self._paths))
        self._sizes.append(member.size)
        self._digests += digest

    def path(self, place: int) -> bytes:
        """The path of the member at ``place`` (from 0 on), in UTF-8."""
        return bytes(self._paths[self._ends[place - 1] if place else 0 : self._ends[place]])

    def size(self, place: int) -> int:
        """The size of the member at ``place`` (from 0 on), in bytes."""
        return self._sizes[place]

    def sha256(self, place: int) -> str:
        """The SHA-256 (hex) of the member at ``place`` (from 0 on)."""
        return self._digests[DIGEST_BYTES * place : DIGEST_BYTES * (place + 1)].hex()

    def __len__(self) -> int:
        return len(self._sizes)

    @overload
    def __getitem__(self, index: int) -> Member: ...
    @overload
    def __getitem__(self, index: slice) -> list[Member]: ...
    def __getitem__(self, index: int | slice) -> Member | list[Member]:
        if isinstance(index, slice):
            return [self[place] for place in range(len(self))[index]]
        place = range(len(self))[index]
        return Member(self.path(place).decode(), self.size(place), self.sha256(place))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Members):
            return vars(self) == vars(other)
        if isinstance(other, Sequence):
            return len(self) == len(other) and all(member == another for member, another in zip(self, other, strict=True))
        return NotImplemented


def by_path(members: Sequence[Member]) -> Iterator[Member]:
    """The members, sorted by path."""
    if isinstance(members, Members):
        return (members[place] for place in in_order(len(members), members.path))
    return iter(sorted(members, key=lambda member: member.path))


def in_order(count: int, name: Callable[[int], bytes]) -> Iterator[int]:
    """The places 0 to ``count`` - 1, sorted by their names.

    Runs that are sorted already are merged: of uploads, which are archived as their folders are listed, nothing need be copied.
    """
    starts = [0, *(place for place in range(1, count) if name(place) < name(place - 1)), count]
    return heapq.merge(*map(range, starts, starts[1:]), key=name)


def gathered(texts: Iterable[str]) -> Iterator[bytes]:
    """Many short texts as few long ones, in UTF-8."""
    left = iter(texts)
    while some := list(islice(left, GATHERED)):
        yield "".join(some).encode()
