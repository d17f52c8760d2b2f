"""Uploads to a real web server: large ones in constant memory, broken off anywhere, with hostile and half-dead connections beside them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backups.pages.upload import SILENCE
from backups.quarantine import PIECE
from backups.tests.hostile import make_archive
from backups.tests.site import Site, SiteTemplates
from backups.tests.uploader import PAGE, Answer, Uploader, reset_on_close
from backups.tests.web import SiteProcesses, WebServer
from backups.tests.workers import journals, wait_until

MB = 1_000_000
GROWTH = 50 * 1024  # KiB
PASSWORD = "a password of the tests"


@pytest.fixture(scope="module")
def web(site_templates: SiteTemplates) -> Iterator[WebServer]:
    """A site with one web process and somebody who may upload; the tests of this module share it."""
    site = furnished(site_templates.site())
    with WebServer(site).running() as server:
        yield server
    site.close()


def furnished(site: Site) -> Site:
    """The site, with the settings of the tests' pages and an account."""
    site.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.pages_settings"
    code = f"from django.contrib.auth import get_user_model; get_user_model().objects.create_superuser('ann', password={PASSWORD!r})"
    site.manage("shell", "--verbosity", "0", "--command", code)
    return site


@pytest.fixture
def ann(web: WebServer) -> Iterator[Uploader]:
    """Her browser; what she leaves unfinished is thrown away."""
    with Uploader(web, "ann", PASSWORD) as browser:
        yield browser
    shutil.rmtree(web.site.state / "quarantine", ignore_errors=True)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """500 MB of which nearly nothing is on the disk: a byte here and there, so that a piece in the wrong place shows."""
    return sparse(tmp_path / "large.zip", 500 * MB)


