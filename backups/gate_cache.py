"""The gate's cache: ``CACHES["backups"]``, asked and told so that a failing one is noticed and holds nobody up."""

from __future__ import annotations

import logging
import os
import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import InvalidCacheBackendError
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache

from backups.exceptions import BackupError, PreflightRefused, reason_of
from backups.gate_state import GateState, state_decode, state_encode

__all__ = [
    "CACHE_ALIAS",
    "MAINTENANCE_KEY",
    "OPERATION_KEY",
    "cache_ask",
    "cache_folder",
    "cache_get",
    "cache_put",
    "cache_set",
    "cache_withdraw",
    "gate_cache_fault",
    "gate_require",
]

CACHE_ALIAS = "backups"
# What the running operation says, and what a person does.
OPERATION_KEY = "gate"
MAINTENANCE_KEY = "gate.maintenance"
# A cache whose server takes longer than this to fail (it hangs, or packets are lost) is not asked again for the pause,
# so that not every page waits for its timeout, twice.
SILENT_SECONDS = 0.5
PAUSE_SECONDS = 1.0

logger = logging.getLogger(__name__)

_silent_until = 0.0
_was_reachable = True  # so that one line in the log tells of a failing cache, and not one for each page


# --- whether it will do -----------------------------------------------------------------------------------------------


def gate_cache_fault() -> str:
    """A sentence that says why the configured cache cannot carry the gate; empty where it can."""
    try:
        cache = caches[CACHE_ALIAS]
    except InvalidCacheBackendError as error:
        return f"CACHES has no usable entry {CACHE_ALIAS!r}: {error}"
    for kind, reason in (
        (LocMemCache, "is kept in each process alone, so no other process would see the gate"),
        (DummyCache, "keeps nothing, so nobody would see the gate"),
        (BaseDatabaseCache, "is kept in the database, which is what the gate closes"),
    ):
        if isinstance(cache, kind):
            return f"CACHES[{CACHE_ALIAS!r}] {reason}."
    return ""


def cache_folder() -> Path | None:
    """Where a cache of files lies; None for one of another kind. Raises InvalidCacheBackendError where there is none."""
    cache = caches[CACHE_ALIAS]
    # Django has no public name for it.
    return Path(cache._dir) if isinstance(cache, FileBasedCache) else None  # type: ignore[attr-defined]


def gate_require() -> None:
    """Refuse to start where the gate would not be seen.

    Raises :class:`~backups.exceptions.PreflightRefused` where the cache is unfit, out of reach, loses what is written,
    or is a folder whose owner (the user that the site runs as) could not read what this process writes.
    """
    next_step = f"Set CACHES[{CACHE_ALIAS!r}] to a file-based, Redis or Valkey cache (REDIS_URL), and run: manage.py check"
    if fault := gate_cache_fault():
        raise PreflightRefused(fault, next_step=next_step)
    _refuse_foreign_folder()
    cache = caches[CACHE_ALIAS]
    # A key of its own: two processes that begin at once must not read each other's probe.
    value = uuid.uuid4().hex
    probe = f"{OPERATION_KEY}.probe.{value}"
    try:
        cache.set(probe, value, timeout=60)
        found = cache.get(probe)
        cache.delete(probe)
    except Exception as error:
        raise PreflightRefused(
            f"The gate's cache is out of reach: {reason_of(error).rstrip('.')}.",
            next_step="Start its server (REDIS_URL), or free some space for its files (DATA_DIR/gate). Then run the command again.",
        ) from error
    if found != value:
        raise PreflightRefused("The gate's cache loses what is written to it.", next_step=next_step)


def _refuse_foreign_folder() -> None:
    folder = cache_folder()
    if folder is not None and folder.is_dir() and folder.stat().st_uid != os.geteuid():
        raise PreflightRefused(
            f"The gate's folder {folder} belongs to the user with the id {folder.stat().st_uid}, who could not read what "
            f"this process (user id {os.geteuid()}) writes there.",
            next_step=f"Run the command as the user that the site runs as: sudo -u '#{folder.stat().st_uid}' …",
        )


# --- asking and telling -----------------------------------------------------------------------------------------------


def cache_ask() -> tuple[dict[str, Any], bool]:
    """What the cache holds under the gate's keys, and whether it could be asked."""
    global _silent_until, _was_reachable
    begun = monotonic()
    if begun < _silent_until:
        return {}, False
    try:
        found = caches[CACHE_ALIAS].get_many([OPERATION_KEY, MAINTENANCE_KEY])
    except Exception as error:  # each cache backend has errors of its own
        if monotonic() - begun > SILENT_SECONDS:
            _silent_until = monotonic() + PAUSE_SECONDS
        if _was_reachable:
            logger.warning("The gate's cache cannot be read: %s", error)
        _was_reachable = False
        return {}, False
    if not _was_reachable:
        logger.info("The gate's cache can be read again.")
    _was_reachable = True
    return found, True


def cache_get(key: str) -> GateState | None:
    """The state under ``key``; None where there is none. Raises what the cache raises."""
    return state_decode(caches[CACHE_ALIAS].get(key))


def cache_set(key: str, state: GateState) -> None:
    """Write ``state`` under ``key``, for good. Raises what the cache raises."""
    caches[CACHE_ALIAS].set(key, state_encode(state), timeout=None)


def cache_put(key: str, state: GateState, error_class: type[BackupError]) -> None:
    """Write ``state`` and read it back; ``error_class`` is raised where other processes would not see it."""
    try:
        cache_set(key, state)
        found = caches[CACHE_ALIAS].get(key)
    except Exception as error:
        raise error_class(f"The gate cannot be set to {state.state}: its cache is out of reach: {reason_of(error).rstrip('.')}.") from error
    if found != state_encode(state):
        raise error_class(f"The gate cannot be set to {state.state}: its cache loses what is written to it.")


def cache_withdraw() -> bool:
    """Take out the operation's state, which asks for no room on a full disk; without one the gate is open. Whether it is out."""
    try:
        cache = caches[CACHE_ALIAS]
        cache.delete(OPERATION_KEY)
        return cache.get(OPERATION_KEY) is None
    except Exception as error:
        logger.warning("The gate's cache does not give up its state: %s", error)
        return False
