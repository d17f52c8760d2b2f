"""Where uploads wait until they are taken in: bytes that nobody has inspected, apart from all that is served, listed or archived.

``BACKUPS_STATE_DIR/quarantine/<id>/`` holds ``data``, whose length is how far the upload has come, and ``upload.json``, which says
whose it is and what it will be. Both outlive every process, so whoever began goes on where the bytes end. The folders are private
(0700); no path is ever made of what a browser says.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
import unicodedata
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from backups.conf import conf
from backups.exceptions import PreflightRefused
from backups.files import apply_owner, private_folder, sync_folder, write_durably
from backups.journal import journal_load_all

__all__ = [
    "MOST_OPEN",
    "PIECE",
    "RESERVE",
    "FormUpload",
    "OffsetWrong",
    "Upload",
    "quarantine_folder",
    "quarantine_free",
    "quarantine_sweep",
    "upload_append",
    "upload_begin",
    "upload_discard",
    "upload_find",
    "upload_taken_by",
    "uploads_of",
]

# Bytes that a browser sends in one request: what a lost connection can cost, and what is synced at once.
PIECE = 8 * 1024 * 1024
# Uploads of one person that may be unfinished at a time.
MOST_OPEN = 3
# Bytes that an upload leaves free: a full disk stops the site itself.
RESERVE = 64 * 1024 * 1024
# Seconds without a byte after which an upload is swept, and one after which a form's is, with which nobody can go on.
IDLE = 3 * 86400
IDLE_FORM = 3600
LONGEST_NAME = 120

_ID = re.compile(r"[0-9a-f]{32}")


class OffsetWrong(Exception):
    """The bytes do not begin where the upload ends; ``offset`` says where that is."""

    def __init__(self, offset: int) -> None:
        """Keep the right offset."""
        super().__init__(f"The upload ends at byte {offset}.")
        self.offset = offset


@dataclass(frozen=True)
class Upload:
    """One upload. ``size`` is what it will have in the end; ``last_modified`` is the file's, in milliseconds, as its browser says.

    ``name`` is for people alone, ``owner`` the name of the account that began it, ``began_at`` ISO 8601 in UTC.
    """

    name: str
    size: int
    owner: str
    last_modified: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    began_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())

    @property
    def folder(self) -> Path:
        """Its folder."""
        return quarantine_folder() / self.id

    @property
    def data(self) -> Path:
        """The bytes that have come."""
        return self.folder / "data"

    @property
    def offset(self) -> int:
        """How many bytes have come. Raises FileNotFoundError where it was thrown away or taken in meanwhile."""
        return self.data.stat().st_size

    @property
    def touched_at(self) -> datetime:
        """When the last byte came. Raises FileNotFoundError as :attr:`offset` does."""
        return datetime.fromtimestamp(self.data.stat().st_mtime, UTC)

    @property
    def is_whole(self) -> bool:
        """Whether all bytes have come."""
        return self.offset == self.size


# --- what is there ------------------------------------------------------------------------------------------------------------


def quarantine_folder() -> Path:
    """The folder of all uploads."""
    return conf.state_dir / "quarantine"


def quarantine_free() -> int:
    """Bytes that one more upload may have: what is free, without the reserve and what the unfinished ones still need.

    Raises PreflightRefused where the folder cannot be used.
    """
    with _usable() as folder:
        free = shutil.disk_usage(folder).free
    promised = 0
    for upload in _uploads():
        with suppress(FileNotFoundError):
            promised += upload.size - upload.offset
    return max(0, free - RESERVE - promised)


def uploads_of(owner: str) -> list[Upload]:
    """The uploads that this account began and that are still here, oldest first."""
    return sorted((upload for upload in _uploads() if upload.owner == owner), key=lambda upload: upload.began_at)


def upload_find(upload_id: str, *, owner: str = "") -> Upload | None:
    """The upload of that id; None where there is none, or ``owner`` is given and it is another's."""
    upload = _read(quarantine_folder() / upload_id) if _ID.fullmatch(upload_id) else None
    return upload if upload and owner in ("", upload.owner) else None


