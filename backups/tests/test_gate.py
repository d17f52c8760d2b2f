"""The gate: seen by every process at once, on files and on a Redis-protocol server, and never in the reader's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import caches
from pytest_django import Settings

import backups.gate as gate_module
from backups.exceptions import BackupError, PreflightRefused, RestoreFailed
from backups.gate import (
    GateState,
    gate_close,
    gate_open,
    gate_raise,
    gate_read,
    gate_read_only,
    gate_require,
    gate_stage,
    is_database_closed,
    is_database_restore_in_progress,
)
from backups.tests.servers import RedisServer

BASE_DIR = Path(__file__).resolve().parents[2]
OPERATION = "0123456789abcdef0123456789abcdef"

# A process of its own: it answers each line with what it reads from the gate.
READER = """
import sys, json, django
django.setup()
from backups.gate import gate_read, is_database_closed, is_database_restore_in_progress
for line in sys.stdin:
    state = gate_read()
    print(json.dumps([state.state, state.operation, state.epoch, is_database_restore_in_progress(), is_database_closed()]), flush=True)
"""
# A process of its own that closes the gate and is killed.
CLOSES_AND_DIES = """
import os, signal, sys, django
django.setup()
from backups.gate import gate_close, gate_raise, gate_read_only
gate_raise(sys.argv[1], "restore")
gate_read_only()
gate_close(local_marker=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


class UnreachableCache:
    """A cache backend whose server does not answer."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        """Take what Django gives a backend."""

    def get(self, key: str) -> object:
        raise ConnectionError("Connection refused.")

    def set(self, key: str, value: object, timeout: int | None = None) -> None:
        raise ConnectionError("Connection refused.")

    def close(self) -> None:
        """Called by Django when settings change."""


class ForgetfulCache(UnreachableCache):
    """A cache backend that takes everything and has nothing."""

    def get(self, key: str) -> object:
        return None

    def set(self, key: str, value: object, timeout: int | None = None) -> None:
        pass

    def delete(self, key: str) -> None:
        pass


@pytest.fixture(autouse=True)
def own_gate(tmp_path: Path, settings: Settings) -> Iterator[None]:
    """A gate of the test's own, on files."""
    settings.BACKUPS_STATE_DIR = tmp_path / "state"
    use_cache(settings, "django.core.cache.backends.filebased.FileBasedCache", str(tmp_path / "gate"))
    yield
    gate_module._forget()


@pytest.fixture(params=["files", "redis"])
def shared_env(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> dict[str, str]:
    """The environment with which another process has the same gate, for each kind of cache."""
    settings.BACKUPS_STATE_DIR = tmp_path / "state"
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "timetracker.settings",
        "SECRET_KEY": django_settings.SECRET_KEY,
        "DATABASE_URL": "",
        "DATA_DIR": str(tmp_path),
    }
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        env["REDIS_URL"] = server.url
        use_cache(settings, "django.core.cache.backends.redis.RedisCache", server.url, KEY_PREFIX="backups")
        caches["backups"].clear()
    return env


@pytest.fixture
def ask_other(shared_env: dict[str, str]) -> Iterator[Callable[[], list[object]]]:
    """Ask another process, which has been running since before the test began, what it reads."""
    with subprocess.Popen(
        [sys.executable, "-c", READER], env=shared_env, cwd=BASE_DIR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        stdin, stdout = process.stdin, process.stdout

        def ask() -> list[object]:
            print(file=stdin, flush=True)
            answer: list[object] = json.loads(stdout.readline())
            return answer

        assert ask() == ["open", "", "", False, False]
        yield ask
        stdin.close()


def use_cache(settings: Settings, backend: str, location: str, **options: object) -> None:
    """Give the gate another cache."""
    settings.CACHES = {**settings.CACHES, "backups": {"BACKEND": backend, "LOCATION": location, **options}}


def use_double(settings: Settings, double: type) -> None:
    """Give the gate one of the caches above."""
    use_cache(settings, f"{__name__}.{double.__name__}", "")


# --- what others see --------------------------------------------------------------------------------------------------


def test_another_process_sees_each_state_at_once(ask_other: Callable[[], list[object]]) -> None:
    gate_raise(OPERATION, "restore")
    assert ask_other() == ["open", OPERATION, "", True, False]
    gate_read_only()
    assert ask_other() == ["read_only", OPERATION, "", True, False]
    gate_close()
    assert ask_other() == ["closed", OPERATION, "", True, True]
    gate_open(epoch=OPERATION)
    assert ask_other() == ["open", "", OPERATION, False, False]


def test_a_process_that_dies_leaves_the_gate_closed_until_recovery_opens_it(
    shared_env: dict[str, str], ask_other: Callable[[], list[object]]
) -> None:
    dead = subprocess.run([sys.executable, "-c", CLOSES_AND_DIES, OPERATION], env=shared_env, cwd=BASE_DIR, check=False)
    assert dead.returncode < 0
    assert ask_other() == ["closed", OPERATION, "", True, True]
    gate_raise(OPERATION, "recover")
    assert gate_read().kind == "recover"
    assert ask_other() == ["closed", OPERATION, "", True, True]
    gate_open()
    assert ask_other() == ["open", "", "", False, False]


def test_a_flushed_cache_opens_the_gate_but_where_the_marker_lies_and_keeps_the_epoch(ask_other: Callable[[], list[object]]) -> None:
    gate_raise(OPERATION, "restore")
    gate_open(epoch="the last swap")
    caches["backups"].clear()
    assert ask_other() == ["open", "", "the last swap", False, False]
    gate_raise(OPERATION, "restore")
    gate_close(local_marker=True)
    caches["backups"].clear()
    assert ask_other() == ["closed", OPERATION, "the last swap", True, True]
    gate_open()
    assert ask_other() == ["open", "", "the last swap", False, False]


def test_a_stage_brings_a_flushed_state_back(ask_other: Callable[[], list[object]]) -> None:
    gate_raise(OPERATION, "restore")
    gate_read_only()
    caches["backups"].clear()
    gate_stage("shadow", 10.0)
    assert ask_other() == ["read_only", OPERATION, "", True, False]


def test_one_key_is_left_in_the_cache(tmp_path: Path) -> None:
    gate_require()
    gate_raise(OPERATION, "restore")
    gate_stage("shadow", 10.0)
    gate_open(epoch=OPERATION)
    assert len(list((tmp_path / "gate").iterdir())) == 1


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_stage_percent_and_times_are_kept_over_a_change_of_state() -> None:
    before = datetime.now(UTC)
    eta = before + timedelta(minutes=3)
    gate_raise(OPERATION, "restore", message="Restoring last night's archive.")
    gate_read_only()
    gate_stage("shadow", 42.5, eta)
    gate_close()
    state = gate_read()
    assert (state.state, state.kind, state.stage, state.percent, state.eta) == ("closed", "restore", "shadow", 42.5, eta)
    assert state.message == "Restoring last night's archive."
    assert state.since and state.heartbeat and before <= state.since <= state.heartbeat


def test_a_stage_without_an_eta_keeps_the_one_before() -> None:
    eta = datetime.now(UTC)
    gate_raise(OPERATION, "restore")
    gate_stage("extract", eta=eta)
    gate_stage("shadow")
    assert (gate_read().stage, gate_read().eta) == ("shadow", eta)


def test_a_stage_of_a_process_that_runs_nothing_changes_nothing() -> None:
    gate_stage("dump", 10.0)
    assert gate_read() == GateState()


def test_a_stage_survives_a_cache_that_fails(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    gate_raise(OPERATION, "restore")
    use_double(settings, UnreachableCache)
    gate_stage("shadow", 10.0)
    assert "Connection refused" in caplog.text


# --- a cache that does not do its part --------------------------------------------------------------------------------


@pytest.mark.parametrize("double", [UnreachableCache, ForgetfulCache])
def test_with_no_cache_pages_are_served_and_the_flag_reads_false(settings: Settings, double: type) -> None:
    gate_raise(OPERATION, "restore")
    gate_open(epoch="the last swap")
    use_double(settings, double)
    assert gate_read() == GateState(epoch="the last swap")
    assert not is_database_restore_in_progress()
    assert not is_database_closed()


@pytest.mark.parametrize("double", [UnreachableCache, ForgetfulCache])
def test_with_no_cache_the_marker_keeps_this_host_closed(settings: Settings, double: type) -> None:
    gate_raise(OPERATION, "restore")
    gate_close(local_marker=True)
    use_double(settings, double)
    assert is_database_closed()
    assert gate_read().operation == OPERATION


def test_a_damaged_marker_closes_all_the_same(tmp_path: Path) -> None:
    gate_raise(OPERATION, "restore")
    gate_close(local_marker=True)
    (tmp_path / "state" / "gate_closed").write_bytes(b"{")
    assert is_database_closed()


@pytest.mark.parametrize("value", ["a string", {"state": "ajar"}, {"state": "closed", "since": 5}, None])
def test_a_foreign_value_in_the_cache_is_no_state(value: object) -> None:
    caches["backups"].set("gate", value, timeout=None)
    assert gate_read() == GateState()


def test_a_state_of_a_newer_version_is_understood() -> None:
    caches["backups"].set("gate", {"state": "read_only", "operation": OPERATION, "colour": "red"}, timeout=None)
    assert gate_read() == GateState(state="read_only", operation=OPERATION)


def test_a_damaged_file_of_the_cache_is_no_state(tmp_path: Path) -> None:
    gate_raise(OPERATION, "restore")
    for path in (tmp_path / "gate").iterdir():
        path.write_bytes(b"\x80")
    assert gate_read() == GateState()


@pytest.mark.parametrize(
    ("double", "reason"), [(UnreachableCache, "out of reach: Connection refused"), (ForgetfulCache, "loses what is written")]
)
def test_operations_refuse_to_start_without_a_cache(settings: Settings, double: type, reason: str) -> None:
    use_double(settings, double)
    with pytest.raises(PreflightRefused, match=reason):
        gate_require()
    with pytest.raises(PreflightRefused, match=reason):
        gate_raise(OPERATION, "restore")


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("locmem.LocMemCache", "each process alone"),
        ("dummy.DummyCache", "keeps nothing"),
        ("db.DatabaseCache", "kept in the database"),
    ],
)
def test_operations_refuse_a_cache_that_cannot_carry_the_gate(settings: Settings, backend: str, reason: str) -> None:
    use_cache(settings, f"django.core.cache.backends.{backend}", "gate")
    with pytest.raises(PreflightRefused, match=reason):
        gate_require()


def test_operations_refuse_where_there_is_no_cache_of_that_name(settings: Settings) -> None:
    settings.CACHES = {"default": settings.CACHES["default"]}
    with pytest.raises(PreflightRefused, match="backups"):
        gate_require()
    assert gate_read() == GateState()


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give a folder away")
def test_operations_refuse_a_folder_whose_owner_could_not_read_the_gate(tmp_path: Path) -> None:
    gate_require()
    os.chown(tmp_path / "gate", 65534, 65534)
    with pytest.raises(PreflightRefused, match="65534") as refusal:
        gate_require()
    assert "sudo -u '#65534'" in refusal.value.next_step


def test_a_good_cache_is_accepted(shared_env: dict[str, str]) -> None:
    gate_require()


def test_a_restore_does_not_go_on_unseen(settings: Settings) -> None:
    gate_raise(OPERATION, "restore")
    use_double(settings, UnreachableCache)
    with pytest.raises(RestoreFailed, match="out of reach"):
        gate_read_only()
    with pytest.raises(RestoreFailed, match="out of reach"):
        gate_close()


def test_a_gate_that_cannot_be_opened_says_so_and_is_opened_later(settings: Settings, tmp_path: Path) -> None:
    gate_raise(OPERATION, "restore")
    gate_close(local_marker=True)
    caches_before = settings.CACHES
    use_double(settings, UnreachableCache)
    with pytest.raises(BackupError, match="out of reach") as failure:
        gate_open(epoch=OPERATION)
    assert "--recover" in failure.value.next_step
    settings.CACHES = caches_before
    assert is_database_closed()
    gate_open()
    assert gate_read() == GateState(epoch=OPERATION)


def test_the_gate_is_set_by_the_process_that_raised_the_flag() -> None:
    with pytest.raises(RuntimeError):
        gate_close()


def test_the_files_beside_the_cache_are_private(tmp_path: Path) -> None:
    gate_raise(OPERATION, "restore")
    gate_close(local_marker=True)
    gate_open(epoch=OPERATION)
    gate_raise(OPERATION, "restore")
    gate_close(local_marker=True)
    files = list((tmp_path / "state").iterdir())
    assert sorted(path.name for path in files) == ["epoch", "gate_closed"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
