"""Bytes that somebody sent, as text: in which encoding they are, and whether they are text at all."""

from __future__ import annotations

import codecs
import io
from typing import IO

from timetracker.imports.exceptions import FileRefused

__all__ = ["ENCODINGS", "LARGEST", "encoding_check", "encoding_guess", "text_open"]

# Bytes that a file may have: 200,000 lines of time are some 25 million.
LARGEST = 64 * 1024 * 1024
# What people choose from. Python's names; both of the first two forms skip a byte order mark.
ENCODINGS = {
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16 (“Unicode text” of Excel)",
    "utf-16-le": "UTF-16, little-endian without a mark",
    "utf-16-be": "UTF-16, big-endian without a mark",
    "cp1252": "Windows-1252 (Western Europe)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
}
# Tried in this order where no mark tells; a file in UTF-8 is hardly ever anything else, and Windows-1252 takes nearly all.
_TRIED = ("utf-8-sig", "cp1252")
# What files begin with that people take for CSV.
_OTHERS = {
    b"PK\x03\x04": "This is a workbook of Excel or LibreOffice, or another ZIP file",
    b"\xd0\xcf\x11\xe0": "This is a workbook of an old Excel",
    b"%PDF": "This is a PDF",
}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# Bytes read at once.
_PIECE = 1024 * 1024


def encoding_guess(file: IO[bytes]) -> str:
    """Read all of ``file`` (binary, seekable), and return the encoding in which it is text. Raises FileRefused where it is none."""
    file.seek(0)
    head = file.read(4096)
    for mark, sentence in _OTHERS.items():
        if head.startswith(mark):
            raise FileRefused(f"{sentence}. Save the table as CSV, and upload that.")
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            encoding_check(file, encoding)
            return encoding
    if head and head[1::2].count(0) > len(head) // 4:
        candidates: tuple[str, ...] = ("utf-16-le",)
    elif head and head[0::2].count(0) > len(head) // 4:
        candidates = ("utf-16-be",)
    else:
        candidates = _TRIED
    for encoding in candidates[:-1]:
        try:
            encoding_check(file, encoding)
        except FileRefused:
            continue
        return encoding
    encoding_check(file, candidates[-1])
    return candidates[-1]


def encoding_check(file: IO[bytes], encoding: str) -> None:
    """Read all of ``file``. Raises FileRefused, with the line, where it is no text in ``encoding``."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)()
    lines, is_last = 1, False
    while not is_last:
        piece = file.read(_PIECE)
        is_last = not piece
        try:
            text = decoder.decode(piece, final=is_last)
        except UnicodeDecodeError as error:
            # What was decoded before it in this piece counts, too.
            before = bytes(error.object)[: error.start].decode(encoding, errors="ignore")
            raise FileRefused(
                f"Line {lines + _ends(before)} holds bytes that are no text in {ENCODINGS[encoding]}. "
                "Choose the encoding that the file was saved in, or save it again as CSV in UTF-8."
            ) from error
        if "\0" in text:
            line = lines + _ends(text[: text.index("\0")])
            raise FileRefused(f"Line {line} holds a NUL, so this is no text. Save the table as CSV in UTF-8, and upload that.")
        lines += _ends(text)


def text_open(file: IO[bytes], encoding: str) -> io.TextIOWrapper:
    """Return ``file`` from its beginning as text whose line ends are as they are. ``detach()`` it when done: closing it closes ``file``."""
    file.seek(0)
    return io.TextIOWrapper(file, encoding=encoding, newline="")


def _ends(text: str) -> int:
    """How many lines end in ``text``; a line of an old Mac ends with a carriage return alone."""
    return text.count("\n") or text.count("\r")
