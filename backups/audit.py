"""Who did what on a page: one line of JSON each in ``BACKUPS_STATE_DIR/audit.log``, which is only ever appended to.

It is written before the act and outlives every restore, which the admin's own log does not. Each line carries the SHA-256 of the
line before it, its line feed included, so that a change in the middle shows: ``sed -n 41p audit.log | sha256sum`` is the
``previous`` of line 42. What is cut off at the end, and a file that was written anew as a whole, do not show; against these the
same lines go to the log of the process (logger ``backups.audit``).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from backups.conf import conf
from backups.exceptions import AuditUnwritable
from backups.files import apply_owner, private_folder, sync_folder

__all__ = ["audit_check", "audit_record"]

FILE = "audit.log"
# Characters of one value: a line stays small enough for one write.
LONGEST = 2000
# Bytes looked at for the last line; one is far shorter.
TAIL = 64 * 1024

logger = logging.getLogger(__name__)


def audit_record(action: str, *, who: str, address: str, archive: str = "", operation: str = "", detail: str = "") -> None:
    """Append one line, and return when it would survive a power cut.

    Raises :class:`~backups.exceptions.AuditUnwritable`: then the file is as it was, and the act MUST NOT happen.
    """
    values = {"action": action, "who": who, "address": address, "archive": archive, "operation": operation, "detail": detail}
    said = {name: value[:LONGEST] for name, value in values.items() if value}
    path = _path()
    try:
        with _locked(path) as descriptor:
            size = os.fstat(descriptor).st_size
            last = _last_line(descriptor, size)
            line = json.dumps({"at": datetime.now(UTC).isoformat(), **said, "previous": _hash(last)}).encode() + b"\n"
            # What a power cut has left unfinished stays, as a line of its own.
            _append(descriptor, line if not last or last.endswith(b"\n") else b"\n" + line, size)
    except OSError as error:
        raise AuditUnwritable(
            f"What is about to happen cannot be written into the audit file, so it was not begun: {error.strerror} ({path}).",
            next_step="Free some space there, or make it writable for the user that the site runs as; then try again.",
        ) from error
    logger.info("%s", line.decode().rstrip())


def audit_check() -> list[int]:
    """The numbers, from 1, of the lines before which something was changed, taken out or put in; empty where all is well.

    A line that a power cut has left unfinished is none: what follows carries its hash like any other. Raises OSError where the file
    cannot be read.
    """
    faults, before = [], b""
    try:
        file = _path().open("rb")
    except FileNotFoundError:
        return []
    with file:
        for number, line in enumerate(file, 1):
            if not _follows(line, before):
                faults.append(number)
            before = line
    return faults


def _follows(line: bytes, before: bytes) -> bool:
    try:
        previous = json.loads(line)["previous"]
    except (ValueError, LookupError, TypeError):
        return True
    return bool(previous == _hash(before))


def _hash(line: bytes) -> str:
    """Of the line with its line feed; empty for no line."""
    return hashlib.sha256(line.rstrip(b"\n") + b"\n").hexdigest() if line else ""


def _path() -> Path:
    return conf.state_dir / FILE


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The descriptor of the file, made where it is missing; other processes wait. Closing it lets go of the lock."""
    private_folder(path.parent)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if is_new:
            apply_owner(descriptor, path.parent)
            sync_folder(path.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _last_line(descriptor: int, size: int) -> bytes:
    """The last line, with its line feed if it has one; empty for an empty file."""
    tail = os.pread(descriptor, TAIL, max(0, size - TAIL))
    return tail[tail.rfind(b"\n", 0, -1) + 1 :]


def _append(descriptor: int, data: bytes, size: int) -> None:
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(28, "No space left on device")
        os.fsync(descriptor)
    except OSError:
        # Half a line would read as one that was changed.
        os.ftruncate(descriptor, size)
        raise
