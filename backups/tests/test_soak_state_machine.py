"""Random faults: whatever people ask for and whatever dies meanwhile, the site ends open, on data that it has been given.

A hypothesis state machine drives a whole site. What is live, what undo would bring back and what each archive holds is known
at each step; after each, the site must be settled, serve exactly the live data, and have left nothing over. A round is one
run of the machine; the site goes on from round to round, as a site does. A failing run prints its seed.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from backups.tests.halting import Halted, halted
from backups.tests.ledger import ledger_generation, ledger_notes, ledger_site
from backups.tests.servers import RedisServer, running
from backups.tests.site import Site
from backups.tests.visitors import Record, Visitor
from backups.tests.web import SiteProcesses
from backups.tests.whole_site import WholeSite, whole_site

STAGES = ("preflight", "extract", "shadow", "rows", "migrate", "analyze", "drain", "swap", "closed", "switched")
UNDO_STAGES = ("shadow", "migrate", "analyze", "drain", "swap", "closed", "switched")
UNDO_STAGES_IN_PLACE = ("extract", "dump", "drain", "load", "closed", "migrate")
CREATE_STAGES = ("preflight", "dump", "verify", "store")

Fault = Callable[[Halted], object]


@dataclass(frozen=True)
class Data:
    """What a site holds, as far as it is looked at."""

    generation: int
    notes: frozenset[str]


@dataclass
class World:
    """A whole site, and what is known of it; ``told`` are the steps of the round, in sentences.

    It goes on from round to round, so nothing that hypothesis draws may depend on it: rules work on whatever there is.
    """

    whole: WholeSite
    live: Data
    kept: Data | None = None
    is_kept_in_place: bool = False
    archives: dict[str, Data] = field(default_factory=dict)
    rounds: int = 0
    steps: int = 0
    told: list[str] = field(default_factory=list)
    broken: Exception | None = None

    def __post_init__(self) -> None:
        """Open a browser."""
        self.record = Record()
        self.person = Visitor(self.whole.server.port, 0, self.record, random.Random(1), threading.Event())

    @contextlib.contextmanager
    def step(self, sentence: str) -> Iterator[WholeSite]:
        """Take a step. A site that is broken once is not asked again: what came next would hide what was first."""
        if self.broken is not None:
            raise AssertionError("broken before") from self.broken
        self.steps += 1
        began, first = time.monotonic(), len(self.told)
        self.told.append(sentence)
        try:
            yield self.whole
        except Exception as error:
            self.broken = error
            raise
        print(f"{self.steps}. {' - '.join(self.told[first:])} ({time.monotonic() - began:.1f} s)")

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

    def created(self, operation: str) -> None:
        """A backup is there, and holds what is live."""
        journal = self.whole.ended(operation)
        assert journal["status"] == "done", journal
        self.archives[journal["archive"]] = self.live


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
        self.world.rounds += 1
        if self.world.broken is None:
            self.world.told.clear()

    # --- people ---------------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 3))
    def write_notes(self, count: int) -> None:
        """Somebody writes."""
        world = self.world
        with world.step(f"write {count} notes"):
            for _ in range(count):
                known = len(world.record.seen.notes)
                world.person.try_for(world.person.write_logged_in)
                assert len(world.record.seen.notes) == known + 1, world.record.seen.faults
                world.live = Data(world.live.generation, world.live.notes | {world.record.seen.notes[-1].id})
            world.check()

    @rule(generation=st.integers(1, 9))
    def turn_the_page(self, generation: int) -> None:
        """The ledger changes, in the database and the uploads."""
        with self.world.step(f"bring the ledger to generation {generation}") as whole:
            ledger_generation(whole.site, generation)
            self.world.live = Data(generation, self.world.live.notes)
            self.world.check()

    # --- operations -----------------------------------------------------------------------------------------------

    @rule()
    def create(self) -> None:
        """A backup."""
        with self.world.step("create") as whole:
            self.world.created(whole.take_on("create"))
            self.world.check()

    @rule(which=st.integers(0, 99), in_place=st.booleans())
    def restore(self, which: int, in_place: bool) -> None:
        """A restore, by swap or, where there is such a thing, in place."""
        world = self.world
        name, data = self._archive(which)
        strategy = "in-place" if in_place and world.whole.site.cluster else "auto"
        with world.step(f"restore {name} ({strategy}): generation {data.generation}") as whole:
            journal = whole.ended(whole.take_on("restore", archive=name, strategy=strategy))
            assert journal["status"] == "done", journal
            world.kept, world.live, world.is_kept_in_place = world.live, data, strategy == "in-place"
            world.check()

    @rule()
    def undo(self) -> None:
        """An undo, or the undo of one; without anything to undo it is refused, and changes nothing."""
        world = self.world
        with world.step("undo") as whole:
            journal = whole.ended(whole.take_on("undo"))
            if world.kept is None:
                assert journal["status"] == "failed", journal
                assert "nothing to undo" in journal["error"], journal
            else:
                assert journal["status"] == "done", journal
                world.kept, world.live = world.live, world.kept
            world.check()

    # --- faults ---------------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 99), stage=st.integers(0, 99), fault=st.integers(0, 99))
    def restore_with_a_fault(self, which: int, stage: int, fault: int) -> None:
        """Something dies in the middle of a restore."""
        name, data = self._archive(which)
        self._with_a_fault("restore", STAGES[stage % len(STAGES)], fault, data, archive=name)

    @rule(stage=st.integers(0, 99), fault=st.integers(0, 99))
    def undo_with_a_fault(self, stage: int, fault: int) -> None:
        """Something dies in the middle of an undo, where there is one."""
        stages = UNDO_STAGES_IN_PLACE if self.world.is_kept_in_place else UNDO_STAGES
        if self.world.kept is not None:
            self._with_a_fault("undo", stages[stage % len(stages)], fault, self.world.kept)

    @rule(stage=st.sampled_from(CREATE_STAGES), fault=st.integers(0, 99))
    def create_with_a_fault(self, stage: str, fault: int) -> None:
        """Something dies in the middle of a backup: it is there, and then it is good, or it is not."""
        self._with_a_fault("create", stage, fault, self.world.live)

    @rule(name=st.sampled_from(["web", "worker", "beat"]))
    def kill(self, name: str) -> None:
        """A process dies while nothing is done."""
        with self.world.step(f"kill {name}") as whole:
            whole.server.kill(name)
            whole.server.wait_until_up()
            self.world.check()

    @rule()
    def clear_the_cache(self) -> None:
        """The gate's cache is emptied."""
        with self.world.step("clear the cache") as whole:
            whole.flush()
            self.world.check()

    @precondition(lambda self: self.world.whole.site.cluster)
    @rule()
    def stop_the_database(self) -> None:
        """The database server crashes and comes back."""
        with self.world.step("crash the database") as whole:
            assert whole.site.cluster, "the precondition"
            whole.site.cluster.restart("immediate")
            self.world.check()

    @precondition(lambda self: self.world.whole.redis)
    @rule()
    def stop_redis(self) -> None:
        """Redis dies and comes back empty."""
        with self.world.step("kill redis") as whole:
            assert whole.redis, "the precondition"
            whole.redis.stop()
            whole.redis.start()
            self.world.check()

    # --- within ---------------------------------------------------------------------------------------------------

    def _archive(self, which: int) -> tuple[str, Data]:
        names = sorted(self.world.archives)
        name = names[which % len(names)]
        return name, self.world.archives[name]

    def _with_a_fault(self, kind: str, stage: str, fault: int, after: Data, *, archive: str = "") -> None:
        """Ask for an operation, let something die at ``stage``, and find out whether ``after`` is live or what was before."""
        world, faults = self.world, self._faults()
        name = sorted(faults)[fault % len(faults)]
        with world.step(f"{kind} {archive}; at {stage} {name}") as whole:
            before = world.live
            with halted(whole.site, stage) as stopped:
                operation = whole.take_on(kind, archive=archive)
                stopped.process()
                faults[name](stopped)
            whole.settled()
            found, journal = world.look(), whole.journals()[operation]
            assert found in (before, after), f"neither what was nor what should be: {_differ(found, before)}; or {_differ(found, after)}"
            assert found == after or journal["status"] != "done", f"the {kind} is said to be done, and is not"
            world.told.append(f"the {kind} is {journal['status']}")
            if kind == "create" and journal["status"] == "done":
                world.created(operation)
            # The data may be the same before and after; what the operation keeps tells then whether it has succeeded.
            if kind != "create" and journal["kept"]:
                world.kept, world.live = before, after
                world.is_kept_in_place = journal["kept"]["strategy"] == "in-place"
            whole.server.wait_until_up()
            world.check()

    def _faults(self) -> dict[str, Fault]:
        whole = self.world.whole
        faults: dict[str, Fault] = {
            "the worker is killed": lambda stopped: whole.server.kill("worker"),
            "the web server is killed": lambda stopped: whole.server.kill("web"),
            "the beat is killed": lambda stopped: whole.server.kill("beat"),
            "the cache is emptied": lambda stopped: whole.flush(),
        }
        if cluster := whole.site.cluster:
            faults["the database crashes"] = lambda stopped: cluster.restart("immediate")
        if redis := whole.redis:

            def restart(stopped: Halted) -> None:
                redis.stop()
                redis.start()

            faults["redis is killed"] = restart
        return faults


