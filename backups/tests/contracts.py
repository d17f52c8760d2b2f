"""What every engine owes, as one test class that runs against each.

A vendor's test module subclasses :class:`EngineContract` and gives it one fixture, ``database``: a
:class:`ScratchDatabase` that is empty, not the test runner's own, and thrown away afterwards.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, NoReturn, Protocol

import pytest

from backups.engines.base import BATCH, Engine, Plan
from backups.exceptions import ArchiveRejected, BackupError, DumpFailed, OperationLocked, PreflightRefused
from backups.journal import Journal, journal_load
from backups.manifest import DatabaseInfo
from backups.pace import Pace
from backups.progress import Progress
from backups.tests.workers import wait_until

__all__ = ["CHANGES", "CONTENT", "EngineContract", "ScratchDatabase"]

# SQL that both vendors understand. `notes` refers to `items`, so the order of loading matters.
CONTENT = """
CREATE TABLE django_migrations (id integer PRIMARY KEY, app text NOT NULL, name text NOT NULL, applied text NOT NULL);
INSERT INTO django_migrations VALUES (1, 'shop', '0001_initial', '2026-01-01'), (2, 'auth', '0001_initial', '2026-01-01'),
                                     (3, 'shop', '0002_more', '2026-01-02');
CREATE TABLE items (id integer PRIMARY KEY, name text NOT NULL, picture text);
INSERT INTO items VALUES (1, 'Büro', 'a/one.png'), (2, 'it''s', ''), (3, 'third', NULL), (4, 'again', 'a/one.png'), (5, 'x', 'b.pdf');
CREATE TABLE notes (id integer PRIMARY KEY, item_id integer NOT NULL REFERENCES items (id), body text NOT NULL);
INSERT INTO notes VALUES (1, 1, 'first'), (2, 5, 'second');
CREATE TABLE empty_table (id integer PRIMARY KEY);
"""
# Everything that can happen to data after a backup: deleted, updated and added rows, a dropped table, a new one that refers to ours.
CHANGES = """
DELETE FROM notes WHERE id = 2;
UPDATE items SET name = 'changed' WHERE id = 1;
INSERT INTO items VALUES (6, 'later', NULL);
DROP TABLE empty_table;
CREATE TABLE later (id integer PRIMARY KEY, item_id integer NOT NULL REFERENCES items (id));
INSERT INTO later VALUES (1, 6);
"""
ROWS_OF_CONTENT = {"django_migrations": 3, "items": 5, "notes": 2, "empty_table": 0}
ROWS_AFTER_CHANGES = {"django_migrations": 3, "items": 6, "notes": 1, "later": 1}
NAMES_OF_CONTENT: list[tuple[Any, ...]] = [("Büro",), ("it's",), ("third",), ("again",), ("x",)]
NAMES_AFTER_CHANGES: list[tuple[Any, ...]] = [("changed",), ("it's",), ("third",), ("again",), ("x",), ("later",)]
NAMES = "SELECT name FROM items ORDER BY id"


class ScratchDatabase(Protocol):
    """A live database of the test's own."""

    def engine(self) -> Engine:
        """A new engine of this database, as another process would have it."""

    def execute(self, sql: str) -> None:
        """Run statements on the live database over a connection of their own, and commit."""

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query on the live database over a fresh connection, as a visitor's process would read it."""

    def transaction(self) -> AbstractContextManager[object]:
        """Hold a transaction open on the live database that has written to ``items``; rolled back on leaving."""

    def remove(self) -> None:
        """Make the live database missing."""

    def leftovers(self) -> list[str]:
        """Names of what stands beside the live database, of kept states too (databases; files)."""

    def truncate(self, dump: Path) -> None:
        """Damage a good dump so that its head is whole and loading it fails in the middle."""


