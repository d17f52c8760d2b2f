"""``backup_upload``: take an archive that was brought here into the store: inspected first, and listed only when it is whole."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.db import DatabaseError, connections

from backups.archive import BATCH, ArchiveReader, archive_name
from backups.catalogue import Origin, catalogue_record
from backups.conf import conf
from backups.engines import engine_for
from backups.exceptions import (
    ArchiveNotFound,
    ArchiveNotSaved,
    ArchiveRejected,
    ArchiveUnreadable,
    NameTaken,
    PreflightRefused,
    UsageError,
    reason_of,
)
from backups.files import apply_owner
from backups.interrupts import too_late, uninterrupted
from backups.journal import Journal
from backups.manifest import Manifest
from backups.models import Backup
from backups.origin import signature_said
from backups.preflight import HEADROOM, size_human
from backups.progress import Progress
from backups.quarantine import Upload, quarantine_folder, upload_discard, upload_find
from backups.services.archives import archive_note
from backups.services.operation import operation_run
from backups.services.partials import partials_remove
from backups.storage import ArchiveStore, archive_store

__all__ = ["ImportFile", "UploadedBackup", "backup_upload", "import_files", "upload_preflight"]

# What link(2) says where a file cannot have a second name: another file system, or one without hard links.
NO_LINK = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
# Files of the import folder that are shown, the newest first, and folders below it that are looked into.
MOST_FILES = 200
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe must not wait for somebody who writes to it.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class UploadedBackup:
    """An archive that was taken in: its name in the store, bytes, SHA-256 (hex) as it came, and what it says of itself.

    ``is_new``: False where the very same archive was in the store already, and nothing was added.
    """

    archive: str
    size: int
    sha256: str
    manifest: Manifest
    signature: str
    is_new: bool


def backup_upload(
    *,
    upload: str = "",
    path: str = "",
    sha256: str = "",
    requested_by: str = "",
    wait: float = 0,
    progress: Progress | None = None,
    request: str = "",
) -> UploadedBackup:
    """Take an archive into the store under its own name: the upload of that id, or the file ``path`` of the import folder.

    ``sha256`` (hex; empty: nobody has counted) is what whoever sent it says. Every byte is read back and compared first. An
    archive without a signature, or with that of an unknown key, is taken in and shown as such: its restore asks for consent.
    ``request``: the queued journal that asks for it.

    Raises :class:`~backups.exceptions.ArchiveRejected` for what is no whole archive, and then the upload is thrown away, too;
    after every other error it is still there to be taken in again. A file of the import folder always stays.
    """
    if bool(upload) == bool(path):
        raise UsageError("Say which upload is to be taken in, or which file of the import folder.")
    engine = engine_for()
    progress = progress or Progress()
    arguments = {"upload": upload, "path": path, "sha256": sha256}
    with operation_run(
        "upload", engine=engine, progress=progress, wait=wait, requested_by=requested_by, arguments=arguments, request=request
    ) as journal:
        _enter(journal, progress, "preflight")
        held = _held(upload) if upload else None
        source, name = _held_opened(held) if held else _import_opened(path)
        with source:
            taken = _taken_in(journal, source, name, held, sha256.lower(), progress)
        progress.finish()
        journal.report = {
            "archive": taken.archive,
            "bytes": taken.size,
            "sha256": taken.sha256,
            "is_compared": bool(sha256),
            "rows": sum(taken.manifest.rows.values()),
            "signature": taken.signature,
            "is_new": taken.is_new,
            "warnings": list(progress.warnings),
            "seconds": progress.timings,
        }
        return taken


def upload_preflight(size: int) -> None:
    """Refuse where the store has no room for an archive of ``size`` bytes beside the upload; asks nothing of a store elsewhere."""
    store = archive_store()
    if not _shares_disk(store):
        _require_space(store, size)


def _held(upload: str) -> Upload:
    held = upload_find(upload)
    if held is None:
        raise ArchiveNotFound("The upload is not there any more: it was taken in, thrown away, or idle for too long.")
    if not held.is_whole:
        raise PreflightRefused(
            f"Of {held.name}, {size_human(held.offset)} of {size_human(held.size)} have come.",
            next_step="Go on with the upload first.",
        )
    return held


def _held_opened(held: Upload) -> tuple[BinaryIO, str]:
    try:
        return held.data.open("rb"), held.name
    except OSError as error:
        raise ArchiveNotFound(f"{held.name} cannot be read: {error.strerror}.") from error


def _enter(journal: Journal, progress: Progress, stage: str, total: int | None = None) -> None:
    """Begin a stage of ``total`` bytes, for those who look and for the journal."""
    journal.enter(stage)
    progress.stage(stage, total=total)


def _taken_in(journal: Journal, source: BinaryIO, name: str, held: Upload | None, sha256: str, progress: Progress) -> UploadedBackup:
    """Bring the bytes beside the store, prove those that lie there, and give them their name."""
    store = archive_store()
    store.check_writable()
    size = os.fstat(source.fileno()).st_size
    partial = store.folder() / f"{journal.short_id}_upload.partial"
    journal.arguments["partial"] = str(partial)
    try:
        try:
            digest = _brought(journal, source, held, partial, store, progress)
            if sha256 and sha256 != digest:
                raise ArchiveRejected(
                    f"{name}: other bytes have come here (SHA-256 {digest}) than were read in the browser ({sha256}).",
                    next_step="Upload it again.",
                )
            progress.note(f"SHA-256 of what has come: {digest}{', as counted in the browser' if sha256 else ''}.")
            manifest, signature = _inspected(journal, partial, name, progress)
            archive = archive_name(manifest.created_at, manifest.id)
            is_new = not _is_there(journal, store, archive, manifest, progress)
        except ArchiveUnreadable:
            raise  # That is this machine's fault: it says nothing about the archive.
        except ArchiveRejected as error:
            if held is None:
                raise
            with uninterrupted():
                upload_discard(held)
            raise ArchiveRejected(f"{error.message} The upload was thrown away.", next_step=error.next_step) from error
        if not is_new:
            progress.note(f"{archive} is in the store already; nothing was added.")
        # Before it has its name: so whose it is can be said after a crash, too.
        journal.archive = archive
        _enter(journal, progress, "store", store.bytes_to_move(size) if is_new else None)
        # On this host it takes a rename, which no signal may divide from its row; sending it elsewhere can be stopped.
        with uninterrupted(swallow=True) if store.local_root else nullcontext():
            if is_new:
                store.save(partial, archive, sha256=digest, on_bytes=progress.advance)
            _catalogue(archive, size, manifest, signature, journal.requested_by, progress, is_new=is_new)
            if held is not None:
                upload_discard(held)
            too_late()
        return UploadedBackup(archive, size, digest, manifest, signature, is_new)
    except OSError as error:
        raise PreflightRefused(
            f"The archive could not be taken in: {error.strerror or error} ({partial.parent}).",
            next_step="Free some space there, then take it in again.",
        ) from error
    finally:
        with uninterrupted(swallow=True):
            partials_remove(partial.parent, journal.short_id)


# --- bringing it here -----------------------------------------------------------------------------------------------------------


def _brought(journal: Journal, source: BinaryIO, held: Upload | None, partial: Path, store: ArchiveStore, progress: Progress) -> str:
    """Let the bytes lie at ``partial``; returns their SHA-256.

    An upload on the same disk gets a second name, and so is there until it is taken in, whatever happens; everything else is
    copied: a file of the import folder can be written to by others at any time.
    """
    size = os.fstat(source.fileno()).st_size
    journal.save()  # names the partial file, before there is one
    is_linked = held is not None and _linked(held, partial)
    if not is_linked:
        _require_space(store, size)
    _enter(journal, progress, "hash" if is_linked else "copy", size)
    digest = hashlib.sha256()
    target = None if is_linked else _new_file(partial)
    with target or nullcontext():
        while block := source.read(BATCH):
            digest.update(block)
            if target:
                target.write(block)
            progress.advance(len(block))
        if target:
            target.flush()
            os.fsync(target.fileno())
    return digest.hexdigest()


def _linked(held: Upload, partial: Path) -> bool:
    try:
        os.link(held.data, partial, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINK:
            raise
        return False
    return True


def _new_file(partial: Path) -> BinaryIO:
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    apply_owner(descriptor, partial.parent)
    return os.fdopen(descriptor, "wb")


def _shares_disk(store: ArchiveStore) -> bool:
    """Whether an upload gets its place in the store by a link: it needs no space of its own then."""
    folder = quarantine_folder()
    while not folder.exists():
        folder = folder.parent
    return store.folder().stat().st_dev == folder.stat().st_dev


def _require_space(store: ArchiveStore, size: int) -> None:
    free = store.free_bytes()
    if free is not None and free < size + HEADROOM:
        raise PreflightRefused(
            f"The archive needs {size_human(size)} in {store.folder()}, and {size_human(free)} are free there.",
            next_step="Free some space there, then take it in again.",
        )


# --- proving it -----------------------------------------------------------------------------------------------------------------


def _inspected(journal: Journal, partial: Path, name: str, progress: Progress) -> tuple[Manifest, str]:
    """What the archive says of itself, once every byte of it is proven."""
    _enter(journal, progress, "verify")
    with partial.open("rb") as source, ArchiveReader(source, name=name) as reader:
        progress.stage("verify", total=reader.total_bytes)
        reader.verify(progress.advance)
        if reader.signature != "valid":
            progress.warn(f"{signature_said(reader.signature, name)} A restore from it asks for your consent.")
        return reader.manifest, reader.signature


def _is_there(journal: Journal, store: ArchiveStore, archive: str, manifest: Manifest, progress: Progress) -> bool:
    """Whether the store has this very archive, whole; raises NameTaken where it has another, or a damaged one, under its name.

    It is read to its end: a good copy must not be thrown away for one that nobody has looked at for a year.
    """
    if not store.exists(archive):
        return False
    try:
        with store.open(archive) as stored, ArchiveReader(stored, name=archive) as reader:
            is_same = reader.manifest == manifest
            if is_same:
                _enter(journal, progress, "verify", reader.total_bytes)
                reader.verify(progress.advance)
    except ArchiveUnreadable as error:
        raise ArchiveNotSaved(error.message, state="The upload is kept.", next_step=error.next_step) from error
    except ArchiveRejected as error:
        archive_note(archive, progress, problem=error.message)
        raise NameTaken(
            f"{archive} is in the store already, and it is damaged: {error.message} What was brought now is kept. "
            "Delete the damaged archive, then take this one in again.",
            state="The store is as it was.",
            next_step="Delete the damaged archive first.",
        ) from error
    if not is_same:
        raise NameTaken(
            f"The store has another archive with the name {archive}. What was brought now is kept.",
            state="The store is as it was.",
            next_step="Look at the one in the store; one of the two is not what it says.",
        )
    return True


def _catalogue(archive: str, size: int, manifest: Manifest, signature: str, requested_by: str, progress: Progress, *, is_new: bool) -> None:
    """Make the row; of an archive that was there already only where it has none: its upload was killed after the last byte."""
    try:
        if is_new or not Backup.objects.filter(name=archive).exists():
            catalogue_record(archive, size, manifest, signature, origin=Origin(requested_by, is_uploaded=True))
    except DatabaseError as error:
        progress.warn(f"The archive has no row in the catalogue yet ({reason_of(error)}); backup_list --reconcile makes it.")
        connections.close_all()
    else:
        archive_note(archive, progress)


# --- the import folder ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImportFile:
    """A file of the import folder: its path relative to that, and its bytes."""

    path: str
    size: int


def import_files() -> list[ImportFile]:
    """The ZIP files of the import folder and of those below it, the newest first; links are left out. Empty where there is none."""
    root = conf.import_dir
    found: list[tuple[float, ImportFile]] = []
    if root is None:
        return []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            with suppress(OSError, UnicodeError):
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and name.lower().endswith(".zip"):
                    path.name.encode()
                    found.append((status.st_mtime, ImportFile(path.relative_to(root).as_posix(), status.st_size)))
    return [file for _, file in sorted(found, key=lambda entry: (-entry[0], entry[1].path))[:MOST_FILES]]


def _import_opened(path: str) -> tuple[BinaryIO, str]:
    """Open a file of the import folder, given its path in there or the whole one; nothing outside can be reached.

    Links are followed here and nowhere else: what they lead to is opened folder by folder, without following any.
    """
    root = conf.import_dir
    if root is None:
        raise PreflightRefused(
            "No archive may be taken in by its path on this site.", next_step="Upload it, or set BACKUPS_IMPORT_DIR to a folder."
        )
    try:
        base = root.resolve(strict=True)
        # Before anything is looked up: whether there is such a file outside, nobody is told.
        if not any(Path(os.path.abspath(root / path)).is_relative_to(folder) for folder in (os.path.abspath(root), base)):  # noqa: PTH100
            raise ValueError("It lies outside.")
        inside = (base / path).resolve(strict=True).relative_to(base)
        with _folder_of(base, inside) as folder:
            descriptor = os.open(inside.name, FILE, dir_fd=folder)
    except FileNotFoundError as error:
        raise ArchiveNotFound(f"There is no file {path!r} in {root}.", next_step=f"Put the archive into {root}.") from error
    except (ValueError, RuntimeError) as error:
        # Outside of it, a loop of links, or no path at all.
        raise ArchiveNotFound(f"{path!r} is no file in {root}.", next_step=f"Put the archive into {root}.") from error
    except OSError as error:
        raise ArchiveNotFound(f"{path!r} in {root} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArchiveNotFound(f"{path!r} in {root} is not a regular file.")
    return os.fdopen(descriptor, "rb"), inside.name


@contextmanager
def _folder_of(base: Path, inside: Path) -> Iterator[int]:
    """The open folder of ``inside``, a path without links relative to ``base``."""
    descriptor = os.open(base, FOLDER)
    try:
        for part in inside.parent.parts:
            below = os.open(part, FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)
