"""The pages that delete: what goes and what must stay, the question, and what is told afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from backups.exceptions import NoWorker
from backups.journal import Journal, journal_find
from backups.models import Backup
from backups.pages import delete, outcome
from backups.services.request import operation_work
from backups.tests.stored import archive_placed, store_of_its_own
from timetracker.accounts.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_gate"), pytest.mark.one_engine]

PASSWORD = "correct horse battery"
LIST = "/admin/backups/backup/"


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> Path:
    """The store's folder."""
    return store_of_its_own(settings, tmp_path / "store")


@pytest.fixture
def browser(transactional_db: None) -> Client:
    """That of somebody on the staff who may delete and see."""
    person = User.objects.create_user("ada", password=PASSWORD, is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=["delete_backup", "view_backup"]))
    client = Client()
    client.force_login(person)
    return client


class Workers:
    """What stands for Celery: ``mode`` says whether a request is done at once, waits, or finds nobody; ``dies`` does one."""

    def __init__(self) -> None:
        self.mode = "at once"

    def ask(self, kind: str, *, archive: str = "", arguments: Mapping[str, Any] | None = None, requested_by: str = "") -> Journal:
        """Take a request as :func:`backups.pages.ask.task_request` does."""
        if self.mode == "gone":
            raise NoWorker("No worker has answered.")
        journal = Journal(kind=kind, archive=archive, arguments=dict(arguments or {}), requested_by=requested_by)
        journal.save()
        if self.mode in ("at once", "dies"):
            operation_work(journal.id)
        if self.mode == "dies":
            self.mode = "gone"
        return journal_find(journal.id) or journal


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Those that the page asks; nobody waits long for them."""
    workers = Workers()
    monkeypatch.setattr(delete, "task_request", workers.ask)
    monkeypatch.setattr(delete, "PATIENCE", 0.1)
    monkeypatch.setattr(outcome, "PATIENCE", 0.1)
    yield workers


def path_of(name: str) -> str:
    return reverse("admin:backups_delete", args=[name])


def told(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def test_question_says_what_goes_and_changes_nothing(browser: Client, store: Path) -> None:
    name = archive_placed(store, note="the first", requested_by="bob")
    archive_placed(store, 1)
    page = browser.get(path_of(name)).content.decode()
    assert f"<h1>Delete {name}</h1>" in page
    assert "the first" in page and "bob" in page and "Delete for good" in page
    assert (store / name).exists()


def test_deletion_asks_for_the_password_then_deletes_and_tells_it(browser: Client, store: Path, settings: Settings) -> None:
    name = archive_placed(store)
    archive_placed(store, 1)
    asked = browser.post(path_of(name), {"archive": name})
    assert 'name="password"' in asked.content.decode()
    assert (store / name).exists()
    answer = browser.post(path_of(name), {"archive": name, "password": PASSWORD})
    assert (answer.status_code, answer.headers["Location"]) == (302, LIST)
    assert told(answer) == [f"The archive {name} is deleted."]
    assert not (store / name).exists()
    assert not Backup.objects.filter(name=name).exists()
    entry = LogEntry.objects.get()
    assert (entry.user.get_username(), entry.object_repr, entry.action_flag) == ("ada", name, DELETION)
    line = json.loads((Path(settings.BACKUPS_STATE_DIR) / "audit.log").read_text())
    assert (line["action"], line["who"], line["archive"]) == ("delete", "ada", name)


def test_what_must_stay_is_refused_before_a_password_is_asked_for(browser: Client, store: Path) -> None:
    pinned, newest = archive_placed(store, pinned=True), archive_placed(store, 1)
    for name, said in ((pinned, "is pinned, so it stays."), (newest, "is the newest backup.")):
        for answer in (browser.get(path_of(name)), browser.post(path_of(name), {"password": PASSWORD})):
            assert answer.status_code == 409
            assert f"{name} {said}" in answer.content.decode()
            assert "password" not in answer.content.decode().partition('class="backups-page"')[2]
            assert "Delete for good" not in answer.content.decode()
    assert not LogEntry.objects.exists()


def test_of_several_those_go_that_may_and_each_refusal_is_told(browser: Client, store: Path) -> None:
    names = [archive_placed(store, hour, pinned=hour == 1) for hour in range(4)]
    several = reverse("admin:backups_delete-several")
    page = browser.get(several, {"archive": names}).content.decode()
    assert page.count('<input type="hidden" name="archive"') == 2
    assert f"{names[1]} is pinned" in page and f"{names[3]} is the newest" in page
    answer = browser.post(several, {"archive": names, "password": PASSWORD})
    assert set(told(answer)) == {
        "2 archives deleted.",
        f"{names[3]} is the newest backup. Make another first.",
        f"{names[1]} is pinned, so it stays. Unpin it first.",
    }
    assert [(store / name).exists() for name in names] == [False, True, False, True]


@pytest.mark.parametrize("given", [[], ["../../secret_key", "x"], [f"backup_20260301_080000_{number:08x}.zip" for number in range(51)]])
def test_none_and_too_many_lead_back_to_the_list(browser: Client, store: Path, given: list[str]) -> None:
    several = reverse("admin:backups_delete-several")
    for answer in (browser.get(several, {"archive": given}), browser.post(several, {"archive": given})):
        assert (answer.status_code, answer.headers["Location"]) == (302, LIST)
        assert "at most 50 at a time" in told(answer)[0]


def test_deletion_that_takes_longer_leads_to_its_progress(browser: Client, store: Path, workers: Workers) -> None:
    name = archive_placed(store)
    archive_placed(store, 1)
    workers.mode = "waits"
    answer = browser.post(path_of(name), {"password": PASSWORD})
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/backups/progress/")


def test_several_that_take_longer_are_told_as_such(browser: Client, store: Path, workers: Workers) -> None:
    names = [archive_placed(store, hour) for hour in range(3)]
    workers.mode = "waits"
    answer = browser.post(reverse("admin:backups_delete-several"), {"archive": names[:2], "password": PASSWORD})
    assert told(answer) == ["2 more go as soon as it is their turn."]


def test_a_worker_that_dies_amid_several_leaves_no_doubt_about_which_were_asked_for(browser: Client, store: Path, workers: Workers) -> None:
    names = [archive_placed(store, hour) for hour in range(4)]
    workers.mode = "dies"
    answer = browser.post(reverse("admin:backups_delete-several"), {"archive": names[:3], "password": PASSWORD})
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "No worker has answered." in page
    assert f"Asked for already: {names[0]}. Not asked for: {names[1]}, {names[2]}." in page
    assert [(store / name).exists() for name in names] == [False, True, True, True]


def test_without_a_worker_nothing_goes_and_the_page_says_what_to_do(browser: Client, store: Path, workers: Workers) -> None:
    name = archive_placed(store)
    archive_placed(store, 1)
    workers.mode = "gone"
    answer = browser.post(path_of(name), {"password": PASSWORD})
    assert answer.status_code == 409
    assert "No worker has answered." in answer.content.decode() and "./run" in answer.content.decode()
    assert (store / name).exists()


def test_archive_that_became_the_last_good_one_meanwhile_stays_and_is_told(browser: Client, store: Path, workers: Workers) -> None:
    name, newest = archive_placed(store), archive_placed(store, 1)
    browser.get(path_of(name))
    workers.mode = "waits"
    browser.post(path_of(name), {"password": PASSWORD})
    Backup.objects.filter(name=newest).update(problem="damaged")
    waiting = [path.stem for path in (store.parent / "state" / "journal").glob("*.json")]
    operation_work(waiting[0])
    ended = journal_find(waiting[0])
    assert ended is not None
    assert (ended.status, ended.error) == ("failed", f"{name} is the newest backup. Make another first.")
    assert (store / name).exists()


def test_archive_without_a_row_can_go_too(browser: Client, store: Path) -> None:
    archive_placed(store, 1)
    name = "backup_20260301_080000_deadbeef.zip"
    (store / name).write_bytes(b"no archive at all")
    assert name in browser.get(path_of(name)).content.decode()
    assert told(browser.post(path_of(name), {"password": PASSWORD})) == [f"The archive {name} is deleted."]
    assert not (store / name).exists()


def test_whoever_may_delete_but_not_see_the_list_is_not_led_there(browser: Client, store: Path) -> None:
    User.objects.get().user_permissions.set(Permission.objects.filter(codename="delete_backup"))
    name = archive_placed(store)
    archive_placed(store, 1)
    assert 'href="/admin/">Back</a>' in browser.get(path_of(name)).content.decode()
    answer = browser.post(path_of(name), {"password": PASSWORD})
    assert answer.headers["Location"] == "/admin/"
