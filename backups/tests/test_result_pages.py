"""What became of an operation, and undo, as pages."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django import Settings

from backups.catalogue import history_record
from backups.conf import conf
from backups.journal import Journal, journal_load_all
from backups.links import progress_operation_of
from backups.models import Backup
from backups.pages.place import ADMIN, SITE, Place
from backups.tests.restoring import *  # noqa: F403 - its fixtures, too
from backups.tests.restoring import NAME, PASSWORD, PLACES, SITE_NAME, acts, archived, person, post, text_of, waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_gate"), pytest.mark.one_engine]

REPORT: dict[str, Any] = {
    "operation": "x",
    "kind": "restore",
    "archive": NAME,
    "strategy": "swap",
    "rows_before": {"tracking_timeentry": 395, "clients_client": 14, "django_session": 2},
    "rows_after": {"tracking_timeentry": 400, "clients_client": 14, "django_session": 0},
    "migrated": ["clients.0007_something"],
    "milliseconds_closed": 54.6,
    "is_redo": False,
    "seconds": {"swap": 0.06, "extract": 1.25, "lock": 0.001, "something new": 2.0},
    "undo_until": "",
    "warnings": ["Two files are missing."],
    "notes": ["Timers that ran were stopped."],
}


def restored(*, status: str = "done", error: str = "", kind: str = "restore", hours_left: float = 72, **report: Any) -> Journal:
    """The journal of a restore that has ended; with hours left, something is kept for undo."""
    journal = Journal(kind=kind, archive=NAME, requested_by="ann")
    journal.start()
    journal.report = {**REPORT, **report} if status == "done" else report
    if status == "done" and hours_left:
        until = datetime.now(UTC) + timedelta(hours=hours_left)
        journal.kept = {"strategy": "swap", "until": until.isoformat(), "database": {"name": "kept"}, "uploads": {}}
    journal.end(status, error=error)
    return journal


# --- result ---------------------------------------------------------------------------------------------------------------


@PLACES
def test_the_result_of_a_restore_says_what_was_checked_and_offers_the_way_back(place: Place, ann: Client) -> None:
    archived()
    response = ann.get(place.url("result", restored().id))
    said = text_of(response)
    for sentence in (
        "The data is that of the archive.",
        "Two files are missing.",
        "Timers that ran were stopped.",
        "Every byte of the archive was read, and each SHA-256 was right.",
        "Each table of the new database had exactly the rows that the archive's manifest counts, before it went live.",
        "Migrations that were run: clients.0007_something.",
        "414 rows in 3 tables went live.",
        "The site was closed for 55 ms.",
        "Time entries 395 400 +5",
        "1 table with the same number of rows",
        "built beside the live data, then swapped",
        "Asked for by ann",
    ):
        assert sentence in said
    seconds = said[said.index("Where the time went") :]
    assert "Reading and proving the archive 1.3 The swap 0.1 something new 2.0" in seconds, "in their order, without those of no length"
    assert f'href="{place.url("undo")}"' in response.content.decode()
    assert f'href="{place.url("restore", NAME)}"' in response.content.decode()


@pytest.mark.parametrize(
    ("kind", "report", "said"),
    [
        ("restore", {}, "that of the archive"),
        ("undo", {}, "again what it was before the restore"),
        ("undo", {"is_redo": True}, "again that of the restore that had been undone"),
    ],
)
def test_the_result_says_which_data_is_live(ann: Client, kind: str, report: dict[str, Any], said: str) -> None:
    assert f"The data is {said}." in text_of(ann.get(ADMIN.url("result", restored(kind=kind, **report).id)))


def test_only_the_last_restore_offers_undo_and_only_while_it_can_be_undone(ann: Client) -> None:
    first = restored()
    assert "Undo…" in text_of(ann.get(ADMIN.url("result", first.id)))
    last = restored(hours_left=-1)
    assert "Undo…" not in text_of(ann.get(ADMIN.url("result", first.id)))
    assert "Undo…" not in text_of(ann.get(ADMIN.url("result", last.id)))


def test_who_may_only_look_sees_the_result_without_the_way_back() -> None:
    archived()
    bob = person("view", name="bob")
    page = bob.get(ADMIN.url("result", restored().id)).content.decode()
    assert ADMIN.url("undo") not in page
    assert ADMIN.url("restore", NAME) not in page


@PLACES
def test_who_may_restore_and_not_look_at_the_list_sees_the_result(place: Place) -> None:
    journal = restored()
    assert person("restore", name="bob").get(place.url("result", journal.id)).status_code == 200
    assert person("add", "change", "delete", "download", name="eve").get(place.url("result", journal.id)).status_code == 403


def test_with_restoring_by_pages_switched_off_the_result_offers_no_way_back(ann: Client, settings: Settings) -> None:
    settings.BACKUPS_ALLOW_WEB_RESTORE = False
    archived()
    page = ann.get(ADMIN.url("result", restored().id)).content.decode()
    assert ADMIN.url("undo") not in page
    assert ADMIN.url("restore", NAME) not in page


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        ("failed", "The disk is <full>.", "It failed. The disk is <full>. The live data is as it was before."),
        (
            "recovered",
            "Interrupted; everything is as it was before.",
            "It was interrupted, and settled afterwards. Interrupted; everything",
        ),
    ],
)
def test_a_restore_that_did_not_succeed_says_why_and_what_is_live(ann: Client, status: str, error: str, said: str) -> None:
    response = ann.get(ADMIN.url("result", restored(status=status, error=error).id))
    assert said in text_of(response)
    assert "What was checked" not in text_of(response)


def test_a_cancelled_restore_is_not_said_to_have_failed(ann: Client) -> None:
    journal = restored(status="failed", error="Cancelled by bo.")
    journal.report = {"cancelled_by": "bo"}
    journal.save()
    text = text_of(ann.get(ADMIN.url("result", journal.id)))
    assert "Restore: cancelled" in text
    assert "It was cancelled , and has taken back what it had done. Cancelled by bo. The live data is as it was before." in text
    assert "failed" not in text


def test_an_operation_at_work_leads_to_its_progress(ann: Client) -> None:
    journal = Journal(kind="restore", archive=NAME)
    journal.start()
    page = ann.get(SITE.url("result", journal.id)).content.decode()
    (link,) = [part.split('"')[0] for part in page.split('href="') if part.startswith("/backups/progress/")]
    assert progress_operation_of(link.split("/")[3]) == journal.id
    assert "place=site" in link
    assert "cancel=" not in link


def test_a_restore_that_could_not_be_brought_to_its_end_names_the_command(ann: Client) -> None:
    journal = Journal(kind="restore", archive=NAME)
    journal.start()
    journal.error = "The server is gone."
    journal.save()
    assert "The server is gone. On the server: manage.py backup_status --recover" in text_of(ann.get(ADMIN.url("result", journal.id)))


def test_the_result_outlives_its_journal_in_the_history(ann: Client) -> None:
    journal = restored()
    history_record(journal)
    before = text_of(ann.get(ADMIN.url("result", journal.id)))
    journal.path.unlink()
    after = text_of(ann.get(ADMIN.url("result", journal.id)))
    assert "414 rows in 3 tables went live." in after
    assert "Undo…" in before
    assert "Undo…" not in after
    history = Journal(kind="restore")
    assert ann.get(ADMIN.url("result", history.id)).status_code == 404


def test_other_operations_tell_the_numbers_of_their_report(ann: Client) -> None:
    journal = Journal(kind="create", archive=NAME, report={"bytes": 1_800_000, "rows": 1437, "seconds": {"dump": 3.0}})
    journal.start()
    journal.end("done")
    said = text_of(ann.get(ADMIN.url("result", journal.id)))
    assert "Backup: done" in said
    assert "Bytes 1.8 MB" in said
    assert "Rows 1,437" in said
    assert "Writing the database into the archive 3.0" in said


# --- undo -----------------------------------------------------------------------------------------------------------------


def test_without_anything_kept_the_page_says_so(ann: Client) -> None:
    for journals in (lambda: None, lambda: restored(hours_left=-1)):
        journals()
        response = ann.get(ADMIN.url("undo"))
        assert response.status_code == 404
        assert "There is nothing to undo" in text_of(response)


@PLACES
def test_undo_says_what_would_be_put_aside_and_begins_after_name_and_password(place: Place, ann: Client, busy_worker: None) -> None:
    journal = restored(rows_before={"accounts_user": 10, "clients_client": 3}, rows_after={"accounts_user": 1})
    get_user_model().objects.create_user("hired")
    path = place.url("undo")
    said = text_of(ann.get(path))
    assert "What has changed since then would be put aside." in said
    back, since = said.split("Since then", 1)
    assert "Rows of Now After the undo Difference" in back
    # Between them may stand what migrations made, such as the four roles, where another test has not taken it away.
    assert "Users 2 10 +8" in back and "Clients 0 3 +3" in back
    assert "Users 1 2 +1" in since
    fields = {"operation": journal.id, "site_name": SITE_NAME}
    assert "your password" in text_of(post(ann, path, **fields))
    assert not waiting("undo")
    answer = post(ann, path, password=PASSWORD, **fields)
    (request,) = waiting("undo")
    assert (request.requested_by, request.arguments) == ("ann", {"undoes": journal.id})
    assert progress_operation_of(post(ann, path, password=PASSWORD, **fields)["Location"].split("/")[3]) == request.id, (
        "sent twice, begun once"
    )
    assert len(waiting("undo")) == 1
    progress, _, query = answer["Location"].partition("?")
    assert progress_operation_of(progress.split("/")[3]) == request.id
    assert ("place=site" in query) == (place is SITE)
    assert (acts()[-1]["action"], acts()[-1]["operation"]) == ("undo", journal.id)


def test_undo_says_where_nobody_has_counted_what_comes_back(ann: Client) -> None:
    restored(rows_before={})
    assert "The rows of what comes back were not counted when it was replaced" in text_of(ann.get(ADMIN.url("undo")))


@pytest.mark.parametrize(
    ("site_name", "is_same", "said"),
    [
        ("", True, "Type the site's name to confirm."),
        ("TimeTracker", True, f"That is not the site's name. Type: {SITE_NAME}"),
        (SITE_NAME, False, "Something else was restored or undone meanwhile."),
    ],
)
def test_undo_does_nothing_without_the_name_or_for_what_is_no_longer_the_last(
    ann: Client, busy_worker: None, site_name: str, is_same: bool, said: str
) -> None:
    journal = restored()
    operation = journal.id if is_same else restored(hours_left=0).id
    response = post(ann, ADMIN.url("undo"), operation=operation, site_name=site_name, password=PASSWORD)
    assert said in text_of(response)
    assert f'value="{html.escape(site_name)}"' in response.content.decode()
    assert not waiting("undo")
    assert acts() == []


def test_undo_that_cannot_be_written_down_does_not_happen(ann: Client, busy_worker: None) -> None:
    journal = restored()
    (conf.state_dir / "audit.log").mkdir(parents=True)
    response = post(ann, ADMIN.url("undo"), operation=journal.id, site_name=SITE_NAME, password=PASSWORD)
    assert response.status_code == 409
    assert not waiting("undo")


# --- Import/Export --------------------------------------------------------------------------------------------------------


def test_import_export_leads_who_may_restore_to_the_store_and_to_the_upload(ann: Client) -> None:
    response = ann.get("/import-export/")
    assert SITE.url("choose") in response.content.decode()
    assert SITE.url("upload") not in response.content.decode(), "which needs a right of its own"
    both = person("add", "restore", name="both")
    assert SITE.url("upload") in both.get("/import-export/").content.decode()
    assert '<a href="/import-export/">Import/Export</a>' in both.get("/admin/").content.decode()


def test_import_export_is_for_staff_who_may_restore() -> None:
    assert Client().get("/import-export/")["Location"].startswith("/login/?next=/import-export/")
    looker = person("view", "add", name="looker")
    assert looker.get("/import-export/").status_code == 403
    assert "/import-export/" not in looker.get("/admin/").content.decode()
    assert person("restore", name="clerk").post("/import-export/").status_code == 403, "no token, and nothing to post to"


def test_import_export_switched_off_leads_nowhere(ann: Client, settings: Settings) -> None:
    settings.BACKUPS_ALLOW_WEB_RESTORE = False
    page = ann.get("/import-export/").content.decode()
    assert "manage.py backup_restore" in page
    assert SITE.url("choose") not in page
    assert ann.get(SITE.url("choose")).status_code == 403


def test_no_page_of_the_way_opens_an_archive(ann: Client) -> None:
    archived()
    assert Backup.objects.count() == 1
    for path in (SITE.url("choose"), SITE.url("restore", NAME), ADMIN.url("result", restored().id), ADMIN.url("undo")):
        assert ann.get(path).status_code == 200, "though there is no file of that name in the store"
    assert [journal.kind for journal in journal_load_all()] == ["restore"]
