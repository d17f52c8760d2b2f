"""The way to a restore by pages: what is shown, what is asked, and that nothing begins without all of it.

What the workers do then is tested where they are; here a request is left waiting, and what it asks for is looked at.
"""

from __future__ import annotations

import html
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from pytest_django import Settings

from backups.conf import conf
from backups.journal import Journal, journal_load_all
from backups.links import progress_operation_of
from backups.models import Backup
from backups.pages.place import ADMIN, SITE, Place
from backups.services.create import backup_create
from backups.tests.restoring import *  # noqa: F403 - its fixtures, too
from backups.tests.restoring import NAME, PASSWORD, PLACES, SITE_NAME, acts, archived, person, post, previewed, text_of, waiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_gate"), pytest.mark.one_engine]


# --- the archive ----------------------------------------------------------------------------------------------------------


@PLACES
def test_the_archive_is_told_from_its_row_and_asking_for_the_preview_leads_to_its_progress(
    place: Place, ann: Client, busy_worker: None
) -> None:
    archived()
    path = place.url("restore", NAME)
    said = text_of(ann.get(path))
    for fact in (
        "Friday evening",
        "2026-03-01 08:00",
        "Size 1.8 MB",
        "1,437 rows, 154 uploaded files (1.7 MB)",
        "version 0.1.0 on sqlite 3.40.1",
        "72 hours",
    ):
        assert fact in said
    answer = post(ann, path)
    (request,) = waiting("preview")
    assert (request.archive, request.requested_by, request.arguments) == (NAME, "ann", {"uploads": "merge"})
    assert answer.status_code == 302
    progress, _, query = answer["Location"].partition("?")
    assert progress_operation_of(progress.split("/")[3]) == request.id
    assert ("place=site" in query) == (place is SITE)
    (act,) = acts()
    assert (act["action"], act["archive"], act["who"]) == ("preview", NAME, "ann")


def test_without_a_worker_the_page_says_so_and_how_to_start_one(ann: Client) -> None:
    archived()
    answer = post(ann, ADMIN.url("restore", NAME))
    assert answer.status_code == 409
    assert "No worker has answered" in text_of(answer)
    assert "./run" in text_of(answer)
    assert not waiting("preview")


def test_an_archive_that_is_not_there_is_not_found(ann: Client) -> None:
    assert ann.get(ADMIN.url("restore", NAME)).status_code == 404


def test_a_preview_that_still_counts_is_offered_again(ann: Client) -> None:
    archived()
    mine, old = previewed(), previewed(minutes_ago=61)
    page = ann.get(ADMIN.url("restore", NAME)).content.decode()
    assert ADMIN.url("preview", mine.id) in page
    assert ADMIN.url("preview", old.id) not in page
    mine.path.unlink()
    assert "Back to your last preview" not in ann.get(ADMIN.url("restore", NAME)).content.decode()


def test_outside_the_admin_an_archive_is_chosen_from_the_newest(ann: Client) -> None:
    path = SITE.url("choose")
    assert "There is no archive yet." in text_of(ann.get(path))
    archived(problem="A byte is wrong.")
    said = ann.get(path)
    assert SITE.url("restore", NAME) in said.content.decode()
    assert "A byte is wrong." in text_of(said)


def test_an_archive_of_an_unknown_key_is_told_from_ones_own_where_it_is_chosen(ann: Client) -> None:
    archived(is_uploaded=True, requested_by="bob", signature="unknown key", verified_at=datetime(2026, 3, 2, 9, tzinfo=UTC))
    said = text_of(ann.get(SITE.url("choose")))
    assert "uploaded, by bob 2026-03-02 09:00 Signature: unknown key" in said


def test_times_are_those_of_the_readers_account(ann: Client) -> None:
    get_user_model().objects.update(time_zone="Europe/Berlin")
    archived()
    assert "2026-03-01 09:00" in text_of(ann.get(ADMIN.url("restore", NAME)))


