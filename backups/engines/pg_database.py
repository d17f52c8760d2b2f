"""A database beside the live one: its name, its creation, who may enter it, and its end."""

from __future__ import annotations

import hashlib

import psycopg2
from psycopg2 import sql

from backups.engines.pg_catalog import DatabaseFacts, Session, end_sessions, execute, fetch, sessions_of
from backups.engines.pg_server import Connection

__all__ = [
    "allow_connections",
    "close_database",
    "copy_access",
    "copy_settings",
    "create_database",
    "drop_database",
    "open_for_owner",
    "sibling_name",
]

# Seconds in which sessions on a database that is to be dropped must have ended.
DROP_SECONDS = 5.0

# Bytes of a name that the server keeps; it cuts longer ones without a word.
NAME_BYTES = 63


def sibling_name(live: str, kind: str, short_id: str) -> str:
    """``<live>_<kind>_<short id>``, of at most 63 bytes: a long name is cut and made unique by its hash."""
    suffix = f"_{kind}_{short_id}"
    room = NAME_BYTES - len(suffix)
    encoded = live.encode()
    if len(encoded) > room:
        digest = hashlib.sha256(encoded).hexdigest()[:8]
        live = f"{encoded[: room - 9].decode(errors='ignore')}_{digest}"
    return live + suffix


def create_database(connection: Connection, name: str, like: DatabaseFacts | None, *, encoding: str) -> list[str]:
    """Create an empty database like the live one (encoding, locale, tablespace, owner) that only its owner may enter; return warnings.

    It is created closed and opened when PUBLIC's rights are gone, so that nobody ever slips in.
    """
    warnings = []
    options: list[sql.Composable] = [sql.SQL("TEMPLATE template0 ALLOW_CONNECTIONS false")]
    if like is None:
        options.append(sql.SQL("ENCODING {}").format(sql.Literal(encoding)))
    else:
        options.append(sql.SQL("OWNER {} ENCODING {}").format(sql.Identifier(like.owner), sql.Literal(like.encoding)))
        options.append(sql.SQL("LC_COLLATE {} LC_CTYPE {}").format(sql.Literal(like.collate), sql.Literal(like.ctype)))
        if like.provider == "i":
            options.append(sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {}").format(sql.Literal(like.locale)))
            if like.icu_rules:
                options.append(sql.SQL("ICU_RULES {}").format(sql.Literal(like.icu_rules)))
        elif like.provider == "b":
            options.append(sql.SQL("LOCALE_PROVIDER builtin BUILTIN_LOCALE {}").format(sql.Literal(like.locale)))
        elif connection.server_version >= 150000:
            options.append(sql.SQL("LOCALE_PROVIDER libc"))
        # The default one is that of template0; to name it takes a right that an owner does not have.
        if like.tablespace != "pg_default" and like.may_use_tablespace:
            options.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(like.tablespace)))
        elif like.tablespace != "pg_default":
            warnings.append(f"The tablespace {like.tablespace} may not be used by this role: the restored database is in the default one.")
    execute(connection, sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(" ").join(options)))
    execute(connection, sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    _let_ourselves_in(connection, name)
    return warnings


def _let_ourselves_in(connection: Connection, name: str) -> None:
    """Open a database for its owner, and for the role that logs in and then acts as the owner (``assume_role``)."""
    execute(connection, sql.SQL("GRANT CONNECT ON DATABASE {} TO SESSION_USER").format(sql.Identifier(name)))
    allow_connections(connection, name, True)


def allow_connections(connection: Connection, name: str, allowed: bool) -> None:
    """Open or close a database for everybody; a superuser is refused as well."""
    execute(connection, sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(allowed)))


def close_database(connection: Connection, database: DatabaseFacts, *, seconds: float) -> list[Session]:
    """Refuse connections and end the sessions; return those that are still there after ``seconds``."""
    allow_connections(connection, database.name, False)
    return end_sessions(connection, lambda: sessions_of(connection, database.oid), seconds=seconds)


def open_for_owner(connection: Connection, database: DatabaseFacts) -> None:
    """Open a closed database for its owner alone: every other right on it is taken away first."""
    grantees = {grantee for grantee, _, _ in _access(connection, database.oid)} - {database.owner}
    for grantee in grantees:
        execute(connection, sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(sql.Identifier(database.name), _role(grantee)))
    _let_ourselves_in(connection, database.name)


