"""``python -m backups.tests.load reader|writer CONNECTION OUT``: one client at work on a ledger until it gets SIGTERM.

The ledger is a table of 100 rows whose amounts sum up to 0 and whose generation is the same in all rows, in every state
that any transaction has ever committed. So a reader can tell from one answer whether it saw one state, and which; an
answer that does not hold is counted as wrong. CONNECTION is the path of a SQLite file or a libpq connection string. At
its end the client writes what it saw to OUT as JSON: ``answers``, ``wrong`` (list), ``refused`` (attempts that got an
error), ``generations`` seen in their order, ``longest_gap_ms`` between two good answers.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg2

ROWS = 100
CREATE = "CREATE TABLE ledger (id integer PRIMARY KEY, generation integer NOT NULL, amount integer NOT NULL)"
QUESTION = "SELECT count(*), min(generation), max(generation), sum(amount) FROM ledger"


def is_good(answer: tuple[Any, ...]) -> bool:
    """Whether the answer can come from one committed state."""
    count, low, high, total = answer
    return bool(count == ROWS and low == high and total == 0)


def connect(target: str) -> Any:
    """A connection in autocommit."""
    if "=" in target:
        connection = psycopg2.connect(target)
        connection.autocommit = True
        return connection
    return sqlite3.connect(f"file:{target}?mode=rw", uri=True, timeout=30, isolation_level=None)


class Client:
    """One client: asks or writes again and again, and connects again when it is refused."""

    def __init__(self, target: str) -> None:
        self.target, self.connection = target, None
        self.running = True
        self.answers = self.refused = 0
        self.wrong: list[Any] = []
        self.generations: list[int] = []
        self.last = time.monotonic()
        self.longest = 0.0
        signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, signum: int, frame: object) -> None:
        self.running = False

    def run(self, turn: Any) -> dict[str, Any]:
        """Call ``turn(cursor)`` until SIGTERM; returns what was seen."""
        while self.running:
            try:
                if self.connection is None:
                    self.connection = connect(self.target)
                turn(self.connection)
            except (psycopg2.Error, sqlite3.Error):
                self.refused += 1
                if self.connection is not None:
                    with suppress(psycopg2.Error, sqlite3.Error):
                        self.connection.close()
                self.connection = None
                time.sleep(0.001)
            else:
                now = time.monotonic()
                self.longest = max(self.longest, now - self.last)
                self.last = now
                self.answers += 1
        return {
            "answers": self.answers,
            "refused": self.refused,
            "wrong": self.wrong[:20],
            "generations": self.generations,
            "longest_gap_ms": round(self.longest * 1000, 1),
        }

    def read(self, connection: Any) -> None:
        """Ask once, and check the answer."""
        cursor = connection.cursor()
        cursor.execute(QUESTION)
        # An empty table answers with NULLs, which is as wrong as any other number.
        answer = tuple(-1 if value is None else int(value) for value in cursor.fetchone())
        cursor.close()
        if not is_good(answer):
            self.wrong.append(answer)
        elif not self.generations or self.generations[-1] != answer[1]:
            self.generations.append(answer[1])
        time.sleep(0.0005)

    def write(self, connection: Any) -> None:
        """Move an amount from one row to another in one transaction."""
        giver, taker = random.sample(range(ROWS), 2)
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE" if isinstance(connection, sqlite3.Connection) else "BEGIN")
        try:
            for row, change in sorted([(giver, -1), (taker, 1)]):
                cursor.execute(f"UPDATE ledger SET amount = amount + {change} WHERE id = {row}")
            cursor.execute("COMMIT")
        except BaseException:
            with suppress(psycopg2.Error, sqlite3.Error):
                cursor.execute("ROLLBACK")
            raise
        time.sleep(0.002)


def main(role: str, target: str, out: str) -> None:
    """Be that client until SIGTERM."""
    client = Client(target)
    seen = client.run(client.read if role == "reader" else client.write)
    Path(out).write_text(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
