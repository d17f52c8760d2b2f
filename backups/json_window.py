"""Reading JSON that comes in pieces, of which only the part is held that is being parsed."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

__all__ = ["JsonWindow", "Pieces"]

Pieces = Iterable[bytes | bytearray | memoryview]

# RFC 8259, section 2.
_WHITE_SPACE = re.compile("[ \t\n\r]*")


class JsonWindow:
    """A JSON text (UTF-8), of which the caller takes the outer marks one by one and what lies between as whole values.

    As strict as ``json.loads``, and beyond it: keys that come twice, NaN, fractions. Every fault is a ValueError, nesting too
    deep a RecursionError; what ``pieces`` itself raises passes through. It is read to its end by :meth:`end` alone.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = iter(pieces)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self._position = "", 0
        self._json = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_number, parse_float=_refuse_number)

    def next(self) -> str:
        """The next character that is no white space, which stays; empty at the end of the text."""
        while True:
            self._position = _WHITE_SPACE.match(self._text, self._position).end()  # type: ignore[union-attr]
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._grow():
                return ""

    def take(self, marks: str) -> str:
        """The next character that is no white space, which must be one of ``marks``."""
        found = self.next()
        if not found or found not in marks:
            raise ValueError(f"{found!a} where {' or '.join(marks)} must be" if found else "it ends early")
        self._position += 1
        return found

    def value(self) -> Any:
        """The next value, whatever it is."""
        self.next()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._position)
            except ValueError:
                if self._grow():
                    continue
                raise
            # A number may go on in the next piece.
            if end < len(self._text) or not self._grow():
                self._position = end
                return value

    def end(self) -> None:
        """Read to the end of the text: nothing may follow."""
        if self.next():
            raise ValueError("something follows its end")

    def _grow(self) -> bool:
        """Take in as much again as is held and not parsed yet, so that a long value is not begun too often; False at the end."""
        parts = [self._text[self._position :]]
        wanted = len(parts[0])
        for piece in self._pieces:
            parts.append(self._decoder.decode(piece))
            wanted -= len(parts[-1])
            if wanted < 0:
                break
        else:
            self._decoder.decode(b"", final=True)
        self._text, self._position = "".join(parts), 0
        return len(self._text) > len(parts[0])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return content


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"the number {text:.40} has no place in it")
