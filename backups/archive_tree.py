"""The folder that an archive's uploads are unpacked into."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["NEW_FILE", "Tree"]

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """Makes files below one folder. Every step down opens a real folder, so no link can lead out of it.

    Without a folder it makes nothing. Folders that members share in a row stay open.
    """

    def __init__(self, root: Path | None) -> None:
        self._open: list[tuple[str, int]] = []
        if root is not None:
            root.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._open.append(("", os.open(root, FOLDER)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close_from(0)

    def create(self, relative: str) -> int | None:
        """Open a new file for writing."""
        if not self._open:
            return None
        *folders, name = relative.split("/")
        shared = 0
        for (is_open, _), folder in zip(self._open[1:], folders, strict=False):
            if is_open != folder:
                break
            shared += 1
        self._close_from(1 + shared)
        for folder in folders[shared:]:
            above = self._open[-1][1]
            with suppress(FileExistsError):
                os.mkdir(folder, 0o755, dir_fd=above)
            self._open.append((folder, os.open(folder, FOLDER, dir_fd=above)))
        return os.open(name, NEW_FILE, 0o644, dir_fd=self._open[-1][1])

    def _close_from(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop()[1])
