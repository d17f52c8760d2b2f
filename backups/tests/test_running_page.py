"""What is at work, above the list: the same for everybody who looks, and kept up by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponseBase
from django.test import Client
from pytest_django import Settings

from backups.journal import Journal, journal_find
from backups.progress import Progress
from backups.tests.reading import text_of
from backups.tests.staff import staff_browser
from backups.tests.stored import store_of_its_own
from backups.tests.workers import wait_until
from backups.watch import cancel_request, watch_read, watching

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_gate"), pytest.mark.one_engine]

RUNNING = "/admin/backups/backup/running/"
LIST = "/admin/backups/backup/"
ARCHIVE = "backup_20261122_171350_98b10547.zip"
LogIn = Callable[..., Client]


@pytest.fixture
def log_in(db: None, settings: Settings, tmp_path: Path) -> LogIn:
    """A browser of somebody on the staff with the named rights on backups, and view."""
    store_of_its_own(settings, tmp_path / "store")

    def log_in(name: str, *rights: str) -> Client:
        return staff_browser(name, *(f"{right}_backup" for right in ("view", *rights)))

    return log_in


@pytest.fixture
def at_work() -> Iterator[Journal]:
    """A backup, 40 percent through its dump."""
    journal = Journal(kind="create", requested_by="ada")
    journal.start()
    journal.enter("dump")
    progress = Progress(interval=0)
    with watching(journal, progress):
        progress.stage("dump", total=500_000_000, message="the database")
        progress.advance(200_000_000)
        wait_until(lambda: (found := watch_read(journal.id)) is not None and found.percent == 40.0, "the progress")
        yield journal


def ended(kind: str, *, minutes_ago: float = 1, status: str = "done", **values: Any) -> Journal:
    """An operation that took 75 seconds and ended so long ago."""
    end = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    began = (end - timedelta(seconds=75)).isoformat()
    journal = Journal(kind=kind, status=status, created_at=began, started_at=began, ended_at=end.isoformat(), **values)
    journal.save()
    return journal


def body_of(response: HttpResponseBase) -> str:
    """The page as it is sent."""
    body: str = response.content.decode()  # type: ignore[attr-defined]
    return body


def test_two_people_see_the_same_figures(log_in: LogIn, at_work: Journal) -> None:
    first, second = (text_of(log_in(name, "add").get(RUNNING)) for name in ("bo", "cy"))
    # Time goes on between the two.
    figures = re.compile(r"\d+\.\d [kMG]?B/s|about [\w ]+ left|\b(less than a second|\d+ s) ·")
    assert figures.sub("", first) == figures.sub("", second)
    stage = "Backup: Writing the database into the archive"
    for said in (stage, "40 %", "200.0 MB of 500.0 MB", "B/s", "left in this stage", "for ada", "dump: the database"):
        assert said in first


def test_it_is_asked_for_each_second_while_something_is_at_work(log_in: LogIn, at_work: Journal) -> None:
    body = body_of(log_in("bo").get(LIST))
    assert f'hx-get="{RUNNING}?known={at_work.id}" hx-trigger="every 1s"' in body
    at_work.end("done")
    assert f'hx-get="{RUNNING}" hx-trigger="every 5s"' in body_of(log_in("cy").get(LIST))


def test_only_who_may_begin_it_is_shown_the_way_to_cancel_it(log_in: LogIn, at_work: Journal) -> None:
    for name, rights, may_end in (("bo", ["restore", "change"], False), ("cy", ["add"], True)):
        body = body_of(log_in(name, *rights).get(RUNNING))
        assert ("/backups/cancel/" in body) is may_end
        follow = re.findall(r'href="(/backups/progress/[^"]+)"', body)[0].replace("&amp;", "&")
        assert ("Cancel…" in text_of(Client().get(follow))) is may_end


def test_what_is_being_cancelled_is_not_offered_again(log_in: LogIn, at_work: Journal) -> None:
    cancel_request(at_work.id, by="ada")
    said = text_of(log_in("bo", "add").get(RUNNING))
    assert "being cancelled" in said
    assert "Cancel…" not in said


def test_what_waits_says_for_what(log_in: LogIn, at_work: Journal) -> None:
    Journal(kind="verify", archive=ARCHIVE).save()
    said = text_of(log_in("bo").get(RUNNING))
    assert "Verification: waits The backup is at work; this comes after it." in said
    assert ARCHIVE in said


def test_the_page_is_loaded_anew_when_what_it_shows_has_ended(log_in: LogIn, at_work: Journal) -> None:
    browser = log_in("bo")
    by_htmx = {"HX-Request": "true"}
    assert "HX-Refresh" not in browser.get(f"{RUNNING}?known={at_work.id}", headers=by_htmx).headers
    at_work.end("done")
    assert browser.get(f"{RUNNING}?known={at_work.id}", headers=by_htmx).headers["HX-Refresh"] == "true"
    assert "HX-Refresh" not in browser.get(RUNNING, headers=by_htmx).headers


def test_who_was_logged_out_by_a_restore_is_told_in_the_place_of_it(at_work: Journal) -> None:
    answer = Client().get(f"{RUNNING}?known={at_work.id}", headers={"HX-Request": "true"})
    assert answer.status_code == 200
    assert "You are logged out" in text_of(answer)
    assert f'href="{LIST}">Log in again' in body_of(answer)
    assert 'id="running"' in body_of(answer)
    assert "hx-get" not in body_of(answer), "it asks no more"
    assert at_work.short_id not in body_of(answer)


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("create", {"archive": ARCHIVE, "requested_by": "ada"}, f"Backup {ARCHIVE} : done in 1 min 15 s, for ada. Look at the archive"),
        ("create", {"status": "failed", "error": "The disk is full."}, "Backup: failed. The disk is full."),
        (
            "create",
            {"status": "failed", "error": "Cancelled by ada.", "requested_by": "bo", "report": {"cancelled_by": "ada"}},
            "Backup: cancelled, for bo. Cancelled by ada.",
        ),
        ("restore", {"archive": ARCHIVE}, f"Restore {ARCHIVE} : done in 1 min 15 s. See the result"),
        ("prune", {"status": "failed", "error": "The store is away."}, "Pruning: failed. The store is away."),
        ("prune", {}, ""),
        ("create", {"minutes_ago": 31}, ""),
    ],
    ids=str,
)
def test_the_last_end_is_told_for_a_while(log_in: LogIn, kind: str, values: dict[str, Any], said: str) -> None:
    ended("create", minutes_ago=100)
    ended(kind, **values)
    assert text_of(log_in("bo").get(RUNNING)) == said


def test_what_was_made_is_downloaded_from_here_by_who_may(log_in: LogIn) -> None:
    ended("create", archive=ARCHIVE)
    download = f'href="/admin/backups/backup/archives/{ARCHIVE}/download/">Download it</a>'
    assert download in body_of(log_in("bo", "download").get(RUNNING))
    assert "Download it" not in body_of(log_in("cy", "add", "restore").get(RUNNING))


def test_journals_that_cannot_be_read_are_said_to_be(log_in: LogIn) -> None:
    path = Journal(kind="create").path
    path.parent.mkdir(parents=True)
    path.symlink_to(path)
    assert "cannot be read: Too many levels of symbolic links" in text_of(log_in("bo").get(RUNNING))


def test_a_cancelled_wait_is_over_for_all(log_in: LogIn) -> None:
    waiting = Journal(kind="create", requested_by="ada")
    waiting.save()
    browser = log_in("bo", "add")
    cancel = re.findall(r'href="(/backups/cancel/[^"]+)"', body_of(browser.get(RUNNING)))[0]
    assert Client().post(cancel).status_code == 302
    found = journal_find(waiting.id)
    assert found is not None
    assert (found.status, found.error) == ("failed", "Cancelled by bo before it began.")
    assert "Cancel…" not in text_of(browser.get(RUNNING))
