"""The list of archives and the page of one, as a browser asks for them: what each reader sees, and what comes of a button."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpResponseBase
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from backups.exceptions import AuditUnwritable
from backups.journal import Journal, journal_load_all
from backups.models import Backup, BackupSchedule, Operation
from backups.presence import tick_note, worker_announce
from backups.services.standing import standing
from backups.storage.local import LocalStore
from backups.tests import reading
from backups.tests.obliging import busy_worker, obliging_worker
from backups.tests.staff import staff_browser
from backups.tests.stored import MORNING, archive_placed, journal_ended, store_of_its_own

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_gate")]

LIST = "/admin/backups/backup/"
LogIn = Callable[..., Client]


@pytest.fixture(autouse=True)
def store(db: None, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose archives no page may open, and which none may list: both take time where it is far away."""

    def opened(*args: object) -> None:
        raise AssertionError("a page reads the store")

    monkeypatch.setattr(LocalStore, "open", opened)
    monkeypatch.setattr(LocalStore, "list", opened)
    return store_of_its_own(settings, tmp_path / "store")


@pytest.fixture
def log_in() -> LogIn:
    """A browser of somebody on the staff with the named rights on backups, and view."""

    def log_in(*rights: str, **account: Any) -> Client:
        return staff_browser("bo", *(f"{right}_backup" for right in ("view", *rights)), **account)

    return log_in


def text_of(response: HttpResponseBase) -> str:
    """What a person reads of the content."""
    return reading.text_of(response, since='id="content"')


def row_of(response: HttpResponseBase, name: str) -> str:
    """What the list says of one archive."""
    body = response.content.decode()  # type: ignore[attr-defined]
    (row,) = [row for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL) if f"archives/{name}/" in row]
    return reading.text_in(row)


def names_in(response: HttpResponseBase) -> list[str]:
    """The archives of the list, in its order."""
    return re.findall(r'<th class="field-created_at"><a href="/admin/backups/backup/archives/([^/]+)/', response.content.decode())  # type: ignore[attr-defined]


def hidden_in(response: HttpResponseBase) -> dict[str, str]:
    """What the form sends with what a person types: how it was when it was shown."""
    return dict(re.findall(r'<input type="hidden" name="(initial-[^"]+)" value="([^"]*)"', response.content.decode()))  # type: ignore[attr-defined]


def messages_of(response: HttpResponseBase) -> list[str]:
    """What the page says above everything."""
    return [str(message) for message in response.context["messages"]]  # type: ignore[attr-defined]


def acted(browser: Client, action: str, *names: str) -> HttpResponseBase:
    """The answer to an action on archives, with its redirects to the list followed."""
    chosen = list(Backup.objects.filter(name__in=names).values_list("pk", flat=True))
    answer: HttpResponseBase = browser.post(LIST, {"action": action, "index": "0", "_selected_action": chosen})
    return browser.get(LIST) if answer.status_code == 302 and answer.headers["Location"] == LIST else answer


def audited(settings: Settings) -> list[tuple[str, str, str]]:
    """Who did what with which archive."""
    lines = (Path(settings.BACKUPS_STATE_DIR) / "audit.log").read_text().splitlines()
    return [(line["who"], line["action"], line.get("archive", "")) for line in map(json.loads, lines)]


def audit_broken(settings: Settings) -> None:
    """Let nothing be written into the audit file."""
    (Path(settings.BACKUPS_STATE_DIR) / "audit.log").mkdir(parents=True)


# --- what the list says -----------------------------------------------------------------------------------------------------


