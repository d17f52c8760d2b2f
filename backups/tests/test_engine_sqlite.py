"""The SQLite engine: the contract, and what is SQLite's alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from backups.engines.sqlite import SqliteEngine
from backups.tests.contracts import EngineContract


class SqliteScratch:
    """A SQLite file of the test's own, in WAL mode as the site's."""

    def __init__(self, folder: Path) -> None:
        """Make an empty database, where another program had the time to put it into WAL mode."""
        self.folder = folder
        self.path = folder / "db.sqlite3"
        self.execute("PRAGMA user_version=1")

    def engine(self) -> SqliteEngine:
        settings = connections["default"].settings_dict
        before = settings["NAME"]
        settings["NAME"] = str(self.path)
        try:
            return SqliteEngine("default")
        finally:
            settings["NAME"] = before

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        return connection

    def execute(self, sql: str) -> None:
        with closing(self.connect()) as connection:
            connection.executescript(f"BEGIN IMMEDIATE; {sql}; COMMIT;" if "PRAGMA" not in sql else sql)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(self.connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE items SET picture = 'in a transaction'")
            yield connection
            connection.execute("ROLLBACK")

    def remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def leftovers(self) -> list[str]:
        own = {self.path.name + suffix for suffix in ("", "-wal", "-shm", ".backups-lock")}
        return sorted(path.name for path in self.folder.iterdir() if path.name not in own)

    def truncate(self, dump: Path) -> None:
        """Overwrite a page in the middle: the header and the schema stay whole."""
        with closing(sqlite3.connect(dump)) as connection:
            (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'notes'").fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
        with dump.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(b"\xff" * size)


@pytest.fixture
def database(tmp_path: Path) -> SqliteScratch:
    """An empty live database in a folder of its own."""
    folder = tmp_path / "live"
    folder.mkdir()
    return SqliteScratch(folder)


class TestSqliteContract(EngineContract):
    """The contract; the uploads are switched right before the commit."""

    live_if_killed_at = EngineContract.live_if_killed_at | {"switch_uploads": "old"}
