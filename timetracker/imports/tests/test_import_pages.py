"""The pages of an import: who may, what they say, and what they never do."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, permissions_of
from timetracker.clients.models import Client
from timetracker.imports import running
from timetracker.imports.models import Import
from timetracker.imports.pages.imports import SHOWN
from timetracker.imports.tasks import run_import
from timetracker.imports.tests.files import brought, checked, imported
from timetracker.progress import Report
from timetracker.tests.people import HTMX, browser_of, somebody
from timetracker.tests.storages import storage_fails
from timetracker.tracking.models import Project, TimeEntry

pytestmark = pytest.mark.django_db

CLIENTS = "Name,E-mail\nMill,mill@studio.example\nBakery,\n"
NEW = "/import-export/imports/new/"


@pytest.fixture
def ann() -> User:
    """An owner."""
    return somebody("ann", Role.OWNER, time_zone="Europe/Berlin")


@pytest.fixture
def browser(ann: User) -> Browser:
    """Hers."""
    return browser_of(ann)


def sent(browser: Browser, kind: str, content: str | bytes, name: str = "file.csv") -> Any:
    content = content.encode() if isinstance(content, str) else content
    return browser.post(NEW, {"kind": kind, "file": SimpleUploadedFile(name, content)})


def html(browser: Browser, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def at(row: Import, page: str = "") -> str:
    return f"/import-export/imports/{row.pk}/{page}"


# --- the storage ------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_kept_is_told_in_the_form(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    storage_fails(monkeypatch, "save")
    answer = sent(browser, "clients", CLIENTS)
    assert answer.status_code == 200 and "The file cannot be kept (BucketError: no such bucket)" in answer.content.decode()
    assert not Import.objects.exists()


def test_a_storage_that_hands_out_nothing_is_told_and_no_error_of_the_site(
    browser: Browser, ann: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, wrong = brought(ann, "clients", CLIENTS), checked(ann, "clients", "Name,E-mail\nMill,none\n")
    storage_fails(monkeypatch, "open")
    page = browser.get(at(row, "columns/"), follow=True).content.decode()
    assert "The file cannot be read (BucketError: no such bucket). Tell whoever runs this site" in page
    assert "The list of what is wrong" in html(browser, at(wrong))
    assert browser.get(at(wrong, "wrong-rows.csv")).status_code == 404


def test_a_file_that_a_restore_took_away_is_told_when_it_is_begun_again(browser: Browser, ann: User) -> None:
    row = checked(ann, "clients", CLIENTS)
    row.file.storage.delete(str(row.file.name))
    assert browser.post(at(row, "begin/"), {"act": "check"}).status_code == 302
    row.refresh_from_db()
    assert (row.state, "no longer in the site" in row.message) == ("failed", True)


# --- two tabs ---------------------------------------------------------------------------------------------------------


def test_a_file_that_is_read_otherwise_since_its_check_is_not_imported_unchecked(browser: Browser, ann: User) -> None:
    row = checked(ann, "clients", CLIENTS)
    assert row.state == "checked"
    shown = browser.get(at(row, "columns/")).context["form"]
    asked = {name: shown[name].value() for name in ("encoding", "delimiter", "decimal")}
    browser.post(at(row, "columns/"), {**asked, "encoding": "cp1252", "column_name": "1", "reread": "1"})
    row.refresh_from_db()
    assert (row.options["encoding"], row.state, row.counts) == ("cp1252", "brought", {})
    # The other tab still has the button.
    browser.post(at(row, "begin/"), {"act": "write"})
    assert not Client.objects.exists()


# --- the way ----------------------------------------------------------------------------------------------------------


def test_a_file_is_brought_matched_checked_and_imported(browser: Browser) -> None:
    answer = sent(browser, "clients", "Company;Mail;Since\nMill;mill@studio.example;1999\n")
    row = Import.objects.get()
    assert answer["Location"] == at(row, "columns/")
    page = html(browser, at(row, "columns/"))
    assert "Company (“Mill”)" in page
    assert '<option value="0" selected>Company' in page
    form = {"encoding": "utf-8-sig", "delimiter": repr(";"), "decimal": ",", "column_name": "0", "column_email": "1", "check": "yes"}
    assert browser.post(at(row, "columns/"), form)["Location"] == at(row)
    page = html(browser, at(row))
    assert "The file is good. Nothing has been imported yet." in page
    assert "Import 1 client</button>" in page
    assert not Client.objects.exists()
    browser.post(at(row, "begin/"), {"act": "write"})
    assert "1 client was imported, all of them." in html(browser, at(row))
    assert Client.objects.get().email == "mill@studio.example"
    # Once more, from the page that is still open in another tab.
    browser.post(at(row, "begin/"), {"act": "write"})
    assert Client.objects.count() == 1


def test_the_columns_of_the_last_file_are_matched_again(browser: Browser) -> None:
    for _ in range(2):
        sent(browser, "clients", "Alpha,Beta\nMill,Toni\n")
        row = Import.objects.latest("pk")
        page = html(browser, at(row, "columns/"))
        form = {"encoding": "utf-8-sig", "delimiter": repr(","), "decimal": ".", "column_name": "0", "column_contact_name": "1"}
        browser.post(at(row, "columns/"), form)
    assert '<option value="0" selected>Alpha' in page
    assert '<option value="1" selected>Beta' in page


@pytest.mark.one_engine
def test_what_cannot_be_a_table_is_refused_beside_the_field_and_kept_nowhere(browser: Browser) -> None:
    for content, sentence in (
        (b"PK\x03\x04", "Save the table as CSV"),
        (b"", "empty"),
        (b"Name\n", "one row alone"),
        (b"\n\n", "The file is empty"),
        (b"a\0b\n", "NUL"),
        (b"x" * 200_000 + b"\n1", "more than 100,000 characters"),
        (b"," * 9_999 + b"\n1", "10,000 columns"),
        (b'"open\n1', "cannot be read"),
    ):
        page = sent(browser, "clients", content).content.decode()
        assert sentence in page, content[:20]
        assert not Import.objects.exists()
    assert "Choose" in sent(browser, "nonsense", "Name\nMill\n").content.decode()


def test_a_file_that_is_too_large_is_refused(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LARGEST", 1024**2)
    assert "more than 1 MB" in sent(browser, "clients", b"Name\n" + b"x\n" * 600_000).content.decode()


@pytest.mark.one_engine
def test_what_is_missing_in_the_match_is_said_beside_the_field_and_what_was_chosen_stays(ann: User, browser: Browser) -> None:
    row = brought(ann, "time", "A,B,C\n01/02/2026,x,y\n")
    form = {"encoding": "utf-8-sig", "delimiter": repr(","), "decimal": ".", "zone": "Asia/Tokyo", "begins_at": "08:00"}
    answer = browser.post(at(row, "columns/"), form | {"column_date": "0", "column_note": "1", "column_tags": "1"})
    page = answer.content.decode()
    for sentence in (
        "Say which column has the project",
        "Say which column has the end",
        "can be read in several orders",
        "matched with Note already",
    ):
        assert sentence in page
    assert '<option value="Asia/Tokyo" selected>' in page
    row.refresh_from_db()
    assert row.state == "brought"


@pytest.mark.one_engine
def test_nonsense_in_the_match_is_refused(ann: User, browser: Browser) -> None:
    row = brought(ann, "time", "Project,Start,End\nx,2026-01-01 9:00,10:00\n")
    form = {
        "encoding": "rot13",
        "delimiter": "x",
        "decimal": "?",
        "zone": "Mars/Base",
        "begins_at": "25:00",
        "dates": "zzz",
        "column_start": "99",
    }
    assert browser.post(at(row, "columns/"), form).status_code == 200
    assert browser.post(at(row, "columns/"), {}).status_code == 200
    row.refresh_from_db()
    assert (row.state, row.options["zone"]) == ("brought", "Europe/Berlin")


@pytest.mark.one_engine
def test_another_encoding_and_another_delimiter_read_the_file_anew(ann: User, browser: Browser) -> None:
    row = brought(ann, "clients", "Название|Name\nПекарня|Mill\n".encode("cp1251"), delimiter=",")
    form = {"encoding": "cp1251", "delimiter": repr("|"), "decimal": "."}
    assert browser.post(at(row, "columns/"), form)["Location"] == at(row, "columns/")
    page = html(browser, at(row, "columns/"))
    assert "Название (“Пекарня”)" in page
    assert '<option value="1" selected>Name' in page
    answer = browser.post(at(row, "columns/"), form | {"encoding": "utf-8-sig"})
    assert "Line 1 holds bytes that are no text in UTF-8." in answer.content.decode()


def test_dates_that_can_be_read_in_two_orders_have_to_be_chosen(ann: User) -> None:
    assert brought(ann, "time", "Project,Date,Hours\nx,03/04/2026,1\n").options["dates"] == ""
    assert brought(ann, "time", "Project,Date,Hours\nx,03/04/2026,1\nx,13/04/2026,1\n").options["dates"] == "dmy"
    assert brought(ann, "time", "Project,Date,Hours\nx,03/13/2026,1\n").options["dates"] == "mdy"
    assert brought(ann, "time", "Project,Date,Hours\nx,2026-04-03,1\n").options["dates"] == "ymd"
    assert brought(ann, "time", "Project,Date,Hours\nx,03.04.2026,1\nx,31.02.2026,1\n").options["dates"] == "dmy", (
        "nobody writes a month first so"
    )


# --- what is wrong ----------------------------------------------------------------------------------------------------


def test_dates_tell_their_order_also_in_columns_that_are_matched_by_hand(ann: User) -> None:
    assert brought(ann, "time", "Project,Began,Finished\nx,03/04/2026 9:00,03/04/2026 10:00\n").options["dates"] == ""
    assert brought(ann, "time", "Project,Began,Finished\nx,03/04/2026 9:00,13/04/2026 1:00\n").options["dates"] == "dmy"
    assert brought(ann, "time", "Project,Began,Finished\nx,2026-04-03 9:00,2026-04-03 10:00\n").options["dates"] == "ymd"
    # What is matched by name goes first: no day of a bill says how the work's is written.
    assert brought(ann, "time", "Project,Date,Hours,Bill\nx,03/13/2026,1,13/04/2026\nx,03/14/2026,1,14/04/2026\n").options["dates"] == "mdy"


def test_a_thousand_wrong_rows_are_shown_in_part_and_are_all_in_the_csv(ann: User, browser: Browser) -> None:
    row = checked(ann, "clients", "Name,E-mail\n" + "".join(f"c{n},<b>{n}</b>\n" for n in range(1000)))
    page = html(browser, at(row))
    assert "1,000 rows are wrong, so nothing is imported." in page
    assert (page.count("Enter a valid email address."), "<b>" in page) == (SHOWN, False)
    csv: Any = browser.get(at(row, "wrong-rows.csv"))
    lines = b"".join(csv.streaming_content).decode().splitlines()
    assert (len(lines), lines[0], lines[-1]) == (1001, "line,column,value,reason", "1001,E-mail,<b>999</b>,Enter a valid email address.")
    assert csv["Content-Disposition"].startswith("attachment")
    assert browser.post(at(row, "begin/"), {"act": "write"}).status_code == 302
    row.refresh_from_db()
    assert (row.state, Client.objects.exists()) == ("checked", False)


def test_a_list_of_what_is_wrong_that_is_gone_can_be_made_again(ann: User, browser: Browser) -> None:
    row = checked(ann, "clients", "Name,E-mail\nMill,none\n")
    row.problems.storage.delete(str(row.problems.name))
    assert "no longer in the site's storage" in html(browser, at(row)).replace("&#x27;", "'")
    assert browser.get(at(row, "wrong-rows.csv")).status_code == 404
    browser.post(at(row, "begin/"), {"act": "check"})
    assert "Enter a valid email address." in html(browser, at(row))


def test_a_file_that_is_gone_leads_back_with_a_sentence(ann: User, browser: Browser) -> None:
    row = brought(ann, "clients", CLIENTS)
    row.file.storage.delete(str(row.file.name))
    answer = browser.get(at(row, "columns/"), follow=True)
    assert "upload it again" in answer.content.decode().lower()
    assert browser.get(at(row, "wrong-rows.csv")).status_code == 404


def test_a_file_with_nothing_new_offers_no_import(ann: User, browser: Browser) -> None:
    imported(ann, "clients", CLIENTS)
    page = html(browser, at(checked(ann, "clients", CLIENTS)))
    assert "There is nothing to import: everything in this file is here already." in page
    assert 'value="write"' not in page


# --- in the worker ----------------------------------------------------------------------------------------------------


def test_a_large_file_goes_to_the_worker_and_the_page_follows(ann: User, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    sent_to_worker: list[tuple[int, str]] = []

    class Queue:
        def apply_async(self, args: tuple[int, str], **options: Any) -> None:
            sent_to_worker.append(args)

    monkeypatch.setattr(running, "AT_ONCE", 10)
    monkeypatch.setattr("timetracker.imports.tasks.run_import", Queue())
    row = brought(ann, "clients", CLIENTS)
    browser.post(at(row, "begin/"), {"act": "write"})
    assert not sent_to_worker, "it was not checked yet"
    form = {"encoding": "utf-8-sig", "delimiter": repr(","), "decimal": ".", "column_name": "0"}
    browser.post(at(row, "columns/"), form)
    browser.post(at(row, "begin/"), {"act": "check"})
    assert len(sent_to_worker) == 1, "what waits already is not begun twice"
    page = html(browser, at(row))
    assert "Waiting for the worker." in page
    assert 'hx-trigger="every 1s"' in page
    run_import(*sent_to_worker[0])
    page = html(browser, at(row))
    assert ("hx-trigger" in page, "The file is good." in page) == (False, True)


def test_the_page_shows_how_far_it_is(ann: User, browser: Browser) -> None:
    row = brought(ann, "clients", CLIENTS)
    Import.objects.filter(pk=row.pk).update(state="running", act="write", run=uuid.uuid4(), begun_at=timezone.now())
    row.refresh_from_db()
    report = Report(str(row.run))
    report.stage("Writing", 200, "rows")
    report.done(50)
    page = html(browser, at(row))
    assert '<progress id="import-progress" max="100" value="25"></progress> 25 %' in page
    assert "rows a second" in page


def test_a_worker_that_is_silent_is_said_to_be_and_it_can_be_begun_again(ann: User, browser: Browser) -> None:
    row = checked(ann, "clients", CLIENTS)
    Import.objects.update(state="running", act="write", run=uuid.uuid4(), begun_at=timezone.now() - running.PATIENCE * 2)
    page = html(browser, at(row))
    assert "Nothing has been heard of it for a minute" in page
    browser.post(at(row, "begin/"), {"act": "write"})
    assert "2 clients were imported" in html(browser, at(row))


def test_cancelling_deletes_the_file_and_imports_nothing(ann: User, browser: Browser) -> None:
    row = checked(ann, "clients", CLIENTS)
    answer = browser.post(at(row, "discard/"), follow=True)
    assert "Cancelled: nothing was imported." in answer.content.decode()
    assert (Import.objects.exists(), row.file.storage.exists(str(row.file.name))) == (False, False)
    assert browser.get(at(row)).status_code == 404


# --- who may ----------------------------------------------------------------------------------------------------------


def test_owner_and_manager_may_import_and_nobody_else() -> None:
    rights = {f"imports.import_{kind}" for kind in ("time", "clients", "projects")}
    assert {role: rights <= permissions_of(role) for role in Role} == {
        Role.OWNER: True,
        Role.MANAGER: True,
        Role.MEMBER: False,
        Role.BOOKKEEPER: False,
    }


def test_who_may_import_nothing_and_restore_nothing_does_not_get_to_the_page() -> None:
    member = browser_of(somebody("cy", Role.MEMBER))
    assert {address: member.get(address).status_code for address in ("/import-export/", NEW)} == {"/import-export/": 403, NEW: 403}
    assert sent(member, "clients", CLIENTS).status_code == 403
    assert b"/import-export/" not in member.get("/").content
    manager = browser_of(somebody("mo", Role.MANAGER))
    assert b'href="/import-export/"' in manager.get("/").content
    page = html(manager, "/import-export/")
    assert ("Bring data in" in page, "Restore from a full archive" in page) == (True, False)


def test_the_list_of_files_says_what_is_in_each(ann: User, browser: Browser) -> None:
    brought(ann, "time", "Project,Date,Hours\nx,2026-04-03,1\n")
    export = brought(ann, "time", "Project,Date,Hours\nx,2026-04-03,1\n")
    export.kind = "data"
    export.save()
    page = browser.get("/import-export/").content.decode()
    assert '<span class="quiet">time entries</span>' in page and '<span class="quiet">export of TimeTracker</span>' in page


def test_each_sees_the_kinds_that_she_may_bring_and_a_kind_takes_both_rights() -> None:
    member = somebody("cy", Role.MEMBER, "imports.import_time", "imports.import_clients")
    browser = browser_of(member)
    page = html(browser, "/import-export/")
    assert ('value="time"' in page, 'value="clients"' in page, 'value="projects"' in page) == (True, False, False)
    assert not Import.objects.filter(kind="clients").exists()
    sent(browser, "clients", CLIENTS)
    assert not Import.objects.exists()


def test_an_import_of_somebody_else_does_not_exist(ann: User) -> None:
    row = checked(ann, "clients", "Name,E-mail\nMill,none\n")
    other = browser_of(somebody("bo", Role.OWNER))
    codes = [other.get(at(row, page)).status_code for page in ("", "columns/", "wrong-rows.csv")]
    codes += [other.post(at(row, page), {"act": "write"}).status_code for page in ("columns/", "begin/", "discard/")]
    assert codes == [404] * 6
    assert Import.objects.filter(pk=row.pk, state="checked").exists()
    assert row.name.encode() not in other.get("/import-export/").content


def test_who_loses_the_right_does_not_go_on_with_what_she_brought(ann: User, browser: Browser) -> None:
    row = checked(ann, "clients", CLIENTS)
    ann.groups.set([Group.objects.get(name="Member")])
    assert browser.post(at(row, "begin/"), {"act": "write"}).status_code == 403
    assert not Client.objects.exists()


def test_strangers_log_in_and_a_clients_person_goes_to_the_portal() -> None:
    assert Browser().get(NEW)["Location"].startswith("/login/")
    person = User.objects.create_user("toni@bakery.example")
    assert browser_of(person).get(NEW)["Location"].startswith("/portal/")


@pytest.mark.one_engine
def test_changes_are_posted_and_carry_a_token(ann: User) -> None:
    row = checked(ann, "clients", CLIENTS)
    careful = Browser(enforce_csrf_checks=True)
    careful.force_login(ann)
    for page in ("begin/", "discard/"):
        assert careful.get(at(row, page)).status_code == 405
        assert careful.post(at(row, page), {"act": "write"}).status_code == 403
    assert not Client.objects.exists()


def test_the_pages_take_few_queries(ann: User, browser: Browser, django_assert_max_num_queries: Any) -> None:
    Project.objects.create(client=Client.objects.create(name="Mill"), name="Grind", code="GRIND")
    row = checked(ann, "time", "Project,Start,End\nGrind,2026-01-01 9:00,10:00\n")
    for address in ("/import-export/", at(row), at(row, "columns/")):
        with django_assert_max_num_queries(12):
            browser.get(address)
    with django_assert_max_num_queries(12):
        browser.get(at(row), headers=HTMX)
    assert not TimeEntry.objects.exists()