def drop_database(connection: Connection, database: DatabaseFacts) -> None:
    """Drop a database with its sessions."""
    drop = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(database.name))
    try:
        execute(connection, drop + sql.SQL(" WITH (FORCE)"))
    except psycopg2.errors.InsufficientPrivilege:
        # Autovacuum may be at work in it, and is nobody's to end; without FORCE the server ends it by itself, and no other session.
        end_sessions(connection, lambda: sessions_of(connection, database.oid), seconds=DROP_SECONDS)
        execute(connection, drop)


# --- access and settings ----------------------------------------------------------------------------------------------

Access = set[tuple[str, str, bool]]


def _role(grantee: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if not grantee else sql.Identifier(grantee)


def _access(connection: Connection, oid: int) -> Access:
    """Rights on a database: grantee (empty for PUBLIC), privilege, whether it may be granted on."""
    rows = fetch(
        connection,
        """
        SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable
        FROM pg_catalog.pg_database d
        CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
        LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
        WHERE d.oid = %s
        """,
        (oid,),
    )
    return {(str(grantee), str(privilege), bool(grantable)) for grantee, privilege, grantable in rows}


def copy_access(connection: Connection, live: DatabaseFacts | None, shadow: DatabaseFacts) -> list[str]:
    """Give the closed shadow exactly the live database's rights (the default ones where there is none); return warnings."""
    name, warnings = sql.Identifier(shadow.name), []
    if live:
        wanted = _access(connection, live.oid)
    else:
        default = [("", "CONNECT"), ("", "TEMPORARY"), *((shadow.owner, right) for right in ("CREATE", "CONNECT", "TEMPORARY"))]
        wanted = {(grantee, right, False) for grantee, right in default}
    for grantee in {grantee for grantee, _, _ in _access(connection, shadow.oid)}:
        execute(connection, sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(name, _role(grantee)))
    for grantee, privilege, grantable in sorted(wanted):
        option = sql.SQL(" WITH GRANT OPTION" if grantable else "")
        statement = sql.SQL("GRANT {} ON DATABASE {} TO {}").format(sql.SQL(privilege), name, _role(grantee)) + option
        try:
            execute(connection, statement)
        except psycopg2.Error as error:
            warnings.append(f"The right {privilege} of {grantee or 'PUBLIC'} could not be carried over: {str(error).splitlines()[0]}.")
    missing = wanted - _access(connection, shadow.oid)
    if missing and not warnings:
        named = ", ".join(f"{privilege} of {grantee or 'PUBLIC'}" for grantee, privilege, _ in sorted(missing))
        warnings.append(f"Rights on the database could not be carried over: {named}.")
    return warnings


# Parameters whose value is a list of quoted names (GUC_LIST_QUOTE in the server's source): as one literal they would be
# quoted a second time, so they are set in the session and taken FROM CURRENT.
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}


def copy_settings(connection: Connection, live: DatabaseFacts, shadow: DatabaseFacts) -> list[str]:
    """Carry over ``ALTER DATABASE … SET`` (per role too), the connection limit and the comment; return what an owner may not set."""
    warnings = []
    name = sql.Identifier(shadow.name)
    execute(connection, sql.SQL("ALTER DATABASE {} RESET ALL").format(name))
    rows = fetch(
        connection,
        """
        SELECT r.rolname, s.setconfig FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
        WHERE s.setdatabase = %s ORDER BY s.setrole
        """,
        (live.oid,),
    )
    for role, settings in rows:
        whose = sql.SQL("ALTER DATABASE {}").format(name)
        if role:
            whose = sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), name)
        for setting in settings:
            parameter, _, value = setting.partition("=")
            set_it = whose + sql.SQL(" SET {}").format(_parameter(parameter))
            try:
                if parameter.lower() in _LISTS:
                    execute(connection, "BEGIN")
                    execute(connection, "SELECT set_config(%s, %s, true)", (parameter, value))
                    execute(connection, set_it + sql.SQL(" FROM CURRENT"))
                    execute(connection, "COMMIT")
                else:
                    execute(connection, set_it + sql.SQL(" TO {}").format(sql.Literal(value)))
            except psycopg2.Error as error:
                execute(connection, "ROLLBACK")
                of_role = f" of role {role}" if role else ""
                warnings.append(f"The setting {parameter}{of_role} could not be carried over: {str(error).splitlines()[0]}.")
    execute(connection, sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(name, sql.Literal(live.connection_limit)))
    execute(connection, sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(live.comment)))
    return warnings


def _parameter(name: str) -> sql.Composable:
    """A parameter's name; that of an extension has a dot in it, which parts two names."""
    return sql.SQL(".").join(sql.Identifier(part) for part in name.split("."))