def test_a_row_says_what_an_archive_is_and_how_long_it_stays(log_in: LogIn, store: Path) -> None:
    name = archive_placed(
        store,
        content=b"x" * 4096,
        requested_by="ada",
        note="before the new invoices",
        vendor="postgresql",
        server_version="15.14 (Debian)",
        app_version="1.2",
        row_count=13540,
        has_uploads=True,
        upload_count=157,
        missing_uploads=2,
        verified_at=MORNING + timedelta(hours=1),
    )
    page = log_in().get(LIST)
    assert row_of(page, name).startswith("2026-03-01 08:00 ")
    for said in (
        "ago manual ada 4 kB 13,540 rows 157 uploads 2 files missing PostgreSQL 15.14",
        "✓ verified 2026-03-01 09:00 for ever manual ones always stay before the new invoices",
    ):
        assert said in row_of(page, name).replace(" ", " ")


def test_times_are_those_of_the_readers_account(log_in: LogIn, store: Path) -> None:
    name = archive_placed(store, verified_at=MORNING)
    page = log_in(time_zone="Asia/Kathmandu").get(LIST)
    assert "When (+0545)" in text_of(page)
    assert row_of(page, name).startswith("2026-03-01 13:45 ")
    assert timezone.get_current_timezone_name() == "UTC", "the next reader's are his own"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"trigger": "manual"}, "manual"),
        ({"trigger": "schedule:5c4ed01e"}, "schedule"),
        ({"trigger": "before-restore"}, "before a restore"),
        ({"trigger": "before-migrate"}, "before migrations"),
        ({"trigger": "schedule:5c4ed01e", "is_uploaded": True}, "uploaded"),
        ({"trigger": "by hand"}, "by hand"),
    ],
)
def test_why_it_was_made_is_said_in_words(log_in: LogIn, store: Path, fields: dict[str, Any], said: str) -> None:
    name = archive_placed(store, requested_by="ada", **fields)
    assert f"ago {said} ada 10 bytes" in row_of(log_in().get(LIST), name).replace(" ", " ")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"problem": "The member db.sqlite is damaged.", "verified_at": MORNING}, "✕ damaged The member db.sqlite is damaged."),
        ({}, "– not verified"),
        ({"verified_at": MORNING, "signature": "unknown key"}, "✓ verified 2026-03-01 08:00 signature: unknown key"),
        ({"verified_at": MORNING, "signature": "valid"}, "✓ verified 2026-03-01 08:00 for ever"),
        ({"pinned": True}, "pinned until it is unpinned"),
    ],
    ids=str,
)
def test_the_outcome_of_verifying_has_a_sign_and_words(log_in: LogIn, store: Path, fields: dict[str, Any], said: str) -> None:
    name = archive_placed(store, **fields)
    assert said in row_of(log_in().get(LIST), name)


def test_nothing_that_somebody_wrote_into_a_note_is_markup(log_in: LogIn, store: Path) -> None:
    archive_placed(store, note="<script>alert(1)</script>", requested_by="<b>ada</b>", problem="<i>x</i>")
    body = log_in().get(LIST).content.decode()
    assert "<script>alert" not in body
    assert "<b>ada" not in body
    assert "<i>x" not in body


def test_the_list_says_what_to_do_where_it_is_empty(log_in: LogIn) -> None:
    page = log_in("add").get(LIST)
    assert "There is no backup yet. Create the first one now" in text_of(page)
    assert f'href="{reverse("admin:backups_backup_add")}"' in page.content.decode()


def test_a_search_that_finds_nothing_does_not_say_that_there_is_no_backup(log_in: LogIn, store: Path) -> None:
    archive_placed(store)
    said = text_of(log_in().get(LIST, {"q": "nobody wrote this"}))
    assert "No archive is like that. Show all" in said
    assert "no backup yet" not in said


# --- narrowing it down -----------------------------------------------------------------------------------------------------


