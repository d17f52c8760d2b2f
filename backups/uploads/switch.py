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

import contextlib
import ctypes
import errno
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from backups.durable import libc
from backups.files import sync_folder
from backups.uploads.staging import add_missing
from backups.uploads.tree import folder_entries, printable, uploads_list

__all__ = ["rename", "uploads_foresee", "uploads_settle", "uploads_switch", "uploads_unswitch"]

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def _no_save() -> None:
    """Stand in for the journal's save where the plan is complete already."""


def rename(source: str, target: str) -> None:
    """Rename, never over something that exists (FileExistsError): rename(2) alone replaces files and empty folders."""
    renameat2 = getattr(libc(), "renameat2", None)
    number = errno.ENOSYS
    if renameat2 is not None:
        # A call through ctypes goes past the audit hooks that os.rename has.
        sys.audit("os.rename", source, target, -1, -1)
        if renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
    if number not in _UNSUPPORTED:
        raise OSError(number, os.strerror(number), source, None, target)
    # NFS and old C libraries: look first. A write between the two is possible only past the closed gate.
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    Path(source).rename(target)


def uploads_foresee(root: Path, staging: Path, plan_out: dict[str, Any]) -> None:
    """Complete the plan before the gate closes, so that the switch itself need not wait for the journal's fsync.

    The caller saves the journal before :func:`uploads_switch`. What appears at the top level after this stays where it is.
    """
    plan_out.update(
        root=str(root),
        staging=str(staging),
        live=[entry.name for entry in folder_entries(root, is_top=True)],
        new=[entry.name for entry in folder_entries(staging / "new", is_top=True)],
    )


def uploads_switch(root: Path, staging: Path, plan_out: dict[str, Any], save: Callable[[], None]) -> list[str]:
    """Put ``new`` into the place of the live tree and what was there into ``old``.

    Unless it was foreseen, the plan is completed in ``plan_out`` and ``save`` called before the first rename; then only top-level
    entries are renamed. Durable on return. Returns paths of strays that could not be put in (see above). Raises OSError;
    :func:`uploads_unswitch` leads back.
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
            uploads_foresee(root, staging, plan)
            save()
        _forward(plan, root, staging)
    else:
        _backward(plan, root, staging)
    for folder in (root, staging, staging / "old", staging / "new"):
        if folder.is_dir():
            sync_folder(folder)
    conflicts = _return_strays(root, staging)
    if which == "old":
        _give_back_adopted(plan)
    return conflicts


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder_entries(folder, is_top=False)}


def _forward(plan: dict[str, Any], root: Path, staging: Path) -> None:
    live, new = set(plan["live"]), set(plan["new"])
    displaced, waiting = _names(staging / "old"), _names(staging / "new")
    for name in sorted(live | new):
        if name in live and name not in displaced and (name in waiting or name not in new):
            _move_out(f"{root}/{name}", f"{staging}/old/{name}")
        if name in waiting:
            _move_in(f"{staging}/new/{name}", root, staging)


def _backward(plan: dict[str, Any], root: Path, staging: Path) -> None:
    live, new = set(plan.get("live", ())), set(plan.get("new", ()))
    displaced, waiting = _names(staging / "old"), _names(staging / "new")
    for name in sorted(live | new):
        if name in new and name not in waiting and (name in displaced or name not in live):
            _move_out(f"{root}/{name}", f"{staging}/new/{name}")
        if name in displaced:
            _move_in(f"{staging}/old/{name}", root, staging)


def _move_out(source: str, target: str) -> None:
    """Move an entry out of the live tree; somebody else may have deleted it."""
    with contextlib.suppress(FileNotFoundError):
        rename(source, target)


def _move_in(source: str, root: Path, staging: Path) -> None:
    """Move an entry into the live tree; what took its name meanwhile goes to ``stray``."""
    name = source.rpartition("/")[2]
    while True:
        try:
            rename(source, f"{root}/{name}")
            return
        except FileExistsError:
            (staging / "stray").mkdir(mode=0o700, exist_ok=True)
            numbered = (staging / "stray" / f"{number}" for number in itertools.count())
            folder = next(path for path in numbered if not os.path.lexists(path / name))
            folder.mkdir(mode=0o700, exist_ok=True)
            _move_out(f"{root}/{name}", f"{folder}/{name}")


def _return_strays(root: Path, staging: Path) -> list[str]:
    """Put the files that other programs wrote during the switch into the live tree where their paths are free."""
    conflicts: list[str] = []
    if (staging / "stray").is_dir():
        for entry in folder_entries(staging / "stray", is_top=False):
            folder = Path(entry.path)
            conflicts += [printable(file.path) for file in uploads_list(folder) if _is_taken(root / file.path, folder / file.path)]
            conflicts += add_missing(folder, root, lambda count: None).conflicts
    return conflicts


def _is_taken(path: Path, stray: Path) -> bool:
    """Whether another file has the place (the stray itself may have it: then it was put in before)."""
    return os.path.lexists(path) and not path.is_dir() and not os.path.samestat(path.lstat(), stray.lstat())


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
        sync_folder(kept.parent)
        sync_folder(new.parent)
