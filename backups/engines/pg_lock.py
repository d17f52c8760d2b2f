"""The lock: an advisory lock on the maintenance connection, which also executes the swap.

The server frees it when the connection ends, however the process died (0.1 ms after ``kill -9``, measured); and who has
lost the connection has lost the lock, and with it the only means to swap.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2

from backups.engines.pg_catalog import fetch
from backups.engines.pg_server import Connection, Server
from backups.exceptions import OperationLocked, PreflightRefused, RestoreFailed

__all__ = ["Lock", "is_locked", "lock_hold", "lock_key"]

POLL_SECONDS = 0.1


def lock_key(live: str) -> int:
    """The advisory lock's key (a signed 64-bit number) for the live database of that name: other sites share the server."""
    return int.from_bytes(hashlib.sha256(f"backups:{live}".encode()).digest()[:8], "big", signed=True)


class Lock:
    """The lock as it is held: the connection and the server process behind it."""

    def __init__(self, connection: Connection, server: Server) -> None:
        """Remember which server process holds the lock."""
        self.connection, self._server = connection, server
        self.pid = connection.info.backend_pid

    def require(self) -> Connection:
        """The connection, provided that it is still the one that holds the lock; else RestoreFailed."""
        try:
            held = not self.connection.closed and fetch(self.connection, "SELECT pg_backend_pid()")[0][0] == self.pid
        except psycopg2.Error:
            held = False
        if not held:
            raise RestoreFailed("The connection that holds the lock was lost, so nothing more is changed.")
        return self.connection


@contextmanager
def lock_hold(server: Server, *, operation: str, wait: float) -> Iterator[Lock]:
    """Hold the lock, asking for it during at most ``wait`` seconds."""
    with server.connection(server.maintenance, operation=operation) as connection:
        # A pooler invents the number that it tells at connecting, and shares the real session with others.
        if fetch(connection, "SELECT pg_backend_pid()")[0][0] != connection.info.backend_pid:
            raise PreflightRefused(
                "A connection pooler stands between the site and the server, so the lock cannot be held.",
                next_step="Set BACKUPS_MAINTENANCE_URL to the server itself, e.g. postgres://role:password@db:5432/postgres.",
            )
        # An operation that waits for its children for hours must not be cut off by a firewall, nor hold the lock after a power cut.
        for name, value in (("tcp_keepalives_idle", "30"), ("tcp_keepalives_interval", "10"), ("tcp_keepalives_count", "3")):
            fetch(connection, "SELECT set_config(%s, %s, false)", (name, value))
        deadline = time.monotonic() + wait
        while not fetch(connection, "SELECT pg_catalog.pg_try_advisory_lock(%s)", (lock_key(server.live),))[0][0]:
            left = deadline - time.monotonic()
            if left <= 0:
                raise OperationLocked(f"The lock of {server.live} is held by {_holder(connection, server)}.")
            time.sleep(min(POLL_SECONDS, left))
        try:
            yield Lock(connection, server)
        finally:
            # The server may take its time to end a session that was closed, and who comes next would be refused meanwhile.
            with suppress(psycopg2.Error):
                fetch(connection, "SELECT pg_catalog.pg_advisory_unlock(%s)", (lock_key(server.live),))


_HOLDERS = """
    SELECT l.pid, coalesce(nullif(a.application_name, ''), 'another session')
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND l.classid = ((%(key)s::bigint >> 32) & 4294967295)::oid AND l.objid = (%(key)s::bigint & 4294967295)::oid
"""


def _holders(connection: Connection, server: Server) -> list[tuple[int, str]]:
    return [(int(pid), str(name)) for pid, name in fetch(connection, _HOLDERS, {"key": lock_key(server.live)})]


def _holder(connection: Connection, server: Server) -> str:
    found = _holders(connection, server)
    return f"{found[0][1]} (server process {found[0][0]})" if found else "another operation"


def is_locked(server: Server, *, operation: str) -> bool:
    """Whether some session holds the lock now."""
    with server.connection(server.maintenance, operation=operation, readonly=True) as connection:
        return bool(_holders(connection, server))
