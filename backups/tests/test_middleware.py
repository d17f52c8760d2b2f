"""The middleware: who waits, who is let in, who is refused, and whose answer counts."""

from __future__ import annotations

import io
import itertools
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIRequest
from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from django.http import FileResponse, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import Client, RequestFactory
from pytest_django import Settings

from backups import middleware, unavailable
from backups.gate import (
    GateState,
    connections_refresh,
    gate_close,
    gate_open,
    gate_raise,
    gate_read,
    gate_read_only,
    gate_stage,
    maintenance_on,
)
from backups.middleware import MaintenanceMiddleware
from backups.unavailable import retry_after

pytestmark = pytest.mark.usefixtures("own_gate")

OPERATION = "0123456789abcdef0123456789abcdef"

View = Callable[[WSGIRequest], HttpResponseBase]


@pytest.fixture(autouse=True)
def no_connection() -> None:
    """None that a test before has left open: the end of a request looks at those, which a test without a database may not."""
    connection.close()


class Pages:
    """What stands behind the middleware: each request is answered by the next of ``views``; errors become pages as in Django."""

    def __init__(self, *views: View) -> None:
        self.views = list(views)
        self.requests: list[WSGIRequest] = []
        self.middleware = MaintenanceMiddleware(cast(View, convert_exception_to_response(cast(Any, self._answer))))

    def _answer(self, request: WSGIRequest) -> HttpResponseBase:
        self.requests.append(request)
        return self.views.pop(0)(request)

    @property
    def asked(self) -> int:
        """How many requests got through."""
        return len(self.requests)

    def ask(self, method: str = "GET", path: str = "/time/", data: bytes = b"", **environ: Any) -> Any:
        """Send one request through the middleware."""
        return self.middleware(RequestFactory().generic(method, path, data, **environ))


def page(text: str) -> View:
    return lambda request: HttpResponse(text)


def status(code: int) -> View:
    return lambda request: HttpResponse(status=code)


def fails(error: Exception) -> View:
    def view(request: WSGIRequest) -> HttpResponseBase:
        raise error

    return view


def while_(event: Callable[[], None], view: View) -> View:
    """A view in whose time something happens to the gate."""

    def overtaken(request: WSGIRequest) -> HttpResponseBase:
        event()
        return view(request)

    return overtaken


def close(stage: str = "swap") -> None:
    gate_raise(OPERATION, "restore")
    gate_read_only()
    gate_stage(stage)
    gate_close()


def swap(epoch: str = OPERATION) -> None:
    close()
    gate_open(epoch=epoch)


def try_to_swap() -> None:
    close()
    gate_open()


def read_only() -> None:
    gate_raise(OPERATION, "restore")
    gate_read_only()


def when_waiting(pages: Pages, count: int, then: Callable[[], None]) -> threading.Thread:
    """Do ``then`` as soon as ``count`` requests wait."""

    def watch() -> None:
        deadline = time.monotonic() + 60
        while pages.middleware._waiters < count and time.monotonic() < deadline:
            time.sleep(0.005)
        then()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


# --- open -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
def test_an_open_gate_lets_every_request_in_once(method: str) -> None:
    pages = Pages(page("here"))
    assert pages.ask(method).content == b"here"
    assert pages.asked == 1


def test_a_restore_that_only_unpacks_stops_nobody() -> None:
    gate_raise(OPERATION, "restore")
    pages = Pages(page("here"), page("done"))
    assert (pages.ask().content, pages.ask("POST").content) == (b"here", b"done")


# --- closed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/static/site.css",
        "/healthz",
        "/readyz",
        "/backups/health.json",
        "/backups/metrics",
        "/backups/progress/abc/",
        "/backups/cancel/abc/",
    ],
)
def test_paths_that_need_no_database_pass_a_closed_gate(path: str) -> None:
    close()
    pages = Pages(page("here"), page("done"))
    assert (pages.ask("GET", path).content, pages.ask("POST", path).content) == (b"here", b"done")