@pytest.mark.usefixtures("own_state")
class EngineContract:
    """The tests. Each operation uses an engine of its own, as each process does."""

    # Which data is live after the process was killed at a point of the swap. Whether the uploads are switched before the
    # commit or after it is the vendor's; recovery switches them the same way as the data.
    live_if_killed_at = {"built": "old", "on_close": "old", "switch_uploads": "new", "swapped": "new"}

    @pytest.fixture
    def filled(self, database: ScratchDatabase) -> ScratchDatabase:
        """The live database with :data:`CONTENT` in it."""
        database.execute(CONTENT)
        return database

    @pytest.fixture
    def dump(self, filled: ScratchDatabase, tmp_path: Path) -> tuple[Path, DatabaseInfo]:
        """A dump of :data:`CONTENT`, and what its manifest says of it; the live data is changed afterwards."""
        dump = make_dump(filled, tmp_path)
        filled.execute(CHANGES)
        return dump

    # --- create -------------------------------------------------------------------------------------------------

    def test_a_snapshot_counts_the_rows_of_every_table(self, filled: ScratchDatabase, tmp_path: Path) -> None:
        with filled.engine().snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot:
            assert snapshot.rows == ROWS_OF_CONTENT

    def test_a_snapshot_names_migrations_in_the_order_of_application(self, filled: ScratchDatabase, tmp_path: Path) -> None:
        with filled.engine().snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot:
            assert snapshot.migrations == {"shop": ["0001_initial", "0002_more"], "auth": ["0001_initial"]}

    def test_a_snapshot_says_what_it_is_of(self, filled: ScratchDatabase, tmp_path: Path) -> None:
        engine = filled.engine()
        with engine.snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot:
            assert snapshot.database.vendor == engine.vendor
            assert snapshot.database.member == engine.member
            assert snapshot.database.server_version and snapshot.database.client_version
            assert snapshot.database.encoding in {"UTF8", "UTF-8"}
            assert snapshot.database.size > 0

    def test_a_snapshot_lists_the_distinct_values_of_a_column(self, filled: ScratchDatabase, tmp_path: Path) -> None:
        with filled.engine().snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot:
            assert sorted(snapshot.values("items", "picture")) == ["a/one.png", "b.pdf"]
            assert list(snapshot.values("items", "absent")) == []
            assert list(snapshot.values("absent", "picture")) == []
            # The snapshot survives a question about what is not there.
            assert sorted(snapshot.values("items", "picture")) == ["a/one.png", "b.pdf"]

    def test_rows_that_come_after_the_snapshot_are_in_neither_its_counts_nor_its_dump(
        self, filled: ScratchDatabase, tmp_path: Path
    ) -> None:
        engine = filled.engine()
        path = tmp_path / engine.member
        with engine.snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot:
            filled.execute("INSERT INTO items VALUES (7, 'late', 'late.png')")
            with path.open("wb") as file:
                snapshot.write_to(file.write)
            assert snapshot.rows == ROWS_OF_CONTENT
            assert sorted(snapshot.values("items", "picture")) == ["a/one.png", "b.pdf"]
            info = snapshot.database
        assert restore(filled, path, info)[0] == ROWS_OF_CONTENT
        assert filled.query(NAMES) == NAMES_OF_CONTENT

    def test_a_dump_comes_in_pieces_of_bounded_size(self, filled: ScratchDatabase, tmp_path: Path) -> None:
        sizes: list[int] = []
        with filled.engine().snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot:
            snapshot.write_to(lambda piece: sizes.append(len(piece)))
        assert sizes and 0 < max(sizes) <= BATCH

    def test_a_stopped_dump_raises_and_leaves_nothing(self, filled: ScratchDatabase, tmp_path: Path) -> None:
        folder = new_folder(tmp_path)
        with filled.engine().snapshot(new_journal("create"), folder, Pace()) as snapshot:
            snapshot.stop()
            with pytest.raises(DumpFailed):
                snapshot.write_to(lambda piece: None)
        assert list(folder.iterdir()) == []
        assert filled.leftovers() == []

    def test_an_error_of_the_sink_ends_the_dump(self, filled: ScratchDatabase, tmp_path: Path) -> None:
        def full_disk(piece: memoryview) -> NoReturn:
            raise OSError(28, "No space left on device")

        folder = new_folder(tmp_path)
        with filled.engine().snapshot(new_journal("create"), folder, Pace()) as snapshot, pytest.raises(OSError, match="No space left"):
            snapshot.write_to(full_disk)
        assert list(folder.iterdir()) == []

    # --- restore ------------------------------------------------------------------------------------------------

    def test_a_restore_brings_every_table_back_and_keeps_what_was_live(
        self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo]
    ) -> None:
        shadow_rows, kept = restore(filled, *dump)
        assert shadow_rows == ROWS_OF_CONTENT
        assert filled.query(NAMES) == NAMES_OF_CONTENT
        assert filled.engine().rows() == ROWS_OF_CONTENT
        assert filled.engine().migrations() == {"shop": ["0001_initial", "0002_more"], "auth": ["0001_initial"]}
        assert kept and len(filled.leftovers()) == 1
        assert (filled.engine().kept_size(kept) or 0) > 0

    def test_an_undo_brings_back_what_was_live_and_a_second_undo_the_restored(
        self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo]
    ) -> None:
        _, kept = restore(filled, *dump)
        redo = undo(filled, kept)
        assert filled.query(NAMES) == NAMES_AFTER_CHANGES
        assert filled.engine().rows() == ROWS_AFTER_CHANGES
        undo(filled, redo)
        assert filled.query(NAMES) == NAMES_OF_CONTENT
        assert filled.engine().rows() == ROWS_OF_CONTENT
        assert len(filled.leftovers()) == 1

    def test_the_live_data_is_untouched_while_the_shadow_stands_and_after_it_is_discarded(
        self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo]
    ) -> None:
        engine, journal = filled.engine(), new_journal("restore")
        with engine.lock("restore"):
            name = build(engine, journal, *dump)
            assert engine.rows(name) == ROWS_OF_CONTENT
            assert engine.migrations(name) == {"shop": ["0001_initial", "0002_more"], "auth": ["0001_initial"]}
            assert engine.select("SELECT name FROM items WHERE id = %s", (1,), name=name) == [("Büro",)]
            filled.execute("UPDATE items SET name = 'while it was built' WHERE id = 2")
            assert engine.rows() == ROWS_AFTER_CHANGES
            assert engine.judge(journal) == "old"
            engine.discard_shadow(journal)
            engine.discard_shadow(journal)
        assert filled.query(NAMES)[:2] == [("changed",), ("while it was built",)]
        assert filled.leftovers() == []

    def test_the_journal_on_disk_knows_the_shadow(self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo]) -> None:
        engine, journal = filled.engine(), new_journal("restore")
        with engine.lock("restore"):
            build(engine, journal, *dump)
        later = filled.engine()
        with later.lock("recover"):
            later.discard_shadow(journal_load(journal.path))
        assert filled.leftovers() == []

    def test_the_uploads_are_switched_once_and_after_the_close(self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo]) -> None:
        calls: list[str] = []
        engine, journal = filled.engine(), new_journal("restore")
        with engine.lock("restore"):
            build(engine, journal, *dump)
            engine.finish_shadow(journal)
            result = engine.swap(journal, on_close=lambda: calls.append("close"), switch_uploads=lambda: calls.append("switch"))
            assert engine.judge(journal) == "new"
        assert calls == ["close", "switch"]
        milliseconds = result["milliseconds_closed"]
        assert isinstance(milliseconds, float) and milliseconds >= 0

    @pytest.mark.parametrize("point", ["on_close", "switch_uploads"])
    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
    def test_a_failure_before_the_commit_point_leaves_the_live_data_readable_as_it_was(
        self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo], point: str, error: type[BaseException]
    ) -> None:
        def fail() -> NoReturn:
            raise error("of the test")

        engine, journal = filled.engine(), new_journal("restore")
        with engine.lock("restore"):
            build(engine, journal, *dump)
            engine.finish_shadow(journal)
            steps: dict[str, Callable[[], None]] = {"on_close": nothing, "switch_uploads": nothing, point: fail}
            with pytest.raises((error, BackupError)):
                engine.swap(journal, **steps)
            assert filled.query(NAMES) == NAMES_AFTER_CHANGES
            filled.execute("INSERT INTO items VALUES (8, 'still writable', NULL)")
            assert engine.judge(journal) == "old"
            engine.discard_shadow(journal)
        assert filled.leftovers() == []

    def test_a_kept_state_can_be_discarded_twice(self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo]) -> None:
        _, kept = restore(filled, *dump)
        engine = filled.engine()
        engine.discard_kept(kept)
        engine.discard_kept(kept)
        assert engine.kept_size(kept) is None
        assert filled.leftovers() == []
        assert filled.query(NAMES) == NAMES_OF_CONTENT

    def test_an_undo_that_is_given_up_keeps_the_kept_state(self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo]) -> None:
        _, kept = restore(filled, *dump)
        engine, journal = filled.engine(), new_journal("undo")
        with engine.lock("undo"):
            engine.adopt_kept(journal, kept)
            engine.discard_shadow(journal)
        assert filled.query(NAMES) == NAMES_OF_CONTENT
        assert (filled.engine().kept_size(kept) or 0) > 0
        undo(filled, kept)
        assert filled.query(NAMES) == NAMES_AFTER_CHANGES

    # --- refusals -----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("content", [b"", b"this is no dump", b"\0" * 4096])
    def test_what_is_no_dump_is_rejected(self, filled: ScratchDatabase, tmp_path: Path, content: bytes) -> None:
        info = make_dump(filled, tmp_path)[1]
        path = tmp_path / "no-dump"
        path.write_bytes(content)
        engine = filled.engine()
        plan = engine.plan_restore(info, dump_size=len(content))
        with pytest.raises(ArchiveRejected):
            engine.inspect_dump(path, plan)

    def test_a_damaged_dump_fails_and_leaves_nothing(self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo]) -> None:
        path, info = dump
        filled.truncate(path)
        engine, journal = filled.engine(), new_journal("restore")
        with engine.lock("restore"):
            with pytest.raises(BackupError):
                build(engine, journal, path, info)
            engine.discard_shadow(journal)
        assert filled.query(NAMES) == NAMES_AFTER_CHANGES
        assert filled.leftovers() == []

    def test_a_dump_of_another_vendor_is_refused(self, filled: ScratchDatabase) -> None:
        info = DatabaseInfo("oracle", "db.other", "other", "1", "1", 1, "UTF8")
        with pytest.raises(PreflightRefused, match="oracle"):
            filled.engine().plan_restore(info)

    # --- the lock -----------------------------------------------------------------------------------------------

    def test_only_one_holds_the_lock(self, filled: ScratchDatabase) -> None:
        first, second = filled.engine(), filled.engine()
        assert not second.is_locked()
        with first.lock("restore"):
            assert second.is_locked()
            with pytest.raises(OperationLocked), second.lock("create"):
                pytest.fail("two hold the lock")
        assert not second.is_locked()
        with second.lock("create"):
            assert first.is_locked()

    def test_the_lock_is_waited_for(self, filled: ScratchDatabase) -> None:
        pid = fork(lambda: hold_lock_until_killed(filled))
        wait_until(filled.engine().is_locked, "the lock of the other process")
        os.kill(pid, signal.SIGKILL)
        with filled.engine().lock("restore", wait=30):
            pass
        os.waitpid(pid, 0)

    def test_a_lock_is_free_after_an_exception(self, filled: ScratchDatabase) -> None:
        engine = filled.engine()
        with pytest.raises(RuntimeError), engine.lock("restore"):
            raise RuntimeError
        assert not filled.engine().is_locked()

    # --- the live database --------------------------------------------------------------------------------------

    def test_the_state_of_the_live_database_is_told(self, database: ScratchDatabase) -> None:
        assert database.engine().live_state().state == "empty"
        database.execute(CONTENT)
        state = database.engine().live_state()
        assert state.state == "ok"
        assert state.size > 0 and state.server_version
        database.remove()
        state = database.engine().live_state()
        assert state.state == "missing"
        assert state.detail

    def test_a_restore_works_where_the_live_database_is_missing(self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo]) -> None:
        filled.remove()
        _, kept = restore(filled, *dump)
        assert kept == {}
        assert filled.query(NAMES) == NAMES_OF_CONTENT
        assert filled.leftovers() == []

    def test_select_reads_and_cannot_write(self, filled: ScratchDatabase) -> None:
        engine = filled.engine()
        assert engine.select("SELECT id, name FROM items WHERE name = %s", ("it's",)) == [(2, "it's")]
        with pytest.raises(Exception, match=r"(?i)read.?only"):
            engine.select("INSERT INTO items VALUES (9, 'no', NULL)")
        assert filled.query(NAMES) == NAMES_OF_CONTENT

    def test_drain_counts_the_transactions_that_are_left(self, filled: ScratchDatabase) -> None:
        engine = filled.engine()
        assert engine.drain(0.0) == 0
        with filled.transaction():
            assert engine.drain(0.2) == 1
        assert engine.drain(5.0) == 0

    # --- recovery -----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("point", ["built", "on_close", "switch_uploads", "swapped"])
    def test_a_restore_that_is_killed_ends_with_the_old_data_or_the_new(
        self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo], point: str
    ) -> None:
        which = self.live_if_killed_at[point]
        names = NAMES_AFTER_CHANGES if which == "old" else NAMES_OF_CONTENT
        journal = new_journal("restore")
        pid = fork(lambda: restore_killed_at(point, filled, journal, *dump))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        dead = journal_load(journal.path)
        for _ in range(2):  # Recovery may itself be killed and run again.
            engine = filled.engine()
            with engine.lock("recover", wait=30):
                engine.end_leftovers(dead)
                assert engine.judge(dead) == which
                kept = engine.settle(dead, engine.judge(dead))
                assert bool(kept) is (which == "new")
                assert engine.judge(dead) == which
                if which == "old":
                    engine.discard_shadow(dead)
            assert filled.query(NAMES) == names
            filled.execute("UPDATE items SET picture = 'writable' WHERE id = 5")
        assert len(filled.leftovers()) == (1 if which == "new" else 0)
        if which == "new":
            undo(filled, kept)
            assert filled.query(NAMES) == NAMES_AFTER_CHANGES

    @pytest.mark.parametrize("point", ["built", "on_close", "switch_uploads"])
    def test_an_undo_that_is_killed_loses_neither_state(self, filled: ScratchDatabase, dump: tuple[Path, DatabaseInfo], point: str) -> None:
        which = self.live_if_killed_at[point]
        names = NAMES_OF_CONTENT if which == "old" else NAMES_AFTER_CHANGES
        _, kept = restore(filled, *dump)
        journal = new_journal("undo")
        pid = fork(lambda: undo_killed_at(point, filled, journal, kept))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        dead = journal_load(journal.path)
        engine = filled.engine()
        with engine.lock("recover", wait=30):
            engine.end_leftovers(dead)
            assert engine.judge(dead) == which
            redo = engine.settle(dead, engine.judge(dead))
            if which == "old":
                engine.discard_shadow(dead)
        assert filled.query(NAMES) == names
        undo(filled, redo if which == "new" else kept)
        assert filled.query(NAMES) == (NAMES_OF_CONTENT if which == "new" else NAMES_AFTER_CHANGES)


