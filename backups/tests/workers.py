"""Celery's worker and beat as real processes on a scratch :class:`Site`, and the site's outside as they and a page see it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.redis import RedisCache

from backups.tests.asker import asker
from backups.tests.site import Site
from timetracker.supervisor import site_processes

__all__ = ["Beat", "Worker", "ask", "in_the_site", "journal_of", "journals", "queue", "send", "site_cache", "wait_until"]

# Seconds that anything here may take; the machine may be busy with other tests.
SECONDS = 90
POLL_SECONDS = 0.02


def wait_until(is_so: Callable[[], bool], what: str, *, seconds: float = SECONDS) -> None:
    """Look again and again until ``is_so``; fails with ``what`` was waited for."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(POLL_SECONDS)


# --- what can be seen from outside ----------------------------------------------------------------------------------------


def site_cache(site: Site) -> BaseCache:
    """The gate's cache of ``site``, as its processes see it."""
    if url := site.env.get("REDIS_URL"):
        return RedisCache(url, {"KEY_PREFIX": f"{site.env['REDIS_PREFIX']}:backups"})
    return FileBasedCache(str(site.data_dir / "gate"), {"OPTIONS": {"MAX_ENTRIES": 100_000}})


def journals(site: Site) -> list[dict[str, Any]]:
    """The journals of ``site``, oldest first; those that are being written or removed just now are left out."""
    found = []
    for path in (site.state / "journal").glob("[!.]*.json"):
        with contextlib.suppress(FileNotFoundError):
            found.append(json.loads(path.read_bytes()))
    return sorted(found, key=lambda journal: str(journal["created_at"]))


def journal_of(site: Site, operation: str) -> dict[str, Any]:
    """One journal."""
    found: dict[str, Any] = json.loads((site.state / "journal" / f"{operation}.json").read_bytes())
    return found


def in_the_site(site: Site, code: str, *args: str) -> str:
    """What ``code`` prints in a process of the site, in which Django is set up."""
    process = site.run_python("-c", f"import sys, django; django.setup()\n{code}", *args)
    stdout, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, stderr
    return stdout.strip()


def ask(site: Site, kind: str, archive: str = "", **arguments: object) -> dict[str, Any]:
    """Ask for an operation as a page does, in a process of its own; the answer of :mod:`backups.tests.asker`."""
    with asker(site) as asks:
        return asks.answer(kind, archive, **arguments)


def queue(site: Site, kind: str, archive: str = "", *, minutes_ago: float = 0, **arguments: object) -> str:
    """Write a request whose message was lost, and return the operation's id."""
    code = (
        "import json\n"
        "from datetime import UTC, datetime, timedelta\n"
        "from backups.journal import Journal\n"
        "kind, archive, arguments, minutes = sys.argv[1:]\n"
        "created = datetime.now(UTC) - timedelta(minutes=float(minutes))\n"
        "journal = Journal(kind=kind, archive=archive, arguments=json.loads(arguments), created_at=created.isoformat())\n"
        "journal.save(); print(journal.id)"
    )
    return in_the_site(site, code, kind, archive, json.dumps(arguments), str(minutes_ago))


def send(site: Site, task: str, *args: object) -> None:
    """Send a message to the workers."""
    code = (
        "import json\n"
        "from timetracker.celery import app\n"
        "app.loader.import_default_modules()\n"
        "app.tasks[sys.argv[1]].apply_async(json.loads(sys.argv[2]))"
    )
    in_the_site(site, code, task, json.dumps(args))


# --- the processes --------------------------------------------------------------------------------------------------------


@dataclass
class _Process:
    """One of the processes that ``./run`` starts, with the command line that it has there; its output goes to :attr:`log`."""

    site: Site
    env: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    name: str = ""
    process: subprocess.Popen[str] | None = None

    @property
    def log(self) -> Path:
        """What it says."""
        return self.site.data_dir / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """The id of its main process."""
        assert self.process, "not started"
        return self.process.pid

    def start(self) -> Self:
        """Start it."""
        command = site_processes("127.0.0.1", 1)[self.name]
        with self.log.open("a") as log:
            self.process = self.site.run_python(*command[1:], *self.options, env=self.env, stdout=log, stderr=log)
        return self

    def kill(self) -> None:
        """SIGKILL for it and all that it has started, at once, as by the machine."""
        assert self.process, "not started"
        self.site.kill_group(self.process)
        self.process.wait(SECONDS)

    def end(self, signum: int = signal.SIGTERM) -> int:
        """Ask it to end, as the supervisor does; its exit code."""
        assert self.process, "not started"
        self.process.send_signal(signum)
        return self.process.wait(SECONDS)

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Start it, and kill it at the end of the block if it is still there."""
        try:
            yield self.start()
        finally:
            if self.process is not None:
                self.kill()


@dataclass
class Worker(_Process):
    """A worker. ``options`` are added to its command line (``--include=backups.tests.ordinary``)."""

    name: str = "worker"

    def start(self) -> Self:
        """Start it; returns when it says that it is there, that is when it takes on work."""
        super().start()
        cache = site_cache(self.site)
        process = self.process
        assert process

        def is_there() -> bool:
            assert process.poll() is None, f"the worker ended with {process.returncode}\n{self.log.read_text()[-4000:]}"
            return (cache.get("worker") or {}).get("pid") == process.pid

        wait_until(is_there, f"a worker; it says: {self.log.read_text()[-2000:]}")
        return self

    def pool(self) -> list[int]:
        """The ids of the processes in which its tasks run."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def kill_main(self) -> None:
        """SIGKILL for the main process alone; on Linux, the kernel ends those of its tasks then."""
        assert self.process, "not started"
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait(SECONDS)


@dataclass
class Beat(_Process):
    """The beat."""

    name: str = "beat"
