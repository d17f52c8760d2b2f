"""A process of a site that stays, as a web process does, and answers each line of its stdin with one; both are JSON.

:func:`answering` is the test's side, :func:`answer_lines` the process's.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from backups.tests.site import Site

__all__ = ["answer_lines", "answering"]


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
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def answer_lines(answer: Callable[[Any], object]) -> None:
    """Answer each line until there are no more."""
    for line in iter(sys.stdin.readline, ""):
        print(json.dumps(answer(json.loads(line))), flush=True)
