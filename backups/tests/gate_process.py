"""``python -m backups.tests.gate_process``: a process that sets and reads the gate as the lines of its stdin say.

``raise``, ``read_only``, ``close`` and ``open`` set it, ``read`` reads it. Each line is answered with one of JSON: ``began`` and
``ended`` (seconds of the machine's monotonic clock) and the ``state`` of what was read or set.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backups.tests.site import Site

__all__ = ["Done", "GateProcess", "gate_process"]


@dataclass(frozen=True)
class Done:
    """What a line did, and from when to when."""

    began: float
    ended: float
    state: str


class GateProcess:
    """That process, as a test speaks to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, word: str) -> Done:
        """Let it set or read the gate; returns when it has."""
        assert self._process.stdin and self._process.stdout, "opened with pipes"
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the process is gone: {self._process.communicate()[1]}"
        return Done(**json.loads(answer))


@contextlib.contextmanager
def gate_process(site: Site) -> Iterator[GateProcess]:
    """Such a process of ``site`` for the length of the block."""
    process = site.run_python("-m", __name__, stdin=subprocess.PIPE)
    try:
        yield GateProcess(process)
    finally:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def main() -> None:
    """Do what each line says."""
    import django

    django.setup()
    from backups.gate import gate_close, gate_open, gate_raise, gate_read, gate_read_only, gate_stage

    def close() -> None:
        # The stage tells that it is for a moment only, so that visitors are held.
        gate_stage("swap")
        gate_close()

    words: dict[str, Callable[[], object]] = {
        "raise": lambda: gate_raise(uuid.uuid4().hex, "restore"),
        "read_only": gate_read_only,
        "close": close,
        "open": lambda: gate_open(epoch=uuid.uuid4().hex),
        "read": lambda: None,
    }
    for line in iter(sys.stdin.readline, ""):
        began = time.monotonic()
        words[line.strip()]()
        ended = time.monotonic()
        print(json.dumps({"began": began, "ended": ended, "state": gate_read().state}), flush=True)


if __name__ == "__main__":
    main()
