"""The switch: top-level entries change places by renames, and after a crash their names alone say how far it came.

The plan lists the top-level names of the live tree (L) and of the staged one (N). A name is in one of these states, by what
exists in the live tree, in ``old`` and in ``new``:

====================  ==========================  =======================  ======================
name                  before (live, old, new)     between                  after
====================  ==========================  =======================  ======================
in L and N            1 0 1                       0 1 1                    1 1 0
in L only             1 0 0                       -                        0 1 0
in N only             0 0 1                       -                        1 0 0
====================  ==========================  =======================  ======================

All states of a row differ, so every name is decided by itself, in whatever order a crash left the renames. Forward, a live entry
moves out while ``old`` does not have its name (and, in a row of N, ``new`` still does), and the staged one moves in while ``new``
has it. Backward is the mirror. Each step checks its own state: both directions may be killed and run again, or turned round.

Other programs may write meanwhile, gate or not. A name that they take between two renames (1 1 1 for a name in L and N, 1 1 for
a name in L alone on the way back, 1 1 for a name in N alone on the way forward) is moved to ``stray`` and never overwritten;
its files that fit are put into the live tree afterwards. Entries that are in no list are theirs and stay where they are.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from backups.uploads.staging import add_missing, fsync_folder, libc
from backups.uploads.tree import folder_entries

__all__ = ["rename", "uploads_settle", "uploads_switch", "uploads_unswitch"]

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def _no_save() -> None:
    """Stand in for the journal's save where the plan is complete already."""


def rename(source: Path, target: Path) -> None:
    """Rename, never over something that exists (FileExistsError): rename(2) alone replaces files and empty folders."""
    renameat2 = getattr(libc(), "renameat2", None)
    number = errno.ENOSYS
    if renameat2 is not None:
        # A call through ctypes goes past the audit hooks that os.rename has.
        sys.audit("os.rename", os.fspath(source), os.fspath(target), -1, -1)
        if renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
    if number not in _UNSUPPORTED:
        raise OSError(number, os.strerror(number), str(source), None, str(target))
    # NFS and old C libraries: look first. A write between the two is possible only past the closed gate.
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)


def uploads_switch(root: Path, staging: Path, plan_out: dict[str, Any], save: Callable[[], None]) -> list[str]:
    """Put ``new`` into the place of the live tree and what was there into ``old``.

    The plan is completed in ``plan_out`` and ``save`` is called before the first rename; then only top-level entries are renamed.
    Durable on return. Returns paths of strays that could not be put in (see above). Raises OSError; :func:`uploads_unswitch` leads back.
    """
    plan_out.update(root=str(root), staging=str(staging))
    return uploads_settle(plan_out, "new", save)


def uploads_unswitch(plan: dict[str, Any]) -> list[str]:
    """The exact reverse of :func:`uploads_switch`, from wherever it came to."""
    return uploads_settle(plan, "old")


def uploads_settle(plan: dict[str, Any], which: Literal["old", "new"], save: Callable[[], None] = _no_save) -> list[str]:
    """Make the ``new`` tree live, or the ``old`` one live again and give back what an undo adopted.

    Idempotent, and it may itself be killed at any instant. A plan in which nothing was staged is settled already; one whose
    switch had not begun is completed, and ``save`` called, before it is carried out. Returns like :func:`uploads_switch`.
    """
    if "staging" not in plan:
        return []
    root, staging = Path(plan["root"]), Path(plan["staging"])
    if not staging.is_dir():
        return []
    if which == "new":
        if "live" not in plan:
            plan["live"] = [entry.name for entry in folder_entries(root, is_top=True)]
            plan["new"] = [entry.name for entry in folder_entries(staging / "new", is_top=True)]
            save()
        _forward(plan, root, staging)
    else:
        _backward(plan, root, staging)
    for folder in (root, staging, staging / "old", staging / "new"):
        if folder.is_dir():
            fsync_folder(folder)
    conflicts = _return_strays(root, staging)
    if which == "old":
        _give_back_adopted(plan)
    return conflicts


def _forward(plan: dict[str, Any], root: Path, staging: Path) -> None:
    live, new = set(plan["live"]), set(plan["new"])
    for name in sorted(live | new):
        is_displaced = os.path.lexists(staging / "old" / name)
        is_staged = os.path.lexists(staging / "new" / name)
        if name in live and not is_displaced and (is_staged or name not in new):
            _move(root / name, staging / "old" / name)
        if is_staged:
            _move_live(root, staging, staging / "new" / name, name)


def _backward(plan: dict[str, Any], root: Path, staging: Path) -> None:
    live, new = set(plan.get("live", ())), set(plan.get("new", ()))
    for name in sorted(live | new):
        is_displaced = os.path.lexists(staging / "old" / name)
        is_staged = os.path.lexists(staging / "new" / name)
        if name in new and not is_staged and (is_displaced or name not in live):
            _move(root / name, staging / "new" / name)
        if is_displaced:
            _move_live(root, staging, staging / "old" / name, name)


def _move(source: Path, target: Path) -> None:
    """Move an entry out of the live tree; somebody else may have deleted it."""
    if os.path.lexists(source):
        rename(source, target)


def _move_live(root: Path, staging: Path, source: Path, name: str) -> None:
    """Move an entry into the live tree; what took its name meanwhile goes to ``stray``."""
    while True:
        try:
            rename(source, root / name)
            return
        except FileExistsError:
            (staging / "stray").mkdir(mode=0o700, exist_ok=True)
            numbered = (staging / "stray" / f"{number}" for number in itertools.count())
            folder = next(path for path in numbered if not os.path.lexists(path / name))
            folder.mkdir(mode=0o700, exist_ok=True)
            _move(root / name, folder / name)


def _return_strays(root: Path, staging: Path) -> list[str]:
    """Put the files that other programs wrote during the switch into the live tree where their paths are free."""
    conflicts: list[str] = []
    if (staging / "stray").is_dir():
        for folder in folder_entries(staging / "stray", is_top=False):
            conflicts += add_missing(Path(folder.path), root, lambda count: None).conflicts
    return conflicts


def _give_back_adopted(plan: dict[str, Any]) -> None:
    """Put the kept tree that an undo adopted back to where it was kept."""
    adopted = plan.get("adopted")
    if not adopted:
        return
    kept, new = Path(adopted["kept"]), Path(adopted["new"])
    # Adopting is one rename: while the kept tree is in its place, it has not begun.
    if not os.path.lexists(kept) and os.path.lexists(new):
        new.rename(kept)
        new.mkdir(mode=0o700)
        fsync_folder(kept.parent)
        fsync_folder(new.parent)
