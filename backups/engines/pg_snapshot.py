"""One instant of the live PostgreSQL database: exported once, counted here, and dumped by ``pg_dump --snapshot``."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from backups.engines.base import BATCH, Snapshot
from backups.engines.pg_catalog import (
    count_rows,
    execute,
    fetch,
    major_of,
    migrations_applied,
    present_extensions,
    server_version,
    user_tables,
)
from backups.engines.pg_server import Connection, Server
from backups.engines.pg_tools import LOCK_WAIT, dump_command, find_tools, supports_zstd
from backups.engines.process import Child, child
from backups.exceptions import DumpFailed, PreflightRefused
from backups.manifest import DatabaseInfo

__all__ = ["DUMP_FORMAT", "MEMBER", "PostgresSnapshot", "one_instant", "snapshot_open"]

MEMBER = "db.dump"
DUMP_FORMAT = "pg_dump-custom"
# Rows that a server-side cursor brings at a time.
ROWS_AT_ONCE = 10_000


@contextmanager
def one_instant(connection: Connection) -> Iterator[None]:
    """A read-only transaction in which every query sees the same instant."""
    connection.set_session(isolation_level=psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ, readonly=True, autocommit=False)
    try:
        yield
    finally:
        if not connection.closed:
            connection.rollback()
            connection.set_session(isolation_level="DEFAULT", readonly=False, autocommit=True)


class PostgresSnapshot(Snapshot):
    """Made by :func:`snapshot_open`, whose transaction holds the instant."""

    def __init__(self, connection: Connection, server: Server, *, operation: str) -> None:
        """Count and look up everything; the transaction must be open."""
        self._connection, self._server, self._operation = connection, server, operation
        # pg_dump waits as long as this for a table that a migration holds; the locks taken here last until the dump has its own,
        # so that no TRUNCATE, which is visible to every snapshot, comes between the count and the dump.
        execute(connection, f"SET LOCAL lock_timeout = {LOCK_WAIT}")
        version = server_version(connection)
        self._tools, self.warnings = find_tools(major_of(version))
        # Servers before 16 come with a pg_dump that knows zlib alone; the archive deflates faster than that.
        self.is_compressed = connection.server_version >= 160000 and supports_zstd(self._tools)
        self._exported = str(fetch(connection, "SELECT pg_catalog.pg_export_snapshot()")[0][0])
        encoding, size = fetch(
            connection,
            "SELECT pg_encoding_to_char(encoding), pg_database_size(oid) FROM pg_catalog.pg_database WHERE datname = current_database()",
        )[0]
        self._tables = user_tables(connection)
        self.rows = count_rows(connection, self._tables)
        self.migrations = migrations_applied(connection)
        self.database = DatabaseInfo(
            vendor="postgresql",
            member=MEMBER,
            dump_format=DUMP_FORMAT,
            server_version=version,
            client_version=self._tools.version,
            size=int(size),
            encoding=str(encoding),
            extensions=present_extensions(connection),
        )
        self._child: Child | None = None
        self._stopped = False

    def values(self, table: str, column: str) -> Iterator[str]:
        """Distinct values that are neither NULL nor empty, through a server-side cursor."""
        if table not in self._tables:
            return
        schema, name, _ = self._tables[table]
        found = fetch(
            self._connection,
            "SELECT FROM pg_catalog.pg_attribute WHERE attrelid = %s::regclass AND attname = %s AND attnum > 0 AND NOT attisdropped",
            (sql.Identifier(schema, name).as_string(self._connection), column),
        )
        if not found:
            return
        query = sql.SQL("SELECT DISTINCT {column} FROM {table} WHERE {column} <> ''").format(
            column=sql.Identifier(column), table=sql.Identifier(schema, name)
        )
        with self._connection.cursor(name="backups_values") as cursor:
            cursor.itersize = ROWS_AT_ONCE
            cursor.execute(query)
            for (value,) in cursor:
                yield str(value)

    def write_to(self, sink: Callable[[memoryview], object]) -> None:
        """Run ``pg_dump`` and hand its output on."""
        compress = "zstd:1" if self.is_compressed else "0"
        args, env = dump_command(self._tools, self._server, operation=self._operation, snapshot=self._exported, compress=compress)
        with child(args, env, operation=self._operation, stdout=subprocess.PIPE, secrets=self._server.secrets) as running:
            self._child = running
            if self._stopped:
                running.kill()
            # Full pieces in one buffer: a pipe gives what is there, and whatever is done with a piece costs as much for few bytes.
            buffer = memoryview(bytearray(BATCH))
            while count := _filled(running.stdout, buffer):
                sink(buffer[:count])
            if running.wait() != 0:
                raise DumpFailed("The dump was stopped." if self._stopped else running.failure())

    def stop(self) -> None:
        """Kill ``pg_dump``; :meth:`write_to` then raises."""
        self._stopped = True
        if self._child is not None:
            self._child.kill()


def _filled(pipe: IO[bytes], buffer: memoryview) -> int:
    """Read until ``buffer`` is full or the pipe ends; return how many bytes are in it."""
    filled = 0
    while filled < len(buffer) and (count := pipe.readinto(buffer[filled:])):  # type: ignore[attr-defined]
        filled += count
    return filled


@contextmanager
def snapshot_open(server: Server, *, operation: str) -> Iterator[PostgresSnapshot]:
    """Hold one instant of the live database.

    Raises PreflightRefused where the database cannot be reached or the tools do not fit, DumpFailed where it cannot be read.
    """
    with server.connection(server.live, operation=operation) as connection, one_instant(connection):
        try:
            snapshot = PostgresSnapshot(connection, server, operation=operation)
        except psycopg2.errors.InsufficientPrivilege as error:
            raise PreflightRefused(
                f"The database cannot be read whole: {server.sentence(error)}",
                next_step="Give the site's role the right to read every table, or make it their owner.",
            ) from error
        except psycopg2.Error as error:
            raise DumpFailed(f"The database cannot be read: {server.sentence(error)}") from error
        yield snapshot
