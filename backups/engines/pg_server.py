"""The PostgreSQL server as this site reaches it: parameters, connections, and the environment of client programs.

Parameters come from ``connection.get_connection_params()``, so that percent-encoding, sockets, ``sslmode``, ``service``
and ``options`` mean here what they mean to Django. ``BACKUPS_MAINTENANCE_URL`` replaces them for every connection made
here: behind a pooler neither the lock nor an exported snapshot nor a new database can be reached.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.extensions
from django.db import connections

from backups.conf import conf
from backups.engines.process import first_error
from backups.exceptions import BackupError, PreflightRefused

__all__ = ["Connection", "Server", "application_name", "failing_as", "server_for"]

Connection = psycopg2.extensions.connection

MAINTENANCE_DATABASE = "postgres"
CONNECT_SECONDS = 10
# What psycopg2 takes beside libpq's own parameters.
_NOT_LIBPQ = {"cursor_factory", "connection_factory", "async", "async_", "dsn", "client_encoding"}
# Secrets never stand in argv. libpq has a variable for the password alone.
_SECRETS = {"password": "PGPASSWORD"}
# What a client program needs of the surroundings, beside every PG* variable: where programs, libraries and tickets are.
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH", "KRB5CCNAME", "KRB5_CONFIG", "SSL_CERT_FILE", "SSL_CERT_DIR")
# A time limit meant for pages must not end a dump or a load, and a policy must fail loudly instead of hiding rows.
_SESSION_SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "default_transaction_read_only": "off",
    "row_security": "off",
}


def application_name(operation: str) -> str:
    """The name of an operation's sessions, by which they are found again."""
    return f"backups:{operation[:8]}"


def _escape_option(value: str) -> str:
    """One value inside libpq's ``options``, where a space ends it."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


@dataclass(frozen=True)
class Server:
    """Where the live database is and how it is reached; makes no connection by itself."""

    live: str
    params: dict[str, Any]
    maintenance: str = MAINTENANCE_DATABASE

    @property
    def address(self) -> str:
        """The server in words, without a secret."""
        host = self.params.get("host") or self.params.get("hostaddr") or self.params.get("service") or "the local socket"
        port = self.params.get("port")
        return f"{host}:{port}" if port else str(host)

    @property
    def secrets(self) -> list[str]:
        """Values that no message may show."""
        return [str(self.params[name]) for name in ("password", "sslpassword") if self.params.get(name)]

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine, as far as the address tells."""
        host = str(self.params.get("host") or "")
        return host.startswith(("/", "@")) or host in {"localhost", "127.0.0.1", "::1"} or not (host or self.params.get("service"))

    def _options(self, settings: dict[str, str]) -> str:
        given = str(self.params.get("options") or os.environ.get("PGOPTIONS", ""))
        return " ".join([given, *(f"-c {name}={_escape_option(value)}" for name, value in settings.items())]).strip()

    def connect(self, database: str, *, operation: str, readonly: bool = False) -> Connection:
        """A connection in autocommit mode; ``readonly`` makes each of its transactions read-only.

        Raises :class:`~backups.exceptions.PreflightRefused` with what the server (or the network) said.
        """
        params = {
            "connect_timeout": CONNECT_SECONDS,
            **self.params,
            "dbname": database,
            "client_encoding": "UTF8",
            "application_name": application_name(operation),
            "options": self._options(_SESSION_SETTINGS),
        }
        try:
            connection: Connection = psycopg2.connect(**params)
        except psycopg2.Error as error:
            raise PreflightRefused(
                f"The database {database} at {self.address} cannot be reached: {self.sentence(error)}",
                next_step="Check that the server runs and that DATABASE_URL (or BACKUPS_MAINTENANCE_URL) is right.",
            ) from error
        connection.set_session(readonly=readonly, autocommit=True)
        if connection.server_version >= 170000:
            with connection.cursor() as cursor:
                cursor.execute("SET transaction_timeout = 0")
        return connection

    @contextmanager
    def connection(self, database: str, *, operation: str, readonly: bool = False) -> Iterator[Connection]:
        """A connection as of :meth:`connect`, closed at the end."""
        connection = self.connect(database, operation=operation, readonly=readonly)
        try:
            yield connection
        finally:
            connection.close()

    def sentence(self, error: BaseException) -> str:
        """The first line of a database error as a sentence, without secrets."""
        text = str(error).strip()
        line = first_error(text.splitlines()[0] if text else type(error).__name__, self.secrets)
        return line if line.endswith(".") else f"{line}."

    def conninfo(self, database: str, *, operation: str, settings: dict[str, str] | None = None) -> str:
        """The connection string of a client program: everything but the secrets. ``settings`` are set for the session.

        So are those of :meth:`connect`: the programs lift time limits by themselves, but not before their first query.
        """
        if self.params.get("sslpassword"):
            raise PreflightRefused(
                "The option sslpassword cannot be handed to PostgreSQL's programs without showing it in the process list.",
                next_step="Use a client key without a passphrase (its file readable by this user alone).",
            )
        given = {name: value for name, value in self.params.items() if name not in _SECRETS and value not in (None, "")}
        given |= {"dbname": database, "application_name": application_name(operation)}
        given["options"] = self._options(_SESSION_SETTINGS | (settings or {}))
        return str(psycopg2.extensions.make_dsn(**given))

    def environment(self) -> dict[str, str]:
        """The environment of a client program: messages in English, the password, and what libpq itself would look for."""
        env = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("PG")}
        env |= {variable: str(self.params[name]) for name, variable in _SECRETS.items() if self.params.get(name)}
        return {**env, "LC_ALL": "C"}


