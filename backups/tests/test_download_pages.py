"""Downloading: a link for one account and one download, which goes on after a lost connection; and never a public URL."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core import signing
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from backups.downloads import LINK_SECONDS, RESUME_SECONDS, download_claim, download_link_read, download_token, downloads_sweep
from backups.models import Backup
from backups.pages import download
from backups.storage import archive_store
from backups.tests.stored import archive_placed, store_of_its_own
from timetracker.accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_gate"), pytest.mark.one_engine]

PASSWORD = "correct horse battery"
CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> Path:
    """The store's folder."""
    return store_of_its_own(settings, tmp_path / "store")


@pytest.fixture
def archive(store: Path) -> str:
    """An archive, of which only the bytes matter here."""
    return archive_placed(store, content=CONTENT)


@pytest.fixture
def person(db: None) -> User:
    """Somebody on the staff who may download, and nothing more."""
    return someone("ada")


@pytest.fixture
def browser(person: User) -> Client:
    """Their browser."""
    return logged_in(person)


def someone(name: str) -> User:
    made = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename="download_backup"))
    return made


def logged_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def link_of(browser: Client, archive: str) -> str:
    """A new link, as the page gives it."""
    page = browser.post(reverse("admin:backups_download", args=[archive]), {"password": PASSWORD}).content.decode()
    (link,) = re.findall(r'<meta http-equiv="refresh" content="0; url=([^"]+)">', page)
    assert f'<a href="{link}">{archive}</a>' in page, "for browsers that do not go on by themselves"
    return str(link)


def body(answer: Any) -> bytes:
    content: bytes = b"".join(answer.streaming_content)
    return content


def broken(answer: Any) -> bytes:
    """The first piece of the answer; then the connection is lost."""
    first: bytes = next(iter(answer.streaming_content))
    # Django's client lets a response that is closed by itself close the test's database.
    answer._iterator.close()
    return first


