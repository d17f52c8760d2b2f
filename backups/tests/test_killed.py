"""``kill -9`` at every stage and at chosen instants: afterwards exactly the old data or exactly the new, and nothing left over."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backups.tests.site import Site, populate
from backups.tests.wrecking import wreck

STAGES_IN_PLACE = ("preflight", "extract", "drain", "dump", "verify", "store", "load", "migrate", "switch")
STAGES = ("preflight", "extract", "shadow", "rows", "migrate", "analyze", "drain", "swap")
UNDO_STAGES_IN_PLACE = ("extract", "dump", "drain", "load")
UNDO_STAGES = ("shadow", "migrate", "analyze", "drain", "swap")


@dataclass
class Prepared:
    """A wrecked site with an archive of what it was: the two states that there may be after a restore was killed."""

    site: Site
    archive: str
    old: dict[str, Any]
    new: dict[str, Any]
    old_uploads: dict[str, str]
    new_uploads: dict[str, str]
    strategy: str = "auto"
    mode: str = "exact"

    @property
    def restore(self) -> tuple[str, ...]:
        """The command whose death is tried."""
        return "backup_restore", self.archive, "--no-input", "--uploads", self.mode, "--strategy", self.strategy

    def kill(self, *when: object, command: tuple[str, ...] = (), group: bool = False) -> int:
        """Run the restore (or ``command``) in a process that dies at ``when``; return its exit code."""
        words = command or self.restore
        process = self.site.run_python(
            "-m", "backups.tests.dying", *map(str, when), "--", *words, env={"DYING_GROUP": "1"} if group else {}
        )
        process.communicate(timeout=300)
        return process.returncode

    def undone(self) -> None:
        """Check that an undo has brought the old state back."""
        assert self.site.dump_tables() == self.old
        assert self.site.uploads() == self.old_uploads

    def recovered(self) -> str:
        """Recover; check that the data is whole, old or new, as it says, and that nothing is left over. Returns which."""
        said = self.site.manage("backup_status", "--recover").stdout
        tables, uploads = self.site.dump_tables(), self.site.uploads()
        which = "new" if tables == self.new else "old"
        assert tables == (self.new if which == "new" else self.old), f"neither the old data nor the new after: {said}"
        assert uploads == (self.new_uploads if which == "new" else self.old_uploads), f"uploads do not fit the {which} data: {said}"
        if "was undone" in said:
            assert which == "old"
        if "was finished" in said:
            assert which == "new"
        assert_tidy(self.site)
        return which


def assert_tidy(site: Site) -> None:
    """The gate is open, the lock free, and no shadow, staging, partial file, child or session is left."""
    status = json.loads(site.manage("backup_status", "--json").stdout.splitlines()[-1])
    assert status["gate"]["state"] == "open"
    assert status["gate"]["operation"] == ""
    assert not status["locked_by"]
    assert not status["interrupted"]
    kept = status["kept"].get("operation", "")[:8]
    assert list((site.state / "staging").glob("*")) == []
    assert list((site.backups / ".partial").glob("*")) == []
    assert {path.name for path in site.media.glob(".backups-*")} <= {f".backups-{kept}"}
    if site.cluster:
        rows = site.cluster.psql(f"SELECT datname FROM pg_database WHERE datname LIKE '{site.database}%'")
        others = {name for name in re.split(r"\s+", rows.strip()) if name and name != site.database}
        assert others <= {f"{site.database}_before_{kept}"}, "a shadow is left"
        sessions = site.cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'backups:%'")
        assert sessions.strip() == "0", "a session is left"
    else:
        files = {path.name for path in Path(site.database).parent.glob("db*") if "-" not in path.name}
        assert files <= {"db.sqlite3", f"db_before_{kept}.sqlite3"}, "a shadow is left"


@pytest.fixture(params=["sqlite", "postgresql", "in-place"])
def prepared(request: pytest.FixtureRequest) -> Prepared:
    """A populated site with a backup, then wrecked, for each way of restoring."""
    site: Site = request.getfixturevalue("sqlite_site" if request.param == "sqlite" else "postgres_site")
    populate(site)
    new, new_uploads = site.dump_tables(), site.uploads()
    archive = site.manage("backup_create").stdout.strip()
    wreck(site)
    strategy = "in-place" if request.param == "in-place" else "auto"
    return Prepared(site, archive, site.dump_tables(), new, site.uploads(), new_uploads, strategy)


@pytest.mark.parametrize("group", [False, True], ids=["parent", "group"])
def test_a_restore_killed_in_each_stage_ends_on_old_or_new(prepared: Prepared, group: bool) -> None:
    """The one way in every second stage, the other way in those between: `./run soak` kills both ways in each."""
    killed_in(prepared, group=group, first=int(group), step=2)


@pytest.mark.soak
@pytest.mark.parametrize("group", [False, True], ids=["parent", "group"])
def test_a_restore_killed_both_ways_in_each_stage_ends_on_old_or_new(prepared: Prepared, group: bool) -> None:
    killed_in(prepared, group=group, first=0, step=1)


def killed_in(prepared: Prepared, *, group: bool, first: int, step: int) -> None:
    """Kill a restore in every ``step``-th stage from the ``first`` on: the parent alone, or with its children and by ``merge``."""
    stages: tuple[str, ...] = STAGES_IN_PLACE if prepared.strategy == "in-place" else STAGES
    if group:
        prepared.mode, prepared.new_uploads, stages = "merge", prepared.old_uploads | prepared.new_uploads, (*stages, "uploads")
    stages = stages[first::step]
    seen = {}
    for stage in stages:
        assert prepared.kill("stage", stage, 0, group=group) == -9, f"the restore never came to {stage}"
        seen[stage] = prepared.recovered()
        if seen[stage] == "new":
            prepared.site.manage("backup_undo", "--no-input")
            prepared.undone()
    # At the very beginning of a swap nothing is committed; in place, what follows the load is.
    committed = {"migrate", "switch"} if prepared.strategy == "in-place" else set()
    assert seen == {stage: "new" if stage in committed else "old" for stage in stages}


def test_an_undo_killed_in_a_stage_ends_on_old_or_new(prepared: Prepared) -> None:
    """In every second stage: `./run soak` kills it in each."""
    undo_killed_in(prepared, UNDO_STAGES_IN_PLACE[::2] if prepared.strategy == "in-place" else UNDO_STAGES[::2])


@pytest.mark.soak
def test_an_undo_killed_in_each_stage_ends_on_old_or_new(prepared: Prepared) -> None:
    undo_killed_in(prepared, UNDO_STAGES_IN_PLACE if prepared.strategy == "in-place" else UNDO_STAGES)


def undo_killed_in(prepared: Prepared, stages: tuple[str, ...]) -> None:
    """Kill an undo in each of ``stages``."""
    site = prepared.site
    site.manage(*prepared.restore)
    # Undo goes the other way: what is live is the archive's, what it would bring back is the wrecked.
    back = Prepared(site, "", prepared.new, prepared.old, prepared.new_uploads, prepared.old_uploads)
    for stage in stages:
        assert back.kill("stage", stage, 0, command=("backup_undo", "--no-input")) == -9, f"the undo never came to {stage}"
        assert back.recovered() == "old"
    site.manage("backup_undo", "--no-input")
    prepared.undone()


def _killed_at_events(prepared: Prepared, tmp_path: Path, *, count: int, seed: int) -> dict[int, str]:
    """Kill the restore at ``count`` of its changes to the outside world."""
    counter = tmp_path / "count"
    process = prepared.site.run_python(
        "-m", "backups.tests.dying", "event", "0", "--", *prepared.restore, env={"DYING_COUNT": str(counter)}
    )
    output = process.communicate(timeout=300)
    assert process.returncode == 0, output
    counted = json.loads(counter.read_text())
    prepared.site.manage("backup_undo", "--no-input")
    chance = random.Random(seed)
    # Half of them anywhere, half from the swap to the end: that is where old becomes new.
    last, swap = counted["total"], counted["at_stage"]["load" if prepared.strategy == "in-place" else "swap"]
    instants = chance.sample(range(1, swap + 1), count // 2) + chance.sample(range(swap + 1, last + 1), count - count // 2)
    print(f"{prepared.site.vendor} {prepared.strategy}, seed {seed}: {count} of {last} instants")
    outcomes = {}
    for instant in sorted(instants):
        code = prepared.kill("event", instant, group=chance.random() < 0.5)
        outcomes[instant] = prepared.recovered()
        if code == 0 or outcomes[instant] == "new":
            prepared.site.manage("backup_undo", "--no-input")
        prepared.undone()
    return outcomes


def test_a_restore_killed_at_random_instants_ends_on_old_or_new(prepared: Prepared, tmp_path: Path) -> None:
    _killed_at_events(prepared, tmp_path, count=4, seed=20261122)


@pytest.mark.soak
def test_a_restore_killed_at_forty_random_instants_ends_on_old_or_new(prepared: Prepared, tmp_path: Path) -> None:
    outcomes = _killed_at_events(prepared, tmp_path, count=40, seed=random.randrange(10**6))
    print(f"{len(outcomes)} instants: {list(outcomes.values()).count('old')} old, {list(outcomes.values()).count('new')} new")


def test_the_next_operation_recovers_by_itself(prepared: Prepared) -> None:
    assert prepared.kill("stage", "drain", 0) == -9
    created = prepared.site.manage("backup_create")
    assert "was undone" in created.stderr
    assert prepared.site.dump_tables() == prepared.old
    assert_tidy(prepared.site)


def test_a_killed_create_leaves_nothing_that_looks_like_an_archive(prepared: Prepared) -> None:
    before = {path.name for path in prepared.site.backups.glob("*.zip")}
    for stage in ("preflight", "dump", "verify", "store"):
        assert prepared.kill("stage", stage, 0, command=("backup_create",)) == -9
        assert {path.name for path in prepared.site.backups.glob("*.zip")} == before
        assert prepared.recovered() == "old"