@pytest.mark.parametrize("path", ["/", "/healthzz", "/readyz.html", "/time/healthz", "/backups/", "/staticx/"])
def test_other_paths_do_not(path: str) -> None:
    maintenance_on(message="We are moving.")
    pages = Pages()
    assert pages.ask("GET", path).status_code == 503


def test_a_site_whose_static_files_are_everything_is_not_exempt(settings: Settings) -> None:
    settings.STATIC_URL = "/"
    maintenance_on(message="We are moving.")
    assert Pages().ask().status_code == 503


def test_a_swap_is_a_slow_page_and_no_error(settings: Settings) -> None:
    settings.BACKUPS_HOLD_SECONDS = 60
    pages = Pages(page("new"))
    close()
    opener = when_waiting(pages, 1, lambda: gate_open(epoch=OPERATION))
    response = pages.ask()
    opener.join()
    assert (response.status_code, response.content) == (200, b"new")
    assert pages.requests[0].gate.epoch == OPERATION  # type: ignore[attr-defined]


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_gate_that_stays_closed_is_said_after_the_hold(settings: Settings, seconds: int) -> None:
    settings.BACKUPS_HOLD_SECONDS = seconds
    close()
    pages = Pages()
    assert pages.ask().status_code == 503
    assert (pages.asked, pages.middleware._waiters) == (0, 0)


def test_only_so_many_wait_long_and_the_others_answer(settings: Settings) -> None:
    settings.BACKUPS_HOLD_SECONDS = 60
    settings.BACKUPS_HOLD_WAITERS = 1
    pages = Pages(page("new"))
    close()
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(pages.ask()))
    waiting.start()
    when_waiting(pages, 1, lambda: None).join()
    assert pages.ask().status_code == 503
    assert answers == []
    gate_open(epoch=OPERATION)
    waiting.join()
    assert answers[0].content == b"new"


def test_those_beyond_the_bound_wait_a_moment_too(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.BACKUPS_HOLD_SECONDS = 60
    settings.BACKUPS_HOLD_WAITERS = 0
    monkeypatch.setattr(middleware, "SHORT_HOLD", 60)
    reads = itertools.count(1)

    def read() -> GateState:
        if next(reads) == 4:
            gate_open(epoch=OPERATION)
        return gate_read()

    monkeypatch.setattr(middleware, "gate_read", read)
    close()
    assert Pages(page("new")).ask().content == b"new"


@pytest.mark.parametrize("stage", ["load", "migrate"])
def test_nobody_waits_for_a_load_in_place(settings: Settings, stage: str) -> None:
    settings.BACKUPS_HOLD_SECONDS = 3600
    close(stage)
    assert Pages().ask().status_code == 503


def test_nobody_waits_for_a_person(settings: Settings) -> None:
    settings.BACKUPS_HOLD_SECONDS = 3600
    maintenance_on(message="We are moving until noon.")
    response = Pages().ask()
    assert response.status_code == 503
    assert b"We are moving until noon." in response.content
    assert response["Retry-After"] == "60"


def test_the_closed_page_is_complete_by_itself(settings: Settings) -> None:
    settings.BACKUPS_HOLD_SECONDS = 0
    close()
    response = Pages().ask()
    assert response["Retry-After"] == "2"
    assert response["Cache-Control"] == "no-store"
    assert response["Vary"] == "Accept, HX-Request"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'; img-src 'self';")
    assert response["Content-Length"] == str(len(response.content))
    text = response.content.decode()
    assert '<meta http-equiv="refresh" content="2">' in text
    assert '<link rel="stylesheet" href="/static/site.css">' in text
    assert "<title>One moment, please · TimeTracker</title>" in text
    assert "A backup is being restored." in text
    assert "<script" not in text and "style=" not in text


def test_programs_get_json() -> None:
    maintenance_on(message="We are moving.")
    response = Pages().ask(HTTP_ACCEPT="application/json")
    assert response["Content-Type"] == "application/json"
    assert json.loads(response.content) == {"error": "unavailable", "state": "closed", "reason": "We are moving.", "retry_after": 60}
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "accept", ["*/*", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "image/png", "", "garbage;q=x,,/"]
)
def test_everybody_else_gets_html(accept: str) -> None:
    maintenance_on(message="We are moving.")
    assert Pages().ask(HTTP_ACCEPT=accept)["Content-Type"] == "text/html; charset=utf-8"


