"""An operation as others see it: its progress, and that it can be cancelled until it is too late."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches

from backups.exceptions import Interrupted, RequestTaken
from backups.interrupts import interruptible, too_late, uninterrupted
from backups.journal import Journal, journal_find, journal_queued
from backups.progress import Progress
from backups.tests.workers import wait_until
from backups.watch import KEPT, cancel_request, cancel_sweep, cancelled_by, watch_read, watch_sweep, watching

pytestmark = pytest.mark.usefixtures("own_gate")


@pytest.fixture
def running() -> Journal:
    """The journal of an operation at work."""
    journal = Journal(kind="restore", archive="a.zip", requested_by="Ada")
    journal.start()
    return journal


def queued() -> Journal:
    journal = Journal(kind="create", requested_by="Ada")
    journal.save()
    return journal


def wait_for_signal() -> None:
    """Stand still until a signal raises; fails where none comes."""
    wait_until(lambda: False, "the signal", seconds=20)


# --- what is seen ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["", "0" * 32, "../epoch", "0" * 31 + "g", "A" * 32])
def test_what_is_no_operation_is_not_seen(operation: str) -> None:
    assert watch_read(operation) is None
    assert not cancel_request(operation, by="Ada")


def test_progress_is_seen_while_the_operation_runs_and_after_it(running: Journal) -> None:
    progress = Progress(interval=0)
    with watching(running, progress):
        running.enter("load")
        progress.stage("load", total=400)
        progress.advance(100)
        progress.warn("Something is odd.")
        wait_until(lambda: bool(seen(running).warnings), "the progress")
        shown = seen(running)
        assert (shown.status, shown.stage, shown.percent, shown.done, shown.total) == ("running", "load", 25.0, 100, 400)
        assert shown.rate is not None
        assert shown.rate > 0
        assert (shown.kind, shown.archive, shown.requested_by) == ("restore", "a.zip", "Ada")
        assert shown.started_at is not None
        assert shown.updated is not None
        assert shown.started_at <= shown.updated <= datetime.now(UTC)
        assert [line[9:] for line in shown.log] == ["load", "warning: load: Something is odd."]
        progress.note("The end is near.")
        running.report = {"rows": 5}
        running.end("done")
    shown = seen(running)
    assert shown.is_finished
    assert shown.report == {"rows": 5}
    assert shown.log[-1].endswith("load: The end is near."), "the last of it is written at the end"
    assert progress.sinks == []


def seen(journal: Journal) -> Any:
    """The operation as others see it."""
    shown = watch_read(journal.id)
    assert shown is not None
    return shown


def test_a_stage_that_learns_its_total_is_one_line_of_the_log(running: Journal) -> None:
    progress = Progress()
    with watching(running, progress):
        progress.stage("dump")
        progress.stage("dump", total=7)
        progress.stage("verify")
        progress.stage("dump")
    assert [line[9:] for line in seen(running).log] == ["dump", "verify", "dump"]


def test_the_log_keeps_the_last_thirty_lines(running: Journal) -> None:
    progress = Progress()
    with watching(running, progress):
        for number in range(40):
            progress.note(f"line {number}")
    assert [line.rpartition(" ")[2] for line in seen(running).log] == [str(number) for number in range(10, 40)]


def test_without_a_cache_the_journal_says_what_is_known_and_nothing_fails(running: Journal, cache_away: None) -> None:
    with watching(running, Progress()):
        running.enter("shadow")
    shown = seen(running)
    assert (shown.status, shown.stage, shown.percent, shown.log) == ("running", "shadow", None, [])


def test_progress_comes_back_after_the_cache_was_emptied(running: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backups.watch.REPEAT", 0.0)
    progress = Progress()
    with watching(running, progress):
        progress.stage("load")
        wait_until(lambda: bool(seen(running).log), "the progress")
        caches["backups"].clear()
        wait_until(lambda: bool(seen(running).log), "the progress, once more")


def test_progress_of_an_earlier_stage_is_not_shown_for_the_stage_of_the_journal(running: Journal) -> None:
    with watching(running, progress := Progress(interval=0)):
        progress.stage("extract", total=100)
        progress.advance(100)
    running.enter("shadow")
    assert (seen(running).stage, seen(running).percent) == ("shadow", None)


def test_a_queued_operation_names_the_one_it_waits_for(running: Journal) -> None:
    waiting = queued()
    assert seen(waiting).waits_for == "the restore"
    assert seen(running).waits_for == ""
    running.end("done")
    assert seen(waiting).waits_for == ""


# --- cancelling -----------------------------------------------------------------------------------------------------------


def test_cancelling_a_running_operation_interrupts_it(running: Journal) -> None:
    with pytest.raises(Interrupted), interruptible(), watching(running, Progress()):
        assert cancel_request(running.id, by="Bob")
        assert seen(running).cancelled_by == "Bob"
        wait_for_signal()
    assert cancelled_by(running.id) == "", "the wish is gone with the operation"


def test_cancelling_from_another_thread_of_the_same_process_reaches_the_one_that_works(running: Journal) -> None:
    asking = threading.Thread(target=cancel_request, args=(running.id,), kwargs={"by": "Bob"})
    with pytest.raises(Interrupted), interruptible(), watching(running, Progress()):
        asking.start()
        wait_for_signal()
    asking.join()


class Looks:
    """Counts how often the operation has looked for a wish."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, operation_id: str) -> str:
        self.count += 1
        return cancelled_by(operation_id)

    def after(self, journal: Journal) -> int:
        """Wish for the end, and wait until the operation has looked twice since."""
        assert cancel_request(journal.id, by="Bob")
        before = self.count
        wait_until(lambda: self.count >= before + 2, "two looks")
        return self.count


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """The looks of the operation."""
    counted = Looks()
    monkeypatch.setattr("backups.watch.cancelled_by", counted)
    return counted