def nothing() -> None:
    """A step that does nothing."""


def new_journal(kind: str) -> Journal:
    """A journal that is on disk, of an operation that runs."""
    journal = Journal(kind)
    journal.start()
    return journal


def new_folder(tmp_path: Path) -> Path:
    """The private folder that a snapshot may use."""
    folder = tmp_path / "beside the store"
    folder.mkdir(exist_ok=True)
    return folder


def make_dump(database: ScratchDatabase, tmp_path: Path) -> tuple[Path, DatabaseInfo]:
    """Dump the live database as it is."""
    engine = database.engine()
    path = tmp_path / engine.member
    with engine.snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot, path.open("wb") as file:
        snapshot.write_to(file.write)
        return path, snapshot.database


def build(engine: Engine, journal: Journal, path: Path, info: DatabaseInfo) -> str:
    """Plan, inspect and build, as the restore does; the lock is held by the caller."""
    plan: Plan = engine.plan_restore(info, dump_size=path.stat().st_size)
    engine.inspect_dump(path, plan)
    return engine.build_shadow(journal, path, plan, Progress(), Pace())


def restore(database: ScratchDatabase, path: Path, info: DatabaseInfo) -> tuple[dict[str, int], dict[str, object]]:
    """A whole restore; returns the shadow's rows and the kept state."""
    engine, journal = database.engine(), new_journal("restore")
    with engine.lock("restore"):
        rows = engine.rows(build(engine, journal, path, info))
        engine.finish_shadow(journal)
        result = engine.swap(journal, on_close=nothing, switch_uploads=nothing)
    kept = result["kept"]
    assert isinstance(kept, dict)
    return rows, kept


