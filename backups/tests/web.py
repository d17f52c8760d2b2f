"""A site as it is in production: gunicorn, and with it a worker and the beat, as real processes on a scratch :class:`Site`.

:class:`WebServer` is gunicorn alone. :class:`SiteProcesses` is all that ``./run`` starts, under the project's own supervisor,
which starts again what a test has killed; ``python -m backups.tests.web HOST PORT PROCESSES THREADS`` is that supervisor.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from backups.tests.servers import free_port
from backups.tests.site import Site
from timetracker.supervisor import Supervisor, site_processes

__all__ = ["SiteProcesses", "WebServer", "processes_below", "web_command"]

HOST = "127.0.0.1"
# Seconds that processes may take to come up or to go; the machine may be busy with other tests.
START_SECONDS = 90
STOP_SECONDS = 60
POLL_SECONDS = 0.02


def web_command(port: int, processes: int, threads: int) -> list[str]:
    """The command line with which ``./run`` starts gunicorn, for another number of processes and threads."""
    command = site_processes(HOST, port)["web"]
    command[command.index("--workers") + 1] = str(processes)
    command[command.index("--threads") + 1] = str(threads)
    return command


def processes_below(parent: int) -> dict[int, list[str]]:
    """The command line of each process that descends from ``parent``, by its id."""
    parents, found = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            found[int(folder.name)] = (folder / "cmdline").read_text().rstrip("\0").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
    below = {parent}
    while new := {child for child, of in parents.items() if of in below} - below:
        below |= new
    # A zombie has no command line.
    return {child: found[child] for child in sorted(below - {parent}) if found.get(child) not in (None, [""])}


@dataclass
class WebServer:
    """gunicorn on a site, with ``processes`` × ``threads``; its output goes to :attr:`log`."""

    site: Site
    processes: int = 1
    threads: int = 8
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None

    @property
    def base(self) -> str:
        """Where it listens: ``http://127.0.0.1:PORT``."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """What the processes say."""
        return self.site.data_dir / "web.log"

    def start(self) -> Self:
        """Start it; returns when it answers. A worker takes no request before its application is loaded, so none fails later."""
        with self.log.open("a") as log:
            self.process = self._spawn(log)
        self.wait_until_up()
        return self

    def wait_until_up(self) -> None:
        """Return when the site answers."""
        assert self.process, "not started"
        deadline = time.monotonic() + START_SECONDS
        while not self._is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the site did not come up (exit {self.process.returncode})\n{self.log.read_text()[-4000:]}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it in order, and whatever does not end in time by force."""
        process = self.process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            left = [*processes_below(process.pid), process.pid]
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait(STOP_SECONDS)
            raise AssertionError(f"the site did not end within {STOP_SECONDS} s\n{self.log.read_text()[-4000:]}") from None
        finally:
            self.process = None

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Start it, and stop it at the end of the block, whatever happens."""
        try:
            yield self.start()
        finally:
            self.stop()

    def web_processes(self) -> list[int]:
        """The ids of the processes that answer requests: gunicorn's workers."""
        assert self.process, "not started"
        return list(processes_below(self.process.pid))

    def get(self, path: str, *, headers: dict[str, str] | None = None, timeout: float = 30) -> tuple[int, bytes]:
        """Status and body of one GET, without cookies. Raises OSError or HTTPException where nothing answers."""
        return self._ask("GET", path, headers, timeout)

    def post(self, path: str, *, headers: dict[str, str] | None = None, timeout: float = 30) -> tuple[int, bytes]:
        """The same with an empty POST."""
        return self._ask("POST", path, headers, timeout)

    def _ask(self, method: str, path: str, headers: dict[str, str] | None, timeout: float) -> tuple[int, bytes]:
        with contextlib.closing(http.client.HTTPConnection(HOST, self.port, timeout=timeout)) as connection:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _spawn(self, log: IO[str]) -> subprocess.Popen[str]:
        return self.site.run_python(*web_command(self.port, self.processes, self.threads)[1:], stdout=log, stderr=log)

    def _is_up(self) -> bool:
        """Whether all workers are there, and one answers."""
        if len(self.web_processes()) < self.processes:
            return False
        try:
            status, _ = self.get("/admin/login/")
        except (OSError, http.client.HTTPException):
            return False
        return status in (200, 503)


@dataclass
class SiteProcesses(WebServer):
    """Web, worker and beat, kept alive by the project's supervisor."""

    def pid(self, name: str, *, seconds: float = START_SECONDS) -> int:
        """The id of the main process called ``web``, ``worker`` or ``beat``; waits while it is being started again."""
        assert self.process, "not started"
        mark = {"web": "gunicorn", "worker": "worker", "beat": "beat"}[name]
        deadline = time.monotonic() + seconds
        while True:
            for pid, words in processes_below(self.process.pid).items():
                if mark in words and _parent(pid) == self.process.pid:
                    return pid
            assert time.monotonic() < deadline, f"there is no {name}\n{self.log.read_text()[-4000:]}"
            time.sleep(POLL_SECONDS)

    def children(self, name: str) -> list[int]:
        """The ids of the processes below that main process: gunicorn's workers, the worker's pool."""
        return list(processes_below(self.pid(name)))

    def kill(self, name: str) -> None:
        """SIGKILL for that main process and all below it, at once."""
        main = self.pid(name)
        for pid in (main, *processes_below(main)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def web_processes(self) -> list[int]:
        """The ids of gunicorn's workers."""
        assert self.process, "not started"
        below = processes_below(self.process.pid)
        masters = [pid for pid, words in below.items() if "gunicorn" in words and _parent(pid) == self.process.pid]
        return [pid for pid in below if _parent(pid) in masters]

    def _spawn(self, log: IO[str]) -> subprocess.Popen[str]:
        return self.site.run_python(
            "-m", "backups.tests.web", HOST, str(self.port), str(self.processes), str(self.threads), stdout=log, stderr=log
        )


def _parent(pid: int) -> int | None:
    try:
        found = re.search(r"^PPid:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(found[1]) if found else None


def main(host: str, port: int, processes: int, threads: int) -> None:
    """Be the supervisor of a site's processes."""
    commands = site_processes(host, port) | {"web": web_command(port, processes, threads)}
    # Tests kill much more often than life does: no longer pauses for what keeps ending.
    Supervisor(commands, say=lambda sentence: print(sentence, file=sys.stderr, flush=True), longest_pause=1.0).run()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
