"""PostgreSQL, strategy swap: what the new live database inherits, who is in the way, and what is never lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql
from pytest_django import Settings

from backups.engines.pg_catalog import database_facts
from backups.engines.pg_database import sibling_name
from backups.engines.pg_server import application_name
from backups.exceptions import BackupError, OperationLocked, PreflightRefused, RestoreFailed, RestoreNotUndone
from backups.journal import Journal
from backups.pace import Pace
from backups.progress import Progress
from backups.tests.contracts import (
    CHANGES,
    CONTENT,
    NAMES,
    NAMES_AFTER_CHANGES,
    NAMES_OF_CONTENT,
    ROWS_OF_CONTENT,
    build,
    make_dump,
    new_journal,
    nothing,
    restore,
    undo,
)
from backups.tests.scratch_postgres import ScratchPostgres, scratch_postgres
from backups.tests.servers import PgCluster

pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def reporter(pg: PgCluster) -> Iterator[str]:
    """A second role, of which the owner is no member."""
    name = pg.create_role("reporter")
    yield name
    pg.execute(f"DROP OWNED BY {name}")
    pg.execute(f"DROP ROLE {name}")


def access(cluster: PgCluster, name: str) -> set[tuple[object, ...]]:
    """Rights on a database: grantee, privilege, grantable."""
    return set(
        cluster.fetch(
            "SELECT a.grantee::regrole::text, a.privilege_type, a.is_grantable FROM pg_database d, "
            "aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE d.datname = %s",
            (name,),
        )
    )


# --- what the new database inherits -----------------------------------------------------------------------------------


def test_rights_on_the_database_are_those_of_the_live_one(scratch: ScratchPostgres, reporter: str, tmp_path: Path) -> None:
    pg = scratch.cluster
    pg.execute(f"REVOKE ALL ON DATABASE {scratch.name} FROM PUBLIC")
    pg.execute(f"GRANT CONNECT ON DATABASE {scratch.name} TO {reporter} WITH GRANT OPTION")
    before = access(pg, scratch.name)
    assert ("reporter", "CONNECT", True) in before
    _, kept = restore(scratch, *make_dump(scratch, tmp_path))
    assert access(pg, scratch.name) == before
    undo(scratch, kept)
    assert access(pg, scratch.name) == before


def test_default_rights_are_the_default_rights_again(scratch: ScratchPostgres, tmp_path: Path) -> None:
    before = access(scratch.cluster, scratch.name)
    assert ("-", "CONNECT", False) in before
    restore(scratch, *make_dump(scratch, tmp_path))
    assert access(scratch.cluster, scratch.name) == before


def test_nobody_else_can_enter_the_shadow_or_the_kept_database(scratch: ScratchPostgres, reporter: str, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        name = build(engine, journal, *dump)
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            scratch.cluster.connect(name, user=reporter)
        engine.finish_shadow(journal)
        for user in (reporter, scratch.user, "postgres"):
            with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
                scratch.cluster.connect(name, user=user)
        result = engine.swap(journal, on_close=nothing, switch_uploads=nothing)
    kept = result["kept"]
    assert isinstance(kept, dict)
    with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
        scratch.cluster.connect(str(kept["database"]))
    journal = new_journal("undo")
    with engine.lock(journal.id):
        adopted = engine.adopt_kept(journal, kept)
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            scratch.cluster.connect(adopted, user=reporter)
        engine.discard_shadow(journal)


def test_settings_comment_and_connection_limit_are_carried_over(scratch: ScratchPostgres, tmp_path: Path) -> None:
    pg, name = scratch.cluster, scratch.name
    for statement in (
        f'ALTER DATABASE {name} SET search_path TO app, "$user", public',
        f"ALTER DATABASE {name} SET work_mem TO '7MB'",
        f"ALTER DATABASE {name} SET timezone TO 'Pacific/Apia'",
        f"ALTER DATABASE {name} SET statement_timeout TO '4s'",
        f"ALTER ROLE {scratch.user} IN DATABASE {name} SET datestyle TO 'German'",
        f"ALTER DATABASE {name} CONNECTION LIMIT 17",
        f"COMMENT ON DATABASE {name} IS 'the time tracker''s own'",
    ):
        pg.execute(statement)
    query = (
        "SELECT d.datconnlimit, shobj_description(d.oid, 'pg_database'), "
        "(SELECT array_agg(s.setconfig ORDER BY s.setrole) FROM pg_db_role_setting s WHERE s.setdatabase = d.oid) "
        "FROM pg_database d WHERE datname = %s"
    )
    before = pg.fetch(query.replace("array_agg(s.setconfig ", "array_agg(s.setconfig::text "), (name,))
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    restore(scratch, *dump)
    assert pg.fetch(query.replace("array_agg(s.setconfig ", "array_agg(s.setconfig::text "), (name,)) == before
    assert scratch.query("SHOW work_mem") == [("7MB",)]
    assert scratch.query("SHOW search_path") == [('app, "$user", public',)]


def test_a_setting_that_an_owner_may_not_set_is_named(scratch: ScratchPostgres, tmp_path: Path) -> None:
    scratch.cluster.execute(f"ALTER DATABASE {scratch.name} SET log_min_duration_statement TO 100")
    scratch.cluster.execute(f"ALTER DATABASE {scratch.name} SET unknown_extension.flag TO 'on'")
    dump = make_dump(scratch, tmp_path)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        build(engine, journal, *dump)
        warnings = engine.finish_shadow(journal)
        engine.swap(journal, on_close=nothing, switch_uploads=nothing)
    assert len(warnings) == 2
    assert "The setting log_min_duration_statement could not be carried over: permission denied" in warnings[0]
    assert "The setting unknown_extension.flag could not be carried over: permission denied" in warnings[1]
    assert scratch.query(NAMES) == NAMES_OF_CONTENT


@pytest.mark.parametrize(
    "options",
    [
        "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'",
        "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
        "LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'",
    ],
)
def test_encoding_and_locale_stay_those_of_the_live_database(pg: PgCluster, settings: Settings, tmp_path: Path, options: str) -> None:
    settings.BACKUPS_PG_BIN_DIRS = [str(pg.bin_dir)]
    with scratch_postgres(pg, options=options) as scratch:
        scratch.execute(CONTENT)
        columns = "encoding, datcollate, datctype, datlocprovider, daticulocale, datdba, dattablespace"
        query = f"SELECT {columns} FROM pg_database WHERE datname = %s"
        before = pg.fetch(query, (scratch.name,))
        dump = make_dump(scratch, tmp_path)
        scratch.execute(CHANGES)
        restore(scratch, *dump)
        assert pg.fetch(query, (scratch.name,)) == before
        assert scratch.query(NAMES) == NAMES_OF_CONTENT


def test_the_tablespace_stays_or_is_named(scratch: ScratchPostgres, tmp_path: Path) -> None:
    pg = scratch.cluster
    folder = pg.folder / "space"
    folder.mkdir()
    if pg.account:
        import os

        os.chown(folder, *pg.account)
    pg.execute(f"CREATE TABLESPACE fast LOCATION '{folder}'")
    pg.execute(f"ALTER DATABASE {scratch.name} SET TABLESPACE fast")
    dump = make_dump(scratch, tmp_path)
    engine, journal, progress = scratch.engine(), new_journal("restore"), Progress()
    with engine.lock(journal.id):
        plan = engine.plan_restore(dump[1])
        name = engine.build_shadow(journal, dump[0], plan, progress, Pace())
        assert [warning for warning in progress.warnings if "tablespace fast" in warning]
        engine.discard_shadow(journal)
        pg.execute(f"GRANT CREATE ON TABLESPACE fast TO {scratch.user}")
        journal = new_journal("restore")
        name = engine.build_shadow(journal, dump[0], plan, Progress(), Pace())
        with closing(pg.connect()) as connection:
            facts = database_facts(connection, name=name)
        assert facts is not None and facts.tablespace == "fast"
        engine.discard_shadow(journal)
    pg.drop_databases(scratch.name)
    pg.execute("DROP TABLESPACE fast")
    pg.create_database(scratch.name)


# --- what a dump may hold ---------------------------------------------------------------------------------------------


def test_extensions_event_triggers_and_publications_of_a_superuser_are_no_obstacle(scratch: ScratchPostgres, tmp_path: Path) -> None:
    pg = scratch.cluster
    pg.execute("CREATE EXTENSION pg_trgm", database=scratch.name)
    pg.execute("CREATE EXTENSION citext", database=scratch.name)
    pg.execute("COMMENT ON EXTENSION citext IS 'of the superuser'", database=scratch.name)
    pg.execute(
        "CREATE FUNCTION public.audit() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''x''; END'", database=scratch.name
    )
    pg.execute("CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION public.audit()", database=scratch.name)
    pg.execute("COMMENT ON EVENT TRIGGER audit IS 'watches'", database=scratch.name)
    pg.execute("CREATE PUBLICATION everything FOR ALL TABLES", database=scratch.name)
    pg.execute("COMMENT ON PUBLICATION everything IS 'to the warehouse'", database=scratch.name)
    scratch.execute("ALTER TABLE items ADD tag public.citext DEFAULT 'A'")
    path, info = make_dump(scratch, tmp_path)
    assert set(info.extensions) == {"plpgsql", "pg_trgm", "citext"}
    scratch.execute(CHANGES)
    engine = scratch.engine()
    plan = engine.plan_restore(info)
    assert plan.strategy == "swap"
    engine.inspect_dump(path, plan)
    assert [w for w in plan.warnings if "event trigger audit" in w] and [w for w in plan.warnings if "publication everything" in w]
    restore(scratch, path, info)
    assert scratch.query("SELECT DISTINCT tag = 'a' FROM items") == [(True,)]
    assert scratch.query("SELECT extname FROM pg_extension ORDER BY 1") == [("citext",), ("pg_trgm",), ("plpgsql",)]
    assert scratch.query("SELECT count(*) FROM pg_event_trigger") == [(0,)]


def test_an_extension_that_only_a_superuser_can_make_leads_to_in_place(scratch: ScratchPostgres, tmp_path: Path) -> None:
    scratch.cluster.execute("CREATE EXTENSION pageinspect", database=scratch.name)
    _, info = make_dump(scratch, tmp_path)
    plan = scratch.engine().plan_restore(info)
    assert plan.strategy == "in-place"
    assert [warning for warning in plan.warnings if "pageinspect" in warning]
    with pytest.raises(PreflightRefused, match="pageinspect"):
        scratch.engine().plan_restore(info, strategy="swap")


def test_an_extension_that_the_server_does_not_have_is_refused_by_name(scratch: ScratchPostgres, tmp_path: Path) -> None:
    _, info = make_dump(scratch, tmp_path)
    info.extensions["time_machine"] = "1.0"
    with pytest.raises(PreflightRefused, match="time_machine"):
        scratch.engine().plan_restore(info)


def test_grants_are_restored_and_those_of_absent_roles_are_reported(scratch: ScratchPostgres, tmp_path: Path) -> None:
    pg = scratch.cluster
    pg.create_role("gone")
    pg.create_role('Odd; "one"')
    scratch.execute("GRANT SELECT ON items TO gone")
    scratch.execute('GRANT SELECT, UPDATE ON items TO "Odd; ""one"""')
    scratch.execute("GRANT SELECT (body) ON notes TO gone")
    scratch.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO gone")
    path, info = make_dump(scratch, tmp_path)
    pg.execute("DROP OWNED BY gone", database=scratch.name)
    pg.execute("DROP ROLE gone")
    engine, journal, progress = scratch.engine(), new_journal("restore"), Progress()
    try:
        with engine.lock(journal.id):
            name = engine.build_shadow(journal, path, engine.plan_restore(info), progress, Pace())
            assert engine.rows(name) == ROWS_OF_CONTENT
            granted = engine.select(
                "SELECT privilege_type FROM information_schema.role_table_grants WHERE grantee = %s ORDER BY 1", ('Odd; "one"',), name=name
            )
            engine.discard_shadow(journal)
        assert granted == [("SELECT",), ("UPDATE",)]
        left_out = [warning for warning in progress.warnings if warning.startswith("Left out: ")]
        assert len(left_out) == 3
        assert all('role "gone" does not exist' in warning for warning in left_out)
    finally:
        pg.execute('DROP OWNED BY "Odd; ""one"""', database=scratch.name)
        pg.execute('DROP ROLE "Odd; ""one"""')


