"""A worker and beat, as real processes: what is asked for is done once, whatever dies, and whoever asks in vain is told.

On SQLite with files, as ``./run`` starts it, and on PostgreSQL with Redis.
"""

from __future__ import annotations

import json
import socket
import stat
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends.redis import RedisCache

from backups.tests.halting import halted, operations_started
from backups.tests.servers import RedisServer
from backups.tests.site import Site, populate
from backups.tests.test_killed import assert_tidy
from backups.tests.workers import SECONDS, Beat, Worker, ask, in_the_site, journal_of, journals, queue, send, site_cache, wait_until
from backups.tests.wrecking import wreck

FINISHED = ("done", "failed", "recovered")


@pytest.fixture(params=["sqlite, files", "postgresql, redis"])
def site(request: pytest.FixtureRequest) -> Site:
    """A site in its smallest set-up, and in the one of several hosts."""
    if request.param == "sqlite, files":
        site: Site = request.getfixturevalue("sqlite_site")
    else:
        site = request.getfixturevalue("postgres_site")
        redis: RedisServer = request.getfixturevalue("redis_server")
        if redis.process is None:
            redis.start()
        RedisCache(redis.url, {}).clear()
        site.extra_env["REDIS_URL"] = redis.url
    site.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.pages_settings"
    return site


@pytest.fixture
def wrecked(site: Site) -> tuple[Site, str, dict[str, Any], dict[str, Any]]:
    """A site, an archive of it, its tables as they are now that it is wrecked, and as they were."""
    populate(site)
    new = site.dump_tables()
    archive = site.manage("backup_create").stdout.strip()
    wreck(site)
    return site, archive, site.dump_tables(), new


def ended(site: Site, operation: str) -> dict[str, Any]:
    """The journal of an operation, when it has come to its end."""
    wait_until(lambda: journal_of(site, operation)["status"] in FINISHED, f"the end of {operation[:8]}")
    return journal_of(site, operation)


def send_ordinary(site: Site, task: str, argument: str) -> None:
    """Send one of the ordinary tasks to the workers."""
    code = (
        "from timetracker.celery import app\nfrom backups.tests import ordinary\n"
        "app.finalize(); getattr(ordinary, sys.argv[1]).apply_async((sys.argv[2],))"
    )
    in_the_site(site, code, task, argument)


# --- asking and doing -----------------------------------------------------------------------------------------------------


def test_a_worker_does_what_is_asked_for(site: Site) -> None:
    populate(site)
    before = site.dump_tables()
    with Worker(site).running() as worker:
        created = ended(site, ask(site, "create", note="asked for", pin=True)["id"])
        assert (created["status"], created["error"], created["requested_by"]) == ("done", "", "a visitor")
        archive = created["archive"]
        assert site.fetch("SELECT note, pinned FROM backups_backup") in ([("asked for", True)], [("asked for", 1)])

        verified = ended(site, ask(site, "verify", archive)["id"])
        assert (verified["status"], verified["report"]["signature"]) == ("done", "valid")
        assert site.fetch("SELECT count(*) FROM backups_backup WHERE verified_at IS NOT NULL") == [(1,)]

        wreck(site)
        wrecked = site.dump_tables()
        restored = ended(site, ask(site, "restore", archive, uploads="merge")["id"])
        assert (restored["status"], restored["error"]) == ("done", "")
        assert site.dump_tables() == before

        undone = ended(site, ask(site, "undo")["id"])
        assert (undone["status"], undone["error"]) == ("done", "")
        assert site.dump_tables() == wrecked

        pruned = ended(site, ask(site, "prune")["id"])
        assert (pruned["status"], pruned["report"]["removed"], pruned["report"]["kept"]) == ("done", [], 1)
        assert worker.end() == 0, "after what it is at"
    assert len(operations_started(site)) == 5
    assert_tidy(site)