@pytest.fixture
def several(store: Path) -> dict[str, str]:
    """An archive of each sort, by what it is."""
    about: dict[str, dict[str, Any]] = {
        "manual": {"note": "Before the move", "verified_at": MORNING, "content": b"x" * 300},
        "schedule": {"trigger": "schedule:5c4ed01e", "pinned": True, "content": b"x" * 200},
        "restore": {"trigger": "before-restore", "vendor": "postgresql", "problem": "torn", "verified_at": MORNING},
        "migrate": {"trigger": "before-migrate"},
        "uploaded": {"trigger": "manual", "is_uploaded": True, "note": "from the old site"},
    }
    return {archive_placed(store, hour, **fields): which for hour, (which, fields) in enumerate(about.items())}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"why": "manual"}, ["manual"]),
        ({"why": "schedule"}, ["schedule"]),
        ({"why": "before-restore"}, ["restore"]),
        ({"why": "before-migrate"}, ["migrate"]),
        ({"why": "uploaded"}, ["uploaded"]),
        ({"pinned__exact": "1"}, ["schedule"]),
        ({"verified": "yes"}, ["manual"]),
        ({"verified": "no"}, ["uploaded", "migrate", "schedule"]),
        ({"verified": "bad"}, ["restore"]),
        ({"verified": "perhaps"}, ["uploaded", "migrate", "restore", "schedule", "manual"]),
        ({"engine": "postgresql"}, ["restore"]),
        ({"q": "MOVE"}, ["manual"]),
        ({"created_at__gte": "2026-03-01 11:00:00+00:00"}, ["uploaded", "migrate"]),
        ({"o": "1"}, ["manual", "schedule", "restore", "migrate", "uploaded"]),
        ({"o": "-3"}, ["manual", "schedule", "uploaded", "migrate", "restore"]),
    ],
    ids=str,
)
def test_the_list_is_narrowed_down_and_sorted(log_in: LogIn, several: dict[str, str], query: dict[str, str], found: list[str]) -> None:
    assert [several[name] for name in names_in(log_in("change").get(LIST, query))] == found


def test_the_heads_of_time_and_size_sort(log_in: LogIn, several: dict[str, str]) -> None:
    heads = re.findall(r'class="sortable column-(\w+)', log_in("change").get(LIST).content.decode())
    assert heads == ["created_at", "size"]


# --- what each reader may ------------------------------------------------------------------------------------------------------


BUTTONS = ("Create backup", "Upload", "Look at the store again", "Download", "Restore…", "Undo the last restore…")
ACTIONS = ("verify_archives", "pin", "unpin", "download", "restore", "remove")


@pytest.mark.parametrize(
    ("rights", "buttons", "actions"),
    [
        ([], [], []),
        (["add"], ["Create backup", "Upload"], []),
        (["change"], ["Look at the store again"], ["verify_archives", "pin", "unpin"]),
        (["download"], ["Download"], ["download"]),
        (["restore"], ["Restore…", "Undo the last restore…"], ["restore"]),
        (["delete"], [], ["remove"]),
    ],
    ids=str,
)
def test_nobody_sees_a_button_or_an_action_that_is_not_for_him(
    log_in: LogIn, store: Path, rights: list[str], buttons: list[str], actions: list[str]
) -> None:
    archive_placed(store)
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    journal_ended("restore", kept={"database": "before", "until": until})
    page = log_in(*rights).get(LIST)
    body = page.content.decode()
    assert [button for button in BUTTONS if f">{button}<" in body] == buttons
    assert [action for action in ACTIONS if f'<option value="{action}">' in body] == actions
    assert '<option value="delete_selected">' not in body


def test_a_site_that_leaves_restoring_to_the_commands_shows_no_button_for_it(log_in: LogIn, store: Path, settings: Settings) -> None:
    settings.BACKUPS_ALLOW_WEB_RESTORE = False
    name = archive_placed(store)
    journal_ended("restore", kept={"database": "before", "until": (timezone.now() + timedelta(hours=1)).isoformat()})
    browser = log_in("restore")
    for path in (LIST, f"{LIST}archives/{name}/"):
        body = browser.get(path).content.decode()
        assert "Restore…" not in body
        assert "Undo the last" not in body
        assert '<option value="restore">' not in body
    assert acted(browser, "restore", name).status_code == 200, "the action is none"


# --- actions ---------------------------------------------------------------------------------------------------------------------


