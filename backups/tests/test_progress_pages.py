"""The pages behind the links: how an operation goes, and its cancelling, without database, session or user.

pytest-django lets no test without its mark reach the database, so every page here is made without a query.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signing import TimestampSigner, b62_encode
from django.test import Client
from pytest_django import Settings

from backups.journal import Journal, journal_find
from backups.links import PROGRESS_SALT, cancel_link, cancel_right_of, progress_link
from backups.progress import Progress
from backups.stage_words import stages_shown
from backups.tests.reading import text_of
from backups.tests.workers import wait_until
from backups.watch import cancelled_by, watch_read, watching

pytestmark = pytest.mark.usefixtures("own_gate")


@pytest.fixture
def client() -> Client:
    """A visitor whose browser has nothing: no cookie."""
    return Client(enforce_csrf_checks=True)


@pytest.fixture
def journal() -> Journal:
    """A restore that has been asked for."""
    journal = Journal(kind="restore", archive="backup_20261122_171350_98b10547.zip", requested_by="ann")
    journal.save()
    return journal


def started(journal: Journal, stage: str = "") -> Journal:
    """The operation, at work in ``stage``."""
    journal.start()
    if stage:
        journal.enter(stage)
    return journal


def refreshes(response: Any) -> bool:
    """Whether the page asks for itself again, with and without JavaScript."""
    body = response.content.decode()
    found = {'http-equiv="refresh"' in body, 'hx-trigger="every 1s"' in body, "htmx" in body[body.index("<link") :]}
    assert len(found) == 1, "the two ways differ"
    return found.pop()


@pytest.fixture
def half_done(journal: Journal) -> Iterator[Progress]:
    """The progress of the restore, half through its dump, as its own process tells it."""
    started(journal, "extract")
    progress = Progress(interval=0)
    with watching(journal, progress):
        progress.stage("extract", total=400_000_000, message="the archive")
        progress.warn("Two files are missing.")
        progress.advance(168_000_000)
        wait_until(lambda: (found := watch_read(journal.id)) is not None and found.percent == 42.0, "the progress")
        yield progress


def test_a_running_operation_shows_stage_percent_amount_rate_and_warnings(client: Client, journal: Journal, half_done: Progress) -> None:
    response = client.get(progress_link(journal.id))
    assert response.status_code == 200
    text = text_of(response)
    stage = "Stage: Reading and proving the archive"
    for shown in ("Restore", stage, "42 %", "168.0 MB of 400.0 MB", "/s", "Two files are missing.", journal.archive):
        assert shown in text
    assert '<progress aria-label="Progress of this stage" max="100" value="42.0">' in response.content.decode()
    assert refreshes(response)


def test_a_running_operation_shows_which_stages_are_over_and_which_are_to_come(
    client: Client, journal: Journal, half_done: Progress
) -> None:
    page = client.get(progress_link(journal.id)).content.decode()
    assert re.findall(r'class="stage-(\w+)"', page)[:4] == ["over", "now", "ahead", "ahead"]
    assert "Checks before the start (over)" in text_of(client.get(progress_link(journal.id)))
    part = client.get(progress_link(journal.id), headers={"HX-Request": "true"}).content.decode()
    assert part.count('id="log" hx-swap-oob="true"') == 1, "the log beside it is brought along"
    assert "hx-swap-oob" not in page


@pytest.mark.parametrize("stage", ["load", "something new"])
def test_of_a_way_that_is_not_known_no_stage_is_foretold(stage: str) -> None:
    assert stages_shown("restore", stage) == []


def test_the_same_as_json(client: Client, journal: Journal, half_done: Progress) -> None:
    response = client.get(progress_link(journal.id).rstrip("/") + ".json")
    assert response.status_code == 200
    data: dict[str, Any] = response.json()
    assert (data["operation"], data["kind"], data["status"], data["finished"]) == (journal.id, "restore", "running", False)
    assert (data["stage"], data["percent"], data["done"], data["total"]) == ("extract", 42.0, 168_000_000, 400_000_000)
    assert data["warnings"] == ["Two files are missing."]
    assert response["Cache-Control"] == "no-store"


def test_a_link_does_not_tell_what_a_preview_has_found_of_accounts(client: Client) -> None:
    journal = Journal(kind="preview", archive="backup_20261122_171350_98b10547.zip", requested_by="ann")
    started(journal).report = {"administrators": ["ann", "root"], "accounts": [{"username": "root", "sentence": "has another password"}]}
    journal.end("done")
    link = progress_link(journal.id)
    data = client.get(link.rstrip("/") + ".json")
    assert (data.json()["status"], data.json()["report"]) == ("done", {})
    assert "root" not in data.content.decode() + client.get(link).content.decode()


def test_a_request_says_that_it_waits_and_for_what(client: Client, journal: Journal) -> None:
    started(Journal(kind="create"))
    response = client.get(progress_link(journal.id))
    assert "It waits to be begun: the backup is at work." in text_of(response)
    assert refreshes(response)


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        ("done", "", "Done in"),
        ("failed", "The archive <is> damaged.", "It failed. The archive <is> damaged."),
        ("recovered", "Interrupted; everything is as it was before.", "It was interrupted, and settled afterwards."),
    ],
)
def test_an_operation_that_is_over_shows_its_end_and_asks_no_more(
    client: Client, journal: Journal, status: str, error: str, said: str
) -> None:
    started(journal).report = {"milliseconds_closed": 12.4, "rows_after": {"a": 1}, "undo_until": "2026-11-25T17:14:09+00:00"}
    journal.end(status, error=error)
    response = client.get(progress_link(journal.id, may_cancel=True))
    assert said in text_of(response)
    assert ("closed for 12 ms" in text_of(response)) == (status == "done")
    assert "Cancel" not in text_of(response)
    assert not refreshes(response)


def test_the_page_asks_on_until_the_last_of_the_log_is_there(client: Client, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backups.watch.LAST_WORDS", 3600.0)
    link = progress_link(journal.id)
    progress = Progress(interval=0)
    with watching(started(journal), progress):
        wait_until(lambda: (found := watch_read(journal.id)) is not None and found.updated is not None, "the progress")
        journal.end("done")
        progress.warn("The history has no row of it yet.")
        early, part = client.get(link), client.get(link, headers={"HX-Request": "true"})
    assert "Done in" in text_of(early)
    assert refreshes(early), "there is more to come"
    assert 'hx-trigger="every 1s"' in part.content.decode()
    assert "HX-Refresh" not in part.headers
    late, part = client.get(link), client.get(link, headers={"HX-Request": "true"})
    assert "The history has no row of it yet." in text_of(late)
    assert not refreshes(late)
    assert part.headers["HX-Refresh"] == "true"


def test_nobody_waits_for_the_last_words_of_a_process_that_is_dead(
    client: Client, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backups.watch.LAST_WORDS", 0.0)
    with watching(started(journal), Progress(interval=0)):
        wait_until(lambda: (found := watch_read(journal.id)) is not None and found.updated is not None, "the progress")
        journal.end("recovered")
        assert not refreshes(client.get(progress_link(journal.id)))


def test_how_long_the_stage_takes_still_is_said(client: Client, journal: Journal, half_done: Progress) -> None:
    assert re.search(
        r"about (\d+ (h|min|s) ?){1,2}left in this stage|(?<!about )less than a second left in this stage",
        text_of(client.get(progress_link(journal.id))),
    )


def test_a_restore_that_is_done_says_what_was_checked_and_leads_to_its_result(client: Client, journal: Journal) -> None:
    report = {"milliseconds_closed": 12.4, "rows_after": {"a": 1200, "b": 34}, "migrated": ["tracking.0002"], "undo_until": "2026-11-25"}
    started(journal).report = report
    journal.end("done")
    text = text_of(client.get(progress_link(journal.id)))
    for said in (
        "Every byte of the archive was read, and each SHA-256 was right.",
        "1,234 rows in 2 tables went live.",
        "Migrations that were run: tracking.0002.",
        "The site was closed for 12 ms.",
        "Everyone must log in again",
    ):
        assert said in text
    assert ways_of(client, journal) == {
        "Log in again to see the result, or to undo it": f"/admin/backups/backup/operations/{journal.id}/",
        "See all backups": "/admin/backups/backup/",
    }


def test_an_undo_claims_nothing_about_an_archive(client: Client, journal: Journal) -> None:
    journal.kind = "undo"
    started(journal).report = {"milliseconds_closed": 3, "rows_after": {"a": 1}, "migrated": []}
    journal.end("done")
    text = text_of(client.get(progress_link(journal.id)))
    assert "Every byte" not in text
    assert "No migration had to be run." in text
    assert "Log in again to see the result See all" in text, "there is nothing to undo to"


@pytest.mark.parametrize(
    ("kind", "status", "place", "ways"),
    [
        (
            "create",
            "done",
            "admin",
            ["/admin/backups/backup/archives/{archive}/download/", "/admin/backups/backup/archives/{archive}/", "/admin/backups/backup/"],
        ),
        ("create", "failed", "admin", ["/admin/backups/backup/"]),
        ("upload", "done", "admin", ["/admin/backups/backup/archives/{archive}/restore/", "/admin/backups/backup/"]),
        ("upload", "done", "site", ["/import-export/archive/archives/{archive}/restore/", "/import-export/archive/"]),
        ("upload", "failed", "site", ["/import-export/archive/upload/", "/import-export/archive/"]),
        ("restore", "failed", "site", ["/import-export/archive/operations/{operation}/", "/import-export/archive/"]),
        ("undo", "done", "admin", ["/admin/backups/backup/operations/{operation}/", "/admin/backups/backup/"]),
        ("verify", "failed", "admin", ["/admin/backups/backup/archives/{archive}/", "/admin/backups/backup/"]),
        ("prune", "done", "admin", ["/admin/backups/backup/"]),
        ("preview", "failed", "admin", ["/admin/backups/backup/restore/{operation}/", "/admin/backups/backup/"]),
    ],
)
def test_what_is_over_leads_on_within_the_place_that_it_began_in(
    client: Client, journal: Journal, kind: str, status: str, place: str, ways: list[str]
) -> None:
    journal.kind = kind
    started(journal).end(status)
    found = list(ways_of(client, journal, place=place).values())
    assert found == [way.format(archive=journal.archive, operation=journal.id) for way in ways]


@pytest.mark.parametrize(("place", "root"), [("admin", "/admin/backups/backup"), ("site", "/import-export/archive")])
def test_a_preview_that_is_done_is_shown_at_once(client: Client, journal: Journal, place: str, root: str) -> None:
    journal.kind = "preview"
    started(journal)
    link = progress_link(journal.id, place=place)
    assert client.get(link).status_code == 200
    journal.end("done")
    assert client.get(link).headers["Location"] == f"{root}/restore/{journal.id}/"
    answer = client.get(link, headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, f"{root}/restore/{journal.id}/")


def test_a_place_that_nobody_knows_is_the_admin(client: Client, journal: Journal) -> None:
    started(journal).end("failed")
    page = client.get(f"{progress_link(journal.id)}?place=//elsewhere.example").content.decode()
    assert "elsewhere" not in page


def test_cancelling_leads_back_to_the_place_that_it_began_in(client: Client, journal: Journal) -> None:
    started(journal)
    page = client.get(progress_link(journal.id, may_cancel=True, place="site")).content.decode()
    (cancel,) = re.findall(r'href="(/backups/cancel/[^"]+)"', page)
    assert client.post(cancel.replace("&amp;", "&")).headers["Location"].endswith("&place=site")


def test_an_operation_that_was_cancelled_is_not_said_to_have_failed(client: Client, journal: Journal) -> None:
    started(journal).report = {"cancelled_by": "ann"}
    journal.end("failed", error="Cancelled by ann.")
    page = client.get(progress_link(journal.id))
    assert "<title>Restore: cancelled · " in page.content.decode()
    text = text_of(page)
    assert "It was cancelled , and has taken back what it had done. Cancelled by ann." in text
    assert "It failed" not in text


def ways_of(client: Client, journal: Journal, *, place: str = "admin") -> dict[str, str]:
    """Where the page leads: what each link says, and its path."""
    page = client.get(progress_link(journal.id, place=place)).content.decode()
    return {words: path for path, words in re.findall(r'<a class="button[^"]*" href="([^"]+)">([^<]+)</a>', page)}


def test_htmx_gets_the_part_that_changes_and_at_the_end_the_whole_page_once_more(client: Client, journal: Journal) -> None:
    started(journal, "verify")
    response = client.get(progress_link(journal.id), headers={"HX-Request": "true"})
    assert response.content.decode().count("<section") == 1
    assert "<html" not in response.content.decode()
    assert "HX-Refresh" not in response
    journal.end("done")
    assert client.get(progress_link(journal.id), headers={"HX-Request": "true"})["HX-Refresh"] == "true"


def test_cancelling_is_offered_to_whom_it_was_given_and_nobody_else(client: Client, journal: Journal) -> None:
    started(journal)
    assert "Cancel" not in text_of(client.get(progress_link(journal.id)))
    page = client.get(progress_link(journal.id, may_cancel=True)).content.decode()
    assert f'href="{cancel_link(journal.id)}"' in page
    other = Journal(kind="create")
    forged = progress_link(journal.id) + "?cancel=" + progress_link(other.id, may_cancel=True).partition("?cancel=")[2]
    for path in (forged, progress_link(journal.id) + "?cancel=nonsense"):
        assert "Cancel" not in text_of(client.get(path))


def audited(settings: Settings) -> list[tuple[str, ...]]:
    log = settings.BACKUPS_STATE_DIR / "audit.log"
    lines = map(json.loads, log.read_text().splitlines() if log.exists() else ())
    return [tuple(line[name] for name in ("action", "who", "address", "archive", "operation")) for line in lines]


def test_who_got_the_link_is_who_cancels(client: Client, journal: Journal, settings: Settings) -> None:
    started(journal)
    page = client.get(progress_link(journal.id, may_cancel=True, account="bo")).content.decode()
    (cancel,) = re.findall(r'href="(/backups/cancel/[^"]+)"', page)
    answer = client.post(cancel)
    assert cancelled_by(journal.id) == "bo"
    assert audited(settings) == [("cancel", "bo", "127.0.0.1", journal.archive, journal.id)]
    assert cancel_right_of(answer["Location"].partition("?cancel=")[2]).account == "bo"


def test_what_cannot_be_written_down_is_not_cancelled(client: Client, journal: Journal, settings: Settings) -> None:
    started(journal)
    (settings.BACKUPS_STATE_DIR / "audit.log").mkdir()
    answer = client.post(cancel_link(journal.id))
    assert answer.status_code == 503
    assert "cannot be written into the audit file" in text_of(answer)
    assert cancelled_by(journal.id) == ""


def test_cancelling_a_running_operation_asks_it_to_end(client: Client, journal: Journal, settings: Settings) -> None:
    started(journal, "shadow")
    form = client.get(cancel_link(journal.id))
    assert "Cancel this restore?" in text_of(form)
    assert '<form method="post">' in form.content.decode()
    assert cancelled_by(journal.id) == "", "a GET changes nothing"
    assert audited(settings) == []
    answer = client.post(cancel_link(journal.id))
    assert answer.status_code == 302
    assert audited(settings) == [("cancel", "the holder of a link", "127.0.0.1", journal.archive, journal.id)]
    assert cancelled_by(journal.id) == "the holder of a link (127.0.0.1)"
    page = client.get(answer["Location"])
    assert "It is being cancelled, and takes back what it has done." in text_of(page)
    assert "Cancel…" not in text_of(page)
    assert "being cancelled" in text_of(client.get(cancel_link(journal.id)))


def test_cancelling_a_request_ends_it_before_it_begins(client: Client, journal: Journal) -> None:
    assert "It has not begun yet. Cancelled, it never will." in text_of(client.get(cancel_link(journal.id)))
    assert client.post(cancel_link(journal.id)).status_code == 302
    found = journal_find(journal.id)
    assert found is not None
    assert (found.status, found.error) == ("failed", "Cancelled by the holder of a link (127.0.0.1) before it began.")


def test_what_is_over_cannot_be_cancelled(client: Client, journal: Journal) -> None:
    started(journal).end("done")
    for response in (client.get(cancel_link(journal.id)), client.post(cancel_link(journal.id))):
        assert response.status_code == 200
        assert "It is over, so there is nothing to cancel." in text_of(response)
    assert cancelled_by(journal.id) == ""


def test_a_wish_that_cannot_be_written_is_told(client: Client, journal: Journal, settings: Settings) -> None:
    started(journal)
    (settings.BACKUPS_STATE_DIR / "cancel").symlink_to("nowhere")
    response = client.post(cancel_link(journal.id))
    assert response.status_code == 503
    assert "The wish could not be written (File exists), so it goes on. Try again." in text_of(response)


@pytest.mark.parametrize("path", ["/backups/progress/nonsense/", "/backups/cancel/nonsense/", "/backups/progress/nonsense.json"])
def test_a_link_that_is_none_is_refused_in_words(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "This link is not one that the site has made." in response.content.decode()


def test_an_expired_link_is_gone(client: Client, journal: Journal) -> None:
    class OldSigner(TimestampSigner):
        def timestamp(self) -> str:
            return b62_encode(int(time.time()) - 25 * 3600)

    token = OldSigner(sep=".", salt=PROGRESS_SALT).sign(journal.id)
    for path in (f"/backups/progress/{token}/", f"/backups/progress/{token}.json"):
        response = client.get(path)
        assert response.status_code == 410
        assert "This link has expired." in response.content.decode()


def test_an_operation_whose_journal_is_gone_is_not_found(client: Client, journal: Journal) -> None:
    path = progress_link(journal.id)
    journal.path.unlink()
    assert client.get(path).status_code == 404


def test_nothing_of_these_pages_is_stored_passed_on_or_found(client: Client, journal: Journal) -> None:
    for path in (progress_link(journal.id), cancel_link(journal.id), "/backups/progress/nonsense/"):
        response = client.get(path)
        assert response["Cache-Control"] == "no-store"
        assert response["Referrer-Policy"] == "no-referrer"
        assert response["X-Robots-Tag"] == "noindex"
        assert response["Content-Security-Policy"].startswith("default-src 'self'")
        assert not response.cookies


def test_other_methods_are_refused(client: Client, journal: Journal) -> None:
    assert client.put(cancel_link(journal.id)).status_code == 405
    assert Client().post(progress_link(journal.id)).status_code == 405
    assert client.head(progress_link(journal.id)).status_code == 200


def test_the_pages_render_while_the_gate_is_closed(client: Client, journal: Journal) -> None:
    import backups.gate as gate

    started(journal, "swap")
    gate.gate_raise(journal.id, "restore")
    try:
        gate.gate_close(local_marker=True)
        assert client.get("/").status_code == 503
        assert "Stage: The swap" in text_of(client.get(progress_link(journal.id)))
        assert client.post(cancel_link(journal.id)).status_code == 302
        assert client.get("/healthz").content == b"ok\n"
    finally:
        gate.gate_open()
