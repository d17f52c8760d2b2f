"""The Flask original's way, rebuilt: what it makes can be brought back by it, or nothing would be compared."""

from __future__ import annotations

import contextlib
import sqlite3
import zipfile
from pathlib import Path

import pytest

from bench.flask_way import flask_create, flask_restore


def rows(database: Path) -> list[tuple[object, ...]]:
    """What is in the table."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT * FROM entry").fetchall()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with two rows."""
    path = tmp_path / "live.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE entry (id integer PRIMARY KEY, notes text)")
        connection.executemany("INSERT INTO entry VALUES (?, ?)", [(1, "one"), (2, "two")])
    return path


def test_database_and_uploads_come_back(database: Path, tmp_path: Path) -> None:
    uploads, archive = tmp_path / "media", tmp_path / "backup.zip"
    (uploads / "scans").mkdir(parents=True)
    (uploads / "scans/a.txt").write_text("as it was " * 1000)
    flask_create(archive, uploads, f"sqlite:///{database}")
    before = rows(database)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM entry")
    (uploads / "scans/a.txt").write_text("something else")
    (uploads / "newer.txt").write_text("stays: the uploads are merged")
    flask_restore(archive, uploads, f"sqlite:///{database}")
    assert rows(database) == before == [(1, "one"), (2, "two")]
    assert (uploads / "scans/a.txt").read_text() == "as it was " * 1000
    assert (uploads / "newer.txt").exists()


def test_all_is_deflated(database: Path, tmp_path: Path) -> None:
    archive = tmp_path / "backup.zip"
    flask_create(archive, None, f"sqlite:///{database}")
    with zipfile.ZipFile(archive) as source:
        members = {member.filename: member.compress_type for member in source.infolist()}
    assert members == dict.fromkeys(["database.sqlite", "settings.json", "manifest.json"], zipfile.ZIP_DEFLATED)
