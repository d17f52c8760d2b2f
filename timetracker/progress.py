"""How far long work has come: told by the process that does it, asked for by any other.

It stands in a cache of its own and not in the database: a transaction that is under way shows nobody what is in it, and on SQLite
nobody else can write meanwhile. A cache that is out of reach costs the figures alone, never the work.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

from django.core.cache import caches

from backups.gate import gate_read

__all__ = ["CACHE_ALIAS", "Progress", "Report", "WorkCancelled", "WorkGivesWay", "progress_cancel", "progress_of"]

logger = logging.getLogger(__name__)

CACHE_ALIAS = "progress"
# Seconds between two reports; without any for so long a worker counts as dead; and after which a report is forgotten.
_EVERY, _SILENT, _KEPT = 0.5, 60, 3600


class WorkCancelled(Exception):
    """Somebody has cancelled the work."""


class WorkGivesWay(Exception):
    """A restore has begun, or the site was closed for maintenance: nothing is written any more."""


@dataclass(frozen=True)
class Progress:
    """How much of a stage is done, in what ``unit`` says, and how much a second; ``at`` is when that was so, in seconds since 1970."""

    stage: str
    done: int
    total: int
    unit: str
    rate: float
    at: float

    @property
    def percent(self) -> int:
        """From 0 to 100."""
        return min(100, 100 * self.done // self.total) if self.total else 100

    @property
    def is_alive(self) -> bool:
        """Whether it was told lately."""
        return time.time() - self.at < _SILENT


def progress_of(key: str) -> Progress | None:
    """Return what was told last; None where nothing was, or the cache has no answer."""
    held = _ask("get", f"{key}:progress")
    return Progress(**held) if held else None


def progress_cancel(key: str) -> None:
    """Ask the work of this key to stop: it raises WorkCancelled within a second."""
    _ask("set", f"{key}:cancelled", True, _KEPT)


class Report:
    """The work's side: says how far it has come, and learns whether it has to stop."""

    def __init__(self, key: str) -> None:
        """For work of this key."""
        self._key = key
        self._told = 0.0
        self.stage("", 0, "")

    def stage(self, name: str, total: int, unit: str) -> None:
        """A new stage begins, of so much."""
        self._stage, self._total, self._unit, self._began = name, total, unit, time.monotonic()
        self._told = 0.0

    def done(self, count: int) -> None:
        """So much of it is done. Call it often: it does something twice a second. Raises WorkCancelled and WorkGivesWay."""
        now = time.monotonic()
        if now - self._told < _EVERY:
            return
        self._told = now
        rate = count / (now - self._began) if now > self._began else 0.0
        told = Progress(self._stage, count, self._total, self._unit, rate, time.time())
        _ask("set", f"{self._key}:progress", asdict(told), _KEPT)
        if _ask("get", f"{self._key}:cancelled"):
            raise WorkCancelled
        if gate_read().state != "open":
            raise WorkGivesWay


def _ask(method: str, *args: Any) -> Any:
    try:
        return getattr(caches[CACHE_ALIAS], method)(*args)
    except Exception as error:  # each cache backend has errors of its own
        logger.warning("The progress of long work can be neither told nor read: %s", error)
        return None
