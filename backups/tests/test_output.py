"""What commands print and where: results alone on stdout, one JSON event a line, and no password anywhere."""

from __future__ import annotations

import contextlib
import json
import stat
import threading
from pathlib import Path
from urllib.parse import quote

import pytest

from backups.tests.servers import PgCluster
from backups.tests.site import Site, populate
from backups.tests.warm import WarmSite

EVENTS = {"stage", "progress", "warning", "note", "result", "error"}
# What the engines have no part in is tried on one of them.
on_sqlite = pytest.mark.parametrize("site", ["sqlite"], indirect=True)


@pytest.fixture
def warm(site: Site) -> WarmSite:
    populate(site)
    return WarmSite.of(site)


def test_result_stands_alone_on_stdout_and_the_rest_on_stderr(warm: WarmSite) -> None:
    created = warm.manage("backup_create")
    archive = created.stdout.strip()
    assert created.stdout == f"{archive}\n"
    assert created.stderr.splitlines() == ["lock", "preflight", "dump", "verify", "store"]
    restored = warm.manage("backup_restore", archive, "--no-input")
    assert restored.stdout.startswith("Restored (swap): ")
    assert "swap" in restored.stderr.splitlines()
    for command in (("backup_list",), ("backup_status",), ("backup_verify", archive), ("backup_undo", "--no-input")):
        assert warm.manage(*command).stdout.strip(), command


@on_sqlite
def test_no_progress_leaves_warnings_alone(warm: WarmSite) -> None:
    created = warm.manage("backup_create", "--no-progress")
    assert created.stderr == ""
    path, *_ = sorted(path for path in (warm.media / "receipts").rglob("*") if path.is_file())
    path.unlink()
    created = warm.manage("backup_create", "--no-progress")
    name = path.relative_to(warm.media)
    assert created.stderr == f"warning: 1 files that rows name do not exist in the uploads, first {name}.\n"


def test_json_is_one_event_a_line_and_ends_with_the_result(warm: WarmSite) -> None:
    commands: tuple[tuple[str, ...], ...] = (
        ("backup_create",),
        ("backup_list",),
        ("backup_verify",),
        ("backup_restore", "", "--no-input"),
        ("backup_status",),
        ("backup_undo", "--dry-run"),
        ("backup_undo", "--no-input"),
        ("backup_status", "--recover"),
    )
    archive = ""
    for command in commands:
        ended = warm.manage(*(word or archive for word in command), "--json")
        events = [json.loads(line) for line in ended.stdout.splitlines()]
        assert {event["event"] for event in events} <= EVENTS
        assert [event["event"] for event in events].count("result") == 1, command
        assert events[-1]["event"] == "result", command
        assert ended.stderr == "", command
        if command == ("backup_create",):
            archive = events[-1]["archive"]
            assert events[-1]["bytes"] == (warm.backups / archive).stat().st_size
        if command[0] == "backup_restore":
            stages = [event["stage"] for event in events if event["event"] == "stage"]
            assert list(dict.fromkeys(stages))[:5] == ["lock", "preflight", "extract", "shadow", "rows"]
            report = events[-1]
            assert report["strategy"] == "swap"
            assert report["milliseconds_closed"] > 0
            assert report["rows_after"]["tracking_timeentry"] == 400
            assert report["undo_until"]


@on_sqlite
def test_json_error_is_an_event_with_the_exit_code(warm: WarmSite, tmp_path: Path) -> None:
    (tmp_path / "empty.zip").touch()
    for archive, code, name in (("nowhere.zip", 2, "ArchiveNotFound"), (str(tmp_path / "empty.zip"), 5, "ArchiveRejected")):
        ended = warm.manage("backup_restore", archive, "--no-input", "--json", check=False)
        assert ended.returncode == code
        *events, error = map(json.loads, ended.stdout.splitlines())
        assert {event["event"] for event in events} <= EVENTS - {"result", "error"}
        assert (error["event"], error["error"], error["exit_code"]) == ("error", name, code)
        assert error["message"] and error["state"] == "Nothing was changed." and error["next_step"]
    # 2 of the command line itself: no event, since nothing has begun.
    assert warm.manage("backup_restore", "--json", check=False).returncode == 2


