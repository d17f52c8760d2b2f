"""``python -m backups.tests.dying WHEN -- COMMAND …``: run a command that kills itself (SIGKILL) at a chosen instant.

WHEN is one of ``event N`` (the N-th change that the process makes to files, or child or connection that it opens, as
Python's audit hooks tell it; 0 counts them all and writes to ``$DYING_COUNT``, as JSON, how many there
are and how many each stage began after), ``stage NAME SECONDS`` (that long
after the journal says that the stage begins) and ``time SECONDS`` (after the lock is held). With ``DYING_GROUP=1`` all
processes of the operation die at once, else this one alone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from backups.tests import BASE_DIR

# What changes something that another process or the next one can see.
CHANGES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "subprocess.Popen", "sqlite3.connect")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def die() -> None:
    """End this process, and with ``DYING_GROUP`` its children, at once and without a trace."""
    if os.environ.get("DYING_GROUP"):
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                os.kill(int(stat.parent.name), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    """Counts changes from the moment the operation's journal exists; dies at the chosen one."""

    def __init__(self, limit: int) -> None:
        self.limit, self.count, self.armed = limit, 0, False
        self.at_stage: dict[str, int] = {}

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if event == "open":
            flags = args[2] if len(args) > 2 and isinstance(args[2], int) else 0
            if not flags & WRITING:
                return
        elif event not in CHANGES:
            return
        self.count += 1
        if self.limit and self.count == self.limit:
            die()


def _watch_journal(on_start: Any, on_stage: Any) -> None:
    from backups.journal import Journal

    start, enter = Journal.start, Journal.enter

    def start_watched(journal: Journal) -> None:
        on_start()
        start(journal)

    def enter_watched(journal: Journal, stage: str) -> None:
        enter(journal, stage)
        on_stage(stage)

    setattr(Journal, "start", start_watched)  # noqa: B010
    setattr(Journal, "enter", enter_watched)  # noqa: B010


def _die_after(seconds: float) -> None:
    def wait() -> None:
        time.sleep(seconds)
        die()

    if seconds <= 0:
        die()
    threading.Thread(target=wait, daemon=True).start()


def main(argv: list[str]) -> None:
    """Arm the chosen death and run the command."""
    cut = argv.index("--")
    (kind, *words), command = argv[:cut], argv[cut + 1 :]
    countdown = None
    if kind == "event":
        countdown = Countdown(int(words[0]))
        sys.addaudithook(countdown)

        def arm() -> None:
            countdown.armed = True

        def note(stage: str) -> None:
            countdown.at_stage[stage] = countdown.count

        _watch_journal(arm, note)
    elif kind == "stage":
        _watch_journal(lambda: None, lambda stage: _die_after(float(words[1])) if stage == words[0] else None)
    elif kind == "time":
        _watch_journal(lambda: _die_after(float(words[0])), lambda stage: None)
    else:
        raise SystemExit(f"unknown instant: {kind}")

    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line([str(BASE_DIR / "manage.py"), *command])
    finally:
        if countdown is not None and os.environ.get("DYING_COUNT"):
            countdown.armed = False
            Path(os.environ["DYING_COUNT"]).write_text(json.dumps({"total": countdown.count, "at_stage": countdown.at_stage}))


if __name__ == "__main__":
    main(sys.argv[1:])
