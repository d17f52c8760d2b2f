"""What commands cost, as it is found out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backups.tests.site import BASE_DIR
from bench.measure import CommandFailed, Survey, commands_run, stored_bytes

MIB = 1024**2


def python(code: str) -> list[str]:
    """A command."""
    return [sys.executable, "-c", code]


def test_costs_of_all_commands_and_their_children_are_one(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint('burnt')"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], check=True)"
    cost = commands_run([python(child), python(burn)], env=dict(os.environ), folder=tmp_path, log=tmp_path / "log")
    assert cost.output.split() == ["burnt", "burnt"]
    assert cost.cpu_seconds >= 0.4
    assert cost.seconds > 0


def test_largest_process_counts(tmp_path: Path) -> None:
    small = commands_run([python("pass")], env=dict(os.environ), folder=tmp_path, log=tmp_path / "log")
    large = commands_run([python("b'x' * (200 * 1024 ** 2)"), python("pass")], env=dict(os.environ), folder=tmp_path, log=tmp_path / "log")
    assert large.peak_kib - small.peak_kib > 100 * 1024


def test_command_that_fails_ends_the_run_with_what_it_said(tmp_path: Path) -> None:
    commands = [python("import sys; sys.exit('no such thing')"), python("open('second', 'w')")]
    with pytest.raises(CommandFailed, match="no such thing"):
        commands_run(commands, env=dict(os.environ), folder=tmp_path, log=tmp_path / "log")
    assert not (tmp_path / "second").exists()


def test_files_with_two_names_take_their_space_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(MIB))
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert MIB <= stored_bytes([tmp_path]) < 1.1 * MIB


def test_survey_sees_what_is_gone_at_the_end_and_files_without_a_name(tmp_path: Path) -> None:
    data, said = tmp_path / "data", tmp_path / "said"
    data.mkdir()
    said.mkdir()
    code = f"""
import os, pathlib, tempfile, time
data, said = pathlib.Path({str(data)!r}), pathlib.Path({str(said)!r})
(data / "passing").write_bytes(os.urandom(3 * {MIB}))
nameless = tempfile.TemporaryFile(dir=data)
nameless.write(os.urandom(2 * {MIB}))
nameless.flush()
(data / "left").write_bytes(os.urandom({MIB}))
(said / "ready").touch()
while not (said / "seen").exists():
    time.sleep(0.01)
(data / "passing").unlink()
"""
    survey = Survey([data])

    def let_go_on() -> None:
        while not (said / "ready").exists():
            time.sleep(0.01)
        looks = survey.looks
        # The one that may be under way began before; the next is a whole one.
        while survey.looks < looks + 2:
            time.sleep(0.01)
        (said / "seen").touch()

    other = threading.Thread(target=let_go_on)
    other.start()
    with survey:
        commands_run([python(code)], env=dict(os.environ), folder=tmp_path, log=tmp_path / "log", survey=survey)
    other.join()
    assert 5 * MIB <= survey.temporary_bytes < 5.2 * MIB
    assert MIB <= survey.left_bytes < 1.1 * MIB
    assert survey.peak_kib > 5 * 1024


def is_at_work(pid: str) -> bool:
    """Whether the process is there; one that is dead and not yet reaped has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_interrupted_measurement_leaves_no_command_behind(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    sleeper = f"import os, pathlib, time; pathlib.Path({str(said)!r}).write_text(str(os.getpid())); time.sleep(600)"
    # Whatever started the tests may ignore Ctrl-C, as a shell does for what it runs in the background, and that is inherited.
    code = f"""
import os, pathlib, signal
from bench.measure import commands_run
signal.signal(signal.SIGINT, signal.default_int_handler)
folder = pathlib.Path({str(tmp_path)!r})
commands_run([{python(sleeper)!r}], env=dict(os.environ), folder=folder, log=folder / "log")
"""
    measuring = subprocess.Popen(python(code), cwd=BASE_DIR, stderr=subprocess.DEVNULL)
    while not (said.exists() and said.read_text()):
        time.sleep(0.01)
    assert is_at_work(said.read_text())
    measuring.send_signal(signal.SIGINT)
    assert measuring.wait() != 0
    while is_at_work(said.read_text()):
        time.sleep(0.01)
