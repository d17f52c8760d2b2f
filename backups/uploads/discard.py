"""The end of a staging folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Container
from pathlib import Path

from backups.files import sync_folder
from backups.uploads.tree import STAGING_PREFIX

__all__ = ["remove_durably", "uploads_discard", "uploads_sweep"]

_GONE_PREFIX = f"{STAGING_PREFIX}gone-"
_STAGING_NAME = re.compile(re.escape(STAGING_PREFIX) + r"(?P<gone>gone-)?(?P<operation>[0-9a-f]{8})")


def uploads_discard(root: Path, operation: str) -> None:
    """Remove the staging folder of that operation with everything in it; no error where there is none.

    The caller has settled its plan before: what an undo adopted lies in there until it is put back.
    """
    remove_durably(root / f"{STAGING_PREFIX}{operation[:8]}")


def remove_durably(staging: Path) -> None:
    """Rename the folder first, so that a half-deleted one is never taken for a kept tree, then delete it."""
    gone = staging.with_name(f"{_GONE_PREFIX}{staging.name.removeprefix(STAGING_PREFIX)}")
    try:
        if gone.exists():
            shutil.rmtree(gone)
        staging.rename(gone)
    except FileNotFoundError:
        return
    sync_folder(staging.parent)
    shutil.rmtree(gone)


def uploads_sweep(root: Path, keep: Container[str]) -> list[str]:
    """Remove staging folders of operations that are not in ``keep`` (their first eight hex digits); return their names."""
    removed = []
    for name in sorted(path.name for path in root.iterdir()):
        match = _STAGING_NAME.fullmatch(name)
        if not match or (not match["gone"] and match["operation"] in keep):
            continue
        if match["gone"]:
            shutil.rmtree(root / name)
        else:
            remove_durably(root / name)
        removed.append(name)
    return removed