def test_head_gets_the_headers_of_get_and_no_body() -> None:
    maintenance_on(message="We are moving.")
    head, get = Pages().ask("HEAD"), Pages().ask("GET")
    assert (head.status_code, head.content) == (503, b"")
    assert dict(head.headers) == dict(get.headers)


def test_options_waits_and_is_refused_as_get_is(settings: Settings) -> None:
    settings.BACKUPS_HOLD_SECONDS = 60
    pages = Pages(page(""))
    close()
    opener = when_waiting(pages, 1, gate_open)
    assert pages.ask("OPTIONS").status_code == 200
    opener.join()
    maintenance_on(message="We are moving.")
    assert pages.ask("OPTIONS").status_code == 503


def test_the_whole_site_answers_a_closed_gate_without_a_query() -> None:
    """Without a mark, this test may not touch the database: a query is an error."""
    maintenance_on(message="We are moving.")
    client = Client()
    client.cookies["sessionid"] = "0" * 32
    for path in ("/", "/admin/", "/admin/login/", "/admin/tracking/timeentry/", "/no-such-page/"):
        assert client.get(path).status_code == 503
        assert client.post(path, {"a": "b"}).status_code == 503


def test_a_page_that_cannot_be_rendered_is_replaced_by_a_plain_one(settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}
    maintenance_on(message="We are moving.")
    response = Pages().ask()
    assert (response.status_code, response["Retry-After"]) == (503, "60")
    assert response.content.decode() == unavailable.PLAIN_PAGE


def test_a_refusal_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    maintenance_on(message="We are moving.")
    Client().get("/admin/")
    assert not [record for record in caplog.records if record.name == "django.request"]


# --- read-only --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
@pytest.mark.parametrize("state", [read_only, close], ids=["read_only", "closed"])
def test_a_change_is_refused_at_once(settings: Settings, method: str, state: Callable[[], None]) -> None:
    settings.BACKUPS_HOLD_SECONDS = 3600
    state()
    pages = Pages()
    response = pages.ask(method)
    assert (response.status_code, pages.asked) == (503, 0)
    assert b"This was not saved" in response.content
    assert b"Back button" in response.content
    assert b"http-equiv" not in response.content, "a page that reloads itself would lose the way back to the form"


def test_who_changes_something_during_a_maintenance_is_promised_no_time() -> None:
    maintenance_on(message="We are moving until noon.", read_only=True)
    response = Client().post("/admin/login/")
    assert response.status_code == 503
    assert b"send it again when it is over." in response.content
    notice = Client().post("/admin/login/", headers={"HX-Request": "true"})
    assert b"Try again when it is over." in notice.content


def test_reading_goes_on_with_a_banner() -> None:
    read_only()
    response = Client().get("/no-such-page/")
    assert response.status_code == 404
    assert b"You can read, but not change anything." in response.content
    gate_open()
    assert b"You can read" not in Client().get("/no-such-page/").content


def test_the_admin_has_the_banner_too() -> None:
    maintenance_on(message="We count the stock.", read_only=True)
    response = Client().get("/admin/login/")
    assert response.status_code == 200
    assert b"We count the stock." in response.content


def test_htmx_puts_the_refusal_beside_the_form() -> None:
    read_only()
    response = Pages().ask("POST", HTTP_HX_REQUEST="true", HTTP_ACCEPT="*/*")
    assert response.status_code == 503
    assert (response["HX-Retarget"], response["HX-Reswap"]) == ("#gate-message", "innerHTML")
    text = response.content.decode()
    assert "This was not saved." in text and "What you typed is still here." in text
    assert "<html" not in text
    assert b'id="gate-message"' in Client().get("/no-such-page/").content, "the place that it goes to"


