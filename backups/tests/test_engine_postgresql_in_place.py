"""PostgreSQL, strategy in-place: one transaction, entirely or not at all, and the database itself tells which."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from pytest_django import Settings

from backups.engines.base import Plan
from backups.engines.pg_in_place import mark_of
from backups.engines.postgresql import PostgresEngine
from backups.engines.process import end_children
from backups.exceptions import BackupError, PreflightRefused, RestoreFailed
from backups.journal import Journal, journal_load
from backups.manifest import DatabaseInfo
from backups.progress import Progress
from backups.tests.contracts import (
    CHANGES,
    CONTENT,
    NAMES,
    NAMES_AFTER_CHANGES,
    NAMES_OF_CONTENT,
    ROWS_OF_CONTENT,
    fork,
    make_dump,
    new_journal,
    nothing,
)
from backups.tests.scratch_postgres import ScratchPostgres, scratch_postgres
from backups.tests.servers import PgCluster


@pytest.fixture(autouse=True)
def own_programs(own_state: None, settings: Settings, pg: PgCluster) -> None:
    """The programs of the server, and journals of the test's own."""
    settings.BACKUPS_PG_BIN_DIRS = [str(pg.bin_dir)]


@pytest.fixture(scope="module")
def plain_role(pg15: PgCluster) -> Iterator[str]:
    """A role that may not create databases."""
    yield pg15.create_role("plain")
    pg15.execute("DROP ROLE plain")


@pytest.fixture
def scratch(pg: PgCluster, plain_role: str) -> Iterator[ScratchPostgres]:
    """A database with content, owned by such a role."""
    with scratch_postgres(pg, user=plain_role) as scratch:
        scratch.execute(CONTENT)
        yield scratch


def load(engine: PostgresEngine, journal: Journal, path: Path, info: DatabaseInfo, progress: Progress | None = None) -> Plan:
    """Plan, inspect and load, as the restore does; the lock is held by the caller."""
    plan = engine.plan_restore(info, dump_size=path.stat().st_size)
    assert plan.strategy == "in-place"
    engine.inspect_dump(path, plan)
    engine.load_in_place(journal, path, plan, progress or Progress(), expected={}, on_close=nothing)
    return plan


def comment(scratch: ScratchPostgres) -> object:
    """The comment on the live database."""
    return scratch.query("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()")[0][0]


