"""One SQLite file: opening it, copying it page by page, counting, proving, removing it with what stands beside it.

The live file is never opened but through SQLite. POSIX locks belong to the process and the inode: closing any other
descriptor of the file would drop the locks of every connection that this process has to it, Django's too
(https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.db.backends.sqlite3._functions import register as register_functions  # type: ignore[import-untyped]

from backups.exceptions import PreflightRefused
from backups.files import sync_folder

__all__ = [
    "BUSY_SECONDS",
    "COPY_PAGES",
    "MARKER_TABLE",
    "NO_DATABASE",
    "SIDE_FILES",
    "checkpoint",
    "copy_pages",
    "encoding_of",
    "file_of_setting",
    "first_fault",
    "has_marker",
    "journal_mode",
    "look",
    "migrations_of",
    "move_file",
    "opened",
    "page_size_of",
    "quoted",
    "remove_file",
    "rows_of",
    "sync_file",
    "write_marker",
]

# Seconds that a connection waits for a lock, and a copy for its next page, before it gives up.
BUSY_SECONDS = 30.0
# Pages copied at once: 1 MiB of the default page size. Between two pieces the operation can be ended.
COPY_PAGES = 256
# Longest time, in seconds, for which shortening the WAL gets no further; where it fails, SQLite reuses the file as it is.
CHECKPOINT_SECONDS = 2.0
# Bytes by which it is shortened at once: 10 ms (measured).
WAL_PIECE = 32 * 1024 * 1024
# What SQLite puts beside a database file.
SIDE_FILES = ("-wal", "-shm", "-journal")
# Result codes that say: these bytes are no database (all others may pass: locked, no rights, a failing disk).
NO_DATABASE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
# The engine's own table: it holds the id of the swap by which the data came into the live file, nothing else.
MARKER_TABLE = "backups_swap"


def file_of_setting(name: object) -> Path:
    """The file that ``DATABASES[…]["NAME"]`` means: a path, or a ``file:`` URI. No link is left in it.

    Raises :class:`~backups.exceptions.PreflightRefused` for a database that is kept in memory.
    """
    text = str(name)
    path, query = text, ""
    if text.startswith("file:"):
        parts = urlsplit(text)
        path, query = unquote(parts.path), parts.query
    if path in ("", ":memory:") or "mode=memory" in query:
        raise PreflightRefused(
            f"The SQLite database {text or '(no name)'} is kept in memory, so there is nothing to back up or restore.",
            next_step="Set DATABASE_URL to a file: sqlite:////path/to/db.sqlite3",
        )
    return Path(path).resolve()


def look(path: Path, *, wait: float) -> None:
    """Raise :class:`sqlite3.Error` where ``path`` is no database that can be read; leave what lies there as it is.

    Before the live file is opened by :func:`opened`, whose end removes the WAL beside a file that is no database and may
    hold the only copy of the last commits (measured). With ``mode=ro`` it stays.
    """
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=wait, isolation_level=None)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as error:
            # A dead transaction must be taken back first, which a connection that may write does by itself.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
                raise


@contextmanager
def opened(path: Path, *, read_only: bool = False, wait: float = BUSY_SECONDS) -> Iterator[sqlite3.Connection]:
    """A connection in autocommit to the file ``path``, which exists; closed on leaving. Raises :class:`sqlite3.Error`.

    ``read_only`` lets no statement write. Django's SQL functions are there, because indexes, generated columns and
    constraints may call them.
    """
    # No mode=ro: it cannot take back a dead transaction, and leaves an empty WAL behind where it finds none.
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=wait, isolation_level=None, check_same_thread=False)
    with closing(connection):
        register_functions(connection)
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        yield connection


def copy_pages(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    *,
    wait: float,
    pages: int = COPY_PAGES,
    after_step: Callable[[int], None] | None = None,
) -> None:
    """Copy the whole database through the online backup API; ``target`` commits it with the last page.

    ``after_step`` gets the number of pages left; what it raises ends the copy and leaves ``target`` as it was. Raises
    :class:`sqlite3.OperationalError` when no page could be copied for ``wait`` seconds: by itself the API retries a
    lock that is held by another for ever (measured).
    """
    deadline = time.monotonic() + wait

    def on_progress(status: int, remaining: int, total: int) -> None:
        nonlocal deadline
        if status in (sqlite3.SQLITE_OK, sqlite3.SQLITE_DONE):
            if after_step is not None:
                after_step(remaining)
            deadline = time.monotonic() + wait
        elif time.monotonic() > deadline:
            raise sqlite3.OperationalError(f"other processes held the database for {wait:g} seconds")

    source.backup(target, pages=pages, progress=on_progress, sleep=0.01)


def first_fault(connection: sqlite3.Connection) -> str:
    """What SQLite's quick check finds first, empty where the file is whole.

    CHECK constraints are left out: a row that breaks one is the application's affair and no damage of the file.
    """
    try:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else str(found)


def rows_of(connection: sqlite3.Connection) -> dict[str, int]:
    """Exact rows per table, of one instant; SQLite's own tables, virtual ones and the marker's left out."""
    with _one_instant(connection):
        return {name: int(connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0]) for name in _tables(connection)}  # noqa: S608


def migrations_of(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Applied migrations per app, in the order of application; empty where the table is absent."""
    with _one_instant(connection):
        applied: dict[str, list[str]] = {}
        if "django_migrations" in _tables(connection):
            for app, name in connection.execute("SELECT app, name FROM django_migrations ORDER BY id"):
                applied.setdefault(app, []).append(name)
        return applied


