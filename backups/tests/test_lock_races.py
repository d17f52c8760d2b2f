"""Two operations started together: exactly one runs, and the other says whose turn it is, or waits for its own."""

from __future__ import annotations

import json
import os
import random
import select
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backups.tests.site import Completed, Site, populate
from backups.tests.test_killed import assert_tidy
from backups.tests.warm import WarmSite


@dataclass
class Rivals:
    """Two warm processes of one site, which begin their commands at the same moment."""

    left: WarmSite
    right: WarmSite
    archive: str

    def race(self, *commands: tuple[str, ...]) -> list[Completed]:
        """Run two commands up to the lock, then let both go at once; how each ended, in their order."""
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
            pipes = [(Path(folder) / f"ready{number}", Path(folder) / f"go{number}") for number in range(2)]
            for pipe in (pipe for pair in pipes for pipe in pair):
                os.mkfifo(pipe)
            lines = [os.open(ready, os.O_RDONLY | os.O_NONBLOCK) for ready, _ in pipes]
            running = [
                pool.submit(site.at_the_lock, *pair, *command, "--no-progress")
                for site, pair, command in zip((self.left, self.right), pipes, commands, strict=True)
            ]
            for descriptor in lines:
                assert select.select([descriptor], [], [], 60)[0], [each.result() for each in running if each.done()]
                os.close(descriptor)
            opened = [go.open("wb") for _, go in pipes]
            for going in opened:
                going.close()
            return [each.result() for each in running]

    def journals(self) -> dict[str, Any]:
        """What is recorded of each operation, by its id."""
        return {path.stem: json.loads(path.read_bytes()) for path in (self.left.state / "journal").glob("*.json")}


@pytest.fixture
def rivals(site: Site) -> Iterator[Rivals]:
    populate(site)
    left, right = WarmSite.apart(site), WarmSite.apart(site)
    archive = left.manage("backup_create").stdout.strip()
    right.manage("backup_list")
    yield Rivals(left, right, archive)


def raced(rivals: Rivals, *, count: int, seed: int) -> None:
    """Race ``count`` pairs; those that did not meet (the machine was busy elsewhere) must have run one after the other."""
    chance = random.Random(seed)
    restore = ("backup_restore", rivals.archive, "--no-input")
    data = rivals.left.dump_tables()
    met = 0
    for number in range(count):
        commands = [restore, chance.choice([restore, ("backup_create",)])]
        chance.shuffle(commands)
        before = rivals.journals()
        ended = rivals.race(*commands)
        codes = sorted(completed.returncode for completed in ended)
        shown = f"pair {number}: {commands} ended with {ended}"
        assert codes in ([0, 4], [0, 0]), shown
        begun = [journal for id, journal in rivals.journals().items() if id not in before]
        if codes == [0, 4]:
            met += 1
            (loser,) = (completed for completed in ended if completed.returncode == 4)
            (winner,) = begun
            assert f"The lock is held by {winner['kind']} {winner['id'][:8]}" in loser.stderr, shown
            assert "Nothing was changed." in loser.stderr, shown
            assert "--wait SECONDS" in loser.stderr, shown
            assert loser.stdout == "", shown
        else:
            first, second = sorted(begun, key=lambda journal: str(journal["started_at"]))
            assert first["ended_at"] <= second["started_at"], shown
        assert all(journal["status"] == "done" for journal in begun), shown
        assert rivals.left.dump_tables() == data, shown
    print(f"seed {seed}: {met} of {count} pairs met, and one of each was refused; the others ran one after the other")
    assert met > count // 2, "the pairs hardly ever met"
    assert_tidy(rivals.left)


def test_of_two_operations_started_together_exactly_one_runs(rivals: Rivals) -> None:
    raced(rivals, count=10, seed=20261122)


@pytest.mark.soak
def test_of_a_hundred_pairs_started_together_exactly_one_of_each_runs(rivals: Rivals) -> None:
    raced(rivals, count=100, seed=random.randrange(10**6))


def test_operation_that_waits_has_its_turn(rivals: Rivals) -> None:
    restore = ("backup_restore", rivals.archive, "--no-input", "--wait", "120")
    before = rivals.journals()
    ended = rivals.race(restore, restore)
    assert [completed.returncode for completed in ended] == [0, 0], ended
    begun = [journal for id, journal in rivals.journals().items() if id not in before]
    first, second = sorted(begun, key=lambda journal: str(journal["started_at"]))
    assert first["ended_at"] <= second["started_at"]
    assert_tidy(rivals.left)


def test_operation_that_has_waited_in_vain_names_the_owner(rivals: Rivals) -> None:
    holder = rivals.left.run_python("-m", "backups.tests.holding", stdin=-1)
    assert holder.stdin and holder.stdout
    operation = holder.stdout.readline().strip()
    try:
        for command in (("backup_create",), ("backup_restore", rivals.archive, "--no-input"), ("backup_status", "--recover")):
            refused = rivals.left.manage(*command, "--wait", "0.3", "--no-progress", check=False)
            assert refused.returncode == 4, refused.stderr
            assert f"restore {operation[:8]}" in refused.stderr
        status = json.loads(rivals.left.manage("backup_status", "--json").stdout)
        assert operation[:8] in status["locked_by"]
        assert status["interrupted"] == [], "an operation that is at work is not interrupted"
        preview = rivals.left.manage("backup_restore", rivals.archive, "--dry-run")
        assert "Nothing was changed." in preview.stdout, "a preview takes no lock"
    finally:
        holder.communicate("\n", timeout=60)
    assert rivals.left.manage("backup_create").returncode == 0
