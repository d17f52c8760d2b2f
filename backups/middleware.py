"""The gate in front of the site: who waits, who is let in, and whose answer counts. WSGI, and first in ``MIDDLEWARE``.

It makes no query and knows no session and no user. A request that was let in can be overtaken by a swap: its answer may
hold the old data, the new, or both (on SQLite nothing fails then), or be an error because its connection was ended. So
the gate is asked again on the way out. A safe request whose answer does not count is run once more, on new connections;
of a changing one nobody could say how much was done, so it is never repeated: a good answer stands, an error becomes a 503.

Answers that are streamed (downloads) have their headers sent before their end is known: they are left alone.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http.response import HttpResponseBase

from backups.conf import conf
from backups.gate import GateState, cache_folder, connections_close, connections_refresh, gate_read
from backups.unavailable import BRIEF_STAGES, SAFE_METHODS, unavailable

__all__ = ["MaintenanceMiddleware"]

# A swap takes some 40 ms. So long may every request wait, in seconds, however many do.
SHORT_HOLD = 0.5
# Seconds between two looks at a closed gate.
POLL_FILES = 0.01
POLL_SERVER = 0.02
# Bytes of a refused body that are read and thrown away, so that the browser reads the answer and not a broken connection.
MOST_DISCARDED = 16 * 1024**2
PIECE = 64 * 1024


class MaintenanceMiddleware:
    """Holds, lets in, refuses and repeats requests as the gate says."""

    def __init__(self, get_response: Callable[[WSGIRequest], HttpResponseBase]) -> None:
        """Keep the next in line, and listen for the errors that it turns into pages."""
        self.get_response = get_response
        self._waiters = 0
        self._lock = threading.Lock()
        got_request_exception.connect(_note_lost_connection, dispatch_uid="backups.middleware")

    def __call__(self, request: WSGIRequest) -> HttpResponseBase:
        """Answer the request, or say that the site cannot do so now."""
        if _is_exempt(request):
            return self.get_response(request)
        return self._read(request) if request.method in SAFE_METHODS else self._change(request)

    def _read(self, request: WSGIRequest) -> HttpResponseBase:
        # As it came: middleware and views write into the environment (a CSRF secret, say) what a second run must not find.
        environ = dict(request.environ)
        for is_last in (False, True):
            entered = self._held()
            if entered.state == "closed":
                return unavailable(request, entered)
            response = self._let_in(request, entered)
            left = gate_read()
            if response.streaming or not _is_overtaken(request, response, entered, left):
                return response
            if is_last or _has_body(environ):
                break
            response.close()
            connections_close()
            request = type(request)(environ)
        response.close()
        return unavailable(request, left)

    def _change(self, request: WSGIRequest) -> HttpResponseBase:
        entered = gate_read()
        if entered.state != "open":
            _discard_body(request)
            return unavailable(request, entered)
        response = self._let_in(request, entered)
        if response.status_code not in (400, 500):
            return response
        left = gate_read()
        if not _is_overtaken(request, response, entered, left):
            return response
        response.close()
        _discard_body(request)
        return unavailable(request, left)

    def _let_in(self, request: WSGIRequest, entered: GateState) -> HttpResponseBase:
        connections_refresh(entered.epoch)
        request.gate = entered  # type: ignore[attr-defined]  # for the context processor
        return self.get_response(request)

    def _held(self) -> GateState:
        """The gate; where it is closed for a moment only, that of after the moment, or of after the longest wait."""
        gate = gate_read()
        if not _is_brief(gate):
            return gate
        poll = POLL_FILES if cache_folder() else POLL_SERVER
        with self._waiting() as seconds:
            deadline = time.monotonic() + seconds
            while _is_brief(gate) and time.monotonic() < deadline:
                time.sleep(poll)
                gate = gate_read()
        return gate

    @contextmanager
    def _waiting(self) -> Iterator[float]:
        """Be one of those who wait; yields for how many seconds. Those who wait long leave some threads to others."""
        with self._lock:
            is_long = self._waiters < conf.hold_waiters
            self._waiters += is_long
        try:
            yield conf.hold_seconds if is_long else min(SHORT_HOLD, conf.hold_seconds)
        finally:
            with self._lock:
                self._waiters -= is_long


def _is_exempt(request: WSGIRequest) -> bool:
    if settings.STATIC_URL and settings.STATIC_URL != "/" and request.path.startswith(settings.STATIC_URL):
        return True
    path = request.path_info
    return any(path == exempt or path.startswith(exempt.rstrip("/") + "/") for exempt in conf.gate_exempt)


def _is_brief(gate: GateState) -> bool:
    """Whether the gate is closed, but should open in a moment: not by hand, and not for a load in place."""
    return gate.state == "closed" and bool(gate.operation) and gate.stage in BRIEF_STAGES


def _is_overtaken(request: WSGIRequest, response: HttpResponseBase, entered: GateState, left: GateState) -> bool:
    """Whether the answer does not count: the data was or is being replaced, or its connection was ended for that."""
    if left.state == "closed" or left.epoch != entered.epoch:
        return True
    # The heartbeat: the gate may have been closed and opened again, without a swap, since the request was let in.
    is_quiet = entered.state == left.state == "open" and entered.reachable and left.reachable and entered.heartbeat == left.heartbeat
    return response.status_code == 500 and not is_quiet and getattr(request, "has_lost_connection", False)


def _note_lost_connection(sender: Any, request: WSGIRequest | None = None, **kwargs: Any) -> None:
    """Note of the error that is being turned into a page whether it comes from a lost or refused connection."""
    if request is not None:
        request.has_lost_connection = _comes_from_connection(sys.exc_info()[1])  # type: ignore[attr-defined]


def _comes_from_connection(error: BaseException | None) -> bool:
    """Whether a connection's error is among the causes. psycopg2 has no SQLSTATE for a lost one, only the class."""
    waiting, seen = [error], set()
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        if isinstance(error, (OperationalError, InterfaceError)):
            return True
        seen.add(id(error))
        waiting += [error.__cause__, error.__context__]
    return False


def _has_body(environ: dict[str, Any]) -> bool:
    return environ.get("CONTENT_LENGTH") not in (None, "", "0") or bool(environ.get("HTTP_TRANSFER_ENCODING"))


def _discard_body(request: WSGIRequest) -> None:
    """Read what the client is still sending, in pieces that are kept nowhere, up to :data:`MOST_DISCARDED`."""
    # A server that ends the input itself (gunicorn) also knows where a chunked body ends; Django's stream counts bytes.
    source = request.environ["wsgi.input"] if request.environ.get("wsgi.input_terminated") else request
    left = MOST_DISCARDED
    try:
        while left > 0 and (piece := source.read(min(PIECE, left))):
            left -= len(piece)
    except OSError:  # the client has gone; its body was read already, or is malformed
        return