def test_htmx_that_reads_at_a_closed_gate_keeps_the_page() -> None:
    maintenance_on(message="We are moving.")
    response = Pages().ask(HTTP_HX_REQUEST="true")
    assert response["HX-Retarget"] == "#gate-message"
    assert "not saved" not in response.content.decode()


class Body(io.RawIOBase):
    """A body of ``size`` bytes that exists nowhere; notes how much of it was read, and the largest piece."""

    def __init__(self, size: int) -> None:
        self.left, self.taken, self.largest = size, 0, 0

    def read(self, size: int = -1) -> bytes:
        piece = self.left if size < 0 else min(size, self.left)
        self.left, self.taken, self.largest = self.left - piece, self.taken + piece, max(self.largest, piece)
        return b"0" * piece


@pytest.mark.parametrize(
    ("environ", "taken"),
    [
        ({"CONTENT_LENGTH": str(5 * 1024**2)}, 5 * 1024**2),
        ({"CONTENT_LENGTH": "1000"}, 1000),
        ({"CONTENT_LENGTH": str(40 * 1024**2)}, 16 * 1024**2),
        ({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}, 16 * 1024**2),
        ({}, 0),
    ],
    ids=["whole", "no further than announced", "bounded", "chunked", "none"],
)
def test_the_body_of_a_refused_change_is_read_and_thrown_away(environ: dict[str, Any], taken: int) -> None:
    read_only()
    request = RequestFactory().post("/time/")
    del request.environ["CONTENT_LENGTH"]
    body = Body(50 * 1024**2)
    request = WSGIRequest({**request.environ, "wsgi.input": body, **environ})
    assert MaintenanceMiddleware(status(200))(request).status_code == 503
    assert body.taken == taken
    assert body.largest <= 64 * 1024


def test_a_client_that_goes_away_while_it_sends_is_no_error() -> None:
    class Gone(Body):
        def read(self, size: int = -1) -> bytes:
            raise ConnectionResetError

    read_only()
    request = RequestFactory().post("/time/")
    request = WSGIRequest({**request.environ, "CONTENT_LENGTH": "10", "wsgi.input": Gone(10)})
    assert MaintenanceMiddleware(status(200))(request).status_code == 503


# --- on the way out: reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [page("old"), page("half old, half new"), status(404), status(500), fails(OperationalError("gone")), fails(SessionInterrupted("gone"))],
    ids=["good", "mixed", "404", "500", "lost", "session"],
)
def test_an_answer_that_a_swap_overtook_is_made_again(first: View) -> None:
    pages = Pages(while_(swap, first), page("new"))
    response = pages.ask(path="/time/?page=2")
    assert (response.status_code, response.content) == (200, b"new")
    again = pages.requests[1]
    assert again is not pages.requests[0]
    assert (again.method, again.get_full_path()) == ("GET", "/time/?page=2")
    assert again.gate.epoch == OPERATION  # type: ignore[attr-defined]


def test_the_first_answer_is_closed(tmp_path: Path) -> None:
    closed: list[str] = []

    class Answer(HttpResponse):
        def close(self) -> None:
            closed.append(self.content.decode())
            super().close()

    pages = Pages(while_(swap, lambda request: Answer("old")), page("new"))
    pages.ask()
    assert closed == ["old"]


def test_the_second_request_is_as_the_first_one_came() -> None:
    def view(request: WSGIRequest) -> HttpResponseBase:
        request.META["SECRET"] = "what middleware keeps in the environment"
        swap()
        return HttpResponse("old")

    pages = Pages(view, page("new"))
    assert pages.ask(REMOTE_ADDR="192.0.2.1").content == b"new"
    assert pages.requests[1].META["REMOTE_ADDR"] == "192.0.2.1"
    assert "SECRET" not in pages.requests[1].META