def test_rows_of_one_table_are_read_from_the_dump(scratch: ScratchPostgres, tmp_path: Path) -> None:
    scratch.execute(r"INSERT INTO items VALUES (9, E'tab\there\\new\nline', NULL)")
    scratch.execute('CREATE SCHEMA app; CREATE TABLE app."Odd, name" (id integer, "a ""b" text)')
    scratch.execute('INSERT INTO app."Odd, name" VALUES (1, NULL)')
    path, _ = make_dump(scratch, tmp_path)
    rows = list(scratch.engine().archived_rows(path, "items"))
    assert rows[0] == {"id": "1", "name": "Büro", "picture": "a/one.png"}
    assert rows[2] == {"id": "3", "name": "third", "picture": None}
    assert rows[-1]["name"] == "tab\there\\new\nline"
    assert list(scratch.engine().archived_rows(path, "app.Odd, name")) == [{"id": "1", 'a "b': None}]
    assert list(scratch.engine().archived_rows(path, "absent")) == []


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["My-DB é", "a" * 63, "é" * 31, "with \"quotes\" and 'more'", "key=value host=nowhere", "100%"])
def test_a_name_of_any_shape_is_restored_and_undone(pg: PgCluster, settings: Settings, tmp_path: Path, name: str) -> None:
    settings.BACKUPS_PG_BIN_DIRS = [str(pg.bin_dir)]
    with scratch_postgres(pg, name=name) as scratch:
        scratch.execute(CONTENT)
        dump = make_dump(scratch, tmp_path)
        scratch.execute(CHANGES)
        _, kept = restore(scratch, *dump)
        assert scratch.query(NAMES) == NAMES_OF_CONTENT
        assert len(str(kept["database"]).encode()) <= 63
        undo(scratch, kept)
        assert scratch.query(NAMES) == NAMES_AFTER_CHANGES
        assert len(scratch.leftovers()) == 1


