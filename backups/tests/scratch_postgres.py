"""Scratch databases on a real PostgreSQL server, with an engine for each.

An engine is made for an alias of ``DATABASES``. A test registers one of its own for the scratch database
(:func:`registered`): Django's own ``connections`` then builds the parameters as it would for a site, and nothing of the
test runner's database is touched.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import connections

from backups.engines.postgresql import PostgresEngine
from backups.tests.servers import PgCluster

__all__ = ["ScratchPostgres", "registered", "scratch_postgres"]

# Signs of a name that every database beside it begins with, however long it is.
PREFIX = 12


@contextmanager
def registered(cluster: PgCluster, name: str, *, user: str = PgCluster.owner, over: str = "socket", **extra: Any) -> Iterator[str]:
    """An alias for a database; over TCP with the role's password. ``extra`` is laid over its settings (``OPTIONS={…}``)."""
    alias = f"scratch_{secrets.token_hex(4)}"
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": user, "PORT": cluster.port, **extra}
    if over == "socket":
        database.setdefault("HOST", str(cluster.socket_dir))
    else:
        database.setdefault("HOST", "127.0.0.1")
        database.setdefault("PASSWORD", cluster.passwords[user])
    connections.settings[alias] = connections.configure_settings({"default": database})["default"]
    try:
        yield alias
    finally:
        with contextlib.suppress(AttributeError):
            del connections[alias]
        del connections.settings[alias]


@dataclass
class ScratchPostgres:
    """A live database of the test's own; see :class:`backups.tests.contracts.ScratchDatabase`."""

    cluster: PgCluster
    name: str
    alias: str
    user: str = PgCluster.owner
    aliases: list[str] = field(default_factory=list)

    def engine(self) -> PostgresEngine:
        """A new engine, as another process would have it."""
        return PostgresEngine(self.alias)

    def execute(self, sql: str) -> None:
        """Run statements as the site's role."""
        self.cluster.execute(sql, database=self.name, user=self.user)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows, read by the site's role over a fresh connection."""
        return self.cluster.fetch(sql, database=self.name, user=self.user)

    @contextmanager
    def transaction(self) -> Iterator[object]:
        """An open transaction that has written."""
        connection = self.cluster.connect(self.name, user=self.user, autocommit=False)
        try:
            with connection.cursor() as cursor:
                cursor.execute("UPDATE items SET picture = picture")
            yield connection
        finally:
            connection.close()
            # The server ends a session some moments after its client is gone.
            while self.cluster.fetch("SELECT FROM pg_stat_activity WHERE datname = %s", (self.name,)):
                pass

    def remove(self) -> None:
        """Drop the live database."""
        self.cluster.execute(f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def leftovers(self) -> list[str]:
        """Databases whose names begin as this one's, and are not it."""
        return [name for name in self.cluster.databases(self.name[:PREFIX]) if name != self.name]

    def truncate(self, dump: Path) -> None:
        """Cut off the end of the dump: its table of contents stands at its head."""
        content = dump.read_bytes()
        marker = content.rindex(b"second")
        dump.write_bytes(content[: marker - 3])


@contextmanager
def scratch_postgres(
    cluster: PgCluster, *, name: str = "", user: str = PgCluster.owner, over: str = "socket", options: str = "", **extra: Any
) -> Iterator[ScratchPostgres]:
    """A scratch database owned by ``user``; it and everything beside it is dropped at the end."""
    name = cluster.create_database(name or f"live_{secrets.token_hex(6)}", owner=user, template="template0", options=options)
    try:
        with registered(cluster, name, user=user, over=over, **extra) as alias:
            yield ScratchPostgres(cluster, name, alias, user)
    finally:
        cluster.start()
        cluster.drop_databases(name[:PREFIX])
