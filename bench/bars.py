"""What must hold, as figures, and what a measurement says about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.figures import Spread, quotients, spread_of
from bench.results import Results

__all__ = ["BARS", "Bar", "Judged", "bars_judged"]

Values = Callable[[Results, str, int], list[float]]
POSTGRES, SQLITE = "PostgreSQL", "SQLite"


@dataclass(frozen=True)
class Bar:
    """One bar: ``limit`` and ``stretch`` per engine, by the beginning of its name.

    ``values`` takes one figure per round out of the results of an engine and a size. It holds where their median is at most the
    limit, or ``at_least`` it; with ``always`` where each of them is. Without a limit there is only the stretch.
    """

    what: str
    section: str
    unit: str
    limit: dict[str, float]
    stretch: dict[str, float]
    values: Values
    at_least: bool = False
    always: bool = False


@dataclass(frozen=True)
class Judged:
    """A bar beside what was measured."""

    bar: Bar
    engine: str
    entries: int
    measured: Spread
    limit: float | None
    stretch: float | None

    def reaches(self, limit: float) -> bool:
        """Whether the median, or the highest value where it must always hold, is on the right side of ``limit``."""
        if self.bar.at_least:
            return self.measured.median >= limit
        return (self.measured.high if self.bar.always else self.measured.median) <= limit


def _ratio(section: str, over: tuple[str, str], under: tuple[str, str]) -> Values:
    """``over`` by ``under``, each a contender and the name of its value, in each round."""

    def values(results: Results, engine: str, entries: int) -> list[float]:
        return quotients(results.values(section, engine, entries, *over), results.values(section, engine, entries, *under))

    return values


def _value(section: str, contender: str, name: str, factor: float = 1) -> Values:
    def values(results: Results, engine: str, entries: int) -> list[float]:
        return [factor * value for value in results.values(section, engine, entries, contender, name).values()]

    return values


def _unanswered(results: Results, engine: str, entries: int) -> list[float]:
    """Milliseconds: all times that had a refusal in them, and at least the longest between two answers."""
    longest = results.values("gap", engine, entries, "ours", "longest gap seconds")
    without = results.values("gap", engine, entries, "ours", "without answer seconds")
    return [1000 * max(longest[turn], without[turn]) for turn in longest]


def _memory(section: str) -> Values:
    """MiB above a command that only starts, in the same round."""

    def values(results: Results, engine: str, entries: int) -> list[float]:
        ours = results.values(section, engine, entries, "ours", "peak KiB")
        bare = results.values(section, engine, entries, "check", "peak KiB")
        return [(ours[turn] - bare[turn]) / 1024 for turn in ours if turn in bare]

    return values


def _temporary_dumps(results: Results, engine: str, entries: int) -> list[float]:
    """The temporary disk of a create as so many times the dump in its archive."""
    space, dump = (results.surveyed("create", engine, entries, "ours", name) for name in ("temporary bytes", "dump bytes"))
    return [space / dump] if space is not None and dump else []


def _slowest_page(results: Results, engine: str, entries: int) -> list[float]:
    """Milliseconds of the slowest of the team's pages, in each round."""
    pages = [name for name in results.contenders("team", engine, entries) if name.startswith("/")]
    rounds = [results.values("team", engine, entries, page, "milliseconds") for page in pages]
    return [max(page[turn] for page in rounds if turn in page) for turn in sorted({turn for page in rounds for turn in page})]


def _both(first: float, second: float) -> dict[str, float]:
    return {"PostgreSQL 15": first, "PostgreSQL 17": second}


