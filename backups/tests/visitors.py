"""``python -m backups.tests.visitors PORT OUT SEED``: eight people at work on a site over HTTP until SIGTERM.

They log in, read the ledger and the admin's lists or, as a client's people, the portal, and write notes, each with cookies of
their own; a restore logs them out, and they log in again. Each answer is judged where it arrives: ``good``; ``busy``, the 503
of the gate in proper form; ``cut``, no answer at all; or a fault, in words. At the end what they saw is in OUT as the JSON of
:class:`Seen`. Times are seconds of the machine's monotonic clock, the same in every process.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

from backups.tests.ledger import CLIENT, CLIENT_PEOPLE, PASSWORD, VISITORS, visitor_name
from backups.tests.load import ROWS
from backups.tests.standing import at_work
from backups.tests.web import WebServer

__all__ = ["Record", "Seen", "Visitor", "visit", "visitors_at_work"]

# Seconds: a person's pause between two clicks (many people make a short one), and the longest wait for an answer.
THINKING = 0.02
PATIENCE = 30
TEAM_LOGIN, CLIENT_LOGIN = "/admin/login/", "/portal/login/"
LISTS = ("/admin/tracking/timeentry/", "/admin/clients/client/", "/admin/tracking/project/")
PORTAL = ("/portal/", "/portal/projects/", "/portal/time/", "/portal/invoices/", "/portal/documents/")
# More words about one kind of fault make no report better.
FAULTS_SHOWN = 20


@dataclass
class Note:
    """A note that was answered as written: its id, and when the request began and was answered."""

    id: str
    began: float
    ended: float


@dataclass
class Refusal:
    """A request that got the gate's 503."""

    method: str
    began: float
    ended: float
    retry_after: int


@dataclass
class Seen:
    """What the visitors saw.

    ``pages`` counts good answers by their kind. ``generations`` of the ledger are per visitor, in the order in which they
    were seen. ``slowest`` is the longest good GET in seconds, ``slowest_of`` says which. ``cut`` are requests without an answer
    (the process that had them is gone), as sentences.
    """

    pages: dict[str, int] = field(default_factory=dict)
    generations: dict[str, list[int]] = field(default_factory=dict)
    slowest: float = 0.0
    slowest_of: str = ""
    notes: list[Note] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0

    @classmethod
    def of(cls, text: str) -> Seen:
        """What was written as JSON."""
        seen = cls(**json.loads(text))
        seen.notes = [Note(**note) for note in seen.notes]  # type: ignore[arg-type]
        seen.refusals = [Refusal(**refusal) for refusal in seen.refusals]  # type: ignore[arg-type]
        return seen

    @property
    def refused_reads(self) -> list[Refusal]:
        """GETs that got a 503."""
        return [refusal for refusal in self.refusals if refusal.method == "GET"]


@dataclass
class Answer:
    """One answer of the site."""

    status: int
    headers: http.client.HTTPMessage
    body: str


class Busy(Exception):
    """The gate's 503, in proper form; or another reason to come again."""


class Fault(Exception):
    """An answer that a visitor must never get."""


class Record:
    """Collects what all visitors see; one lock for all."""

    def __init__(self) -> None:
        self.seen = Seen()
        self._pages: Counter[str] = Counter()
        self._lock = threading.Lock()

    def good(self, kind: str, seconds: float) -> None:
        with self._lock:
            self._pages[kind] += 1
            if seconds > self.seen.slowest and not kind.startswith("POST"):
                self.seen.slowest, self.seen.slowest_of = seconds, kind

    def generation(self, visitor: str, generation: int) -> None:
        with self._lock:
            known = self.seen.generations.setdefault(visitor, [])
            if not known or known[-1] != generation:
                known.append(generation)

    def note(self, note: Note) -> None:
        with self._lock:
            self.seen.notes.append(note)

    def refused(self, refusal: Refusal) -> None:
        with self._lock:
            self.seen.refusals.append(refusal)

    def cut(self, sentence: str) -> None:
        with self._lock:
            self.seen.cut.append(sentence)

    def fault(self, sentence: str) -> None:
        with self._lock:
            self.seen.fault_count += 1
            if len(self.seen.faults) < FAULTS_SHOWN:
                self.seen.faults.append(sentence)

    def close(self) -> Seen:
        with self._lock:
            self.seen.pages = dict(sorted(self._pages.items()))
            return self.seen