def test_pinning_several_is_written_down_for_each(log_in: LogIn, several: dict[str, str], settings: Settings) -> None:
    first, second, *_ = several
    page = acted(log_in("change"), "pin", first, second)
    assert messages_of(page) == ["1 archive pinned: nobody can delete it, and no rule does."]
    assert set(Backup.objects.filter(pinned=True).values_list("name", flat=True)) == {first, second}
    assert audited(settings) == [("bo", "pin", first)], "the other one was pinned before"
    assert LogEntry.objects.get().object_repr == first
    acted(_again(), "unpin", first, second)
    assert not Backup.objects.filter(pinned=True).exists()


def _again() -> Client:
    """Another browser of the same person."""
    browser = Client()
    browser.force_login(get_user_model().objects.get(username="bo"))
    return browser


def test_what_cannot_be_written_down_does_not_happen(log_in: LogIn, several: dict[str, str], settings: Settings) -> None:
    audit_broken(settings)
    name = next(iter(several))
    answer = acted(log_in("change"), "pin", name)
    assert answer.status_code == 409
    assert "cannot be written" in text_of(answer)
    assert not Backup.objects.get(name=name).pinned
    form = _again().post(f"{LIST}archives/{name}/", {"note": "new", "pinned": "on"})
    assert form.status_code == 409
    assert Backup.objects.get(name=name).note == "Before the move"
    assert LogEntry.objects.count() == 0


def test_restore_and_download_are_for_one_archive(log_in: LogIn, several: dict[str, str]) -> None:
    browser = log_in("download", "restore")
    first, second, *_ = several
    assert acted(browser, "restore", first).headers["Location"] == f"{LIST}archives/{first}/restore/"
    answer = acted(browser, "download", first)
    assert (answer.status_code, answer.headers["Location"]) == (307, f"{LIST}archives/{first}/download/"), "the browser posts again"
    for action in ("restore", "download"):
        assert messages_of(acted(browser, action, first, second)) == [f"Choose one archive to {action}."]


def test_deleting_leads_to_the_question(log_in: LogIn, several: dict[str, str]) -> None:
    first, second, *_ = several
    answer = acted(log_in("delete"), "remove", first, second)
    path, query = urlsplit(answer.headers["Location"])[2:4]
    assert path == f"{LIST}archives/delete/"
    assert set(parse_qs(query)["archive"]) == {first, second}
    assert Backup.objects.count() == len(several)


def test_verifying_several_asks_the_workers_for_each(log_in: LogIn, several: dict[str, str], settings: Settings) -> None:
    first, second, *_ = several
    browser = log_in("change")
    with busy_worker():
        page = acted(browser, "verify_archives", first, second)
        assert messages_of(page) == ["2 verifications asked for. The list tells the outcome when it is there."]
        waiting = [journal for journal in journal_load_all() if journal.kind == "verify"]
    assert {(journal.archive, journal.status, journal.requested_by) for journal in waiting} == {
        (first, "queued", "bo"),
        (second, "queued", "bo"),
    }
    assert set(audited(settings)) == {("bo", "verify", first), ("bo", "verify", second)}


def test_more_than_can_be_worked_off_is_not_asked_for(log_in: LogIn, store: Path) -> None:
    names = [archive_placed(store, hour) for hour in range(11)]
    page = acted(log_in("change"), "verify_archives", *names)
    assert messages_of(page) == ["Choose at most 10 at a time: they are worked off one after another."]
    assert journal_load_all() == []


def test_without_a_worker_the_action_says_so(log_in: LogIn, several: dict[str, str]) -> None:
    answer = acted(log_in("change"), "verify_archives", next(iter(several)))
    assert answer.status_code == 409
    assert "No worker has answered" in text_of(answer)
    assert [journal.status for journal in journal_load_all()] == ["failed"], "it is withdrawn, and comes as no surprise"


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("valid", "It is signed by this site."),
        ("missing", "It has no signature, so nothing says who made it, or whether somebody has changed it."),
        ("unknown key", "It is signed with a key that this site does not have, so nothing says who made it: another site"),
    ],
)
def test_the_page_of_an_archive_says_who_vouches_for_it(log_in: LogIn, store: Path, signature: str, said: str) -> None:
    name = archive_placed(store, verified_at=MORNING, signature=signature)
    assert said in text_of(log_in().get(f"{LIST}archives/{name}/"))


