"""After a restore that was killed: what is left of it on the server is ended, what came of it judged, and settled."""

from __future__ import annotations

from psycopg2 import sql

from backups.engines.base import Which
from backups.engines.pg_catalog import DatabaseFacts, database_facts, end_sessions, execute, sessions_named
from backups.engines.pg_in_place import mark_of
from backups.engines.pg_server import Connection, Server, application_name
from backups.engines.pg_swap import Swap, settle_new, settle_old
from backups.exceptions import RestoreNotUndone
from backups.journal import Journal

__all__ = ["leftovers_end", "outcome_judge", "outcome_settle"]

# Seconds in which the sessions of a dead operation must end after they were told to.
LEFTOVER_SECONDS = 30.0


def leftovers_end(connection: Connection, journal: Journal) -> None:
    """End the operation's sessions. Raises :class:`~backups.exceptions.RestoreNotUndone` where they stay."""
    prefix = application_name(journal.id)
    left = end_sessions(connection, lambda: sessions_named(connection, prefix), seconds=LEFTOVER_SECONDS)
    if left:
        raise RestoreNotUndone(f"Sessions of the interrupted operation do not end: {'; '.join(map(str, left))}.")


def outcome_judge(live: DatabaseFacts | None, journal: Journal) -> Which:
    """Whether ``live``, the database that bears the live name, is the one from before the operation or the restored one.

    Raises :class:`~backups.exceptions.RestoreNotUndone` where it is neither, and uploads have been switched.
    """
    if live is None:
        return "old"
    if journal.database.get("strategy") == "in-place":
        settled: Which | None = journal.database.get("settled")
        return settled or ("new" if live.comment == mark_of(journal.id) else "old")
    if live.oid == journal.database.get("shadow_oid"):
        return "new"
    if live.oid != journal.database.get("live_oid") and "live" in journal.uploads:
        # Another host has swapped since, or an administrator: to switch these uploads back would tear what is live now.
        raise RestoreNotUndone(
            f"The database {live.name} is neither the one before this {journal.kind} nor the restored one: "
            "another host or an administrator has put it there since.",
            state="Nothing was changed by this attempt.",
            next_step="Look at the data; where it is right: manage.py backup_status --force-open",
        )
    return "old"


def outcome_settle(connection: Connection, server: Server, journal: Journal, which: Which) -> dict[str, object]:
    """Let ``which`` be live for good; returns what undo would use."""
    if journal.database.get("strategy") == "in-place":
        _settle_in_place(connection, server, journal, which)
        return {}
    if not journal.database.get("shadow_oid"):
        return {}
    swap = Swap.of(journal)
    if which == "old":
        settle_old(connection, swap)
        return {}
    settle_new(connection, swap)
    return swap.for_undo


def _settle_in_place(connection: Connection, server: Server, journal: Journal, which: Which) -> None:
    """Give the database the comment back that it had before."""
    live = database_facts(connection, name=server.live)
    # Recorded first: without the mark the database itself no longer tells.
    journal.database["settled"] = which
    journal.save()
    if live is not None and live.comment == mark_of(journal.id):
        comment = journal.database.get("comment")
        execute(connection, sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(live.name), sql.Literal(comment)))
