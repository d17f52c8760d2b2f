"""Uploads for a measurement: nine tenths of the bytes cannot be made smaller, as in photos; one tenth is text. Always the same."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from random import Random

__all__ = ["uploads_changed", "uploads_made"]

MIB = 1024**2
# The sizes of the files, again and again: receipts, scans, photos.
SIZES = (64 * 1024, 256 * 1024, MIB, 4 * MIB)
# Of so many files one is text, another place among them each time, so that each size is text in its turn.
TEXT_EACH = 10
CHANGED_EACH = 10
HEAD = 4096
WORDS = ("hours", "worked", "on", "the", "site", "for", "a", "client", "and", "billed", "in", "May", "2026", "17.50 EUR", "meeting")


def uploads_made(folder: Path, megabytes: int) -> None:
    """Fill the new folder ``folder`` with files of ``megabytes`` MiB together, the last one smaller or larger as it comes."""
    folder.mkdir(parents=True)
    random = Random(1)  # noqa: S311 - the same bytes each time
    left, number = megabytes * MIB, 0
    for size in cycle(SIZES):
        if left <= 0:
            return
        size = min(size, left)
        is_text = number % TEXT_EACH == number // TEXT_EACH % len(SIZES)
        content = _text(random, size) if is_text else random.randbytes(size)
        (folder / f"{number:05d}.{'txt' if is_text else 'bin'}").write_bytes(content)
        left, number = left - size, number + 1


def _text(random: Random, size: int) -> bytes:
    return " ".join(random.choices(WORDS, k=size // 3)).encode()[:size]


def uploads_changed(folder: Path, made: Path, *, is_changed: bool) -> None:
    """Make the beginning of each tenth file in ``folder``, a copy of ``made``, another one, or that of ``made`` again."""
    for original in islice(sorted(made.iterdir()), 0, None, CHANGED_EACH):
        with original.open("rb") as source, (folder / original.name).open("r+b") as file:
            head = source.read(HEAD)
            file.write(bytes(byte ^ 0xFF for byte in head) if is_changed else head)
