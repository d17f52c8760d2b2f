"""What an operation tells while it runs: named stages, bytes, rate, warnings.

A service gets a :class:`Progress` and never prints. Who wants to see events adds a sink: the terminal, the
``--json`` lines, the gate's flag. ``advance`` may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Event", "Progress", "Sink"]


@dataclass(frozen=True)
class Event:
    """One thing that happened: ``kind`` is ``stage``, ``progress``, ``warning`` or ``note``.

    ``done`` and ``total`` count bytes (``total`` is None where it is unknown), ``rate`` is bytes per second,
    ``percent`` is 0 to 100 of the stage.
    """

    kind: str
    stage: str
    message: str = ""
    done: int = 0
    total: int | None = None
    rate: float | None = None
    seconds: float = 0.0

    @property
    def percent(self) -> float | None:
        """Percent of this stage, or None where the total is unknown."""
        return None if not self.total else min(100.0, 100.0 * self.done / self.total)

    def as_json(self) -> dict[str, Any]:
        """The event as a JSON-ready dict."""
        return {**asdict(self), "percent": self.percent}


Sink = Callable[[Event], None]


@dataclass
class Progress:
    """Collects what an operation reports and hands it to the sinks, at most every ``interval`` seconds."""

    sinks: list[Sink] = field(default_factory=list)
    interval: float = 0.2

    def __post_init__(self) -> None:
        """Start with no stage."""
        self.current = ""
        self.warnings: list[str] = []
        self.timings: dict[str, float] = {}
        self._lock = threading.Lock()
        self._done = 0
        self._total: int | None = None
        self._started = time.monotonic()
        self._shown = 0.0

    def stage(self, name: str, *, total: int | None = None, message: str = "") -> None:
        """Enter the stage ``name``; ``total`` is the number of bytes it will move, where known."""
        self.finish()
        with self._lock:
            self.current, self._done, self._total = name, 0, total
            self._started = time.monotonic()
            self._shown = 0.0
        self._emit("stage", message)

    def finish(self) -> None:
        """Close the current stage and remember its seconds."""
        if self.current:
            self.timings[self.current] = self.timings.get(self.current, 0.0) + time.monotonic() - self._started
            self.current = ""

    def advance(self, count: int) -> None:
        """Add ``count`` bytes to what is done."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            due = now - self._shown >= self.interval
            if due:
                self._shown = now
        if due:
            self._emit("progress")

    def warn(self, message: str) -> None:
        """Report something that the person should know and that does not stop the operation."""
        self.warnings.append(message)
        self._emit("warning", message)

    def note(self, message: str) -> None:
        """Report a fact."""
        self._emit("note", message)

    def _emit(self, kind: str, message: str = "") -> None:
        seconds = time.monotonic() - self._started
        rate = self._done / seconds if self._done and seconds > 0 else None
        event = Event(kind, self.current, message, self._done, self._total, rate, round(seconds, 3))
        for sink in self.sinks:
            sink(event)