# --- the preview ----------------------------------------------------------------------------------------------------------


def test_a_real_preview_is_shown_with_what_would_be_lost(worker: None, settings: Settings) -> None:
    ann = person(name="ann", is_superuser=True)
    Path(settings.MEDIA_ROOT).mkdir()
    (Path(settings.MEDIA_ROOT) / "logo.png").write_bytes(b"as it was" * 8_000_000)
    made = backup_create(note="Friday evening").location
    (Path(settings.MEDIA_ROOT) / "logo.png").write_bytes(b"as it is")
    get_user_model().objects.create_user("hired", password="x", is_staff=True)
    answer = post(ann, ADMIN.url("restore", made))
    operation = progress_operation_of(answer["Location"].split("/")[3])
    page = ADMIN.url("preview", operation)
    for _ in range(200):
        response = ann.get(page)
        if response.status_code == 200:
            break
        assert response["Location"].startswith("/backups/progress/"), "as long as it is not over, the progress is shown"
        threading.Event().wait(0.05)
    said = text_of(response)
    assert "Preview of a restore" in said
    assert "You could log in afterwards. As ann, with the password of today." in said
    assert "This site made the archive. Its signature is valid." in said
    assert re.search(r"Users 2 1 −1", said), said
    assert "In both, and different 1 the archive's" in said
    assert "hired does not exist in the archive and could not log in afterwards." in said
    assert f"type the site's name: {SITE_NAME}" in said
    space = re.search(r"Space on the disk of /\S+: about ([\d.]+) MB needed, [\d.]+ [MGT]B free\.", said)
    assert space, said
    assert float(space[1]) > 72, "the uploads are counted"


@PLACES
def test_the_preview_tells_the_biggest_differences_first_and_folds_what_is_equal(place: Place, ann: Client) -> None:
    archived()
    response = ann.get(place.url("preview", previewed().id))
    said = text_of(response)
    rows = said[said.index("Rows of Now") : said.index("Uploaded files")]
    assert re.search(r"Time entries 395 400 \+5 .*of_another_app 0 2 \+2 .*Clients 14 13 −1 ", rows), rows
    assert "1 table with the same number of rows" in rows
    assert "Invoices 7" in rows[rows.index("same number of rows") :]
    assert "session" not in rows.lower()
    lost = said[said.index("What would be lost") : said.index("Rows of Now")]
    assert re.search(r"Time entries 1,203 gone\.Model 2 Clients 1", lost), lost
    assert "1,206 rows are newer than the archive, and would be lost." in said
    assert "Only here 4 stay are removed" in said
    assert "Migrations that run: clients.0007_something." in said
    assert "The grants of the role nobody are left out." in said
    assert "hired does not exist in the archive" in said
    assert "Space on the disk of the database: about 18.8 MB needed, how much is free is not known from here." in said
    assert "Space on the disk of /srv/media: about 1.7 GB needed, 2.5 GB free." in said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"own": {"username": "ann", "could_log_in": False, "sentence": "the archive has no account of that name"}},
            "You could not log in afterwards: the archive has no account of that name. Who could administer the site then: chief.",
        ),
        (
            {
                "own": {"username": "ann", "could_log_in": False, "sentence": "in the archive the account is switched off"},
                "administrators": [],
            },
            "Nobody could administer the site then",
        ),
        ({"signature": "missing"}, "Nothing proves that this site made the archive. It has no signature, so nothing says who made it"),
        ({"signature": "unknown key"}, "It is signed with a key that this site does not have"),
        (
            {"unread": "the disk is broken", "rows": {}, "newer": {}},
            "It is not known what would be lost. What is live could not be read: the disk",
        ),
        ({"newer": {}}, "Some tables would have fewer rows than now."),
        (
            {"newer": {}, "rows": {"django_admin_log": [9, 1], "billing_invoice": [7, 9]}},
            "No row would be lost that is newer than the archive.",
        ),
        ({"uploads": None, "has_uploads": False}, "The archive holds none: all files stay as they are."),
        (
            {"plan": {"strategy": "in-place", "seconds_closed": 42.0, "tools": {}, "spaces": []}},
            "In place: the database's role may not create databases.",
        ),
    ],
)
def test_the_preview_says_in_words_what_matters(ann: Client, changes: dict[str, Any], said: str) -> None:
    archived()
    assert said in text_of(ann.get(ADMIN.url("preview", previewed(**changes).id)))