def test_names_beside_the_live_one_are_short_enough_and_never_the_same() -> None:
    names = {sibling_name(live, kind, "0123abcd") for live in ("a" * 63, "a" * 62 + "b", "é" * 31, "x") for kind in ("shadow", "before")}
    assert len(names) == 8
    assert all(len(name.encode()) <= 63 for name in names)
    assert sibling_name("x", "shadow", "0123abcd") == "x_shadow_0123abcd"


# --- who is in the way ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("foreign", ["reporter", "postgres"])
def test_a_session_that_cannot_be_ended_is_named_in_preflight(
    scratch: ScratchPostgres, reporter: str, tmp_path: Path, foreign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backups.engines.pg_plan.PATIENCE_SECONDS", 0.2)
    _, info = make_dump(scratch, tmp_path)
    with (
        closing(scratch.cluster.connect(scratch.name, user=foreign)) as session,
        pytest.raises(PreflightRefused, match=f"{foreign}, process {session.info.backend_pid}"),
    ):
        scratch.engine().plan_restore(info)
    scratch.engine().plan_restore(info)


def test_a_session_that_comes_late_and_cannot_be_ended_fails_the_swap_before_anything_is_closed(
    scratch: ScratchPostgres, reporter: str, tmp_path: Path
) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    engine, journal = scratch.engine(), new_journal("restore")
    closed: list[str] = []
    with engine.lock(journal.id):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        with closing(scratch.cluster.connect(scratch.name, user=reporter)):
            with pytest.raises(RestoreFailed, match="reporter, process"):
                engine.swap(journal, on_close=lambda: closed.append("x"), switch_uploads=nothing)
            assert scratch.query(NAMES) == NAMES_AFTER_CHANGES
        engine.discard_shadow(journal)
    assert closed == []
    assert scratch.leftovers() == []


def test_a_session_that_slips_in_at_the_close_and_cannot_be_ended_reopens_the_old_data(
    scratch: ScratchPostgres, reporter: str, tmp_path: Path, settings: Settings
) -> None:
    settings.BACKUPS_CLOSE_SECONDS = 1
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    engine, journal = scratch.engine(), new_journal("restore")
    sessions: list[psycopg2.extensions.connection] = []
    with engine.lock(journal.id):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        with pytest.raises(RestoreFailed, match="reporter, process"):
            engine.swap(
                journal,
                on_close=lambda: sessions.append(scratch.cluster.connect(scratch.name, user=reporter)),
                switch_uploads=lambda: pytest.fail("switched"),
            )
        assert scratch.query(NAMES) == NAMES_AFTER_CHANGES
        assert engine.judge(journal) == "old"
        engine.discard_shadow(journal)
    sessions[0].close()


def test_sessions_of_the_site_are_ended_even_in_the_middle_of_a_transaction(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    with closing(scratch.cluster.connect(scratch.name, user=scratch.user, autocommit=False)) as session, session.cursor() as cursor:
        cursor.execute("DELETE FROM notes")
        restore(scratch, *dump)
        with pytest.raises(psycopg2.OperationalError):
            cursor.execute("SELECT 1")
    assert scratch.query("SELECT count(*) FROM notes") == [(2,)]


def test_a_prepared_transaction_is_refused_by_name(pg17: PgCluster, settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_PG_BIN_DIRS = [str(pg17.bin_dir)]
    pg17.execute("ALTER SYSTEM SET max_prepared_transactions = 4")
    pg17.restart()
    with scratch_postgres(pg17) as scratch:
        scratch.execute(CONTENT)
        _, info = make_dump(scratch, tmp_path)
        scratch.execute("BEGIN; DELETE FROM notes; PREPARE TRANSACTION 'two-phase'")
        try:
            with pytest.raises(PreflightRefused, match="two-phase"):
                scratch.engine().plan_restore(info)
        finally:
            scratch.execute("ROLLBACK PREPARED 'two-phase'")


def test_autovacuum_is_no_session_in_the_way(pg: PgCluster, scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    pg.execute("ALTER SYSTEM SET autovacuum_naptime = 1")
    pg.execute("SELECT pg_reload_conf()")
    try:
        scratch.execute("INSERT INTO notes SELECT g, 1, repeat('x', 100) FROM generate_series(100, 200000) g")
        scratch.execute("DELETE FROM notes WHERE id > 100")
        restore(scratch, *dump)
        assert scratch.query(NAMES) == NAMES_OF_CONTENT
    finally:
        pg.execute("ALTER SYSTEM RESET autovacuum_naptime")
        pg.execute("SELECT pg_reload_conf()")


# --- readers ----------------------------------------------------------------------------------------------------------


def test_every_answer_during_the_swap_is_entirely_old_or_entirely_new(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    answers: list[list[tuple[object, ...]]] = []
    wrong: list[str] = []
    ended, seen = threading.Event(), threading.Barrier(4)

    def read() -> None:
        first = True
        while not ended.is_set():
            try:
                answers.append(scratch.query(NAMES))
            except psycopg2.OperationalError:
                pass  # Refused or ended: no answer, and so no wrong one.
            except psycopg2.Error as error:
                wrong.append(str(error))
            if first:
                first = False
                seen.wait()

    readers = [threading.Thread(target=read) for _ in range(3)]
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        for reader in readers:
            reader.start()
        seen.wait()
        engine.swap(journal, on_close=nothing, switch_uploads=nothing)
        count = len(answers)
        while len(answers) < count + 6:
            pass
        ended.set()
        for reader in readers:
            reader.join()
    assert wrong == []
    assert all(answer in (NAMES_OF_CONTENT, NAMES_AFTER_CHANGES) for answer in answers)
    assert NAMES_AFTER_CHANGES in answers and NAMES_OF_CONTENT in answers


def test_nobody_reads_before_the_uploads_are_switched(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    engine, journal = scratch.engine(), new_journal("restore")

    def switch() -> None:
        for user in (scratch.user, "postgres"):
            with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
                scratch.cluster.connect(scratch.name, user=user)

    with engine.lock(journal.id):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        engine.swap(journal, on_close=nothing, switch_uploads=switch)


# --- the lock and lost connections ------------------------------------------------------------------------------------


def end_session_of(scratch: ScratchPostgres, journal: Journal) -> None:
    """End the operation's connections, as an administrator or a firewall might."""
    name = application_name(journal.id)
    scratch.cluster.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'")
    while scratch.cluster.fetch("SELECT FROM pg_stat_activity WHERE application_name = %s", (name,)):
        pass


def test_who_lost_the_lock_cannot_swap(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        end_session_of(scratch, journal)
        with pytest.raises(RestoreFailed, match="lost"):
            engine.swap(journal, on_close=lambda: pytest.fail("closed"), switch_uploads=nothing)
    assert scratch.query(NAMES) == NAMES_AFTER_CHANGES
    scratch.engine().discard_shadow(journal)


def test_a_connection_lost_while_closed_is_left_to_recovery(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        with pytest.raises(RestoreNotUndone):
            engine.swap(journal, on_close=nothing, switch_uploads=lambda: end_session_of(scratch, journal))
    assert scratch.engine().live_state().state == "broken"
    later = scratch.engine()
    with later.lock("recover"):
        later.end_leftovers(journal)
        assert later.judge(journal) == "new"
        # The service may choose the way back too: the uploads decide, and settle brings either state.
        assert later.settle(journal, "old") == {}
        assert later.judge(journal) == "old"
        later.discard_shadow(journal)
    assert scratch.query(NAMES) == NAMES_AFTER_CHANGES
    assert scratch.leftovers() == []


def test_a_swap_needs_the_lock(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    engine, journal = scratch.engine(), new_journal("restore")
    build(engine, journal, *dump)
    with pytest.raises(RestoreFailed, match="needs the lock"):
        engine.swap(journal, on_close=nothing, switch_uploads=nothing)
    engine.discard_shadow(journal)


def test_the_lock_names_its_owner_and_other_databases_have_their_own(scratch: ScratchPostgres) -> None:
    with scratch.engine().lock("0123456789abcdef"):
        with pytest.raises(OperationLocked, match="backups:01234567"), scratch.engine().lock("x"):
            pytest.fail("two hold the lock")
        with scratch_postgres(scratch.cluster) as other, other.engine().lock("x"):
            pass


def test_a_live_database_that_was_exchanged_meanwhile_is_not_swapped(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        scratch.remove()
        scratch.cluster.create_database(scratch.name)
        with pytest.raises(RestoreFailed, match="is not the one that the restore began with"):
            engine.swap(journal, on_close=lambda: pytest.fail("closed"), switch_uploads=nothing)
        engine.discard_shadow(journal)


def test_a_foreign_database_of_the_shadows_name_is_neither_used_nor_dropped(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    engine, journal = scratch.engine(), new_journal("restore")
    name = sibling_name(scratch.name, "shadow", journal.short_id)
    scratch.cluster.create_database(name)
    with engine.lock(journal.id):
        with pytest.raises(RestoreFailed, match="none of this operation"):
            build(engine, journal, *dump)
        engine.discard_shadow(journal)
        journal.database.update(shadow=name, shadow_oid=1, live=scratch.name)
        engine.discard_shadow(journal)
    assert scratch.leftovers() == [name]


def test_a_shadow_whose_number_was_not_yet_recorded_is_found_by_its_name(scratch: ScratchPostgres) -> None:
    dead = new_journal("restore")
    name = sibling_name(scratch.name, "shadow", dead.short_id)
    dead.database.update(live=scratch.name, live_oid=1, shadow=name, shadow_oid=None, kept="x", adopted=False)
    scratch.cluster.create_database(name)
    engine = scratch.engine()
    with engine.lock("recover"):
        assert engine.judge(dead) == "old"
        assert engine.settle(dead, "old") == {}
        engine.discard_shadow(dead)
    assert scratch.leftovers() == []


def test_leftover_sessions_of_a_dead_operation_are_ended_and_no_others(scratch: ScratchPostgres) -> None:
    dead = Journal("restore")
    pg = scratch.cluster
    params: dict[str, Any] = {"host": str(pg.socket_dir), "port": pg.port, "dbname": scratch.name, "user": scratch.user}
    leftover = psycopg2.connect(**params, application_name=f"backups:{dead.id}")
    bystander = psycopg2.connect(**params, application_name="backups:ffffffff")
    engine = scratch.engine()
    with closing(leftover), closing(bystander), engine.lock("recover"):
        engine.end_leftovers(dead)
        with pytest.raises(psycopg2.OperationalError), leftover.cursor() as cursor:
            cursor.execute("SELECT 1")
        with bystander.cursor() as cursor:
            cursor.execute("SELECT 1")


# --- the server -------------------------------------------------------------------------------------------------------


def test_a_server_that_stops_in_mid_restore_keeps_the_live_data(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        build(engine, journal, *dump)
        engine.finish_shadow(journal)
        with pytest.raises(RestoreNotUndone):
            engine.swap(journal, on_close=nothing, switch_uploads=lambda: scratch.cluster.stop("immediate"))
        with pytest.raises(BackupError):
            engine.discard_shadow(journal)
    scratch.cluster.start()
    later = scratch.engine()
    with later.lock("recover"):
        later.end_leftovers(journal)
        which = later.judge(journal)
        later.settle(journal, which)
        if which == "old":
            later.discard_shadow(journal)
    assert scratch.query(NAMES) == (NAMES_OF_CONTENT if which == "new" else NAMES_AFTER_CHANGES)


def test_what_was_loaded_is_durable_when_the_swap_is_done(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.execute(CHANGES)
    _, kept = restore(scratch, *dump)
    scratch.cluster.restart("immediate")
    assert scratch.query(NAMES) == NAMES_OF_CONTENT
    assert scratch.engine().rows() == ROWS_OF_CONTENT
    undo(scratch, kept)
    scratch.cluster.restart("immediate")
    assert scratch.query(NAMES) == NAMES_AFTER_CHANGES


def test_a_live_database_that_was_dropped_is_made_anew(scratch: ScratchPostgres, tmp_path: Path) -> None:
    dump = make_dump(scratch, tmp_path)
    scratch.remove()
    plan = scratch.engine().plan_restore(dump[1])
    assert plan.strategy == "swap"
    assert [warning for warning in plan.warnings if "does not exist" in warning]
    assert restore(scratch, *dump)[1] == {}
    assert ("-", "CONNECT", False) in access(scratch.cluster, scratch.name)


def test_progress_ends_at_the_size_of_the_dump(scratch: ScratchPostgres, tmp_path: Path) -> None:
    path, info = make_dump(scratch, tmp_path)
    events: list[int] = []
    progress = Progress(sinks=[lambda event: events.append(event.done)], interval=0)
    progress.stage("shadow", total=path.stat().st_size)
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        engine.build_shadow(journal, path, engine.plan_restore(info), progress, Pace())
        engine.discard_shadow(journal)
    assert events[-1] == path.stat().st_size


def test_tables_of_other_schemas_partitions_and_quoted_names_are_counted_once(scratch: ScratchPostgres, tmp_path: Path) -> None:
    scratch.execute(
        """
        CREATE SCHEMA "Other app";
        CREATE TABLE "Other app"."Odd ""table" (id integer);
        INSERT INTO "Other app"."Odd ""table" SELECT generate_series(1, 7);
        CREATE TABLE log (at integer) PARTITION BY RANGE (at);
        CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (10);
        CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (10) TO (20);
        INSERT INTO log SELECT generate_series(5, 14);
        CREATE TABLE child () INHERITS (items);
        INSERT INTO child VALUES (77, 'of the child', 'child.png');
        """
    )
    expected = {**ROWS_OF_CONTENT, 'Other app.Odd "table': 7, "log": 10, "child": 1}
    assert scratch.engine().rows() == expected
    path, info = make_dump(scratch, tmp_path)
    assert restore(scratch, path, info)[0] == expected


def test_a_role_that_acts_as_the_owner_restores(pg: PgCluster, settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_PG_BIN_DIRS = [str(pg.bin_dir)]
    pg.create_role("app_login", options="CREATEDB")
    pg.execute(f"GRANT {PgCluster.owner} TO app_login")
    try:
        with scratch_postgres(pg) as scratch:
            scratch.execute(CONTENT)
            scratch.user = "app_login"
            from backups.tests.scratch_postgres import registered

            with registered(pg, scratch.name, user="app_login") as alias:
                scratch.alias = alias
                dump = make_dump(scratch, tmp_path)
                restore(scratch, *dump)
                assert scratch.query(NAMES) == NAMES_OF_CONTENT
                owner = sql.SQL("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()")
                assert scratch.query(owner.string) == [(PgCluster.owner,)]
            scratch.user = PgCluster.owner
    finally:
        pg.execute("DROP ROLE app_login")
