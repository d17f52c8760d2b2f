"""Error pages, both login pages and the progress page render whatever state the database is in: stopped, emptied, closed."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable

import pytest
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.test import Client
from django.urls import path

from backups.gate import gate_open, gate_raise
from backups.tests.servers import PgCluster
from backups.tests.site import Site
from backups.tests.web import HOST, WebServer
from timetracker.urls import urlpatterns as site_urls

PAGES = {
    400: "This request was not understood",
    403: "You may not see this",
    404: "There is no such page",
    500: "Something went wrong here",
}
LOGINS = ("/login/", "/admin/login/", "/portal/login/")
# Of a session that there is none of, which has to be looked up all the same.
COOKIE = {"Cookie": f"sessionid={'0' * 32}"}
ERRORS: dict[str, Exception] = {
    "400": BadRequest(),
    "403": PermissionDenied(),
    "404": Http404(),
    "500": ValueError("a mistake"),
    "database": DatabaseError("gone"),
}

pytestmark = pytest.mark.usefixtures("own_gate")


def fail(request: HttpRequest, error: str) -> HttpResponse:
    """A view that ends with one of the errors."""
    raise ERRORS[error]


urlpatterns = [*site_urls, path("fail/<error>/", fail)]


@pytest.fixture
def visitor() -> Client:
    """A browser with the cookie of a session. No test of its is marked for the database: a query is an error."""
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "0" * 32
    return client


# --- without a query --------------------------------------------------------------------------------------------------


@pytest.mark.urls("timetracker.tests.test_error_pages")
@pytest.mark.parametrize(("error", "code"), [("400", 400), ("403", 403), ("404", 404), ("500", 500), ("database", 500)])
def test_an_error_page_needs_no_query(visitor: Client, error: str, code: int) -> None:
    response = visitor.get(f"/fail/{error}/")
    assert response.status_code == code
    text = response.content.decode()
    assert PAGES[code] in text
    assert " · TimeTracker</title>" in text
    assert '<link rel="stylesheet" href="/static/site.css">' in text
    assert "a mistake" not in text and "gone</" not in text


def test_a_form_without_its_token_is_answered_without_a_query() -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies["sessionid"] = "0" * 32
    response = client.post("/admin/login/", {"username": "ada"})
    assert response.status_code == 403
    assert "<title>Please send it again · TimeTracker</title>" in response.content.decode()


# That of the portal asks for its name, colour and logo, and does without them where the database fails (portal/tests/test_context.py).
@pytest.mark.parametrize("login", ["/login/", "/admin/login/"])
def test_a_login_page_needs_no_query_of_a_visitor_without_a_session(login: str) -> None:
    response = Client().get(f"{login}?next=/admin/")
    assert response.status_code == 200
    assert b'name="password"' in response.content


@pytest.mark.parametrize("login", LOGINS)
def test_a_login_page_needs_no_query_during_a_restore(visitor: Client, login: str) -> None:
    gate_raise("0" * 32, "restore")
    response = visitor.get(login)
    assert response.status_code == 200
    assert b'name="password"' in response.content
    gate_open()


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "500.html"])
def test_an_error_page_needs_no_context(name: str) -> None:
    text = render_to_string(name)
    assert "<h1>" in text and 'href="/"' in text
    assert "<script" not in text and "style=" not in text


@pytest.mark.django_db
def test_who_is_logged_in_is_led_on_from_the_login_page(admin_client: Client) -> None:
    response = admin_client.get("/admin/login/")
    assert (response.status_code, response["Location"]) == (302, "/admin/")


# --- with the database gone -------------------------------------------------------------------------------------------


def drop_tables(site: Site) -> None:
    """Leave the database without a table."""
    if site.cluster:
        site.execute("DROP SCHEMA public CASCADE")
        return
    with site.cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys=OFF")
        for table in site.tables():
            cursor.execute(f'DROP TABLE "{table}"')


def asked(web: WebServer, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
    with contextlib.closing(http.client.HTTPConnection(HOST, web.port, timeout=30)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def link_to_a_backup(site: Site) -> str:
    """Make a backup; the path of the page that shows how it went."""
    site.manage("backup_create")
    code = (
        "import sys, django; django.setup()\n"
        "from backups.journal import journal_load_all\nfrom backups.links import progress_link\n"
        "print(progress_link(journal_load_all()[-1].id))"
    )
    stdout, stderr = site.run_python("-c", code).communicate(timeout=60)
    assert stdout.startswith("/"), stderr
    return stdout.strip()


def check_pages(site: Site, break_database: Callable[[], None]) -> None:
    """Ask a real web server for everything that must render, before and after the database is broken."""
    site.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.pages_settings"
    progress = link_to_a_backup(site)
    with WebServer(site).running() as web:
        for is_broken in (False, True):
            if is_broken:
                break_database()
            for headers in ({}, COOKIE):
                for login in LOGINS:
                    status, text = asked(web, "GET", login, headers)
                    assert (status, 'name="password"' in text) == (200, True), text
                status, text = asked(web, "GET", progress, headers)
                assert (status, "Backup" in text and "done" in text.lower()) == (200, True), text
                status, text = asked(web, "GET", "/no-such-page/", headers)
                assert (status, PAGES[404] in text) == (404, True), text
                status, text = asked(web, "POST", "/admin/login/", headers)
                assert (status, "Please send it again" in text) == (403, True), text
            status, text = asked(web, "GET", "/admin/", COOKIE)
            assert (status, PAGES[500] in text) == ((500, True) if is_broken else (302, False)), text
            status, text = asked(web, "GET", "/admin/", {**COOKIE, "Host": "elsewhere.example.org"})
            assert (status, PAGES[400] in text) == (400, True), text


def test_pages_render_without_a_table_on_sqlite(sqlite_site: Site) -> None:
    check_pages(sqlite_site, lambda: drop_tables(sqlite_site))


def test_pages_render_without_a_table_on_postgresql(postgres_site: Site) -> None:
    check_pages(postgres_site, lambda: drop_tables(postgres_site))


def test_pages_render_with_the_server_stopped(postgres_site: Site, pg: PgCluster) -> None:
    check_pages(postgres_site, pg.stop)
