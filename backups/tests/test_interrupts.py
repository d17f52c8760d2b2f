"""Ctrl-C and SIGTERM in each stage: exit 130 or 143, nothing partial anywhere, the live data as it was. In the swap: it is finished."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pytest

from backups.tests.site import Completed, Site, populate
from backups.tests.test_killed import assert_tidy
from backups.tests.warm import WarmSite
from backups.tests.wrecking import wreck

CREATE_STAGES = ("preflight", "dump", "verify", "store")
RESTORE_STAGES = ("preflight", "extract", "shadow", "rows", "migrate", "analyze", "uploads", "drain", "swap")
UNDO_STAGES = ("shadow", "migrate", "analyze", "drain", "swap")
# In place; after "load" the transaction has been committed, and going back is a second load.
IN_PLACE_STAGES = ("preflight", "extract", "dump", "verify", "store", "uploads", "drain", "load", "migrate")


@dataclass
class Interrupted:
    """A wrecked site, its archive, and the proof that an interruption left everything as it was."""

    site: WarmSite
    archive: str
    tables: dict[str, Any]
    uploads: dict[str, str]
    archives: set[str]

    def left_as_it_was(self, signum: int, stage: str, *args: str, after: int = 0) -> Completed:
        """Interrupt a command; it must say so, end as a shell expects, and leave nothing."""
        ended = self.site.interrupted(signum, stage, *args, after=after)
        shown = f"{signum} in {stage} (+{after}): {ended}"
        assert ended.returncode == 128 + signum, shown
        assert "Interrupted." in ended.stderr, shown
        assert "Traceback" not in ended.stderr, shown
        assert ended.stdout == "", shown
        self.assert_as_it_was(shown)
        return ended

    def assert_as_it_was(self, shown: str) -> None:
        assert self.site.dump_tables() == self.tables, shown
        assert self.site.uploads() == self.uploads, shown
        assert {path.name for path in self.site.backups.glob("*.zip")} == self.archives, shown
        assert_tidy(self.site)


@pytest.fixture
def prepared(site: Site) -> Interrupted:
    populate(site)
    warm = WarmSite.of(site)
    archive = warm.manage("backup_create").stdout.strip()
    wreck(warm)
    return Interrupted(warm, archive, warm.dump_tables(), warm.uploads(), {archive})


def signals() -> Any:
    """Both by turns."""
    return cycle((signal.SIGINT, signal.SIGTERM))


def test_interrupted_create_leaves_no_partial_file(prepared: Interrupted) -> None:
    for signum, stage in zip(signals(), CREATE_STAGES, strict=False):
        prepared.left_as_it_was(signum, stage, "backup_create")
    for signum, stage in zip(signals(), CREATE_STAGES[:-1], strict=False):
        prepared.left_as_it_was(signum, stage, "backup_create", after=5)


def test_signal_while_the_archive_gets_its_name_comes_too_late(prepared: Interrupted) -> None:
    ended = prepared.site.interrupted(signal.SIGTERM, "store", "backup_create", after=5)
    assert ended.returncode == 0, ended
    prepared.archives.add(ended.stdout.strip())
    prepared.assert_as_it_was(str(ended))
    prepared.site.manage("backup_verify", ended.stdout.strip())
    assert ended.stdout.strip() in prepared.site.manage("backup_list").stdout


def test_interrupted_create_to_a_path_leaves_nothing_there(prepared: Interrupted) -> None:
    folder = prepared.site.data_dir / "elsewhere"
    folder.mkdir()
    prepared.left_as_it_was(signal.SIGINT, "verify", "backup_create", "--output", str(folder / "mine.zip"))
    assert list(folder.iterdir()) == []


def test_interrupted_restore_leaves_the_live_data(prepared: Interrupted) -> None:
    for signum, stage in zip(signals(), RESTORE_STAGES, strict=False):
        ended = prepared.left_as_it_was(signum, stage, "backup_restore", prepared.archive, "--no-input")
        assert "The live data is as it was before." in ended.stderr or "Nothing was changed." in ended.stderr
    # In the middle of a stage, while a child is at work.
    for signum, stage in zip(signals(), ("extract", "shadow", "migrate"), strict=False):
        prepared.left_as_it_was(signum, stage, "backup_restore", prepared.archive, "--no-input", after=8)


def test_interrupted_undo_leaves_the_restored_data_and_can_be_run_again(prepared: Interrupted) -> None:
    wrecked, files_wrecked = prepared.tables, prepared.uploads
    prepared.site.manage("backup_restore", prepared.archive, "--no-input")
    prepared.tables, prepared.uploads = prepared.site.dump_tables(), prepared.site.uploads()
    for signum, stage in zip(signals(), UNDO_STAGES, strict=False):
        prepared.left_as_it_was(signum, stage, "backup_undo", "--no-input")
    prepared.site.manage("backup_undo", "--no-input")
    assert prepared.site.dump_tables() == wrecked
    assert prepared.site.uploads() == files_wrecked


def test_signal_during_the_swap_does_not_stop_it(prepared: Interrupted) -> None:
    before, restored, stopped = prepared.tables, 0, 0
    chance = random.Random(20261122)
    for after in sorted(chance.sample(range(1, 300), 6)):
        ended = prepared.site.interrupted(signal.SIGTERM, "swap", "backup_restore", prepared.archive, "--no-input", after=after)
        if ended.returncode == 0:
            restored += 1
            assert prepared.site.dump_tables() != before
            prepared.site.manage("backup_undo", "--no-input")
        else:
            stopped += 1
            assert ended.returncode == 143, ended
        assert prepared.site.dump_tables() == before
        assert prepared.site.uploads() == prepared.uploads
        assert_tidy(prepared.site)
    assert restored, "no signal arrived in the swap"
    print(f"seed 20261122: {restored} swaps finished, {stopped} not begun")


def test_interrupted_load_in_place_leaves_the_live_data(postgres_site: Site) -> None:
    populate(postgres_site)
    site = WarmSite.of(postgres_site)
    archive = site.manage("backup_create").stdout.strip()
    wreck(site)
    prepared = Interrupted(site, archive, site.dump_tables(), site.uploads(), {archive})
    for signum, stage in zip(signals(), IN_PLACE_STAGES, strict=False):
        ended = site.interrupted(signum, stage, "backup_restore", archive, "--no-input", "--strategy", "in-place")
        shown = f"{stage}: {ended}"
        assert ended.returncode == 128 + signum, shown
        # The safety archive stays: it is a good one.
        prepared.archives = {path.name for path in site.backups.glob("*.zip")}
        prepared.assert_as_it_was(shown)


def test_terminated_command_takes_its_children_along(prepared: Interrupted) -> None:
    ended = prepared.left_as_it_was(signal.SIGTERM, "migrate", "backup_restore", prepared.archive, "--no-input", after=12)
    assert "Run: manage.py" in ended.stderr
