"""``python -m backups.tests.watching OUT``: watch the gate from a process of its own until SIGTERM.

Writes ``ready`` to stdout when it begins, and to OUT, one JSON line each and at once, every change that it sees
(:class:`Change`).
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NoReturn

from backups.tests.site import Site
from backups.tests.standing import at_work

__all__ = ["Change", "GateWatch", "gate_watched"]

PAUSE = 0.001


@dataclass(frozen=True)
class Change:
    """What the gate said from ``at`` on: seconds of the machine's monotonic clock, the same in every process."""

    at: float
    state: str
    operation: str
    stage: str
    epoch: str


@dataclass
class GateWatch:
    """The changes that a process saw which has nothing else to do."""

    out: Path

    @property
    def changes(self) -> list[Change]:
        """All changes so far, in their order; the first is what it found."""
        return [Change(**json.loads(line)) for line in self.out.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def seen(self, state: str, *, since: float, seconds: float = 30) -> float:
        """The instant after ``since`` at which ``state`` was seen first; waits for it at most ``seconds``."""
        deadline = time.monotonic() + seconds
        while not (found := [change.at for change in self.changes if change.at >= since and change.state == state]):
            assert time.monotonic() < deadline, f"{state} was not seen within {seconds} s: {self.changes[-3:]}"
            time.sleep(PAUSE)
        return found[0]

    def shut(self) -> tuple[float, float]:
        """The first and the last instant of the first time at which the gate was seen not to be open."""
        changes = self.changes
        begin = next(number for number, change in enumerate(changes) if change.state != "open")
        end = next(number for number, change in enumerate(changes) if number > begin and change.state == "open")
        return changes[begin].at, changes[end].at


@contextlib.contextmanager
def gate_watched(site: Site, folder: Path) -> Iterator[GateWatch]:
    """The gate is watched from the beginning of the block to its end."""
    watch = GateWatch(folder / f"gate-{time.monotonic_ns()}.jsonl")
    with at_work(site, __name__, watch.out, log=watch.out.with_suffix(".log")):
        yield watch


def main(out: Path) -> NoReturn:
    """Watch."""
    import django

    django.setup()
    from backups.gate import gate_read

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    last = None
    with out.open("w", buffering=1) as lines:
        while True:
            gate = gate_read()
            # The clock after the look: what is said to be seen then was seen by then.
            change = Change(time.monotonic(), gate.state, gate.operation, gate.stage, gate.epoch)
            if last is None or replace(change, at=last.at) != last:
                lines.write(json.dumps(asdict(change)) + "\n")
            if last is None:
                print("ready", flush=True)
            last = change
            time.sleep(PAUSE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
