"""The gate: seen by every process at once, on files and on a Redis-protocol server, and never in the reader's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from django.conf import settings as django_settings
from django.core.cache import caches
from pytest_django import Settings

from backups.engines import Engine
from backups.exceptions import BackupError, PreflightRefused, RestoreFailed, RestoreNotUndone
from backups.gate import (
    GateState,
    gate_close,
    gate_open,
    gate_raise,
    gate_read,
    gate_read_only,
    gate_release,
    gate_require,
    gate_stage,
    is_database_closed,
    is_database_restore_in_progress,
    maintenance_off,
    maintenance_on,
    maintenance_publish,
)
from backups.services.lock import lock_taken
from backups.tests.servers import RedisServer
from backups.tests.workers import wait_until

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

    def get_many(self, keys: list[str]) -> dict[str, object]:
        raise ConnectionError("Connection refused.")

    def set(self, key: str, value: object, timeout: int | None = None) -> None:
        raise ConnectionError("Connection refused.")

    def close(self) -> None:
        """Called by Django when settings change."""


class HangingCache(UnreachableCache):
    """A cache backend whose server takes two seconds not to answer, on a clock of its own; ``asked``: when."""

    clock: ClassVar[float] = 0.0
    asked: ClassVar[list[float]] = []

    def get_many(self, keys: list[str]) -> dict[str, object]:
        self.asked.append(self.clock)
        HangingCache.clock += 2
        raise TimeoutError("Timeout reading from socket.")


class ForgetfulCache(UnreachableCache):
    """A cache backend that takes everything and has nothing."""

    def get(self, key: str) -> object:
        return None

    def get_many(self, keys: list[str]) -> dict[str, object]:
        return {}

    def set(self, key: str, value: object, timeout: int | None = None) -> None:
        pass

    def delete(self, key: str) -> None:
        pass


@pytest.fixture(autouse=True)
def no_heart_left(own_gate: None) -> Iterator[None]:
    """A gate of the test's own, on files, that nobody goes on to set after it."""
    yield
    beating = hearts()
    gate_release()
    for heart in beating:
        heart.join(60)


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
        env |= {"REDIS_URL": server.url, "REDIS_PREFIX": "site"}
        use_cache(settings, "django.core.cache.backends.redis.RedisCache", server.url, KEY_PREFIX="site:backups")
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


def hearts() -> list[threading.Thread]:
    """The threads of the heartbeat."""
    return [thread for thread in threading.enumerate() if thread.name == "gate-heartbeat"]


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


def test_a_stage_brings_a_flushed_state_back() -> None:
    gate_raise(OPERATION, "restore")
    gate_read_only()
    caches["backups"].clear()
    gate_stage("shadow", 10.0)
    assert caches["backups"].get("gate")["state"] == "read_only"


# --- a cache that loses what it had -----------------------------------------------------------------------------------


def test_what_the_gate_says_does_not_expire(settings: Settings, tmp_path: Path) -> None:
    use_cache(settings, "django.core.cache.backends.filebased.FileBasedCache", str(tmp_path / "gate"), TIMEOUT=0)
    gate_raise(OPERATION, "restore")
    assert caches["backups"].get("gate")["operation"] == OPERATION
    gate_stage("shadow")
    assert caches["backups"].get("gate")["stage"] == "shadow"
    heartbeat = caches["backups"].get("gate")["heartbeat"]
    wait_until(lambda: caches["backups"].get("gate")["heartbeat"] != heartbeat, "the next heartbeat")
    maintenance_on(message="We are moving.")
    assert caches["backups"].get("gate.maintenance")["message"] == "We are moving."


def test_a_flushed_state_is_read_from_this_hosts_record_at_once(ask_other: Callable[[], list[object]]) -> None:
    gate_raise(OPERATION, "restore")
    gate_read_only()
    caches["backups"].clear()
    assert ask_other() == ["read_only", OPERATION, "", True, False]
    gate_open()
    caches["backups"].clear()
    assert ask_other() == ["open", "", "", False, False]


def test_changes_stay_refused_on_this_host_while_the_cache_is_out_of_reach(settings: Settings) -> None:
    gate_raise(OPERATION, "restore")
    gate_read_only()
    use_double(settings, UnreachableCache)
    state = gate_read()
    assert (state.state, state.operation, state.reachable) == ("read_only", OPERATION, False)


def test_the_heartbeat_brings_a_flushed_state_back_to_hosts_without_the_record(shared_env: dict[str, str], tmp_path: Path) -> None:
    gate_raise(OPERATION, "restore")
    gate_read_only()
    (tmp_path / "state" / "gate_raised").unlink()
    caches["backups"].clear()
    wait_until(lambda: gate_read().state == "read_only", "the gate to be raised")
    heartbeat = gate_read().heartbeat
    wait_until(lambda: gate_read().heartbeat != heartbeat, "the next heartbeat")


