"""Random faults: whatever people ask for and whatever dies meanwhile, the site ends open, on data that it has been given.

A hypothesis state machine drives a whole site. What is live, what undo would bring back and what each archive holds is known
at each step; after each, the site must be settled, serve exactly the live data, and have left nothing over. A round is one
run of the machine; the site goes on from round to round, as a site does. A failing run prints its seed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from backups.tests.halting import Halted, halted
from backups.tests.ledger import ledger_generation, ledger_notes, ledger_site
from backups.tests.servers import RedisServer, running
from backups.tests.site import Site
from backups.tests.visitors import Record, Visitor
from backups.tests.web import SiteProcesses
from backups.tests.whole_site import WholeSite, whole_site

STAGES = ("preflight", "extract", "shadow", "rows", "migrate", "analyze", "drain", "swap", "closed", "switched")
UNDO_STAGES = ("shadow", "migrate", "analyze", "drain", "swap", "closed", "switched")
CREATE_STAGES = ("preflight", "dump", "verify", "store")

Fault = Callable[[Halted], object]


@dataclass(frozen=True)
class Data:
    """What a site holds, as far as it is looked at."""

    generation: int
    notes: frozenset[str]


@dataclass
class World:
    """A whole site, and what is known of it."""

    whole: WholeSite
    live: Data
    kept: Data | None = None
    is_kept_in_place: bool = False
    archives: dict[str, Data] = field(default_factory=dict)
    rounds: int = 0
    steps: int = 0
    broken: str = ""

    def __post_init__(self) -> None:
        """Open a browser."""
        self.record = Record()
        self.person = Visitor(self.whole.server.port, 0, self.record, random.Random(1), threading.Event())

    def look(self) -> Data:
        """What is live, from the database and the uploads."""
        return Data(self.whole.generation(), frozenset(ledger_notes(self.whole.site)))

    def check(self) -> None:
        """Everything that has to hold between two steps."""
        whole = self.whole
        whole.settled()
        found = self.look()
        assert found == self.live, f"live is {_differ(found, self.live)}"
        self.person.try_for(self.person.read_logged_in)
        seen = self.record.seen
        assert not seen.faults, f"{seen.faults}\n{whole.said()}"
        assert seen.generations[self.person.name][-1] == self.live.generation, "a visitor does not see what is live"
        missing = [name for name in self.archives if not (whole.site.backups / name).exists()]
        assert not missing, f"archives are gone: {missing}"
        whole.nothing_left_over()
        whole.nothing_ran_twice()


def _differ(found: Data, expected: Data) -> str:
    return (
        f"generation {found.generation} instead of {expected.generation}, {len(found.notes - expected.notes)} notes too many, "
        f"{len(expected.notes - found.notes)} missing"
    )


class Life(RuleBasedStateMachine):
    """What happens to a site. ``world`` is set by the test."""

    world: World

    def __init__(self) -> None:
        """Begin a round."""
        super().__init__()
        if self.world.broken:
            raise AssertionError(f"broken before: {self.world.broken}")
        self.world.rounds += 1

    def step(self, sentence: str) -> WholeSite:
        """Begin a step; what happens is told when the round fails."""
        note(sentence)
        self.world.steps += 1
        return self.world.whole

    @invariant()
    def holds(self) -> None:
        """After each step; a site that is broken once is not asked again, since no other round could tell why."""
        try:
            self.world.check()
        except BaseException as error:
            self.world.broken = str(error)
            raise

    # --- people ---------------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 3))
    def write_notes(self, count: int) -> None:
        """Somebody writes."""
        self.step(f"write {count} notes")
        world = self.world
        for _ in range(count):
            known = len(world.record.seen.notes)
            world.person.try_for(world.person.write_logged_in)
            assert len(world.record.seen.notes) == known + 1, world.record.seen.faults
            world.live = Data(world.live.generation, world.live.notes | {world.record.seen.notes[-1].id})

    @rule(generation=st.integers(1, 9))
    def turn_the_page(self, generation: int) -> None:
        """The ledger changes, in the database and the uploads."""
        site = self.step(f"bring the ledger to generation {generation}").site
        ledger_generation(site, generation)
        self.world.live = Data(generation, self.world.live.notes)

    # --- operations -----------------------------------------------------------------------------------------------

    @rule()
    def create(self) -> None:
        """A backup."""
        whole = self.step("create")
        journal = whole.ended(whole.take_on("create"))
        assert journal["status"] == "done", journal
        self.world.archives[journal["archive"]] = self.world.live

    @precondition(lambda self: self.world.archives)
    @rule(which=st.integers(0, 99), in_place=st.booleans())
    def restore(self, which: int, in_place: bool) -> None:
        """A restore, by swap or, where there is such a thing, in place."""
        name, data = self._archive(which)
        strategy = "in-place" if in_place and self.world.whole.site.cluster else "auto"
        whole = self.step(f"restore {name} ({strategy}): generation {data.generation}")
        journal = whole.ended(whole.take_on("restore", archive=name, strategy=strategy))
        assert journal["status"] == "done", journal
        self.world.kept, self.world.live = self.world.live, data
        self.world.is_kept_in_place = strategy == "in-place"

    @precondition(lambda self: self.world.kept)
    @rule()
    def undo(self) -> None:
        """An undo, or the undo of one."""
        whole = self.step("undo")
        journal = whole.ended(whole.take_on("undo"))
        assert journal["status"] == "done", journal
        assert self.world.kept, "the precondition"
        self.world.kept, self.world.live = self.world.live, self.world.kept

    # --- faults ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.world.archives)
    @rule(which=st.integers(0, 99), stage=st.sampled_from(STAGES), fault=st.integers(0, 99))
    def restore_with_a_fault(self, which: int, stage: str, fault: int) -> None:
        """Something dies in the middle of a restore."""
        name, data = self._archive(which)
        self._with_a_fault("restore", stage, fault, data, archive=name)

    # Back from a load in place is another load, with other stages.
    @precondition(lambda self: self.world.kept and not self.world.is_kept_in_place)
    @rule(stage=st.sampled_from(UNDO_STAGES), fault=st.integers(0, 99))
    def undo_with_a_fault(self, stage: str, fault: int) -> None:
        """Something dies in the middle of an undo."""
        assert self.world.kept, "the precondition"
        self._with_a_fault("undo", stage, fault, self.world.kept)

    @rule(stage=st.sampled_from(CREATE_STAGES), fault=st.integers(0, 99))
    def create_with_a_fault(self, stage: str, fault: int) -> None:
        """Something dies in the middle of a backup: it is there, and then it is good, or it is not."""
        operation = self._with_a_fault("create", stage, fault, self.world.live)
        journal = self.world.whole.journals()[operation]
        if journal["status"] == "done":
            self.world.archives[journal["archive"]] = self.world.live

    @rule(name=st.sampled_from(["web", "worker", "beat"]))
    def kill(self, name: str) -> None:
        """A process dies while nothing is done."""
        whole = self.step(f"kill {name}")
        whole.server.kill(name)
        whole.server.wait_until_up()

    @rule()
    def clear_the_cache(self) -> None:
        """The gate's cache is emptied."""
        self.step("clear the cache").flush()

    @precondition(lambda self: self.world.whole.site.cluster)
    @rule()
    def stop_the_database(self) -> None:
        """The database server crashes and comes back."""
        cluster = self.step("crash the database").site.cluster
        assert cluster, "the precondition"
        cluster.restart("immediate")

    @precondition(lambda self: self.world.whole.redis)
    @rule()
    def stop_redis(self) -> None:
        """Redis dies and comes back empty."""
        redis = self.step("kill redis").redis
        assert redis, "the precondition"
        redis.stop()
        redis.start()

    # --- within ---------------------------------------------------------------------------------------------------

    def _archive(self, which: int) -> tuple[str, Data]:
        names = sorted(self.world.archives)
        name = names[which % len(names)]
        return name, self.world.archives[name]

    def _with_a_fault(self, kind: str, stage: str, fault: int, after: Data, *, archive: str = "") -> str:
        """Ask for an operation, let something die at ``stage``, and find out whether ``after`` is live or what was before."""
        faults = self._faults()
        name = sorted(faults)[fault % len(faults)]
        whole, before = self.step(f"{kind} {archive}; at {stage} {name}"), self.world.live
        with halted(whole.site, stage) as stopped:
            operation = whole.take_on(kind, archive=archive)
            stopped.process()
            faults[name](stopped)
        whole.settled()
        found = self.world.look()
        assert found in (before, after), f"neither what was nor what should be: {_differ(found, before)}; or {_differ(found, after)}"
        status = whole.journals()[operation]["status"]
        assert found == after or status != "done", f"the {kind} is said to be done, and is not"
        note(f"the {kind} is {status}")
        # Data may be the same before and after; then what was kept tells.
        if kind != "create" and (whole.journals()[operation]["kept"] or found != before):
            self.world.kept, self.world.live, self.world.is_kept_in_place = before, after, False
        whole.server.wait_until_up()
        return operation

    def _faults(self) -> dict[str, Fault]:
        faults: dict[str, Fault] = {
            "the worker is killed": self._kill_worker,
            "the web server is killed": lambda stopped: self.world.whole.server.kill("web"),
            "the beat is killed": lambda stopped: self.world.whole.server.kill("beat"),
            "the cache is emptied": lambda stopped: self.world.whole.flush(),
        }
        if cluster := self.world.whole.site.cluster:
            faults["the database crashes"] = lambda stopped: cluster.restart("immediate")
        if redis := self.world.whole.redis:

            def restart(stopped: Halted) -> None:
                redis.stop()
                redis.start()

            faults["redis is killed"] = restart
        return faults

    def _kill_worker(self, stopped: Halted) -> None:
        self.world.whole.server.kill("worker")
        stopped.go_on()


