"""The sections of a measurement: who runs in them, in which order, and what is written down.

In each section there is first a survey, which looks at memory and disk and is also everybody's first run, with warm caches
after it; then the rounds, which are timed. In a round all run one after the other, and the order moves on by one from round to
round. Before each run the data is put into the same state and the disk comes to rest.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from backups.tests.standing import at_work
from backups.tests.visitors import Seen
from backups.tests.web import WebServer
from bench.contenders import (
    ApiCopy,
    BareCheck,
    BareRestore,
    Contender,
    Dbbackup,
    FlaskWay,
    Ours,
    Pgclone,
    RawDump,
    UploadsRead,
)
from bench.gaps import NoAnswer, gaps_between
from bench.measure import CommandFailed, Cost, Survey, commands_run
from bench.reader import attempts_read
from bench.results import SURVEY, Measured, Results
from bench.stand import ARCHIVED, LATER, VISITORS, SqliteStand, Stand
from bench.team import TeamVisit, busiest_person, pages_timed, timer_timed

__all__ = ["POSTGRES_SECTIONS", "SQLITE_SECTIONS", "Rounds", "in_turn"]

POSTGRES_SECTIONS = ("create", "restore", "gap", "pages", "start", "team")
SQLITE_SECTIONS = ("sqlite", "team")
# Seconds that a reader goes on after a restore has ended, so that its last gap is seen to end.
AFTER_SECONDS = 0.5

Item = TypeVar("Item")


def in_turn(items: Sequence[Item], turn: int) -> list[Item]:
    """``items`` in the order of the round ``turn``: the first of a round is the last of the next."""
    shift = turn % len(items) if items else 0
    return [*items[shift:], *items[:shift]]


class NotRestored(Exception):
    """A contender has ended without an error, and the live data is not what its archive holds."""


@dataclass
class Rounds:
    """Runs sections on a stand and adds what they measure to ``results``; ``keep`` is called after each figure.

    ``keys`` are the contenders that take part; we do always.
    """

    stand: Stand
    results: Results
    rounds: int
    keys: Collection[str]
    keep: Callable[[], None] = lambda: None
    _log: Path = field(init=False)

    def __post_init__(self) -> None:
        """Say where the commands' output goes."""
        self._log = self.stand.folder / "output.log"

    def run(self, sections: Sequence[str]) -> None:
        """Run those of ``sections`` that are of the stand's engine; all begin with everybody's archives."""
        if isinstance(self.stand, SqliteStand):
            if "sqlite" in sections:
                self._sqlite()
        else:
            self._postgres(sections)
        if "team" in sections:
            self._team()

    def _postgres(self, sections: Sequence[str]) -> None:
        """What is of PostgreSQL alone."""
        if "create" in sections:
            floors = self._chosen(RawDump(self.stand), UploadsRead(self.stand), BareCheck(self.stand))
            self._create("create", [*self._restoring(), *floors])
        elif {"restore", "gap", "pages"} & set(sections):
            self._archives_made(self._restoring())
        if "restore" in sections:
            self._restore()
        if "gap" in sections:
            self._gap("gap", self._restoring())
        if "pages" in sections:
            self._pages()
        if "start" in sections:
            self._start()

    # --- who --------------------------------------------------------------------------------------------------------

    def _chosen(self, *contenders: Contender) -> list[Contender]:
        return [contender for contender in contenders if contender.key in {Ours.key, *self.keys}]

    def _restoring(self) -> list[Contender]:
        stand = self.stand
        return self._chosen(Ours(stand), FlaskWay(stand), Dbbackup(stand), Pgclone(stand, uploads=False))

    @contextlib.contextmanager
    def _tried(self, section: str, contender: Contender, turn: int) -> Iterator[None]:
        """That somebody else's tool fails is a result, too, and no reason to lose all others."""
        try:
            yield
        except (CommandFailed, NotRestored, NoAnswer) as error:
            if isinstance(contender, Ours) or contender.is_floor:
                raise
            print(error, file=sys.stderr)
            self._write(Measured(section, self.stand.engine, self.stand.entries, contender.key, turn, {"failed": 1.0}))

    # --- create -----------------------------------------------------------------------------------------------------

    def _archives_made(self, contenders: Sequence[Contender]) -> None:
        self.stand.reset(ARCHIVED)
        for contender in contenders:
            with self._tried("create", contender, SURVEY):
                self._made(contender)

    def _made(self, contender: Contender, survey: Survey | None = None) -> tuple[Cost, dict[str, float]]:
        contender.prepare_create()
        self.stand.settle()
        with survey or contextlib.nullcontext():
            cost = commands_run(contender.create(), env=contender.env, folder=self.stand.site.data_dir, log=self._log, survey=survey)
        said = contender.report(cost.output)
        contender.created()
        return cost, {**said, "bytes": contender.archive_bytes}

    def _create(self, section: str, contenders: Sequence[Contender]) -> None:
        self.stand.reset(ARCHIVED)
        for turn in range(SURVEY, self.rounds + 1):
            for contender in in_turn(contenders, turn):
                with self._tried(section, contender, turn):
                    survey = Survey(self.stand.watched) if turn == SURVEY else None
                    cost, values = self._made(contender, survey)
                    if survey and isinstance(contender, Ours):
                        values["dump bytes"] = contender.dump_bytes()
                    self._note(section, contender.key, turn, cost, survey, values)

    # --- restore ----------------------------------------------------------------------------------------------------

    def _restored(self, contender: Contender, survey: Survey | None = None) -> tuple[Cost, dict[str, float]]:
        """One restore, of ``archived`` over ``later``, and the look whether it did what it should."""
        with survey or contextlib.nullcontext():
            cost = commands_run(contender.restore(), env=contender.env, folder=self.stand.site.data_dir, log=self._log, survey=survey)
        if not contender.is_floor and not self.stand.holds(ARCHIVED, uploads=contender.uploads):
            raise NotRestored(f"After its restore {contender.title} has left other data than its archive holds.")
        return cost, contender.report(cost.output)

    def _restore(self) -> None:
        contenders = [*self._restoring(), *self._chosen(BareRestore(self.stand), BareCheck(self.stand))]
        for turn in range(SURVEY, self.rounds + 1):
            for contender in in_turn(contenders, turn):
                with self._tried("restore", contender, turn):
                    if not contender.is_floor:
                        self.stand.reset(LATER)
                    contender.prepare_restore()
                    survey = Survey(self.stand.watched) if turn == SURVEY else None
                    cost, values = self._restored(contender, survey)
                    self._note("restore", contender.key, turn, cost, survey, values)

    def _gap(self, section: str, contenders: Sequence[Contender]) -> None:
        """Restores under the eyes of a client that reads."""
        for turn in range(1, self.rounds + 1):
            for contender in in_turn(contenders, turn):
                with self._tried(section, contender, turn):
                    self.stand.reset(LATER)
                    out = self.stand.folder / "reads.json"
                    with at_work(self.stand.site, "bench.reader", self.stand.target, out, log=out.with_suffix(".log")):
                        began = time.monotonic()
                        cost, values = self._restored(contender)
                        ended = began + cost.seconds
                        time.sleep(AFTER_SECONDS)
                    answers = self.stand.answers
                    gaps = gaps_between(attempts_read(out), old=answers[LATER], new=answers[ARCHIVED], began=began, ended=ended)
                    values |= {
                        "longest gap seconds": gaps.longest,
                        "without answer seconds": gaps.without,
                        "wrong": gaps.wrong,
                        "refused": gaps.refused,
                        "good": gaps.good,
                    }
                    self._note(section, contender.key, turn, cost, None, values)

    def _pages(self) -> None:
        """Our restore under the eyes of the site's visitors."""
        ours = Ours(self.stand)
        self.stand.site.manage("collectstatic", "--no-input", "--verbosity", "0")
        for turn in range(1, self.rounds + 1):
            self.stand.reset(LATER)
            with WebServer(self.stand.site).running() as server, _onlookers(server, self.stand.folder) as seen:
                time.sleep(AFTER_SECONDS)
                cost, values = self._restored(ours)
                time.sleep(AFTER_SECONDS)
            if seen.fault_count or seen.cut:
                print("\n".join([*seen.faults, *seen.cut]), file=sys.stderr)
            values |= {
                "pages": sum(seen.pages.values()),
                "failed pages": seen.fault_count + len(seen.cut) + len(seen.refused_reads),
                "slowest page seconds": seen.slowest,
            }
            self._note("pages", ours.key, turn, cost, None, values)

    # --- the rest ---------------------------------------------------------------------------------------------------

    def _sqlite(self) -> None:
        """The database alone: create, then restores under the eyes of a client that reads."""
        stand = self.stand
        contenders = self._chosen(*(kind(stand, uploads=False) for kind in (Ours, FlaskWay, Dbbackup)))
        self._create("sqlite create", [*contenders, *self._chosen(ApiCopy(stand), BareCheck(stand))])
        self._gap("sqlite gap", contenders)

    def _start(self) -> None:
        """Commands that do next to nothing."""
        self.stand.reset(ARCHIVED)
        manage = BareCheck(self.stand).create()[0][:-1]
        commands = {"check": ["check"], "backup_list": ["backup_list"], "help": ["backup_create", "--help"]}
        for turn in range(SURVEY, self.rounds + 1):
            for name in in_turn(list(commands), turn):
                cost = commands_run([[*manage, *commands[name]]], env=self.stand.env(), folder=self.stand.site.data_dir, log=self._log)
                self._note("start", name, turn, cost, None, {})

    def _team(self) -> None:
        """The team's pages, on a site where nothing else happens."""
        self.stand.reset(ARCHIVED)
        site = self.stand.site
        site.manage("collectstatic", "--no-input", "--verbosity", "0")
        username = busiest_person(site)
        for turn in range(1, self.rounds + 1):
            with WebServer(site).running() as server, TeamVisit.of(server.port, username) as visit:
                for name, seconds in (*pages_timed(visit), *timer_timed(visit)):
                    self._write(Measured("team", self.stand.engine, self.stand.entries, name, turn, {"milliseconds": 1000 * seconds}))
                    told = f"{self.stand.engine}, {self.stand.entries} entries, round {turn} of {self.rounds}"
                    print(f"team, {told}: {name} {1000 * seconds:.0f} ms", file=sys.stderr)

    def _note(self, section: str, contender: str, turn: int, cost: Cost, survey: Survey | None, values: dict[str, float]) -> None:
        """Write down what one run took."""
        values = {"seconds": cost.seconds, "cpu seconds": cost.cpu_seconds, "peak KiB": cost.peak_kib, **values}
        if survey:
            values |= {"tree KiB": survey.peak_kib, "temporary bytes": survey.temporary_bytes, "left bytes": survey.left_bytes}
        self._write(Measured(section, self.stand.engine, self.stand.entries, contender, turn, values))
        told = f"round {turn} of {self.rounds}" if turn else "survey"
        print(f"{section}, {self.stand.engine}, {self.stand.entries} entries, {told}: {contender} {cost.seconds:.2f} s", file=sys.stderr)

    def _write(self, measured: Measured) -> None:
        self.results.measured.append(measured)
        self.keep()


@contextlib.contextmanager
def _onlookers(server: WebServer, folder: Path) -> Iterator[Seen]:
    """Visitors who look at ``server`` during the block; what they saw is there afterwards."""
    out = folder / "visits.json"
    seen = Seen()
    with at_work(server.site, "bench.visiting", str(server.port), out, str(VISITORS), log=out.with_suffix(".log")):
        yield seen
    vars(seen).update(vars(Seen.of(out.read_text())))
