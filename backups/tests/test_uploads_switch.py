"""The switch of the uploads: forward, back, killed at every rename and at random instants, and undone."""

from __future__ import annotations

import contextlib
import copy
import errno
import itertools
import json
import os
import random
import select
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings

from backups.exceptions import PreflightRefused
from backups.tests.trees import Killed, Tree, dying_at, read_tree, remove, replace_file, temporary_root, trees, write_tree
from backups.uploads import (
    Added,
    kept_size,
    uploads_adopt_kept,
    uploads_catch_up,
    uploads_discard,
    uploads_foresee,
    uploads_kept,
    uploads_kept_discard,
    uploads_merge,
    uploads_plan,
    uploads_settle,
    uploads_staging,
    uploads_switch,
    uploads_top_up,
    uploads_unswitch,
)
from backups.uploads import switch as switch_module

OPERATION = "0123abcd" + "0" * 24
UNDO = "11111111" + "0" * 24
REDO = "22222222" + "0" * 24

LIVE: Tree = {"both": b"live", "folder/both": b"live", "folder/live": b"live", "only live/a": b"live", "kind": b"a file"}
NEW: Tree = {"both": b"new", "folder/both": b"new", "folder/new": b"new", "only new/a": b"new", "kind/folder": b"now"}

Which = Literal["old", "new"]


def nothing() -> None:
    """A journal that needs no saving."""


def silent(count: int) -> None:
    """Nobody watches."""


class SavedPlan:
    """The journal's part: keeps the plan as it was when it was last saved, through JSON like the journal does."""

    def __init__(self, root: Path, operation: str = OPERATION) -> None:
        self.plan: dict[str, Any] = uploads_plan(root, operation)
        self.save()

    def save(self) -> None:
        """Take a copy that later changes do not reach."""
        self.text = json.dumps(self.plan)

    def after_death(self) -> dict[str, Any]:
        """What the next process reads."""
        plan: dict[str, Any] = json.loads(self.text)
        return plan


def staged(root: Path, live: Tree, new: Tree, operation: str = OPERATION) -> Path:
    """A live tree and, beside it, a staged one."""
    write_tree(root, live)
    staging = uploads_staging(root, operation)
    write_tree(staging / "new", new)
    return staging


def outcome(root: Path, staging: Path) -> tuple[Tree, Tree, Tree]:
    """What is live, displaced and staged."""
    return read_tree(root), read_tree(staging / "old"), read_tree(staging / "new")


def names_of(tree: Tree) -> set[str]:
    return {path.split("/")[0] for path in tree}


def test_switch_makes_the_staged_tree_live_and_keeps_what_was(tmp_path: Path) -> None:
    staging = staged(tmp_path, LIVE, NEW)
    assert uploads_switch(tmp_path, staging, {}, nothing) == []
    assert outcome(tmp_path, staging) == (NEW, LIVE, {})


def test_what_was_written_after_the_last_look_of_a_merge_follows_the_switch(tmp_path: Path) -> None:
    """By a program that does not ask the gate; what somebody deletes afterwards does not come back, and the archive wins."""
    write_tree(tmp_path, {"docs/older.txt": b"older", "docs/both.txt": b"ours", "docs/folder/gone.txt": b"gone"})
    for path in tmp_path.rglob("*.txt"):
        os.utime(path, (1, 1))
    record = SavedPlan(tmp_path)
    staging = uploads_staging(tmp_path, OPERATION)
    write_tree(staging / "new", {"docs/both.txt": b"the archive's"})
    uploads_merge(tmp_path, staging, silent)
    uploads_top_up(tmp_path, staging, silent)
    write_tree(tmp_path, {"docs/late.txt": b"late", "docs/new/later.txt": b"later", "docs/both.txt": b"late too"})
    assert uploads_catch_up(record.plan) == Added(), "nothing is switched"
    uploads_switch(tmp_path, staging, record.plan, record.save)
    (tmp_path / "docs/folder/gone.txt").unlink()
    added = uploads_catch_up(record.after_death())
    assert (added.linked, added.copied) == (2, 0)
    live: Tree = {
        "docs/older.txt": b"older",
        "docs/both.txt": b"the archive's",
        "docs/late.txt": b"late",
        "docs/new/later.txt": b"later",
        "docs/folder/": None,
    }
    assert read_tree(tmp_path) == live
    assert uploads_catch_up(record.plan) == Added(), "again"
    assert read_tree(tmp_path) == live


