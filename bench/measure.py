"""Runs commands one after the other and says what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["CommandFailed", "Cost", "Survey", "commands_run", "stored_bytes"]

# Seconds between two looks of a survey: a temporary file that lives shorter than this may be missed.
LOOK_SECONDS = 0.05
LAUNCH = [sys.executable, "-IS", str(Path(__file__).with_name("launch.py"))]


class CommandFailed(Exception):
    """A command ended with an error; with the end of what it said."""


@dataclass(frozen=True)
class Cost:
    """What commands cost together.

    ``seconds`` is the clock's time from the start of the first to the end of the last, ``cpu_seconds`` that of their processors,
    children that they waited for included (a PostgreSQL server is none). ``peak_kib`` is the largest resident set that any
    single process of them had. ``output`` is what they wrote to stdout and stderr.
    """

    seconds: float
    cpu_seconds: float
    peak_kib: int
    output: str


def commands_run(
    commands: Sequence[Sequence[str]], *, env: Mapping[str, str], folder: Path, log: Path, survey: Survey | None = None
) -> Cost:
    """Run ``commands`` in ``folder``, each to its end. Their output goes to ``log``, a file: a pipe would need a reader.

    Raises :class:`CommandFailed` for the first exit code that is not 0.
    """
    order = {"commands": commands, "env": dict(env), "folder": str(folder), "log": str(log)}
    launcher = subprocess.Popen(  # noqa: S603 - a list, no shell
        LAUNCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    if survey is not None:
        survey.launcher = launcher.pid
    try:
        answer, _ = launcher.communicate(json.dumps(order))
    except BaseException:
        # Interrupted: what it runs must not go on.
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
        raise
    said = log.read_text(errors="replace")
    if launcher.returncode != 0:
        raise CommandFailed(f"The launcher ended with {launcher.returncode}.")
    cost = json.loads(answer)
    if cost["code"] != 0:
        raise CommandFailed(f"{' '.join(cost['failed'])} ended with {cost['code']}:\n{said[-4000:]}")
    return Cost(cost["seconds"], cost["cpu_seconds"], cost["peak_kib"], said)


@dataclass
class Survey:
    """Looks, while commands run, at the memory of all their processes together and at the space that their files take.

    It costs processor time itself, so nothing is timed under it. Files that are open and have no name any more count too;
    files with several names count once. ``temporary_bytes`` is the space at its highest above that at the end,
    ``left_bytes`` that at the end above that at the beginning. ``looks`` counts how often it has looked.
    """

    folders: Sequence[Path]
    launcher: int = 0
    looks: int = 0
    peak_kib: int = 0
    temporary_bytes: int = 0
    left_bytes: int = 0
    _highest: int = 0
    _before: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to look."""
        self._before = self._highest = stored_bytes(self.folders)
        self._thread = threading.Thread(target=self._look_on, name="survey", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Take the last look."""
        self._stopped.set()
        assert self._thread  # noqa: S101 - narrows for the type checker
        self._thread.join()
        after = stored_bytes(self.folders)
        self.temporary_bytes, self.left_bytes = max(0, self._highest - after), after - self._before

    def _look_on(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            if self.launcher:
                tree = list(_descendants(self.launcher))
                self.peak_kib = max(self.peak_kib, sum(map(_proportional_kib, tree)))
                self._highest = max(self._highest, stored_bytes(self.folders, nameless_of=tree))
                self.looks += 1


def _descendants(pid: int) -> Iterator[int]:
    """The processes that descend from ``pid``, asked one by one: to read all of a machine's so often would slow it down."""
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from _descendants(child)


def _proportional_kib(pid: int) -> int:
    """The memory of a process in KiB, what it shares with others divided among them; 0 where it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def stored_bytes(folders: Iterable[Path], *, nameless_of: Iterable[int] = ()) -> int:
    """Bytes that the files below ``folders`` take on their disks, and those without a name that the processes have open."""
    found: dict[tuple[int, int], int] = {}
    for status in _statuses(folders, nameless_of):
        found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def _statuses(folders: Iterable[Path], processes: Iterable[int]) -> Iterator[os.stat_result]:
    for top in folders:
        for folder, _, names in os.walk(top):
            for name in names:
                with contextlib.suppress(OSError):
                    yield (Path(folder) / name).lstat()
    for pid in processes:
        with contextlib.suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    status = descriptor.stat()
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                        yield status
