"""Ranges of a file: what RFC 9110 says of one range, and bytes that are counted and closed."""

from __future__ import annotations

import io

import pytest

from backups.exceptions import ArchiveUnreadable
from backups.ranges import BLOCK, BytesOf, RangeNotSatisfiable, etag_matches, range_asked


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=99-", (99, 100)),
        ("bytes=50-1000", (50, 100)),
        ("bytes=-1", (99, 100)),
        ("bytes=-100", (0, 100)),
        ("bytes=-1000", (0, 100)),
        ("Bytes = 10-19", (10, 20)),
    ],
)
def test_one_range_is_understood(header: str, part: tuple[int, int]) -> None:
    assert range_asked(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_with_no_byte_of_the_file_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        range_asked(header, 100)


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=20-10", "bytes=0-1,3-4", "items=0-1", "bytes=+1-2", "bytes=1-2x", "bytes=-1-2",
     f"bytes={'9' * 19}-", "bytes=١-٢"],
)  # fmt: skip
def test_what_makes_no_sense_and_several_ranges_are_passed_over(header: str) -> None:
    assert range_asked(header, 100) is None


def test_of_an_empty_file_no_range_can_be_satisfied() -> None:
    for header in ("bytes=0-", "bytes=-5", "bytes=0-0"):
        with pytest.raises(RangeNotSatisfiable):
            range_asked(header, 0)


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        ('"a"', True),
        ('"b", "a"', True),
        ("", False),
        ('W/"a"', False),
        ("a", False),
        ("*", False),
        ("Sat, 01 Mar 2026 08:00:00 GMT", False),
    ],
)
def test_only_the_very_tag_matches(header: str, matches: bool) -> None:
    assert etag_matches(header, '"a"') is matches


@pytest.mark.parametrize(("start", "stop"), [(0, 3 * BLOCK + 7), (0, 0), (5, 6), (BLOCK - 1, 2 * BLOCK + 1), (3 * BLOCK, 3 * BLOCK + 7)])
def test_exactly_the_bytes_of_the_range_come_in_small_pieces(start: int, stop: int) -> None:
    content = bytes(number % 251 for number in range(3 * BLOCK + 7))
    file = io.BytesIO(content)
    pieces = list(part := BytesOf(file, start, stop))
    assert b"".join(pieces) == content[start:stop]
    assert max(map(len, pieces), default=0) <= BLOCK
    part.close()
    assert file.closed


def test_a_file_that_is_closed_before_anything_was_read_is_closed() -> None:
    file = io.BytesIO(b"archive")
    BytesOf(file, 0, 7).close()
    assert file.closed


def test_a_file_that_ends_early_is_an_error_and_no_short_answer() -> None:
    part = BytesOf(io.BytesIO(b"half"), 0, 8)
    assert next(part) == b"half"
    with pytest.raises(ArchiveUnreadable, match="became shorter"):
        next(part)
