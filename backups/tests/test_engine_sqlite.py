"""The SQLite engine: the contract, and what is SQLite's alone."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from django.db import connections
from pytest_django import Settings

from backups.engines import sqlite_file
from backups.engines.base import Plan
from backups.engines.sqlite import SqliteEngine
from backups.engines.sqlite_aside import aside_put
from backups.engines.sqlite_file import checkpoint, file_of_setting, opened
from backups.exceptions import ArchiveRejected, DumpFailed, PreflightRefused, RestoreFailed, RestoreNotUndone
from backups.journal import Journal, journal_load
from backups.manifest import DatabaseInfo
from backups.pace import Pace, Stopped
from backups.tests.contracts import (
    CHANGES,
    CONTENT,
    NAMES,
    NAMES_AFTER_CHANGES,
    NAMES_OF_CONTENT,
    ROWS_OF_CONTENT,
    EngineContract,
    build,
    die,
    fork,
    make_dump,
    new_folder,
    new_journal,
    nothing,
    restore,
    undo,
)

pytestmark = pytest.mark.usefixtures("own_state")


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


@pytest.fixture
def filled(database: SqliteScratch) -> SqliteScratch:
    """The live database with the contract's content in it."""
    database.execute(CONTENT)
    return database


@pytest.fixture
def dump(filled: SqliteScratch, tmp_path: Path) -> tuple[Path, DatabaseInfo]:
    """A dump of that content; the live data is changed afterwards."""
    made = make_dump(filled, tmp_path)
    filled.execute(CHANGES)
    return made


# A process of its own with one connection that stays open: it answers each line with what it reads, in one transaction.
READER = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=1, isolation_level=None)
for line in sys.stdin:
    try:
        answer = connection.execute("SELECT group_concat(DISTINCT name), count(*) FROM items").fetchone()
    except sqlite3.Error as error:
        answer = [str(error), 0]
    print(json.dumps(answer), flush=True)
"""
# A process of its own that adds numbers, one commit each, and prints each number that was accepted.
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
number = 0
while True:
    number += 1
    with connection:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
    print(number, flush=True)
"""
# A process of its own that moves amounts between accounts for ever: their sum stays.
MOVER = """
import random, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
while True:
    one, other = random.sample(range(50), 2)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE accounts SET amount = amount - 1 WHERE id = ?", (one,))
    connection.execute("UPDATE accounts SET amount = amount + 1 WHERE id = ?", (other,))
    connection.execute("COMMIT")
    print("moved", flush=True)
"""


