"""``python -m backups.tests.asker``: a process that stays, as a web process does, and asks for operations: one JSON line each.

A line has ``kind``, ``archive`` and ``arguments``. It is answered with one of JSON: the ``operation``'s id, and in ``refused``
the sentence of whoever would not take it on.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

from backups.tests.site import Site

__all__ = ["Asker", "NobodyThere", "asker"]


class NobodyThere(AssertionError):
    """No worker was there to take the operation on."""


class Asker:
    """That process, as a test speaks to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, kind: str, *, archive: str = "", **arguments: object) -> str:
        """Ask for an operation; returns its id when a worker has taken it on.

        Raises :class:`NobodyThere` where none was there, and AssertionError where the operation was refused.
        """
        assert self._process.stdin and self._process.stdout, "opened with pipes"
        self._process.stdin.write(json.dumps({"kind": kind, "archive": archive, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the process is gone: {self._process.communicate()[1]}"
        answer = json.loads(line)
        if answer["refused"].startswith("NoWorker"):
            raise NobodyThere(answer["refused"])
        assert not answer["refused"], answer["refused"]
        return str(answer["operation"])


@contextlib.contextmanager
def asker(site: Site) -> Iterator[Asker]:
    """Such a process of ``site`` for the length of the block."""
    process = site.run_python("-m", __name__, stdin=subprocess.PIPE)
    try:
        yield Asker(process)
    finally:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def main() -> None:
    """Ask for what each line says."""
    import timetracker.wsgi

    assert timetracker.wsgi.application, "a web process, with its Celery app"
    from backups.exceptions import BackupError
    from backups.tasks import task_request

    for line in iter(sys.stdin.readline, ""):
        asked = json.loads(line)
        operation, refused = "", ""
        try:
            operation = task_request(asked["kind"], archive=asked["archive"], arguments=asked["arguments"], requested_by="a visitor").id
        except BackupError as error:
            refused = f"{type(error).__name__}: {error.message}"
        print(json.dumps({"operation": operation, "refused": refused}), flush=True)


if __name__ == "__main__":
    main()
