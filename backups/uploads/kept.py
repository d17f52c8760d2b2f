"""What a switch displaced, kept for undo."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backups.exceptions import PreflightRefused
from backups.files import sync_folder
from backups.uploads.discard import remove_durably
from backups.uploads.tree import folder_entries

__all__ = ["kept_size", "uploads_adopt_kept", "uploads_kept", "uploads_kept_discard"]


def uploads_kept(plan: dict[str, Any]) -> dict[str, Any]:
    """The kept state (JSON-ready) of a switch that is done: empty where none was."""
    if "live" not in plan:
        return {}
    return {"root": plan["root"], "staging": plan["staging"]}


def uploads_adopt_kept(root: Path, staging: Path, kept: dict[str, Any], plan_out: dict[str, Any], save: Callable[[], None]) -> None:
    """Make a kept tree the ``new`` of an undo's staging: one rename, recorded in the plan before it happens.

    Settling the plan to ``old`` puts it back. The tree comes back with the inodes that were displaced: files are as they were, except
    where a program rewrote one **in place** that both trees share by a hard link (Django's storage never does, it makes new files).
    Raises PreflightRefused where the kept tree is gone.
    """
    source, target = Path(kept["staging"]) / "old", staging / "new"
    if not source.is_dir():
        raise PreflightRefused(
            f"The kept uploads in {source} are gone.", next_step="Restore from an archive instead: manage.py backup_list"
        )
    plan_out.update(root=str(root), staging=str(staging), adopted={"kept": str(source), "new": str(target)})
    save()
    # rename(2) replaces an empty folder at once, and fails for one that holds something.
    source.rename(target)
    sync_folder(source.parent)
    sync_folder(staging)


def uploads_kept_discard(kept: dict[str, Any]) -> None:
    """Remove a kept state; no error where it is gone already."""
    if kept:
        remove_durably(Path(kept["staging"]))


def kept_size(kept: dict[str, Any]) -> int:
    """Bytes on disk that :func:`uploads_kept_discard` would free: files that the live tree shares by links cost nothing."""
    if not kept:
        return 0
    total = 0
    waiting = [Path(kept["staging"])]
    while waiting:
        for entry in folder_entries(waiting.pop(), is_top=False):
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                waiting.append(Path(entry.path))
            elif status.st_nlink == 1:
                # st_blocks counts units of 512 bytes (stat(2)), whatever the file system's own block is.
                total += status.st_blocks * 512
    return total
