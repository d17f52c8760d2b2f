"""The pages of uploading, as browsers with and without JavaScript use them, and as somebody would who guesses addresses."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from pytest_django import Settings

from backups.conf import conf
from backups.journal import Journal, journal_load_all
from backups.links import progress_operation_of
from backups.models import Backup
from backups.pages.place import ADMIN, SITE, Place
from backups.pages.upload import SILENCE
from backups.presence import worker_announce
from backups.quarantine import MOST_OPEN, PIECE, quarantine_folder, upload_append, upload_begin, upload_find, uploads_of
from backups.services.request import requests_run
from backups.tests.hostile import make_archive
from backups.tests.reading import text_of
from backups.tests.restoring import beside

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_gate"), pytest.mark.one_engine]

NAME = "backup_20250304_050608_01234567.zip"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: Settings) -> Path:
    """An empty store of the test's own, and its folder."""
    folder = tmp_path / "store"
    settings.STORAGES = {
        **settings.STORAGES,
        "backups": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}},
    }
    settings.BACKUPS_IMPORT_DIR = str(tmp_path / "import")
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A good archive under a name of a person's own."""
    path = tmp_path / "from a stick.zip"
    make_archive(path, uploads={"a.txt": b"A" * 5000})
    return path


@pytest.fixture
def worker(own_gate: None) -> Iterator[None]:
    """Somebody who works requests off as they come."""
    yield from beside(requests_run)


@pytest.fixture
def busy_worker(own_gate: None) -> Iterator[None]:
    """A worker that is there, and at something else."""
    Journal(kind="create").start()
    yield from beside(lambda: worker_announce("worker@host"))


