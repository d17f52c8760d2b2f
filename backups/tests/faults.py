r"""A proxy in front of a real HTTP server, whose faults are written down like a script.

    proxy.fail("PUT", r"\.zip\.partial", Answer(503))
    proxy.fail("GET", r"\.zip$", CutResponse(after=1000), times=2)

The first rule that fits a request (method, an expression found in its path and query) is used up by it; all others pass untouched.
"""

from __future__ import annotations

import http.client
import http.server
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Answer", "Call", "CutRequest", "CutResponse", "FaultProxy", "FlipRequest", "FlipResponse", "LoseAnswer"]

# Headers that belong to one connection, not to the message (RFC 9110, 7.6.1).
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "expect")


@dataclass(frozen=True)
class Answer:
    """Answer with a status and S3's error document, without asking the server."""

    status: int
    code: str = "AccessDenied"


@dataclass(frozen=True)
class CutRequest:
    """Close the connection after so many bytes of the request's body; the server never sees it."""

    after: int


@dataclass(frozen=True)
class CutResponse:
    """Close the connection after so many bytes of the answer's body."""

    after: int


@dataclass(frozen=True)
class LoseAnswer:
    """Let the server do its work, then close the connection without an answer."""


@dataclass(frozen=True)
class FlipRequest:
    """Flip one bit of the request's body on its way."""

    at: int


@dataclass(frozen=True)
class FlipResponse:
    """Flip one bit of the answer's body on its way."""

    at: int


@dataclass(frozen=True)
class Call:
    """Call something before the request is passed on."""

    action: Callable[[], object]


Fault = Answer | CutRequest | CutResponse | LoseAnswer | FlipRequest | FlipResponse | Call


@dataclass
class _Rule:
    method: str
    expression: str
    fault: Fault
    times: int


@dataclass(frozen=True)
class Request:
    """What came past: method, path with query, and the Range header (empty where there was none)."""

    method: str
    path: str
    range: str


class FaultProxy:
    """Listens on loopback, passes requests on to ``upstream`` (a URL) and fails those that a rule names."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.requests: list[Request] = []
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def endpoint_url(self) -> str:
        """Where clients connect to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def fail(self, method: str, expression: str, fault: Fault, *, times: int = 1) -> None:
        """Let the next ``times`` requests of that method whose path and query match ``expression`` fail."""
        with self._lock:
            self._rules.append(_Rule(method, expression, fault, times))

    def fault_for(self, request: Request) -> Fault | None:
        """Log the request and use up the rule that fits."""
        with self._lock:
            self.requests.append(request)
            for rule in self._rules:
                if rule.times and rule.method == request.method and re.search(rule.expression, request.path):
                    rule.times -= 1
                    return rule.fault
        return None

    @property
    def unused(self) -> int:
        """Faults that no request met: a test that expects none left cannot pass by accident."""
        return sum(rule.times for rule in self._rules)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultProxy

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._pass_on
        raise AttributeError(name)

    def _pass_on(self) -> None:
        fault = self.owner.fault_for(Request(self.command, self.path, self.headers.get("Range", "")))
        if isinstance(fault, CutRequest):
            self.rfile.read(fault.after)
            self._cut()
            return
        body = self._body()
        if isinstance(fault, Answer):
            self._answer(fault.status, [("Content-Type", "application/xml")], _error_document(fault))
            return
        if isinstance(fault, FlipRequest):
            body = _flipped(body, fault.at)
        if isinstance(fault, Call):
            fault.action()
        status, headers, content = self._ask(body)
        if isinstance(fault, LoseAnswer):
            self._cut()
        elif isinstance(fault, CutResponse):
            self._answer(status, headers, content, only=fault.after)
            self._cut()
        elif isinstance(fault, FlipResponse):
            self._answer(status, headers, _flipped(content, fault.at))
        else:
            self._answer(status, headers, content)

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in (*HOP_BY_HOP, "content-length")}
        connection = http.client.HTTPConnection(self.owner.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, only: int | None = None) -> None:
        self.send_response_only(status)
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        for name, value in headers:
            if name.lower() not in (*HOP_BY_HOP, "content-length"):
                self.send_header(name, value)
        # The length of an answer to HEAD is that of the content which is not sent.
        self.send_header("Content-Length", lengths[0] if lengths and self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content if only is None else content[:only])

    def _cut(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _error_document(fault: Answer) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{fault.code}</Code><Message>As the script says.</Message></Error>'.encode()
