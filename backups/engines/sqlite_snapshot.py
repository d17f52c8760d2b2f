"""The snapshot of a SQLite database: a copy made by the online backup API, proven before anything is taken from it."""

from __future__ import annotations

import platform
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backups.engines.base import BATCH, Snapshot
from backups.engines.sqlite_file import (
    BUSY_SECONDS,
    copy_pages,
    encoding_of,
    first_fault,
    journal_mode,
    look,
    migrations_of,
    opened,
    quoted,
    remove_file,
    rows_of,
)
from backups.exceptions import DumpFailed
from backups.manifest import DatabaseInfo
from backups.pace import Pace, Step

__all__ = ["DUMP_FORMAT", "SqliteSnapshot", "snapshot_taken"]

DUMP_FORMAT = "sqlite3"


class SqliteSnapshot(Snapshot):
    """The copy in ``path``: one file, in no WAL mode, of one instant of the live database."""

    is_compressed = False

    def __init__(self, path: Path, member: str) -> None:
        """Read what the manifest says of the copy. Raises :class:`sqlite3.Error`."""
        self._path = path
        self._stopped = threading.Event()
        with opened(path, read_only=True) as connection:
            self.rows = rows_of(connection)
            self.migrations = migrations_of(connection)
            self.database = DatabaseInfo(
                vendor="sqlite",
                member=member,
                dump_format=DUMP_FORMAT,
                server_version=sqlite3.sqlite_version,
                client_version=f"Python {platform.python_version()}",
                size=path.stat().st_size,
                encoding=encoding_of(connection),
            )

    def values(self, table: str, column: str) -> Iterator[str]:
        """Distinct values of a text column that are neither NULL nor empty; nothing where table or column is absent."""
        with opened(self._path, read_only=True) as connection:
            columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
            if column in columns:
                name = quoted(column)
                query = f"SELECT DISTINCT {name} FROM {quoted(table)} WHERE {name} IS NOT NULL AND {name} <> ''"  # noqa: S608  (quoted)
                for (value,) in connection.execute(query):
                    yield value

    def write_to(self, sink: Callable[[memoryview], object]) -> None:
        """Hand the copy's bytes to ``sink``, in pieces of at most :data:`~backups.engines.base.BATCH` bytes."""
        buffer = memoryview(bytearray(BATCH))
        with self._path.open("rb", buffering=0) as file:
            while not self._stopped.is_set():
                count = file.readinto(buffer)
                if not count:
                    return
                sink(buffer[:count])
        raise DumpFailed("The dump was stopped.")

    def stop(self) -> None:
        """End :meth:`write_to` early, from any thread; it then raises."""
        self._stopped.set()


@contextmanager
def snapshot_taken(live: Path, folder: Path, member: str, pace: Pace) -> Iterator[SqliteSnapshot]:
    """Copy the file ``live`` into ``folder``, prove the copy beside what is done with it, and remove it on leaving.

    Raises :class:`~backups.exceptions.DumpFailed` where there is nothing to copy or, at the latest on leaving, where the data is
    damaged: an archive of a broken database would be found out when it is needed.
    """
    path = folder / member
    if not live.is_file():
        raise DumpFailed(f"There is no database at {live}.", next_step="Look at DATABASE_URL, or restore an archive: manage.py backup_list")
    try:
        pace.run(lambda: _copy(live, path, pace))
        with _proving(live, path, pace):
            yield SqliteSnapshot(path, member)
    finally:
        remove_file(path)


def _copy(live: Path, path: Path, pace: Pace) -> None:
    path.touch(mode=0o600, exist_ok=False)
    try:
        look(live, wait=BUSY_SECONDS)
        with opened(live, read_only=True) as source, opened(path) as target:
            # Nothing of this needs to survive a crash of the machine: without an archive the copy is worth nothing.
            target.execute("PRAGMA synchronous=OFF")
            # A read transaction holds the instant; else every commit of another process would start the copy over.
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            # Without a limit: the log of changes grows for as long as that transaction lasts.
            copy_pages(source, target, wait=BUSY_SECONDS, after_step=lambda left: pace.check())
            source.execute("ROLLBACK")
            journal_mode(target, "delete")
    except sqlite3.Error as error:
        is_full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        raise DumpFailed(
            f"The database {live} could not be copied: {error}.",
            next_step=f"Free some space in {path.parent.parent}, then run backup_create again." if is_full else "",
        ) from error


@contextmanager
def _proving(live: Path, path: Path, pace: Pace) -> Iterator[None]:
    """Look for a fault in the copy ``path`` beside the block: it takes longer than the copying did, and as long as the archiving.

    What goes wrong in the block because of a fault is told as that fault.
    """
    with opened(path, read_only=True) as connection:
        proof = Step(pace, lambda: first_fault(connection), name="backups-proof")
        try:
            proof.start()
            try:
                yield
            except sqlite3.Error as error:
                if fault := proof.result():
                    raise _damaged(live, fault) from error
                raise DumpFailed(f"The copy of the database {live} cannot be read: {error}.") from error
            fault = proof.result()
        except BaseException:
            connection.interrupt()
            proof.abandon()
            raise
    if fault:
        raise _damaged(live, fault)


def _damaged(live: Path, fault: str) -> DumpFailed:
    return DumpFailed(f"The database {live} is damaged: {fault}.", next_step="Restore the newest good archive: manage.py backup_list")
