"""Processes of a site that stay while a test goes on.

:func:`answering` has one that answers each line of its stdin with one, both JSON; :func:`answer_lines` is the process's side
of it. :func:`at_work` has one that is at work by itself: it prints ``ready`` when it has begun, and ends in order on SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from backups.tests.site import Site

__all__ = ["answer_lines", "answering", "at_work"]

# Seconds that a process may take to end.
END_SECONDS = 60


@contextlib.contextmanager
def answering(site: Site, module: str) -> Iterator[Callable[[object], Any]]:
    """``python -m module`` in ``site`` for the length of the block; call it with a question to get the answer."""
    process = site.run_python("-m", module, stdin=subprocess.PIPE)
    assert process.stdin and process.stdout, "opened with pipes"
    stdin, stdout = process.stdin, process.stdout

    def ask(question: object) -> Any:
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        answer = stdout.readline()
        assert answer, f"the process is gone: {process.communicate()[1]}"
        return json.loads(answer)

    try:
        yield ask
    finally:
        _, errors = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0, errors


def answer_lines(answer: Callable[[Any], object]) -> None:
    """Answer each line until there are no more."""
    for line in iter(sys.stdin.readline, ""):
        print(json.dumps(answer(json.loads(line))), flush=True)


@contextlib.contextmanager
def at_work(site: Site, module: str, *args: str | Path, log: Path) -> Iterator[None]:
    """``python -m module args`` in ``site`` from its ``ready`` to the end of the block; what it says goes to ``log``."""
    # Not into a pipe, which stops the process when it is full: nobody reads it meanwhile.
    with log.open("w") as errors:
        process = site.run_python("-m", module, *args, stdout=subprocess.PIPE, stderr=errors)
    assert process.stdout, "opened with a pipe"
    try:
        assert process.stdout.readline() == "ready\n", f"{module} did not begin: {log.read_text()[-4000:]}"
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0, log.read_text()[-4000:]