def test_after_the_switch_of_a_whole_tree_nothing_follows(tmp_path: Path) -> None:
    record = SavedPlan(tmp_path)
    staging = staged(tmp_path, {"docs/old.txt": b"old"}, {"docs/new.txt": b"new"})
    uploads_switch(tmp_path, staging, record.plan, record.save)
    assert uploads_catch_up(record.plan) == Added()
    assert read_tree(tmp_path) == {"docs/new.txt": b"new"}


def test_unswitch_is_the_exact_reverse(tmp_path: Path) -> None:
    staging = staged(tmp_path, LIVE, NEW)
    plan: dict[str, Any] = {}
    uploads_switch(tmp_path, staging, plan, nothing)
    assert uploads_unswitch(plan) == []
    assert outcome(tmp_path, staging) == (LIVE, {}, NEW)
    assert uploads_unswitch(plan) == []
    assert outcome(tmp_path, staging) == (LIVE, {}, NEW)


def test_plan_is_complete_and_saved_before_the_first_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = staged(tmp_path, {**LIVE, os.fsdecode(b"caf\xe9"): b"not UTF-8"}, NEW)
    saved = SavedPlan(tmp_path)
    renames = dying_at(monkeypatch, 0)

    def save() -> None:
        assert renames == []
        saved.save()

    with pytest.raises(Killed):
        uploads_switch(tmp_path, staging, saved.plan, save)
    assert saved.after_death() == {
        "root": str(tmp_path),
        "staging": str(staging),
        "live": sorted([*names_of(LIVE), os.fsdecode(b"caf\xe9")]),
        "new": sorted(names_of(NEW)),
    }


def test_failing_to_save_the_plan_changes_nothing(tmp_path: Path) -> None:
    staging = staged(tmp_path, LIVE, NEW)

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        uploads_switch(tmp_path, staging, {}, full)
    assert outcome(tmp_path, staging) == (LIVE, {}, NEW)


def test_switch_that_was_foreseen_needs_no_save_and_leaves_what_came_since_alone(tmp_path: Path) -> None:
    staging = staged(tmp_path, LIVE, NEW)
    plan = uploads_plan(tmp_path, OPERATION)
    uploads_foresee(tmp_path, staging, plan)
    write_tree(tmp_path, {"late": b"late"})

    def save() -> None:
        raise AssertionError("The journal was saved with the plan.")

    uploads_switch(tmp_path, staging, plan, save)
    assert outcome(tmp_path, staging) == ({**NEW, "late": b"late"}, LIVE, {})
    uploads_unswitch(plan)
    assert outcome(tmp_path, staging) == ({**LIVE, "late": b"late"}, {}, NEW)


def test_names_of_our_own_staging_are_never_moved(tmp_path: Path) -> None:
    staging = staged(tmp_path, {**LIVE, ".backups-99999999/old/x": b"of another"}, {**NEW, ".backups-0123abcd/evil": b""})
    uploads_switch(tmp_path, staging, {}, nothing)
    assert read_tree(tmp_path) == NEW
    assert (tmp_path / ".backups-99999999" / "old" / "x").read_bytes() == b"of another"
    assert not (staging / "evil").exists()


@pytest.mark.parametrize("which", ["old", "new"])
def test_settling_where_nothing_was_staged_changes_nothing(tmp_path: Path, which: Which) -> None:
    write_tree(tmp_path, LIVE)
    for plan in ({}, {"root": str(tmp_path)}, uploads_plan(tmp_path, OPERATION)):
        assert uploads_settle(plan, which, nothing) == []
    assert read_tree(tmp_path) == LIVE


def test_switch_that_had_not_begun_is_planned_saved_and_done_when_the_new_data_is_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = staged(tmp_path, LIVE, NEW)
    saved = SavedPlan(tmp_path)
    plan = saved.after_death()
    dying_at(monkeypatch, 2)
    saved.plan = plan
    with pytest.raises(Killed):
        uploads_settle(plan, "new", saved.save)
    monkeypatch.undo()
    uploads_settle(saved.after_death(), "new", nothing)
    assert outcome(tmp_path, staging) == (NEW, LIVE, {})


def test_switch_that_had_not_begun_is_left_alone_when_the_old_data_is_live(tmp_path: Path) -> None:
    staging = staged(tmp_path, LIVE, NEW)
    uploads_settle(uploads_plan(tmp_path, OPERATION), "old")
    assert outcome(tmp_path, staging) == (LIVE, {}, NEW)


