"""An app of the tests: operations stop where a test wants them to, in whichever process they run.

In ``DATA_DIR/halt`` the file ``at`` names a stage of the journal, or ``closed`` (the gate was just closed) or ``switched``
(the uploads were just switched). An operation that comes there writes its process id into ``reached`` and goes on when
``at`` is gone, or names another stage. Every operation that begins adds a line to ``starts``, with its id and the process id.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from backups.tests.site import Site

__all__ = ["halted", "halting_folder", "operations_started"]

POLL_SECONDS = 0.01
# Longer than any test waits; a process that nobody lets go on must not stay for ever.
LONGEST_SECONDS = 300.0


def halting_folder(data_dir: Path) -> Path:
    """Where test and operation meet."""
    return data_dir / "halt"


class Halted:
    """An operation that a test has stopped, or will: :meth:`process` waits for it, :meth:`go_on` lets it go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_reached(self) -> bool:
        """Whether it stands still there."""
        return (self.folder / "reached").exists()

    def process(self, *, seconds: float = 120) -> int:
        """The id of the process that stands still there; fails after ``seconds``."""
        deadline = time.monotonic() + seconds
        reached = self.folder / "reached"
        while not reached.exists():
            assert time.monotonic() < deadline, f"no operation came to {(self.folder / 'at').read_text()} within {seconds} s"
            time.sleep(POLL_SECONDS)
        return int(reached.read_text())

    def go_on(self) -> None:
        """Let it go on (or, where it is dead already, let the next one pass)."""
        (self.folder / "at").unlink(missing_ok=True)


@contextlib.contextmanager
def halted(site: Site, stage: str) -> Iterator[Halted]:
    """The next operation of ``site`` that comes to ``stage`` stops there, until the end of the block at the latest."""
    folder = halting_folder(site.data_dir)
    folder.mkdir(exist_ok=True)
    (folder / "reached").unlink(missing_ok=True)
    (folder / "at").write_text(stage)
    stopped = Halted(folder)
    try:
        yield stopped
    finally:
        stopped.go_on()


def operations_started(site: Site) -> list[str]:
    """The id of each operation that began, in their order: once for each time that it did."""
    try:
        return [line.split()[0] for line in (halting_folder(site.data_dir) / "starts").read_text().splitlines()]
    except FileNotFoundError:
        return []


def halt(data_dir: Path, stage: str) -> None:
    """Stand still where a test has asked for it."""
    folder = halting_folder(data_dir)
    if _asked(folder) != stage:
        return
    unfinished = folder / f"reached.{os.getpid()}"
    unfinished.write_text(str(os.getpid()))
    unfinished.replace(folder / "reached")
    deadline = time.monotonic() + LONGEST_SECONDS
    while _asked(folder) == stage and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _asked(folder: Path) -> str:
    """The stage at which a test wants the next operation to stop; empty where it wants none to."""
    try:
        return (folder / "at").read_text()
    except FileNotFoundError:
        return ""


def note_start(data_dir: Path, operation: str) -> None:
    """Write down that an operation begins in this process."""
    folder = halting_folder(data_dir)
    folder.mkdir(exist_ok=True)
    with (folder / "starts").open("a") as starts:
        starts.write(f"{operation} {os.getpid()}\n")
