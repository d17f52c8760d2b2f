"""The engine for SQLite: the online backup API both ways, and a lock that ends with its holder."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from django.db import connections

from backups.conf import conf
from backups.engines.base import Engine, LiveState, Plan, Snapshot, Which
from backups.engines.process import end_children
from backups.engines.sqlite_aside import aside_bring_back, aside_put
from backups.engines.sqlite_file import (
    NO_DATABASE,
    encoding_of,
    file_of_setting,
    first_fault,
    has_marker,
    journal_mode,
    migrations_of,
    move_file,
    opened,
    page_size_of,
    quoted,
    remove_file,
    rows_of,
    sync_file,
)
from backups.engines.sqlite_live import live_encoding, live_is_readable, live_page_size, live_size, live_state_of
from backups.engines.sqlite_lock import is_file_locked, lock_held
from backups.engines.sqlite_snapshot import snapshot_taken
from backups.engines.sqlite_swap import SqliteSwap
from backups.exceptions import ArchiveRejected, BackupError, DatabaseDamaged, PreflightRefused, RestoreFailed, RestoreNotUndone
from backups.files import apply_owner
from backups.journal import Journal
from backups.manifest import DatabaseInfo
from backups.pace import Pace
from backups.progress import Progress

__all__ = ["SqliteEngine"]

MAGIC = b"SQLite format 3\0"
# Bytes on top of what the files will take: the WAL's frame headers, what migrations add, a little air.
HEADROOM_SHARE = 0.1
HEADROOM_BYTES = 16 * 1024 * 1024


class SqliteEngine(Engine):
    """Dump and restore of a SQLite file. Shadow, kept state and what was broken lie beside it, in the same folder."""

    vendor = "sqlite"
    member = "db.sqlite"

    def __init__(self, alias: str) -> None:
        """Find the live file of the database ``alias``; raises PreflightRefused for one in memory."""
        self._live = file_of_setting(connections[alias].settings_dict["NAME"])
        self._swap: SqliteSwap | None = None

    # --- the lock -----------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self, operation: str, *, wait: float = 0) -> Iterator[None]:
        """Hold ``flock`` on a file beside the live one (:mod:`backups.engines.sqlite_lock`); the operation is not named in it."""
        with lock_held(self._live, wait=wait):
            try:
                yield
            finally:
                self._end_swap()

    def is_locked(self) -> bool:
        """Whether some process holds the lock now (False where it cannot be asked)."""
        return is_file_locked(self._live)

    # --- the live database --------------------------------------------------------------------------------------

    def live_state(self) -> LiveState:
        """Look at the live file: whether it is there and its schema can be read (no check of all pages)."""
        return live_state_of(self._live)

    def rows(self, name: str | None = None) -> dict[str, int]:
        """Exact rows per table of one instant; ``name`` is the path of a shadow or kept file."""
        with self._reading(name) as connection:
            return rows_of(connection)

    def migrations(self, name: str | None = None) -> dict[str, list[str]]:
        """Applied migrations per app, in the order of application; empty where the table is absent."""
        with self._reading(name) as connection:
            return migrations_of(connection)

    def select(self, sql: str, params: tuple[object, ...] = (), *, name: str | None = None) -> list[tuple[object, ...]]:
        """Run one query; SQLite itself refuses what would write."""
        with self._reading(name) as connection:
            return connection.execute(sql % tuple("?" for _ in params) if params else sql, params).fetchall()

    @contextmanager
    def _reading(self, name: str | None) -> Iterator[sqlite3.Connection]:
        """The live file or ``name``, read only. Its schema may be whole and its pages damaged: found out here."""
        path = self._live if name is None else Path(name)
        try:
            with opened(path, read_only=True) as connection:
                yield connection
        except sqlite3.Error as error:
            is_damaged = error.sqlite_errorcode & 0xFF in NO_DATABASE
            error_class = RestoreFailed if name is not None else DatabaseDamaged if is_damaged else BackupError
            raise error_class(f"The database {path} cannot be read: {error}.") from error

    # --- create -------------------------------------------------------------------------------------------------

    def snapshot(self, journal: Journal, folder: Path, pace: Pace) -> AbstractContextManager[Snapshot]:
        """Copy the live file into ``folder`` through the online backup API and prove the copy."""
        return snapshot_taken(self._live, folder, self.member, pace)

    # --- restore ------------------------------------------------------------------------------------------------

    def plan_restore(self, database: DatabaseInfo, *, strategy: str = "auto", jobs: int = 1, dump_size: int = 0) -> Plan:
        """Refuse another vendor, strategy or text encoding, a folder that cannot be written, and too little disk."""
        if database.vendor != self.vendor:
            raise PreflightRefused(
                f"The archive holds a {database.vendor} database, and this site uses SQLite.",
                next_step=f"Restore it on a site whose DATABASE_URL names {database.vendor}.",
            )
        if strategy == "in-place":
            raise PreflightRefused(
                "SQLite has no strategy in-place: the restored database is always swapped in.",
                next_step="Run the command again without --strategy.",
            )
        free = self._free_bytes()
        self._refuse_encoding(database.encoding)
        plan = Plan(strategy="swap", tools={"sqlite": sqlite3.sqlite_version}, free_bytes=free)
        if _version(database.server_version) > _version(sqlite3.sqlite_version):
            plan.warnings.append(
                f"The archive was made with SQLite {database.server_version}, which is newer than {sqlite3.sqlite_version} here."
            )
        plan.needed_bytes = self._needed_bytes(dump_size or database.size)
        if free < plan.needed_bytes:
            raise PreflightRefused(
                f"The restore needs {plan.needed_bytes:,} bytes in {self._live.parent}, and {free:,} are free there.",
                next_step="Free some space there, then run the command again.",
            )
        return plan

    def inspect_dump(self, dump: Path, plan: Plan) -> None:
        """Refuse a file that is no whole SQLite database, or one in another text encoding than the live one."""
        with dump.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ArchiveRejected("The archive's dump is no SQLite database.")
        try:
            with opened(dump, read_only=True) as connection:
                fault, encoding = first_fault(connection), encoding_of(connection)
        except sqlite3.Error as error:
            raise ArchiveRejected(f"The archive's dump cannot be opened: {error}.") from error
        if fault:
            raise ArchiveRejected(f"The archive's dump is damaged: {fault}.")
        self._refuse_encoding(encoding)

    def archived_rows(self, dump: Path, table: str) -> Iterator[dict[str, str | None]]:
        """The rows of one table of the staged dump, as text per column (None for NULL); nothing where it is absent."""
        with opened(dump, read_only=True) as connection:
            columns = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
            if columns:
                as_text = ", ".join(f"CAST({quoted(name)} AS text)" for name in columns)
                for row in connection.execute(f"SELECT {as_text} FROM {quoted(table)}"):  # noqa: S608  (quoted)
                    yield dict(zip(columns, row, strict=True))

    def build_shadow(self, journal: Journal, dump: Path, plan: Plan, progress: Progress, pace: Pace) -> str:
        """Move ``dump`` beside the live file (0600), give it the live one's page size, and prove it."""
        shadow = self._beside("shadow", journal)
        journal.database.update(strategy="swap", shadow=str(shadow), adopted=False)
        journal.save()
        try:
            move_file(dump, shadow, progress.advance)
            apply_owner(shadow, self._live if self._live.exists() else self._live.parent)
            with opened(shadow) as connection:
                journal_mode(connection, "delete")
                self._take_page_size(connection)
                fault = first_fault(connection)
        except (OSError, sqlite3.Error) as error:
            raise RestoreFailed(f"The shadow {shadow} could not be made: {error}.") from error
        if fault:
            raise RestoreFailed(f"The shadow {shadow} is damaged: {fault}.")
        return str(shadow)

    def adopt_kept(self, journal: Journal, kept: dict[str, object]) -> str:
        """Use the kept file itself as the shadow."""
        path = Path(str(kept["path"]))
        if not path.is_file():
            raise RestoreFailed(f"The kept state {path} is gone.", next_step="Restore from an archive instead: manage.py backup_list")
        journal.database.update(strategy="swap", shadow=str(path), adopted=True)
        journal.save()
        return str(path)

    def finish_shadow(self, journal: Journal) -> list[str]:
        """Make the shadow one file again (migrating may have put it into WAL mode) and make it durable."""
        shadow = Path(journal.database["shadow"])
        try:
            with opened(shadow) as connection:
                if not journal_mode(connection, "delete"):
                    raise RestoreFailed(f"The shadow {shadow} is still in use by another process.")
            sync_file(shadow)
        except (OSError, sqlite3.Error) as error:
            raise RestoreFailed(f"The shadow {shadow} could not be finished: {error}.") from error
        return []

    def drain(self, seconds: float) -> int:
        """Wait for the writer: 1 where one holds the write lock after ``seconds``. Readers are in nobody's way."""
        if not live_is_readable(self._live):
            return 0
        with opened(self._live, wait=seconds) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return 1
            connection.execute("ROLLBACK")
        return 0

    def swap(self, journal: Journal, *, on_close: Callable[[], None], switch_uploads: Callable[[], None]) -> dict[str, object]:
        """Copy the shadow into the live file in one transaction (:class:`~backups.engines.sqlite_swap.SqliteSwap`).

        The uploads are switched right before the commit, so that a process killed in there leaves the old data, and
        recovery switches the uploads back. A live file that is no database is moved aside; then nothing is kept.
        """
        shadow = Path(journal.database["shadow"])
        kept = self._beside("before", journal) if live_is_readable(self._live) else None
        journal.database["kept"] = str(kept) if kept else ""
        journal.save()
        self._swap = SqliteSwap(journal.id, self._live, shadow, kept, conf.close_seconds)
        try:
            if kept is None:
                self._put_aside(journal, shadow)
            milliseconds = self._swap.run(on_close=on_close, switch_uploads=switch_uploads)
        except RestoreNotUndone:
            raise
        except BaseException:
            aside_bring_back(journal, self._live)
            raise
        return {
            "milliseconds_closed": milliseconds,
            "kept": {"path": str(kept)} if kept else {},
        }

    def discard_shadow(self, journal: Journal) -> None:
        """Remove the shadow; an adopted kept state stays."""
        self._end_swap()
        if journal.database.get("shadow") and not journal.database.get("adopted"):
            remove_file(Path(journal.database["shadow"]))

    def discard_kept(self, kept: dict[str, object]) -> None:
        """Remove a kept file; no error where it is gone already."""
        if kept:
            remove_file(Path(str(kept["path"])))

    def kept_size(self, kept: dict[str, object]) -> int | None:
        """Bytes of a kept file, or None where it is gone."""
        path = Path(str(kept.get("path", "")))
        return path.stat().st_size if path.is_file() else None

    # --- recovery -----------------------------------------------------------------------------------------------

    def end_leftovers(self, journal: Journal) -> None:
        """End the children of a dead operation and wait until none is left."""
        end_children(journal.id)

    def judge(self, journal: Journal) -> Which:
        """New where the live file holds the marker of this operation's swap: it came in the same transaction as the data."""
        try:
            return "new" if has_marker(self._live, journal.id, wait=conf.close_seconds) else "old"
        except sqlite3.Error as error:
            raise RestoreNotUndone(
                f"It cannot be known which data is live: {self._live} cannot be read: {error}.",
                state="Nothing was changed by this attempt.",
            ) from error

    def settle(self, journal: Journal, which: Which) -> dict[str, object]:
        """New: remove the shadow. Old: remove the half-made kept file and bring back what was moved aside."""
        kept = journal.database.get("kept", "")
        if which == "new":
            remove_file(Path(journal.database["shadow"]))
            return {"path": kept} if kept and Path(kept).is_file() else {}
        if kept:
            remove_file(Path(kept))
        aside_bring_back(journal, self._live)
        return {}

    # --- within -------------------------------------------------------------------------------------------------

    def _beside(self, word: str, journal: Journal) -> Path:
        return self._live.with_name(f"{self._live.stem}_{word}_{journal.short_id}{self._live.suffix}")

    def _end_swap(self) -> None:
        if self._swap is not None:
            self._swap.close()
            self._swap = None

    def _put_aside(self, journal: Journal, shadow: Path) -> None:
        try:
            with opened(shadow, read_only=True) as connection:
                page_size = page_size_of(connection)
            aside_put(journal, self._live, self._beside("broken", journal), page_size)
        except (OSError, sqlite3.Error) as error:
            raise RestoreFailed(f"{self._live} could not be moved aside: {error}.") from error

    def _refuse_encoding(self, encoding: str) -> None:
        if not live_is_readable(self._live, PreflightRefused):
            return
        live = live_encoding(self._live)
        if encoding != live:
            raise PreflightRefused(
                f"The archive's database is encoded in {encoding} and the live one in {live}; SQLite cannot change that in place.",
                next_step=f"Stop the site, move {self._live} away, then run the command again.",
            )

    def _take_page_size(self, connection: sqlite3.Connection) -> None:
        """Rewrite a shadow whose pages differ from the live file's: in WAL mode a page size cannot change."""
        if not live_is_readable(self._live):
            return
        size = live_page_size(self._live)
        if page_size_of(connection) != size:
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute(f"PRAGMA page_size={size}")
            connection.execute("VACUUM")
            journal_mode(connection, "delete")

    def _needed_bytes(self, dump_size: int) -> int:
        """Shadow, WAL (it grows to the shadow's size before it is brought back), growth of the live file, kept copy."""
        live = live_size(self._live)
        kept = live if live_is_readable(self._live, PreflightRefused) else 0
        growth = max(0, dump_size - live)
        return int((2 * dump_size + growth) * (1 + HEADROOM_SHARE)) + kept + HEADROOM_BYTES

    def _free_bytes(self) -> int:
        folder = self._live.parent
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise PreflightRefused(
                f"The folder {folder} of the database cannot be written.",
                next_step=f"Make it writable for the user with the id {os.geteuid()}, then run the command again.",
            )
        return shutil.disk_usage(folder).free


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
