"""A file in the format of exports: the ZIP, or ``data.json`` alone. It comes from somebody's computer, so nothing in it is believed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from backups.json_window import JsonWindow
from timetracker.exports.sections import FORMAT
from timetracker.imports.exceptions import FileRefused

__all__ = ["DATA_FILE", "DataFile", "data_open"]

# The name of the JSON in the ZIP.
DATA_FILE = "data.json"
# Bytes that the JSON may have, and one of its rows.
_MOST, _LONGEST = 2 * 1024**3, 4 * 1024**2
_PIECE = 64 * 1024
_NOT_OURS = f"This is no export of TimeTracker in the format {FORMAT}. Choose the ZIP file as it was downloaded, or the {DATA_FILE} in it."
_DAMAGED = "The file is damaged: download the export once more, and upload that."


class DataFile:
    """What :func:`data_open` opens. ``position`` is how many bytes of the JSON have been read, ``size`` how many there are."""

    def __init__(self, raw: IO[bytes], size: int, archive: zipfile.ZipFile | None) -> None:
        self._raw, self.size, self._archive = raw, size, archive
        self.position = self._row = 0

    def rows(self, sections: frozenset[str]) -> Iterator[tuple[str, Any]]:
        """Yield all rows of the lists called ``sections``, in the order of the file; what they are has not been looked at.

        Raises FileRefused, also after the last row: what the format is may stand at the end.
        """
        try:
            yield from self._rows(JsonWindow(self._pieces()), sections)
        except (ValueError, RecursionError) as error:
            raise FileRefused(f"{_NOT_OURS} ({str(error)[:200]})") from error

    def content(self, member: str, most: int) -> bytes | None:
        """Return what is in a file of the ZIP; None where there is none of that name, or one of more than ``most`` bytes.

        Raises FileRefused for a damaged one.
        """
        if self._archive is None:
            return None
        try:
            info = self._archive.getinfo(member)
            if info.file_size > most:
                return None
            with self._archive.open(info) as file:
                found = file.read(most + 1)
        except KeyError:
            return None
        except _ZIP_FAULTS as error:
            raise FileRefused(_DAMAGED) from error
        return found if len(found) <= most else None

    @property
    def is_alone(self) -> bool:
        """Whether the JSON came without the ZIP, and so without files."""
        return self._archive is None

    def _rows(self, window: JsonWindow, sections: frozenset[str]) -> Iterator[tuple[str, Any]]:
        found, form = set(), None
        mark = window.take("{")
        if window.next() == "}":
            mark = window.take("}")
        while mark != "}":
            key = window.value()
            window.take(":")
            if key in found:
                raise FileRefused(f"{_NOT_OURS} (“{key}” is in it twice.)")
            found.add(key)
            if key in sections:
                for row in self._list(window):
                    yield key, row
            elif key == "format":
                form = window.value()
            else:
                window.value()
            mark = window.take(",}")
        if form != FORMAT:
            raise FileRefused(_NOT_OURS)
        window.end()

    def _list(self, window: JsonWindow) -> Iterator[Any]:
        window.take("[")
        if window.next() == "]":
            window.take("]")
            return
        mark = ","
        while mark == ",":
            self._row = self.position
            yield window.value()
            mark = window.take(",]")

    def _pieces(self) -> Iterator[bytes]:
        try:
            while piece := self._raw.read(_PIECE):
                self.position += len(piece)
                if self.position > _MOST:
                    raise FileRefused(f"{DATA_FILE} has more than {_MOST // 1024**3} GB.")
                if self.position - self._row > _LONGEST:
                    raise FileRefused(f"A row of {DATA_FILE} has more than {_LONGEST // 1024**2} MB.")
                yield piece
        except _ZIP_FAULTS as error:
            raise FileRefused(_DAMAGED) from error


# What reading a ZIP can raise: damaged, encrypted or in a way that Python does not know.
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@contextmanager
def data_open(file: IO[bytes]) -> Iterator[DataFile]:
    """Open ``file`` (binary, seekable). Raises FileRefused."""
    file.seek(0)
    head = file.read(4)
    size = file.seek(0, 2)
    file.seek(0)
    if head != b"PK\x03\x04":
        yield DataFile(file, size, None)
        return
    with ExitStack() as opened:
        try:
            archive = opened.enter_context(zipfile.ZipFile(file))
            info = archive.NameToInfo.get(DATA_FILE)
            if info is None:
                raise FileRefused(_NOT_OURS)
            raw = opened.enter_context(archive.open(info))
        except _ZIP_FAULTS as error:
            raise FileRefused(_DAMAGED) from error
        yield DataFile(raw, info.file_size, archive)
