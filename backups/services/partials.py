"""Partial files of one operation: everything a create writes before the archive has its name."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

__all__ = ["partials_remove"]


def partials_remove(folder: Path, short_id: str) -> None:
    """Remove the partial files and spools of the operation ``short_id`` from ``folder``; others' files stay."""
    for leftover in folder.glob(f"{short_id}_*.partial*") if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