def test_a_worker_that_dies_amid_several_leaves_no_doubt_about_which_were_asked_for(log_in: LogIn, several: dict[str, str]) -> None:
    names = list(several)[:3]
    with obliging_worker(dies_after=1):
        answer = acted(log_in("change"), "verify_archives", *names)
    assert answer.status_code == 409
    first, *others = [journal.archive for journal in journal_load_all()]
    (left,) = set(names) - {first, *others}
    assert "No worker has answered" in text_of(answer)
    assert f"Asked for already: {first}. Not asked for: {others[0]}, {left}." in text_of(answer)
    assert [journal.status for journal in journal_load_all()] == ["done", "failed"], "what is not asked for is withdrawn"


def test_an_audit_file_that_fills_amid_several_pins_leaves_no_doubt_about_which_are_pinned(
    log_in: LogIn, several: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Backup.objects.update(pinned=False)
    written: list[str] = []

    def record(*args: Any, archive: str, **options: Any) -> None:
        if written:
            raise AuditUnwritable("The disk is full.")
        written.append(archive)

    monkeypatch.setattr("backups.pages.acts.audit_record", record)
    answer = acted(log_in("change"), "pin", *several)
    assert answer.status_code == 409
    assert "The disk is full." in text_of(answer)
    assert f"Pinned already: {written[0]}. Not pinned: " in text_of(answer)
    assert list(Backup.objects.filter(pinned=True).values_list("name", flat=True)) == written


# --- buttons -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        ("done", "", "{name} is whole: every byte is as it was when it was made."),
        ("failed", "The member db.sqlite is damaged.", "Verification: failed. The member db.sqlite is damaged."),
    ],
)
def test_a_quick_verification_is_answered_at_once(log_in: LogIn, store: Path, status: str, error: str, said: str) -> None:
    name = archive_placed(store)
    with obliging_worker(status=status, error=error):
        page = log_in("change").post(f"{LIST}archives/{name}/verify/", follow=True)
    assert page.redirect_chain[-1][0] == f"{LIST}archives/{name}/"
    assert messages_of(page) == [said.format(name=name)]


def test_a_slow_verification_leads_to_its_progress(log_in: LogIn, store: Path) -> None:
    name = archive_placed(store)
    with busy_worker():
        answer = log_in("change").post(f"{LIST}archives/{name}/verify/")
        assert answer.headers["Location"].startswith("/backups/progress/")
        assert "It waits to be begun" in reading.text_of(Client().get(answer.headers["Location"]))


def test_looking_at_the_store_again_is_asked_of_the_workers(log_in: LogIn, settings: Settings) -> None:
    with obliging_worker():
        page = log_in("change").post(f"{LIST}reconcile/", follow=True)
    assert messages_of(page) == ["The list agrees with the store."]
    assert [(journal.kind, journal.requested_by) for journal in journal_load_all()] == [("reconcile", "bo")]
    assert audited(settings) == [("bo", "reconcile", "")]


# --- the page of one archive ------------------------------------------------------------------------------------------------------


def test_an_archive_is_found_by_its_name_whatever_number_its_row_has(log_in: LogIn, store: Path) -> None:
    name = archive_placed(store, requested_by="ada", trigger="before-restore", is_uploaded=True, upload_bytes=5_000, has_uploads=True)
    browser = log_in()
    said = text_of(browser.get(f"{LIST}archives/{name}/"))
    Backup.objects.filter(name=name).update(id=Backup.objects.get(name=name).pk + 1000)
    assert text_of(browser.get(f"{LIST}archives/{name}/")) == said
    for fact in ("uploaded; where it was made: before a restore, by ada", "10 bytes (10 bytes)", "5 rows, 0 uploads (5 kB)"):
        assert fact in said


