"""A whole site at work: web, worker and beat under a supervisor, a ledger in it, and somebody who asks for operations.

:meth:`WholeSite.settled` waits, as its owner would, until nothing is left to do and the gate is open, and says which data is
live then. Nobody but the site's own processes brings that about.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backups.tests.asker import Asker, NobodyThere, asker
from backups.tests.halting import operations_started
from backups.tests.ledger import ledger_file
from backups.tests.load import QUESTION, is_good
from backups.tests.servers import RedisServer
from backups.tests.site import Site
from backups.tests.watching import GateWatch, gate_watched
from backups.tests.web import SiteProcesses
from backups.tests.workers import journals

__all__ = ["SETTLED_SECONDS", "WholeSite", "whole_site"]

# Within which the site is open again without a person's hand (issue: must hold).
SETTLED_SECONDS = 120.0
POLL_SECONDS = 0.02


@dataclass
class WholeSite:
    """A site with all its processes. ``longest`` is the longest time, in seconds, that it took to settle."""

    server: SiteProcesses
    ask: Asker
    watch: GateWatch
    redis: RedisServer | None = None
    longest: float = 0.0

    @property
    def site(self) -> Site:
        """The installation."""
        return self.server.site

    def journals(self) -> dict[str, dict[str, Any]]:
        """What is recorded of each operation, by its id."""
        return {journal["id"]: journal for journal in journals(self.site)}

    def take_on(self, kind: str, *, archive: str = "", **arguments: object) -> str:
        """Ask for an operation until a worker takes it on: one that was killed a moment ago is being started again."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while True:
            try:
                return self.ask(kind, archive=archive, **arguments)
            except NobodyThere:
                assert time.monotonic() < deadline, f"no worker came back\n{self.said()}"

    def ended(self, operation: str, *, seconds: float = SETTLED_SECONDS) -> dict[str, Any]:
        """The journal of an operation that has come to an end; fails after ``seconds``."""
        deadline = time.monotonic() + seconds
        while (journal := self.journals()[operation])["status"] in ("queued", "running"):
            assert time.monotonic() < deadline, f"{operation} has not ended within {seconds} s: {journal}\n{self.said()}"
            time.sleep(POLL_SECONDS)
        return journal

    def settled(self) -> int:
        """Wait until every operation has ended and the gate is open; the generation of the ledger that is live then."""
        began = time.monotonic()
        while True:
            unfinished = [journal for journal in self.journals().values() if journal["status"] in ("queued", "running")]
            gate = self.watch.changes[-1]
            if not unfinished and gate.state == "open" and not gate.operation:
                break
            took = time.monotonic() - began
            assert took < SETTLED_SECONDS, f"not settled after {took:.0f} s: the gate is {gate}, unfinished {unfinished}\n{self.said()}"
            time.sleep(POLL_SECONDS)
        self.longest = max(self.longest, time.monotonic() - began)
        return self.generation()

    def generation(self) -> int:
        """The generation that is live; fails where database and uploads are not of one state."""
        (answer,) = self.site.fetch(QUESTION)
        ((book,),) = self.site.fetch("SELECT generation FROM ledger_book")
        file = int(ledger_file(self.site.media).read_text())
        assert is_good(answer), f"the ledger is torn: {answer}"
        assert answer[1] == book == file, f"the ledger is of generation {answer[1]}, the book of {book}, the uploads of {file}"
        return file

    def nothing_left_over(self) -> None:
        """No shadow, staged file or partial archive is left, and one kept state at most; waits for what is being cleaned up."""
        deadline = time.monotonic() + SETTLED_SECONDS
        while left := self._left_over():
            assert time.monotonic() < deadline, f"left over: {left}\n{self.said()}"
            time.sleep(POLL_SECONDS)

    def _left_over(self) -> list[str]:
        site = self.site
        left = [str(path) for pattern in ("state/staging/*", "backups/.partial/*") for path in site.data_dir.glob(pattern)]
        staged = [path.name for path in site.media.glob(".backups-*")]
        if site.cluster:
            others = set(site.cluster.databases(site.database)) - {site.database}
            kept = {name for name in others if name.startswith(f"{site.database}_before_")}
        else:
            others = {path.name for path in site.data_dir.glob("db*.sqlite3")} - {"db.sqlite3"}
            kept = {name for name in others if name.startswith("db_before_")}
        return left + sorted(others - kept) + sorted(kept)[1:] + staged[1:]

    def nothing_ran_twice(self) -> None:
        """Each operation has begun at most once."""
        twice = [operation for operation, count in Counter(operations_started(self.site)).items() if count > 1]
        assert not twice, f"begun more than once: {twice}\n{self.said()}"

    def said(self) -> str:
        """The end of what the processes said."""
        return self.server.log.read_text()[-6000:]

    def flush(self) -> None:
        """Empty the gate's cache, as ``FLUSHALL`` or a cleaned-up folder does."""
        if self.redis:
            self.redis.command("FLUSHALL")
        else:
            for path in (self.site.data_dir / "gate").glob("*.djcache"):
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_site(server: SiteProcesses, folder: Path, *, redis: RedisServer | None = None) -> Iterator[WholeSite]:
    """All processes of a site for the length of the block; they are there when it begins.

    Temporary files of theirs lie in ``DATA_DIR/tmp``, where a test can count what is left of them.
    """
    temporary = server.site.data_dir / "tmp"
    temporary.mkdir(exist_ok=True)
    server.site.extra_env["TMPDIR"] = str(temporary)
    with server.running(), gate_watched(server.site, folder) as watch, asker(server.site) as ask:
        server.pid("worker")
        server.pid("beat")
        yield WholeSite(server, ask, watch, redis)
