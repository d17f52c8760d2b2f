"""The page on which a backup is made: what it says beforehand, what it asks for, and what stays when that is refused."""

from __future__ import annotations

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from backups.engines import engine_for
from backups.journal import Journal, journal_load_all
from backups.models import Operation
from backups.pages.outcome import ended_within
from backups.tests import reading
from backups.tests.obliging import busy_worker, obliging_worker
from backups.tests.staff import staff_browser
from backups.tests.stored import store_of_its_own

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_gate"), pytest.mark.one_engine]

CREATE = "/admin/backups/backup/add/"


@pytest.fixture
def browser(db: None, settings: Settings, tmp_path: Path) -> Client:
    """Somebody on the staff who may create backups, and see them."""
    store_of_its_own(settings, tmp_path / "store")
    settings.MEDIA_ROOT = tmp_path / "media"
    return staff_browser("bo", "add_backup", "view_backup")


def text_of(response: HttpResponseBase) -> str:
    """What a person reads of the page's own part."""
    return reading.text_of(response, since='class="backups-page"')


def asked() -> list[Journal]:
    """What was asked for and has not been begun."""
    return [journal for journal in journal_load_all() if journal.status == "queued"]


@pytest.mark.parametrize(
    ("form", "arguments", "detail"),
    [
        ({"uploads": "yes", "note": " for the move \n"}, {"uploads": True, "note": "for the move"}, "with uploads"),
        ({"uploads": "no", "pin": "on"}, {"uploads": False, "pin": True}, "without uploads, pinned"),
        ({"uploads": "yes", "gentle": "on"}, {"uploads": True, "gentle": True}, "with uploads"),
    ],
    ids=["with uploads", "pinned, without", "gently"],
)
def test_what_was_chosen_is_asked_of_the_workers_and_leads_to_its_progress(
    browser: Client, settings: Settings, form: dict[str, str], arguments: dict[str, Any], detail: str
) -> None:
    with busy_worker():
        answer = browser.post(CREATE, form)
        (journal,) = asked()
    assert (journal.kind, journal.requested_by) == ("create", "bo")
    assert journal.arguments == {"trigger": "manual", "note": "", "pin": False, "gentle": False, **arguments}
    page = Client().get(answer.headers["Location"]).content.decode()
    assert "It waits to be begun" in page
    assert "Cancel…" in page
    (line,) = (Path(settings.BACKUPS_STATE_DIR) / "audit.log").read_text().splitlines()
    assert {name: json.loads(line)[name] for name in ("who", "action", "detail")} == {"who": "bo", "action": "create", "detail": detail}


def test_when_it_is_made_the_page_of_its_progress_offers_the_file(browser: Client) -> None:
    with obliging_worker():
        link = browser.post(CREATE, {"uploads": "yes"}).headers["Location"]
        journal = ended_within(journal_load_all()[0], 30)
    assert journal is not None
    journal.archive = "backup_20261122_171350_98b10547.zip"
    journal.save()
    page = Client().get(link).content.decode()
    assert f'href="/admin/backups/backup/archives/{journal.archive}/download/">Download it</a>' in page
    assert 'href="/admin/backups/backup/">See all backups</a>' in page


def test_without_a_worker_nothing_is_lost_of_what_was_typed(browser: Client) -> None:
    answer = browser.post(CREATE, {"uploads": "no", "note": "a long one", "pin": "on"})
    assert answer.status_code == 409
    assert "It was not begun. No worker has answered within 4 seconds" in text_of(answer)
    assert "Start the site with ./run" in text_of(answer)
    form = answer.content.decode()
    assert ">\na long one</textarea>" in form
    assert len(re.findall(r"<input[^>]* checked", form)) == 2
    assert re.search(r'<input type="radio" name="uploads" value="no"[^>]* checked', form)
    assert asked() == []


def test_a_backup_that_cannot_be_written_down_is_not_asked_for(browser: Client, settings: Settings) -> None:
    (Path(settings.BACKUPS_STATE_DIR) / "audit.log").mkdir(parents=True)
    answer = browser.post(CREATE, {"uploads": "yes", "note": "typed"})
    assert answer.status_code == 409
    assert "typed</textarea>" in answer.content.decode()
    assert journal_load_all() == []


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"uploads": "yes", "note": "x" * 2001}, "Ensure this value has at most 2000 characters (it has 2001)."),
        ({"uploads": "perhaps"}, "Select a valid choice. perhaps is not one of the available choices."),
        ({}, "This field is required."),
    ],
    ids=["long", "unknown", "nothing"],
)
def test_a_form_that_makes_no_sense_asks_for_nothing(browser: Client, form: dict[str, str], said: str) -> None:
    answer = browser.post(CREATE, form)
    assert answer.status_code == 200
    assert said in text_of(answer)
    assert journal_load_all() == []


def made_three(*, by: int) -> None:
    """Backups of a database that was a ``by``-th of what it is now, two of them with uploads."""
    ended = timezone.now() - timedelta(hours=3)
    for number, with_uploads in enumerate((True, True, False)):
        report: dict[str, Any] = {
            "bytes": 9_000_000,
            "seconds": {"dump": 20.0},
            "database_bytes": engine_for().live_state().size // by,
            "upload_bytes": 10 if with_uploads else None,
        }
        Operation.objects.create(
            operation_id=f"{number:032x}", kind="create", status="done", started_at=ended, ended_at=ended, report=report
        )


def test_each_choice_says_what_it_costs_by_the_last_runs(browser: Client) -> None:
    made_three(by=1)
    said = text_of(browser.get(CREATE))
    assert said.count("going by the last 2 of this kind.") == 1
    assert said.count("going by the last one of this kind.") == 1
    assert said.count("There is room: it may need ") == 2


def test_backups_of_another_size_foretell_nothing(browser: Client) -> None:
    made_three(by=9)
    said = text_of(browser.get(CREATE))
    assert said.count("is not known yet: no earlier backup of this kind was of about this size.") == 2
    assert said.count("There is room: it may need ") == 2


class Usage(NamedTuple):
    """A full disk, as :func:`shutil.disk_usage` tells it; bytes."""

    total: int = 10**9
    used: int = 10**9 - 1000
    free: int = 1000


def test_too_little_space_is_said_before_anything_begins(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage())
    assert text_of(browser.get(CREATE)).count("There is too little room: it may need ") == 2


def test_what_is_at_work_is_said_to_come_first(browser: Client) -> None:
    with busy_worker():
        assert "Backup is at work; what you ask for here comes after it." in text_of(browser.get(CREATE))


def test_a_note_comes_back_as_text(browser: Client) -> None:
    answer = browser.post(CREATE, {"note": "</textarea><script>alert(1)</script>"})
    assert "<script>alert" not in answer.content.decode()