def undo(database: ScratchDatabase, kept: dict[str, object]) -> dict[str, object]:
    """A whole undo; returns what redo would use."""
    engine, journal = database.engine(), new_journal("undo")
    with engine.lock("undo"):
        engine.adopt_kept(journal, kept)
        engine.finish_shadow(journal)
        result = engine.swap(journal, on_close=nothing, switch_uploads=nothing)
    redo = result["kept"]
    assert isinstance(redo, dict)
    return redo


def fork(run: Callable[[], object]) -> int:
    """Run something in a forked process, which never comes back into the test; returns its id."""
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            run()
        os._exit(99)
    return pid


def die() -> NoReturn:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def hold_lock_until_killed(database: ScratchDatabase) -> None:
    """Take the lock and keep it."""
    with database.engine().lock("create"):
        signal.pause()


def restore_killed_at(point: str, database: ScratchDatabase, journal: Journal, path: Path, info: DatabaseInfo) -> None:
    """A restore whose process is killed at ``point``."""
    engine = database.engine()
    with engine.lock("restore"):
        build(engine, journal, path, info)
        engine.finish_shadow(journal)
        swap_killed_at(point, engine, journal)


def undo_killed_at(point: str, database: ScratchDatabase, journal: Journal, kept: dict[str, object]) -> None:
    """An undo whose process is killed at ``point``."""
    engine = database.engine()
    with engine.lock("undo"):
        engine.adopt_kept(journal, kept)
        engine.finish_shadow(journal)
        swap_killed_at(point, engine, journal)


def swap_killed_at(point: str, engine: Engine, journal: Journal) -> None:
    """The swap, with the end of this process at ``point``."""
    if point == "built":
        die()
    steps: dict[str, Callable[[], None]] = {"on_close": nothing, "switch_uploads": nothing}
    if point in steps:
        steps[point] = die
    engine.swap(journal, **steps)
    if point == "swapped":
        die()
