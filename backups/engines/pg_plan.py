"""Preflight on PostgreSQL: what the role may do, who is connected, which versions and extensions there are, and how much space."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from backups.engines.base import Plan
from backups.engines.pg_catalog import (
    DatabaseFacts,
    Role,
    database_facts,
    fetch,
    major_of,
    present_extensions,
    role_facts,
    server_version,
    sessions_of,
)
from backups.engines.pg_server import Connection, Server
from backups.engines.pg_tools import Tools, find_tools
from backups.exceptions import PreflightRefused
from backups.manifest import DatabaseInfo

__all__ = ["foreign_objects", "plan_make"]

# Seconds in which a session that cannot be ended may go by itself: monitoring comes and goes.
PATIENCE_SECONDS = 2.0
# Bytes per second that one transaction loads, with its indexes: for the estimate of an in-place restore alone.
LOAD_RATE = 15_000_000


@dataclass(frozen=True)
class _Situation:
    """What plan_make has found out about the server."""

    connection: Connection
    server: Server
    version: str
    role: Role
    live: DatabaseFacts | None


def plan_make(
    connection: Connection, server: Server, database: DatabaseInfo, *, strategy: str, jobs: int, dump_size: int
) -> tuple[Plan, Tools]:
    """Choose strategy and tools; see :meth:`~backups.engines.base.Engine.plan_restore`. Raises PreflightRefused."""
    if database.vendor != "postgresql":
        raise PreflightRefused(
            f"The archive holds a database of {database.vendor}, and this site runs on PostgreSQL.",
            next_step="Restore it on a site that runs on the same kind of database.",
        )
    if strategy not in {"auto", "swap", "in-place"}:
        raise PreflightRefused(f"There is no strategy {strategy}.", next_step="Use auto, swap or in-place.")
    version = server_version(connection)
    _refuse_older_server(version, database)
    found = _Situation(connection, server, version, role_facts(connection), database_facts(connection, name=server.live))
    tools, warnings = find_tools(major_of(version), at_least=major_of(database.client_version))
    chosen = _choose(found, database, strategy, warnings)
    if found.live is not None:
        _refuse_obstacles(found, found.live, chosen, warnings)
    size = max(database.size, dump_size)
    return (
        Plan(
            strategy="swap" if chosen == "swap" else "in-place",
            jobs=max(1, jobs),
            tools=tools.as_dict(),
            warnings=warnings,
            needed_bytes=size,
            free_bytes=_free_bytes(found),
            seconds_closed=0.1 if chosen == "swap" else round(1 + size / LOAD_RATE, 1),
        ),
        tools,
    )


def _refuse_older_server(version: str, database: DatabaseInfo) -> None:
    theirs, ours = major_of(database.server_version), major_of(version)
    if theirs > ours:
        raise PreflightRefused(
            f"The archive comes from PostgreSQL {database.server_version}, and this server is {version}: "
            "a dump cannot go back to an older server.",
            next_step=f"Install PostgreSQL {theirs} or newer (package postgresql-{theirs}), move the site's database there, "
            "then run the command again.",
        )


# --- the strategy -----------------------------------------------------------------------------------------------------


def _choose(found: _Situation, database: DatabaseInfo, strategy: str, warnings: list[str]) -> str:
    """``swap`` where the role may, else ``in-place`` with a warning; what the caller asks for is honoured or refused."""
    live, role = found.live, found.role
    if live is not None and not live.may_own:
        raise PreflightRefused(
            f"The role {role.name} does not own the database {live.name} ({live.owner} does), so it can neither be swapped nor replaced.",
            next_step=f'As a superuser: ALTER DATABASE "{live.name}" OWNER TO "{role.name}";',
        )
    if live is None and not role.may_create_databases:
        raise PreflightRefused(
            f"The database {found.server.live} does not exist, and the role {role.name} may not create one.",
            next_step=f'As a superuser: CREATE DATABASE "{found.server.live}" OWNER "{role.name}"; or ALTER ROLE "{role.name}" CREATEDB;',
        )
    _refuse_missing_extensions(found, database)
    obstacle = "" if role.may_create_databases else f"the role {role.name} may not create databases"
    remedy = f'ALTER ROLE "{role.name}" CREATEDB;'
    if not obstacle and (needed := _superuser_extensions(found, database)):
        obstacle = f"only a superuser can make the extension {', '.join(needed)} in a new database"
        remedy = f'ALTER ROLE "{role.name}" SUPERUSER; (for the time of the restore)'
    if strategy == "swap" and obstacle:
        raise PreflightRefused(
            f"A restore by swap is not possible: {obstacle}.", next_step=f"As a superuser: {remedy} Or use --strategy in-place."
        )
    if strategy == "in-place" or obstacle:
        if live is None:
            raise PreflightRefused(
                f"The database {found.server.live} does not exist, so nothing can be restored in place.",
                next_step=f'Create it: CREATE DATABASE "{found.server.live}" OWNER "{role.name}";',
            )
        if obstacle:
            warnings.append(
                f"The restore replaces the data in place, with the site closed for as long as the load takes, since {obstacle}. "
                f"For a swap within milliseconds, as a superuser: {remedy}"
            )
        _refuse_in_place(found, database)
        return "in-place"
    if live is None:
        warnings.append(f"The database {found.server.live} does not exist: it is made anew, and there is nothing to undo to.")
    return "swap"


def _refuse_missing_extensions(found: _Situation, database: DatabaseInfo) -> None:
    available = {name for (name,) in fetch(found.connection, "SELECT name FROM pg_catalog.pg_available_extensions")}
    missing = sorted(set(database.extensions) - available)
    if missing:
        raise PreflightRefused(
            f"The archive needs extensions that this server does not have: {', '.join(missing)}.",
            next_step=f"Install them on the server (often package postgresql-{major_of(found.version)}-NAME or postgresql-contrib), "
            "then run the command again.",
        )


def _superuser_extensions(found: _Situation, database: DatabaseInfo) -> list[str]:
    """Extensions of the archive that this role may not make in a new database."""
    if found.role.is_superuser:
        return []
    rows = fetch(
        found.connection,
        """
        SELECT v.name FROM pg_catalog.pg_available_extension_versions v JOIN pg_catalog.pg_available_extensions e
          ON e.name = v.name AND e.default_version = v.version
        WHERE v.superuser AND NOT v.trusted AND v.name <> 'plpgsql'
        """,
    )
    return sorted({name for (name,) in rows} & set(database.extensions))


def foreign_objects(connection: Connection) -> list[tuple[str, str]]:
    """Tables, views, sequences and functions outside of extensions that belong to roles this one cannot act as, with their owners.

    Parts of other objects do not count: the constructors of a range type belong to the server's first role. Each is named
    with its kind, as ``ALTER`` takes it: ``table public.t``, ``function public.f(integer)``.
    """
    rows = fetch(
        connection,
        """
        WITH objects (classid, objid, namespace, owner) AS (
            SELECT 'pg_catalog.pg_class'::regclass, oid, relnamespace, relowner FROM pg_catalog.pg_class
                WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
            UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, oid, pronamespace, proowner FROM pg_catalog.pg_proc
        )
        SELECT i.type || ' ' || i.identity, pg_get_userbyid(o.owner)
        FROM objects o JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace, pg_identify_object(o.classid, o.objid, 0) i
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND NOT pg_has_role(o.owner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                          WHERE d.classid = o.classid AND d.objid = o.objid AND d.objsubid = 0 AND d.deptype IN ('e', 'i'))
        ORDER BY i.type DESC, i.identity
        """,
    )
    return [(str(name), str(owner)) for name, owner in rows]


def _refuse_in_place(found: _Situation, database: DatabaseInfo) -> None:
    """In place, everything must be there that a superuser alone can make, and belong to us what is to be replaced."""
    with found.server.connection(found.server.live, operation="plan", readonly=True) as connection:
        absent = sorted(set(_superuser_extensions(found, database)) - set(present_extensions(connection)))
        foreign = foreign_objects(connection)
    if absent:
        raise PreflightRefused(
            f"The archive needs extensions that only a superuser can make: {', '.join(absent)}.",
            next_step=f'As a superuser, in the database {found.server.live}: CREATE EXTENSION "{absent[0]}";',
        )
    if foreign:
        first, owner = foreign[0]
        raise PreflightRefused(
            f"{len(foreign)} tables, views or functions belong to other roles and cannot be replaced in place, "
            f"first the {first} of {owner}.",
            next_step=f'As a superuser: ALTER {first} OWNER TO "{found.role.name}"; or give the role CREATEDB, so that it can swap.',
        )


# --- who and what is in the way ---------------------------------------------------------------------------------------


def _refuse_obstacles(found: _Situation, live: DatabaseFacts, strategy: str, warnings: list[str]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while stuck := [session for session in sessions_of(found.connection, live.oid) if not session.may_end]:
        if time.monotonic() > deadline:
            raise PreflightRefused(
                f"Sessions that the role {found.role.name} may not end are connected to {live.name}: {'; '.join(map(str, stuck))}.",
                next_step="Ask for them to be closed, or, as a superuser: "
                f'GRANT pg_signal_backend TO "{found.role.name}"; (this does not cover sessions of superusers)',
            )
        time.sleep(0.1)
    prepared = [gid for (gid,) in fetch(found.connection, "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = %s", (live.name,))]
    if prepared:
        raise PreflightRefused(
            f"Prepared transactions hold the database {live.name}: {', '.join(prepared)}.",
            next_step="End each with COMMIT PREPARED or ROLLBACK PREPARED, then run the command again.",
        )
    slots = fetch(found.connection, "SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE database = %s", (live.name,))
    if slots and strategy == "swap":
        names = ", ".join(str(name) for (name,) in slots)
        warnings.append(f"Logical replication slots stay with the old database: {names}. Make them anew after the restore.")


def _free_bytes(found: _Situation) -> int | None:
    """Free bytes on the disk of the live database; None where the role may not know its place, or it is another machine's."""
    if not found.server.is_local:
        return None
    rows = fetch(found.connection, "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'")
    if found.live is not None and found.live.tablespace != "pg_default":
        rows = fetch(
            found.connection,
            "SELECT pg_tablespace_location(oid) FROM pg_catalog.pg_tablespace WHERE spcname = %s",
            (found.live.tablespace,),
        )
    if not rows or not rows[0][0]:
        return None
    try:
        disk = os.statvfs(Path(rows[0][0]))
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize
