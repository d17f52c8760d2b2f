"""A process that has loaded what others have written (Django, drivers, libraries), and forks itself for who needs that.

Loading it takes most of the time in which a site's process starts. What is ours, and what hangs on settings, each fork loads itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

from backups.tests import BASE_DIR

__all__ = ["Fork", "Zygote", "foreign_modules"]

OURS = ("__", "backups", "bench", "portal", "timetracker")
# Bytes of one message: the names of some thousand modules are the longest.
MESSAGE = 1 << 18
POLL_SECONDS = 0.002


def foreign_modules() -> list[str]:
    """Return what this process has loaded that is not ours, in the order in which it was loaded."""
    return [name for name in sys.modules if not name.startswith(OURS)]


class Zygote:
    """The process, from :meth:`fork`'s side. It ends with the one that has started it."""

    def __init__(self, modules: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it, with ``modules`` loaded and Python set as in ``env``."""
        self._python = _of_python(env)
        self._namespace = _namespace()
        self._turn = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        plain = self._python | {"PATH": env["PATH"], "LC_ALL": env["LC_ALL"], "PYTHONPATH": str(BASE_DIR)}
        with theirs:
            self._process = subprocess.Popen(
                command, env=plain, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
            )
        self._ask(modules)

    def fits(self, env: Mapping[str, str]) -> bool:
        """Whether a fork would be as a process that is started with ``env`` from here."""
        return _of_python(env) == self._python and _namespace() == self._namespace and self._process.poll() is None

    def fork(self, module: str, *, env: Mapping[str, str], cwd: Path, stderr: IO[Any]) -> Fork:
        """Run ``module`` as ``python -m`` does, in a session of its own, with pipes as its input and output."""
        stdin, write = os.pipe()
        read, stdout = os.pipe()
        try:
            pid = self._ask({"module": module, "env": dict(env), "cwd": str(cwd)}, [stdin, stdout, stderr.fileno()])
        finally:
            os.close(stdin)
            os.close(stdout)
        return Fork(pid, os.fdopen(write, "w"), os.fdopen(read), self)

    def returncode(self, pid: int) -> int | None:
        """How the fork has ended, once: None while it runs."""
        answer: int | None = self._ask(pid)
        return answer

    def close(self) -> None:
        """End it; forks live on."""
        self._socket.close()
        self._process.wait()

    def _ask(self, message: object, descriptors: Sequence[int] = ()) -> Any:
        with self._turn:
            socket.send_fds(self._socket, [json.dumps(message).encode()], descriptors)
            return json.loads(self._socket.recv(MESSAGE))


class Fork:
    """A forked process: of :class:`subprocess.Popen` what is needed here."""

    def __init__(self, pid: int, stdin: IO[str], stdout: IO[str], zygote: Zygote) -> None:
        self.pid, self.stdin, self.stdout, self._zygote = pid, stdin, stdout, zygote
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it has ended (negative: by that signal), or None."""
        if self.returncode is None:
            self.returncode = self._zygote.returncode(self.pid)
        return self.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close its pipes and wait for its end."""
        for pipe in (self.stdin, self.stdout):
            # What was never sent goes nowhere.
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        while self.poll() is None:
            time.sleep(POLL_SECONDS)


def _of_python(env: Mapping[str, str]) -> dict[str, str]:
    """What a Python looks at once, when it starts."""
    return {name: value for name, value in env.items() if name.startswith(("COVERAGE", "LD_", "PYTHON", "TZ"))}


def _namespace() -> Path:
    """The mounts that this process sees."""
    return Path("/proc/self/ns/mnt").readlink()


def _become(request: Mapping[str, Any], descriptors: Sequence[int], theirs: socket.socket) -> None:
    theirs.close()
    os.setsid()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv = [request["module"]]


def main() -> None:
    """Load what the first message names, then fork for each that names a module, and say how forks have ended."""
    theirs = socket.socket(fileno=int(sys.argv[1]))
    for name in json.loads(theirs.recv(MESSAGE)):
        # What wants settings, or was made while a site ran, waits for them.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    theirs.send(b"true")
    while True:
        message, descriptors, _, _ = socket.recv_fds(theirs, MESSAGE, 3)
        if not message:
            return
        request = json.loads(message)
        if isinstance(request, int):
            pid, status = os.waitpid(request, os.WNOHANG)
            theirs.send(json.dumps(os.waitstatus_to_exitcode(status) if pid else None).encode())
            continue
        pid = os.fork()
        if not pid:
            _become(request, descriptors, theirs)
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        theirs.send(json.dumps(pid).encode())


if __name__ == "__main__":
    main()