class Visitor(threading.Thread):
    """One person with a browser: cookies, no cache, a new connection for each request."""

    def __init__(self, port: int, number: int, record: Record, chance: random.Random, stopped: threading.Event) -> None:
        super().__init__(name=visitor_name(number))
        self.port, self.record, self.chance, self.stopped = port, record, chance, stopped
        self.cookies: dict[str, str] = {}
        self.is_in = False
        self.is_client = number >= VISITORS - CLIENT_PEOPLE
        self.login = CLIENT_LOGIN if self.is_client else TEAM_LOGIN

    def run(self) -> None:
        while not self.stopped.is_set():
            self.try_to(self.turn)
            self.stopped.wait(self.chance.uniform(0, 2 * THINKING))
        # One last look, so that all have seen how it ended.
        self.try_for(self.read_logged_in)

    def try_for(self, step: Callable[[], None], *, seconds: float = PATIENCE) -> None:
        """Take a step again and again until it succeeds, or for ``seconds``."""
        deadline = time.monotonic() + seconds
        while not self.try_to(step) and time.monotonic() < deadline:
            time.sleep(THINKING)

    def try_to(self, step: Callable[[], None]) -> bool:
        """Take a step, and write down how it failed where it did."""
        try:
            step()
        except Busy:
            # The answer asks for more patience; whoever comes back too early has to be turned away as calmly.
            return False
        except Fault as fault:
            self.record.fault(f"{self.name}: {fault}")
            return False
        except (OSError, http.client.HTTPException) as error:
            self.record.cut(f"{self.name}: {type(error).__name__}: {error}")
            return False
        return True

    def turn(self) -> None:
        if not self.is_in:
            self.log_in()
        elif (choice := self.chance.random()) < 0.3:
            self.write()
        elif choice < 0.8:
            self.read()
        elif self.is_client:
            self.look_into_the_portal(self.chance.choice(PORTAL))
        else:
            self.look(self.chance.choice(LISTS))

    def read_logged_in(self) -> None:
        self.logged_in(self.read)

    def write_logged_in(self) -> None:
        self.logged_in(self.write)

    def logged_in(self, step: Callable[[], None]) -> None:
        if not self.is_in:
            self.log_in()
        step()
        if not self.is_in:
            raise Busy

    def log_in(self) -> None:
        page = self.ask("GET", self.login)
        if page.status != 200 or 'name="csrfmiddlewaretoken"' not in page.body or "</html>" not in page.body:
            raise Fault(f"GET {self.login}: {_shown(page)}")
        answer = self.ask("POST", self.login, {"username": self.name, "password": PASSWORD, "next": "/ledger/"})
        if answer.status != 302:
            raise Fault(f"POST {self.login}: {_shown(answer)}")
        self.is_in = True

    def read(self) -> None:
        answer = self.ask("GET", "/ledger/")
        if self._is_sent_to_login(answer):
            return
        if answer.status != 200:
            raise Fault(f"GET /ledger/: {_shown(answer)}")
        page = json.loads(answer.body)
        if len(page["generations"]) != 1 or page["rows"] != ROWS or page["total"] != 0:
            raise Fault(f"GET /ledger/ is not of one state: {answer.body}")
        self.record.generation(self.name, page["generations"][0])

    def look(self, path: str) -> None:
        answer = self.ask("GET", path)
        if self._is_sent_to_login(answer):
            return
        if answer.status != 200 or 'id="result_list"' not in answer.body or "</html>" not in answer.body:
            raise Fault(f"GET {path}: {_shown(answer)}")
        if len(re.findall("<tr", answer.body)) < 2:
            raise Fault(f"GET {path} shows no row")

    def look_into_the_portal(self, path: str) -> None:
        answer = self.ask("GET", path)
        if self._is_sent_to_login(answer):
            return
        if answer.status != 200 or CLIENT not in answer.body or "</html>" not in answer.body:
            raise Fault(f"GET {path}: {_shown(answer)}")

    def write(self) -> None:
        began = time.monotonic()
        answer = self.ask("POST", "/ledger/", {"words": "written down " * self.chance.choice([1, 10, 1000])})
        if self._is_sent_to_login(answer):
            return
        if answer.status != 200:
            raise Fault(f"POST /ledger/: {_shown(answer)}")
        self.record.note(Note(json.loads(answer.body)["id"], began, time.monotonic()))

    def _is_sent_to_login(self, answer: Answer) -> bool:
        """Whether the site does not know the visitor any more, who then logs in at the next turn."""
        if answer.status == 302 and answer.headers.get("Location", "").startswith((TEAM_LOGIN, CLIENT_LOGIN)):
            self.is_in = False
            return True
        return False

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> Answer:
        """One request; raises :class:`Busy` for the gate's 503, and OSError or HTTPException where no answer comes."""
        headers = {"Accept": "text/html,application/xhtml+xml", "Connection": "close"}
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if form is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "X-CSRFToken": self.cookies.get("csrftoken", "")}
        began = time.monotonic()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request(method, path, urlencode(form) if form is not None else None, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.msg, response.read().decode())
        ended = time.monotonic()
        if answer.status == 503:
            self.record.refused(Refusal(method, began, ended, _retry_after(answer)))
            raise Busy
        self._keep_cookies(answer)
        self.record.good(f"{method} {path} {answer.status}", ended - began)
        return answer

    def _keep_cookies(self, answer: Answer) -> None:
        for line in answer.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or morsel["max-age"] == 0:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