def test_a_preview_that_was_refused_says_what_to_do_and_offers_to_leave_out_the_uploads(ann: Client, busy_worker: None) -> None:
    archived()
    told: dict[str, Any] = {"state": "Nothing was changed.", "next_step": "Leave them out.", "is_refusal": True}
    journal = previewed(status="failed", error="The uploads are on Bucket.", **told)
    response = ann.get(ADMIN.url("preview", journal.id))
    assert "The uploads are on Bucket. Nothing was changed. Leave them out." in text_of(response)
    assert '<input type="hidden" name="uploads" value="skip">' in response.content.decode()
    post(ann, ADMIN.url("restore", NAME), uploads="skip")
    (request,) = waiting("preview")
    assert request.arguments == {"uploads": "skip"}


def test_of_a_damaged_archive_leaving_out_the_uploads_is_not_offered(ann: Client) -> None:
    archived()
    told: dict[str, Any] = {"state": "Nothing was changed.", "next_step": "Choose another archive.", "is_refusal": False}
    response = ann.get(ADMIN.url("preview", previewed(status="failed", error="uploads/a.txt is damaged.", **told).id))
    assert "uploads/a.txt is damaged. Nothing was changed. Choose another archive." in text_of(response)
    assert 'value="skip"' not in response.content.decode()


def test_what_is_no_preview_is_not_found(ann: Client) -> None:
    other = Journal(kind="restore")
    other.save()
    assert ann.get(ADMIN.url("preview", other.id)).status_code == 404
    assert ann.get(ADMIN.url("preview", "0" * 32)).status_code == 404


# --- the decision ---------------------------------------------------------------------------------------------------------


@PLACES
def test_a_restore_begins_after_the_name_and_the_password_and_asks_for_what_was_decided(
    place: Place, ann: Client, busy_worker: None
) -> None:
    archived()
    journal = previewed()
    path = place.url("preview", journal.id)
    asked = post(ann, path, uploads="exact", site_name="  placeholder &  daughters ")
    assert asked.status_code == 200
    assert "your password" in text_of(asked)
    for name, value in (("uploads", "exact"), ("site_name", "  placeholder &amp;  daughters ")):
        assert f'<input type="hidden" name="{name}" value="{value}">' in asked.content.decode(), "nothing that was decided is lost"
    assert not waiting("restore")
    assert "restore" not in [act["action"] for act in acts()]
    answer = post(ann, path, uploads="exact", site_name=SITE_NAME, password=PASSWORD)
    (request,) = waiting("restore")
    assert (request.archive, request.requested_by) == (NAME, "ann")
    assert request.arguments == {"uploads": "exact", "trust_unsigned": False, "previewed": journal.id}
    progress, _, query = answer["Location"].partition("?")
    assert progress_operation_of(progress.split("/")[3]) == request.id, "by a link that needs no session: they all end"
    assert "cancel=" in query
    assert ("place=site" in query) == (place is SITE)
    act = acts()[-1]
    assert (act["action"], act["archive"]) == ("restore", NAME)
    assert act["detail"].startswith("uploads exact")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"uploads": "merge", "site_name": ""}, "Type the site's name to confirm."),
        ({"uploads": "merge", "site_name": "TimeTracker"}, f"That is not the site's name. Type: {SITE_NAME}"),
        ({"uploads": "everything", "site_name": SITE_NAME}, "Select a valid choice."),
        ({"site_name": SITE_NAME}, "Choose what becomes of the uploads."),
    ],
)
def test_nothing_begins_before_all_is_decided_and_what_was_typed_stays(
    ann: Client, busy_worker: None, fields: dict[str, str], said: str
) -> None:
    archived()
    response = post(ann, ADMIN.url("preview", previewed().id), password=PASSWORD, **fields)
    assert response.status_code == 200
    assert "Not begun yet." in text_of(response)
    assert said in text_of(response)
    assert f'value="{html.escape(fields["site_name"])}"' in response.content.decode()
    assert not waiting("restore")
    assert acts() == []