def test_a_wish_that_comes_too_late_changes_nothing(running: Journal, looks: Looks) -> None:
    # An interruption would be no Exception, and fail the test by itself.
    with interruptible(), watching(running, Progress()):
        with uninterrupted():
            too_late()
        before = looks.count
        assert cancel_request(running.id, by="Bob")
        wait_until(lambda: looks.count > before, "a look")
        running.end("done")
    assert seen(running).status == "done"


def test_an_operation_that_nobody_may_interrupt_is_not_killed_by_a_wish(running: Journal, looks: Looks) -> None:
    with watching(running, Progress()):
        # A SIGTERM now would end the test run.
        assert looks.after(running) >= 2


def test_cancelling_a_queued_operation_ends_it_at_once_and_nobody_begins_it() -> None:
    waiting = queued()
    assert cancel_request(waiting.id, by="Bob")
    journal = journal_find(waiting.id)
    assert journal is not None
    assert (journal.status, journal.error) == ("failed", "Cancelled by Bob before it began.")
    assert (journal.outcome, seen(journal).outcome) == ("cancelled", "cancelled")
    with pytest.raises(RequestTaken, match="waits no more: it is failed"), journal_queued(waiting.id):
        pass
    assert not cancel_request(waiting.id, by="Bob")


def test_wishes_that_dead_operations_left_are_swept(running: Journal) -> None:
    cancel_request(running.id, by="Bob")
    cancel_sweep()
    assert cancelled_by(running.id) == ""
    assert not seen(running).is_finished


# --- what is left of it ---------------------------------------------------------------------------------------------------


def test_a_cache_of_files_does_not_keep_the_progress_of_every_operation_that_ever_was(tmp_path: Path) -> None:
    cache, folder = caches["backups"], tmp_path / "gate"
    cache.set("progress.old", {"stage": "load"}, timeout=-1)
    cache.set("progress.new", {"stage": "load"}, timeout=KEPT)
    cache.set("gate", {"state": "closed"}, timeout=None)
    half_written, being_written = folder / "tmp_of_a_dead_process", folder / "tmp_of_a_live_one"
    half_written.touch()
    os.utime(half_written, (0, 0))
    being_written.touch()
    watch_sweep()
    assert len(list(folder.glob("*.djcache"))) == 2
    assert cache.get("progress.new") == {"stage": "load"}
    assert cache.get("gate") == {"state": "closed"}
    assert not half_written.exists()
    assert being_written.exists()