def test_an_answer_that_is_overtaken_twice_is_refused() -> None:
    pages = Pages(while_(lambda: swap("1" * 32), page("old")), while_(lambda: swap("2" * 32), page("older")), page("never"))
    assert pages.ask().status_code == 503
    assert pages.asked == 2


def test_an_answer_that_meets_the_closed_gate_waits_and_is_made_again(settings: Settings) -> None:
    settings.BACKUPS_HOLD_SECONDS = 60
    pages = Pages(while_(close, page("old")), page("new"))
    opener = when_waiting(pages, 1, lambda: gate_open(epoch=OPERATION))
    assert pages.ask().content == b"new"
    opener.join()


def test_an_answer_that_meets_a_gate_that_stays_closed_is_refused(settings: Settings) -> None:
    settings.BACKUPS_HOLD_SECONDS = 0
    pages = Pages(while_(close, page("old")), page("never"))
    assert pages.ask().status_code == 503
    assert pages.asked == 1


@pytest.mark.parametrize("error", [OperationalError("terminating connection"), InterfaceError("connection already closed")])
def test_a_connection_lost_to_a_swap_that_was_given_up_is_no_answer(error: Exception) -> None:
    pages = Pages(while_(try_to_swap, fails(error)), page("old"))
    assert pages.ask().content == b"old"


def test_a_connection_lost_behind_other_errors_is_found() -> None:
    def view(request: WSGIRequest) -> HttpResponseBase:
        try:
            try:
                raise OperationalError("server closed the connection unexpectedly")
            except OperationalError as error:
                raise ProgrammingError("cursor") from error
        except ProgrammingError:
            raise ValueError("the view's own clean-up failed")  # noqa: B904 - as context, not as cause

    assert Pages(while_(read_only, view), page("again")).ask().content == b"again"


def test_a_connection_that_stays_lost_is_refused() -> None:
    lost = fails(OperationalError("refused"))
    pages = Pages(while_(read_only, lost), lost, page("never"))
    assert pages.ask().status_code == 503
    assert pages.asked == 2


def test_a_lost_connection_with_nothing_going_on_is_an_error_of_the_site() -> None:
    pages = Pages(fails(OperationalError("disk full")), page("never"))
    assert pages.ask().status_code == 500
    assert pages.asked == 1


def test_a_mistake_of_the_site_during_a_restore_is_not_hidden() -> None:
    read_only()
    pages = Pages(fails(ValueError("a mistake")), page("never"))
    assert pages.ask().status_code == 500
    assert pages.asked == 1


def test_pages_are_served_with_the_cache_away(cache_away: None) -> None:
    pages = Pages(page("here"), page("done"))
    assert (pages.ask().content, pages.ask("POST").content) == (b"here", b"done")


def test_a_refused_connection_with_the_cache_away_is_a_refusal(cache_away: None) -> None:
    refused = fails(OperationalError("the database is not currently accepting connections"))
    response = Pages(refused, refused).ask()
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert b"cannot reach its database" in response.content
    pages = Pages(refused, page("never"))
    assert (pages.ask("POST").status_code, pages.asked) == (503, 1)


def test_a_mistake_with_the_cache_away_is_not_hidden(cache_away: None) -> None:
    assert Pages(fails(ValueError("a mistake"))).ask().status_code == 500