@on_sqlite
def test_setting_that_is_wrong_is_named(warm: WarmSite) -> None:
    ended = warm.manage("backup_create", "--no-progress", check=False, env={"BACKUPS_UNDO_HOURS": "0", "BACKUPS_DRAIN_SECONDS": "10"})
    assert ended.returncode == 0, "what a command does not need does not stop it"
    archive = ended.stdout.strip()
    ended = warm.manage("backup_restore", archive, "--no-input", check=False, env={"BACKUPS_RESTORE_JOBS": "0"})
    assert ended.returncode == 1
    assert "BACKUPS_RESTORE_JOBS must be 1 or more" in ended.stderr
    assert "manage.py check" in ended.stderr


# --- passwords --------------------------------------------------------------------------------------------------------


@pytest.fixture
def over_tcp(postgres_site: Site, tmp_path: Path) -> Site:
    """A PostgreSQL site that logs in with a password, and client programs that write down how they were called."""
    populate(postgres_site)
    cluster = postgres_site.cluster
    assert cluster
    postgres_site.database_url = cluster.url(postgres_site.database, over="tcp")
    spies = tmp_path / "bin"
    spies.mkdir()
    for program in ("pg_dump", "pg_restore", "psql"):
        spy = spies / program
        spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "{program}" "$@" >> {tmp_path}/calls\nexec {cluster.bin_dir}/{program} "$@"\n')
        spy.chmod(spy.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    postgres_site.extra_env["BACKUPS_PG_BIN_DIRS"] = str(spies)
    return postgres_site


def secrets_of(cluster: PgCluster, site: Site) -> list[str]:
    """The password, plain and as it stands in the URL, and the part of it that no escaping changes; and the secret key."""
    password = cluster.passwords["timetracker"]
    return [password, quote(password, safe=""), password.split()[-1], site.secret_key]


class ArgvWatch(threading.Thread):
    """Reads the command line of every process of this machine, again and again, until ``ended`` is set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen, self.ended = set[str](), threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            for folder in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    self.seen.add((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            # A fraction of what the shortest of them takes.
            self.ended.wait(0.005)


def test_password_is_never_shown_written_or_put_on_a_command_line(over_tcp: Site, tmp_path: Path) -> None:
    site, cluster = over_tcp, over_tcp.cluster
    assert cluster
    secrets = secrets_of(cluster, site)
    outputs: list[str] = []
    argv: set[str] = set()

    def run(*args: str, code: int = 0) -> str:
        process = site.popen(*args)
        watch = ArgvWatch()
        watch.start()
        stdout, stderr = process.communicate(timeout=120)
        watch.ended.set()
        watch.join()
        argv.update(watch.seen)
        outputs.extend((stdout, stderr))
        assert process.returncode == code, stderr
        return stdout

    archive = run("backup_create").strip()
    run("backup_restore", archive, "--dry-run")
    run("backup_restore", archive, "--no-input", "--jobs", "2")
    run("backup_restore", archive, "--no-input", "--strategy", "in-place")
    run("backup_undo", "--no-input")
    run("backup_status", "--json")
    # Errors on the way: the dump program, and the server, say what they dislike.
    broken = tmp_path / "bin" / "pg_dump"
    broken.write_text(broken.read_text().replace("exec ", "exec env PGPASSWORD=no "))
    run("backup_create", code=1)

    calls = (tmp_path / "calls").read_text()
    assert {"pg_dump", "pg_restore", "psql"} <= set(calls.splitlines())
    for process in ("backups.shadow --wait", f"backups.shadow {site.database}"):
        assert any(process in line for line in argv), "the watch has seen what it is for"
    for secret in secrets:
        assert secret not in calls
        assert all(secret not in line for line in argv)
        assert all(secret not in text for text in outputs)
        for path in (path for path in site.data_dir.rglob("*") if path.is_file()):
            assert secret.encode() not in path.read_bytes(), path
        assert secret not in cluster.log.read_text()
        for rows in site.dump_tables().values():
            assert secret not in repr(rows)
        assert secret not in repr(site.fetch("SELECT report, error, requested_by FROM backups_operation"))