def lived(site: Site, folder: Path, *, shape: tuple[int, int], redis: RedisServer | None, rounds: int, steps: int, chosen: int) -> None:
    """Let a site live through ``rounds`` of up to ``steps`` steps each; ``chosen`` is the seed."""
    print(f"{site.vendor}: {rounds} rounds, seed {chosen}")
    ledger_site(site)
    if redis:
        site.extra_env["REDIS_URL"] = redis.url
    with whole_site(SiteProcesses(site, *shape), folder, redis=redis) as whole:
        world = World(whole, Data(1, frozenset()))
        world.created(whole.take_on("create"))
        machine = seed(chosen)(type("Life", (Life,), {"world": world}))
        try:
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
        except Exception:
            if world.broken is None:
                raise
            # What hypothesis made of it speaks of its second try.
            told = "\n".join(world.told)
            raise AssertionError(f"seed {chosen}, round {world.rounds}:\n{told}\n{world.broken}") from world.broken
    assert world.rounds >= rounds
    print(f"{site.vendor}: {world.rounds} rounds of {world.steps} steps in all; settled after {whole.longest:.1f} s at most")


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis-protocol server that may be killed."""
    with running(RedisServer()) as server:
        yield server


def test_random_faults_leave_an_embedded_site_whole(sqlite_site: Site, tmp_path: Path) -> None:
    lived(sqlite_site, tmp_path, shape=(1, 8), redis=None, rounds=10, steps=2, chosen=25)


def test_random_faults_leave_a_site_of_several_processes_whole(postgres_site: Site, own_redis: RedisServer, tmp_path: Path) -> None:
    lived(postgres_site, tmp_path, shape=(3, 4), redis=own_redis, rounds=10, steps=2, chosen=7)


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