def person(name: str, *rights: str) -> Client:
    """The browser of a staff account with these rights, which insists on the token against forged requests as browsers meet it."""
    user = get_user_model().objects.create_user(username=name, password="a password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=[f"{right}_backup" for right in rights]))
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


@dataclass
class Browser:
    """What ``upload.js`` and forms do, with a test client, in one of the two places."""

    client: Client
    token: str = ""
    place: Place = ADMIN

    def open(self) -> str:
        """The page, and with it the token."""
        response = self.client.get(self.place.url("upload"))
        assert response.status_code in (200, 409), response.status_code
        body: str = response.content.decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', body)
        assert found
        self.token = found[1]
        return body

    def post(self, page: str, /, *, accept: str = "text/html", data: dict[str, object]) -> Any:
        return self.client.post(self.place.url(page), {"csrfmiddlewaretoken": self.token, **data}, headers={"Accept": accept})

    def start(self, name: str, size: object, *, last_modified: int = 1) -> Any:
        data: dict[str, object] = {"name": name, "size": size, "last_modified": last_modified}
        return self.post("upload-start", accept="application/json", data=data)

    def patch(self, path: str, offset: object, data: bytes) -> Any:
        headers = {"Upload-Offset": str(offset), "X-CSRFToken": self.token}
        return self.client.patch(path, data, content_type="application/octet-stream", headers=headers)

    def send(self, path: Path, *, piece: int = 1000) -> Any:
        """A whole file in pieces; returns what ``start`` has answered."""
        data = path.read_bytes()
        facts = self.start(path.name, len(data)).json()
        for offset in range(facts["offset"], len(data), piece):
            answer = self.patch(facts["pieces"], offset, data[offset : offset + piece])
            assert (answer.status_code, answer["Upload-Offset"]) == (204, str(min(offset + piece, len(data))))
        return facts

    def send_form(self, file: object, **more: object) -> Any:
        return self.post("upload", data={"archive": file, **more})


@pytest.fixture
def ann(own_gate: None) -> Browser:
    """Somebody who may make backups, on the page."""
    browser = Browser(person("ann", "add"))
    browser.open()
    return browser


def audited() -> list[tuple[str, str, str]]:
    """Who did what, as the audit file has it."""
    path = conf.state_dir / "audit.log"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [(line["who"], line["action"], line.get("detail", "")) for line in lines]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def left() -> list[str]:
    """What lies in the quarantine."""
    return sorted(path.name for path in quarantine_folder().glob("*") if path.name != ".lock")


# --- in pieces ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_an_archive_is_sent_in_pieces_taken_in_and_listed(ann: Browser, archive: Path) -> None:
    facts = ann.send(archive)
    assert (facts["offset"], facts["size"], facts["piece"]) == (0, archive.stat().st_size, PIECE)
    answer = ann.client.post(facts["finish"], {"sha256": sha256(archive)}, headers={"Accept": "application/json", "X-CSRFToken": ann.token})
    assert answer.status_code == 200
    progress = answer.json()["next"]
    wait_for_end()
    assert "Done" in text_of(Client().get(progress))
    row = Backup.objects.get()
    assert (row.name, row.is_uploaded, row.requested_by) == (NAME, True, "ann")
    assert left() == []
    assert audited() == [
        ("ann", "upload", f"{archive.name}, {archive.stat().st_size} bytes, begins or goes on"),
        ("ann", "upload", archive.name),
    ]
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")][-1] == f"Upload: {archive.name}"


def test_after_a_reload_the_same_file_goes_on_where_it_stopped(ann: Browser, archive: Path) -> None:
    size = archive.stat().st_size
    first = ann.start(archive.name, size).json()
    ann.patch(first["pieces"], 0, archive.read_bytes()[:700])
    body = ann.open()
    assert archive.name in body
    assert "700 bytes of" in body
    again = ann.start(archive.name, size).json()
    assert (again["pieces"], again["offset"]) == (first["pieces"], 700)
    found = ann.client.head(first["pieces"])
    assert (found.status_code, found["Upload-Offset"], found["Upload-Length"]) == (200, "700", str(size))
    assert found["Cache-Control"].startswith("max-age=0") and "no-store" in found["Cache-Control"]


def test_a_piece_for_another_place_learns_the_right_one(ann: Browser) -> None:
    facts = ann.start("a.zip", 100).json()
    ann.patch(facts["pieces"], 0, b"x" * 30)
    for offset in (0, 29, 31, 100):
        answer = ann.patch(facts["pieces"], offset, b"y" * 10)
        assert (answer.status_code, answer["Upload-Offset"]) == (409, "30")


@pytest.mark.parametrize("offset", ["", "-1", "1e3", "٣", "0x1", "nonsense", "9" * 30])
def test_a_piece_without_a_place_is_refused(ann: Browser, offset: str) -> None:
    facts = ann.start("a.zip", 100).json()
    assert ann.patch(facts["pieces"], offset.encode().decode("latin-1"), b"x").status_code == 400
    assert upload_find(left()[0]).offset == 0  # type: ignore[union-attr]


def test_pieces_of_the_wrong_size_are_refused(ann: Browser) -> None:
    facts = ann.start("a.zip", 3 * PIECE).json()
    assert ann.patch(facts["pieces"], 0, b"").status_code == 400
    assert ann.patch(facts["pieces"], 0, bytes(PIECE + 1)).status_code == 413
    assert ann.patch(facts["pieces"], 0, bytes(PIECE)).status_code == 204
    small = ann.start("b.zip", 10).json()
    assert ann.patch(small["pieces"], 0, bytes(11)).status_code == 400
    assert ann.client.head(small["pieces"])["Upload-Offset"] == "0"


@pytest.mark.parametrize(("size", "said"), [("0", "empty"), (str(201 * 10**9), "more than 200 GB")])
def test_what_may_not_begin_says_why(ann: Browser, size: str, said: str) -> None:
    answer = ann.start("a.zip", size)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert answer.json()["next_step"]
    assert left() == []


@pytest.mark.parametrize("size", ["", "-1", "many", "1.5"])
def test_a_size_that_is_none_is_refused(ann: Browser, size: str) -> None:
    assert ann.start("a.zip", size).status_code == 400


def test_only_so_many_can_be_unfinished(ann: Browser) -> None:
    for number in range(MOST_OPEN):
        assert ann.start(f"{number}.zip", 10).status_code == 201
    answer = ann.start("more.zip", 10)
    assert answer.status_code == 422
    assert "not finished" in answer.json()["error"]
    refused = ann.send_form(io.BytesIO(b"abc"))
    assert refused.status_code == 409
    assert "not finished" in text_of(refused)


def test_an_upload_can_be_thrown_away_in_both_ways(ann: Browser) -> None:
    first, second = ann.start("a.zip", 10).json(), ann.start("b.zip", 10).json()
    assert ann.client.delete(first["pieces"], headers={"X-CSRFToken": ann.token}).status_code == 204
    assert ann.client.head(first["pieces"]).status_code == 404
    answer = ann.client.post(second["pieces"] + "discard/", {"csrfmiddlewaretoken": ann.token}, follow=True)
    assert "The upload b.zip was thrown away." in text_of(answer)
    assert left() == []
    assert [detail for _, action, detail in audited() if action == "discard"] == ["the upload a.zip", "the upload b.zip"]


def test_what_is_being_taken_in_is_neither_thrown_away_nor_asked_for_again(ann: Browser, archive: Path) -> None:
    facts = ann.send(archive)
    journal = Journal(kind="upload", arguments={"upload": left()[0]})
    journal.save()
    assert ann.client.delete(facts["pieces"], headers={"X-CSRFToken": ann.token}).status_code == 409
    refused = ann.client.post(facts["pieces"] + "discard/", {"csrfmiddlewaretoken": ann.token})
    assert refused.status_code == 409
    assert "is being taken in" in text_of(refused)
    answer = ann.client.post(facts["finish"], {"csrfmiddlewaretoken": ann.token})
    assert answer.status_code == 302
    assert progress_operation_of(answer["Location"].split("/")[3]) == journal.id
    assert len(journal_load_all()) == 1
    assert "see how it goes" in ann.open()


def test_without_a_worker_nothing_is_lost_and_the_page_says_how_to_go_on(ann: Browser, archive: Path) -> None:
    facts = ann.send(archive)
    answer = ann.client.post(facts["finish"], {"sha256": ""}, headers={"Accept": "application/json", "X-CSRFToken": ann.token})
    assert answer.status_code == 422
    assert "No worker has answered" in answer.json()["error"]
    assert "./run" in answer.json()["next_step"]
    assert "Take it in" in ann.open()
    assert len(uploads_of("ann")) == 1


@pytest.mark.parametrize("sha256", ["0", "x" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"])
def test_a_hash_that_is_none_is_refused(ann: Browser, archive: Path, sha256: str) -> None:
    facts = ann.send(archive)
    assert ann.client.post(facts["finish"], {"sha256": sha256, "csrfmiddlewaretoken": ann.token}).status_code == 400
    assert journal_load_all() == []


def test_a_disk_that_runs_full_is_told_with_the_place_to_go_on_at(ann: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = ann.start("a.zip", 100).json()
    ann.patch(facts["pieces"], 0, b"x" * 30)
    # As if that much were to stay free: nothing fits any more.
    monkeypatch.setattr("backups.quarantine.RESERVE", 2**60)
    answer = ann.patch(facts["pieces"], 30, b"y" * 10)
    assert (answer.status_code, answer["Upload-Offset"]) == (507, "30")
    assert "disk is full" in answer.json()["error"]
    assert answer.json()["state"] == "What has come so far is kept."
    refused = ann.send_form(io.BytesIO(bytes(3_000_000)))
    assert refused.status_code == 409
    assert "disk is full" in text_of(refused)
    assert len(left()) == 1, "what came by the form is left"
    monkeypatch.undo()
    assert ann.patch(facts["pieces"], 30, b"y" * 10).status_code == 204


def test_a_silent_connection_is_given_up_where_the_server_hands_it_over(ann: Browser) -> None:
    facts = ann.start("a.zip", 10).json()
    headers = {"Upload-Offset": "0", "X-CSRFToken": ann.token}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert ours.gettimeout() is None
        environ: dict[str, Any] = {"gunicorn.socket": ours}
        ann.client.patch(facts["pieces"], b"x", content_type="application/octet-stream", headers=headers, **environ)
        assert ours.gettimeout() == SILENCE


# --- whose it is --------------------------------------------------------------------------------------------------------------------


def test_nobody_goes_on_with_the_upload_of_another_or_learns_of_it(ann: Browser) -> None:
    facts = ann.start("a.zip", 10).json()
    bob = Browser(person("bob", "add"))
    assert "a.zip" not in bob.open()
    assert bob.client.head(facts["pieces"]).status_code == 404
    assert bob.patch(facts["pieces"], 0, b"x").status_code == 404
    assert bob.client.delete(facts["pieces"], headers={"X-CSRFToken": bob.token}).status_code == 404
    for name in ("finish", "discard"):
        assert bob.client.post(f"{facts['pieces']}{name}/", {"csrfmiddlewaretoken": bob.token}).status_code == 404
    assert bob.start("a.zip", 10).json()["pieces"] != facts["pieces"]
    assert ann.client.head(facts["pieces"])["Upload-Offset"] == "0"


@pytest.mark.parametrize("rights", [(), ("view", "change", "delete", "download", "restore")])
def test_without_the_right_to_add_every_way_is_closed(ann: Browser, rights: tuple[str, ...]) -> None:
    facts = ann.start("a.zip", 10).json()
    eve = Browser(person("eve", *rights))
    eve.client.cookies["csrftoken"] = ann.client.cookies["csrftoken"].value
    eve.token = ann.token
    assert eve.client.get(ADMIN.url("upload")).status_code == 403
    assert eve.send_form(io.BytesIO(b"abc")).status_code == 403
    assert eve.start("a.zip", 10).status_code == 403
    assert eve.post("upload-path", data={"other": "a.zip"}).status_code == 403
    assert eve.patch(facts["pieces"], 0, b"x").status_code == 403
    assert eve.client.head(facts["pieces"]).status_code == 403
    assert eve.client.delete(facts["pieces"], headers={"X-CSRFToken": eve.token}).status_code == 403
    for name in ("finish", "discard"):
        assert eve.client.post(f"{facts['pieces']}{name}/", {"csrfmiddlewaretoken": eve.token}).status_code == 403
    assert len(left()) == 1
    assert {who for who, _, _ in audited()} == {"ann"}


def test_nothing_is_changed_without_the_token(ann: Browser) -> None:
    facts = ann.start("a.zip", 10).json()
    ann.token = "x" * 64
    assert ann.start("b.zip", 10).status_code == 403
    assert ann.patch(facts["pieces"], 0, b"x").status_code == 403
    assert ann.client.delete(facts["pieces"]).status_code == 403
    assert ann.post("upload-path", data={"other": "a.zip"}).status_code == 403
    assert ann.client.post(facts["finish"]).status_code == 403
    assert ann.client.head(facts["pieces"])["Upload-Offset"] == "0"
    assert len(left()) == 1


@pytest.mark.parametrize("token", [False, True])
def test_a_form_from_another_site_leaves_nothing(ann: Browser, archive: Path, token: bool) -> None:
    headers = {"Origin": "https://evil.example"} if token else {}
    data = {"archive": io.BytesIO(archive.read_bytes()), "csrfmiddlewaretoken": ann.token if token else "x" * 64}
    assert ann.client.post(ADMIN.url("upload"), data, headers=headers).status_code == 403
    assert left() == []
    assert journal_load_all() == []
    assert audited() == []


def test_an_act_that_cannot_be_written_down_does_not_happen(ann: Browser, archive: Path) -> None:
    facts = ann.send(archive)
    (conf.state_dir / "audit.log").unlink()
    (conf.state_dir / "audit.log").mkdir()
    assert ann.start("b.zip", 10).status_code == 422
    assert ann.client.post(facts["finish"], {"csrfmiddlewaretoken": ann.token}).status_code == 409
    assert ann.send_form(io.BytesIO(archive.read_bytes())).status_code == 409
    typed = ann.post("upload-path", data={"other": "typed <long> ago.zip"})
    assert typed.status_code == 409
    assert 'value="typed &lt;long&gt; ago.zip"' in typed.content.decode(), "what was typed is lost"
    assert ann.client.delete(facts["pieces"], headers={"X-CSRFToken": ann.token}).status_code == 409
    assert len(left()) == 1
    assert journal_load_all() == []


# --- without JavaScript -------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_a_plain_form_brings_an_archive(ann: Browser, archive: Path) -> None:
    file = io.BytesIO(archive.read_bytes())
    file.name = archive.name
    answer = ann.send_form(file)
    assert answer.status_code == 302
    wait_for_end()
    assert "Done" in text_of(Client().get(answer["Location"]))
    assert Backup.objects.get().requested_by == "ann"
    assert left() == []
    assert audited() == [("ann", "upload", "from a stick.zip, by a form")]


def test_a_form_without_a_worker_keeps_what_has_come(ann: Browser, archive: Path) -> None:
    answer = ann.send_form(io.BytesIO(archive.read_bytes()))
    assert answer.status_code == 409
    assert "No worker has answered" in text_of(answer)
    assert "Take it in" in text_of(answer)
    (upload,) = uploads_of("ann")
    assert upload.is_whole
    assert hashlib.sha256(upload.data.read_bytes()).hexdigest() == sha256(archive)


@pytest.mark.usefixtures("busy_worker")
def test_the_forms_file_goes_nowhere_but_into_the_quarantine(ann: Browser, tmp_path: Path, settings: Settings) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "absent")
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    assert ann.send_form(io.BytesIO(bytes(3_000_000))).status_code == 302
    assert uploads_of("ann")[0].size == 3_000_000


@pytest.mark.parametrize("sent", [{}, {"archive": "not a file"}, {"other": "file"}])
def test_a_form_without_a_file_says_so(ann: Browser, sent: dict[str, object]) -> None:
    fields = {name: io.BytesIO(b"abc") if value == "file" else value for name, value in sent.items()}
    answer = ann.post("upload", data=fields)
    assert answer.status_code == 409
    assert "No file has come." in text_of(answer)
    assert left() == []


@pytest.mark.usefixtures("busy_worker")
def test_of_several_files_the_first_counts(ann: Browser) -> None:
    first, second, other = io.BytesIO(b"first"), io.BytesIO(b"second"), io.BytesIO(b"other")
    ann.post("upload", data={"other": other, "archive": [first, second]})
    (upload,) = uploads_of("ann")
    assert upload.data.read_bytes() == b"first"
    assert left() == [upload.id]


def test_a_form_that_is_too_large_for_the_store_says_so_and_leaves_nothing(ann: Browser, settings: Settings) -> None:
    (quarantine_folder()).mkdir(parents=True, exist_ok=True)
    settings.BACKUPS_MAX_UPLOAD_GB = 1
    upload = upload_begin(name="promised.zip", size=1, owner="bob")
    assert upload_append(upload, 0, [b"x"]) == 1
    answer = ann.client.generic(
        "POST",
        ADMIN.url("upload"),
        f'--B\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{ann.token}\r\n--B\r\nContent-Disposition: form-data; '
        'name="archive"; filename="a.zip"\r\n\r\n\r\n--B--\r\n',
        content_type="multipart/form-data; boundary=B",
    )
    assert answer.status_code == 409
    assert "The file is empty." in text_of(answer)
    assert left() == [upload.id]


def test_a_form_cut_off_in_its_middle_leaves_nothing(ann: Browser) -> None:
    body = (
        f'--B\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{ann.token}\r\n--B\r\nContent-Disposition: form-data; '
        'name="archive"; filename="a.zip"\r\n\r\n' + "x" * 100_000
    )
    answer = ann.client.generic("POST", ADMIN.url("upload"), body, content_type="multipart/form-data; boundary=B")
    assert answer.status_code == 409
    assert left() == []


# --- outside the admin --------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_outside_the_admin_the_same_pages_lead_on_to_pages_outside(archive: Path) -> None:
    browser = Browser(person("ann", "add", "restore"), place=SITE)
    assert 'action="/import-export/archive/upload/"' in browser.open()
    facts = browser.send(archive)
    assert facts["finish"].startswith("/import-export/archive/upload/")
    answer = browser.client.post(facts["finish"], {"csrfmiddlewaretoken": browser.token})
    wait_for_end()
    shown = Client().get(answer["Location"])
    assert f'href="{SITE.url("restore", NAME)}"' in shown.content.decode()
    assert "/admin/" not in shown.content.decode()


# --- from the server ----------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("field", ["path", "other"])
def test_a_file_of_the_import_folder_is_chosen_or_typed(ann: Browser, archive: Path, field: str) -> None:
    folder = archive.parent / "import"
    folder.mkdir()
    archive.rename(folder / "a <b>.zip")
    assert 'value="a &lt;b&gt;.zip"' in ann.open()
    answer = ann.post("upload-path", data={field: "a <b>.zip"})
    assert answer.status_code == 302
    wait_for_end()
    assert "Done" in text_of(Client().get(answer["Location"]))
    assert Backup.objects.get().is_uploaded
    assert audited() == [("ann", "upload", "a <b>.zip, of the import folder")]


def test_no_choice_says_so(ann: Browser) -> None:
    answer = ann.post("upload-path", data={})
    assert answer.status_code == 409
    assert "No file was chosen." in text_of(answer)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("path", ["../from a stick.zip", "/etc/passwd", "absent.zip"])
def test_what_is_not_in_the_folder_fails_where_it_is_watched(ann: Browser, archive: Path, path: str) -> None:
    (archive.parent / "import").mkdir()
    answer = ann.post("upload-path", data={"other": path})
    wait_for_end()
    assert "It failed." in text_of(Client().get(answer["Location"]))
    assert not Backup.objects.exists()


def test_without_a_folder_there_is_no_way_from_the_server(ann: Browser, settings: Settings) -> None:
    assert "From the server" in ann.open()
    settings.BACKUPS_IMPORT_DIR = ""
    assert "From the server" not in ann.open()


# --- the page ------------------------------------------------------------------------------------------------------------------------


def test_a_name_that_a_database_cannot_hold_stops_nothing(ann: Browser) -> None:
    ann.start("a\0b.zip", 10)
    assert [upload.name for upload in uploads_of("ann")] == ["ab.zip"]
    assert LogEntry.objects.get().change_message == "Upload: ab.zip, 10 bytes, begins or goes on"


def test_the_page_shows_hostile_names_as_text(ann: Browser) -> None:
    ann.start("<script>alert(1)</script>‮.zip", 10)
    ann.start('"><img src=x>.zip', 10)
    body = ann.open()
    assert "<img" not in body.replace('<img src="/static', "")
    assert "script&gt;.zip" in body
    assert "\u202e" not in body


def test_the_page_has_no_script_or_style_of_its_own(ann: Browser) -> None:
    body = ann.open()
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", body)
    assert " style=" not in body[body.index('class="backups-page"') :]
    assert " onclick" not in body


def test_a_quarantine_that_cannot_be_used_is_said_on_the_page(ann: Browser, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    settings.BACKUPS_STATE_DIR = tmp_path / "file"
    answer = ann.client.get(ADMIN.url("upload"))
    assert answer.status_code == 409
    assert "Uploads cannot be kept in" in text_of(answer)


@pytest.mark.parametrize(
    ("method", "name"),
    [("get", "upload-start"), ("get", "upload-path"), ("put", "upload"), ("delete", "upload")],
)
def test_other_methods_are_refused(ann: Browser, method: str, name: str) -> None:
    assert getattr(ann.client, method)(ADMIN.url(name), headers={"X-CSRFToken": ann.token}).status_code == 405


def test_other_methods_of_an_upload_are_refused(ann: Browser) -> None:
    facts = ann.start("a.zip", 10).json()
    for path, method in (
        (facts["pieces"], "get"),
        (facts["pieces"], "post"),
        (facts["finish"], "get"),
        (facts["pieces"] + "discard/", "get"),
    ):
        assert getattr(ann.client, method)(path, headers={"X-CSRFToken": ann.token}).status_code == 405


def test_nobody_without_a_login_gets_to_any_of_it(ann: Browser) -> None:
    facts = ann.start("a.zip", 10).json()
    visitor = Client()
    for path, method in ((facts["pieces"], "head"), (facts["pieces"], "patch"), (facts["finish"], "post"), (ADMIN.url("upload"), "post")):
        answer = getattr(visitor, method)(path)
        assert answer.status_code == 302
        assert "/login/" in answer["Location"]


def wait_for_end() -> None:
    """Until the worker has ended the one operation there is."""
    deadline = time.monotonic() + 60
    while not all(journal.is_finished for journal in journal_load_all()):
        assert time.monotonic() < deadline, journal_load_all()
        time.sleep(0.01)