def upload_taken_by(upload: Upload) -> str:
    """The id of the operation that is about to take the upload in, or at it; empty where there is none."""
    for journal in journal_load_all():
        if journal.kind == "upload" and not journal.is_finished and journal.arguments.get("upload") == upload.id:
            return journal.id
    return ""


def _uploads() -> Iterator[Upload]:
    for folder in quarantine_folder().glob("*"):
        if upload := upload_find(folder.name):
            yield upload


def _read(folder: Path) -> Upload | None:
    try:
        facts = json.loads((folder / "upload.json").read_bytes())
        upload = Upload(**facts)
    except (OSError, ValueError, TypeError):
        return None
    return upload if upload.id == folder.name and upload.data.exists() else None


# --- what comes ---------------------------------------------------------------------------------------------------------------


def upload_begin(*, name: str, size: int, owner: str, last_modified: int = 0) -> Upload:
    """Begin an upload of ``size`` bytes, or find the one that the same person began with the same file (name, size, time).

    Raises PreflightRefused where it is empty, too large, one too many, or more than the disk takes.
    """
    name = _clean(name)
    with _alone():
        quarantine_sweep()
        mine = uploads_of(owner)
        for upload in mine:
            if (upload.name, upload.size, upload.last_modified) == (name, size, last_modified):
                return upload
        _require_fitting(size)
        _require_few(mine)
        if size > (free := quarantine_free()):
            raise PreflightRefused(
                f"{name} has {size / 1e6:,.1f} MB, and there is room for {free / 1e6:,.1f} MB.",
                next_step=f"Free some space on the disk of {conf.state_dir}, then choose the file again.",
            )
        upload = Upload(name=name, size=size, owner=owner, last_modified=last_modified)
        with _usable():
            os.close(_new_data(upload.folder))
            _describe(upload)
        return upload


