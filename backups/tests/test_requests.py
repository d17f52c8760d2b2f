"""Requests: written first, begun by one, given up in time, and nobody is left waiting in silence."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.cache import caches
from pytest_django import Settings

from backups.exceptions import NoWorker, PreflightRefused, RequestTaken, UsageError
from backups.journal import Journal, journal_find, journal_load_all, journal_queued
from backups.presence import tick_note, tick_seen, worker_announce, worker_seen, worker_withdraw
from backups.services.request import _withdrawn, operation_request, operation_work, requests_run

pytestmark = pytest.mark.usefixtures("own_gate")


def nobody(operation_id: str) -> None:
    """Wakes nobody."""


def beginning(operation_id: str) -> None:
    """A worker that begins at once."""
    with journal_queued(operation_id) as journal:
        journal.start()


@contextmanager
def living_worker() -> Iterator[None]:
    """A worker that lives, and begins nothing."""
    stop = threading.Event()

    def live() -> None:
        while not stop.wait(0.02):
            worker_announce("worker@host")

    thread = threading.Thread(target=live)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def status_of(operation_id: str) -> str:
    journal = journal_find(operation_id)
    return journal.status if journal else ""


# --- asking ---------------------------------------------------------------------------------------------------------------


def test_a_request_is_written_before_anybody_is_woken() -> None:
    found = []

    def wake(operation_id: str) -> None:
        found.append(status_of(operation_id))
        beginning(operation_id)

    journal = operation_request("create", arguments={"note": "now"}, requested_by="Ada", wake=wake)
    assert found == ["queued"]
    assert (journal.status, journal.kind, journal.arguments, journal.requested_by) == ("running", "create", {"note": "now"}, "Ada")


def test_without_a_worker_the_request_is_withdrawn_and_says_how_to_start_one() -> None:
    with pytest.raises(NoWorker, match="so the backup [0-9a-f]{8} was not begun and will not be") as refusal:
        operation_request("create", wake=nobody, patience=0.1)
    assert refusal.value.exit_code == 1
    assert "./run" in refusal.value.next_step
    (journal,) = journal_load_all()
    assert journal.status == "failed"
    assert "No worker has answered" in journal.error


def test_a_sign_of_life_from_before_the_request_counts_for_nothing() -> None:
    worker_announce("worker@host")
    with pytest.raises(NoWorker):
        operation_request("create", wake=nobody, patience=0.2)


def test_with_a_worker_that_is_slow_the_request_goes_on_waiting() -> None:
    with living_worker():
        assert operation_request("create", wake=nobody, patience=0.5).status == "queued"


def test_behind_another_operation_whoever_asks_is_not_kept_waiting() -> None:
    Journal(kind="restore").start()
    with living_worker():
        # It would fail by the test's own limit if it waited for its patience.
        assert operation_request("create", wake=nobody, patience=3600).status == "queued"


def test_a_broker_that_fails_is_passed_over_where_a_worker_is_there(caplog: pytest.LogCaptureFixture) -> None:
    def failing(operation_id: str) -> None:
        raise ConnectionError("no broker")

    with living_worker(), caplog.at_level(logging.WARNING):
        assert operation_request("create", wake=failing, patience=0.5).status == "queued"
    assert "no broker" in caplog.text


def test_a_request_that_is_begun_at_the_last_moment_is_not_withdrawn() -> None:
    journal = Journal(kind="create")
    journal.save()
    beginning(journal.id)
    assert _withdrawn(journal, 4.0).status == "running"


@pytest.mark.parametrize(
    ("kind", "archive", "arguments"),
    [
        ("destroy", "", {}),
        ("create", "", {"output": "/etc"}),
        ("create", "a.zip", {}),
        ("restore", "", {}),
        ("undo", "", {"uploads": "exact"}),
        ("verify", "", {}),
    ],
)
def test_what_cannot_be_asked_is_refused_and_written_nowhere(kind: str, archive: str, arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        operation_request(kind, archive=archive, arguments=arguments, wake=beginning)
    assert journal_load_all() == []


def test_a_request_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "journal").write_text("a file, where the folder should be")
    with pytest.raises(PreflightRefused, match="The operation's journal cannot be written in"):
        operation_request("create", wake=beginning)


# --- beginning ------------------------------------------------------------------------------------------------------------


def test_of_many_who_begin_a_request_exactly_one_does() -> None:
    journal = Journal(kind="create")
    journal.save()
    together = threading.Barrier(8)

    def begin(number: int) -> bool:
        together.wait()
        try:
            beginning(journal.id)
        except RequestTaken:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(begin, range(8))) == [False] * 7 + [True]


@pytest.mark.parametrize("ago", [timedelta(minutes=3, seconds=1), timedelta(days=-365)], ids=["late", "while the clock was ahead"])
@pytest.mark.parametrize("run", [lambda operation: operation_work(operation), lambda operation: requests_run()])
def test_a_request_that_has_waited_too_long_is_given_up_and_not_run(
    settings: Settings, run: Callable[[str], object], ago: timedelta
) -> None:
    settings.BACKUPS_QUEUE_MINUTES = 3
    journal = Journal(kind="create", created_at=(datetime.now(UTC) - ago).isoformat())
    journal.save()
    run(journal.id)
    ended = journal_find(journal.id)
    assert ended is not None
    assert (ended.status, ended.error) == ("failed", "Not started in time: no worker has begun it within 3 minutes.")
    assert ended.started_at == ""


@pytest.mark.parametrize("status", ["running", "done", "failed", "recovered"])
def test_what_waits_no_more_is_not_run_again(status: str) -> None:
    journal = Journal(kind="create", status=status)
    journal.save()
    assert operation_work(journal.id)
    assert status_of(journal.id) == status


def test_a_message_that_names_no_request_is_passed_over() -> None:
    assert operation_work("../../etc/passwd")
    assert operation_work("0" * 32)


# --- signs of life --------------------------------------------------------------------------------------------------------


def test_a_worker_is_seen_until_it_withdraws() -> None:
    assert worker_seen() is None
    worker_announce("one@host")
    seen = worker_seen()
    assert seen is not None
    assert seen.node == "one@host"
    worker_withdraw("another@host")
    assert worker_seen() == seen, "another one does not speak for it"
    worker_withdraw("one@host")
    assert worker_seen() is None


def test_the_tick_is_known_from_the_file_where_the_cache_was_emptied_and_from_the_cache_where_the_file_is_older(tmp_path: Path) -> None:
    assert tick_seen() is None
    tick_note()
    first = tick_seen()
    assert first is not None
    caches["backups"].clear()
    assert tick_seen() == first
    later = first + timedelta(minutes=1)
    caches["backups"].set("tick", later.isoformat())
    assert tick_seen() == later
    (tmp_path / "state" / "tick").write_text("no time at all")
    assert tick_seen() == later


def test_nobody_is_seen_through_a_cache_that_is_out_of_reach(cache_away: None) -> None:
    assert worker_seen() is None
    tick_note()
    assert tick_seen() is not None
