"""What the team's pages take: every page that lists or sums, and the start and the stop of the timer, one after the other, for one person.

She is the one with the most entries, and may see everybody's time and all money: nobody's pages have more to sum.
"""

from __future__ import annotations

import contextlib
import html
import http.client
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from http.cookies import SimpleCookie
from typing import Self
from urllib.parse import urlencode, urljoin

from backups.tests.ledger import PASSWORD
from backups.tests.site import Site
from backups.tests.web import HOST

__all__ = ["TeamVisit", "busiest_person", "pages_timed", "timer_timed"]

# Requests of which the median is one round's figure.
TIMES = 5
# Of the data's last day, which is the one before the stand's ANCHOR.
_RANGES = {
    "month": "from=2026-09-01&to=2026-09-30",
    "quarter": "from=2026-07-01&to=2026-09-30",
    "year": "from=2025-10-01&to=2026-09-30",
    "all": "range=all",
}
_GROUPINGS = ("client", "project", "person", "task", "day", "week", "month", "client&then=person")
_OTHERS = (
    "/week/?week=2026-W39",
    "/entries/?since=2026-09-01&until=2026-09-30",
    "/entries/?period=all",
    "/reports/budgets/",
    "/reports/budgets/?state=all",
    "/account/",
    *(f"/reports/?by={by}&{dates}" for by in _GROUPINGS for dates in _RANGES.values()),
)
_HTMX = {"HX-Request": "true"}
_PAGE = re.compile(r'<a href="([^"]+)"[^>]* data-key="g')
# Lists, of which the first client and the first project are asked for, too, and what belongs to them.
_ONE = {"/clients/": ("", "invoices/", "documents/"), "/projects/": ("",), "/team/": ("",)}
# Where sums follow a page.
_SUMS = re.compile(r'hx-get="([^"]*sums=yes)" hx-trigger="load"')
_WORK = re.compile(r'<option value="(\d[\d-]*)"')
_RUNNING = re.compile(r'name="entry" value="(\d+)"')
_BUSIEST = f"""
from django.contrib.auth import get_user_model
from django.db.models import Count
person = get_user_model().objects.annotate(count=Count("time_entries")).order_by("-count", "pk").first()
person.set_password("{PASSWORD}")
person.is_active = person.is_staff = person.is_superuser = True
person.save()
print(person.get_username())
"""


class Unexpected(Exception):
    """The site has answered something else than what was to be timed."""


@dataclass
class TeamVisit:
    """One person's browser on the site at ``port``: cookies, and one connection that stays open."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    _connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        """Connect."""
        self._connection = http.client.HTTPConnection(HOST, self.port, timeout=60)

    @classmethod
    @contextlib.contextmanager
    def of(cls, port: int, username: str) -> Iterator[Self]:
        """A visit of somebody who is logged in."""
        visit = cls(port)
        with contextlib.closing(visit._connection):
            visit.ask("/login/")
            visit.send("/login/", {"username": username, "password": PASSWORD}, status=302)
            yield visit

    def ask(self, path: str) -> str:
        """A page, which must be there."""
        return self._answer("GET", path, 200)

    def send(self, path: str, fields: Mapping[str, str], *, headers: Mapping[str, str] | None = None, status: int = 200) -> str:
        """The answer to a form, which must have that status."""
        body = urlencode({"csrfmiddlewaretoken": self.cookies["csrftoken"], **fields})
        return self._answer("POST", path, status, body, {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})

    def _answer(self, method: str, path: str, status: int, body: str | None = None, headers: Mapping[str, str] | None = None) -> str:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self._connection.request(method, path, body, {"Cookie": cookie, **(headers or {})})
        response = self._connection.getresponse()
        text = response.read().decode()
        for value in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(value).items()}
        if response.status != status:
            raise Unexpected(f"{method} {path}: {response.status} instead of {status}")
        return text


def busiest_person(site: Site) -> str:
    """Migrate ``site``, and let the person with the most entries log in and see everything; her user name."""
    site.migrate()
    return site.manage("shell", "-v", "0", "-c", _BUSIEST).stdout.strip()


def pages_timed(visit: TeamVisit) -> Iterator[tuple[str, float]]:
    """Each page, and the median of the seconds that it takes; where its sums follow, what these take, too."""
    for path in _pages_of(visit):
        # The first one may compile a template.
        page = visit.ask(path)
        yield path, statistics.median(_seconds(partial(visit.ask, path)) for _ in range(TIMES))
        for address in map(html.unescape, _SUMS.findall(page)):
            sums = urljoin(path, address)
            yield f"its sums: {path}", statistics.median(_seconds(partial(visit.ask, sums)) for _ in range(TIMES))


def _pages_of(visit: TeamVisit) -> Iterator[str]:
    """Every page of the navigation, one client, project and person, and pages of short and long ranges."""
    for path in _PAGE.findall(visit.ask("/")):
        yield path
        if path in _ONE:
            found = re.search(rf'href="({path}[0-9]+/)"', visit.ask(path))
            if found is None:
                raise Unexpected(f"{path} leads to nothing")
            yield from (found[1] + more for more in _ONE[path])
    yield from _OTHERS


def timer_timed(visit: TeamVisit) -> Iterator[tuple[str, float]]:
    """Start and stop of the timer as htmx sends them, with the new state of the page, and the median of the seconds that each takes."""
    page = visit.ask("/")
    work, starts, stops = _WORK.findall(page)[0], list[float](), list[float]()
    if running := _RUNNING.findall(page):
        visit.send("/timer/stop/", {"entry": running[0]}, headers=_HTMX)
    for _ in range(TIMES + 1):
        shown = ""

        def start() -> None:
            nonlocal shown
            shown = visit.send("/timer/start/", {"work": work, "notes": "Measured", "time": ""}, headers=_HTMX)

        starts.append(_seconds(start))
        entry = _RUNNING.findall(shown)[0]
        stops.append(_seconds(partial(visit.send, "/timer/stop/", {"entry": entry}, headers=_HTMX)))
    yield "timer: start", statistics.median(starts[1:])
    yield "timer: stop", statistics.median(stops[1:])


def _seconds(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began