def upload_append(upload: Upload, offset: int, pieces: Iterable[bytes]) -> int:
    """Write ``pieces`` behind ``offset`` as they come, make them durable, and return where the upload ends then.

    Of several who write at once, one goes on: the place is checked for each piece, and nobody holds a lock while he waits for
    the next. So a connection that is dead, but not gone, stands in nobody's way. What came before an error stays.

    Raises :class:`OffsetWrong`; ValueError for more bytes than the upload has; PreflightRefused where the disk is full;
    FileNotFoundError where the upload was thrown away; what ``pieces`` raises.
    """
    descriptor = os.open(upload.data, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        offset = _append(descriptor, upload, offset, b"")
        try:
            for piece in pieces:
                offset = _append(descriptor, upload, offset, piece)
        finally:
            os.fdatasync(descriptor)
        return offset
    finally:
        os.close(descriptor)


def _append(descriptor: int, upload: Upload, offset: int, piece: bytes) -> int:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        status = os.fstat(descriptor)
        if not status.st_nlink:
            raise FileNotFoundError(f"{upload.name} was thrown away.")
        if status.st_size != offset:
            raise OffsetWrong(status.st_size)
        if offset + len(piece) > upload.size:
            raise ValueError(f"{upload.name} has {upload.size} bytes, and more were sent.")
        return offset + _write(descriptor, piece)
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _write(descriptor: int, data: bytes) -> int:
    """Write all of it, and return its length. Raises PreflightRefused where that would fill the disk, or does."""
    status = os.fstatvfs(descriptor)
    if status.f_bavail * status.f_frsize < len(data) + RESERVE:
        raise _full()
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise _full(error.strerror or str(error)) from error
    return len(data)


def _full(cause: str = "the disk is full") -> PreflightRefused:
    return PreflightRefused(
        f"The upload cannot be written: {cause} ({quarantine_folder()}).",
        state="What has come so far is kept.",
        next_step="Free some space there, then go on.",
    )


def upload_discard(upload: Upload) -> None:
    """Throw it away; no error where it is gone."""
    _remove(upload.folder)


class FormUpload:
    """The file of a plain form while it comes: nobody knows its size before its end, and nobody can go on with it."""

    def __init__(self, *, name: str, owner: str) -> None:
        """Begin. Raises PreflightRefused where it is one too many, or nothing can be written."""
        self._upload = Upload(name=_clean(name), size=0, owner=owner)
        with _alone():
            quarantine_sweep()
            _require_few(uploads_of(owner))
            with _usable():
                self._descriptor: int | None = _new_data(self._upload.folder)
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append. Raises PreflightRefused where it becomes too large, or the disk too full."""
        if self._descriptor is None:
            raise ValueError("The upload has ended.")
        _require_fitting(self._size + len(data))
        self._size += _write(self._descriptor, data)

    def finish(self) -> Upload:
        """Make an upload of it, whole and durable. Raises PreflightRefused where nothing has come."""
        if self._descriptor is None:
            raise ValueError("The upload has ended.")
        _require_fitting(self._size)
        upload = replace(self._upload, size=self._size)
        with _usable():
            os.fsync(self._descriptor)
            _describe(upload)
        self._close()
        return upload

    def discard(self) -> None:
        """Throw away what has come, whether it is finished or not; no error where it is gone."""
        self._close()
        upload_discard(self._upload)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _require_fitting(size: int) -> None:
    if size <= 0:
        raise PreflightRefused("The file is empty.", next_step="Choose the archive again.")
    if size > conf.max_upload_gb * 10**9:
        raise PreflightRefused(
            f"The file has more than {conf.max_upload_gb} GB, the most that may be uploaded (BACKUPS_MAX_UPLOAD_GB).",
            next_step="Put the archive into the import folder on the server, and take it in from there.",
        )


def _require_few(mine: Sequence[Upload]) -> None:
    if len(mine) >= MOST_OPEN:
        raise PreflightRefused(
            f"{MOST_OPEN} of your uploads are not finished: {', '.join(upload.name for upload in mine)}.",
            next_step="Go on with one of them, or throw one away.",
        )


def _clean(name: str) -> str:
    """What people may read of a file's name: no folders, nothing invisible, no change of direction; not too long."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(sign for sign in last if unicodedata.category(sign)[0] != "C").strip()
    return shown[:LONGEST_NAME] or "archive"


def _new_data(folder: Path) -> int:
    """Make the folder of an upload with its empty data; returns the descriptor to write to."""
    private_folder(folder)
    sync_folder(folder.parent)
    descriptor = os.open(folder / "data", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    apply_owner(descriptor, folder)
    return descriptor


def _describe(upload: Upload) -> None:
    write_durably(upload.folder / "upload.json", json.dumps(asdict(upload), indent=1).encode())


# --- what goes ----------------------------------------------------------------------------------------------------------------


def quarantine_sweep() -> list[str]:
    """Remove the uploads for which nothing has come for three days, and what broken forms left; returns what went, in sentences."""
    swept = []
    for folder in quarantine_folder().glob("*"):
        if not _ID.fullmatch(folder.name):
            continue
        upload = _read(folder)
        idle = time.time() - _touched(folder)
        if upload is None and idle > IDLE_FORM:
            _remove(folder)
        elif upload is not None and idle > IDLE and not upload_taken_by(upload):
            _remove(folder)
            swept.append(f"The upload {upload.name} of {upload.owner} was thrown away: nothing has come for {IDLE // 86400} days.")
    return swept


def _touched(folder: Path) -> float:
    """When something last came, in seconds since 1970; now, where it is gone already."""
    for path in (folder / "data", folder):
        with suppress(FileNotFoundError):
            return path.stat().st_mtime
    return time.time()


def _remove(folder: Path) -> None:
    # First what makes it an upload: what is left after a crash is swept as a broken form's.
    (folder / "upload.json").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


# --- the folder ---------------------------------------------------------------------------------------------------------------


@contextmanager
def _usable() -> Iterator[Path]:
    """The quarantine's folder, made where it is missing. An OSError in the block is a refusal that names it."""
    try:
        private_folder(quarantine_folder())
        yield quarantine_folder()
    except OSError as error:
        raise PreflightRefused(
            f"Uploads cannot be kept in {quarantine_folder()}: {error.strerror}.",
            next_step="Free some space there, or make it writable for the user that the site runs as; then try again.",
        ) from error


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time counts what is there and adds to it."""
    with _usable() as folder:
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        apply_owner(descriptor, folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
