"""``python -m bench.sqlite_floor SOURCE TARGET``: SQLite's online backup API and nothing else, and the copy on the disk at its end."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys


def main(source: str, target: str) -> None:
    """Copy the database ``source`` to the new file ``target``."""
    with contextlib.closing(sqlite3.connect(source)) as live, contextlib.closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