@pytest.mark.parametrize("environ", [{"data": b"abc"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_a_request_with_a_body_is_not_sent_again(environ: dict[str, Any]) -> None:
    pages = Pages(while_(swap, page("old")), page("never"))
    assert pages.ask("GET", **environ).status_code == 503
    assert pages.asked == 1


@pytest.mark.parametrize(
    "streamed", [lambda: StreamingHttpResponse([b"piece"]), lambda: FileResponse(io.BytesIO(b"piece"))], ids=["stream", "file"]
)
def test_a_download_in_flight_is_left_alone(streamed: Callable[[], StreamingHttpResponse]) -> None:
    pages = Pages(while_(swap, lambda request: streamed()), page("never"))
    assert pages.ask().getvalue() == b"piece"
    assert pages.asked == 1


# --- on the way out: changing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [swap, close, read_only])
@pytest.mark.parametrize("view", [page("saved"), lambda request: HttpResponseRedirect("/"), status(404), status(403)])
def test_a_change_that_was_let_in_keeps_its_answer(event: Callable[[], None], view: View) -> None:
    pages = Pages(while_(event, view), page("never"))
    assert pages.ask("POST").status_code == view(RequestFactory().post("/")).status_code
    assert pages.asked == 1


@pytest.mark.parametrize("event", [swap, close])
@pytest.mark.parametrize(
    "view", [status(500), status(400), fails(OperationalError("gone")), fails(SessionInterrupted("gone")), fails(ValueError())]
)
def test_a_change_that_failed_under_a_swap_is_refused_and_never_repeated(event: Callable[[], None], view: View) -> None:
    pages = Pages(while_(event, view), page("never"))
    response = pages.ask("POST", data=b"hours=8")
    assert (response.status_code, pages.asked) == (503, 1)
    assert b"This was not saved" in response.content


def test_a_change_whose_connection_was_lost_to_a_swap_that_was_given_up_is_refused() -> None:
    pages = Pages(while_(try_to_swap, fails(OperationalError("gone"))), page("never"))
    assert (pages.ask("POST").status_code, pages.asked) == (503, 1)


@pytest.mark.parametrize(("view", "code"), [(fails(ValueError("a mistake")), 500), (status(500), 500), (status(400), 400)])
def test_a_change_that_fails_by_itself_keeps_its_error(view: View, code: int) -> None:
    assert Pages(while_(read_only, view)).ask("POST").status_code == code


# --- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_thread_of_an_older_epoch_begins_with_new_connections() -> None:
    seen: list[object] = []

    def view(request: WSGIRequest) -> HttpResponseBase:
        connection.ensure_connection()
        seen.append(connection.connection)
        return HttpResponse()

    pages = Pages(view, view, view, view)
    pages.ask()
    pages.ask()
    swap()
    pages.ask()
    assert seen[0] is seen[1]
    assert seen[1] is not seen[2]


@pytest.mark.django_db(transaction=True)
def test_the_second_run_has_new_connections() -> None:
    seen: list[object] = []

    def view(request: WSGIRequest) -> HttpResponseBase:
        connection.ensure_connection()
        seen.append(connection.connection)
        if len(seen) == 1:
            try_to_swap()
            raise OperationalError("terminating connection")
        return HttpResponse()

    assert Pages(view, view).ask().status_code == 200
    assert seen[0] is not seen[1]


@pytest.mark.django_db
def test_a_connection_in_a_transaction_is_not_taken_from_its_owner() -> None:
    connection.ensure_connection()
    before = connection.connection
    connections_refresh("an epoch that this thread has not seen")
    assert connection.connection is before


# --- when to try again ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (GateState("closed", OPERATION, "restore", "swap"), 2),
        (GateState("closed", OPERATION, "restore", "load"), 10),
        (GateState("closed", OPERATION, "recover"), 2),
        (GateState("read_only", OPERATION, "restore", "shadow"), 30),
        (GateState("read_only", OPERATION, "restore", "migrate"), 10),
        (GateState("closed", kind="maintenance"), 60),
        (GateState(reachable=False), 5),
    ],
)
def test_when_to_try_again_follows_from_the_stage(state: GateState, seconds: int) -> None:
    assert retry_after(state) == seconds


@pytest.mark.parametrize(("in_seconds", "least", "most"), [(-30, 1, 1), (45, 40, 45), (7200, 120, 120)])
def test_when_to_try_again_follows_from_the_estimate(in_seconds: int, least: int, most: int) -> None:
    eta = datetime.now(UTC) + timedelta(seconds=in_seconds)
    assert least <= retry_after(GateState("closed", OPERATION, "restore", "load", eta=eta)) <= most
