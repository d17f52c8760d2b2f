"""The tree that is prepared beside the live one, in ``MEDIA_ROOT/.backups-<8 hex>/``.

``new/`` is the tree to be, ``old/`` takes what the switch displaces, ``stray/`` what another program put in its way. The folder
is private (0700), never archived, listed or served, and inside MEDIA_ROOT, so that it works where that is a mount point.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage, storages

from backups.durable import sync_file_system
from backups.exceptions import PreflightRefused
from backups.files import sync_folder
from backups.uploads.tree import BLOCK, STAGING_PREFIX, OnBytes, folder_entries, printable

__all__ = [
    "Added",
    "add_missing",
    "uploads_catch_up",
    "uploads_merge",
    "uploads_plan",
    "uploads_ready",
    "uploads_sync",
    "uploads_staging",
    "uploads_top_up",
]

# What link(2) says where a copy must do: another file system, none with links, the limit of links, a file of somebody else.
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
# Its time of change divides what the archive brought from what was linked afterwards.
_MERGE_MARK = "merging"


@dataclass
class Added:
    """What a pass added to the staged tree; ``conflicts`` are live paths that cannot stay, since the archive wins there."""

    linked: int = 0
    copied: int = 0
    conflicts: list[str] = field(default_factory=list)


def _staging_path(root: Path, operation: str) -> Path:
    return root / f"{STAGING_PREFIX}{operation[:8]}"


def uploads_plan(root: Path, operation: str) -> dict[str, Any]:
    """The (JSON-ready) plan of an operation that has staged nothing yet; it belongs into the journal before anything is staged."""
    return {"root": str(root), "staging": str(_staging_path(root, operation))}


def uploads_staging(root: Path, operation: str) -> Path:
    """The staging folder of that operation, created when absent, with ``new`` and ``old`` in it.

    Raises PreflightRefused where it cannot be created, and where a file system is mounted inside the uploads: its folder
    could not be renamed, or would take the mount along.
    """
    staging = _staging_path(root, operation)
    _require_movable(root)
    try:
        for folder in (staging, staging / "new", staging / "old"):
            folder.mkdir(mode=0o700, exist_ok=True)
            _set(folder, 0o700, root.stat())
        sync_folder(root)
    except OSError as error:
        raise PreflightRefused(f"The staging folder {staging} cannot be created: {error.strerror}.") from error
    return staging


def _require_movable(root: Path) -> None:
    inside = _mounts_inside(root)
    if inside:
        raise PreflightRefused(
            f"{', '.join(inside)} is a mount inside the uploads, which cannot be switched together with them.",
            next_step="Mount the whole of MEDIA_ROOT instead, or run the command with --uploads skip.",
        )
    # A folder that changes its parent is itself written to: its ".." changes (rename(2), EACCES).
    fixed = [
        entry.path
        for entry in folder_entries(root, is_top=True)
        if entry.is_dir(follow_symlinks=False) and not os.access(entry.path, os.W_OK)
    ]
    if fixed:
        raise PreflightRefused(
            f"{', '.join(map(printable, fixed))} cannot be moved: this user may not write to it.",
            next_step="Run the command as the user who owns the uploads.",
        )


def _mounts_inside(root: Path) -> list[str]:
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return []
    # Field 5 is the mount point, with blanks and the like as octal escapes (proc_pid_mountinfo(5)).
    points = {os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4])) for line in lines}
    return sorted(printable(point) for point in points if Path(point) != root and Path(point).is_relative_to(root))


# --- the staged tree ------------------------------------------------------------------------------------------------


def uploads_ready(root: Path, staging: Path) -> None:
    """Give what was extracted to ``new`` the modes and the owner that an upload would have.

    Files get ``FILE_UPLOAD_PERMISSIONS``, else what the umask leaves; folders the mode and owner of the live folder of the same
    path, else ``FILE_UPLOAD_DIRECTORY_PERMISSIONS``, else the umask. The owner is that of MEDIA_ROOT, as far as we may.
    """
    storage = storages["default"]
    umask = _umask(staging)
    file_mode = folder_mode = None
    if isinstance(storage, FileSystemStorage):
        file_mode, folder_mode = storage.file_permissions_mode, storage.directory_permissions_mode
    file_mode = 0o666 & ~umask if file_mode is None else file_mode
    folder_mode = 0o777 & ~umask if folder_mode is None else folder_mode
    owner = root.stat()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        for entry in folder_entries(staging / "new" / prefix, is_top=False):
            path = f"{prefix}{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                _set(staging / "new" / path, file_mode, owner)
                continue
            waiting.append(f"{path}/")
            live = _lstat(root / path)
            if live is not None and stat.S_ISDIR(live.st_mode):
                _set(staging / "new" / path, stat.S_IMODE(live.st_mode), live)
            else:
                _set(staging / "new" / path, folder_mode, owner)


def _umask(folder: Path) -> int:
    """The umask, seen from a file: ``os.umask`` can only be asked by changing it, for all threads."""
    probe = folder / "umask"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777)
    try:
        return 0o777 & ~stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        probe.unlink()


def _set(path: Path, mode: int, owner: os.stat_result) -> None:
    """Owner first: changing it clears the set-id bits of the mode."""
    status = path.lstat()
    if (status.st_uid, status.st_gid) != (owner.st_uid, owner.st_gid):
        # Only root may give files away; what an ordinary user makes is his own, as an upload would be.
        with contextlib.suppress(PermissionError):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        path.chmod(mode)


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def uploads_merge(root: Path, staging: Path, on_bytes: OnBytes) -> Added:
    """Add every live file that the archive does not have to ``new``: a hard link, or a copy where links fail.

    ``on_bytes`` is told the bytes copied. Links keep mode, owner and times; folders get those of the live ones. Symbolic links and
    special files stay what they are.
    """
    mark = staging / _MERGE_MARK
    mark.touch()
    os.utime(mark)
    return add_missing(root, staging / "new", on_bytes)


def uploads_top_up(root: Path, staging: Path, on_bytes: OnBytes) -> Added:
    """Add what appeared, or was replaced, in the live tree since :func:`uploads_merge`; quick, for right before the switch."""
    mark = (staging / _MERGE_MARK).stat().st_mtime_ns
    return add_missing(root, staging / "new", on_bytes, newer_than=mark)


def uploads_catch_up(plan: dict[str, Any]) -> Added:
    """After the switch of a merge: add to the live tree what was written to the displaced one when :func:`uploads_top_up` had been there.

    Only programs that do not ask the gate write then. A file counts by its time of modification, so that one that somebody has deleted
    since the switch does not come back. Idempotent; does nothing where nothing was merged or switched.
    """
    if "live" not in plan:
        return Added()
    staging = Path(plan["staging"])
    mark = _lstat(staging / _MERGE_MARK)
    if mark is None:
        return Added()
    added = add_missing(staging / "old", Path(plan["root"]), lambda count: None, modified_since=mark.st_mtime_ns)
    if added.linked or added.copied:
        uploads_sync(staging)
    return added


def uploads_sync(staging: Path) -> None:
    """Make the staged tree durable: nothing of it may be lost once it is live. Raises OSError where the disk fails."""
    sync_file_system(staging)


def add_missing(source: Path, target: Path, on_bytes: OnBytes, *, newer_than: int | None = None, modified_since: int = 0) -> Added:
    """Link (or copy) every file below ``source`` that ``target`` does not have.

    With ``newer_than`` (a time in nanoseconds) a file that was added after it and is no longer the one at ``source`` is replaced. With
    ``modified_since`` (the same) files whose content is older are left out.
    """
    added = Added()
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        for entry in folder_entries(source / prefix, is_top=not prefix):
            path = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if _add_folder(source / path, target / path):
                    waiting.append(f"{path}/")
                elif os.path.lexists(target / path):
                    added.conflicts.append(printable(path))
                continue
            there = _lstat(target / path)
            if there is None:
                live = _lstat(source / path) if modified_since else None
                if live is None or live.st_mtime_ns >= modified_since:
                    _add_file(source / path, target / path, added, on_bytes)
            elif stat.S_ISDIR(there.st_mode):
                added.conflicts.append(printable(path))
            elif newer_than is not None and there.st_ctime_ns > newer_than and _was_replaced(source / path, there):
                # Added by the first pass, so not the archive's: a link changes the time of change, extracting came before.
                (target / path).unlink()
                _add_file(source / path, target / path, added, on_bytes)
    return added


def _was_replaced(path: Path, staged: os.stat_result) -> bool:
    live = _lstat(path)
    if live is None or (live.st_dev, live.st_ino) == (staged.st_dev, staged.st_ino):
        return False
    return (live.st_size, live.st_mtime_ns) != (staged.st_size, staged.st_mtime_ns)


def _add_folder(source: Path, target: Path) -> bool:
    """Whether ``target`` is a folder now, made like ``source`` where it was absent."""
    live = _lstat(source)
    if live is None:
        return False
    try:
        target.mkdir(mode=0o700)
    except FileExistsError:
        return stat.S_ISDIR(target.lstat().st_mode)
    _set(target, stat.S_IMODE(live.st_mode), live)
    return True


def _add_file(source: Path, target: Path, added: Added, on_bytes: OnBytes) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
        added.linked += 1
    except FileNotFoundError:
        return  # It vanished from the live tree.
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        if _copy(source, target, on_bytes):
            added.copied += 1


def _copy(source: Path, target: Path, on_bytes: OnBytes) -> bool:
    """Copy a file or a symbolic link with mode, owner and times; False where there is nothing to copy any more."""
    live = _lstat(source)
    if live is None:
        return False
    try:
        if stat.S_ISLNK(live.st_mode):
            target.symlink_to(source.readlink())
        elif stat.S_ISREG(live.st_mode):
            with source.open("rb") as reading, target.open("xb") as writing:
                while data := reading.read(BLOCK):
                    writing.write(data)
                    on_bytes(len(data))
        else:
            return False
    except FileNotFoundError:
        return False
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    _set(target, stat.S_IMODE(live.st_mode), live)
    shutil.copystat(source, target, follow_symlinks=False)
    return True
