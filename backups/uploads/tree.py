"""The live tree: where it is, what is in it, and how it differs from an archive's."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.core.files.storage import FileSystemStorage, storages

from backups.exceptions import PreflightRefused

__all__ = [
    "STAGING_PREFIX",
    "OnBytes",
    "UploadFile",
    "UploadsDifference",
    "folder_entries",
    "is_ours",
    "printable",
    "uploads_compare",
    "uploads_list",
    "uploads_root",
]

STAGING_PREFIX = ".backups-"
BLOCK = 1024 * 1024

OnBytes = Callable[[int], object]
OnSkipped = Callable[[str, str], object]


@dataclass(frozen=True)
class UploadFile:
    """One file: its path below MEDIA_ROOT with ``/`` between the names, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class UploadsDifference:
    """Numbers of files: only in the archive, in both but different, in both and equal, only in the live tree."""

    added: int
    changed: int
    kept: int
    others: int


def is_ours(name: str) -> bool:
    """Whether a top-level name is no upload: staging of the backups, or what a file system keeps for itself."""
    return name.startswith(STAGING_PREFIX) or name == "lost+found"


def uploads_root() -> Path:
    """MEDIA_ROOT of the default storage, without symbolic links; created when absent.

    Raises PreflightRefused where the default storage is no folder, or where it cannot be created.
    """
    storage = storages["default"]
    if not isinstance(storage, FileSystemStorage):
        raise PreflightRefused(
            f"The uploads are on {type(storage).__name__}, which is no file system.",
            next_step="Leave them out (backup_create --no-uploads, backup_restore --uploads skip) and copy them with that storage's tools.",
        )
    if not str(storage.base_location):
        raise PreflightRefused(
            "MEDIA_ROOT is empty, so that the uploads have no folder.", next_step="Set MEDIA_ROOT to a folder of its own."
        )
    root = Path(storage.location).resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PreflightRefused(f"The uploads folder {root} cannot be created: {error.strerror}.") from error
    return root


def folder_entries(folder: Path, *, is_top: bool) -> Iterator[os.DirEntry[str]]:
    """The entries of one folder, as it is now, in the order of their names; none where the folder has vanished.

    Each is forgotten when it is handed out: with its status, which an entry keeps, it takes 900 bytes instead of 300.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not (is_top and is_ours(entry.name))), key=lambda entry: entry.name, reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return iter(())
    except OSError as error:
        raise PreflightRefused(
            f"The uploads folder {printable(str(folder))} cannot be read: {error.strerror}.",
            next_step="Run the command as the user who owns the uploads.",
        ) from error
    return (found.pop() for _ in range(len(found)))


def uploads_list(root: Path, on_skipped: OnSkipped | None = None) -> Iterator[UploadFile]:
    """Every regular file below ``root``, sorted; memory grows with the largest folder only.

    Symbolic links, pipes, devices and names that are not UTF-8 are told to ``on_skipped`` (path, reason) and left out; a link
    is never followed. Files that vanish meanwhile are left out silently. Raises PreflightRefused for a folder that cannot be read.
    """
    waiting = [(folder_entries(root, is_top=True), "")]
    while waiting:
        entries, prefix = waiting[-1]
        entry = next(entries, None)
        if entry is None:
            waiting.pop()
            continue
        path = prefix + entry.name
        reason = _reason_to_skip(entry)
        if reason:
            if on_skipped is not None:
                on_skipped(printable(path), reason)
        elif entry.is_dir(follow_symlinks=False):
            waiting.append((folder_entries(root / path, is_top=False), f"{path}/"))
        else:
            try:
                yield UploadFile(path, entry.stat(follow_symlinks=False).st_size)
            except FileNotFoundError:
                continue


def _reason_to_skip(entry: os.DirEntry[str]) -> str:
    try:
        entry.name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if entry.is_symlink():
        return "it is a symbolic link"
    if not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
        return "it is not a regular file"
    return ""


def printable(path: str) -> str:
    """``path`` with bytes that are not UTF-8, and what a terminal would obey instead of showing, written as escapes."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def uploads_compare(root: Path, members: Iterable[tuple[str, int, str]], on_bytes: OnBytes | None = None) -> UploadsDifference:
    """Compare the live tree with an archive's members (path below MEDIA_ROOT, size in bytes, SHA-256 in hex).

    A file whose size is equal is read and hashed; ``on_bytes`` is told how much. A live path that is no regular file counts as
    changed where the archive has a file of that name.
    """
    added = changed = kept = 0
    seen = set()
    for path, size, sha256 in members:
        seen.add(path)
        try:
            status = (root / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            added += 1
            continue
        if stat.S_ISREG(status.st_mode) and status.st_size == size and _sha256(root / path, on_bytes) == sha256:
            kept += 1
        else:
            changed += 1
    others = sum(1 for file in uploads_list(root) if file.path not in seen)
    return UploadsDifference(added, changed, kept, others)


def _sha256(path: Path, on_bytes: OnBytes | None) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while data := file.read(BLOCK):
                digest.update(data)
                if on_bytes is not None:
                    on_bytes(len(data))
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise PreflightRefused(
            f"{printable(str(path))} cannot be read: {error.strerror}.", next_step="Run the command as the user who owns the uploads."
        ) from error
    return digest.hexdigest()
