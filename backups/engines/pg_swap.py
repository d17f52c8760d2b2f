"""The swap: two renames in one transaction between closing and opening the live name, and the way back from anywhere in it.

The server itself is the last gate: from the first ``ALLOW_CONNECTIONS false`` to the last ``true``, which is the commit
point, nobody can read, whatever the cache or another host believes. Every step asks the catalogue by OID which
database bears the live name, so the way back can be walked by a later process too, and twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql

from backups.conf import conf
from backups.engines.pg_catalog import DatabaseFacts, database_facts, end_sessions, execute, fetch, sessions_of
from backups.engines.pg_database import allow_connections
from backups.engines.pg_server import Connection, Server
from backups.exceptions import RestoreFailed, RestoreNotUndone
from backups.journal import Journal

__all__ = ["Swap", "settle_new", "settle_old", "swap_databases"]

FIRST_RENAME_MILLISECONDS = 10


@dataclass(frozen=True)
class Swap:
    """What a swap is about. ``live_oid`` is None where there is no live database; ``kept`` is the name that it will bear."""

    live: str
    live_oid: int | None
    shadow: str
    shadow_oid: int
    kept: str

    @classmethod
    def of(cls, journal: Journal) -> Swap:
        """The swap that the journal speaks of."""
        data = journal.database
        return cls(str(data["live"]), data["live_oid"], str(data["shadow"]), int(data["shadow_oid"]), str(data["kept"]))

    @property
    def for_undo(self) -> dict[str, object]:
        """What undo would use; nothing where there was no live database."""
        return {} if self.live_oid is None else {"database": self.kept, "oid": self.live_oid}


def swap_databases(
    connection: Connection, server: Server, swap: Swap, *, operation: str, on_close: Callable[[], None], switch_uploads: Callable[[], None]
) -> float:
    """Make the (closed) shadow live and return the milliseconds for which the server refused connections.

    Raises :class:`~backups.exceptions.RestoreFailed`, or what the callbacks raise, when everything is back as it was, and
    :class:`~backups.exceptions.RestoreNotUndone` where that could not be done.
    """
    _refuse_unendable(connection, swap)
    on_close()
    try:
        # The first two commits need not reach the disk by themselves: recovery asks the catalogue what has happened, and
        # the last one, which must, takes them along.
        execute(connection, "SET synchronous_commit = off")
        began = time.perf_counter()
        if swap.live_oid is not None:
            allow_connections(connection, swap.live, False)
            _end_all(connection, swap.live, swap.live_oid)
        _rename(connection, [(swap.live, swap.kept)] if swap.live_oid is not None else [], (swap.shadow, swap.live))
        switch_uploads()
        execute(connection, "SET synchronous_commit = on")
        allow_connections(connection, swap.live, True)
        ended = time.perf_counter()
        _ask(server, swap.live, operation=operation)
    except BaseException as error:
        _back(connection, server, swap, error)
        if isinstance(error, psycopg2.Error):
            raise RestoreFailed(f"The swap failed: {server.sentence(error)}") from error
        raise
    return (ended - began) * 1000


def _refuse_unendable(connection: Connection, swap: Swap) -> None:
    """Refuse before anything is closed where a session on the live database cannot be ended by this role."""
    if swap.live_oid is None:
        return
    stuck = [session for session in sessions_of(connection, swap.live_oid) if not session.may_end]
    if stuck:
        raise RestoreFailed(
            f"Sessions that this role may not end are connected to {swap.live}: {'; '.join(map(str, stuck))}.",
            next_step="Ask for them to be closed, then run the command again.",
        )


def _end_all(connection: Connection, name: str, oid: int) -> None:
    left = end_sessions(connection, lambda: sessions_of(connection, oid), seconds=conf.close_seconds)
    if left:
        raise RestoreFailed(
            f"Sessions on {name} did not end within {conf.close_seconds} seconds: {'; '.join(map(str, left))}.",
            next_step="Ask for them to be closed, then run the command again.",
        )


def _rename(connection: Connection, first: list[tuple[str, str]], last: tuple[str, str]) -> None:
    """Rename in one transaction: the live name never disappears.

    RENAME ends autovacuum in the database, and waits for it, and for sessions whose last traces are just being removed,
    in steps of 100 ms. So it is cut short and tried again, with more time at each turn.
    """
    deadline, milliseconds = time.monotonic() + conf.close_seconds, FIRST_RENAME_MILLISECONDS
    while True:
        execute(connection, "BEGIN")
        try:
            execute(connection, f"SET LOCAL statement_timeout = {milliseconds}")
            for old, new in [*first, last]:
                execute(connection, sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
            execute(connection, "SET LOCAL statement_timeout = 0")
            execute(connection, "COMMIT")
            return
        except BaseException as error:
            if not connection.closed:
                execute(connection, "ROLLBACK")
            if not isinstance(error, (psycopg2.errors.QueryCanceled, psycopg2.errors.ObjectInUse)) or time.monotonic() > deadline:
                raise
        milliseconds *= 2


def _ask(server: Server, live: str, *, operation: str) -> None:
    """One query over a new connection, as the next visitor's process will make it."""
    deadline = time.monotonic() + conf.close_seconds
    while True:
        try:
            with server.connection(live, operation=operation) as connection:
                fetch(connection, "SELECT 1")
                return
        except Exception:
            # All connections may be taken for a moment by those who waited.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _back(connection: Connection, server: Server, swap: Swap, error: BaseException) -> None:
    """Bring the old state back on the connection that holds the lock; raise RestoreNotUndone where that fails."""
    try:
        settle_old(connection, swap)
    except BaseException as second:
        reason = server.sentence(second) if isinstance(second, psycopg2.Error) else str(second)
        raise RestoreNotUndone(f"The swap failed ({server.sentence(error)}) and the way back too: {reason}") from error


def _facts(connection: Connection, oid: int | None) -> DatabaseFacts | None:
    return None if oid is None else database_facts(connection, oid=oid)


def settle_old(connection: Connection, swap: Swap) -> None:
    """Make sure that the old database bears the live name and accepts connections, from wherever a swap has stopped."""
    execute(connection, "ROLLBACK")
    execute(connection, "SET synchronous_commit = on")
    shadow = _facts(connection, swap.shadow_oid)
    if shadow is not None and shadow.name == swap.live:
        allow_connections(connection, swap.live, False)
        _end_all(connection, swap.live, shadow.oid)
        old = _facts(connection, swap.live_oid)
        # The shadow leaves the live name first, so that the old one can take it.
        away = (swap.live, swap.shadow)
        if old is None:
            _rename(connection, [], away)
        else:
            _rename(connection, [away], (old.name, swap.live))
    live = _facts(connection, swap.live_oid)
    if live is not None and live.name == swap.live and not live.accepts_connections:
        allow_connections(connection, swap.live, True)


def settle_new(connection: Connection, swap: Swap) -> None:
    """Make sure that the new database, which bears the live name, accepts connections, and the old one does not."""
    execute(connection, "SET synchronous_commit = on")
    live = database_facts(connection, name=swap.live)
    if live is None or live.oid != swap.shadow_oid:
        raise RestoreNotUndone(f"The restored database does not bear the name {swap.live}.")
    old = _facts(connection, swap.live_oid)
    if old is not None and old.accepts_connections:
        allow_connections(connection, old.name, False)
    if not live.accepts_connections:
        allow_connections(connection, swap.live, True)