def test_an_archive_that_is_not_there_is_said_to_be_gone(log_in: LogIn) -> None:
    page = log_in().get(f"{LIST}archives/backup_20260301_080000_ffffffff.zip/", follow=True)
    assert "doesn’t exist. Perhaps it was deleted?" in reading.text_of(page)


def test_a_note_and_a_pin_are_written_and_nothing_else_is(log_in: LogIn, store: Path, settings: Settings) -> None:
    name = archive_placed(store, note="old")
    browser = log_in("change")
    assert browser.get(f"{LIST}archives/{name}/").status_code == 200
    Backup.objects.filter(name=name).update(verified_at=MORNING)
    answer = browser.post(f"{LIST}archives/{name}/", {"note": "the good\r\none", "pinned": "on", "size": "1", "trigger": "x"})
    assert answer.status_code == 302
    row = Backup.objects.get(name=name)
    assert (row.note, row.pinned, row.verified_at, row.size, row.trigger) == ("the good\none", True, MORNING, 10, "manual")
    assert audited(settings) == [("bo", "pin", name), ("bo", "note", name)]
    assert "Note" in str(LogEntry.objects.get().get_change_message())


def test_a_form_that_was_open_for_a_while_takes_back_nothing_of_what_others_did(log_in: LogIn, store: Path, settings: Settings) -> None:
    name = archive_placed(store, note="old")
    browser = log_in("change")
    shown = hidden_in(browser.get(f"{LIST}archives/{name}/"))
    Backup.objects.filter(name=name).update(pinned=True)
    assert browser.post(f"{LIST}archives/{name}/", {**shown, "note": "the good one"}).status_code == 302
    row = Backup.objects.get(name=name)
    assert (row.note, row.pinned) == ("the good one", True)
    assert audited(settings) == [("bo", "note", name)]


def test_a_form_that_changes_nothing_writes_nothing_down(log_in: LogIn, store: Path, settings: Settings) -> None:
    name = archive_placed(store, note="old")
    browser = log_in("change")
    browser.post(f"{LIST}archives/{name}/", {"note": "old", **hidden_in(browser.get(f"{LIST}archives/{name}/"))})
    assert not (Path(settings.BACKUPS_STATE_DIR) / "audit.log").exists()


def test_a_reader_who_may_not_change_gets_no_form(log_in: LogIn, store: Path) -> None:
    body = log_in().get(f"{LIST}archives/{archive_placed(store, note='old')}/").content.decode()
    assert "<textarea" not in body
    assert 'name="_save"' not in body
    assert all(f">{button}<" not in body for button in ("Download", "Restore…", "Verify", "Delete…"))


# --- what it costs ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_thousand(store: Path) -> None:
    """2,000 archives, four a day, and what has been done to make them."""
    BackupSchedule.objects.all().delete()
    schedule = BackupSchedule.objects.create(keep_last=50, keep_daily=100)
    now, rows, history = timezone.now().replace(microsecond=0), [], []
    for number in range(2000):
        at = now - timedelta(hours=6) * number
        name = f"backup_{at:%Y%m%d_%H%M%S}_{number:08x}.zip"
        facts = {"trigger": schedule.trigger, "size": 10**7 + number, "vendor": "sqlite", "row_count": 9, "has_uploads": True}
        rows.append(Backup(name=name, archive_id=f"{number:032x}", created_at=at, verified_at=at, note=f"night {number}", **facts))
        report = {"archive": name, "bytes": 10**7, "free_bytes": 10**11, "seconds": {"dump": 1.0}}
        history.append(
            Operation(operation_id=f"{number:032x}", kind="create", status="done", archive=name, started_at=at, ended_at=at, report=report)
        )
    Backup.objects.bulk_create(rows)
    Operation.objects.bulk_create(history)
    for operation in history[:360]:
        ended = operation.started_at.isoformat()
        Journal(kind="create", id=operation.operation_id, status="done", created_at=ended, started_at=ended, ended_at=ended).save()