@contextmanager
def process_of(code: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process at work on the database; killed on leaving."""
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(reader: subprocess.Popen[str]) -> list[Any]:
    """What the reader finds now."""
    assert reader.stdin and reader.stdout
    print(file=reader.stdin, flush=True)
    answer: list[Any] = json.loads(reader.stdout.readline())
    return answer


def answer_lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines that the process prints."""
    assert process.stdout
    return [process.stdout.readline().strip() for _ in range(count)]


def filled_with(path: Path, name: str, count: int, *, page_size: int = 4096, encoding: str = "UTF-8") -> None:
    """Make a WAL database with ``count`` items of about a kilobyte that all have one name."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={page_size}")
        connection.execute(f"PRAGMA encoding='{encoding}'")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE items (id integer PRIMARY KEY, name text NOT NULL, picture text, body blob)")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO items VALUES (?, ?, '', zeroblob(1000))", [(number, name) for number in range(count)])
        connection.execute("COMMIT")


def dump_of(path: Path, name: str, count: int, **options: Any) -> tuple[Path, DatabaseInfo]:
    """A dump as it lies in an archive: one file, in no WAL mode."""
    filled_with(path, name, count, **options)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    info = DatabaseInfo("sqlite", "db.sqlite", "sqlite3", sqlite3.sqlite_version, "Python", path.stat().st_size, "UTF-8")
    return path, replace(info, encoding=options.get("encoding", "UTF-8"))


def in_other_process(run: Callable[[], object]) -> int:
    """Run something in a forked process; 0 where it returned, 99 where it raised."""

    def and_end() -> None:
        run()
        os._exit(0)

    return os.waitstatus_to_exitcode(os.waitpid(fork(and_end), 0)[1])


# --- which file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/srv/db.sqlite3", "/srv/db.sqlite3"),
        (Path("/srv/db.sqlite3"), "/srv/db.sqlite3"),
        ("file:/srv/db.sqlite3", "/srv/db.sqlite3"),
        ("file:///srv/db.sqlite3?mode=rwc&cache=private", "/srv/db.sqlite3"),
        ("file:/srv/a%20b%3F.sqlite3", "/srv/a b?.sqlite3"),
        ("/srv/a%20b.sqlite3", "/srv/a%20b.sqlite3"),
    ],
)
def test_the_live_file_is_found_from_a_path_or_a_uri(name: object, path: str) -> None:
    assert file_of_setting(name) == Path(path)


@pytest.mark.parametrize("name", [":memory:", "", "file::memory:", "file:shared?mode=memory&cache=shared"])
def test_a_database_in_memory_is_refused(name: str) -> None:
    with pytest.raises(PreflightRefused, match="memory"):
        file_of_setting(name)


def test_what_stands_beside_a_linked_file_is_beside_the_file_itself(filled: SqliteScratch, tmp_path: Path) -> None:
    path, info = make_dump(filled, tmp_path)
    real = filled.path
    filled.path = tmp_path / "link.sqlite3"
    filled.path.symlink_to(real)
    _, kept = restore(filled, path, info)
    assert Path(str(kept["path"])).parent == real.parent
    assert filled.path.is_symlink()
    assert filled.query(NAMES) == NAMES_OF_CONTENT


def test_names_that_need_quoting_are_counted_and_restored(database: SqliteScratch, tmp_path: Path) -> None:
    database.execute("""CREATE TABLE "a ""table"" %s" ("a ""column"" %" text); INSERT INTO "a ""table"" %s" VALUES ('x'), ('y'), ('x');""")
    with database.engine().snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot:
        assert snapshot.rows == {'a "table" %s': 3}
        assert sorted(snapshot.values('a "table" %s', 'a "column" %')) == ["x", "y"]
    path, info = make_dump(database, tmp_path)
    assert list(database.engine().archived_rows(path, 'a "table" %s'))[0] == {'a "column" %': "x"}
    assert restore(database, path, info)[0] == {'a "table" %s': 3}


# --- create -----------------------------------------------------------------------------------------------------------


def test_a_dump_is_one_private_file_that_plain_sqlite_opens(filled: SqliteScratch, tmp_path: Path) -> None:
    folder = new_folder(tmp_path)
    with filled.engine().snapshot(new_journal("create"), folder, Pace()):
        (copy,) = folder.iterdir()
        assert copy.stat().st_mode & 0o777 == 0o600
    path, _ = make_dump(filled, tmp_path)
    assert path.read_bytes()[18:20] == b"\1\1"  # no WAL mode: it can be read from a read-only folder
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute(NAMES).fetchall() == NAMES_OF_CONTENT


def test_a_snapshot_is_of_one_instant_while_another_process_writes(database: SqliteScratch, tmp_path: Path) -> None:
    database.execute("CREATE TABLE accounts (id integer PRIMARY KEY, amount integer NOT NULL, padding blob)")
    # Several pieces of the copy, so that commits fall in between.
    database.execute(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999) "
        "INSERT INTO accounts SELECT i, 100, zeroblob(1500) FROM n"
    )
    with process_of(MOVER, database.path) as mover:
        for _ in range(3):
            answer_lines(mover, 3)
            path, _ = make_dump(database, tmp_path)
            with closing(sqlite3.connect(path)) as connection:
                assert connection.execute("SELECT sum(amount) FROM accounts").fetchone() == (500_000,)
            path.unlink()


def test_a_dead_transaction_is_taken_back_and_not_taken_for_damage(filled: SqliteScratch, tmp_path: Path) -> None:
    def write_and_die() -> None:
        connection = sqlite3.connect(filled.path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN")
        connection.execute("UPDATE items SET name = 'never committed'")
        connection.execute("CREATE TABLE filler AS SELECT randomblob(50000) FROM items")
        die()

    os.waitpid(fork(write_and_die), 0)
    assert Path(f"{filled.path}-journal").stat().st_size
    assert filled.engine().live_state().state == "ok"
    path, _ = make_dump(filled, tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(NAMES).fetchall() == NAMES_OF_CONTENT


@pytest.mark.parametrize("live", ["damaged", "garbage", "missing"])
def test_there_is_no_dump_of_a_broken_database(filled: SqliteScratch, tmp_path: Path, live: str) -> None:
    if live == "damaged":
        filled.truncate(filled.path)
    elif live == "garbage":
        filled.path.write_bytes(b"garbage" * 1000)
    else:
        filled.remove()
    folder = new_folder(tmp_path)
    with pytest.raises(DumpFailed), filled.engine().snapshot(new_journal("create"), folder, Pace()):
        pytest.fail("a snapshot of a broken database")
    assert list(folder.iterdir()) == []


def test_a_copy_that_is_to_end_ends_amid_its_pages_and_leaves_nothing(filled: SqliteScratch, tmp_path: Path) -> None:
    pace, folder = Pace(gentle=True), new_folder(tmp_path)
    pace.stop()
    with pytest.raises(Stopped), filled.engine().snapshot(new_journal("create"), folder, pace):
        pytest.fail("a snapshot that was to end")
    assert list(folder.iterdir()) == []


def test_a_row_that_breaks_a_check_constraint_is_backed_up(database: SqliteScratch, tmp_path: Path) -> None:
    database.execute("CREATE TABLE items (id integer PRIMARY KEY, name text CHECK (name <> 'bad'))")
    database.execute("PRAGMA ignore_check_constraints=ON; INSERT INTO items VALUES (1, 'bad')")
    path, info = make_dump(database, tmp_path)
    restore(database, path, info)
    assert database.query(NAMES) == [("bad",)]


def test_sql_functions_of_django_in_the_schema_do_no_harm(database: SqliteScratch, tmp_path: Path) -> None:
    with opened(database.path) as connection:
        connection.execute("CREATE TABLE items (id integer PRIMARY KEY, name text NOT NULL CHECK (name REGEXP 'a+'))")
        connection.execute("CREATE INDEX by_sign ON items (SIGN(id))")
        connection.execute("CREATE INDEX by_digest ON items (MD5(name))")
        connection.execute("INSERT INTO items VALUES (1, 'aa')")
    path, info = make_dump(database, tmp_path)
    restore(database, path, info)
    assert database.query(NAMES) == [("aa",)]


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_in_place_is_refused(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    with pytest.raises(PreflightRefused, match="in-place"):
        filled.engine().plan_restore(dump[1], strategy="in-place")
    assert filled.engine().plan_restore(dump[1], strategy="swap").strategy == "swap"


def test_too_little_disk_is_refused_with_both_figures(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    with pytest.raises(PreflightRefused, match=r"needs [\d,]+ bytes in .*, and [\d,]+ are free"):
        filled.engine().plan_restore(dump[1], dump_size=10**16)


def test_the_plan_counts_shadow_wal_growth_and_the_kept_copy(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    live = filled.path.stat().st_size
    with_kept = filled.engine().plan_restore(dump[1], dump_size=10**8).needed_bytes
    filled.remove()
    without = filled.engine().plan_restore(dump[1], dump_size=10**8).needed_bytes
    assert with_kept >= 3 * (10**8 - live) + live
    assert without >= 3 * 10**8


def test_a_folder_that_cannot_be_written_is_refused(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    def plan_as_nobody() -> None:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        with pytest.raises(PreflightRefused, match="cannot be written"):
            filled.engine().plan_restore(dump[1])

    filled.folder.chmod(0o500)
    try:
        assert in_other_process(plan_as_nobody) == 0
    finally:
        filled.folder.chmod(0o700)


def test_another_text_encoding_is_refused_by_the_manifest_and_by_the_dump_itself(filled: SqliteScratch, tmp_path: Path) -> None:
    path, info = dump_of(tmp_path / "dump.sqlite", "new", 3, encoding="UTF-16le")
    engine = filled.engine()
    with pytest.raises(PreflightRefused, match="UTF-16le"):
        engine.plan_restore(info)
    with pytest.raises(PreflightRefused, match="UTF-16le"):
        engine.inspect_dump(path, Plan("swap"))


def test_a_dump_of_a_newer_sqlite_is_warned_of(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    assert filled.engine().plan_restore(dump[1]).warnings == []
    (warning,) = filled.engine().plan_restore(replace(dump[1], server_version="99.1.0")).warnings
    assert "99.1.0" in warning


@pytest.mark.parametrize("keep", [100, 4096, 4096 * 3 + 17])
def test_a_truncated_dump_is_rejected(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo], keep: int) -> None:
    os.truncate(dump[0], keep)
    with pytest.raises(ArchiveRejected):
        filled.engine().inspect_dump(dump[0], Plan("swap"))


# --- the swap ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(3000, 3000), (3000, 3), (3, 3000), (0, 3), (3, 0)])
def test_an_open_connection_of_another_process_reads_the_old_until_the_commit_and_then_the_new(
    tmp_path: Path, before: int, after: int
) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    database = SqliteScratch(folder)
    database.remove()
    filled_with(database.path, "old", before)
    path, info = dump_of(tmp_path / "dump.sqlite", "new", after)
    old, new = ["old" if before else None, before], ["new" if after else None, after]
    engine, journal = database.engine(), new_journal("restore")
    seen: list[Any] = []
    with process_of(READER, database.path) as reader, engine.lock("restore"):
        assert ask(reader) == old
        build(engine, journal, path, info)
        engine.finish_shadow(journal)
        engine.swap(journal, on_close=lambda: seen.append(ask(reader)), switch_uploads=lambda: seen.append(ask(reader)))
        assert seen == [old, old]
        assert ask(reader) == new
    with closing(database.connect()) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM items").fetchone() == (after,)


def test_every_commit_that_was_accepted_is_in_the_kept_state_or_in_the_new_data(filled: SqliteScratch, tmp_path: Path) -> None:
    filled.execute("CREATE TABLE numbers (number integer PRIMARY KEY)")
    path, info = make_dump(filled, tmp_path)
    with process_of(WRITER, filled.path) as writer:
        accepted = {int(line) for line in answer_lines(writer, 20)}
        _, kept = restore(filled, path, info)
        while not filled.query("SELECT 1 FROM numbers LIMIT 1"):
            pass
        writer.kill()
        assert writer.stdout
        accepted |= {int(line) for line in writer.stdout.read().split("\n")[:-1]}
    with closing(sqlite3.connect(str(kept["path"]))) as connection:
        in_kept = {number for (number,) in connection.execute("SELECT number FROM numbers")}
    in_live = {number for (number,) in filled.query("SELECT number FROM numbers")}
    assert len(in_kept) >= 20
    assert accepted <= in_kept | in_live
    assert not in_kept & in_live


def test_the_swap_leaves_the_locks_of_other_connections_in_this_process(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    with closing(filled.connect()) as connection:
        connection.execute(NAMES).fetchall()
        restore(filled, *dump)
        undo_kept = filled.engine().live_state()
        assert undo_kept.state == "ok"
        # Were the locks of this process gone, the next to close would think itself the last and remove the WAL.
        code = f"import sqlite3; c = sqlite3.connect({str(filled.path)!r}); c.execute('SELECT * FROM items').fetchall(); c.close()"
        subprocess.run([sys.executable, "-c", code], check=True)
        assert Path(f"{filled.path}-wal").exists()
        assert connection.execute(NAMES).fetchall() == NAMES_OF_CONTENT


def test_the_wal_is_short_again_when_the_lock_is_given_back(tmp_path: Path, filled: SqliteScratch) -> None:
    path, info = dump_of(tmp_path / "dump.sqlite", "new", 3000)
    with closing(filled.connect()) as connection:
        connection.execute(NAMES).fetchall()
        restore(filled, path, info)
        assert Path(f"{filled.path}-wal").stat().st_size == 0


def test_a_reader_that_stays_does_not_stop_the_swap(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    with closing(filled.connect()) as connection:
        connection.execute("BEGIN")
        assert connection.execute(NAMES).fetchall() == NAMES_AFTER_CHANGES
        restore(filled, *dump)
        assert connection.execute(NAMES).fetchall() == NAMES_AFTER_CHANGES
        connection.execute("COMMIT")
        assert connection.execute(NAMES).fetchall() == NAMES_OF_CONTENT


def test_a_writer_that_stays_ends_the_swap_within_bounds(
    filled: SqliteScratch, dump: tuple[Path, DatabaseInfo], settings: Settings
) -> None:
    settings.BACKUPS_CLOSE_SECONDS = 1
    engine, journal = filled.engine(), new_journal("restore")
    with engine.lock("restore"):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        with filled.transaction(), pytest.raises(RestoreFailed, match="held the database for 1 seconds"):
            engine.swap(journal, on_close=lambda: pytest.fail("closed"), switch_uploads=nothing)
        engine.discard_shadow(journal)
    assert filled.query(NAMES) == NAMES_AFTER_CHANGES
    assert filled.leftovers() == []


@pytest.fixture
def long_wal(filled: SqliteScratch, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """A connection to a database with a WAL of more than ten of the pieces in which it is shortened."""
    monkeypatch.setattr(sqlite_file, "WAL_PIECE", 100_000)
    monkeypatch.setattr(sqlite_file, "CHECKPOINT_SECONDS", 0.2)
    with closing(filled.connect()) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA user_version=7")
        connection.execute("CREATE TABLE long AS SELECT zeroblob(1100000) AS content")
        yield connection


def wal_sizes_during_checkpoint(database: SqliteScratch, connection: sqlite3.Connection) -> list[int]:
    """The sizes of the WAL before each statement of a checkpoint, and after it."""
    wal, sizes = Path(f"{database.path}-wal"), list[int]()
    connection.set_trace_callback(lambda _: sizes.append(wal.stat().st_size))
    checkpoint(connection)
    return [*sizes, wal.stat().st_size]


def test_a_long_wal_is_shortened_in_pieces_and_nothing_in_the_database_changes(filled: SqliteScratch, long_wal: sqlite3.Connection) -> None:
    before = list(long_wal.iterdump())
    sizes = wal_sizes_during_checkpoint(filled, long_wal)
    assert sizes[0] > 1_000_000
    assert sizes[-1] == 0
    # A piece is cut to a whole frame.
    assert max(earlier - later for earlier, later in pairwise(sizes)) <= 100_000
    assert list(long_wal.iterdump()) == before
    assert long_wal.execute("PRAGMA user_version").fetchone() == (7,)


def test_a_long_wal_that_somebody_reads_is_left_as_it_is(filled: SqliteScratch, long_wal: sqlite3.Connection) -> None:
    with closing(filled.connect()) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT length(content) FROM long").fetchone() == (1100000,)
        long_wal.execute("INSERT INTO long VALUES (zeroblob(50000))")
        sizes = wal_sizes_during_checkpoint(filled, long_wal)
        assert sizes[-1] >= sizes[0]
        assert reader.execute("SELECT length(content) FROM long").fetchall() == [(1100000,)]
    assert wal_sizes_during_checkpoint(filled, long_wal)[-1] == 0
    assert filled.query("SELECT length(content) FROM long ORDER BY 1") == [(50000,), (1100000,)]


@pytest.mark.parametrize("wal_bytes", [200_000, 2_000_000])
def test_a_disk_that_is_full_in_the_swap_leaves_the_live_data(tmp_path: Path, filled: SqliteScratch, wal_bytes: int) -> None:
    path, info = dump_of(tmp_path / "dump.sqlite", "new", 3000)
    engine, journal = filled.engine(), new_journal("restore")

    def swap_on_a_full_disk() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with engine.lock("restore"):
            build(engine, journal, path, info)
            engine.finish_shadow(journal)
            resource.setrlimit(resource.RLIMIT_FSIZE, (wal_bytes, wal_bytes))
            with pytest.raises(RestoreFailed):
                engine.swap(journal, on_close=nothing, switch_uploads=nothing)
            engine.discard_shadow(journal)

    assert in_other_process(swap_on_a_full_disk) == 0
    assert filled.query(NAMES) == NAMES_OF_CONTENT
    assert filled.leftovers() == []
    filled.execute(CHANGES)


def test_a_live_file_that_is_not_in_wal_mode_is_put_into_it(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    with closing(sqlite3.connect(filled.path)) as connection:
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    restore(filled, *dump)
    with closing(sqlite3.connect(filled.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert filled.query(NAMES) == NAMES_OF_CONTENT


def test_the_shadow_takes_the_page_size_of_the_live_file(tmp_path: Path) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    database = SqliteScratch(folder)
    database.remove()
    filled_with(database.path, "old", 100, page_size=8192)
    path, info = dump_of(tmp_path / "dump.sqlite", "new", 100, page_size=1024)
    restore(database, path, info)
    assert database.query("PRAGMA page_size") == [(8192,)]
    assert database.query("SELECT DISTINCT name FROM items") == [("new",)]


def test_a_shadow_that_was_migrated_in_wal_mode_is_one_file_again(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    engine, journal = filled.engine(), new_journal("restore")
    with engine.lock("restore"):
        shadow = Path(build(engine, journal, *dump))
        with closing(sqlite3.connect(shadow)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE migrated (id integer)")
        assert engine.finish_shadow(journal) == []
        assert shadow.read_bytes()[18:20] == b"\1\1"
        engine.swap(journal, on_close=nothing, switch_uploads=nothing)
    assert filled.engine().rows() == ROWS_OF_CONTENT | {"migrated": 0}


def test_shadow_and_kept_state_are_private_and_carry_the_operations_id(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    engine, journal = filled.engine(), new_journal("restore")
    with engine.lock("restore"):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        assert filled.leftovers() == [f"db_shadow_{journal.short_id}.sqlite3"]
        engine.swap(journal, on_close=nothing, switch_uploads=nothing)
        assert filled.leftovers() == [f"db_before_{journal.short_id}.sqlite3"]
    for path in filled.folder.iterdir():
        if path.name.startswith("db_") or path.name.endswith("-lock"):
            assert path.stat().st_mode & 0o777 == 0o600, path


def test_an_interruption_between_the_commit_and_its_return_does_not_hide_that_the_new_data_is_live(
    filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]
) -> None:
    def interrupt_when_the_last_step_returns() -> None:
        # As a signal that arrives during the step: Python runs its action before the next line of Python.
        sys.setprofile(on_call)

    def on_call(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name == "on_progress":
            sys.setprofile(None)
            interruptions.append(filled.query(NAMES))
            raise KeyboardInterrupt

    interruptions: list[Any] = []
    engine, journal = filled.engine(), new_journal("restore")
    with engine.lock("restore"):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        result = engine.swap(journal, on_close=nothing, switch_uploads=interrupt_when_the_last_step_returns)
        assert interruptions == [NAMES_OF_CONTENT]
        assert result["kept"] and engine.judge(journal) == "new"
    assert filled.query(NAMES) == NAMES_OF_CONTENT
    undo(filled, {"path": filled.folder / filled.leftovers()[0]})
    assert filled.query(NAMES) == NAMES_AFTER_CHANGES


# --- a broken live database -------------------------------------------------------------------------------------------


def make_garbage(database: SqliteScratch) -> None:
    database.remove()
    database.path.write_bytes(b"this is no database\n" * 1000)


def make_garbage_with_a_wal(database: SqliteScratch) -> None:
    leave_a_wal(database)
    database.path.write_bytes(b"this is no database\n" * 1000)
    Path(f"{database.path}-wal").write_bytes(b"nor is this a WAL\n" * 1000)


def make_empty(database: SqliteScratch) -> None:
    database.remove()
    database.path.touch()


def make_empty_with_a_wal(database: SqliteScratch) -> None:
    leave_a_wal(database)
    os.truncate(database.path, 0)


def make_shorter(database: SqliteScratch) -> None:
    with closing(database.connect()) as connection:
        checkpoint(connection)
    os.truncate(database.path, 4096 * 2)


def make_missing_with_a_wal(database: SqliteScratch) -> None:
    leave_a_wal(database)
    database.path.unlink()


def leave_a_wal(database: SqliteScratch) -> None:
    """End a process so that its WAL, with commits in it, stays beside the file."""

    def write_and_die() -> None:
        connection = database.connect()
        connection.execute("UPDATE items SET name = 'in the WAL alone'")
        die()

    os.waitpid(fork(write_and_die), 0)
    assert Path(f"{database.path}-wal").stat().st_size


BREAKAGES = [make_garbage, make_garbage_with_a_wal, make_empty, make_empty_with_a_wal, make_shorter, make_missing_with_a_wal]
Break = Callable[[SqliteScratch], None]


def files_of(database: SqliteScratch) -> dict[str, bytes]:
    """What lies in the folder, without what holds no data: shared memory, a WAL of no bytes, the lock's file."""
    found = {path.name: path.read_bytes() for path in database.folder.iterdir() if not path.name.endswith(("-shm", "-lock"))}
    return {name: content for name, content in found.items() if content or not name.endswith("-wal")}


@pytest.mark.parametrize("make", BREAKAGES)
def test_a_broken_live_file_is_told_and_not_touched(filled: SqliteScratch, make: Break) -> None:
    make(filled)
    before = files_of(filled)
    state = filled.engine().live_state()
    assert state.state in {"broken", "empty", "missing"} and state.detail
    assert filled.engine().drain(0.0) == 0
    assert files_of(filled) == before


@pytest.mark.parametrize("make", BREAKAGES)
def test_a_restore_over_a_broken_live_file_works_and_keeps_it_aside(
    filled: SqliteScratch, dump: tuple[Path, DatabaseInfo], make: Break
) -> None:
    make(filled)
    before = files_of(filled)
    _, kept = restore(filled, *dump)
    assert kept == {}
    assert filled.query(NAMES) == NAMES_OF_CONTENT
    assert filled.query("PRAGMA integrity_check") == [("ok",)]
    assert filled.query("PRAGMA journal_mode") == [("wal",)]
    after = files_of(filled)
    aside = {name.replace("db_broken_" + name[10:18], "db"): content for name, content in after.items() if name.startswith("db_broken_")}
    assert aside == before
    filled.execute(CHANGES)


@pytest.mark.parametrize("make", BREAKAGES)
def test_a_restore_over_a_broken_live_file_that_fails_brings_it_back(
    filled: SqliteScratch, dump: tuple[Path, DatabaseInfo], make: Break
) -> None:
    make(filled)
    before = files_of(filled)
    engine, journal = filled.engine(), new_journal("restore")

    def fail() -> None:
        raise RuntimeError("of the test")

    with engine.lock("restore"):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        with pytest.raises(RuntimeError):
            engine.swap(journal, on_close=fail, switch_uploads=nothing)
        engine.discard_shadow(journal)
        assert engine.judge(journal) == "old"
    assert files_of(filled) == before


@pytest.mark.parametrize("make", BREAKAGES)
@pytest.mark.parametrize("point", ["on_close", "swapped"])
def test_a_restore_over_a_broken_live_file_that_is_killed_is_settled(
    filled: SqliteScratch, dump: tuple[Path, DatabaseInfo], make: Break, point: str
) -> None:
    make(filled)
    before = files_of(filled)
    journal = new_journal("restore")

    def restore_and_die() -> None:
        engine = filled.engine()
        with engine.lock("restore"):
            build(engine, journal, *dump)
            engine.finish_shadow(journal)
            engine.swap(journal, on_close=die if point == "on_close" else nothing, switch_uploads=nothing)
            die()

    assert os.waitstatus_to_exitcode(os.waitpid(fork(restore_and_die), 0)[1]) == -signal.SIGKILL
    dead = journal_load(journal.path)
    for _ in range(2):
        engine = filled.engine()
        with engine.lock("recover"):
            which = engine.judge(dead)
            assert which == ("old" if point == "on_close" else "new")
            assert engine.settle(dead, which) == {}
            engine.discard_shadow(dead)
    if which == "old":
        assert files_of(filled) == before
    else:
        assert filled.query(NAMES) == NAMES_OF_CONTENT


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_bringing_back_is_done_from_wherever_it_was_left(filled: SqliteScratch, moves: int) -> None:
    make_garbage_with_a_wal(filled)
    before = files_of(filled)
    journal = new_journal("restore")
    aside = filled.folder / f"db_broken_{journal.short_id}.sqlite3"
    aside_put(journal, filled.path, aside, 4096)
    assert filled.engine().live_state().state == "empty"
    dead = journal_load(journal.path)
    # As a recovery would leave it that was killed after so many moves.
    for path, back in [(Path(f"{aside}-wal"), Path(f"{filled.path}-wal")), (aside, filled.path)][:moves]:
        filled.path.unlink(missing_ok=True)
        path.replace(back)
    engine = filled.engine()
    with engine.lock("recover"):
        assert engine.settle(dead, "old") == {}
    assert files_of(filled) == before


def test_a_file_beside_a_broken_one_may_vanish_before_it_is_moved(filled: SqliteScratch, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SQLite does with the ``-shm`` when the last process closes the file."""
    make_garbage_with_a_wal(filled)
    shm = Path(f"{filled.path}-shm")
    shm.write_bytes(b"the index of a WAL")
    journal = new_journal("restore")
    save = Journal.save

    def save_then_lose(self: Journal) -> None:
        save(self)
        shm.unlink(missing_ok=True)

    monkeypatch.setattr(Journal, "save", save_then_lose)
    aside = filled.folder / "aside.sqlite3"
    before = files_of(filled)
    aside_put(journal, filled.path, aside, 4096)
    assert f"{filled.path.name}-shm" in journal.database["aside"]["files"]
    assert filled.engine().live_state().state == "empty"
    engine = filled.engine()
    with engine.lock("recover"):
        assert engine.settle(journal_load(journal.path), "old") == {}
    assert files_of(filled) == before


def test_what_somebody_put_in_the_place_of_a_broken_file_is_not_removed(filled: SqliteScratch) -> None:
    make_garbage(filled)
    journal = new_journal("restore")
    aside_put(journal, filled.path, filled.folder / "aside.sqlite3", 4096)
    filled.execute("CREATE TABLE by_hand (id integer)")
    engine = filled.engine()
    with pytest.raises(RestoreNotUndone, match="filled by another program"):
        engine.settle(journal, "old")
    assert engine.rows() == {"by_hand": 0}
    assert (filled.folder / "aside.sqlite3").exists()


def test_the_new_live_file_has_the_rights_of_the_broken_one(filled: SqliteScratch, dump: tuple[Path, DatabaseInfo]) -> None:
    make_garbage(filled)
    filled.path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(filled.path, 65534, 65533)
    wanted = filled.path.stat()
    restore(filled, *dump)
    found = filled.path.stat()
    assert (found.st_mode, found.st_uid, found.st_gid) == (wanted.st_mode, wanted.st_uid, wanted.st_gid)


def test_a_live_file_that_is_locked_is_not_taken_for_a_broken_one(
    filled: SqliteScratch, dump: tuple[Path, DatabaseInfo], settings: Settings
) -> None:
    settings.BACKUPS_CLOSE_SECONDS = 1
    with closing(filled.connect()) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("UPDATE items SET picture = 'locked'")
        state = filled.engine().live_state()
        assert state.state == "ok" and "locked" in state.detail
        with pytest.raises(PreflightRefused, match="locked"):
            filled.engine().plan_restore(dump[1])
        with pytest.raises(RestoreNotUndone, match="locked"):
            filled.engine().judge(new_journal("restore"))
    assert filled.leftovers() == []


# --- killed at any instant --------------------------------------------------------------------------------------------


def test_a_swap_that_is_killed_at_a_random_instant_ends_with_the_old_data_or_the_new(tmp_path: Path, filled: SqliteScratch) -> None:
    kill_swaps(tmp_path, filled, count=6, seed=20260723)


@pytest.mark.soak
def test_swaps_that_are_killed_at_many_random_instants_end_with_the_old_data_or_the_new(tmp_path: Path, filled: SqliteScratch) -> None:
    kill_swaps(tmp_path, filled, count=100, seed=random.randrange(2**32))


def kill_swaps(tmp_path: Path, database: SqliteScratch, *, count: int, seed: int) -> None:
    """Restore and kill, ``count`` times; each time the live data is wholly the one or the other, and recovery agrees."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    database.remove()
    filled_with(database.path, "generation 0", 3000)
    names, seconds = ["generation 0"], 0.0
    for number in range(count + 1):
        path, info = dump_of(tmp_path / "dump.sqlite", f"generation {number + 1}", chance.choice([30, 3000, 6000]))
        journal = new_journal("restore")
        began = time.monotonic()
        pid = fork(lambda: swap_and_exit(database, journal, path, info))  # noqa: B023  (it ends within this turn)
        if number == 0:
            os.waitpid(pid, 0)
            seconds = time.monotonic() - began
        else:
            time.sleep(chance.uniform(0.0, seconds))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        dead, engine = journal_load(journal.path), database.engine()
        with engine.lock("recover"):
            which = engine.judge(dead) if dead.database else "old"
            kept = engine.settle(dead, which) if dead.database else {}
            if which == "old":
                engine.discard_shadow(dead)
        names.append(f"generation {number + 1}" if which == "new" else names[-1])
        assert database.query("SELECT DISTINCT name FROM items") == [(names[-1],)]
        assert database.query("PRAGMA integrity_check") == [("ok",)]
        if which == "new":
            with closing(sqlite3.connect(str(kept["path"]))) as connection:
                assert connection.execute("SELECT DISTINCT name FROM items").fetchall() == [(names[-2],)]
            engine.discard_kept(kept)
        assert database.leftovers() == []
        path.unlink(missing_ok=True)
    assert names[1] == "generation 1"


def swap_and_exit(database: SqliteScratch, journal: Journal, path: Path, info: DatabaseInfo) -> None:
    engine = database.engine()
    with engine.lock("restore"):
        build(engine, journal, path, info)
        engine.finish_shadow(journal)
        engine.swap(journal, on_close=nothing, switch_uploads=nothing)
    os._exit(0)


# --- the lock ---------------------------------------------------------------------------------------------------------


def test_children_do_not_inherit_the_lock(filled: SqliteScratch) -> None:
    engine = filled.engine()
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with engine.lock("restore"):
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
        assert child.stdout and child.stdout.readline()
    try:
        assert not engine.is_locked()
        assert child.poll() is None
    finally:
        child.communicate()


def test_a_look_at_the_lock_does_not_keep_an_operation_from_it(filled: SqliteScratch) -> None:
    def look_for_ever() -> None:
        engine = filled.engine()
        while True:
            engine.is_locked()

    with filled.engine().lock("create"):
        pass
    pid = fork(look_for_ever)
    try:
        for _ in range(20):
            with filled.engine().lock("create"):
                pass
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_there_is_a_lock_where_the_database_has_no_folder_yet(tmp_path: Path, database: SqliteScratch) -> None:
    database.path = tmp_path / "new" / "db.sqlite3"
    with database.engine().lock("restore"):
        assert database.engine().is_locked()


def test_a_folder_in_which_nothing_can_be_locked_is_refused(database: SqliteScratch) -> None:
    Path(f"{database.path}.backups-lock").mkdir()
    with pytest.raises(PreflightRefused, match="nothing to lock with"), database.engine().lock("restore"):
        pytest.fail("locked")
    assert not database.engine().is_locked()