def quoted(name: str) -> str:
    """``name`` as an identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'


def page_size_of(connection: sqlite3.Connection) -> int:
    """Bytes of a page."""
    return int(connection.execute("PRAGMA page_size").fetchone()[0])


def encoding_of(connection: sqlite3.Connection) -> str:
    """The text encoding: UTF-8, UTF-16le or UTF-16be."""
    return str(connection.execute("PRAGMA encoding").fetchone()[0])


def journal_mode(connection: sqlite3.Connection, mode: str) -> bool:
    """Set the journal mode (``wal``, ``delete``); whether it could be set. Raises where others hold the file."""
    return bool(connection.execute(f"PRAGMA journal_mode={mode}").fetchone()[0] == mode)


def write_marker(path: Path, operation: str) -> None:
    """Write into the file ``path`` that its data is what ``operation`` brings; durable when this returns."""
    with opened(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"CREATE TABLE IF NOT EXISTS {MARKER_TABLE} (operation text PRIMARY KEY, at text NOT NULL)")
        connection.execute(f"DELETE FROM {MARKER_TABLE}")  # noqa: S608  (a constant)
        connection.execute(f"INSERT INTO {MARKER_TABLE} VALUES (?, strftime('%Y-%m-%dT%H:%M:%SZ'))", (operation,))  # noqa: S608
        connection.execute("COMMIT")


def has_marker(path: Path, operation: str, *, wait: float) -> bool:
    """Whether the data in the file ``path`` came by ``operation``; False where there is no readable database.

    Raises :class:`sqlite3.Error` where it cannot be known (the file is locked, or the disk fails).
    """
    # An empty file is not even opened: SQLite would remove a WAL that was left beside it.
    if not path.exists() or not path.stat().st_size:
        return False
    try:
        look(path, wait=wait)
        with opened(path, read_only=True, wait=wait) as connection, _one_instant(connection):
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (MARKER_TABLE,)).fetchone():
                return False
            found = connection.execute(f"SELECT 1 FROM {MARKER_TABLE} WHERE operation = ?", (operation,)).fetchone()  # noqa: S608
            return found is not None
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in NO_DATABASE:
            return False
        raise


def checkpoint(connection: sqlite3.Connection) -> None:
    """Bring the WAL back into the database and shorten it, until others have not let go of it for :data:`CHECKPOINT_SECONDS`.

    The long part first, with nobody kept waiting. Shortening takes the write lock, and while a large WAL is cut at once readers that open
    connections wait as well (root's: they give the file its owner, measured at 0.2 s for 565 MB). So it is cut in pieces: as SQLite does
    by itself to ``journal_size_limit`` when a commit begins the WAL anew.
    """
    wal = Path(f"{connection.execute('PRAGMA database_list').fetchone()[2]}-wal")
    deadline = time.monotonic() + CHECKPOINT_SECONDS
    with suppress(sqlite3.Error, OSError):
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        connection.execute("PRAGMA busy_timeout=200")
        while (size := wal.stat().st_size) > WAL_PIECE and time.monotonic() < deadline:
            with suppress(sqlite3.Error):
                _commit_nothing(connection, size - WAL_PIECE)
            if wal.stat().st_size < size:
                deadline = time.monotonic() + CHECKPOINT_SECONDS
            else:
                time.sleep(0.01)
        # It fails at once while another process does a checkpoint of its own.
        while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < deadline:
            time.sleep(0.05)


def _commit_nothing(connection: sqlite3.Connection, limit: int) -> None:
    """Commit a page as it is, whereupon a WAL that nobody reads begins anew and is cut to ``limit`` bytes; then bring that page back."""
    connection.execute(f"PRAGMA journal_size_limit={limit}")
    with _one_instant(connection, "BEGIN IMMEDIATE"):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version={version}")
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def move_file(source: Path, target: Path, on_bytes: Callable[[int], object]) -> None:
    """Rename ``source`` to ``target``, or copy it where that is another file system; the file is private (0600)."""
    size = source.stat().st_size
    try:
        source.rename(target)
    except OSError:
        with source.open("rb") as reader, os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as writer:
            shutil.copyfileobj(reader, writer, 1024 * 1024)
    target.chmod(0o600)
    on_bytes(size)


def remove_file(path: Path) -> None:
    """Remove a database file that nobody uses and what stands beside it; no error where it is gone already."""
    for suffix in ("", *SIDE_FILES):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Make a file's content and name durable. Never the live file: see the top of this module."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


@contextmanager
def _one_instant(connection: sqlite3.Connection, begin: str = "BEGIN") -> Iterator[None]:
    """A transaction that is taken back at the end, unless the block has committed it."""
    connection.execute(begin)
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name")
    return [name for (name,) in found if not name.startswith("sqlite_") and name != MARKER_TABLE]
