"""Processes of a site are killed while a worker restores it: visitors never read torn data, and the site ends open by itself."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backups.tests.halting import Halted, halted
from backups.tests.ledger import ledger_generation, ledger_site
from backups.tests.servers import RedisServer, running
from backups.tests.site import Site
from backups.tests.test_killed import assert_tidy
from backups.tests.visitors import Seen, visitors_at_work
from backups.tests.web import SiteProcesses
from backups.tests.whole_site import WholeSite, whole_site

# Of a restore by swap, with the two instants at which only the gate or the server keeps visitors out.
STAGES = ("preflight", "extract", "shadow", "rows", "migrate", "analyze", "uploads", "drain", "swap", "closed", "switched")
STAGES_IN_PLACE = ("preflight", "extract", "uploads", "drain", "dump", "verify", "store", "closed", "load", "migrate", "switched")
POLL_SECONDS = 0.02


@dataclass
class Battered:
    """A whole site with visitors, on which a test kills something in the middle of one restore after the other."""

    whole: WholeSite
    archives: dict[int, str]
    generation: int
    strategy: str = "auto"

    def restore(self, stage: str, victim: str) -> int:
        """Restore the other generation and kill ``victim`` when the operation stands at ``stage``; returns what is live then."""
        whole, wanted = self.whole, 3 - self.generation
        with halted(whole.site, stage) as stopped:
            operation = whole.ask("restore", archive=self.archives[wanted], strategy=self.strategy)
            process = stopped.process()
            VICTIMS[victim](self, stopped, operation, process)
        found = whole.settled()
        journal = whole.journals()[operation]
        is_new = journal["status"] == "done" or (journal["status"] == "recovered" and not journal["error"])
        assert found == (wanted if is_new else self.generation), f"generation {found} is live after {journal}"
        print(f"{whole.site.vendor}: {victim} at {stage}: the restore is {journal['status']}, generation {self.generation} -> {found}")
        self.generation = found
        return found

    # --- what is killed ---------------------------------------------------------------------------------------------

    def worker(self, stopped: Halted, operation: str, process: int) -> None:
        """The worker with its pool; the supervisor starts another."""
        self.whole.server.kill("worker")
        stopped.go_on()

    def beat(self, stopped: Halted, operation: str, process: int) -> None:
        """The beat."""
        self.whole.server.kill("beat")
        stopped.go_on()

    def web(self, stopped: Halted, operation: str, process: int) -> None:
        """gunicorn with its processes."""
        self.whole.server.kill("web")
        stopped.go_on()

    def redis(self, stopped: Halted, operation: str, process: int) -> None:
        """Redis, which is there again when the operation has noticed."""
        assert self.whole.redis
        self.whole.redis.stop()
        stopped.go_on()
        self._wait_until_over(operation)
        self.whole.redis.start()

    def redis_restart(self, stopped: Halted, operation: str, process: int) -> None:
        """Redis, which is there again, and empty, before anybody has done anything."""
        assert self.whole.redis
        self.whole.redis.stop()
        self.whole.redis.start()
        stopped.go_on()

    def flush(self, stopped: Halted, operation: str, process: int) -> None:
        """The content of the cache."""
        self.whole.flush()
        stopped.go_on()

    def _wait_until_over(self, operation: str) -> None:
        """Until the operation has ended, or has given up in words."""
        deadline = time.monotonic() + 60
        while (journal := self.whole.journals()[operation])["status"] == "running" and not journal["error"]:
            assert time.monotonic() < deadline, f"the operation goes on without its cache: {journal}\n{self.whole.said()}"
            time.sleep(POLL_SECONDS)


VICTIMS = {
    "worker": Battered.worker,
    "beat": Battered.beat,
    "web": Battered.web,
    "redis": Battered.redis,
    "redis restart": Battered.redis_restart,
    "flush": Battered.flush,
}


@contextlib.contextmanager
def battered(site: Site, folder: Path, *, shape: tuple[int, int], redis: RedisServer | None = None) -> Iterator[Battered]:
    """A whole site with an archive of each generation; generation 2 is live."""
    ledger_site(site)
    if redis:
        site.extra_env["REDIS_URL"] = redis.url
    archives = {}
    for generation in (1, 2):
        ledger_generation(site, generation)
        archives[generation] = site.manage("backup_create").stdout.strip()
    with whole_site(SiteProcesses(site, *shape), folder, redis=redis) as whole:
        yield Battered(whole, archives, 2)
        whole.nothing_ran_twice()
        print(f"{site.vendor}: the longest time until all was settled: {whole.longest:.1f} s")
    assert_tidy(site)


def kill(site: Battered, folder: Path, plan: list[tuple[str, str]], *, seed: int) -> Seen:
    """Go through ``plan`` (stage and victim) with visitors at work; what they saw."""
    with visitors_at_work(site.whole.server, folder, seed=seed) as seen:
        for stage, victim in plan:
            site.restore(stage, victim)
    said = f"{seen.fault_count} faults: {seen.faults}\n{site.whole.said()}"
    assert not seen.fault_count, said
    if not any(victim == "web" for _, victim in plan):
        assert not seen.cut, f"{seen.cut}\n{said}"
    assert all(generations[-1] == site.generation for generations in seen.generations.values())
    print(f"{sum(seen.pages.values())} answers, {len(seen.refusals)} refused, slowest page {seen.slowest * 1000:.0f} ms")
    return seen


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis-protocol server that may be killed."""
    with running(RedisServer()) as server:
        yield server


def test_the_embedded_site_survives_the_death_of_its_processes(sqlite_site: Site, tmp_path: Path) -> None:
    with battered(sqlite_site, tmp_path, shape=(1, 8)) as site:
        kill(site, tmp_path, [("switched", "worker"), ("shadow", "web"), ("closed", "flush")], seed=20261122)


def test_a_site_of_several_processes_survives_the_death_of_its_processes(
    postgres_site: Site, own_redis: RedisServer, tmp_path: Path
) -> None:
    with battered(postgres_site, tmp_path, shape=(3, 4), redis=own_redis) as site:
        kill(site, tmp_path, [("switched", "worker"), ("closed", "redis restart"), ("drain", "beat")], seed=20261122)


# --- the full counts --------------------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("victim", ["worker", "beat", "web", "flush"])
def test_the_embedded_site_survives_a_death_in_each_stage(sqlite_site: Site, tmp_path: Path, victim: str) -> None:
    with battered(sqlite_site, tmp_path, shape=(1, 8)) as site:
        kill(site, tmp_path, [(stage, victim) for stage in STAGES], seed=random.randrange(10**6))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("strategy", ["auto", "in-place"])
def test_a_site_of_several_processes_survives_a_death_in_each_stage(
    postgres_site: Site, own_redis: RedisServer, tmp_path: Path, victim: str, strategy: str
) -> None:
    with battered(postgres_site, tmp_path, shape=(3, 4), redis=own_redis) as site:
        site.strategy = strategy
        stages = STAGES_IN_PLACE if strategy == "in-place" else STAGES
        kill(site, tmp_path, [(stage, victim) for stage in stages], seed=random.randrange(10**6))
