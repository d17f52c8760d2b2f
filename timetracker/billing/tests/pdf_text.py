"""What reportlab wrote on the pages of a PDF, as text: of letters in ASCII, which it keeps as they are."""

from __future__ import annotations

import re
import zlib
from base64 import a85decode

__all__ = ["pdf_pages", "pdf_text"]

_STREAM = re.compile(rb"/Filter \[ /ASCII85Decode /FlateDecode \] /Length \d+\s*>>\s*stream\r?\n(.*?)endstream", re.DOTALL)
_SHOWN = re.compile(rb"\(((?:\\.|[^\\)])*)\) Tj")
_ESCAPE = re.compile(rb"\\(\d{3}|.)", re.DOTALL)


def pdf_pages(pdf: bytes) -> int:
    """How many pages there are."""
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf))


def pdf_text(pdf: bytes) -> str:
    """The words, with a space between two pieces."""
    pieces = []
    for stream in _STREAM.findall(pdf):
        content = zlib.decompress(a85decode(b"<~" + stream.strip(), adobe=True))
        pieces += [_ESCAPE.sub(_unescaped, shown).decode("latin-1") for shown in _SHOWN.findall(content)]
    return " ".join(" ".join(pieces).split())


def _unescaped(found: re.Match[bytes]) -> bytes:
    sign = found.group(1)
    return bytes([int(sign, 8)]) if len(sign) == 3 else sign
