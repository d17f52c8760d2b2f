"""The shadow: a database of its own on the same server, closed to others from its first instant, loaded and dressed as the live one."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psycopg2
from psycopg2 import sql

from backups.engines.pg_catalog import (
    DatabaseFacts,
    Session,
    end_sessions,
    execute,
    fetch,
    present_extensions,
    sessions_of,
)
from backups.engines.pg_server import Connection, Server
from backups.engines.pg_toc import Contents, Entry, grants, write_list
from backups.engines.pg_tools import Tools, load_command, psql_command, script_command
from backups.engines.process import PIPE_BYTES, Child, child, child_output
from backups.exceptions import RestoreFailed
from backups.progress import Progress

__all__ = [
    "SizeWatch",
    "allow_connections",
    "close_database",
    "copy_access",
    "copy_settings",
    "create_database",
    "drop_database",
    "granting",
    "listed",
    "load_shadow",
    "open_for_owner",
    "run_grants",
    "script_pieces",
    "sibling_name",
]

# Bytes of a name that the server keeps; it cuts longer ones without a word.
NAME_BYTES = 63
# Seconds between two looks at the growing shadow.
PROGRESS_SECONDS = 0.5
# What pg_restore 17 and newer write at the head of each script, and older servers do not know.
_NOT_IN_OLD_SERVERS = b"SET transaction_timeout = 0;\n"
_HEAD_BYTES = 64 * 1024


def sibling_name(live: str, kind: str, short_id: str) -> str:
    """``<live>_<kind>_<short id>``, of at most 63 bytes: a long name is cut and made unique by its hash."""
    suffix = f"_{kind}_{short_id}"
    room = NAME_BYTES - len(suffix)
    encoded = live.encode()
    if len(encoded) > room:
        digest = hashlib.sha256(encoded).hexdigest()[:8]
        live = f"{encoded[: room - 9].decode(errors='ignore')}_{digest}"
    return live + suffix


# --- databases --------------------------------------------------------------------------------------------------------


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
    execute(connection, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))


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


# --- the load ---------------------------------------------------------------------------------------------------------


@contextmanager
def listed(dump: Path, entries: Iterator[Entry]) -> Iterator[Path]:
    """A list file for ``pg_restore --use-list``, beside the dump in its private folder, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="contents-", dir=dump.parent) as folder:
        yield write_list(Path(folder) / "list", entries)


def script_pieces(tools: Tools, dump: Path, contents: Path, *, server_major: int, operation: str) -> Iterator[bytes]:
    """The SQL of the listed entries, in pieces, without the setting that a server older than the tools does not know.

    Raises :class:`~backups.exceptions.RestoreFailed` at the end unless ``pg_restore`` ended well: who reads must take
    nothing for whole before.
    """
    args, env = script_command(tools, dump, contents)
    with child(args, env, operation=operation, stdout=subprocess.PIPE) as running:
        head = b""
        while len(head) < _HEAD_BYTES and (piece := running.stdout.read(PIPE_BYTES)):
            head += piece
        if server_major < 17 <= tools.major:
            head = head.replace(_NOT_IN_OLD_SERVERS, b"", 1)
        yield head
        while piece := running.stdout.read(PIPE_BYTES):
            yield piece
        if running.wait() != 0:
            raise RestoreFailed(running.failure())


def load_shadow(
    server: Server,
    tools: Tools,
    dump: Path,
    contents: Contents,
    shadow: str,
    *,
    server_major: int,
    jobs: int,
    operation: str,
) -> list[str]:
    """Load everything but grants into the empty ``shadow``, then the grants one by one; return warnings.

    Raises :class:`~backups.exceptions.RestoreFailed` with the tool's first error.
    """
    with server.connection(shadow, operation=operation) as connection:
        present = set(present_extensions(connection))
    with listed(dump, contents.loaded(extensions_present=present, schemas_present=set())) as entries:
        if tools.major > server_major:
            _load_by_script(server, tools, dump, entries, shadow, server_major=server_major, operation=operation)
        else:
            args, env = load_command(tools, server, dump, entries, database=shadow, operation=operation, jobs=jobs)
            with child(args, env, operation=operation, secrets=server.secrets) as running:
                if running.wait() != 0:
                    raise RestoreFailed(running.failure())
    with server.connection(shadow, operation=operation) as connection:
        return run_grants(connection, *granting(tools, dump, contents, operation=operation))


def _load_by_script(server: Server, tools: Tools, dump: Path, contents: Path, shadow: str, *, server_major: int, operation: str) -> None:
    """Load through ``psql``, one statement after the other. Half a script leaves half a shadow, which is thrown away."""
    args, env = psql_command(tools, server, ["-"], database=shadow, operation=operation, single_transaction=False)
    with child(args, env, operation=operation, stdin=subprocess.PIPE, secrets=server.secrets) as running:
        try:
            for piece in script_pieces(tools, dump, contents, server_major=server_major, operation=operation):
                _write_whole(running, piece)
            running.stdin.close()
        except BrokenPipeError:
            raise RestoreFailed(running.failure()) from None
        if running.wait() != 0:
            raise RestoreFailed(running.failure())


def _write_whole(running: Child, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[running.stdin.write(view) or 0 :]


def granting(tools: Tools, dump: Path, contents: Contents, *, operation: str) -> tuple[list[str], list[str]]:
    """The dump's grants: statements to run, and those that cannot be run because another role made them."""
    entries = list(contents.granting())
    if not entries:
        return [], []
    with listed(dump, iter(entries)) as path:
        args, env = script_command(tools, dump, path)
        return grants(child_output(args, env, operation=operation))


def run_grants(connection: Connection, statements: list[str], left_out: list[str]) -> list[str]:
    """Run each grant; return those that this server's roles or rights do not allow, as warnings."""
    warnings = [f"Left out, since another role granted it: {statement}" for statement in left_out]
    for statement in statements:
        try:
            execute(connection, statement)
        except (psycopg2.errors.UndefinedObject, psycopg2.errors.InsufficientPrivilege) as error:
            warnings.append(f"Left out: {statement} ({str(error).splitlines()[0]})")
    return warnings


class SizeWatch:
    """Reports the growth of the shadow as bytes of the dump: the share of the expected size that is on disk.

    ``pg_restore`` tells nothing, and with several jobs its reading of the file says nothing either.
    """

    def __init__(self, server: Server, shadow: str, *, expected: int, total: int, operation: str, progress: Progress) -> None:
        """``expected`` is the size in bytes that the loaded database will have, ``total`` that of the dump."""
        self._server, self._shadow, self._operation = server, shadow, operation
        self._expected, self._total, self._progress = max(expected, 1), total, progress
        self._shown = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="size of the shadow", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None:
            self._show(self._total)

    def _run(self) -> None:
        """Look again and again until the end; a failure to look ends the reporting and nothing else."""
        with suppress(Exception), self._server.connection(self._server.maintenance, operation=self._operation, readonly=True) as connection:
            base = self._size(connection)
            while not self._ended.wait(PROGRESS_SECONDS):
                share = (self._size(connection) - base) / max(self._expected - base, 1)
                self._show(int(self._total * min(max(share, 0.0), 0.99)))

    def _size(self, connection: Connection) -> int:
        return int(fetch(connection, "SELECT pg_catalog.pg_database_size(%s)", (self._shadow,))[0][0])

    def _show(self, done: int) -> None:
        if done > self._shown:
            self._progress.advance(done - self._shown)
            self._shown = done
