"""Maintenance by hand, and what gunicorn makes of the middleware's refusals: real commands and a real web server."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator

import pytest

from backups.tests.site import Site
from backups.tests.web import HOST, WebServer


@pytest.fixture
def maintained(sqlite_site: Site) -> Site:
    """A site on SQLite and files, with one archive."""
    sqlite_site.manage("backup_create", "--no-uploads")
    return sqlite_site


@pytest.fixture
def web(sqlite_site: Site) -> Iterator[WebServer]:
    """gunicorn as ``./run`` starts it."""
    sqlite_site.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.pages_settings"
    with WebServer(sqlite_site).running() as server:
        yield server


def gate_of(site: Site) -> dict[str, object]:
    gate: dict[str, object] = json.loads(site.manage("backup_status", "--json").stdout)["gate"]
    return gate


def test_on_closes_the_site_and_off_opens_it(sqlite_site: Site, web: WebServer) -> None:
    assert web.get("/admin/login/")[0] == 200
    on = sqlite_site.manage("backup_maintenance", "on", "--message", "We are moving until noon.")
    assert on.stdout == "The site is closed.\nEnd the maintenance: manage.py backup_maintenance off\n"
    status, body = web.get("/admin/login/")
    assert status == 503
    assert b"We are moving until noon." in body
    assert web.get("/static/site.css")[0] in (200, 404), "not stopped by the gate"
    assert web.post("/admin/login/")[0] == 503
    off = sqlite_site.manage("backup_maintenance", "off")
    assert off.stdout == "The site is open.\n"
    assert web.get("/admin/login/")[0] == 200


def test_read_only_lets_visitors_read(sqlite_site: Site, web: WebServer) -> None:
    on = sqlite_site.manage("backup_maintenance", "on", "--read-only", "--message", "We count the stock.")
    assert on.stdout.startswith("Visitors can read; changes and logins are refused.\n")
    status, body = web.get("/admin/login/")
    assert status == 200
    assert b"We count the stock." in body
    status, body = web.post("/admin/login/", headers={"Accept": "application/json"})
    assert status == 503
    assert json.loads(body)["reason"] == "We count the stock."


def test_json_says_what_holds(sqlite_site: Site) -> None:
    on = json.loads(sqlite_site.manage("backup_maintenance", "on", "--message", "Soon.", "--json").stdout)
    assert (on["event"], on["state"], on["kind"], on["operation"], on["message"]) == ("result", "closed", "maintenance", "", "Soon.")
    off = json.loads(sqlite_site.manage("backup_maintenance", "off", "--json").stdout)
    assert (off["state"], off["kind"], off["message"]) == ("open", "", "")


def test_status_shows_who_closed_the_site_and_how_to_open_it(sqlite_site: Site) -> None:
    sqlite_site.manage("backup_maintenance", "on")
    (line,) = [line for line in sqlite_site.manage("backup_status").stdout.splitlines() if line.startswith("Gate")]
    assert line.startswith("Gate       closed by hand since 20")
    assert "(command line). End it: manage.py backup_maintenance off" in line


def test_maintenance_outlasts_a_restore(maintained: Site) -> None:
    (archive,) = maintained.backups.glob("*.zip")
    maintained.manage("backup_maintenance", "on", "--read-only", "--message", "Soon.")
    maintained.manage("backup_restore", archive.name, "--no-input")
    gate = gate_of(maintained)
    assert (gate["state"], gate["kind"], gate["operation"]) == ("read_only", "maintenance", "")
    maintained.manage("backup_maintenance", "off")
    assert gate_of(maintained)["state"] == "open"


def test_off_without_maintenance_is_no_error(sqlite_site: Site) -> None:
    assert sqlite_site.manage("backup_maintenance", "off").stdout == "The site is open.\n"


@pytest.mark.parametrize("words", [[], ["up"], ["on", "off"]])
def test_other_words_are_refused(sqlite_site: Site, words: list[str]) -> None:
    assert sqlite_site.manage("backup_maintenance", *words, check=False).returncode == 2


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_browser_that_sends_an_upload_reads_the_refusal(sqlite_site: Site, web: WebServer, chunked: bool) -> None:
    """Without reading the body the server would close the connection on the sender, who would then see no page at all."""
    sqlite_site.manage("backup_maintenance", "on", "--read-only")
    piece = b"0" * 1024**2
    with contextlib.closing(http.client.HTTPConnection(HOST, web.port, timeout=60)) as connection:
        for _ in range(2):  # the second on the same connection: nothing of the first is left in it
            headers = {} if chunked else {"Content-Length": str(5 * len(piece))}
            connection.request("POST", "/admin/", (piece for _ in range(5)), headers, encode_chunked=chunked)
            answer = connection.getresponse()
            assert answer.status == 503
            assert b"This was not saved" in answer.read()


def test_head_on_a_closed_site_has_no_body(sqlite_site: Site, web: WebServer) -> None:
    sqlite_site.manage("backup_maintenance", "on")
    with contextlib.closing(http.client.HTTPConnection(HOST, web.port, timeout=60)) as connection:
        for method, has_body in (("HEAD", False), ("GET", True), ("OPTIONS", True)):
            connection.request(method, "/admin/")
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("Retry-After")) == (503, "60")
            assert bool(answer.read()) is has_body