def lived(site: Site, folder: Path, *, shape: tuple[int, int], redis: RedisServer | None, rounds: int, steps: int, chosen: int) -> None:
    """Let a site live through ``rounds`` of up to ``steps`` steps each; ``chosen`` is the seed."""
    print(f"{site.vendor}: {rounds} rounds, seed {chosen}")
    ledger_site(site)
    if redis:
        site.extra_env["REDIS_URL"] = redis.url
    with whole_site(SiteProcesses(site, *shape), folder, redis=redis) as whole:
        world = World(whole, Data(1, frozenset()))
        machine = seed(chosen)(type("Life", (Life,), {"world": world}))
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=rounds,
                stateful_step_count=steps,
                # A site cannot be set back, so a failing round is not tried again with less.
                phases=[Phase.generate],
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert world.rounds >= rounds
    print(f"{site.vendor}: {world.rounds} rounds of {world.steps} steps in all; settled after {whole.longest:.1f} s at most")


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis-protocol server that may be killed."""
    with running(RedisServer()) as server:
        yield server


def test_random_faults_leave_an_embedded_site_whole(sqlite_site: Site, tmp_path: Path) -> None:
    lived(sqlite_site, tmp_path, shape=(1, 8), redis=None, rounds=10, steps=2, chosen=20261122)


def test_random_faults_leave_a_site_of_several_processes_whole(postgres_site: Site, own_redis: RedisServer, tmp_path: Path) -> None:
    lived(postgres_site, tmp_path, shape=(3, 4), redis=own_redis, rounds=10, steps=2, chosen=20261122)


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_a_hundred_rounds_of_random_faults_leave_an_embedded_site_whole(sqlite_site: Site, tmp_path: Path) -> None:
    lived(sqlite_site, tmp_path, shape=(1, 8), redis=None, rounds=100, steps=6, chosen=random.randrange(10**6))


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
def test_a_hundred_rounds_of_random_faults_leave_a_site_of_several_processes_whole(
    postgres_site: Site, own_redis: RedisServer, tmp_path: Path
) -> None:
    lived(postgres_site, tmp_path, shape=(3, 4), redis=own_redis, rounds=100, steps=6, chosen=random.randrange(10**6))