def test_whoever_asks_where_no_worker_is_is_told_within_five_seconds_and_nothing_is_done_later(site: Site) -> None:
    with Worker(site).running() as worker:
        worker.kill()
    answer = ask(site, "create")
    assert answer["error"] == "NoWorker"
    assert answer["seconds"] < 5
    assert "will not be" in answer["message"]
    assert "./run" in answer["next_step"]
    with Worker(site).running():
        tick = site.state / "tick"
        wait_until(tick.exists, "the worker's own tick")
        before = tick.read_bytes()
        send(site, "backups.tick")
        wait_until(lambda: tick.read_bytes() != before, "another tick")
    assert [journal["status"] for journal in journals(site)] == ["failed"]
    assert not list(site.backups.glob("*.zip"))


def test_whoever_asks_while_redis_is_silent_is_told_within_five_seconds(sqlite_site: Site) -> None:
    """It takes the connection and says nothing, neither as the broker nor as the gate's cache."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        sqlite_site.extra_env["REDIS_URL"] = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        answer = ask(sqlite_site, "create")
    assert answer["error"] == "NoWorker"
    assert answer["seconds"] < 5
    assert [journal["status"] for journal in journals(sqlite_site)] == ["failed"]


@pytest.mark.parametrize("site", ["sqlite, files"], indirect=True)
def test_a_request_whose_message_was_lost_is_done_by_the_tick_and_one_that_is_too_old_is_given_up(site: Site) -> None:
    late, waiting = queue(site, "create", minutes_ago=16), queue(site, "create", minutes_ago=14)
    with Worker(site).running():
        assert ended(site, waiting)["status"] == "done"
        assert ended(site, late)["error"] == "Not started in time: no worker has begun it within 15 minutes."
    assert operations_started(site) == [waiting]


def test_a_message_that_comes_several_times_to_several_workers_is_done_once(site: Site) -> None:
    with Worker(site).running(), Worker(site).running():
        operation = queue(site, "create")
        code = (
            "from timetracker.celery import app\napp.loader.import_default_modules()\n"
            "for _ in range(5):\n"
            "    app.tasks['backups.work'].apply_async((sys.argv[1],)); app.tasks['backups.tick'].apply_async()"
        )
        in_the_site(site, code, operation)
        assert ended(site, operation)["status"] == "done"
        after = queue(site, "create")
        send(site, "backups.tick")
        ended(site, after)
    assert operations_started(site) == [operation, after]


@pytest.mark.parametrize("site", ["sqlite, files"], indirect=True)
def test_a_request_waits_behind_another_operation_and_is_done_after_it(site: Site) -> None:
    with Worker(site).running():
        holding = site.run_python("-m", "backups.tests.holding", stdin=subprocess.PIPE)
        assert holding.stdin
        assert holding.stdout
        assert holding.stdout.readline().strip()
        answer = ask(site, "create")
        assert answer["status"] == "queued"
        assert answer["seconds"] < 5
        seen = in_the_site(site, "from backups.watch import watch_read\nprint(watch_read(sys.argv[1]).waits_for)", answer["id"])
        assert seen == "the restore"
        holding.communicate("\n", timeout=SECONDS)
        send(site, "backups.tick")
        assert ended(site, answer["id"])["status"] == "done"


@pytest.mark.parametrize("site", ["sqlite, files"], indirect=True)
def test_a_request_that_fails_before_it_begins_tells_why(site: Site) -> None:
    with Worker(site).running():
        journal = ended(site, ask(site, "restore", "backup_20200101_000000_01234567.zip")["id"])
    assert journal["status"] == "failed"
    assert "backup_20200101_000000_01234567.zip" in journal["error"]
    assert operations_started(site) == []


# --- cancelling and ending ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("site", ["sqlite, files"], indirect=True)
def test_a_running_restore_is_watched_and_cancelled_from_another_process(wrecked: tuple[Site, str, Any, Any]) -> None:
    site, archive, old, _ = wrecked
    with Worker(site).running() as worker, halted(site, "shadow") as stopped:
        operation = ask(site, "restore", archive)["id"]
        stopped.process()
        seen = "from backups.watch import watch_read\nw = watch_read(sys.argv[1])\nprint(w.status, w.stage)"
        assert in_the_site(site, seen, operation) == "running shadow"
        cancel = "from backups.watch import cancel_request\nprint(cancel_request(sys.argv[1], by='a visitor'))"
        assert in_the_site(site, cancel, operation) == "True"
        journal = ended(site, operation)
        assert (journal["status"], journal["error"]) == ("failed", "Cancelled by a visitor.")
        assert journal["report"] == {"cancelled_by": "a visitor"}
        assert in_the_site(site, cancel, operation) == "False"
        assert worker.end() == 0
    assert site.dump_tables() == old
    assert not list((site.state / "cancel").glob("*"))
    assert_tidy(site)


def test_a_worker_that_is_told_to_end_takes_its_restore_back_first(wrecked: tuple[Site, str, Any, Any]) -> None:
    site, archive, old, _ = wrecked
    with Worker(site).running() as worker, halted(site, "migrate") as stopped:
        operation = ask(site, "restore", archive)["id"]
        stopped.process()
        assert worker.end() == 0
        journal = journal_of(site, operation)
        assert (journal["status"], journal["error"]) == ("failed", "Cancelled by the worker, which was told to end.")
        assert ask(site, "create")["error"] == "NoWorker"
    assert site.dump_tables() == old
    assert_tidy(site)


# --- dying ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "stage", "kill"),
    [
        ("sqlite, files", "shadow", Worker.kill_main),
        ("sqlite, files", "switched", Worker.kill),
        ("postgresql, redis", "closed", Worker.kill),
        ("postgresql, redis", "switched", Worker.kill),
    ],
    indirect=["site"],
)
def test_a_restore_whose_worker_is_killed_is_recovered_by_the_next_worker(
    wrecked: tuple[Site, str, Any, Any], stage: str, kill: Callable[[Worker], None]
) -> None:
    site, archive, old, new = wrecked
    with Worker(site).running() as worker, halted(site, stage) as stopped:
        operation = ask(site, "restore", archive)["id"]
        stopped.process()
        kill(worker)
    with Worker(site).running():
        journal = journal_of(site, operation)
        assert journal["status"] == "recovered", "before it takes anything on"
        assert ended(site, ask(site, "create")["id"])["status"] == "done"
    # PostgreSQL judges by which database bears the name, and there the uploads are switched after that.
    is_new = stage == "switched" and site.vendor == "postgresql"
    assert site.dump_tables() == (new if is_new else old)
    assert operations_started(site).count(operation) == 1
    assert_tidy(site)


@pytest.mark.parametrize("site", ["sqlite, files"], indirect=True)
def test_a_restore_whose_process_is_killed_is_recovered_by_the_tick_of_the_same_worker(wrecked: tuple[Site, str, Any, Any]) -> None:
    site, archive, old, _ = wrecked
    with Worker(site).running() as worker, halted(site, "shadow") as stopped:
        operation = ask(site, "restore", archive)["id"]
        process = stopped.process()
        assert process in worker.pool()
        in_the_site(site, "import os, signal\nos.kill(int(sys.argv[1]), signal.SIGKILL)", str(process))
        send(site, "backups.tick")
        assert ended(site, operation)["status"] == "recovered"
        assert worker.end() == 0
    assert site.dump_tables() == old
    assert operations_started(site).count(operation) == 1
    assert_tidy(site)


# --- ordinary tasks, beat, the broker -------------------------------------------------------------------------------------


def test_an_ordinary_task_waits_until_the_gate_is_open(site: Site, tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    worker = Worker(site, env={"LOG_LEVEL": "DEBUG"}, options=("--include=backups.tests.ordinary",))
    site.manage("backup_maintenance", "on", "--message", "Back soon.")
    with worker.running():
        send_ordinary(site, "count_users", str(answer))
        wait_until(lambda: "ordinary.count_users" in worker.log.read_text() and "ignored" in worker.log.read_text(), "its first try")
        assert not answer.exists()
        site.manage("backup_maintenance", "off")
        wait_until(answer.exists, "the task")


def test_a_task_that_keeps_a_connection_stops_no_swap_and_the_next_one_sees_the_new_data(site: Site, tmp_path: Path) -> None:
    """On PostgreSQL the swap ends the session of the task; on SQLite the same connection reads the new data."""
    site.extra_env["PAGES_CONNECTION"] = json.dumps({"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False})
    add = "from django.contrib.auth import get_user_model\nget_user_model().objects.create_user(sys.argv[1])"
    in_the_site(site, add, "ada")
    archive = site.manage("backup_create").stdout.strip()
    in_the_site(site, add, "ben")
    with Worker(site, options=("--include=backups.tests.ordinary", "--concurrency=1")).running():
        send_ordinary(site, "count_users_twice", str(tmp_path))
        wait_until((tmp_path / "first").exists, "a task with a connection")
        site.manage("backup_restore", archive, "--no-input")
        (tmp_path / "go").touch()
        wait_until((tmp_path / "second").exists, "the end of the task")
        send_ordinary(site, "count_users", str(tmp_path / "next"))
        wait_until((tmp_path / "next").exists, "the next task")
    second = "OperationalError" if site.vendor == "postgresql" else "1"
    assert [(tmp_path / name).read_text() for name in ("first", "second", "next")] == ["2", second, "1"]


def test_beat_sends_a_tick_at_its_start(site: Site) -> None:
    def ticked() -> datetime:
        return datetime.fromisoformat(json.loads((site.state / "tick").read_bytes())["time"])

    with Worker(site).running():
        wait_until((site.state / "tick").exists, "the worker's own tick")
        first = ticked()
        with Beat(site).running() as beat:
            wait_until(lambda: ticked() > first, "the beat's tick")
            second = ticked()
            beat.kill()
        with Beat(site).running() as beat:
            wait_until(lambda: ticked() > second, "the tick of a beat that was started again")
            assert beat.end() == 0


def test_messages_that_nobody_took_are_thrown_away_at_the_start_of_a_worker(site: Site) -> None:
    code = (
        "from timetracker.celery import app\napp.loader.import_default_modules()\n"
        "[app.tasks['backups.tick'].apply_async(expires=None) for _ in range(200)]"
    )
    in_the_site(site, code)
    size = "from timetracker.celery import app\nwith app.connection_for_read() as c:\n    print(c.default_channel._size('backups'))"
    assert in_the_site(site, size) == "200"
    with Worker(site).running():
        assert int(in_the_site(site, size)) < 2


@pytest.mark.parametrize("site", ["postgresql, redis"], indirect=True)
def test_a_worker_goes_on_after_its_broker_was_killed_and_started_again(site: Site, redis_server: RedisServer) -> None:
    with Worker(site).running() as worker:
        redis_server.stop()
        assert ask(site, "create")["error"] == "NoWorker", "nobody can be heard"
        redis_server.start()
        cache = site_cache(site)
        wait_until(lambda: (cache.get("worker") or {}).get("pid") == worker.pid, "its sign of life")
        operation = ask(site, "create")["id"]
        assert ended(site, operation)["status"] == "done"
        # The request from before is over, and stays so.
        assert sorted(journal["status"] for journal in journals(site)) == ["done", "failed"]


def test_the_folders_of_the_broker_are_private(sqlite_site: Site) -> None:
    in_the_site(sqlite_site, "import os\nos.umask(0)\nimport timetracker.celery")
    folders = [sqlite_site.data_dir / "broker", *(sqlite_site.data_dir / "broker").iterdir()]
    assert len(folders) == 3
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}


def test_damaged_messages_end_neither_the_worker_nor_what_it_is_at(sqlite_site: Site) -> None:
    with Worker(sqlite_site).running() as worker:
        # As a disk that ran full leaves them, or a reader that is quicker than the writer finds them.
        for number, content in enumerate((b"", b'{"body": "W1sib')):
            (sqlite_site.data_dir / "broker" / "messages" / f"{number}_cut.backups.msg").write_bytes(content)
        asked = queue(sqlite_site, "create")
        send(sqlite_site, "backups.work", asked)
        assert ended(sqlite_site, asked)["status"] == "done"
        assert worker.process
        assert worker.process.poll() is None
        wait_until(lambda: worker.log.read_text().count("is damaged and was thrown away") == 2, worker.log.read_text())