def test_an_archive_that_the_site_cannot_prove_to_be_its_own_needs_a_second_consent(ann: Client, busy_worker: None) -> None:
    archived()
    path = ADMIN.url("preview", previewed(signature="unknown key").id)
    fields = {"uploads": "merge", "site_name": SITE_NAME, "password": PASSWORD}
    refused = post(ann, path, **fields)
    assert "Without this consent the archive is not restored" in text_of(refused)
    assert "Whoever has prepared it can have given themselves every right." in text_of(refused)
    assert not waiting("restore")
    post(ann, path, trust="on", **fields)
    (request,) = waiting("restore")
    assert request.arguments["trust_unsigned"] is True
    assert "consent given" in acts()[-1]["detail"]


def test_the_consent_cannot_be_slipped_in_for_a_signed_archive(ann: Client, busy_worker: None) -> None:
    archived()
    post(ann, ADMIN.url("preview", previewed().id), trust="on", uploads="skip", site_name=SITE_NAME, password=PASSWORD)
    (request,) = waiting("restore")
    assert request.arguments["trust_unsigned"] is False


def test_an_archive_without_uploads_leaves_no_choice_that_would_remove_any(ann: Client, busy_worker: None) -> None:
    archived(has_uploads=False)
    path = ADMIN.url("preview", previewed(uploads=None, has_uploads=False).id)
    assert 'value="exact"' not in ann.get(path).content.decode()
    post(ann, path, uploads="exact", site_name=SITE_NAME, password=PASSWORD)
    assert not waiting("restore")
    post(ann, path, uploads="skip", site_name=SITE_NAME, password=PASSWORD)
    assert len(waiting("restore")) == 1


def test_a_wrong_password_begins_nothing(ann: Client, busy_worker: None) -> None:
    archived()
    response = post(ann, ADMIN.url("preview", previewed().id), uploads="merge", site_name=SITE_NAME, password="guessed")
    assert "That is not the password of ann." in text_of(response)
    assert not waiting("restore")


def test_a_form_that_is_sent_twice_begins_one_restore(ann: Client, busy_worker: None) -> None:
    archived()
    path = ADMIN.url("preview", previewed().id)
    fields = {"uploads": "merge", "site_name": SITE_NAME, "password": PASSWORD}
    post(ann, path, **fields)
    (request,) = waiting("restore")
    for answer in (post(ann, path, **fields), ann.get(path)):
        assert progress_operation_of(answer["Location"].split("/")[3]) == request.id
    assert len(waiting("restore")) == 1
    request.start()
    request.end("failed", error="The disk is full.")
    assert "has been begun from this preview already, and did not succeed" in text_of(ann.get(path))