# --- killed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["old", "new"])
@pytest.mark.parametrize("after", [False, True], ids=["before the rename", "after it"])
def test_switch_killed_at_any_rename_is_settled_either_way(tmp_path: Path, which: Which, after: bool) -> None:
    for limit in itertools.count():
        root = tmp_path / f"{limit}"
        root.mkdir()
        staging = staged(root, LIVE, NEW)
        saved = SavedPlan(root)
        with pytest.MonkeyPatch.context() as patch:
            dying_at(patch, limit, after=after)
            try:
                uploads_switch(root, staging, saved.plan, saved.save)
                died = False
            except Killed:
                died = True
        uploads_settle(saved.after_death(), which)
        uploads_settle(saved.after_death(), which)
        assert outcome(root, staging) == ((NEW, LIVE, {}) if which == "new" else (LIVE, {}, NEW)), f"killed at rename {limit}"
        if not died:
            break
    # Two for each name in both trees, one for each other.
    assert limit == len(names_of(LIVE)) + len(names_of(NEW))


@hypothesis_settings(max_examples=150, derandomize=True, deadline=None)
@given(
    live=trees,
    new=trees,
    deaths=strategies.lists(
        strategies.tuples(strategies.sampled_from(["old", "new"]), strategies.integers(0, 8), strategies.booleans()), max_size=4
    ),
    end=strategies.sampled_from(["old", "new"]),
)
def test_any_chain_of_settlings_each_killed_somewhere_ends_on_one_tree_exactly(
    live: Tree, new: Tree, deaths: list[tuple[Which, int, bool]], end: Which
) -> None:
    with temporary_root() as root:
        staging = staged(root, live, new)
        saved = SavedPlan(root)
        uploads_switch(root, staging, saved.plan, saved.save)
        for which, limit, after in deaths:
            with pytest.MonkeyPatch.context() as patch:
                dying_at(patch, limit, after=after)
                try:
                    uploads_settle(saved.after_death(), which)
                except Killed:
                    continue
        uploads_settle(saved.after_death(), end)
        assert outcome(root, staging) == ((new, live, {}) if end == "new" else (live, {}, new))


