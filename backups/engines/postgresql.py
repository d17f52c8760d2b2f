"""The engine of PostgreSQL: see :class:`~backups.engines.base.Engine` for what each method owes.

``journal.database`` holds ``live`` (the name), ``live_oid``, ``shadow``, ``shadow_oid``, ``kept`` (the name that the old
database bears after the swap) and, for an undo, ``adopted``. For the strategy in-place it holds ``strategy``, the
``comment`` that the database had before, and ``settled``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import monotonic, sleep

import psycopg2
from django.db import DEFAULT_DB_ALIAS

from backups.conf import conf
from backups.engines.base import Engine, LiveState, Plan, Snapshot, Which
from backups.engines.pg_catalog import (
    DatabaseFacts,
    count_rows,
    database_facts,
    execute,
    fetch,
    major_of,
    migrations_applied,
    present_extensions,
    server_version,
    user_tables,
)
from backups.engines.pg_contents import contents_inspect, contents_read, contents_rows
from backups.engines.pg_database import (
    close_database,
    copy_access,
    copy_settings,
    create_database,
    drop_database,
    open_for_owner,
    sibling_name,
)
from backups.engines.pg_in_place import load_in_place, mark_of, remaining_schemas
from backups.engines.pg_load import SizeWatch, load_shadow
from backups.engines.pg_lock import Lock, is_locked, lock_hold
from backups.engines.pg_plan import plan_make
from backups.engines.pg_recovery import leftovers_end, outcome_judge, outcome_settle
from backups.engines.pg_server import Connection, Server, failing_as, server_for
from backups.engines.pg_snapshot import MEMBER, one_instant, snapshot_open
from backups.engines.pg_swap import Swap, swap_databases
from backups.engines.pg_tools import Tools, find_tools
from backups.engines.process import end_children
from backups.exceptions import BackupError, DatabaseDamaged, PreflightRefused, RestoreFailed, RestoreNotUndone
from backups.journal import Journal
from backups.manifest import DatabaseInfo
from backups.pace import Pace
from backups.progress import Progress

__all__ = ["PostgresEngine"]

DRAIN_POLL_SECONDS = 0.02
READ_LOCK_MILLISECONDS = 10_000
# SQLSTATE classes 58 (system error: a file is gone, the disk fails) and XX (damaged data or catalogues); manual, appendix A.
DAMAGE = ("58", "XX")


class PostgresEngine(Engine):
    """Dump and restore of one PostgreSQL database; makes no connection until it is used."""

    vendor = "postgresql"
    member = MEMBER
    loads_slowly = True

    def __init__(self, alias: str = DEFAULT_DB_ALIAS) -> None:
        """``alias`` is the live database's in ``DATABASES``."""
        self._alias = alias
        self._found_server: Server | None = None
        self._lock: Lock | None = None
        self._operation = "look"
        self._tools: Tools | None = None
        self._dump_info: DatabaseInfo | None = None

    @property
    def _server(self) -> Server:
        if self._found_server is None:
            self._found_server = server_for(self._alias)
        return self._found_server

    @contextmanager
    def _maintenance(self) -> Iterator[Connection]:
        """The connection that holds the lock, or one for the moment where no lock is held."""
        if self._lock is not None:
            yield self._lock.require()
            return
        with self._server.connection(self._server.maintenance, operation=self._operation) as connection:
            yield connection

    # --- the lock -----------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self, operation: str, *, wait: float = 0) -> Iterator[None]:
        """An advisory lock on the maintenance connection, keyed by the live database's name."""
        with lock_hold(self._server, operation=operation, wait=wait) as lock:
            self._lock, self._operation = lock, operation
            try:
                yield
            finally:
                self._lock = None

    def is_locked(self) -> bool:
        """Whether some session holds the lock; False where the server cannot be asked."""
        try:
            return is_locked(self._server, operation=self._operation)
        except (BackupError, psycopg2.Error):
            return False

    # --- the live database --------------------------------------------------------------------------------------

    def live_state(self) -> LiveState:
        """Look at the live database."""
        try:
            with self._reading(None) as connection:
                version = server_version(connection)
                size = int(fetch(connection, "SELECT pg_database_size(current_database())")[0][0])
                if not user_tables(connection):
                    return LiveState("empty", f"The database {self._server.live} has no tables.", version, size)
                return LiveState("ok", f"The database {self._server.live} at {self._server.address}.", version, size)
        except BackupError as error:
            return self._absent_state(error.message)
        except psycopg2.Error as error:
            return LiveState("broken", self._server.sentence(error))
        except Exception as error:  # noqa: BLE001  (the contract: whatever is wrong, it is told and not raised)
            return LiveState("broken", f"{type(error).__name__}: {error}")

    def _absent_state(self, reason: str) -> LiveState:
        """Why the live database could not be entered: it does not exist, is closed, or the server said no."""
        try:
            with self._maintenance() as connection:
                version = server_version(connection)
                facts = database_facts(connection, name=self._server.live)
        except (BackupError, psycopg2.Error):
            return LiveState("broken", reason)
        if facts is None:
            return LiveState("missing", f"There is no database {self._server.live} at {self._server.address}.", version)
        if not facts.accepts_connections:
            return LiveState("broken", f"The database {self._server.live} is closed (ALLOW_CONNECTIONS false).", version)
        return LiveState("broken", reason, version)

    @contextmanager
    def _reading(self, name: str | None) -> Iterator[Connection]:
        """A read-only connection to the live database or the one named."""
        with self._server.connection(name or self._server.live, operation=self._operation, readonly=True) as connection:
            # A table that a stuck migration holds must not keep us waiting for ever.
            execute(connection, f"SET lock_timeout = {READ_LOCK_MILLISECONDS}")
            try:
                yield connection
            except psycopg2.Error as error:
                if (error.pgcode or "").startswith(DAMAGE):
                    raise DatabaseDamaged(f"The database {name or self._server.live} is damaged: {self._server.sentence(error)}") from error
                raise

    def rows(self, name: str | None = None) -> dict[str, int]:
        """Exact rows per table, of one instant."""
        with failing_as(BackupError, self._server), self._reading(name) as connection, one_instant(connection):
            return count_rows(connection, user_tables(connection))

    def migrations(self, name: str | None = None) -> dict[str, list[str]]:
        """Applied migrations per app."""
        with failing_as(BackupError, self._server), self._reading(name) as connection:
            return migrations_applied(connection)

    def select(self, sql: str, params: tuple[object, ...] = (), *, name: str | None = None) -> list[tuple[object, ...]]:
        """Run one read-only query; BackupError with the server's sentence where it fails."""
        with failing_as(BackupError, self._server), self._reading(name) as connection:
            return fetch(connection, sql, params or None)

    # --- create -------------------------------------------------------------------------------------------------

    def snapshot(self, journal: Journal, folder: Path, pace: Pace) -> AbstractContextManager[Snapshot]:
        """An exported snapshot; neither ``folder`` nor ``pace`` is used, the dump streams."""
        return snapshot_open(self._server, operation=journal.id)

    # --- restore: before ----------------------------------------------------------------------------------------

    def plan_restore(self, database: DatabaseInfo, *, strategy: str = "auto", jobs: int = 1, dump_size: int = 0) -> Plan:
        """Check role, sessions, versions, extensions and space."""
        with failing_as(PreflightRefused, self._server), self._maintenance() as connection:
            plan, self._tools = plan_make(connection, self._server, database, strategy=strategy, jobs=jobs, dump_size=dump_size)
        self._dump_info = database
        return plan

    def _tools_for(self, connection: Connection) -> Tools:
        """The tools of the plan; found again where another process had made it."""
        if self._tools is None:
            self._tools, _ = find_tools(major_of(server_version(connection)))
        return self._tools

    def inspect_dump(self, dump: Path, plan: Plan) -> None:
        """Read the dump's table of contents."""
        with self._maintenance() as connection:
            tools, version = self._tools_for(connection), server_version(connection)
        contents = contents_inspect(tools, dump, server_version=version, operation=self._operation)
        plan.warnings.extend(f"Left out: {what}. Make it anew after the restore, where it is needed." for what in contents.left_out())

    def archived_rows(self, dump: Path, table: str) -> Iterator[dict[str, str | None]]:
        """Rows of one table from the dump, through ``pg_restore`` printing that table's COPY block."""
        with self._maintenance() as connection:
            tools = self._tools_for(connection)
        return contents_rows(tools, dump, table, operation=self._operation)

    # --- restore: the shadow ------------------------------------------------------------------------------------

    def build_shadow(self, journal: Journal, dump: Path, plan: Plan, progress: Progress, pace: Pace) -> str:
        """Create the shadow and load it; ``progress`` advances by the dump's bytes, in proportion to the shadow's size on disk."""
        name = sibling_name(self._server.live, "shadow", journal.short_id)
        with failing_as(RestoreFailed, self._server), self._maintenance() as connection:
            tools, major = self._tools_for(connection), major_of(server_version(connection))
            live = database_facts(connection, name=self._server.live)
            if database_facts(connection, name=name) is not None:
                raise RestoreFailed(f"There is a database {name} already; it is none of this operation.")
            self._record(journal, live, shadow=name, shadow_oid=None, adopted=False)
            encoding = self._dump_info.encoding if self._dump_info else "UTF8"
            for warning in create_database(connection, name, live, encoding=encoding):
                progress.warn(warning)
            shadow = self._require(connection, name=name)
            journal.database["shadow_oid"] = shadow.oid
            journal.save()
            contents = contents_read(tools, dump, operation=self._operation)
            expected = self._dump_info.size if self._dump_info else 0
            with SizeWatch(self._server, name, expected=expected, total=dump.stat().st_size, operation=journal.id, progress=progress):
                warnings = load_shadow(
                    self._server, tools, dump, contents, name, server_major=major, jobs=plan.jobs, operation=journal.id, pace=pace
                )
        for warning in warnings:
            progress.warn(warning)
        return name

    def _record(self, journal: Journal, live: DatabaseFacts | None, *, shadow: str, shadow_oid: int | None, adopted: bool) -> None:
        """Save what recovery needs before the shadow exists."""
        journal.database.update(
            live=self._server.live,
            live_oid=live.oid if live else None,
            shadow=shadow,
            shadow_oid=shadow_oid,
            kept=sibling_name(self._server.live, "before", journal.short_id),
            adopted=adopted,
        )
        journal.save()

    @staticmethod
    def _require(connection: Connection, *, name: str) -> DatabaseFacts:
        facts = database_facts(connection, name=name)
        if facts is None:
            raise RestoreFailed(f"The database {name} is gone.")
        return facts

    def adopt_kept(self, journal: Journal, kept: dict[str, object]) -> str:
        """Open the kept database for its owner alone."""
        with failing_as(RestoreFailed, self._server), self._maintenance() as connection:
            facts = _kept_facts(connection, kept)
            if facts is None:
                raise RestoreFailed(f"The kept database {kept.get('database')} is gone, so there is nothing to undo to.")
            live = database_facts(connection, name=self._server.live)
            self._record(journal, live, shadow=facts.name, shadow_oid=facts.oid, adopted=True)
            open_for_owner(connection, facts)
            return facts.name

    def finish_shadow(self, journal: Journal) -> list[str]:
        """Close the shadow for good, then give it the live one's settings and rights."""
        name = str(journal.database["shadow"])
        with failing_as(RestoreFailed, self._server), self._maintenance() as connection:
            shadow, live = self._require(connection, name=name), database_facts(connection, name=self._server.live)
            # What commits from here on takes everything that was loaded without waiting for the disk along.
            execute(connection, "SET synchronous_commit = on")
            left = close_database(connection, shadow, seconds=conf.close_seconds)
            if left:
                raise RestoreFailed(f"Sessions on the shadow {name} do not end: {'; '.join(map(str, left))}.")
            warnings = copy_settings(connection, live, shadow) if live else []
            return warnings + copy_access(connection, live, shadow)

    def drain(self, seconds: float) -> int:
        """Wait for transactions that were open when this was called, as far as this role can see them."""
        query = """
            SELECT count(*) FROM pg_catalog.pg_stat_activity
            WHERE datname = %s AND xact_start < %s AND pid <> pg_backend_pid() AND NOT starts_with(application_name, 'backups:')
        """
        with failing_as(BackupError, self._server), self._maintenance() as connection:
            began = fetch(connection, "SELECT clock_timestamp()")[0][0]
            deadline = monotonic() + seconds
            while True:
                left = int(fetch(connection, query, (self._server.live, began))[0][0])
                if not left or monotonic() >= deadline:
                    return left
                sleep(DRAIN_POLL_SECONDS)

    # --- restore: the swap --------------------------------------------------------------------------------------

    def swap(self, journal: Journal, *, on_close: Callable[[], None], switch_uploads: Callable[[], None]) -> dict[str, object]:
        """Swap on the connection that holds the lock."""
        if self._lock is None:
            raise RestoreFailed("The swap needs the lock.")
        swap = Swap.of(journal)
        with failing_as(RestoreFailed, self._server):
            connection = self._lock.require()
            shadow = self._require(connection, name=swap.shadow)
            if shadow.oid != swap.shadow_oid:
                raise RestoreFailed(f"The database {swap.shadow} is not the one that was built.")
            live = database_facts(connection, name=swap.live)
            if (live.oid if live else None) != swap.live_oid:
                raise RestoreFailed(f"The database {swap.live} is not the one that the restore began with.")
            if shadow.accepts_connections:
                close_database(connection, shadow, seconds=conf.close_seconds)
            journal.save()
            milliseconds = swap_databases(
                connection, self._server, swap, operation=journal.id, on_close=on_close, switch_uploads=switch_uploads
            )
        return {"milliseconds_closed": milliseconds, "kept": swap.for_undo}

    def load_in_place(
        self,
        journal: Journal,
        dump: Path,
        plan: Plan,
        progress: Progress,
        *,
        expected: Mapping[str, int],
        on_close: Callable[[], None],
    ) -> None:
        """One transaction on the live database.

        What the service does around it: a safety archive before; the gate closed from ``on_close`` until after
        :meth:`settle`; afterwards migrate, and where that fails load the safety archive in the same way. ``settle`` gives
        the database its comment back, which until then is the mark that :meth:`judge` reads.
        """
        with failing_as(RestoreFailed, self._server), self._maintenance() as connection:
            tools, major = self._tools_for(connection), major_of(server_version(connection))
            live = self._require(connection, name=self._server.live)
            journal.database.pop("settled", None)
            if live.comment != mark_of(journal.id):
                journal.database["comment"] = live.comment
            journal.database.update(strategy="in-place", live=live.name, live_oid=live.oid)
            journal.save()
            contents = contents_read(tools, dump, operation=self._operation)
            with self._reading(None) as inside:
                extensions, schemas = set(present_extensions(inside)), remaining_schemas(inside)
            on_close()
            load_in_place(
                connection,
                self._server,
                tools,
                dump,
                contents,
                extensions_present=extensions,
                schemas_present=schemas,
                expected=expected,
                server_major=major,
                operation=journal.id,
                progress=progress,
            )

    def discard_shadow(self, journal: Journal) -> None:
        """Drop the shadow, or close an adopted kept state again; never touches what bears the live name."""
        name, oid = journal.database.get("shadow"), journal.database.get("shadow_oid")
        if not name:
            return
        with failing_as(BackupError, self._server), self._maintenance() as connection:
            facts = database_facts(connection, name=str(name))
            if facts is None or facts.name == self._server.live or (oid is not None and facts.oid != oid):
                return
            if journal.database.get("adopted"):
                close_database(connection, facts, seconds=conf.close_seconds)
            else:
                drop_database(connection, facts)

    def discard_kept(self, kept: dict[str, object]) -> None:
        """Drop a kept database."""
        with failing_as(BackupError, self._server), self._maintenance() as connection:
            facts = _kept_facts(connection, kept)
            if facts is not None and facts.name != self._server.live:
                drop_database(connection, facts)

    def kept_size(self, kept: dict[str, object]) -> int | None:
        """Bytes of a kept database."""
        with failing_as(BackupError, self._server), self._maintenance() as connection:
            facts = _kept_facts(connection, kept)
            return None if facts is None else int(fetch(connection, "SELECT pg_database_size(%s::oid)", (facts.oid,))[0][0])

    # --- recovery -----------------------------------------------------------------------------------------------

    def end_leftovers(self, journal: Journal) -> None:
        """End the operation's children here, then its sessions on the server, whatever machine they come from."""
        end_children(journal.id)
        with failing_as(RestoreNotUndone, self._server), self._maintenance() as connection:
            leftovers_end(connection, journal)

    def judge(self, journal: Journal) -> Which:
        """By the OID of the database that bears the live name; in place, by the mark on it."""
        with failing_as(RestoreNotUndone, self._server), self._maintenance() as connection:
            return outcome_judge(database_facts(connection, name=self._server.live), journal)

    def settle(self, journal: Journal, which: Which) -> dict[str, object]:
        """Open the database that bears the live name, after swapping back where ``which`` asks for it."""
        with failing_as(RestoreNotUndone, self._server), self._maintenance() as connection:
            return outcome_settle(connection, self._server, journal, which)


def _kept_facts(connection: Connection, kept: dict[str, object]) -> DatabaseFacts | None:
    """The kept database, provided that name and OID still belong together."""
    facts = database_facts(connection, name=str(kept["database"])) if kept else None
    return facts if facts is not None and facts.oid == kept["oid"] else None