@pytest.mark.parametrize(
    ("stale", "said"),
    [
        ("old", "more than an hour old"),
        ("another's", "This preview was made for bob"),
        ("archive gone", "no longer in the store"),
        ("another archive", "no longer in the store, or it is another one now"),
        ("replaced", "The data was replaced after this preview was made."),
    ],
)
def test_a_preview_that_does_not_count_any_more_is_shown_without_the_way_on(ann: Client, busy_worker: None, stale: str, said: str) -> None:
    row = archived()
    journal = previewed(by="bob" if stale == "another's" else "ann", minutes_ago=61 if stale == "old" else 3)
    if stale == "archive gone":
        row.delete()
    if stale == "another archive":
        Backup.objects.update(archive_id="0" * 32)
    if stale == "replaced":
        restored = Journal(kind="restore", archive=NAME)
        restored.start()
        restored.end("done")
    path = ADMIN.url("preview", journal.id)
    response = ann.get(path)
    assert said in text_of(response)
    assert 'name="site_name"' not in response.content.decode()
    post(ann, path, uploads="merge", site_name=SITE_NAME, password=PASSWORD)
    assert not waiting("restore")


def test_a_refusal_keeps_what_was_typed(ann: Client) -> None:
    archived()
    response = post(ann, ADMIN.url("preview", previewed().id), uploads="skip", site_name=SITE_NAME, password=PASSWORD)
    assert response.status_code == 409
    assert "No worker has answered" in text_of(response)
    assert f'value="{html.escape(SITE_NAME)}"' in response.content.decode()
    assert re.search(r'value="skip" id="uploads-skip" checked', response.content.decode())


def test_an_act_that_cannot_be_written_down_does_not_happen(ann: Client, busy_worker: None) -> None:
    archived()
    (conf.state_dir / "audit.log").mkdir(parents=True)
    response = post(ann, ADMIN.url("preview", previewed().id), uploads="skip", site_name=SITE_NAME, password=PASSWORD)
    assert response.status_code == 409
    assert not waiting("restore")


def test_without_a_name_of_its_own_the_sites_host_is_typed(ann: Client, busy_worker: None, settings: Settings) -> None:
    settings.BACKUPS_SITE_NAME = ""
    archived()
    path = ADMIN.url("preview", previewed().id)
    assert "type the site's name: testserver" in text_of(ann.get(path))
    post(ann, path, uploads="skip", site_name="testserver", password=PASSWORD)
    assert len(waiting("restore")) == 1


# --- switched off ---------------------------------------------------------------------------------------------------------


@PLACES
def test_switched_off_every_page_of_it_names_the_command_and_does_nothing(
    place: Place, ann: Client, busy_worker: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BACKUPS_ALLOW_WEB_RESTORE = False
    monkeypatch.setenv("MANAGE_COMMAND", "./run manage")
    archived()
    for path, title, command in (
        (place.url("restore", NAME), "Restoring", f"./run manage backup_restore {NAME}"),
        (place.url("preview", previewed().id), "Restoring", "./run manage backup_restore ARCHIVE"),
        (place.url("undo"), "Undoing", "./run manage backup_undo"),
    ):
        token = "t" * 32
        ann.cookies["csrftoken"] = token
        for response in (ann.get(path), ann.post(path, {"csrfmiddlewaretoken": token, "uploads": "skip", "site_name": SITE_NAME})):
            assert response.status_code == 403
            assert f"{title} is left to the server" in text_of(response)
            assert command in text_of(response)
    assert [journal.kind for journal in journal_load_all() if journal.status == "queued"] == []


def test_switched_off_the_archives_to_choose_from_name_the_command_too(ann: Client, settings: Settings) -> None:
    settings.BACKUPS_ALLOW_WEB_RESTORE = False
    response = ann.get(SITE.url("choose"))
    assert response.status_code == 403
    assert "Restoring is left to the server" in text_of(response)
    assert "manage.py backup_restore ARCHIVE" in text_of(response)


def test_who_may_not_restore_is_not_told_that_it_is_switched_off(settings: Settings) -> None:
    settings.BACKUPS_ALLOW_WEB_RESTORE = False
    archived()
    bob = person("view", "change", "add", "delete", "download", name="bob")
    response = bob.get(ADMIN.url("restore", NAME))
    assert response.status_code == 403
    assert "backup_restore" not in response.content.decode()