def in_child(action: Callable[[], None], kill_after: float) -> bool:
    """Run ``action`` in a forked child and kill it (SIGKILL) so many seconds after it says that it begins; whether it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, b"x")
            action()
        finally:
            os._exit(0)
    os.close(writing)
    try:
        os.read(reading, 1)
        # The pipe ends when the child does: no sleep, but a wait that the child's end cuts short.
        select.select([reading], [], [], kill_after)
        os.kill(child, signal.SIGKILL)
    finally:
        os.close(reading)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def many(label: str, start: int, stop: int) -> Tree:
    return {f"entry {number}/{label}": label.encode() for number in range(start, stop)}


@pytest.mark.parametrize("seed", range(25))
def test_switch_that_is_really_killed_is_settled_either_way(tmp_path: Path, seed: int) -> None:
    generator = random.Random(seed)
    journal = tmp_path / "plan.json"

    def save(plan: dict[str, Any]) -> None:
        temporary = journal.with_suffix(".tmp")
        temporary.write_text(json.dumps(plan))
        temporary.replace(journal)

    def to_and_fro() -> None:
        plan = json.loads(journal.read_text())
        uploads_switch(Path(plan["root"]), Path(plan["staging"]), plan, lambda: save(plan))
        while True:
            uploads_settle(plan, "old")
            uploads_settle(plan, "new")

    def recover() -> None:
        plan = json.loads(journal.read_text())
        uploads_settle(plan, generator.choice(["old", "new"]), lambda: save(plan))

    live, new = many("live", 0, 200), many("new", 100, 300)
    with temporary_root() as root:
        staging = staged(root, live, new)
        save(uploads_plan(root, OPERATION))
        assert in_child(to_and_fro, generator.uniform(0, 0.03))
        for _ in range(3):
            in_child(recover, generator.uniform(0, 0.005))
            generator.random()
        end: Which = generator.choice(["old", "new"])
        uploads_settle(json.loads(journal.read_text()), end, nothing)
        assert outcome(root, staging) == ((new, live, {}) if end == "new" else (live, {}, new))


# --- others write meanwhile -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["old", "new"])
@pytest.mark.parametrize("name", sorted(names_of(LIVE) | names_of(NEW)))
def test_upload_that_takes_a_name_during_the_switch_is_never_lost_nor_in_the_way(tmp_path: Path, name: str, which: Which) -> None:
    for limit in itertools.count():
        root = tmp_path / f"{limit}"
        root.mkdir()
        staging = staged(root, LIVE, NEW)
        plan: dict[str, Any] = {}
        if which == "old":
            uploads_switch(root, staging, plan, nothing)
        wanted = NEW if which == "new" else LIVE

        written: list[Path] = []

        def write_meanwhile(root: Path = root, written: list[Path] = written) -> None:
            # What a storage does: make the folder where it is missing, then a file of a new name.
            if not (root / name).is_file():
                (root / name).mkdir(exist_ok=True)
                (root / name / "upload.pdf").write_bytes(b"uploaded meanwhile")
                written.append(root / name)

        with pytest.MonkeyPatch.context() as patch:
            renames = dying_at(patch, limit, meanwhile=write_meanwhile)
            if which == "new":
                uploads_switch(root, staging, plan, nothing)
            else:
                uploads_settle(plan, "old")
        found = [path.relative_to(root) for path in root.rglob("upload.pdf")]
        assert bool(found) == bool(written), f"written at rename {limit}"
        live = read_tree(root)
        live.pop(f"{name}/upload.pdf", None)
        assert live == wanted, f"written at rename {limit}"
        if limit >= len(renames):
            break
    assert limit > 0


@pytest.mark.parametrize("which", ["old", "new"])
@pytest.mark.parametrize("begun", ["forward", "back"])
def test_uploads_between_a_death_and_its_recovery_are_never_lost_nor_in_the_way(tmp_path: Path, begun: str, which: Which) -> None:
    names = sorted(names_of(LIVE) | names_of(NEW))
    for limit in itertools.count():
        root = tmp_path / f"{limit}"
        root.mkdir()
        staging = staged(root, LIVE, NEW)
        saved = SavedPlan(root)
        if begun == "back":
            uploads_switch(root, staging, saved.plan, saved.save)
        with pytest.MonkeyPatch.context() as patch:
            renames = dying_at(patch, limit)
            with contextlib.suppress(Killed):
                if begun == "forward":
                    uploads_switch(root, staging, saved.plan, saved.save)
                else:
                    uploads_unswitch(saved.plan)
        uploaded = [name for name in names if not (root / name).exists()]
        write_tree(root, {f"{name}/upload.pdf": b"uploaded meanwhile" for name in uploaded})
        uploads_settle(saved.after_death(), which)
        uploads_settle(saved.after_death(), which)
        assert {path.parent.name for path in root.rglob("upload.pdf")} == set(uploaded), f"killed at rename {limit}"
        live = {path: content for path, content in read_tree(root).items() if not path.endswith("/upload.pdf")}
        assert live == (NEW if which == "new" else LIVE), f"killed at rename {limit}"
        if limit >= len(renames):
            break
    assert limit == len(names_of(LIVE)) + len(names_of(NEW))


def test_restored_entry_is_not_moved_out_where_what_it_displaced_is_gone(tmp_path: Path) -> None:
    staging = staged(tmp_path, LIVE, NEW)
    plan: dict[str, Any] = {}
    uploads_switch(tmp_path, staging, plan, nothing)
    shutil.rmtree(staging / "old" / "folder")
    uploads_settle(plan, "new")
    assert read_tree(tmp_path) == NEW
    uploads_settle(plan, "old")
    assert read_tree(tmp_path) == {
        "folder/both": b"new",
        "folder/new": b"new",
        **{path: content for path, content in LIVE.items() if not path.startswith("folder/")},
    }


def test_strays_go_into_the_live_tree_where_their_paths_are_free_and_are_named_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = staged(tmp_path, {"docs/a": b"live"}, {"docs/a": b"new"})

    def write_meanwhile() -> None:
        write_tree(tmp_path, {"docs/uploaded": b"meanwhile", "docs/a/deeper": b"no place"})

    # The second rename moves the staged folder in.
    dying_at(monkeypatch, 1, meanwhile=write_meanwhile)
    assert uploads_switch(tmp_path, staging, {}, nothing) == ["docs/a"]
    assert read_tree(tmp_path) == {"docs/a": b"new", "docs/uploaded": b"meanwhile"}
    assert read_tree(staging / "stray") == {"0/docs/uploaded": b"meanwhile", "0/docs/a/deeper": b"no place"}


def test_stray_whose_path_has_another_file_by_now_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = staged(tmp_path, {"docs/a": b"live"}, {"docs/a": b"new"})
    dying_at(monkeypatch, 1, meanwhile=lambda: write_tree(tmp_path, {"docs/a": b"meanwhile", "docs/uploaded": b"meanwhile"}))
    plan: dict[str, Any] = {}
    assert uploads_switch(tmp_path, staging, plan, nothing) == ["docs/a"]
    assert read_tree(tmp_path) == {"docs/a": b"new", "docs/uploaded": b"meanwhile"}
    assert uploads_settle(plan, "new") == ["docs/a"], "what was put in is not named the second time"


def test_file_is_never_renamed_over_another(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": b"a", "b": b"b", "empty/": None, "folder/": None})
    for source, target in (("a", "b"), ("folder", "empty")):
        with pytest.raises(FileExistsError):
            switch_module.rename(f"{tmp_path}/{source}", f"{tmp_path}/{target}")
    assert read_tree(tmp_path) == {"a": b"a", "b": b"b", "empty/": None, "folder/": None}


class LibraryWithoutRename:
    """A C library, or a file system, that does not know renameat2."""


def test_file_is_never_renamed_over_another_where_the_system_cannot_promise_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switch_module, "libc", LibraryWithoutRename)
    test_file_is_never_renamed_over_another(tmp_path)
    switch_module.rename(f"{tmp_path}/a", f"{tmp_path}/c")
    assert read_tree(tmp_path) == {"c": b"a", "b": b"b", "empty/": None, "folder/": None}


def test_entry_that_somebody_deletes_during_the_switch_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = staged(tmp_path, LIVE, NEW)

    def save() -> None:
        shutil.rmtree(tmp_path / "only live")
        (tmp_path / "both").unlink()

    uploads_switch(tmp_path, staging, {}, save)
    assert read_tree(tmp_path) == NEW


# --- how much it does -----------------------------------------------------------------------------------------------


def test_number_of_renames_grows_with_the_top_level_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_root() as root:
        for folder in range(12):
            (root / f"folder {folder}").mkdir()
            for number in range(5000):
                os.mknod(root / f"folder {folder}" / f"{number}.txt")
        staging = uploads_staging(root, OPERATION)
        write_tree(staging / "new", {"folder 0/archived.txt": b"new", "folder 12/archived.txt": b"new"})
        assert uploads_merge(root, staging, silent).linked == 60_000
        renames = dying_at(monkeypatch, -1)
        uploads_switch(root, staging, {}, nothing)
        assert len(renames) == 12 + 13
        assert sum(len(files) for folder, _, files in os.walk(root) if ".backups-" not in folder) == 60_002


# --- kept, undone, done again ---------------------------------------------------------------------------------------


def undo(root: Path, operation: str, kept: dict[str, Any]) -> dict[str, Any]:
    """What the service does: adopt, switch, describe what is kept now."""
    plan = uploads_plan(root, operation)
    staging = uploads_staging(root, operation)
    uploads_adopt_kept(root, staging, kept, plan, nothing)
    uploads_switch(root, staging, plan, nothing)
    kept_now = uploads_kept(plan)
    uploads_kept_discard(kept)
    return json.loads(json.dumps(kept_now))  # type: ignore[no-any-return]


def change(root: Path, generator: random.Random) -> None:
    """Users at work: each file and folder may be deleted or replaced, and new ones come."""
    for path in sorted(read_tree(root)):
        if path.endswith("/") or not (root / path).is_file():
            continue
        fate = generator.random()
        if fate < 0.3:
            remove(root / path)
        elif fate < 0.6:
            replace_file(root / path, generator.randbytes(4))
    for number in range(generator.randrange(3)):
        top = generator.choice(["a", "b", "later"])
        if not (root / top).is_file():
            write_tree(root, {f"{top}/{number} {generator.random()}": b"added"})


@hypothesis_settings(max_examples=80, derandomize=True, deadline=None)
@given(live=trees, archive=trees, mode=strategies.sampled_from(["merge", "exact"]), seed=strategies.integers(0, 1000))
def test_restore_undo_and_undo_of_it_bring_back_each_tree_exactly(live: Tree, archive: Tree, mode: str, seed: int) -> None:
    generator = random.Random(seed)
    with temporary_root() as root:
        staging = staged(root, live, archive)
        if mode == "merge":
            uploads_merge(root, staging, silent)
        plan: dict[str, Any] = {}
        uploads_switch(root, staging, plan, nothing)
        kept = uploads_kept(plan)
        change(root, generator)
        restored = read_tree(root)

        kept = undo(root, UNDO, kept)
        assert read_tree(root) == live
        change(root, generator)
        undone = read_tree(root)

        kept = undo(root, REDO, kept)
        assert read_tree(root) == restored

        kept = undo(root, OPERATION, kept)
        assert read_tree(root) == undone
        uploads_kept_discard(kept)
        assert [path.name for path in root.iterdir() if path.name.startswith(".backups-")] == []


def test_failed_undo_gives_the_kept_tree_back_wherever_it_failed(tmp_path: Path) -> None:
    for limit in itertools.count():
        root = tmp_path / f"{limit}"
        root.mkdir()
        staging = staged(root, LIVE, NEW)
        first: dict[str, Any] = {}
        uploads_switch(root, staging, first, nothing)
        kept = uploads_kept(first)
        undo_staging = uploads_staging(root, UNDO)
        saved = SavedPlan(root, UNDO)
        uploads_adopt_kept(root, undo_staging, kept, saved.plan, saved.save)
        with pytest.MonkeyPatch.context() as patch:
            dying_at(patch, limit)
            try:
                uploads_switch(root, undo_staging, saved.plan, saved.save)
                died = False
            except Killed:
                died = True
        if not died:
            assert read_tree(root) == LIVE
            break
        uploads_settle(saved.after_death(), "old")
        uploads_settle(saved.after_death(), "old")
        uploads_discard(root, UNDO)
        assert outcome(root, staging) == (NEW, LIVE, {})
        undo(root, REDO, kept)
        assert read_tree(root) == LIVE
    assert limit == len(names_of(LIVE)) + len(names_of(NEW))


@pytest.mark.parametrize("instant", ["before the plan is saved", "before adopting", "while giving back"])
def test_kept_tree_survives_an_undo_that_dies_around_adopting_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instant: str) -> None:
    staging = staged(tmp_path, LIVE, NEW)
    first: dict[str, Any] = {}
    uploads_switch(tmp_path, staging, first, nothing)
    kept = uploads_kept(first)
    undo_staging = uploads_staging(tmp_path, UNDO)
    saved = SavedPlan(tmp_path, UNDO)

    def die(*args: object, **kwargs: object) -> None:
        raise Killed

    if instant == "while giving back":
        uploads_adopt_kept(tmp_path, undo_staging, kept, saved.plan, saved.save)
        with monkeypatch.context() as patch:
            # The tree is back in its place, the empty folder in its stead is not made yet.
            patch.setattr(Path, "mkdir", die)
            with pytest.raises(Killed):
                uploads_settle(saved.after_death(), "old")
    else:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", die)
            with pytest.raises(Killed):
                uploads_adopt_kept(tmp_path, undo_staging, kept, saved.plan, die if "saved" in instant else saved.save)
    uploads_settle(saved.after_death(), "old")
    uploads_discard(tmp_path, UNDO)
    assert outcome(tmp_path, staging) == (NEW, LIVE, {})
    undo(tmp_path, REDO, kept)
    assert read_tree(tmp_path) == LIVE


def test_kept_tree_that_is_gone_is_refused_before_anything_changes(tmp_path: Path) -> None:
    staging = staged(tmp_path, LIVE, NEW)
    first: dict[str, Any] = {}
    uploads_switch(tmp_path, staging, first, nothing)
    kept = copy.deepcopy(uploads_kept(first))
    uploads_kept_discard(kept)
    uploads_kept_discard(kept)
    plan = uploads_plan(tmp_path, UNDO)
    with pytest.raises(PreflightRefused, match="gone") as caught:
        uploads_adopt_kept(tmp_path, uploads_staging(tmp_path, UNDO), kept, plan, nothing)
    assert caught.value.exit_code == 3
    assert read_tree(tmp_path) == NEW


def test_kept_state_of_a_switch_that_never_was_is_empty(tmp_path: Path) -> None:
    assert uploads_kept(uploads_plan(tmp_path, OPERATION)) == {}
    uploads_kept_discard({})
    assert kept_size({}) == 0


def test_kept_size_counts_what_discarding_it_would_free(tmp_path: Path) -> None:
    staging = staged(tmp_path, {"stays.bin": bytes(1_000_000), "replaced.bin": bytes(3_000_000)}, {"replaced.bin": b"new"})
    uploads_merge(tmp_path, staging, silent)
    plan: dict[str, Any] = {}
    uploads_switch(tmp_path, staging, plan, nothing)
    assert 3_000_000 <= kept_size(uploads_kept(plan)) < 3_100_000
    uploads_discard(tmp_path, OPERATION)
    assert kept_size(uploads_kept(plan)) == 0
