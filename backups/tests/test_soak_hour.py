"""An hour in a site's life: a backup every minute, a restore every five, visitors all the time; and nothing grows that should not."""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from backups.tests.ledger import ledger_generation, ledger_site
from backups.tests.servers import RedisServer
from backups.tests.site import Site
from backups.tests.visitors import visitors_at_work
from backups.tests.web import SiteProcesses
from backups.tests.whole_site import WholeSite, whole_site

PROCESSES = ("web", "worker", "beat")
# What may be more at the end than in the middle: memory by this factor (allocators keep what they had once), descriptors
# and sessions by this number (a request may be under way at the one instant and not at the other).
MEMORY_FACTOR = 1.1
BUSY = 12


@dataclass(frozen=True)
class Figures:
    """What a site uses at one moment: per process its resident memory (KiB) and descriptors, and what all share."""

    memory: dict[str, int]
    descriptors: dict[str, int]
    sessions: int
    databases: int
    files: int


def _memory(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def _summed(pids: list[int], measure: Callable[[int], int]) -> int:
    """The sum over processes; one that ends meanwhile (a client program of the worker) counts for nothing."""
    total = 0
    for pid in pids:
        try:
            total += measure(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def _files(folder: Path) -> list[Path]:
    """All files below a folder in which others are at work."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                found.append(path)
    return found


def figures(whole: WholeSite) -> Figures:
    """Look at a site whose worker is at rest."""
    site = whole.site
    pids = {name: [whole.server.pid(name), *whole.server.children(name)] for name in PROCESSES}
    # Archives, journals and the records beside the archives grow with what was done, the progress of each operation stays in
    # the gate's cache for a day, and the uploads are the restored ones.
    growing = {site.backups, site.state / "journal", site.data_dir / "gate", site.data_dir / "halt", site.media}
    files = [path for path in _files(site.data_dir) if not growing.intersection(path.parents)]
    sessions = databases = 0
    if site.cluster:
        sessions = len(site.cluster.fetch("SELECT pid FROM pg_stat_activity WHERE datname LIKE %s", (f"{site.database}%",)))
        databases = len(site.cluster.databases(site.database))
    return Figures(
        memory={name: _summed(of, _memory) for name, of in pids.items()},
        descriptors={name: _summed(of, lambda pid: len(list(Path(f"/proc/{pid}/fd").iterdir()))) for name, of in pids.items()},
        sessions=sessions,
        databases=databases,
        files=len(files),
    )


def nothing_grows(seen: list[Figures], *, with_memory: bool) -> None:
    """Compare the second quarter of the time, when everything has been used once, with the last."""
    quarter = max(1, len(seen) // 4)
    middle, last = seen[quarter : 2 * quarter], seen[-quarter:]

    def median(part: list[Figures], figure: Callable[[Figures], int]) -> float:
        return statistics.median(figure(one) for one in part)

    for name in PROCESSES:
        before, after = (median(part, lambda one: one.descriptors[name]) for part in (middle, last))  # noqa: B023
        assert after <= before + BUSY, f"{name} has {after} descriptors at the end, and had {before} in the middle"
        before, after = (median(part, lambda one: one.memory[name]) for part in (middle, last))  # noqa: B023
        assert not with_memory or after <= before * MEMORY_FACTOR, f"{name} has {after} KiB at the end, and had {before} in the middle"
    for what, figure in (("sessions", lambda one: one.sessions), ("files", lambda one: one.files)):
        before, after = (median(part, figure) for part in (middle, last))
        assert after <= before + BUSY, f"{after} {what} at the end, and {before} in the middle"
    # The live one and the kept one.
    assert all(one.databases <= 2 for one in seen), [one.databases for one in seen]


def lived_through(whole: WholeSite, folder: Path, *, rounds: int, seconds: float, restore_every: int, seed: int) -> list[Figures]:
    """``rounds`` backups, one every ``seconds``, and now and then a restore, with visitors at work; the figures after each."""
    archives, seen, took = {}, [], {"create": [0.0], "restore": [0.0]}
    for generation in (1, 2):
        ledger_generation(whole.site, generation)
        archives[generation] = whole.ended(whole.take_on("create"))["archive"]
    wanted = 2

    def run(kind: str, archive: str = "") -> None:
        began = time.monotonic()
        journal = whole.ended(whole.take_on(kind, archive=archive))
        assert journal["status"] == "done", f"{journal}\n{whole.said()}"
        whole.settled()
        whole.nothing_left_over()
        took[kind].append(time.monotonic() - began)

    with visitors_at_work(whole.server, folder, seed=seed) as visited:
        began = time.monotonic()
        for number in range(1, rounds + 1):
            run("create")
            if number % restore_every == 0:
                wanted = 3 - wanted
                run("restore", archives[wanted])
                assert whole.generation() == wanted
            seen.append(figures(whole))
            if number % max(1, rounds // 6) == 0:
                print(f"{whole.site.vendor}: after {(time.monotonic() - began) / 60:.1f} min: {seen[-1]}")
            time.sleep(max(0.0, began + number * seconds - time.monotonic()))
    said = f"{visited.fault_count} faults: {visited.faults}; cut: {visited.cut[:5]}\n{whole.said()}"
    assert not visited.fault_count and not visited.cut, said
    assert visited.refused_reads == [], "a page was refused"
    whole.nothing_ran_twice()
    print(
        f"{whole.site.vendor}, seed {seed}: {rounds} backups ({max(took['create']):.1f} s at most), {len(took['restore']) - 1} restores "
        f"({max(took['restore']):.1f} s at most), {sum(visited.pages.values())} answers, {len(visited.notes)} notes written, "
        f"{len(visited.refusals)} refused, slowest page {visited.slowest * 1000:.0f} ms ({visited.slowest_of})"
    )
    return seen


def embedded(site: Site) -> SiteProcesses:
    """One process of 8 threads, everything in files."""
    ledger_site(site)
    return SiteProcesses(site, 1, 8)


def of_several_processes(site: Site, redis: RedisServer) -> SiteProcesses:
    """3 processes of 4 threads, and Redis."""
    ledger_site(site)
    site.extra_env["REDIS_URL"] = redis.url
    return SiteProcesses(site, 3, 4)


def test_a_few_backups_and_restores_leave_nothing_behind(sqlite_site: Site, tmp_path: Path) -> None:
    with whole_site(embedded(sqlite_site), tmp_path) as whole:
        seen = lived_through(whole, tmp_path, rounds=6, seconds=0, restore_every=3, seed=20261122)
    # Too short a time to say anything about memory.
    nothing_grows(seen, with_memory=False)


@pytest.mark.soak
@pytest.mark.timeout(2 * 3600)
def test_an_hour_of_an_embedded_site_leaves_nothing_behind(sqlite_site: Site, tmp_path: Path) -> None:
    with whole_site(embedded(sqlite_site), tmp_path) as whole:
        seen = lived_through(whole, tmp_path, rounds=60, seconds=60, restore_every=5, seed=random.randrange(10**6))
    nothing_grows(seen, with_memory=True)


@pytest.mark.soak
@pytest.mark.timeout(2 * 3600)
def test_an_hour_of_a_site_of_several_processes_leaves_nothing_behind(
    postgres_site: Site, redis_server: RedisServer, tmp_path: Path
) -> None:
    with whole_site(of_several_processes(postgres_site, redis_server), tmp_path, redis=redis_server) as whole:
        seen = lived_through(whole, tmp_path, rounds=60, seconds=60, restore_every=5, seed=random.randrange(10**6))
    nothing_grows(seen, with_memory=True)
