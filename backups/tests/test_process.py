"""Child processes: they die with their parent, are found by their operation, and report their first error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest

from backups.engines.process import PIPE_BYTES, child, child_output, end_children, first_error
from backups.exceptions import BackupError

ENV = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
SLEEPER = [sys.executable, "-c", "import sys, time; print('up', flush=True); time.sleep(600)"]


def is_gone(pid: int) -> bool:
    """Whether the process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_gone(pid: int, seconds: float = 20) -> None:
    """Wait until the process has ended."""
    deadline = time.monotonic() + seconds
    while not is_gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


def test_the_first_error_of_pg_restore_is_named_and_not_its_consequences() -> None:
    stderr = textwrap.dedent("""\
        pg_restore: while PROCESSING TOC:
        pg_restore: from TOC entry 3; 3079 16385 EXTENSION citext
        pg_restore: error: could not execute query: ERROR:  permission denied to create extension "citext"
        HINT:  Must have CREATE privilege on current database to create this extension.
        Command was: CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public;
        pg_restore: error: could not execute query: ERROR:  type "public.citext" does not exist
        pg_restore: warning: errors ignored on restore: 2
    """)
    assert first_error(stderr) == ('pg_restore: error: could not execute query: ERROR:  permission denied to create extension "citext"')


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        ("psql:load.sql:12: NOTICE:  nothing\npsql:load.sql:13: ERROR:  boom\n", "psql:load.sql:13: ERROR:  boom"),
        ("pg_dump: last built-in OID is 16383\npg_dump: error: aborting", "pg_dump: error: aborting"),
        ("\n  something odd\nmore\n", "something odd"),
        ("", ""),
    ],
)
def test_the_first_error_is_found_in_the_output_of_every_program(stderr: str, line: str) -> None:
    assert first_error(stderr) == line


@pytest.mark.parametrize(
    "line",
    [
        'psql: error: invalid connection option in "host=x password=s3cret dbname=y"',
        "psql: error: bad URI postgres://ann:s3cret@host/db",
        "psql: error: invalid dsn password='s3cret' host=x",
        "psql: error: could not use s3cret",
    ],
)
def test_no_password_is_shown(line: str) -> None:
    shown = first_error(line, ["s3cret"])
    assert "s3cret" not in shown
    assert "***" in shown
    if "could not" not in line:
        assert "s3cret" not in first_error(line)


def test_a_failing_program_is_named_with_its_first_error() -> None:
    script = "import sys; sys.stderr.write('x: error: one\\nx: error: two\\n'); sys.exit(3)"
    with pytest.raises(BackupError, match="x: error: one") as caught:
        child_output([sys.executable, "-c", script], ENV, operation=uuid.uuid4().hex)
    assert "two" not in caught.value.message


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(BackupError, match="/nowhere/pg_dump cannot be started"):
        child_output(["/nowhere/pg_dump"], ENV, operation=uuid.uuid4().hex)


def test_a_child_gets_the_given_environment_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "do not pass on")
    operation = uuid.uuid4().hex
    output = child_output([sys.executable, "-c", "import os; print(sorted(os.environ.items()))"], ENV, operation=operation)
    assert f"('BACKUPS_OPERATION', '{operation}')" in output
    assert "do not pass on" not in output


def test_stderr_is_collected_in_bounded_memory_with_its_first_and_last_lines() -> None:
    script = "import sys\nfor i in range(200000): sys.stderr.write(f'line {i} ' + 'x' * 50 + '\\n')"
    with child([sys.executable, "-c", script], ENV, operation=uuid.uuid4().hex) as running:
        assert running.wait() == 0
        assert running.stderr.startswith("line 0 ")
        assert "lines left out" in running.stderr
        assert running.stderr.splitlines()[-1].startswith("line 199999 ")
        assert len(running.stderr) < 100_000


def test_large_output_is_read_whole() -> None:
    script = f"import sys; sys.stdout.buffer.write(b'a' * {3 * PIPE_BYTES + 7})"
    assert len(child_output([sys.executable, "-c", script], ENV, operation=uuid.uuid4().hex)) == 3 * PIPE_BYTES + 7


def test_leaving_the_block_ends_the_child_and_what_it_forked() -> None:
    script = "import os, time\npid = os.fork()\nif pid: print(pid, flush=True)\ntime.sleep(600)\n"
    with (
        pytest.raises(RuntimeError, match="of the caller"),
        child([sys.executable, "-c", script], ENV, operation=uuid.uuid4().hex, stdout=subprocess.PIPE) as running,
    ):
        grandchild = int(running.stdout.readline())
        raise RuntimeError("of the caller")
    assert is_gone(running.pid)
    wait_gone(grandchild)


def test_kill_from_another_thread_ends_a_waiting_reader() -> None:
    import threading

    with child(SLEEPER, ENV, operation=uuid.uuid4().hex, stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"up\n"
        threading.Thread(target=running.kill).start()
        assert running.stdout.read() == b""
        assert running.wait() == -signal.SIGKILL
        assert "ended by signal 9" in running.failure()


PARENT = """
import subprocess, sys, time
from backups.engines.process import child
with child([sys.executable, "-c", {script!r}], {env!r}, operation={operation!r}, stdout=subprocess.PIPE) as running:
    print(running.stdout.readline().decode().strip() or "0", running.pid, flush=True)
    time.sleep(600)
"""


def start_parent(operation: str, script: str) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a process that starts a child; return it and the numbers that it prints."""
    source = PARENT.format(script=script, env=ENV, operation=operation)
    parent = subprocess.Popen([sys.executable, "-c", source], env=ENV, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, [int(word) for word in parent.stdout.readline().split()]


def test_a_child_dies_with_its_parent() -> None:
    parent, (_, pid) = start_parent(uuid.uuid4().hex, "import time; print(1, flush=True); time.sleep(600)")
    with parent:
        assert not is_gone(pid)
        parent.kill()
    wait_gone(pid)


def test_leftovers_are_found_by_their_operation_and_nothing_else_is_touched() -> None:
    operation, other = uuid.uuid4().hex, uuid.uuid4().hex
    fork = "import os, time\npid = os.fork()\nif pid: print(pid, flush=True)\ntime.sleep(600)"
    parent, (grandchild, pid) = start_parent(operation, fork)
    with parent:
        parent.kill()
    wait_gone(pid)
    assert not is_gone(grandchild), "a worker does not inherit the death signal: this test is about finding it"
    with child(SLEEPER, ENV, operation=other, stdout=subprocess.PIPE) as bystander:
        bystander.stdout.readline()
        assert end_children(operation) == 1
        assert is_gone(grandchild)
        assert bystander.is_running
    assert end_children(operation) == 0


def test_ending_leftovers_spares_the_caller_and_its_ancestors() -> None:
    operation = uuid.uuid4().hex
    script = f"from backups.engines.process import end_children; print(end_children({operation!r}), flush=True)"
    assert child_output([sys.executable, "-c", script], ENV, operation=operation) == "0\n"


def test_an_empty_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="id is needed"):
        end_children("")
