"""Somebody of the team at a real web server: cookies, forms with files, and answers as she reads them."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from backups.tests.web import HOST, WebServer

__all__ = ["TeamAnswer", "TeamBrowser", "file_of"]

PATIENCE = 60


@dataclass(frozen=True)
class TeamAnswer:
    """An answer of the site; ``to`` is where it leads, or empty."""

    status: int
    body: str
    to: str

    @property
    def main(self) -> str:
        """What a person reads on the page, without the frame."""
        inner = self.body.partition("<main")[2].partition("</main>")[0]
        return " ".join(re.sub(r"<[^>]*>", " ", f"<main{inner}").split())


@dataclass
class TeamBrowser:
    """One person's browser. Every request has a connection of its own."""

    server: WebServer
    cookies: dict[str, str] = field(default_factory=dict)

    def log_in(self, username: str, password: str) -> None:
        """Come to Today."""
        self.see("/login/")
        self.send("/login/", username=username, password=password)

    def get(self, path: str) -> TeamAnswer:
        """The answer, whatever it is."""
        with closing(self.asking(path)) as connection:
            return self.read(connection)

    def see(self, path: str) -> TeamAnswer:
        """A page that must be there."""
        answer = self.get(path)
        assert answer.status == 200, f"GET {path}: {answer.status} {answer.to}\n{answer.main[:2000]}"
        return answer

    def post(self, path: str, fields: Mapping[str, Any]) -> TeamAnswer:
        """Send a form, and return the answer, whatever it is."""
        given = {"csrfmiddlewaretoken": self.cookies["csrftoken"], **fields}
        with closing(self._connection()) as connection:
            connection.request("POST", path, encode_multipart(BOUNDARY, given), self._headers | {"Content-Type": MULTIPART_CONTENT})
            return self.read(connection)

    def send(self, path: str, **fields: Any) -> str:
        """Send a form that must be taken; where it leads."""
        answer = self.post(path, fields)
        assert answer.status == 302, f"POST {path}: {answer.status}\n{answer.main[:2000]}"
        return urlsplit(answer.to).path

    def asking(self, path: str) -> http.client.HTTPConnection:
        """A connection over which a page was asked for; :meth:`read` waits for the answer."""
        connection = self._connection()
        connection.request("GET", path, headers=self._headers)
        return connection

    def read(self, connection: http.client.HTTPConnection) -> TeamAnswer:
        """The answer."""
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
        for value in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(value).items()}
        return TeamAnswer(response.status, body, response.headers.get("Location", ""))

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self.server.port, timeout=PATIENCE)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}


def file_of(name: str, content: bytes) -> SimpleUploadedFile:
    """A file for a form."""
    return SimpleUploadedFile(name, content)