def server_for(alias: str) -> Server:
    """The server of the database ``alias``.

    Raises :class:`~backups.exceptions.PreflightRefused` where the database's name cannot be found out.
    """
    wrapper = connections[alias]
    params: dict[str, Any] = {name: value for name, value in wrapper.get_connection_params().items() if name not in _NOT_LIBPQ}
    live = str(params.pop("dbname", "") or "")
    if role := wrapper.settings_dict.get("OPTIONS", {}).get("assume_role"):
        params["options"] = f"{params.get('options', '')} -c role={_escape_option(str(role))}".strip()
    if not live:
        live = _name_of_service(params)
    maintenance = MAINTENANCE_DATABASE
    if conf.maintenance_url:
        try:
            given = psycopg2.extensions.parse_dsn(conf.maintenance_url)
        except psycopg2.Error as error:
            raise PreflightRefused(
                "BACKUPS_MAINTENANCE_URL is no connection URL.", next_step="Write it as postgres://role:password@host:port/postgres."
            ) from error
        maintenance = given.pop("dbname", MAINTENANCE_DATABASE)
        options = {"options": params["options"]} if "options" in params else {}
        same_role = {name: value for name, value in params.items() if name in {"user", "password"} and "user" not in given}
        params = {**same_role, **options, **given}
    return Server(live=live, params=params, maintenance=maintenance)


def _name_of_service(params: dict[str, Any]) -> str:
    """The database that a ``service`` names; libpq alone reads the file."""
    try:
        connection = psycopg2.connect(**{"connect_timeout": CONNECT_SECONDS, **params})
    except psycopg2.Error as error:
        raise PreflightRefused(
            "The name of the live database stands in a service file alone, and the connection failed.",
            next_step="Put the database's name into DATABASES (NAME), beside the service.",
        ) from error
    try:
        return str(connection.info.dbname)
    finally:
        connection.close()


@contextmanager
def failing_as(error_class: type[BackupError], server: Server) -> Iterator[None]:
    """Turn database errors, and errors that say "nothing was begun", into ``error_class``, which says what state things are in."""
    try:
        yield
    except psycopg2.Error as error:
        raise error_class(server.sentence(error)) from error
    except BackupError as error:
        if type(error) in {BackupError, PreflightRefused} - {error_class}:
            raise error_class(error.message, next_step=error.next_step) from error
        raise
