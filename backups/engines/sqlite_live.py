"""The live file of a SQLite database: what state it is in, found out without changing what lies there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from backups.engines.base import LiveState
from backups.engines.sqlite_aside import live_files
from backups.engines.sqlite_file import NO_DATABASE, encoding_of, look, opened, page_size_of
from backups.exceptions import BackupError, RestoreFailed

__all__ = ["live_encoding", "live_is_readable", "live_page_size", "live_size", "live_state_of"]

# Seconds that a look at the live database waits for a lock.
LOOK_SECONDS = 2.0
LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def live_state_of(live: Path) -> LiveState:
    """Whether the file is there and its schema can be read (no check of all pages). Never raises for what it finds."""
    version, size = sqlite3.sqlite_version, 0
    try:
        if not live.exists():
            return LiveState("missing", f"There is no file {live}.", version)
        size = live_size(live)
        tables = _count_tables(live)
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF in LOCKED:
            return LiveState("ok", f"{live} is locked by another process.", version, size)
        return LiveState("broken", f"{live} cannot be read: {error}.", version, size)
    return LiveState("ok", "", version, size) if tables else LiveState("empty", f"{live} holds no table.", version, size)


def live_is_readable(live: Path, error_class: type[BackupError] = RestoreFailed) -> bool:
    """Whether the file is a database. Raises ``error_class`` where it cannot be known: it is locked, or the disk fails."""
    if not live.exists() or not live.stat().st_size:
        return False
    try:
        _count_tables(live)
    except sqlite3.Error as error:
        if error.sqlite_errorcode & 0xFF in NO_DATABASE:
            return False
        raise error_class(f"The live database {live} cannot be opened: {error}.") from error
    return True


def live_size(live: Path) -> int:
    """Bytes of the file and of what stands beside it."""
    return sum(path.stat().st_size for path in live_files(live) if path.exists())


def live_encoding(live: Path) -> str:
    """The text encoding of a file that is readable."""
    with opened(live, read_only=True) as connection:
        return encoding_of(connection)


def live_page_size(live: Path) -> int:
    """Bytes of a page of a file that is readable."""
    with opened(live, read_only=True) as connection:
        return page_size_of(connection)


def _count_tables(live: Path) -> int:
    """Tables of the file; 0 for one of no bytes, which is not opened: SQLite would remove a WAL beside it."""
    if not live.stat().st_size:
        return 0
    look(live, wait=LOOK_SECONDS)
    with opened(live, read_only=True, wait=LOOK_SECONDS) as connection:
        return int(connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0])
