"""What the engine reads from PostgreSQL's catalogues: rows, migrations, databases, roles, sessions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from backups.engines.pg_server import Connection

__all__ = [
    "DatabaseFacts",
    "Role",
    "Session",
    "count_rows",
    "database_facts",
    "end_sessions",
    "execute",
    "fetch",
    "major_of",
    "migrations_applied",
    "present_extensions",
    "role_facts",
    "server_version",
    "sessions_named",
    "sessions_of",
    "user_tables",
]

# Tables counted in one statement: one round trip, and a plan of bounded size.
TABLES_PER_QUERY = 200


def fetch(
    connection: Connection, query: str | sql.Composable, params: Sequence[object] | Mapping[str, object] | None = None
) -> list[tuple[Any, ...]]:
    """Rows of one query."""
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall()


def execute(connection: Connection, statement: str | sql.Composable, params: tuple[object, ...] | None = None) -> None:
    """Run one statement without result."""
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def server_version(connection: Connection) -> str:
    """The server's version without the packager's words, such as ``15.14``."""
    return str(fetch(connection, "SHOW server_version")[0][0]).split()[0]


def major_of(version: str) -> int:
    """The major of ``15.14``, ``17beta1`` or ``18``; 0 where there is none."""
    digits = ""
    for sign in version.strip():
        if not sign.isdigit():
            break
        digits += sign
    return int(digits or 0)


def user_tables(connection: Connection) -> dict[str, tuple[str, str, bool]]:
    """The tables whose rows are counted: key (``items``, or ``schema.items`` outside of public) to schema, name, partitioned.

    A partition is counted within its parent. Tables of extensions are the extension's.
    """
    rows = fetch(
        connection,
        """
        SELECT n.nspname, c.relname, c.relkind = 'p'
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
          AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                          WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
        ORDER BY 1, 2
        """,
    )
    return {name if schema == "public" else f"{schema}.{name}": (schema, name, partitioned) for schema, name, partitioned in rows}


def count_rows(connection: Connection, tables: dict[str, tuple[str, str, bool]]) -> dict[str, int]:
    """Exact rows of each table; of one instant where the connection's transaction is REPEATABLE READ."""
    counted: dict[str, int] = {}
    keys = list(tables)
    for start in range(0, len(keys), TABLES_PER_QUERY):
        query = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, count(*) FROM {} {}").format(
                sql.Literal(key),
                # A table's own rows only: those of a table that inherits from it are counted there.
                sql.SQL("") if tables[key][2] else sql.SQL("ONLY"),
                sql.Identifier(*tables[key][:2]),
            )
            for key in keys[start : start + TABLES_PER_QUERY]
        )
        counted.update({str(key): int(count) for key, count in fetch(connection, query)})
    return counted


def migrations_applied(connection: Connection) -> dict[str, list[str]]:
    """Applied migrations per app in the order of application; empty where there is no table of them."""
    if fetch(connection, "SELECT pg_catalog.to_regclass('django_migrations')")[0][0] is None:
        return {}
    applied: dict[str, list[str]] = {}
    for app, name in fetch(connection, "SELECT app, name FROM django_migrations ORDER BY id"):
        applied.setdefault(app, []).append(name)
    return applied


def present_extensions(connection: Connection) -> dict[str, str]:
    """Installed extensions: name to version."""
    return dict(fetch(connection, "SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY 1"))


# --- databases and roles ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DatabaseFacts:
    """One row of ``pg_database``, with what must be the same in a database that takes its place."""

    oid: int
    name: str
    owner: str
    encoding: str
    collate: str
    ctype: str
    provider: str
    locale: str | None
    icu_rules: str | None
    tablespace: str
    accepts_connections: bool
    connection_limit: int
    comment: str | None
    may_own: bool
    may_use_tablespace: bool


def database_facts(connection: Connection, *, name: str | None = None, oid: int | None = None) -> DatabaseFacts | None:
    """The database of that name (or OID), or None."""
    version = connection.server_version
    # 15 and 16: daticulocale; from 17 on datlocale, for the builtin provider too. 14 has libc alone.
    locale = "d.datlocale" if version >= 170000 else "d.daticulocale" if version >= 150000 else "NULL::text"
    rules = "d.daticurules" if version >= 160000 else "NULL::text"
    provider = "d.datlocprovider" if version >= 150000 else "'c'::\"char\""
    rows = fetch(
        connection,
        f"""
        SELECT d.oid, d.datname, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, {provider},
               {locale}, {rules}, t.spcname, d.datallowconn, d.datconnlimit, shobj_description(d.oid, 'pg_database'),
               pg_has_role(d.datdba, 'USAGE'), has_tablespace_privilege(t.oid, 'CREATE')
        FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
        WHERE d.datname = %s OR d.oid = %s
        """,  # noqa: S608  (names of columns only)
        (name, oid),
    )
    return DatabaseFacts(*rows[0]) if rows else None


@dataclass(frozen=True)
class Role:
    """The role that the engine acts as."""

    name: str
    is_superuser: bool
    may_create_databases: bool


def role_facts(connection: Connection) -> Role:
    """The current role (after SET ROLE, where the connection asks for one)."""
    row = fetch(connection, "SELECT rolname, rolsuper, rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user")[0]
    return Role(*row)


# --- sessions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Session:
    """One session on a database, and whether this role may end it."""

    pid: int
    role: str
    application: str
    may_end: bool

    def __str__(self) -> str:
        application = f" ({self.application})" if self.application else ""
        return f"{self.role}, process {self.pid}{application}"


# Autovacuum has no role and is left out: ALTER DATABASE … RENAME ends it by itself.
_SESSIONS = """
    SELECT a.pid, r.rolname, coalesce(a.application_name, ''),
           me.rolsuper OR (NOT r.rolsuper AND (pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE')))
    FROM pg_catalog.pg_stat_activity a
    JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
    CROSS JOIN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) me
    WHERE a.pid <> pg_backend_pid()
"""


def sessions_of(connection: Connection, database: int) -> list[Session]:
    """Sessions on the database with that OID, without this one."""
    return [Session(*row) for row in fetch(connection, _SESSIONS + " AND a.datid = %s ORDER BY a.pid", (database,))]


def sessions_named(connection: Connection, prefix: str) -> list[Session]:
    """Sessions whose application name begins with ``prefix``, on any database, without this one."""
    return [Session(*row) for row in fetch(connection, _SESSIONS + " AND starts_with(a.application_name, %s)", (prefix,))]


def _end(connection: Connection, sessions: list[Session]) -> None:
    pids = [session.pid for session in sessions if session.may_end]
    if pids:
        fetch(connection, "SELECT pg_catalog.pg_terminate_backend(pid) FROM unnest(%s) AS pid", (pids,))


def end_sessions(connection: Connection, find: Callable[[], list[Session]], *, seconds: float) -> list[Session]:
    """End what ``find`` finds, again and again until it finds none; return what is left after ``seconds``.

    Again, because a session may have been let in just before the database was closed and shows itself later.
    """
    deadline, pause = time.monotonic() + seconds, 0.001
    while (sessions := find()) and time.monotonic() < deadline:
        _end(connection, sessions)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    return sessions
