"""What was put into a spill is read from it, at any place and by several threads, and its file goes with it."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from django.test import override_settings

from backups import spill
from backups.exceptions import PreflightRefused
from backups.spill import Spill


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    with override_settings(BACKUPS_STATE_DIR=tmp_path / "state"):
        yield tmp_path / "state"


def filled(seed: int, *, least: int) -> tuple[Spill, bytes]:
    """A spill of at least so many bytes in pieces of any size, and those bytes."""
    chance = random.Random(seed)
    kept, expected = Spill(), bytearray()
    while len(expected) < least:
        piece = chance.randbytes(chance.choice((0, 1, 48, 300, spill.BLOCK_BYTES, 3 * spill.BLOCK_BYTES + 7)))
        kept.append(piece)
        expected += piece
    return kept, bytes(expected)


def open_files(folder: Path) -> list[str]:
    """Files of this process that lay in ``folder`` and have no name any more."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        # The listing's own is gone by now.
        with suppress(FileNotFoundError):
            links.append(str(descriptor.readlink()))
    return [link for link in links if link.startswith(f"{folder}/")]


@pytest.mark.parametrize("least", [0, 1000, spill.HELD_BYTES, 4 * spill.HELD_BYTES])
def test_every_part_is_read_as_it_was_put_in(state: Path, least: int) -> None:
    kept, expected = filled(least, least=least)
    assert len(kept) == len(expected)
    assert b"".join(kept.pieces()) == expected
    chance = random.Random(7)
    for _ in range(2000):
        start = chance.randrange(len(expected) + 10)
        count = chance.choice((0, 1, 56, 5000, 4 * spill.BLOCK_BYTES))
        assert kept.read(start, count) == expected[start : start + count]
    # Around the place where the disk's part ends and memory's begins.
    for start in range(max(0, len(expected) - spill.HELD_BYTES - 100), len(expected), 997):
        assert kept.read(start, 2000) == expected[start : start + 2000]


def test_threads_read_at_the_same_time(state: Path) -> None:
    kept, expected = filled(3, least=5 * spill.HELD_BYTES)

    def look(seed: int) -> bool:
        chance = random.Random(seed)
        starts = [chance.randrange(len(expected)) for _ in range(3000)]
        return all(kept.read(start, 100) == expected[start : start + 100] for start in starts)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(look, range(4)))


def test_little_needs_no_disk(state: Path) -> None:
    kept, _ = filled(1, least=spill.HELD_BYTES // 2)
    assert len(kept) < spill.HELD_BYTES
    assert not state.exists()


def test_the_file_has_no_name_and_goes_with_the_spill(state: Path) -> None:
    kept, expected = filled(2, least=2 * spill.HELD_BYTES)
    assert list(state.iterdir()) == []
    assert len(open_files(state)) == 1
    assert kept.read(0, 10) == expected[:10]
    del kept
    assert open_files(state) == []


def test_a_disk_that_is_full_is_told_and_where(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept = Spill()
    kept.append(bytes(spill.HELD_BYTES - 1))
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(PreflightRefused) as refused:
        kept.append(b"one more")
    assert refused.value.message == f"The list of an archive's members does not fit into {state}: No space left on device."
    assert refused.value.next_step == "Free some space there, then run the command again."


def test_a_file_that_does_not_give_back_what_it_took_is_told(state: Path) -> None:
    spilled = Spill()
    spilled.append(bytes(2 * spill.HELD_BYTES))
    os.ftruncate(spilled._descriptor, spill.BLOCK_BYTES)
    assert spilled.read(0, 10) == bytes(10)
    with pytest.raises(PreflightRefused, match=r"The list of an archive's members cannot be read in .*: Input/output error\."):
        spilled.read(spill.BLOCK_BYTES, 10)
