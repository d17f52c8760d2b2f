"""Eight visitors read and write while a restore runs: nobody gets an error, a torn page or an answer that is not kept."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backups.tests.ledger import VISITORS, ledger_generation, ledger_notes, ledger_site
from backups.tests.servers import RedisServer
from backups.tests.site import Site
from backups.tests.visitors import Seen, visitors_at_work
from backups.tests.watching import gate_watched
from backups.tests.web import WebServer

# How a site keeps its connections: one a request, for a time, for ever; and whether it looks at one before it uses it.
CONNECTIONS: list[dict[str, Any]] = [
    {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False},
    {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True},
    {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True},
    {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True},
    {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": False},
]
# `./run`'s own set-up, and what compose.yaml starts.
SHAPES = {"1x8": (1, 8), "3x4": (3, 4)}


@dataclass
class Restored:
    """One restore, from generation 2 back to 1, with visitors at work all the time."""

    seen: Seen
    report: dict[str, Any]
    shut: tuple[float, float]

    @property
    def accepted_before(self) -> set[str]:
        """Notes whose answer was there before anybody could see that the site was read-only."""
        return {note.id for note in self.seen.notes if note.ended < self.shut[0]}

    @property
    def accepted_while_shut(self) -> list[str]:
        """Notes that were asked for and answered as written while everybody could see that the gate was not open."""
        return [note.id for note in self.seen.notes if self.shut[0] <= note.began and note.ended <= self.shut[1]]


def restored_under_load(server: WebServer, folder: Path, archive: str, *, strategy: str = "auto", seed: int) -> Restored:
    """Bring the ledger to generation 2, and restore ``archive`` (generation 1) while the visitors are at work."""
    site = server.site
    ledger_generation(site, 2)
    with gate_watched(site, folder) as watch, visitors_at_work(server, folder, seed=seed) as seen:
        done = site.manage("backup_restore", archive, "--no-input", "--json", "--strategy", strategy)
    return Restored(seen, json.loads(done.stdout.splitlines()[-1]), watch.shut())


def judged(restored: Restored, server: WebServer) -> None:
    """What holds for every way of restoring: no error, no torn page, no answer that comes too late to be kept."""
    seen = restored.seen
    said = f"{seen.fault_count} faults: {seen.faults}\n{server.log.read_text()[-4000:]}"
    assert not seen.fault_count, said
    assert not seen.cut, f"{seen.cut}\n{said}"
    assert restored.accepted_while_shut == []
    assert restored.accepted_before, "the visitors wrote nothing before the gate was seen"
    assert [refusal for refusal in seen.refusals if refusal.method == "POST"], "nobody tried to write while the site was read-only"
    assert len(seen.generations) == VISITORS
    assert all(generations in ([2, 1], [1]) for generations in seen.generations.values()), "old, then new, and never back"


def print_figures(what: str, restored: Restored) -> None:
    """Print what a visitor noticed."""
    seen, refused = restored.seen, len(restored.seen.refusals)
    print(
        f"{what}: {sum(seen.pages.values())} answers, {len(seen.notes)} notes written, {refused} refused "
        f"({len(seen.refused_reads)} reads), closed {restored.report['milliseconds_closed']} ms, read-only for "
        f"{restored.shut[1] - restored.shut[0]:.2f} s; slowest page {seen.slowest * 1000:.0f} ms ({seen.slowest_of})"
    )


@contextlib.contextmanager
def kept_state(site: Site, operation: str) -> Iterator[Any]:
    """A cursor on the database that undo would bring back."""
    if site.cluster is None:
        path = Path(site.database).with_name(f"db_before_{operation[:8]}.sqlite3")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            yield connection.cursor()
        return
    name = f"{site.database}_before_{operation[:8]}"
    site.cluster.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    with contextlib.closing(site.cluster.connect(name)) as connection:
        yield connection.cursor()
    site.cluster.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')


def kept_whole(site: Site, restored: Restored) -> None:
    """Every note that was answered as written is in the kept state or in the live one, and the report counts the kept ones."""
    with kept_state(site, restored.report["operation"]) as cursor:
        cursor.execute("SELECT id FROM ledger_note")
        kept = {str(note) for (note,) in cursor.fetchall()}
    assert restored.accepted_before <= kept, "a note that was written before the site was read-only is lost"
    assert {note.id for note in restored.seen.notes} <= kept | ledger_notes(site), "a note that was answered as written is lost"
    assert restored.report["rows_before"]["ledger_note"] == len(kept), "the report does not count what is kept"


def swapped_under_load(server: WebServer, folder: Path, archive: str, *, what: str, seed: int) -> None:
    """One restore by swap, judged as a visitor and the owner would: no failed read, nothing lost."""
    restored = restored_under_load(server, folder, archive, seed=seed)
    print_figures(what, restored)
    judged(restored, server)
    assert restored.seen.refused_reads == [], "a page was refused"
    kept_whole(server.site, restored)


def served(site: Site, shape: str, connection: dict[str, Any], redis: RedisServer | None) -> WebServer:
    """The web server of a site with the ledger, not yet started."""
    processes, threads = SHAPES[shape]
    site.extra_env["PAGES_CONNECTION"] = json.dumps(connection)
    if redis:
        site.extra_env["REDIS_URL"] = redis.url
    ledger_site(site)
    return WebServer(site, processes, threads)


def test_a_swap_on_sqlite_is_at_most_a_slow_page(sqlite_site: Site, tmp_path: Path) -> None:
    """The embedded set-up: one process of 8 threads, everything in files."""
    server = served(sqlite_site, "1x8", CONNECTIONS[1], None)
    archive = sqlite_site.manage("backup_create").stdout.strip()
    with server.running():
        swapped_under_load(server, tmp_path, archive, what="sqlite 1x8", seed=20261122)


def test_a_swap_on_postgresql_is_at_most_a_slow_page(postgres_site: Site, redis_server: RedisServer, tmp_path: Path) -> None:
    """Several processes with connections that are kept for ever and never looked at, and Redis."""
    server = served(postgres_site, "3x4", CONNECTIONS[0], redis_server)
    archive = postgres_site.manage("backup_create").stdout.strip()
    with server.running():
        swapped_under_load(server, tmp_path, archive, what="postgresql 3x4", seed=20261122)


def loaded_in_place_under_load(server: WebServer, folder: Path, archive: str, *, what: str, seed: int) -> None:
    """One load in place: a visitor gets pages or a calm 503, and what was written before comes back with undo."""
    site = server.site
    with server.running():
        restored = restored_under_load(server, folder, archive, strategy="in-place", seed=seed)
    print_figures(what, restored)
    judged(restored, server)
    site.manage("backup_undo", "--no-input")
    assert restored.accepted_before <= ledger_notes(site), "a note that was written before the site was read-only is lost"


def test_a_load_in_place_is_pages_and_calm_refusals(postgres_site: Site, tmp_path: Path) -> None:
    server = served(postgres_site, "1x8", CONNECTIONS[1], None)
    archive = postgres_site.manage("backup_create").stdout.strip()
    loaded_in_place_under_load(server, tmp_path, archive, what="postgresql 1x8, in place", seed=1)


# --- the full counts --------------------------------------------------------------------------------------------------


@pytest.fixture(params=["files", "redis"])
def cache(request: pytest.FixtureRequest) -> RedisServer | None:
    """What carries the gate: files, or a Redis-protocol server."""
    return request.getfixturevalue("redis_server") if request.param == "redis" else None


@pytest.mark.soak
@pytest.mark.parametrize("shape", SHAPES)
def test_five_swaps_are_at_most_slow_pages(site: Site, shape: str, cache: RedisServer | None, tmp_path: Path) -> None:
    """Each with another way of keeping connections."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    server = served(site, shape, CONNECTIONS[0], cache)
    archive = site.manage("backup_create").stdout.strip()
    for number, connection in enumerate(CONNECTIONS):
        site.extra_env["PAGES_CONNECTION"] = json.dumps(connection)
        with server.running():
            swapped_under_load(server, tmp_path, archive, what=f"{site.vendor} {shape} {connection}", seed=seed + number)


@pytest.mark.soak
@pytest.mark.parametrize("shape", SHAPES)
def test_five_loads_in_place_are_pages_and_calm_refusals(
    postgres_site: Site, shape: str, cache: RedisServer | None, tmp_path: Path
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    server = served(postgres_site, shape, CONNECTIONS[0], cache)
    # Once, for all: after the first undo the live ledger is no more what the visitors are to see after a restore.
    archive = postgres_site.manage("backup_create").stdout.strip()
    for number, connection in enumerate(CONNECTIONS):
        postgres_site.extra_env["PAGES_CONNECTION"] = json.dumps(connection)
        loaded_in_place_under_load(server, tmp_path, archive, what=f"postgresql {shape}, in place, {connection}", seed=seed + number)
