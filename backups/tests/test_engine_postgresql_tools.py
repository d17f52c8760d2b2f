"""PostgreSQL: connections, client programs, and the servers 17 and 18."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from pytest_django import Settings

from backups.engines import pg_tools
from backups.engines.pg_server import Server, server_for
from backups.engines.pg_toc import grants, parse_contents
from backups.engines.pg_tools import Tools, dump_command, find_tools, load_command, psql_command, supports_zstd
from backups.engines.postgresql import PostgresEngine
from backups.engines.process import child_output
from backups.exceptions import ArchiveRejected, BackupError, DumpFailed, PreflightRefused
from backups.pace import Pace
from backups.progress import Progress
from backups.tests.contracts import (
    CHANGES,
    CONTENT,
    NAMES,
    NAMES_AFTER_CHANGES,
    NAMES_OF_CONTENT,
    ROWS_OF_CONTENT,
    make_dump,
    new_folder,
    new_journal,
    restore,
    undo,
)
from backups.tests.scratch_postgres import ScratchPostgres, registered, scratch_postgres
from backups.tests.servers import PgCluster

pytestmark = pytest.mark.usefixtures("own_state")


# --- connections ------------------------------------------------------------------------------------------------------


def test_a_password_with_every_odd_sign_works_and_is_in_no_command_line(
    pg: PgCluster, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BACKUPS_PG_BIN_DIRS = [str(pg.bin_dir)]
    secret = pg.passwords[PgCluster.owner]
    seen: list[list[str]] = []
    popen = subprocess.Popen.__init__

    def recorded(self: subprocess.Popen[bytes], args: list[str], **options: object) -> None:
        seen.append([str(argument) for argument in args])
        popen(self, args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess.Popen, "__init__", recorded)
    with scratch_postgres(pg, over="tcp") as scratch:
        scratch.execute(CONTENT)
        dump = make_dump(scratch, tmp_path)
        scratch.execute(CHANGES)
        _, kept = restore(scratch, *dump)
        assert scratch.query(NAMES) == NAMES_OF_CONTENT
        undo(scratch, kept)
    programs = {Path(args[0]).name for args in seen}
    assert {"pg_dump", "pg_restore"} <= programs
    assert all(secret not in argument for args in seen for argument in args)


def test_a_wrong_password_is_refused_without_showing_it(pg: PgCluster) -> None:
    with scratch_postgres(pg) as scratch, registered(pg, scratch.name, over="tcp", PASSWORD="wrong s3cret") as alias:
        engine = PostgresEngine(alias)
        with pytest.raises(PreflightRefused, match="password authentication failed") as caught, engine.lock("restore"):
            pytest.fail("locked")
        assert "s3cret" not in str(caught.value)
        state = engine.live_state()
        assert state.state == "broken"
        assert "password authentication failed" in state.detail and "s3cret" not in state.detail
        assert engine.is_locked() is False


def test_a_server_that_is_down_is_named(pg: PgCluster, tmp_path: Path) -> None:
    with registered(pg, "live", HOST="127.0.0.1", PORT=1) as alias:
        engine = PostgresEngine(alias)
        with pytest.raises(PreflightRefused, match=r"127\.0\.0\.1:1 cannot be reached"), engine.lock("restore"):
            pytest.fail("locked")
        assert engine.live_state().state == "broken"
        with (
            pytest.raises(PreflightRefused, match="cannot be reached"),
            engine.snapshot(new_journal("create"), new_folder(tmp_path), Pace()),
        ):
            pytest.fail("dumped")


def test_the_maintenance_database_may_be_another_and_its_absence_is_named(scratch: ScratchPostgres, settings: Settings) -> None:
    settings.BACKUPS_MAINTENANCE_URL = scratch.cluster.url("nowhere")
    with pytest.raises(PreflightRefused, match='database "nowhere" does not exist'), scratch.engine().lock("restore"):
        pytest.fail("locked")
    settings.BACKUPS_MAINTENANCE_URL = scratch.cluster.url("template1", over="tcp")
    engine = scratch.engine()
    with engine.lock("restore"):
        assert scratch.cluster.fetch("SELECT datname FROM pg_stat_activity WHERE application_name = 'backups:restore'") == [("template1",)]
    settings.BACKUPS_MAINTENANCE_URL = "this is = no url ="
    with pytest.raises(PreflightRefused, match="BACKUPS_MAINTENANCE_URL"), scratch.engine().lock("restore"):
        pytest.fail("locked")


def test_time_limits_and_read_only_defaults_meant_for_pages_do_not_end_an_operation(scratch: ScratchPostgres, tmp_path: Path) -> None:
    pg = scratch.cluster
    options = "-c statement_timeout=1 -c lock_timeout=1 -c idle_in_transaction_session_timeout=1 -c default_transaction_read_only=on"
    with registered(pg, scratch.name, OPTIONS={"options": options}) as alias:
        scratch.alias = alias
        dump = make_dump(scratch, tmp_path)
        scratch.execute(CHANGES)
        restore(scratch, *dump)
    assert scratch.query(NAMES) == NAMES_OF_CONTENT


def test_a_service_file_names_server_and_database(scratch: ScratchPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pg = scratch.cluster
    (tmp_path / "services").write_text(f"[tracker]\nhost={pg.socket_dir}\nport={pg.port}\nuser={scratch.user}\ndbname={scratch.name}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    with registered(pg, "", USER="", HOST="", PORT="", OPTIONS={"service": "tracker"}) as alias:
        scratch.alias = alias
        assert server_for(alias).live == scratch.name
        dump = make_dump(scratch, tmp_path)
        scratch.execute(CHANGES)
        restore(scratch, *dump)
    assert scratch.query(NAMES) == NAMES_OF_CONTENT


def test_an_assumed_role_acts_everywhere(pg: PgCluster, settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_PG_BIN_DIRS = [str(pg.bin_dir)]
    pg.create_role("login_only", options="NOINHERIT")
    pg.execute(f"GRANT {PgCluster.owner} TO login_only")
    try:
        with (
            scratch_postgres(pg) as scratch,
            registered(pg, scratch.name, user="login_only", OPTIONS={"assume_role": PgCluster.owner}) as alias,
        ):
            scratch.execute(CONTENT)
            scratch.alias = alias
            dump = make_dump(scratch, tmp_path)
            scratch.execute(CHANGES)
            restore(scratch, *dump)
            assert scratch.query("SELECT DISTINCT tableowner::text FROM pg_tables WHERE schemaname = 'public'") == [(PgCluster.owner,)]
    finally:
        pg.execute("DROP ROLE login_only")


def test_a_table_that_may_not_be_read_is_refused_before_the_dump(scratch: ScratchPostgres, tmp_path: Path) -> None:
    scratch.cluster.execute("CREATE TABLE public.hidden (id integer)", database=scratch.name)
    with (
        pytest.raises(PreflightRefused, match="permission denied for table hidden"),
        scratch.engine().snapshot(new_journal("create"), new_folder(tmp_path), Pace()),
    ):
        pytest.fail("dumped")


# --- command lines ----------------------------------------------------------------------------------------------------

SERVER = Server(
    live="my db",
    params={
        "host": "db.example",
        "port": 5433,
        "user": "ann",
        "password": "s3cret",
        "sslmode": "verify-full",
        "options": "-c work_mem=9MB",
    },
)
TOOLS = Tools(Path("/usr/lib/postgresql/15/bin"), 15, "15.14")
OPERATION = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "command",
    [
        dump_command(TOOLS, SERVER, operation=OPERATION, snapshot="0-1", compress="0"),
        load_command(TOOLS, SERVER, Path("/dump"), Path("/list"), database="shadow", operation=OPERATION, jobs=3),
        psql_command(TOOLS, SERVER, ["a.sql"], database="shadow", operation=OPERATION, single_transaction=True),
    ],
)
def test_a_command_holds_every_parameter_and_the_password_in_its_environment_alone(command: tuple[list[str], dict[str, str]]) -> None:
    args, env = command
    (conninfo,) = [argument for argument in args if argument.startswith("--dbname=")]
    for part in ("host=db.example", "port=5433", "user=ann", "sslmode=verify-full", "application_name=backups:01234567", "work_mem=9MB"):
        assert part in conninfo
    assert "s3cret" not in " ".join(args)
    assert env["PGPASSWORD"] == "s3cret"
    assert "--no-password" in args


def test_no_limit_of_the_site_holds_for_a_program_from_its_first_query_on() -> None:
    server = Server(live="x", params={"options": "-c statement_timeout=1 -c default_transaction_read_only=on"})
    for command in (
        dump_command(TOOLS, server, operation=OPERATION, snapshot="0-1", compress="0"),
        load_command(TOOLS, server, Path("/dump"), Path("/list"), database="shadow", operation=OPERATION, jobs=3),
    ):
        (conninfo,) = [argument for argument in command[0] if argument.startswith("--dbname=")]
        # The last word counts.
        for limit, lifted in (("statement_timeout=1", "statement_timeout=0"), ("read_only=on", "read_only=off")):
            assert -1 < conninfo.find(limit) < conninfo.rfind(lifted)


def test_the_key_of_a_certificate_with_a_passphrase_is_refused() -> None:
    server = Server(live="x", params={"sslkey": "/key", "sslpassword": "s3cret"})
    with pytest.raises(PreflightRefused, match="sslpassword") as caught:
        server.conninfo("x", operation=OPERATION)
    assert "s3cret" not in str(caught.value)


def test_the_surroundings_reach_a_program_only_where_it_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x")
    monkeypatch.setenv("DATABASE_URL", "postgres://ann:s3cret@db/x")
    monkeypatch.setenv("PGSSLROOTCERT", "/ca.pem")
    env = SERVER.environment()
    assert env["PGSSLROOTCERT"] == "/ca.pem"
    assert "SECRET_KEY" not in env and "DATABASE_URL" not in env


# --- finding the programs ---------------------------------------------------------------------------------------------


def fake_programs(folder: Path, version: str, *, pg_dump: str = "") -> Path:
    """A folder with programs that tell ``version``; ``pg_dump`` is what that one does else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pg_dump", "pg_restore", "psql"):
        script = f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{name} (PostgreSQL) {version}"; exit 0; fi\n'
        path = folder / name
        path.write_text(script + (pg_dump if name == "pg_dump" else ""))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Settings:
    """No programs but those in BACKUPS_PG_BIN_DIRS."""
    monkeypatch.setattr(pg_tools, "_FOLDERS_OF_MAJORS", ())
    monkeypatch.setattr(pg_tools, "_FOLDERS", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    return settings


def test_the_servers_own_major_is_chosen_before_newer_ones(only: Settings, tmp_path: Path) -> None:
    only.BACKUPS_PG_BIN_DIRS = [fake_programs(tmp_path / version, version) for version in ("18.1", "16.2", "15.3", "17.0")]
    tools, warnings = find_tools(16)
    assert (tools.version, warnings) == ("16.2", [])
    assert tools.as_dict() == {"pg_dump": "16.2", "pg_restore": "16.2", "psql": "16.2"}


def test_a_newer_client_is_used_with_a_warning_where_the_own_is_missing(only: Settings, tmp_path: Path) -> None:
    only.BACKUPS_PG_BIN_DIRS = [fake_programs(tmp_path / version, version) for version in ("18.1", "14.2", "17beta1")]
    tools, warnings = find_tools(15)
    assert tools.version == "17beta1"
    assert len(warnings) == 1 and "postgresql-client-15" in warnings[0]


def test_missing_and_too_old_programs_are_refused_naming_the_package(only: Settings, tmp_path: Path) -> None:
    with pytest.raises(PreflightRefused, match="found: none") as caught:
        find_tools(15)
    assert "postgresql-client-15" in caught.value.next_step
    only.BACKUPS_PG_BIN_DIRS = [fake_programs(tmp_path / "15", "15.1")]
    with pytest.raises(PreflightRefused, match="found: 15") as caught:
        find_tools(17)
    assert "postgresql-client-17" in caught.value.next_step
    with pytest.raises(PreflightRefused, match="written by pg_dump 18"):
        find_tools(15, at_least=18)


def test_an_incomplete_or_broken_folder_and_a_wrapper_are_passed_over(only: Settings, tmp_path: Path) -> None:
    incomplete = fake_programs(tmp_path / "incomplete", "15.1")
    (incomplete / "psql").unlink()
    broken = fake_programs(tmp_path / "broken", "15.1")
    (broken / "pg_dump").write_text("#!/bin/sh\nexit 1\n")
    wrapped = fake_programs(tmp_path / "wrapped", "15.1")
    (wrapped / "pg_dump").rename(wrapped / "pg_wrapper")
    (wrapped / "pg_dump").symlink_to("pg_wrapper")
    good = fake_programs(tmp_path / "good", "15.2")
    only.BACKUPS_PG_BIN_DIRS = [incomplete, broken, wrapped, good]
    assert find_tools(15)[0].folder == good


def test_a_dump_that_fails_halfway_is_no_dump(scratch: ScratchPostgres, settings: Settings, tmp_path: Path) -> None:
    fails = "head -c 3000000 /dev/zero; echo 'pg_dump: error: the disk of the server is gone' >&2; echo 'pg_dump: error: later' >&2; exit 1"
    settings.BACKUPS_PG_BIN_DIRS = [fake_programs(tmp_path / "fake", "15.99", pg_dump=fails)]
    pieces: list[int] = []
    with (
        scratch.engine().snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot,
        pytest.raises(DumpFailed, match="the disk of the server is gone") as caught,
    ):
        snapshot.write_to(lambda piece: pieces.append(len(piece)))
    assert sum(pieces) == 3_000_000
    assert "later" not in caught.value.message


# --- the table of contents --------------------------------------------------------------------------------------------

LISTING = """\
;
; Archive created at 2026-01-01 00:00:00 UTC
;     Dumped from database version: 15.14 (Debian 15.14-1)
;     Dumped by pg_dump version: 17.2
;
2; 3079 16385 EXTENSION - citext
3310; 0 0 COMMENT - EXTENSION citext
3; 3079 16386 EXTENSION - citext_more
3311; 0 0 COMMENT - EXTENSION citext_more
215; 1259 16390 TABLE public items owner
3300; 0 16390 TABLE DATA public items owner
3400; 0 0 ACL public TABLE items owner
3401; 826 16400 DEFAULT ACL public DEFAULT PRIVILEGES FOR TABLES owner
3402; 0 0 ACL - DATABASE live owner
3170; 3466 16410 EVENT TRIGGER - my audit postgres
3403; 0 0 COMMENT - EVENT TRIGGER my audit postgres
3171; 6104 16411 PUBLICATION - all_of_it postgres
3172; 6106 16412 PUBLICATION TABLE public all_of_it items postgres
3173; 6100 16413 SUBSCRIPTION - news postgres
7; 2615 16414 SCHEMA - app owner
8; 2615 16415 SCHEMA - app2 owner
"""


def test_entries_are_left_out_by_kind_and_by_what_is_there() -> None:
    contents = parse_contents(LISTING)
    assert (contents.server_major, contents.client_major) == (15, 17)
    assert contents.extensions == ["citext", "citext_more"]
    loaded = [entry.dump_id for entry in contents.loaded(extensions_present={"plpgsql", "citext"}, schemas_present={"app", "public"})]
    assert loaded == [3, 3311, 215, 3300, 8]
    assert [entry.dump_id for entry in contents.granting()] == [3400, 3401]
    assert contents.left_out() == ["event trigger my audit", "publication all_of_it", "subscription news"]


def test_grants_are_parted_at_semicolons_outside_of_quotes() -> None:
    script = """\
\\restrict abc
SET statement_timeout = 0;
--
-- Name: TABLE "a;b"; Type: ACL; Schema: public; Owner: o
--

GRANT SELECT ON TABLE public."a;b" TO "x -- y";
REVOKE ALL ON TABLE public.t FROM PUBLIC;
SET SESSION AUTHORIZATION "another";
GRANT SELECT ON TABLE public.t TO z;
RESET SESSION AUTHORIZATION;
ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT SELECT ON TABLES TO "quo""te;d";
\\unrestrict abc
"""
    assert grants(script) == (
        [
            'GRANT SELECT ON TABLE public."a;b" TO "x -- y"',
            "REVOKE ALL ON TABLE public.t FROM PUBLIC",
            'ALTER DEFAULT PRIVILEGES FOR ROLE o GRANT SELECT ON TABLES TO "quo""te;d"',
        ],
        ["GRANT SELECT ON TABLE public.t TO z"],
    )


# --- newer servers ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["pg17", "pg18"])
def newer(request: pytest.FixtureRequest, settings: Settings) -> PgCluster:
    """A newer server, with its own programs."""
    cluster: PgCluster = request.getfixturevalue(request.param)
    cluster.start()
    settings.BACKUPS_PG_BIN_DIRS = [str(cluster.bin_dir)]
    return cluster


@pytest.mark.parametrize("options", ["", "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LC_COLLATE 'C' LC_CTYPE 'C'"])
def test_a_newer_server_dumps_restores_and_undoes_by_itself(newer: PgCluster, tmp_path: Path, options: str) -> None:
    with scratch_postgres(newer, options=options) as scratch:
        scratch.execute(CONTENT)
        query = "SELECT encoding, datcollate, datctype, datlocprovider, datlocale FROM pg_database WHERE datname = current_database()"
        before = scratch.query(query)
        with scratch.engine().snapshot(new_journal("create"), new_folder(tmp_path), Pace()) as snapshot:
            assert snapshot.is_compressed is supports_zstd(find_tools(newer.major)[0])
        dump = make_dump(scratch, tmp_path)
        scratch.execute(CHANGES)
        _, kept = restore(scratch, *dump)
        assert scratch.query(NAMES) == NAMES_OF_CONTENT
        assert scratch.query(query) == before
        undo(scratch, kept)
        assert scratch.query(NAMES) == NAMES_AFTER_CHANGES


def test_an_older_dump_goes_to_a_newer_server_and_not_back(
    newer: PgCluster, scratch: ScratchPostgres, settings: Settings, tmp_path: Path
) -> None:
    settings.BACKUPS_PG_BIN_DIRS = [scratch.cluster.bin_dir, newer.bin_dir]
    old = make_dump(scratch, tmp_path)
    with scratch_postgres(newer) as other:
        other.execute(CONTENT)
        other.execute(CHANGES)
        assert restore(other, *old)[0] == ROWS_OF_CONTENT
        assert other.query(NAMES) == NAMES_OF_CONTENT
        folder = tmp_path / "new"
        folder.mkdir()
        path, info = make_dump(other, folder)
    engine = scratch.engine()
    with pytest.raises(PreflightRefused, match=f"comes from PostgreSQL {newer.major}") as caught:
        engine.plan_restore(info)
    assert f"postgresql-{newer.major}" in caught.value.next_step
    # A manifest may lie; the dump is asked too.
    plan = engine.plan_restore(old[1])
    with pytest.raises((PreflightRefused, ArchiveRejected), match=f"PostgreSQL {newer.major}|unsupported version"):
        engine.inspect_dump(path, plan)


def test_a_newer_client_alone_dumps_and_restores_an_older_server(
    pg17: PgCluster, scratch: ScratchPostgres, only: Settings, tmp_path: Path
) -> None:
    only.BACKUPS_PG_BIN_DIRS = [pg17.bin_dir]
    dump = make_dump(scratch, tmp_path)
    assert dump[1].client_version.startswith("17")
    scratch.execute(CHANGES)
    plan = scratch.engine().plan_restore(dump[1])
    assert [warning for warning in plan.warnings if "17" in warning]
    _, kept = restore(scratch, *dump)
    assert scratch.query(NAMES) == NAMES_OF_CONTENT
    undo(scratch, kept)

    # In place, and with a load that fails on the way.
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        plan = engine.plan_restore(dump[1], strategy="in-place")
        engine.load_in_place(journal, dump[0], plan, Progress(), expected={}, on_close=lambda: None)
        engine.settle(journal, "new")
    assert scratch.query(NAMES) == NAMES_OF_CONTENT
    scratch.truncate(dump[0])
    engine, journal = scratch.engine(), new_journal("restore")
    with engine.lock(journal.id):
        with pytest.raises(BackupError):
            engine.build_shadow(journal, dump[0], engine.plan_restore(dump[1]), Progress(), Pace())
        engine.discard_shadow(journal)


def test_a_dump_of_a_newer_client_is_read_by_one_that_can(
    pg17: PgCluster, scratch: ScratchPostgres, only: Settings, tmp_path: Path
) -> None:
    own = only.BACKUPS_PG_BIN_DIRS
    only.BACKUPS_PG_BIN_DIRS = [pg17.bin_dir]
    path, info = make_dump(scratch, tmp_path)
    only.BACKUPS_PG_BIN_DIRS = [*own, pg17.bin_dir]
    tools, warnings = find_tools(scratch.cluster.major, at_least=17)
    assert tools.major == 17 and len(warnings) == 1
    assert restore(scratch, path, info)[0] == ROWS_OF_CONTENT
    only.BACKUPS_PG_BIN_DIRS = own
    with pytest.raises(PreflightRefused, match="written by pg_dump 17"):
        scratch.engine().plan_restore(info)


def test_standard_tools_alone_read_the_dump(scratch: ScratchPostgres, tmp_path: Path) -> None:
    path, _ = make_dump(scratch, tmp_path)
    program = str(scratch.cluster.bin_dir / "pg_restore")
    listing = child_output([program, "--list", str(path)], {"PATH": os.environ["PATH"]}, operation=OPERATION)
    assert "TABLE DATA public items" in listing
