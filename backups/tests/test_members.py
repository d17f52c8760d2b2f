"""Packed members are those that were put in, in the order that is asked for, and take no memory to speak of."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backups import spill
from backups.archive import ArchiveReader, ArchiveWriter
from backups.manifest import DatabaseInfo, Manifest, UploadsInfo
from backups.members import Member, Members, Runs, by_path

members = st.lists(
    st.builds(
        Member,
        path=st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        size=st.integers(0, 2**63 - 1),
        sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    ),
    max_size=8,
)


@given(members)
def test_packed_members_are_what_was_put_in(put_in: list[Member]) -> None:
    packed = Members(put_in)
    assert list(packed) == put_in
    assert len(packed) == len(put_in)
    assert packed == put_in
    assert packed == tuple(put_in)
    assert packed == Members(put_in)
    assert packed[1:-1] == put_in[1:-1]
    assert [packed[place] for place in range(-len(put_in), 0)] == put_in
    with pytest.raises(IndexError):
        packed[len(put_in)]


@given(members, members)
def test_packed_members_equal_the_same_members_alone(some: list[Member], others: list[Member]) -> None:
    assert (Members(some) == Members(others)) is (some == others)
    assert (Members(some) == others) is (some == others)


@given(members)
def test_packed_members_are_sorted_by_path_as_others_are(put_in: list[Member]) -> None:
    assert list(by_path(Members(put_in))) == list(by_path(put_in)) == sorted(put_in, key=lambda member: member.path)


@given(st.lists(st.binary(max_size=3)))
def test_names_in_any_order_are_sorted(names: list[bytes]) -> None:
    runs = Runs()
    for name in names:
        runs.append(name)
    assert list(runs.merged(names.__getitem__)) == sorted(range(len(names)), key=names.__getitem__)


@pytest.mark.parametrize("sha256", ["", "ab", "a" * 62, "a" * 66, "x" * 64])
def test_what_is_no_sha256_is_not_packed(sha256: str) -> None:
    packed = Members([Member("first", 1, "1" * 64)])
    with pytest.raises(ValueError):
        packed.append(Member("second", 2, sha256))
    assert list(packed) == [Member("first", 1, "1" * 64)]


@contextmanager
def traced() -> Iterator[list[int]]:
    """Take the bytes that the block left allocated, and the most that it had at once."""
    taken: list[int] = []
    tracemalloc.start()
    try:
        yield taken
        taken += tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def taken_by_an_archive(path: Path, count: int) -> tuple[list[int], list[int]]:
    """Traced memory of writing an archive of ``count`` small uploads, and of opening it."""
    created_at = datetime(2025, 3, 4, tzinfo=UTC)
    with traced() as writing, ArchiveWriter(path, created_at=created_at) as writer:
        for number in range(count):
            writer.add_bytes(f"uploads/receipts/{number // 500:04d}/receipt_{number:06d}.txt", b"%d" % number)
        writer.add_bytes("db.sqlite", b"rows")
        database = DatabaseInfo("sqlite", "db.sqlite", "sqlite3", "3.40", "3.40", 4, "UTF-8")
        uploads = UploadsInfo(True, count, sum(member.size for member in writer.members) - 4)
        manifest = Manifest("0" * 32, created_at, "1", "manual", "", False, database, {}, {}, uploads, writer.members)
        writer.finish(manifest)
    with path.open("rb") as source, traced() as reading:
        reader = ArchiveReader(source, name=path.name)
    assert len(reader.manifest.members) == count + 1
    return writing, reading


@pytest.mark.soak
def test_a_small_upload_costs_a_few_bytes_of_memory(tmp_path: Path, own_state: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two places of four bytes each are left of it; with so little held, and from 30,000 on, that every buffer is full in both."""
    for name, value in (("HELD_BYTES", 4096), ("BLOCK_BYTES", 1024), ("BLOCKS_HELD", 4)):
        monkeypatch.setattr(spill, name, value)
    few = taken_by_an_archive(tmp_path / "few.zip", 30_000)
    many = taken_by_an_archive(tmp_path / "many.zip", 45_000)
    for what, before, after in zip(("written", "read"), few, many, strict=True):
        left, most = ((larger - smaller) / 15_000 for smaller, larger in zip(before, after, strict=True))
        print(f"{what}: {left:.1f} bytes for each, {most:.1f} at most")
        # Packed they would take 200, as objects 1,000.
        assert most < 12, what