BARS = (
    Bar(
        "create, whole job: times faster than the Flask original's way",
        "create",
        "×",
        _both(6, 8),
        _both(8, 11),
        _ratio("create", ("flask", "seconds"), ("ours", "seconds")),
        at_least=True,
    ),
    Bar(
        "create, whole job: times faster than django-dbbackup",
        "create",
        "×",
        _both(3, 3.5),
        _both(5, 5),
        _ratio("create", ("dbbackup", "seconds"), ("ours", "seconds")),
        at_least=True,
    ),
    Bar(
        "create, whole job, by the time of raw `pg_dump -Fc -Z0`",
        "create",
        "×",
        _both(2.5, 2),
        _both(1.7, 1.3),
        _ratio("create", ("ours", "seconds"), ("raw", "seconds")),
    ),
    Bar(
        "archive size by that of the Flask original's way",
        "create",
        "×",
        _both(1.04, 1.03),
        _both(1, 1),
        _ratio("create", ("ours", "bytes"), ("flask", "bytes")),
    ),
    Bar(
        "restore, whole archive, by the time of the Flask original's way",
        "restore",
        "×",
        _both(0.85, 0.85),
        _both(0.7, 0.7),
        _ratio("restore", ("ours", "seconds"), ("flask", "seconds")),
    ),
    Bar(
        "restore, load into the shadow, by the time of bare `pg_restore -j2`",
        "restore",
        "×",
        _both(1.1, 1.1),
        _both(1.03, 1.03),
        _ratio("restore", ("ours", "stage shadow"), ("bare", "seconds")),
    ),
    Bar("restore: time without a good answer", "gap", "ms", {POSTGRES: 100}, {POSTGRES: 30}, _unanswered),
    Bar("restore: wrong answers", "gap", "", {POSTGRES: 0}, {}, _value("gap", "ours", "wrong"), always=True),
    Bar("restore: failed page loads", "pages", "", {POSTGRES: 0}, {}, _value("pages", "ours", "failed pages"), always=True),
    Bar("restore: slowest page", "pages", "ms", {}, {POSTGRES: 150}, _value("pages", "ours", "slowest page seconds", 1000)),
    Bar("create: peak memory above a bare `manage.py check`", "create", "MiB", {POSTGRES: 48}, {POSTGRES: 24}, _memory("create")),
    Bar("restore: peak memory above a bare `manage.py check`", "restore", "MiB", {POSTGRES: 48}, {POSTGRES: 24}, _memory("restore")),
    Bar("create: temporary disk, in compressed dumps", "create", "×", {POSTGRES: 1}, {POSTGRES: 0}, _temporary_dumps),
    Bar(
        "SQLite: create by the time of the backup API alone",
        "sqlite create",
        "×",
        {SQLITE: 1.6},
        {SQLITE: 1.3},
        _ratio("sqlite create", ("ours", "seconds"), ("api", "seconds")),
    ),
    Bar(
        "SQLite: longest gap of a reader in a restore",
        "sqlite gap",
        "ms",
        {SQLITE: 50},
        {},
        _value("sqlite gap", "ours", "longest gap seconds", 1000),
    ),
    Bar("SQLite: wrong answers", "sqlite gap", "", {SQLITE: 0}, {}, _value("sqlite gap", "ours", "wrong"), always=True),
    Bar("SQLite: closed", "sqlite gap", "ms", {SQLITE: 100}, {SQLITE: 20}, _value("sqlite gap", "ours", "milliseconds closed")),
    Bar("start of `manage.py backup_list`", "start", "s", {POSTGRES: 0.6}, {}, _value("start", "backup_list", "seconds")),
    Bar("start of `manage.py backup_create --help`", "start", "s", {POSTGRES: 0.6}, {}, _value("start", "help", "seconds")),
    Bar("the slowest of the team's pages", "team", "ms", {POSTGRES: 200, SQLITE: 200}, {}, _slowest_page),
    Bar("start of the timer", "team", "ms", {POSTGRES: 50, SQLITE: 50}, {}, _value("team", "timer: start", "milliseconds")),
    Bar("stop of the timer", "team", "ms", {POSTGRES: 50, SQLITE: 50}, {}, _value("team", "timer: stop", "milliseconds")),
)


def bars_judged(results: Results) -> Iterator[Judged]:
    """Every bar beside what ``results`` say about it, for each engine and size."""
    for bar in BARS:
        for engine in results.engines(bar.section):
            limit, stretch = _for_engine(bar.limit, engine), _for_engine(bar.stretch, engine)
            if limit is None and stretch is None:
                continue
            for entries in results.sizes(bar.section, engine):
                measured = spread_of(bar.values(results, engine, entries))
                if measured is not None:
                    yield Judged(bar, engine, entries, measured, limit, stretch)


def _for_engine(limits: dict[str, float], engine: str) -> float | None:
    return next((limit for name, limit in limits.items() if engine.startswith(name)), None)
