"""A browser that uploads, reduced to its requests: logs in, sends pieces to a real web server, and loses its connection on purpose."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from backups.tests.web import HOST, WebServer

__all__ = ["PAGE", "Answer", "Uploader", "reset_on_close"]

PAGE = "/admin/backups/backup/upload/"
SECONDS = 60


def reset_on_close(connection: socket.socket) -> None:
    """Let the connection end without a farewell (RST instead of FIN)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@dataclass(frozen=True)
class Answer:
    """What the server has answered."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Uploader:
    """One person's browser, at the page of uploading. Its connection stays open from one request to the next."""

    web: WebServer
    user: str
    password: str
    _cookies: dict[str, str] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        """Log in."""
        self.ask("GET", "/admin/login/")
        answer = self.form("/admin/login/", username=self.user, password=self.password, next=PAGE)
        assert (answer.status, answer.headers.get("location")) == (302, PAGE), answer
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.hang_up()

    def ask(self, method: str, path: str, *, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """One request; once more where the server had hung up meanwhile, as browsers do. Raises OSError or HTTPException."""
        is_reused = self._connection is not None
        if self._connection is None:
            self._connection = http.client.HTTPConnection(HOST, self.web.port, timeout=SECONDS)
        try:
            self._connection.request(method, path, body=body or None, headers=self._headers(headers))
            response = self._connection.getresponse()
            answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        except BaseException as error:
            self.hang_up()
            if is_reused and isinstance(error, ConnectionError):
                return self.ask(method, path, body=body, headers=headers)
            raise
        for cookie in response.headers.get_all("Set-Cookie", ()):
            name, value = cookie.partition(";")[0].split("=", 1)
            self._cookies[name] = value
        return answer

    def form(self, path: str, **fields: object) -> Answer:
        """Send a form."""
        return self.ask(
            "POST",
            path,
            body=urlencode({"csrfmiddlewaretoken": self._cookies.get("csrftoken", ""), **fields}).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )

    def patch(self, path: str, offset: int, piece: bytes) -> Answer:
        """Send a piece whole."""
        return self.ask("PATCH", path, body=piece, headers={"Upload-Offset": str(offset)})

    def patch_broken(self, path: str, offset: int, piece: bytes, sent: int, *, is_reset: bool) -> None:
        """Announce a piece, send so many bytes of it, and be gone: with a farewell (FIN), or without one (RST)."""
        headers = {"Upload-Offset": str(offset), "Content-Length": str(len(piece))}
        with self.begun("PATCH", path, headers, piece[:sent]) as connection:
            if is_reset:
                reset_on_close(connection)

    @contextlib.contextmanager
    def begun(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Iterator[socket.socket]:
        """The connection of a request, on its own, of which so much has been sent; closed at the end of the block."""
        with contextlib.closing(socket.create_connection((HOST, self.web.port), timeout=SECONDS)) as connection:
            connection.sendall(self._head(method, path, headers) + body)
            yield connection

    def send_form(self, path: str, file: Path, *, block: int = 1 << 20) -> Answer:
        """Send a whole file as a browser without JavaScript does, in constant memory."""
        head = (
            f'--XX\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{self._cookies["csrftoken"]}\r\n--XX\r\n'
            f'Content-Disposition: form-data; name="archive"; filename="{file.name}"\r\nContent-Type: application/zip\r\n\r\n'
        ).encode()
        tail = b"\r\n--XX--\r\n"
        length = len(head) + file.stat().st_size + len(tail)
        headers = {"Content-Type": "multipart/form-data; boundary=XX", "Content-Length": str(length)}
        with self.begun("POST", path, headers, head) as connection, file.open("rb") as source:
            while data := source.read(block):
                connection.sendall(data)
            connection.sendall(tail)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def hang_up(self) -> None:
        """End the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _headers(self, more: dict[str, str] | None) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return {"Cookie": cookies, "X-CSRFToken": self._cookies.get("csrftoken", ""), "Accept": "application/json", **(more or {})}

    def _head(self, method: str, path: str, more: dict[str, str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}:{self.web.port}"]
        lines += [f"{name}: {value}" for name, value in self._headers(more).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()