def test_the_heartbeat_survives_a_cache_that_is_away_for_a_while(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    gate_raise(OPERATION, "restore")
    gate_close()
    before = settings.CACHES
    use_double(settings, UnreachableCache)
    wait_until(lambda: "does not take the heartbeat" in caplog.text, "the line in the log")
    settings.CACHES = before
    caches["backups"].clear()
    wait_until(lambda: caches["backups"].get("gate") is not None, "the gate in the cache")
    assert is_database_closed()


def test_the_heartbeat_ends_with_the_operation() -> None:
    gate_raise(OPERATION, "restore")
    (heart,) = hearts()
    gate_open()
    heart.join(10)
    assert not heart.is_alive()
    gate_raise(OPERATION, "restore")
    assert len(hearts()) == 1


def test_a_process_that_has_let_go_does_not_speak_against_the_one_that_recovers() -> None:
    gate_raise(OPERATION, "restore")
    gate_close()
    (heart,) = hearts()
    gate_release()
    assert is_database_closed()
    caches["backups"].set("gate", {"state": "open"}, timeout=None)  # what another process's gate_open writes
    heart.join(10)
    gate_stage("too late")
    assert not heart.is_alive()
    assert gate_read() == GateState()


class FreeEngine:
    """An engine whose lock nobody else wants."""

    @contextmanager
    def lock(self, operation: str, *, wait: float = 0) -> Iterator[None]:
        try:
            yield
        finally:  # from here on another process may hold it
            for heart in hearts():
                heart.join(10)
                assert not heart.is_alive()


def test_an_operation_that_could_not_be_undone_lets_go_with_its_lock() -> None:
    with pytest.raises(RestoreNotUndone), lock_taken(cast(Engine, FreeEngine()), OPERATION):
        gate_raise(OPERATION, "restore")
        gate_close()
        raise RestoreNotUndone
    assert is_database_closed()
    assert gate_read().operation == OPERATION


def test_the_heartbeat_leaves_the_gate_to_a_later_holder(caplog: pytest.LogCaptureFixture) -> None:
    gate_raise(OPERATION, "restore")
    later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    state = {"state": "closed", "operation": OPERATION, "kind": "recover", "since": later}
    caches["backups"].set("gate", state, timeout=None)
    wait_until(lambda: "is held by recover 01234567 now" in caplog.text, "the line in the log")
    assert (gate_read().kind, gate_read().state) == ("recover", "closed")


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_maintenance_closes_the_gate_for_every_process_and_is_no_restore(ask_other: Callable[[], list[object]]) -> None:
    maintenance_on(message="We are moving.", by="ada")
    assert ask_other() == ["closed", "", "", False, True]
    state = gate_read()
    assert (state.kind, state.message, state.by, state.operation) == ("maintenance", "We are moving.", "ada", "")
    assert state.since
    maintenance_off()
    assert ask_other() == ["open", "", "", False, False]


def test_maintenance_can_refuse_changes_alone(ask_other: Callable[[], list[object]]) -> None:
    maintenance_on(message="Reading is fine.", read_only=True)
    assert ask_other() == ["read_only", "", "", False, False]


def test_a_restore_during_maintenance_ends_with_maintenance_still_on() -> None:
    maintenance_on(message="We are moving.", read_only=True)
    gate_raise(OPERATION, "restore")
    assert (gate_read().state, gate_read().kind, gate_read().operation) == ("read_only", "restore", OPERATION)
    assert gate_read().message == "We are moving."
    gate_close()
    assert gate_read().state == "closed"
    gate_open(epoch=OPERATION)
    assert (gate_read().state, gate_read().kind, gate_read().epoch) == ("read_only", "maintenance", OPERATION)
    assert not is_database_restore_in_progress()
    maintenance_off()
    assert (gate_read().state, gate_read().epoch) == ("open", OPERATION)


def test_maintenance_ends_during_a_restore_and_leaves_it_alone() -> None:
    maintenance_on(message="We are moving.")
    gate_raise(OPERATION, "restore")
    assert (gate_read().state, gate_read().operation) == ("closed", OPERATION)
    maintenance_off()
    assert (gate_read().state, gate_read().operation) == ("open", OPERATION)
    gate_close()
    assert is_database_closed()


def test_the_stricter_of_restore_and_maintenance_holds() -> None:
    gate_raise(OPERATION, "restore")
    gate_close()
    maintenance_on(message="Reading is fine.", read_only=True)
    assert is_database_closed()


def test_maintenance_outlives_a_cache_that_is_flushed_or_away(ask_other: Callable[[], list[object]], settings: Settings) -> None:
    maintenance_on(message="We are moving.")
    caches["backups"].clear()
    assert ask_other() == ["closed", "", "", False, True]
    use_double(settings, UnreachableCache)
    assert (gate_read().state, gate_read().message, gate_read().reachable) == ("closed", "We are moving.", False)


def test_the_tick_tells_a_flushed_cache_of_the_maintenance_again(tmp_path: Path) -> None:
    maintenance_on(message="We are moving.")
    caches["backups"].clear()
    maintenance_publish()
    (tmp_path / "state" / "maintenance").unlink()  # as a host without the file reads it
    assert gate_read().message == "We are moving."


def test_the_tick_does_not_take_back_what_another_host_has_said_later(tmp_path: Path) -> None:
    maintenance_on(message="We are moving.")
    kept = (tmp_path / "state" / "maintenance").read_bytes()
    maintenance_off()
    (tmp_path / "state" / "maintenance").write_bytes(kept)  # the file of the host that began it
    maintenance_publish()
    assert gate_read() == GateState()


def test_the_tick_without_maintenance_writes_nothing() -> None:
    maintenance_publish()
    assert caches["backups"].get("gate.maintenance") is None


def test_maintenance_without_a_cache_holds_on_this_host_and_says_what_others_know(settings: Settings) -> None:
    use_double(settings, UnreachableCache)
    with pytest.raises(BackupError, match="out of reach") as failure:
        maintenance_on(message="We are moving.")
    assert failure.value.state == "This host is in maintenance; other hosts do not know it."
    assert is_database_closed()
    with pytest.raises(BackupError, match="out of reach") as failure:
        maintenance_off()
    assert "backup_maintenance off" in failure.value.next_step
    assert not is_database_closed()


def test_maintenance_that_cannot_be_written_down_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder belongs")
    with pytest.raises(BackupError, match="cannot be written down"):
        maintenance_on(message="We are moving.")
    assert gate_read() == GateState()


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
    state = gate_read()
    assert (state.state, state.operation, state.epoch, state.reachable) == ("open", "", "the last swap", double is ForgetfulCache)
    assert not is_database_restore_in_progress()
    assert not is_database_closed()


@pytest.mark.parametrize("double", [UnreachableCache, ForgetfulCache])
def test_with_no_cache_the_marker_keeps_this_host_closed(settings: Settings, double: type) -> None:
    gate_raise(OPERATION, "restore")
    gate_close(local_marker=True)
    use_double(settings, double)
    assert is_database_closed()
    assert gate_read().operation == OPERATION


def test_a_cache_that_hangs_is_not_waited_for_at_every_page(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HangingCache, "clock", 1000.0)
    monkeypatch.setattr(HangingCache, "asked", [])
    monkeypatch.setattr("backups.gate_cache.monotonic", lambda: HangingCache.clock)
    monkeypatch.setattr("backups.gate_cache._silent_until", 0.0)
    use_double(settings, HangingCache)
    for _ in range(3):
        assert not gate_read().reachable
    assert HangingCache.asked == [1000.0]
    HangingCache.clock += 1.5
    gate_read()
    assert HangingCache.asked == [1000.0, 1003.5]


def test_a_cache_that_fails_at_once_is_logged_once(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    gate_read()
    caplog.clear()
    before = settings.CACHES
    use_double(settings, UnreachableCache)
    for _ in range(3):
        gate_read()
    settings.CACHES = before
    with caplog.at_level("INFO"):
        gate_read()
    assert [record.message for record in caplog.records] == [
        "The gate's cache cannot be read: Connection refused.",
        "The gate's cache can be read again.",
    ]


def test_a_damaged_marker_closes_all_the_same(tmp_path: Path) -> None:
    gate_raise(OPERATION, "restore")
    gate_close(local_marker=True)
    (tmp_path / "state" / "gate_closed").write_bytes(b"{")
    assert is_database_closed()


def test_a_damaged_epoch_is_none(tmp_path: Path) -> None:
    gate_raise(OPERATION, "restore")
    gate_open("an epoch")
    (tmp_path / "state" / "epoch").write_bytes(b"\xff\x80")
    caches["backups"].clear()
    assert gate_read() == GateState()


@pytest.mark.parametrize(
    "value",
    [
        "a string",
        {"state": "ajar"},
        {"state": "closed", "since": 5},
        {"state": "closed", "since": "2026-01-01T00:00:00"},
        {"state": "closed", "operation": ["restore"]},
        {"state": "read_only", "message": None},
        {"state": "read_only", "percent": "half"},
        None,
    ],
)
def test_a_foreign_value_in_the_cache_is_no_state(value: object) -> None:
    caches["backups"].set("gate", value, timeout=None)
    assert gate_read() == GateState()


def test_a_state_of_a_newer_version_is_understood() -> None:
    caches["backups"].set("gate", {"state": "read_only", "operation": OPERATION, "colour": "red"}, timeout=None)
    assert gate_read() == GateState(state="read_only", operation=OPERATION)


def test_a_damaged_file_of_the_cache_is_no_state(tmp_path: Path) -> None:
    maintenance_on(message="We are moving.")
    for path in [*(tmp_path / "gate").iterdir(), tmp_path / "state" / "maintenance"]:
        path.write_bytes(b"\x80")
    assert gate_read() == GateState(reachable=False)


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
    assert gate_read() == GateState(reachable=False)


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


def test_a_gate_is_opened_where_nothing_was_ever_written(settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_STATE_DIR = tmp_path / "new" / "state"
    gate_raise(OPERATION, "restore")
    gate_open()
    assert gate_read().state == "open"


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
    state = gate_read()
    assert (state.state, state.operation, state.epoch) == ("open", "", OPERATION)


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
    assert sorted(path.name for path in files) == ["epoch", "gate_closed", "gate_raised"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
