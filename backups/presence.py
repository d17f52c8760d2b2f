"""Signs of life outside the database: the worker's, once a second, and the tick's, once a minute.

They lie in the gate's cache, so that web processes, also on other hosts, can tell whether anybody is there to do what is
asked; the tick's lies in ``BACKUPS_STATE_DIR`` too, because a cache may be emptied. None of the readers raises.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from backups.conf import conf
from backups.files import write_durably
from backups.gate import CACHE_ALIAS

__all__ = ["WorkerSeen", "tick_note", "tick_seen", "worker_announce", "worker_seen", "worker_withdraw"]

WORKER_KEY = "worker"
TICK_KEY = "tick"
# Seconds after which a worker that says nothing more counts as gone; it says so every second.
WORKER_TIMEOUT = 6

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerSeen:
    """A worker that lives: its node name, the id of its main process, and when it last said so (aware, its own clock)."""

    node: str
    pid: int
    at: datetime


def worker_announce(node: str) -> None:
    """Say that the worker ``node`` lives. Raises what the cache raises where it is out of reach."""
    caches[CACHE_ALIAS].set(WORKER_KEY, {"node": node, "pid": os.getpid(), "time": datetime.now(UTC).isoformat()}, timeout=WORKER_TIMEOUT)


def worker_withdraw(node: str) -> None:
    """Say that this worker takes nothing on any more, unless another one has spoken since. Raises what the cache raises."""
    cache = caches[CACHE_ALIAS]
    value = cache.get(WORKER_KEY)
    if isinstance(value, dict) and (value.get("node"), value.get("pid")) == (node, os.getpid()):
        cache.delete(WORKER_KEY)


def worker_seen() -> WorkerSeen | None:
    """The worker that was heard last, within the last six seconds; None where there is none, or the cache is out of reach."""
    try:
        value = caches[CACHE_ALIAS].get(WORKER_KEY)
    except Exception as error:  # each cache backend has errors of its own
        logger.debug("Whether a worker is there cannot be asked: %s", error)
        return None
    try:
        return WorkerSeen(str(value["node"]), int(value["pid"]), datetime.fromisoformat(value["time"])) if value else None
    except (KeyError, TypeError, ValueError):
        return None


def tick_note() -> None:
    """Note that a tick has come, now. Raises OSError where the file cannot be written; a failing cache is passed over."""
    now = datetime.now(UTC).isoformat()
    try:
        caches[CACHE_ALIAS].set(TICK_KEY, now, timeout=None)
    except Exception as error:
        logger.warning("The gate's cache does not take the time of the tick: %s", error)
    write_durably(conf.state_dir / TICK_KEY, json.dumps({"time": now}).encode())


def tick_seen() -> datetime | None:
    """When the last tick came (aware UTC), by the cache or the file, whichever is later; None where none ever came."""
    found: list[object] = []
    try:
        found.append(caches[CACHE_ALIAS].get(TICK_KEY))
    except Exception as error:
        logger.warning("The gate's cache cannot be asked for the tick: %s", error)
    with suppress(OSError, ImproperlyConfigured, KeyError, TypeError, ValueError):
        found.append(json.loads((conf.state_dir / TICK_KEY).read_bytes())["time"])
    times = [_time(value) for value in found]
    return max((time for time in times if time is not None), default=None)


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return time if time is not None and time.tzinfo is not None else None
