"""Readers and writers at work in other processes while a backup is made and while it is restored."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backups.tests.load import CREATE, ROWS, is_good
from backups.tests.site import Site, populate

QUESTION = "SELECT count(*), min(generation), max(generation), sum(amount) FROM ledger"


def ledger(site: Site) -> None:
    """Give the site a ledger of generation 1."""
    with site.cursor() as cursor:
        cursor.execute(CREATE)
        for row in range(ROWS):
            cursor.execute(f"INSERT INTO ledger VALUES ({row}, 1, {row - (ROWS - 1 - row)})")


def target(site: Site) -> str:
    """What the clients connect to."""
    if site.cluster is None:
        return site.database
    return f"host={site.cluster.socket_dir} port={site.cluster.port} dbname={site.database} user={site.cluster.owner}"


@contextmanager
def clients(site: Site, folder: Path, *, readers: int, writers: int) -> Iterator[dict[str, dict[str, Any]]]:
    """Clients at work during the block; what each has seen is in the dict afterwards."""
    seen: dict[str, dict[str, Any]] = {}
    running: dict[str, tuple[subprocess.Popen[str], Path]] = {}
    for role, count in (("reader", readers), ("writer", writers)):
        for number in range(count):
            out = folder / f"{role}{number}.json"
            process = site.run_python("-m", "backups.tests.load", role, target(site), out)
            running[f"{role}{number}"] = process, out
    try:
        yield seen
    finally:
        for name, (process, out) in running.items():
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
            seen[name] = json.loads(out.read_text())
            out.unlink()


def test_a_backup_of_a_site_at_work_is_of_one_instant(site: Site, tmp_path: Path) -> None:
    populate(site)
    ledger(site)
    with clients(site, tmp_path, readers=1, writers=2) as seen:
        archive = site.manage("backup_create").stdout.strip()
    assert all(client["answers"] > 20 for client in seen.values()), seen
    assert not any(client["wrong"] for client in seen.values()), seen
    site.manage("backup_restore", archive, "--no-input")
    (answer,) = site.fetch(QUESTION)
    assert is_good(answer)


def _restored_under_load(
    site: Site, folder: Path, *, readers: int = 2, writers: int = 1, strategy: str = "auto"
) -> tuple[float, dict[str, dict[str, Any]]]:
    """Back up generation 1, go on to 2, restore while clients work; returns ms closed and what the clients saw."""
    archive = site.manage("backup_create", "--no-uploads").stdout.strip()
    site.execute("UPDATE ledger SET generation = 2")
    with clients(site, folder, readers=readers, writers=writers) as seen:
        done = site.manage("backup_restore", archive, "--no-input", "--json", "--strategy", strategy)
    report = json.loads(done.stdout.splitlines()[-1])
    for name, client in seen.items():
        assert not client["wrong"], f"{name} saw {client['wrong']}"
        assert client["answers"] > 20
        if name.startswith("reader"):
            assert client["generations"] in ([2, 1], [1]), "old, then new, and never back"
    (answer,) = site.fetch(QUESTION)
    assert is_good(answer)
    assert answer[1] == 1
    return float(report["milliseconds_closed"]), seen


def test_during_a_restore_every_read_is_entirely_old_or_entirely_new(site: Site, tmp_path: Path) -> None:
    populate(site)
    ledger(site)
    closed, seen = _restored_under_load(site, tmp_path)
    gaps = {name: client["longest_gap_ms"] for name, client in seen.items()}
    print(f"{site.vendor}: closed {closed} ms; longest time without an answer, ms: {gaps}")
    if site.cluster is None:
        assert not any(client["refused"] for name, client in seen.items() if name.startswith("reader")), "SQLite's readers never wait"


def test_during_a_load_in_place_every_read_is_entirely_old_or_entirely_new(postgres_site: Site, tmp_path: Path) -> None:
    populate(postgres_site)
    ledger(postgres_site)
    _restored_under_load(postgres_site, tmp_path, strategy="in-place")


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("entries", [250_000, 2_000_000])
def test_how_long_a_client_has_no_answer(site: Site, tmp_path: Path, entries: int) -> None:
    """Prints the medians of five restores; the time must not grow with the data."""
    populate(site, entries=entries, uploads_mb=1)
    ledger(site)
    began = time.monotonic()
    site.manage("backup_create")
    print(f"{site.vendor}, {entries} entries, nobody else at work: create {time.monotonic() - began:.1f} s")
    gaps, closings = [], []
    for _ in range(5):
        closed, seen = _restored_under_load(site, tmp_path)
        closings.append(closed)
        gaps.append(max(client["longest_gap_ms"] for name, client in seen.items() if name.startswith("reader")))
        site.execute("UPDATE ledger SET generation = 1")
    print(
        f"{site.vendor}, {entries} entries, five restores: longest time without an answer {statistics.median(gaps)} ms (median) of {gaps};"
    )
    print(f"closed {statistics.median(closings)} ms (median) of {closings}")
