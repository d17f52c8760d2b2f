"""The supervisor, with real children. Waiting is reading: a line that a child prints, or the end of all who could print."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.tests.site import measured

BASE_DIR = Path(__file__).resolve().parents[2]
SECONDS = 60

SUPERVISE = """
import sys
from timetracker.supervisor import Supervisor
commands = {f"child{n}": [sys.executable, "-c", code] for n, code in enumerate(sys.argv[2:])}
Supervisor(commands, say=lambda line: print("said", line, flush=True), first_pause=0.01, longest_pause=0.04, grace=float(sys.argv[1])).run()
print("stopped", flush=True)
"""
WAITS = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
ENDS = "raise SystemExit(3)"
IGNORES = (
    "import os, signal, time; signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'ignored\\n')); "
    "print('pid', os.getpid(), flush=True); [time.sleep(600) for _ in range(9)]"
)
# A child whose own child stays behind when it dies, as a web server's worker does.
FORKS = "import os, time; forked = os.fork(); forked and print('pids', os.getpid(), forked, flush=True); time.sleep(600)"


@contextlib.contextmanager
def supervised(*children: str, grace: float = 60) -> Iterator[subprocess.Popen[str]]:
    """A supervisor in a process of its own, in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(grace), *children],
        env=measured({"PATH": os.defpath, "PYTHONPATH": str(BASE_DIR)}),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_line(process: subprocess.Popen[str], word: str) -> list[str]:
    """The words after ``word`` of the next line that begins with it."""
    assert process.stdout
    for line in process.stdout:
        first, *rest = line.split()
        if first == word:
            return rest
    raise AssertionError(f"the supervisor ended without a line {word!r}")


def is_gone(pid: int) -> bool:
    """Whether no process has that id any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for_end(pid: int) -> None:
    """Wait until a process that is no child of ours has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], SECONDS)[0], f"process {pid} is still alive"
    finally:
        os.close(descriptor)


def test_a_killed_child_is_started_again() -> None:
    with supervised(WAITS) as process:
        (first,) = read_line(process, "pid")
        os.kill(int(first), signal.SIGKILL)
        assert "child0 was ended by signal 9; it is started again" in " ".join(read_line(process, "said"))
        (second,) = read_line(process, "pid")
        assert second != first


def test_the_other_children_stay_when_one_dies() -> None:
    with supervised(WAITS, WAITS) as process:
        pids = {int(read_line(process, "pid")[0]), int(read_line(process, "pid")[0])}
        victim = pids.pop()
        os.kill(victim, signal.SIGKILL)
        read_line(process, "pid")
        assert not is_gone(pids.pop())


def test_the_pause_doubles_up_to_its_limit_while_a_child_keeps_ending() -> None:
    with supervised(ENDS) as process:
        said = [" ".join(read_line(process, "said")) for _ in range(4)]
    assert said == [f"child0 ended with exit code 3; it is started again in {pause} s." for pause in ("0.01", "0.02", "0.04", "0.04")]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_all_children_and_then_the_supervisor(signum: int) -> None:
    with supervised(WAITS, WAITS) as process:
        pids = [int(read_line(process, "pid")[0]) for _ in range(2)]
        process.send_signal(signum)
        assert read_line(process, "stopped") == []
        assert process.wait(SECONDS) == 0
        assert all(map(is_gone, pids))


def test_a_child_that_does_not_end_is_killed_after_the_grace() -> None:
    with supervised(IGNORES, grace=0.05) as process:
        (pid,) = read_line(process, "pid")
        process.terminate()
        assert process.wait(SECONDS) == 0
        assert is_gone(int(pid))


def test_a_second_signal_ends_the_grace() -> None:
    with supervised(IGNORES, grace=3600) as process:
        (pid,) = read_line(process, "pid")
        process.send_signal(signal.SIGINT)
        read_line(process, "ignored")
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert is_gone(int(pid))


def test_what_a_dead_child_left_behind_is_killed_before_its_next_start() -> None:
    with supervised(FORKS) as process:
        child, forked = map(int, read_line(process, "pids"))
        os.kill(child, signal.SIGKILL)
        read_line(process, "pids")
        wait_for_end(forked)


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_the_kernel_ends_the_children_of_a_killed_supervisor() -> None:
    with supervised(WAITS, WAITS) as process:
        pids = [int(read_line(process, "pid")[0]) for _ in range(2)]
        process.kill()
        for pid in pids:
            wait_for_end(pid)
