"""Requests that are under way when a swap comes, at a real web server: a download ends as it began, an upload is kept or refused."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.tests.halting import halted
from backups.tests.ledger import CLIENT, VISITORS, ledger_notes, ledger_site
from backups.tests.site import Site
from backups.tests.test_site_under_restore import kept_state
from backups.tests.visitors import Record, Visitor
from backups.tests.web import HOST, WebServer
from backups.tests.workers import journals

# Bytes: more than the buffers between two processes hold, so that one half can only be sent once the other end reads.
SIZE = 48 * 1024**2
BOUNDARY = "between-two-parts"
TEAM, CLIENTS = 0, VISITORS - 1


@pytest.fixture
def web(site: Site) -> Iterator[WebServer]:
    """``./run``'s own set-up, in front of a site with the ledger; connections are kept and never looked at."""
    site.extra_env["PAGES_CONNECTION"] = json.dumps({"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": False})
    ledger_site(site)
    with WebServer(site).running() as server:
        yield server


def logged_in(server: WebServer, number: int) -> Visitor:
    """A visitor whose cookies a test uses for requests of its own."""
    person = Visitor(server.port, number, Record(), random.Random(number), threading.Event())
    person.try_for(person.log_in)
    assert person.is_in, person.record.seen.faults
    return person


def cookies(person: Visitor) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in person.cookies.items())}


def restored(site: Site, archive: str) -> None:
    site.manage("backup_restore", archive, "--no-input", "--no-progress", "--strategy", "swap")


def test_a_download_ends_as_it_began(site: Site, web: WebServer) -> None:
    """A restore brings another file under the same name; who reads the one that was there gets it to its last byte."""
    client = f"(SELECT id FROM clients_client WHERE name = '{CLIENT}')"
    site.execute(f"UPDATE clients_client SET portal_shows_documents = true WHERE id = {client}")
    site.execute(f"UPDATE clients_document SET client_id = {client}, visible_to_client = true")
    number, name = site.fetch("SELECT id, file FROM clients_document ORDER BY id LIMIT 1")[0]
    file = site.media / str(name)
    _replace(file, b"old" * 1024)
    archive = site.manage("backup_create").stdout.strip()
    _replace(file, b"new!" * (SIZE // 4))

    path, person = f"/portal/documents/{number}/", logged_in(web, CLIENTS)
    with contextlib.closing(http.client.HTTPConnection(HOST, web.port, timeout=60)) as connection:
        connection.request("GET", path, headers=cookies(person))
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Content-Length")) == (200, str(SIZE))
        begun = answer.read(4096)
        restored(site, archive)
        assert begun + answer.read() == b"new!" * (SIZE // 4)
    assert file.read_bytes() == b"old" * 1024
    person.try_for(person.log_in)
    again = person.ask("GET", path)
    assert (again.status, again.body) == (200, "old" * 1024)


def test_an_upload_that_the_swap_overtakes_is_not_answered_as_saved(site: Site, web: WebServer) -> None:
    archive = site.manage("backup_create").stdout.strip()
    person = logged_in(web, TEAM)
    with Upload(web, person) as upload:
        restored(site, archive)
        status, headers, _ = upload.rest()
    # The session is gone with the old data, and so may be the connection; it is never an error of the site.
    assert status in (302, 503), web.log.read_text()[-4000:]
    assert headers["Location" if status == 302 else "Retry-After"]
    assert ledger_notes(site) == set()


def test_an_upload_that_was_on_its_way_before_the_site_was_read_only_is_kept(site: Site, web: WebServer, tmp_path: Path) -> None:
    archive = site.manage("backup_create").stdout.strip()
    person = logged_in(web, TEAM)
    with Upload(web, person) as upload, halted(site, "rows") as stopped:
        restore = site.popen("backup_restore", archive, "--no-input", "--no-progress", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        stopped.process()
        assert web.post("/ledger/")[0] == 503, "from now on changes are refused"
        status, _, body = upload.rest()
    assert status == 200, body
    _, errors = restore.communicate(timeout=300)
    assert restore.returncode == 0, errors
    with kept_state(site, journals(site)[-1]["id"]) as cursor:
        cursor.execute("SELECT words FROM ledger_note")
        assert cursor.fetchall() == [("by the form",)]


class Upload:
    """A form with a large file, of which the server has read the first half: it was let in, and has not been answered."""

    def __init__(self, server: WebServer, person: Visitor) -> None:
        part = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
        self._end = f"\r\n--{BOUNDARY}--\r\n".encode()
        begin = f'{part}"words"\r\n\r\nby the form\r\n{part}"scan"; filename="scan.bin"\r\n\r\n'.encode()
        self.connection = http.client.HTTPConnection(HOST, server.port, timeout=120)
        self.connection.putrequest("POST", "/ledger/")
        for name, value in (cookies(person) | {"X-CSRFToken": person.cookies["csrftoken"]}).items():
            self.connection.putheader(name, value)
        self.connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        self.connection.putheader("Content-Length", str(len(begin) + SIZE + len(self._end)))
        self.connection.endheaders(begin)

    def __enter__(self) -> Upload:
        self.connection.send(b"0" * (SIZE // 2))
        return self

    def rest(self) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send the second half; status, headers and body of the answer."""
        self.connection.send(b"0" * (SIZE // 2) + self._end)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def __exit__(self, *error: object) -> None:
        self.connection.close()


def _replace(file: Path, content: bytes) -> None:
    """As Django's storage does it: a file is replaced, never written into."""
    fresh = file.with_name("fresh")
    fresh.write_bytes(content)
    fresh.replace(file)
