"""``python -m bench.reader TARGET OUT``: read the newest time entries over a new connection each time, until SIGTERM.

TARGET is the path of a SQLite file or a libpq connection string. ``ready`` is printed after the first answer. At the end every
attempt is in OUT as JSON: seconds at its beginning and its end, and its answer, null for an error.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2

from bench.gaps import Answer, Attempt

__all__ = ["QUESTION", "answer_of", "attempts_read"]

# What a page of the newest entries asks: few rows, over an index. Their number, which they are, and what they say.
QUESTION = """
    SELECT count(*), coalesce(sum(id), 0), coalesce(sum(length(notes)), 0)
    FROM (SELECT id, notes FROM tracking_timeentry ORDER BY started_at DESC, id DESC LIMIT 100) newest
"""
PAUSE_SECONDS = 0.001
# Seconds that a read waits for a lock of SQLite, as the site's own connections do.
BUSY_SECONDS = 30


@contextlib.contextmanager
def _connected(target: str) -> Iterator[Any]:
    if "=" in target:
        connection: Any = psycopg2.connect(target)
    else:
        connection = sqlite3.connect(f"file:{target}?mode=rw", uri=True, timeout=BUSY_SECONDS)
    with contextlib.closing(connection):
        yield connection


def answer_of(target: str) -> Answer:
    """The answer to :data:`QUESTION` over a connection of its own. Raises the driver's error where there is none."""
    with _connected(target) as connection, contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(QUESTION)
        return tuple(int(value) for value in cursor.fetchone())


def attempts_read(out: Path) -> list[Attempt]:
    """What a reader has written."""
    return [Attempt(began, ended, None if answer is None else tuple(answer)) for began, ended, answer in json.loads(out.read_text())]


def main(target: str, out: Path) -> None:
    """Read until SIGTERM."""
    attempts: list[tuple[float, float, Answer | None]] = []
    is_running = True

    def stop(*_: object) -> None:
        nonlocal is_running
        is_running = False

    signal.signal(signal.SIGTERM, stop)
    while is_running:
        began = time.monotonic()
        answer: Answer | None
        try:
            answer = answer_of(target)
        except (psycopg2.Error, sqlite3.Error):
            answer = None
        attempts.append((began, time.monotonic(), answer))
        if len(attempts) == 1:
            print("ready", flush=True)
        time.sleep(PAUSE_SECONDS)
    out.write_text(json.dumps(attempts))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
