"""Files and folders that survive a crash, are private, and belong to the user that the site runs as, also when root makes them."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

__all__ = ["apply_owner", "private_folder", "sync_folder", "write_durably"]


def apply_owner(target: Path | int, model: Path) -> None:
    """Give ``target`` (a path, or an open descriptor) the owner of ``model``, so that the site's own user can use it.

    The superuser alone can, and needs to: for others this does nothing. A link itself is changed, never what it leads to.
    """
    if os.geteuid() != 0:
        return
    owner = model.stat()
    found = os.fstat(target) if isinstance(target, int) else target.lstat()
    # File systems that know no owners refuse even a change to the same one.
    if (found.st_uid, found.st_gid) == (owner.st_uid, owner.st_gid):
        return
    if isinstance(target, int):
        os.fchown(target, owner.st_uid, owner.st_gid)
    else:
        os.chown(target, owner.st_uid, owner.st_gid, follow_symlinks=False)


def private_folder(folder: Path) -> None:
    """Make ``folder`` and those above it where they are missing: private (0700), of the owner of the folder they are made in."""
    if folder.is_dir():
        return
    private_folder(folder.parent)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        # Another process was quicker; or it is a file, and no folder can be made.
        if not folder.is_dir():
            raise
    else:
        apply_owner(folder, folder.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that after a crash there is the old content or the new, never a part.

    A temporary name in the same folder, fsync, rename, fsync of the folder. The file is private (0600) and belongs to the
    folder's owner.
    """
    private_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            apply_owner(file.fileno(), path.parent)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: what was created, renamed or removed there."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