def test_a_list_of_2000_takes_few_queries_and_reads_no_archive(log_in: LogIn, two_thousand: None) -> None:
    browser = log_in("add", "change", "download", "restore", "delete")
    browser.get(LIST)
    with CaptureQueriesContext(connection) as queries:
        page = browser.get(LIST)
    assert len(names_in(page)) == 50
    assert len(queries) < 15, "\n".join(query["sql"][:150] for query in queries)


@pytest.mark.soak
def test_how_long_a_list_of_2000_takes(log_in: LogIn, two_thousand: None) -> None:
    browser = log_in("add", "change", "download", "restore", "delete")
    browser.get(LIST)
    for _ in range(5):
        began, busy = time.perf_counter(), time.process_time()
        assert browser.get(LIST).status_code == 200
        took, used = (time.perf_counter() - began) * 1000, (time.process_time() - busy) * 1000
        print(f"the list of 2,000 archives: {took:.0f} ms, of which {used:.0f} ms of the processor")


# --- the index of the admin ------------------------------------------------------------------------------------------------------------


def test_the_index_says_when_the_backups_need_somebody(log_in: LogIn) -> None:
    body = log_in().get("/admin/").content.decode()
    assert "There is no good backup in the store." in body
    assert f'href="{LIST}">Go to the backups' in body


def test_the_index_says_times_by_the_readers_clock(log_in: LogIn) -> None:
    body = log_in(time_zone="Asia/Kathmandu").get("/admin/").content.decode()
    due = standing().next_run
    assert due and f"({due + timedelta(hours=5, minutes=45):%Y-%m-%d %H:%M})" in body


def test_the_index_says_nothing_of_backups_to_who_may_not_see_them(db: None) -> None:
    person = get_user_model().objects.create_user("cy", password="correct horse battery", is_staff=True)
    browser = Client()
    browser.force_login(person)
    assert "backup" not in browser.get("/admin/").content.decode().partition('id="content-start"')[2].lower()


def test_the_index_says_nothing_where_all_is_well(log_in: LogIn, store: Path) -> None:
    now = timezone.now().replace(microsecond=0)
    archive_placed(store, int((now - MORNING) / timedelta(hours=1)), verified_at=now)
    BackupSchedule.objects.all().delete()
    BackupSchedule.objects.create()
    worker_announce("one@host")
    tick_note()
    assert "standing" not in log_in().get("/admin/").content.decode()


def test_a_new_site_offers_its_first_backup_with_the_warning(log_in: LogIn) -> None:
    way = 'href="/admin/backups/backup/add/">Back up now</a>'
    maker = log_in("add")
    assert way in maker.get("/admin/").content.decode()
    assert way in maker.get(LIST).content.decode()
    looker = staff_browser("cy", "view_backup")
    assert way not in looker.get("/admin/").content.decode()


def test_who_may_only_restore_is_led_from_the_index_to_where_that_is() -> None:
    said = staff_browser("cy", "restore_backup").get("/admin/").content.decode()
    assert 'on a page of its own: <a href="/import-export/">' in said
    assert "have permission to view or edit anything" not in said


@pytest.mark.parametrize(
    ("path", "trail"),
    [
        (LIST, "Home › Backups"),
        ("/admin/backups/operation/", "Home › Backups › History of operations"),
        ("/admin/backups/backupschedule/", "Home › Backups › Schedules"),
    ],
)
def test_the_trail_names_each_page_once(admin_client: Client, path: str, trail: str) -> None:
    body = admin_client.get(path).content.decode()
    found = re.search(r'<div class="breadcrumbs">(.*?)</div>', body, re.S)
    assert found
    assert " ".join(html.unescape(re.sub("<[^>]+>", "", found[1])).split()) == trail