def _retry_after(answer: Answer) -> int:
    """The seconds of a 503; a 503 that is not the gate's calm page is a fault."""
    seconds = answer.headers.get("Retry-After", "")
    if not seconds.isdigit() or not 1 <= int(seconds) <= 120 or "no-store" not in answer.headers.get("Cache-Control", ""):
        raise Fault(f"a 503 with Retry-After {seconds!r} and Cache-Control {answer.headers.get('Cache-Control')!r}: {_shown(answer)}")
    if "</html>" not in answer.body:
        raise Fault(f"a 503 that is no page: {_shown(answer)}")
    return int(seconds)


def _shown(answer: Answer) -> str:
    return f"{answer.status} {answer.headers.get('Location', '')} {' '.join(answer.body.split())[:300]!r}"


@contextlib.contextmanager
def visitors_at_work(server: WebServer, folder: Path, *, seed: int = 1) -> Iterator[Seen]:
    """Eight visitors at work on ``server`` during the block, which begins when all are logged in; what they saw is there afterwards."""
    out = folder / f"visitors-{time.monotonic_ns()}.json"
    seen = Seen()
    with at_work(server.site, __name__, str(server.port), out, str(seed), log=out.with_suffix(".log")):
        yield seen
    vars(seen).update(vars(Seen.of(out.read_text())))
    out.unlink()


def visit(out: Path, visitors_of: Callable[[Record, threading.Event], Sequence[Visitor]]) -> None:
    """Let the visitors go about until SIGTERM, and say "ready" when all are logged in; what they saw is in ``out`` then."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    record = Record()
    visitors = visitors_of(record, stopped)
    for visitor in visitors:
        visitor.start()
    while not stopped.is_set() and not all(visitor.is_in for visitor in visitors):
        stopped.wait(THINKING)
    print("ready", flush=True)
    stopped.wait()
    for visitor in visitors:
        visitor.join()
    out.write_text(json.dumps(asdict(record.close())))


def main(port: int, out: Path, seed: int) -> None:
    """Be the visitors until SIGTERM."""
    visit(
        out,
        lambda record, stopped: [Visitor(port, number, record, random.Random(f"{seed} {number}"), stopped) for number in range(VISITORS)],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