def sparse(path: Path, size: int, seed: int = 1) -> Path:
    """Make a sparse file of ``size`` bytes that is different everywhere: each MiB begins with random bytes."""
    generator = random.Random(seed)
    with path.open("wb") as file:
        for place in range(0, size - 64, 1 << 20):
            file.seek(place)
            file.write(generator.randbytes(64))
        file.truncate(size)
    return path


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def kib(pid: int, name: str) -> int:
    """``VmRSS``, or ``VmHWM`` (the most there was since it was reset), of a process."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


@contextlib.contextmanager
def growing_less_than(web: WebServer, limit: int) -> Iterator[None]:
    """Fail where a web process has at any instant of the block more than ``limit`` KiB above what it had at its beginning."""
    before = {}
    for pid in web.web_processes():
        before[pid] = kib(pid, "VmRSS")
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    yield
    grown = {pid: kib(pid, "VmHWM") - rss for pid, rss in before.items()}
    print(f"web processes had {before} KiB, and grew by {grown} KiB at most")
    assert grown.keys() == set(web.web_processes()), "a web process has died"
    assert max(grown.values()) < limit


def start(ann: Uploader, path: Path) -> dict[str, object]:
    """Begin the upload of a file, or go on."""
    answer = ann.form(PAGE + "start/", name=path.name, size=path.stat().st_size, last_modified=1)
    assert answer.status == 201, answer
    facts: dict[str, object] = json.loads(answer.body)
    return facts


def offset_of(answer: Answer) -> int:
    return int(answer.headers["upload-offset"])


def pieces_path(facts: dict[str, object]) -> str:
    return str(facts["pieces"])


def data_of(web: WebServer, facts: dict[str, object]) -> Path:
    """What has come of an upload."""
    return web.site.state / "quarantine" / pieces_path(facts).split("/")[-2] / "data"


def send(ann: Uploader, path: Path, *, breaks: int = 0, seed: int = 1) -> dict[str, object]:
    """Send a file in pieces as ``upload.js`` does; break off at so many random places, and go on where the server says."""
    generator = random.Random(seed)
    size = path.stat().st_size
    places = sorted(generator.sample(range(size), breaks))
    facts = start(ann, path)
    where, offset = pieces_path(facts), int(str(facts["offset"]))
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            piece = file.read(PIECE)
            if places and places[0] < offset + len(piece):
                ann.patch_broken(where, offset, piece, places.pop(0) - offset, is_reset=generator.random() < 0.5)
                # As after a reload: the file is chosen again.
                offset = int(str(start(ann, path)["offset"]))
                continue
            answer = ann.patch(where, offset, piece)
            # 409: the end of a broken piece was written after all.
            assert answer.status in (204, 409), answer
            offset = offset_of(answer)
    return facts


def assert_whole_in_constant_memory(web: WebServer, ann: Uploader, path: Path) -> None:
    """Send it broken off at 20 places; what lies on the server has its hash, and the server has not grown."""
    # The first use of everything costs memory once.
    warm = sparse(path.with_name("warm.zip"), 2 * PIECE)
    send(ann, warm)
    with growing_less_than(web, GROWTH):
        facts = send(ann, path, breaks=20)
    assert sha256(data_of(web, facts)) == sha256(path)
    assert ann.ask("HEAD", pieces_path(facts)).headers["upload-offset"] == str(path.stat().st_size)


def test_a_large_file_broken_off_at_20_places_comes_whole_in_constant_memory(web: WebServer, ann: Uploader, large: Path) -> None:
    assert_whole_in_constant_memory(web, ann, large)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_5_gb_broken_off_at_20_places_come_whole_in_constant_memory(web: WebServer, ann: Uploader, tmp_path: Path) -> None:
    began = time.monotonic()
    assert_whole_in_constant_memory(web, ann, sparse(tmp_path / "large.zip", 5_000 * MB))
    print(f"in {time.monotonic() - began:.0f} s")


def form_in_constant_memory(web: WebServer, ann: Uploader, path: Path) -> None:
    """A form brings it, though nobody is there to take it in."""
    ann.ask("GET", PAGE)
    ann.send_form(PAGE, sparse(path.with_name("warm.zip"), PIECE))
    with growing_less_than(web, GROWTH):
        answer = ann.send_form(PAGE, path)
    assert answer.status == 409, answer
    assert b"No worker has answered" in answer.body
    (data,) = (data for data in (web.site.state / "quarantine").glob("*/data") if data.stat().st_size == path.stat().st_size)
    assert sha256(data) == sha256(path)


def test_a_form_brings_a_large_file_in_constant_memory(web: WebServer, ann: Uploader, tmp_path: Path) -> None:
    form_in_constant_memory(web, ann, sparse(tmp_path / "large.zip", 80 * MB))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_form_brings_5_gb_in_constant_memory(web: WebServer, ann: Uploader, tmp_path: Path) -> None:
    form_in_constant_memory(web, ann, sparse(tmp_path / "large.zip", 5_000 * MB))


def test_a_form_that_breaks_off_leaves_nothing(web: WebServer, ann: Uploader) -> None:
    ann.ask("GET", PAGE)
    head = b'--XX\r\nContent-Disposition: form-data; name="archive"; filename="a.zip"\r\nContent-Type: application/zip\r\n\r\n' + bytes(
        3 * MB
    )
    quarantine = web.site.state / "quarantine"
    for is_reset in (False, True):
        headers = {"Content-Type": "multipart/form-data; boundary=XX", "Content-Length": str(100 * MB)}
        with ann.begun("POST", PAGE, headers, head) as connection:
            wait_until(lambda: any(data.stat().st_size > MB for data in quarantine.glob("*/data")), "the form's first bytes")
            if is_reset:
                reset_on_close(connection)
        wait_until(lambda: not list(quarantine.glob("*/data")), "the rest of a broken form to be removed")


def test_the_server_that_is_killed_in_the_middle_of_a_piece_goes_on_with_it(web: WebServer, ann: Uploader, tmp_path: Path) -> None:
    path = sparse(tmp_path / "archive.zip", 40 * MB)
    facts = start(ann, path)
    data = path.read_bytes()
    where = pieces_path(facts)
    ann.patch(where, 0, data[:PIECE])
    headers = {"Upload-Offset": str(PIECE), "Content-Length": str(PIECE)}
    with ann.begun("PATCH", where, headers, data[PIECE : PIECE + 3 * MB]):
        wait_until(lambda: data_of(web, facts).stat().st_size > PIECE + MB, "a part of the piece")
        assert web.process
        web.site.kill_group(web.process)
        web.process.wait()
    ann.hang_up()
    web.process = None
    web.start()
    offset = int(str(start(ann, path)["offset"]))
    assert PIECE + MB < offset <= PIECE + 3 * MB
    while offset < len(data):
        offset = offset_of(ann.patch(where, offset, data[offset : offset + PIECE]))
    assert sha256(data_of(web, facts)) == sha256(path)


def test_connections_that_are_half_dead_keep_nobody_from_going_on(web: WebServer, ann: Uploader, tmp_path: Path) -> None:
    path = sparse(tmp_path / "archive.zip", 3 * PIECE)
    data = path.read_bytes()
    facts = start(ann, path)
    where = pieces_path(facts)
    with contextlib.ExitStack() as silent:
        # Announced, begun, and nothing more: as a phone that has left its network. The server has eight threads.
        for number in range(4):
            offset = offset_of(ann.ask("HEAD", where))
            headers = {"Upload-Offset": str(offset), "Content-Length": str(PIECE)}
            silent.enter_context(ann.begun("PATCH", where, headers, data[offset : offset + 300_000]))
            wait_until(lambda offset=offset: offset_of(ann.ask("HEAD", where)) > offset, f"bytes of connection {number}")  # type: ignore[misc]
        offset = offset_of(ann.ask("HEAD", where))
        while offset < len(data):
            answer = ann.patch(where, offset, data[offset : offset + PIECE])
            assert answer.status in (204, 409), answer
            offset = offset_of(answer)
    assert sha256(data_of(web, facts)) == sha256(path)


@pytest.mark.soak
def test_connections_that_are_silent_for_long_are_given_up(web: WebServer, ann: Uploader) -> None:
    where = pieces_path(start(ann, sparse(web.site.data_dir / "archive.zip", 10 * PIECE)))
    headers = {"Upload-Offset": "0", "Content-Length": str(PIECE)}
    with contextlib.ExitStack() as silent:
        ann.hang_up()
        # As many as the server has threads: so nobody else is answered.
        connections = [silent.enter_context(ann.begun("PATCH", where, headers, b"x")) for _ in range(web.threads)]
        with pytest.raises(TimeoutError):
            while True:
                web.get("/healthz", timeout=5)
        wait_until(lambda: web.get("/healthz", timeout=2 * SILENCE)[0] == 200, "the site to answer again")
        for connection in connections:
            connection.settimeout(SILENCE)
            assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_two_browsers_that_send_the_same_file_at_once_make_it_whole(web: WebServer, ann: Uploader, tmp_path: Path) -> None:
    path = sparse(tmp_path / "archive.zip", 6 * PIECE + 123)
    facts = start(ann, path)
    seen: list[int] = []

    def other() -> None:
        with Uploader(web, "ann", PASSWORD) as browser:
            seen.append(int(str(send(browser, path)["size"])))

    threads = [threading.Thread(target=other) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [path.stat().st_size] * 2
    assert sha256(data_of(web, facts)) == sha256(path)


def test_a_closed_gate_answers_a_piece_and_the_upload_goes_on_afterwards(web: WebServer, ann: Uploader, tmp_path: Path) -> None:
    path = sparse(tmp_path / "archive.zip", 2 * PIECE)
    data = path.read_bytes()
    facts = start(ann, path)
    where = pieces_path(facts)
    ann.patch(where, 0, data[:PIECE])
    web.site.manage("backup_maintenance", "on")
    # Its whole body is read, so that the browser reads the answer and not a broken connection.
    answer = ann.patch(where, PIECE, data[PIECE:])
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    web.site.manage("backup_maintenance", "off")
    assert offset_of(ann.ask("HEAD", where)) == PIECE
    assert ann.patch(where, PIECE, data[PIECE:]).status == 204
    assert sha256(data_of(web, facts)) == sha256(path)


def test_an_archive_goes_from_a_browser_into_the_store_of_a_whole_site(sqlite_site: Site, tmp_path: Path) -> None:
    site = furnished(sqlite_site)
    site.extra_env["BACKUPS_SIGNING_KEYS"] = "the key of this test"
    path = tmp_path / "archive.zip"
    make_archive(path, uploads={"a.bin": random.Random(1).randbytes(20 * MB)})
    with SiteProcesses(site).running() as processes, Uploader(processes, "ann", PASSWORD) as ann:
        facts = send(ann, path, breaks=2)
        answer = ann.form(str(facts["finish"]), sha256=sha256(path))
        assert answer.status == 200, answer
        progress = json.loads(answer.body)["next"]
        wait_until(lambda: all(journal["status"] not in ("queued", "running") for journal in journals(site)), "the end of the taking in")
        status, body = processes.get(urlsplit(progress).path)
        assert status == 200
        assert f"the same as in the browser: <code>{sha256(path)}</code>" in body.decode()
        assert "is signed with a key that this site does not have" in body.decode()
    (journal,) = (journal for journal in journals(site) if journal["kind"] == "upload")
    assert (journal["status"], journal["error"]) == ("done", "")
    (stored,) = site.backups.glob("*.zip")
    assert sha256(stored) == sha256(path)
    assert [entry.name for entry in (site.state / "quarantine").iterdir()] == [".lock"]
    assert site.fetch("SELECT is_uploaded, requested_by, signature FROM backups_backup") == [(1, "ann", "unknown key")]