def audited(settings: Settings) -> list[tuple[str, str, str]]:
    lines = (Path(settings.BACKUPS_STATE_DIR) / "audit.log").read_text().splitlines()
    return [(line["action"], line["who"], line["archive"]) for line in map(json.loads, lines)]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds have gone by since every link was made."""

    def later(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: datetime.now(UTC).timestamp() + seconds)

    return later


# --- two clicks -----------------------------------------------------------------------------------------------------------------


def test_file_comes_whole_with_what_a_browser_needs_to_save_it(browser: Client, archive: str) -> None:
    answer = browser.get(link_of(browser, archive))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{archive}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert {"no-store", "private"} <= set(answer.headers["Cache-Control"].split(", "))
    assert body(answer) == CONTENT


def test_act_is_written_down_when_it_is_asked_for_and_when_it_begins(browser: Client, archive: str, settings: Settings) -> None:
    link = link_of(browser, archive)
    assert audited(settings) == [("download", "ada", archive)]
    broken(browser.get(link))
    assert audited(settings) == [("download", "ada", archive), ("download-begun", "ada", archive)]
    entry = LogEntry.objects.get()
    assert (entry.user.get_username(), entry.object_repr, entry.change_message) == ("ada", archive, "Download")
    assert entry.object_id == str(Backup.objects.get(name=archive).pk)


def test_without_the_audit_file_there_is_no_link_and_no_byte(browser: Client, archive: str, settings: Settings) -> None:
    link = link_of(browser, archive)
    log = Path(settings.BACKUPS_STATE_DIR) / "audit.log"
    log.unlink()
    log.mkdir()
    answer = browser.post(reverse("admin:backups_download", args=[archive]))
    assert answer.status_code == 409
    assert "so it was not begun" in answer.content.decode()
    assert "url=" not in answer.content.decode()
    assert LogEntry.objects.count() == 1, "that of the link before"
    answer = browser.get(link)
    assert answer.status_code == 409
    assert not answer.streaming


def test_asked_for_by_its_address_the_page_offers_a_button(browser: Client, archive: str) -> None:
    page = browser.get(reverse("admin:backups_download", args=[archive])).content.decode()
    assert '<button type="submit">Download</button>' in page
    assert "refresh" not in page


# --- whose link it is -----------------------------------------------------------------------------------------------------------


def test_link_is_of_no_use_to_anybody_else(browser: Client, archive: str, admin_user: Any) -> None:
    link = link_of(browser, archive)
    assert Client().get(link).status_code == 302
    assert logged_in(admin_user).get(link).status_code == 404
    assert logged_in(someone("bob")).get(link).status_code == 404
    assert body(browser.get(link)) == CONTENT, "none of them has used it up"


def test_link_stops_with_the_right_and_with_the_account(browser: Client, person: User, archive: str) -> None:
    link = link_of(browser, archive)
    person.user_permissions.clear()
    assert browser.get(link).status_code == 403
    person.user_permissions.set(Permission.objects.filter(codename="download_backup"))
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert browser.get(link).status_code == 302


def test_link_to_one_archive_is_none_to_another(browser: Client, store: Path, archive: str) -> None:
    other = archive_placed(store, 1)
    assert browser.get(link_of(browser, archive).replace(archive, other)).status_code == 404


@pytest.mark.parametrize("change", ["x", "", ":::"])
def test_token_that_the_site_has_not_made_opens_nothing(browser: Client, person: User, archive: str, change: str) -> None:
    token = download_token(archive, account=person.pk)
    answer = browser.get(reverse("admin:backups_download-file", args=[change + token[3:], archive]))
    assert answer.status_code == 410
    forged = signing.dumps([str(person.pk), archive, "0" * 32], salt="backups.progress")
    assert browser.get(reverse("admin:backups_download-file", args=[forged, archive])).status_code == 410


def test_archive_that_was_deleted_meanwhile_is_not_there(browser: Client, store: Path, archive: str) -> None:
    link = link_of(browser, archive)
    (store / archive).unlink()
    assert browser.get(link).status_code == 404


# --- once -----------------------------------------------------------------------------------------------------------------------


def test_second_download_is_refused_and_offers_another_link(browser: Client, archive: str) -> None:
    link = link_of(browser, archive)
    assert body(browser.get(link)) == CONTENT
    again = browser.get(link)
    assert again.status_code == 410
    assert f'action="{reverse("admin:backups_download", args=[archive])}"' in again.content.decode()
    assert browser.head(link).status_code == 410


def test_of_many_who_come_at_once_exactly_one_gets_it(person: User, archive: str) -> None:
    link = download_link_read(download_token(archive, account=person.pk))
    assert link is not None
    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(lambda _: download_claim(link, '"etag"'), range(16))) == [False] * 15 + [True]


def test_asking_for_the_headers_alone_uses_nothing_up(browser: Client, archive: str) -> None:
    link = link_of(browser, archive)
    answer = browser.head(link)
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(CONTENT)))
    assert answer.content == b""
    assert body(browser.get(link)) == CONTENT


def test_link_that_is_too_old_cannot_begin(browser: Client, archive: str, later: Callable[[float], None]) -> None:
    link = link_of(browser, archive)
    later(LINK_SECONDS + 2)
    assert browser.get(link).status_code == 410
    assert browser.head(link).status_code == 410


def test_claim_that_cannot_be_written_is_told_and_sends_nothing(browser: Client, archive: str, settings: Settings) -> None:
    link = link_of(browser, archive)
    (Path(settings.BACKUPS_STATE_DIR) / "downloads").write_text("a file, where the folder should be")
    answer = browser.get(link)
    assert answer.status_code == 409
    assert "The download cannot begin" in answer.content.decode()


# --- going on -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["If-Range", "If-Match"], ids=["as Chromium does", "as Firefox does"])
def test_broken_download_goes_on_where_it_stopped(browser: Client, archive: str, header: str, later: Callable[[float], None]) -> None:
    link = link_of(browser, archive)
    begun = browser.get(link)
    first = broken(begun)
    later(LINK_SECONDS + 3600)
    rest = browser.get(link, headers={"Range": f"bytes={len(first)}-", header: begun.headers["ETag"]})
    assert rest.status_code == 206
    assert rest.headers["Content-Range"] == f"bytes {len(first)}-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert rest.headers["Content-Length"] == str(len(CONTENT) - len(first))
    assert first + body(rest) == CONTENT
    again = browser.get(link, headers={"Range": "bytes=-10", header: begun.headers["ETag"]})
    assert body(again) == CONTENT[-10:], "a connection can be lost more than once"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-"},
        {"Range": f"bytes=-{len(CONTENT)}"},
        {"Range": "bytes=1-2,4-5"},
        {"Range": "lines=5-"},
        {"Range": "bytes=5-", "If-Range": '"another"'},
        {"Range": "bytes=5-", "If-Range": "Sat, 01 Mar 2026 08:00:00 GMT"},
        {"Range": "bytes=0-", "If-Range": "ETAG"},
        {"If-Range": "ETAG"},
        {"Range": "bytes=1-2,4-5", "If-Range": "ETAG"},
        {"Range": f"bytes=-{len(CONTENT)}", "If-Range": "ETAG"},
    ],
    ids=str,
)
def test_begun_download_gives_no_second_one_and_nothing_to_who_does_not_know_it(
    browser: Client, archive: str, headers: dict[str, str]
) -> None:
    link = link_of(browser, archive)
    begun = browser.get(link)
    broken(begun)
    asked = {name: value.replace("ETAG", begun.headers["ETag"]) for name, value in headers.items()}
    assert browser.get(link, headers=asked).status_code == 410


def test_program_that_asks_for_no_more_than_a_range_goes_on(browser: Client, archive: str, later: Callable[[float], None]) -> None:
    link = link_of(browser, archive)
    first = broken(browser.get(link))
    later(LINK_SECONDS + 3600)
    for headers in ({}, {"If-Match": "*"}):
        rest = browser.get(link, headers={"Range": f"bytes={len(first)}-", **headers})
        assert (rest.status_code, first + body(rest)) == (206, CONTENT)
    done = browser.get(link, headers={"Range": f"bytes={len(CONTENT)}-"})
    assert (done.status_code, done.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}"), "nothing is left of it"
    later(RESUME_SECONDS + 2)
    assert browser.get(link, headers={"Range": "bytes=5-"}).status_code == 410


def test_new_link_goes_on_with_what_an_older_one_has_begun(browser: Client, archive: str) -> None:
    first = broken(browser.get(link_of(browser, archive)))
    link, at = link_of(browser, archive), len(first)
    second = broken(browser.get(link, headers={"Range": f"bytes={at}-"}))
    rest = browser.get(link, headers={"Range": f"bytes={at + len(second)}-"})
    assert first + second + body(rest) == CONTENT
    assert browser.get(link).status_code == 410


def test_begun_download_goes_on_for_its_account_alone(browser: Client, archive: str) -> None:
    link = link_of(browser, archive)
    broken(browser.get(link))
    assert logged_in(someone("bob")).get(link, headers={"Range": "bytes=5-"}).status_code == 404
    assert Client().get(link, headers={"Range": "bytes=5-"}).status_code == 302


def test_download_whose_beginning_was_not_written_to_its_end_goes_on_for_who_has_its_etag(
    browser: Client, archive: str, settings: Settings
) -> None:
    link = link_of(browser, archive)
    begun = browser.get(link)
    broken(begun)
    (claim,) = (Path(settings.BACKUPS_STATE_DIR) / "downloads").iterdir()
    claim.write_text("")
    assert browser.get(link, headers={"Range": "bytes=5-"}).status_code == 410
    assert body(browser.get(link, headers={"Range": "bytes=5-", "If-Range": begun.headers["ETag"]})) == CONTENT[5:]


def test_begun_download_ends_after_a_day(browser: Client, archive: str, later: Callable[[float], None]) -> None:
    link = link_of(browser, archive)
    begun = browser.get(link)
    broken(begun)
    later(RESUME_SECONDS + 2)
    assert browser.get(link, headers={"Range": "bytes=5-", "If-Range": begun.headers["ETag"]}).status_code == 410


def test_headers_alone_are_no_download_that_could_go_on_later(browser: Client, archive: str, later: Callable[[float], None]) -> None:
    link = link_of(browser, archive)
    etag = browser.head(link).headers["ETag"]
    later(LINK_SECONDS + 2)
    assert browser.get(link, headers={"Range": "bytes=5-", "If-Range": etag}).status_code == 410


def test_another_archive_under_the_name_is_not_taken_for_the_rest(browser: Client, store: Path, archive: str) -> None:
    link = link_of(browser, archive)
    begun = browser.get(link)
    broken(begun)
    (store / archive).write_bytes(CONTENT[:-1] + b"x")
    assert browser.get(link, headers={"Range": "bytes=5-", "If-Range": begun.headers["ETag"]}).status_code == 410
    assert browser.get(link, headers={"Range": "bytes=5-"}).status_code == 410


def test_etag_of_one_link_says_nothing_about_another(browser: Client, archive: str) -> None:
    tags = {browser.head(link_of(browser, archive)).headers["ETag"] for _ in range(2)}
    assert len(tags) == 2
    assert all(re.fullmatch(r'"[\w-]+"', tag) for tag in tags)


@pytest.mark.parametrize(
    ("asked", "status", "sent"), [("bytes=0-9", 206, CONTENT[:10]), ("bytes=0-", 206, CONTENT), ("lines=1-2", 200, CONTENT)]
)
def test_first_request_may_ask_for_a_range(browser: Client, archive: str, asked: str, status: int, sent: bytes) -> None:
    answer = browser.get(link_of(browser, archive), headers={"Range": asked})
    assert answer.status_code == status
    assert body(answer) == sent


def test_range_behind_the_end_uses_nothing_up(browser: Client, archive: str) -> None:
    link = link_of(browser, archive)
    answer = browser.get(link, headers={"Range": f"bytes={len(CONTENT)}-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")
    assert browser.get(link, headers={"If-Match": '"another"'}).status_code == 412
    assert body(browser.get(link)) == CONTENT


# --- what is left over ----------------------------------------------------------------------------------------------------------


def test_claims_are_swept_when_their_links_are_of_no_use_any_more(browser: Client, archive: str, settings: Settings) -> None:
    folder = Path(settings.BACKUPS_STATE_DIR) / "downloads"
    for _ in range(2):
        broken(browser.get(link_of(browser, archive)))
    old, new = sorted(folder.iterdir())
    past = (datetime.now(UTC) - timedelta(seconds=RESUME_SECONDS + LINK_SECONDS + 60)).timestamp()
    os.utime(old, (past, past))
    downloads_sweep()
    assert list(folder.iterdir()) == [new]


# --- a store with links of its own ----------------------------------------------------------------------------------------------


class FarStore:
    """An archive store far away, to which browsers are sent."""

    def __init__(self, store: Any) -> None:
        self.store, self.asked = store, list[tuple[str, int, str]]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def download_url(self, name: str, *, seconds: int, file_name: str) -> str:
        """Remember what was asked for."""
        self.asked.append((name, seconds, file_name))
        return f"https://bucket.example/{name}?signed"


@pytest.fixture
def far(store: Path, monkeypatch: pytest.MonkeyPatch) -> FarStore:
    """The pages' store is far away."""
    far = FarStore(archive_store())
    monkeypatch.setattr(download, "archive_store", lambda: far)
    return far


def test_browser_is_sent_to_the_store_itself_once(browser: Client, archive: str, far: FarStore, settings: Settings) -> None:
    link = link_of(browser, archive)
    assert browser.head(link).status_code == 200
    assert far.asked == [], "nothing is given away to who asks for the headers"
    answer = browser.get(link)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"https://bucket.example/{archive}?signed")
    assert far.asked == [(archive, LINK_SECONDS, archive)]
    assert browser.get(link).status_code == 410
    assert audited(settings)[-1] == ("download-begun", "ada", archive)


def test_site_sends_the_file_itself_where_the_owner_says_so(browser: Client, archive: str, far: FarStore, settings: Settings) -> None:
    settings.BACKUPS_DIRECT_DOWNLOADS = False
    assert body(browser.get(link_of(browser, archive))) == CONTENT
    assert far.asked == []