def test_a_role_without_createdb_restores_in_place_and_is_told_what_would_allow_a_swap(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        plan = load(engine, journal, *dump)
        assert engine.judge(journal) == "new"
        assert engine.settle(journal, "new") == {}
        assert engine.judge(journal) == "new"
    assert [warning for warning in plan.warnings if 'ALTER ROLE "plain" CREATEDB' in warning]
    assert scratch.query(NAMES) == NAMES_OF_CONTENT
    # The table that is newer than the archive, with its foreign key to one of ours, is gone.
    assert engine.rows() == ROWS_OF_CONTENT
    assert scratch.leftovers() == []


def test_a_swap_is_refused_where_it_was_asked_for(scratch: ScratchPostgres, tmp_path: Path) -> None:
    _, info = make_dump(scratch, tmp_path)
    with pytest.raises(PreflightRefused, match="may not create databases") as caught:
        scratch.engine().plan_restore(info, strategy="swap")
    assert 'ALTER ROLE "plain" CREATEDB' in caught.value.next_step


def test_a_role_that_does_not_own_the_database_is_refused(scratch: ScratchPostgres, tmp_path: Path) -> None:
    _, info = make_dump(scratch, tmp_path)
    scratch.cluster.execute(f"ALTER DATABASE {scratch.name} OWNER TO postgres")
    with pytest.raises(PreflightRefused, match="does not own the database") as caught:
        scratch.engine().plan_restore(info)
    assert f'ALTER DATABASE "{scratch.name}" OWNER TO "plain"' in caught.value.next_step
    assert scratch.query(NAMES) == NAMES_OF_CONTENT


def test_a_role_that_may_not_create_databases_is_refused_where_there_is_none(scratch: ScratchPostgres, tmp_path: Path) -> None:
    _, info = make_dump(scratch, tmp_path)
    scratch.remove()
    with pytest.raises(PreflightRefused, match="does not exist") as caught:
        scratch.engine().plan_restore(info)
    assert "CREATE DATABASE" in caught.value.next_step


def test_a_table_of_another_role_is_refused_by_name(scratch: ScratchPostgres, tmp_path: Path) -> None:
    _, info = make_dump(scratch, tmp_path)
    scratch.cluster.execute("CREATE TABLE public.of_the_superuser (id integer)", database=scratch.name)
    with pytest.raises(PreflightRefused, match="of_the_superuser of postgres"):
        scratch.engine().plan_restore(info)


EVERY_KIND = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('good', 'bad');
CREATE TYPE app.pair AS (a integer, b text);
CREATE DOMAIN app.positive AS integer CHECK (VALUE > 0);
CREATE TYPE app.span AS RANGE (subtype = float8);
CREATE TABLE app.things (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood app.mood, n app.positive, p app.pair, s app.span);
CREATE FUNCTION app.add(integer, integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
CREATE PROCEDURE app.run() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE app.total (integer) (SFUNC = app.add, STYPE = integer, INITCOND = '0');
CREATE OPERATOR app.## (FUNCTION = app.add, LEFTARG = integer, RIGHTARG = integer);
CREATE COLLATION app.german (LOCALE = 'C');
CREATE TEXT SEARCH DICTIONARY app.dict (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION app.config (PARSER = "default");
CREATE STATISTICS app.stats ON mood, n FROM app.things;
CREATE VIEW app.view AS SELECT id FROM app.things;
CREATE MATERIALIZED VIEW app.matview AS SELECT id FROM app.things;
CREATE SEQUENCE app.free START 41;
CREATE TABLE app.log (at integer) PARTITION BY RANGE (at);
CREATE TABLE app.log_1 PARTITION OF app.log FOR VALUES FROM (0) TO (10);
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touch BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION public.touch();
CREATE FUNCTION public."odd ""name"(text, VARIADIC integer[]) RETURNS integer LANGUAGE sql AS 'SELECT 1';
INSERT INTO app.things (mood, n) VALUES ('good', 3);
INSERT INTO app.log VALUES (5);
SELECT nextval('app.free');
SELECT lo_from_bytea(4711, 'large object');
"""
# Every user object of the catalogues above, and triggers, by kind and full name.
OBJECTS = """
WITH objects (classid, objid) AS (
    SELECT 'pg_namespace'::regclass, oid FROM pg_namespace
    UNION ALL SELECT 'pg_class'::regclass, oid FROM pg_class
    UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type
    UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc
    UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator
    UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict
    UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext
    UNION ALL SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE NOT tgisinternal
)
SELECT i.type, i.identity FROM objects, pg_identify_object(classid, objid, 0) i
WHERE objid >= 16384 AND i.identity !~ 'pg_toast|^pg_temp' ORDER BY 1, 2
"""


def test_every_kind_of_object_is_dropped_and_made_again(scratch: ScratchPostgres, tmp_path: Path) -> None:
    scratch.execute(EVERY_KIND)
    objects = scratch.query(OBJECTS)
    assert len(objects) > 40
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    scratch.execute("CREATE SCHEMA newer; CREATE TABLE newer.t (m app.mood); CREATE TYPE newer.e AS ENUM ('x')")
    scratch.execute("ALTER TYPE app.mood ADD VALUE 'new'")
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        load(engine, journal, *dump)
        engine.settle(journal, "new")
    assert scratch.query(OBJECTS) == objects
    assert scratch.query("SELECT id, mood::text, n FROM app.things") == [(1, "good", 3)]
    assert scratch.query("SELECT nextval('app.free')") == [(42,)]
    assert [bytes(data) for (data,) in scratch.query("SELECT lo_get(4711)")] == [b"large object"]


def test_extensions_and_event_triggers_stay_and_are_no_obstacle(scratch: ScratchPostgres, tmp_path: Path) -> None:
    pg = scratch.cluster
    pg.execute("CREATE SCHEMA ext AUTHORIZATION plain", database=scratch.name)
    for statement in (
        "CREATE EXTENSION citext SCHEMA ext",
        "CREATE EXTENSION pageinspect",
        "CREATE FUNCTION public.audit() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''x''; END'",
        "CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION public.audit()",
        "ALTER FUNCTION public.audit() OWNER TO postgres",
    ):
        pg.execute(statement, database=scratch.name)
    scratch.execute("ALTER TABLE items ADD tag ext.citext DEFAULT 'A'")
    path, info = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    with pytest.raises(PreflightRefused, match=r"function public\.audit\(\) of postgres"):
        scratch.engine().plan_restore(info)

    pg.execute("DROP EVENT TRIGGER audit", database=scratch.name)
    pg.execute("DROP FUNCTION public.audit()", database=scratch.name)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        load(engine, journal, path, info)
        engine.settle(journal, "new")
    assert scratch.query("SELECT DISTINCT tag OPERATOR(ext.=) 'a' FROM items") == [(True,)]
    assert scratch.query("SELECT extname FROM pg_extension ORDER BY 1") == [("citext",), ("pageinspect",), ("plpgsql",)]


def test_grants_of_absent_roles_are_reported_and_the_others_made(scratch: ScratchPostgres, tmp_path: Path) -> None:
    pg = scratch.cluster
    pg.create_role("gone")
    scratch.execute("GRANT SELECT ON items TO gone, timetracker")
    dump = make_dump(scratch, tmp_path)
    pg.execute("DROP OWNED BY gone", database=scratch.name)
    pg.execute("DROP ROLE gone")
    engine, journal, progress = scratch.engine(), new_journal("restore"), Progress()
    with engine.lock(journal.id):
        load(engine, journal, *dump, progress)
        engine.settle(journal, "new")
    assert [warning for warning in progress.warnings if "TO gone" in warning and 'role "gone" does not exist' in warning]
    assert scratch.query("SELECT has_table_privilege('timetracker', 'items', 'SELECT')") == [(True,)]


def test_the_comment_is_kept_and_comes_back(scratch: ScratchPostgres, tmp_path: Path) -> None:
    scratch.cluster.execute(f"COMMENT ON DATABASE {scratch.name} IS 'ours, it''s'")
    dump = make_dump(scratch, tmp_path)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        load(engine, journal, *dump)
        assert comment(scratch) == mark_of(journal.id)
        # A second load by the same operation (the way back) must not take the mark for the comment.
        load(engine, journal, *dump)
        engine.settle(journal, "old")
        engine.settle(journal, "old")
        assert engine.judge(journal) == "old"
    assert comment(scratch) == "ours, it's"


def test_a_damaged_dump_changes_nothing(scratch: ScratchPostgres, tmp_path: Path) -> None:
    path, info = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    scratch.truncate(path)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        with pytest.raises(BackupError):
            load(engine, journal, path, info)
        assert engine.judge(journal) == "old"
    assert scratch.query(NAMES) == NAMES_AFTER_CHANGES
    assert comment(scratch) is None
    assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(("in-place", "contents"))] == []


def test_an_error_of_the_load_is_told_by_its_first_line_and_changes_nothing(scratch: ScratchPostgres, tmp_path: Path) -> None:
    scratch.execute("CREATE FUNCTION three() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 3'")
    scratch.execute("ALTER TABLE items ADD CHECK (id > -three())")
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    # What the dump needs and the role may no longer do.
    scratch.cluster.execute("REVOKE USAGE ON LANGUAGE sql FROM PUBLIC", database=scratch.name)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id), pytest.raises(RestoreFailed, match="permission denied for language sql"):
        load(engine, journal, *dump)
    assert scratch.query(NAMES) == NAMES_AFTER_CHANGES
    assert scratch.engine().judge(journal) == "old"


def test_sessions_that_hold_locks_are_ended(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    engine, journal = scratch.engine(), new_journal("restore")
    with (
        closing(scratch.cluster.connect(scratch.name, user=scratch.user, autocommit=False)) as session,
        session.cursor() as cursor,
        engine.lock(journal.id),
    ):
        cursor.execute("SELECT * FROM items")
        load(engine, journal, *dump)
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 1")
    assert scratch.query(NAMES) == NAMES_OF_CONTENT


def test_a_reader_waits_and_sees_the_old_data_or_the_new(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    answers: list[object] = []
    ended, seen = threading.Event(), threading.Event()

    def read() -> None:
        while not ended.is_set():
            try:
                answers.append(scratch.query(NAMES))
            except psycopg2.Error as error:
                answers.append(str(error))
            seen.set()

    reader = threading.Thread(target=read)
    reader.start()
    seen.wait()
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        load(engine, journal, *dump)
    ended.set()
    reader.join()
    # A statement planned before the drop may find its table gone, but never a table that is half filled.
    rows = [answer for answer in answers if isinstance(answer, list)]
    assert all(answer in (NAMES_OF_CONTENT, NAMES_AFTER_CHANGES) for answer in rows)
    assert NAMES_AFTER_CHANGES in rows


def load_killed(scratch: ScratchPostgres, journal: Journal, dump: tuple[Path, DatabaseInfo], *, committed: bool) -> None:
    """A load whose process is killed after the commit, or while ``psql`` waits in mid-transaction for a superuser's lock."""
    engine = scratch.engine()
    path, info = dump
    sessions: list[psycopg2.extensions.connection] = []

    def block() -> None:
        # Taken after preflight, which would refuse it. The load may not break a superuser's lock.
        session = scratch.cluster.connect(scratch.name, autocommit=False)
        with session.cursor() as cursor:
            cursor.execute("LOCK TABLE notes IN ACCESS SHARE MODE")
        sessions.append(session)
        threading.Thread(target=die_when_it_waits).start()

    def die_when_it_waits() -> None:
        query = "SELECT FROM pg_stat_activity WHERE datname = %s AND application_name = %s AND wait_event_type = 'Lock'"
        while not scratch.cluster.fetch(query, (scratch.name, f"backups:{journal.short_id}")):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    with engine.lock(journal.id):
        plan = engine.plan_restore(info)
        engine.load_in_place(journal, path, plan, Progress(), expected={}, on_close=nothing if committed else block)
        os.kill(os.getpid(), signal.SIGKILL)


def test_other_rows_than_the_archive_counts_are_not_committed(scratch: ScratchPostgres, tmp_path: Path) -> None:
    scratch.execute(
        'CREATE SCHEMA "Older Years"; CREATE TABLE "Older Years"."a.b" AS SELECT generate_series(1, 5) AS n;'
        "CREATE TABLE parted (n integer) PARTITION BY RANGE (n); CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (9);"
        "INSERT INTO parted VALUES (1), (2), (3)"
    )
    path, info = make_dump(scratch, tmp_path)
    engine, journal = scratch.engine(), new_journal("restore")
    counted = engine.rows()
    assert counted["Older Years.a.b"] == 5
    assert counted["parted"] == 3
    scratch.execute(CHANGES)
    for wrong in ({"parted": 4}, {"Older Years.a.b": 6}, {"never_there": 1}):
        with engine.lock(journal.id):
            plan = engine.plan_restore(info)
            with pytest.raises(RestoreFailed, match=f"table {next(iter(wrong))} has"):
                engine.load_in_place(journal, path, plan, Progress(), expected=counted | wrong, on_close=nothing)
            assert engine.judge(journal) == "old"
        assert scratch.query(NAMES) == NAMES_AFTER_CHANGES
    with engine.lock(journal.id):
        engine.load_in_place(journal, path, engine.plan_restore(info), Progress(), expected=counted, on_close=nothing)
        engine.settle(journal, "new")
    assert engine.rows() == counted


@pytest.mark.parametrize("committed", [False, True])
def test_a_load_that_is_killed_is_committed_whole_or_not_at_all(scratch: ScratchPostgres, tmp_path: Path, committed: bool) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    journal = new_journal("restore")
    pid = fork(lambda: load_killed(scratch, journal, dump, committed=committed))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    dead = journal_load(journal.path)
    engine = scratch.engine()
    with engine.lock("recover", wait=30):
        engine.end_leftovers(dead)
        which = engine.judge(dead)
        engine.settle(dead, which)
    assert which == ("new" if committed else "old")
    assert scratch.query(NAMES) == (NAMES_OF_CONTENT if committed else NAMES_AFTER_CHANGES)
    assert comment(scratch) is None


def test_a_psql_that_is_killed_never_commits_half(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    engine, journal = scratch.engine(), new_journal("restore")
    sessions: list[psycopg2.extensions.connection] = []
    query = "SELECT FROM pg_stat_activity WHERE datname = %s AND application_name = %s AND wait_event_type = 'Lock'"

    def block() -> None:
        session = scratch.cluster.connect(scratch.name, autocommit=False)
        with session.cursor() as cursor:
            cursor.execute("LOCK TABLE notes IN ACCESS SHARE MODE")
        sessions.append(session)
        threading.Thread(target=kill_psql).start()

    def kill_psql() -> None:
        while not scratch.cluster.fetch(query, (scratch.name, f"backups:{journal.short_id}")):
            pass
        assert end_children(journal.id) == 1

    with engine.lock(journal.id):
        plan = engine.plan_restore(dump[1])
        with pytest.raises(RestoreFailed, match="ended by signal 9"):
            engine.load_in_place(journal, dump[0], plan, Progress(), expected={}, on_close=block)
        sessions[0].close()
        engine.end_leftovers(Journal("restore", id=journal.id))
        assert engine.judge(journal) == "old"
    assert scratch.query(NAMES) == NAMES_AFTER_CHANGES
