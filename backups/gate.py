"""The gate: a flag outside the database that says what every process may do while a restore runs.

It lives in a cache of its own, ``CACHES["backups"]`` (files, Redis or Valkey), under one key, so that it can be asked
while the database is closed, torn or gone. Two small files in ``BACKUPS_STATE_DIR`` stand beside it: ``epoch`` (the id
of the last swap, so that a flushed cache does not lose it) and ``gate_closed`` (the local marker of a load that the
database server does not fence off by itself; where it lies, the gate is closed on this host whatever the cache says).

Reading is one ``get`` of the cache and one ``stat``; it never raises and never makes a query. Only the process that
runs an operation writes, and it holds the operation's lock.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache, InvalidCacheBackendError
from django.core.cache.backends.db import BaseDatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.exceptions import ImproperlyConfigured

from backups.conf import conf
from backups.exceptions import BackupError, PreflightRefused, RestoreFailed
from backups.files import sync_folder, write_durably

__all__ = [
    "CACHE_ALIAS",
    "GateState",
    "gate_cache_fault",
    "gate_close",
    "gate_open",
    "gate_raise",
    "gate_read",
    "gate_read_only",
    "gate_require",
    "gate_stage",
    "is_database_closed",
    "is_database_restore_in_progress",
]

CACHE_ALIAS = "backups"
KEY = "gate"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class GateState:
    """What the gate says.

    ``state`` is ``open``, ``read_only`` (a shadow is being built: pages work, changes would be lost) or ``closed`` (the
    live data is being replaced). ``operation`` is the id of the running restore, undo or recovery, else empty; ``kind``
    names which. ``stage`` and ``percent`` (0 to 100) are for display, and so are the times, aware UTC: ``since`` the
    operation runs, its last ``heartbeat``, and ``eta``, when it should be over. ``epoch`` is the id of the last swap:
    a connection made under another epoch is to be closed. ``message`` is a sentence for people.
    """

    state: Literal["open", "read_only", "closed"] = "open"
    operation: str = ""
    kind: str = ""
    stage: str = ""
    percent: float | None = None
    since: datetime | None = None
    heartbeat: datetime | None = None
    eta: datetime | None = None
    epoch: str = ""
    message: str = ""


# What this process has written last, while it runs an operation. Progress is reported from several threads; each write
# starts from this and not from the cache, so that a late report of progress can never take a state back.
_held: GateState | None = None
_lock = threading.Lock()


# --- reading ----------------------------------------------------------------------------------------------------------


def gate_read() -> GateState:
    """The gate's state. Never raises: with the cache out of reach it is open, unless this host's marker says closed."""
    try:
        state = _decode(caches[CACHE_ALIAS].get(KEY))
    except Exception as error:  # each cache backend has errors of its own
        logger.warning("The gate's cache cannot be read: %s", error)
        state = None
    marker = _read_marker()
    if marker is not None:
        return replace(state, state="closed") if state and state.operation else marker
    return state or GateState(epoch=_read_epoch())


def is_database_restore_in_progress() -> bool:
    """Whether a restore, undo or recovery runs, from its first stage to its last."""
    return bool(gate_read().operation)


def is_database_closed() -> bool:
    """Whether the database may not be read now."""
    return gate_read().state == "closed"


# --- writing ----------------------------------------------------------------------------------------------------------


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


def gate_require() -> None:
    """Refuse to start where the gate would not be seen.

    Raises :class:`~backups.exceptions.PreflightRefused` where the cache is unfit, out of reach, loses what is written,
    or is a folder whose owner (the user that the site runs as) could not read what this process writes.
    """
    next_step = f"Set CACHES[{CACHE_ALIAS!r}] to a file-based, Redis or Valkey cache (REDIS_URL), and run: manage.py check"
    if fault := gate_cache_fault():
        raise PreflightRefused(fault, next_step=next_step)
    cache = caches[CACHE_ALIAS]
    _refuse_foreign_folder(cache)
    # A key of its own: two processes that begin at once must not read each other's probe.
    value = uuid.uuid4().hex
    probe = f"{KEY}.probe.{value}"
    try:
        cache.set(probe, value, timeout=60)
        found = cache.get(probe)
        cache.delete(probe)
    except Exception as error:
        raise PreflightRefused(
            f"The gate's cache is out of reach: {error}.",
            next_step="Start its server (REDIS_URL), or free some space for its files (DATA_DIR/gate). Then run the command again.",
        ) from error
    if found != value:
        raise PreflightRefused("The gate's cache loses what is written to it.", next_step=next_step)


def gate_raise(operation: str, kind: str, *, message: str = "") -> None:
    """Raise the flag: ``operation`` begins. Raises :class:`~backups.exceptions.PreflightRefused`.

    The gate stays as it is: open, or as a dead operation left it, whose recovery this is.
    """
    now, found = datetime.now(UTC), gate_read()
    state = GateState(found.state, operation, kind, since=now, heartbeat=now, epoch=found.epoch, message=message)
    _publish(state, PreflightRefused)


def gate_read_only() -> None:
    """Ask every process to change nothing from now on. Raises RestoreFailed where it cannot be told to them."""
    _publish(_raised("read_only"), RestoreFailed)


def gate_close(*, local_marker: bool = False) -> None:
    """Close the gate: the database may not be read from now on. Raises RestoreFailed where it cannot be told.

    ``local_marker`` writes the marker too, durably and first: for a load during which the database would answer
    (SQLite, in place), so that this host stays closed even with its cache lost.
    """
    state = _raised("closed")
    if local_marker:
        write_durably(_marker_path(), json.dumps(_encode(state)).encode())
    _publish(state, RestoreFailed)


def gate_open(epoch: str | None = None) -> None:
    """Open the gate and lower the flag; ``epoch`` is the id of the swap that has happened, None where none has.

    Raises :class:`~backups.exceptions.BackupError` where the cache still says otherwise: then the data is whole, and
    other processes go on waiting until this is called again.
    """
    if epoch is None:
        # The file first: it is written before the cache, which may have been out of reach then.
        epoch = _read_epoch() or gate_read().epoch
    else:
        write_durably(_epoch_path(), epoch.encode())
    _marker_path().unlink(missing_ok=True)
    sync_folder(conf.state_dir)
    try:
        _publish(GateState(epoch=epoch), BackupError)
    except BackupError as error:
        if _withdrawn():
            return
        error.state = "The data is whole, but the site goes on waiting for the gate."
        error.next_step = "Bring the cache back and run: manage.py backup_status --recover"
        raise
    finally:
        _forget()


def gate_stage(stage: str, percent: float | None = None, eta: datetime | None = None) -> None:
    """Tell where the operation of this process is, for display; ``eta`` is aware. A failing cache does not stop it."""
    global _held
    with _lock:
        if _held is None:
            return
        _held = replace(_held, stage=stage, percent=percent, eta=eta or _held.eta, heartbeat=datetime.now(UTC))
        try:
            caches[CACHE_ALIAS].set(KEY, _encode(_held), timeout=None)
        except Exception as error:
            logger.warning("The gate's cache does not take the stage %s: %s", stage, error)


# --- within -----------------------------------------------------------------------------------------------------------


def _raised(state: Literal["read_only", "closed"]) -> GateState:
    """What this process has raised, with another state."""
    if _held is None:
        raise RuntimeError("The gate is set by the process that has raised the flag (gate_raise).")
    return replace(_held, state=state, heartbeat=datetime.now(UTC))


def _publish(state: GateState, error_class: type[BackupError]) -> None:
    """Write ``state`` and read it back; ``error_class`` is raised where other processes would not see it."""
    global _held
    with _lock:
        value = _encode(state)
        try:
            cache = caches[CACHE_ALIAS]
            cache.set(KEY, value, timeout=None)
            found = cache.get(KEY)
        except Exception as error:
            raise error_class(f"The gate cannot be set to {state.state}: its cache is out of reach: {error}.") from error
        if found != value:
            raise error_class(f"The gate cannot be set to {state.state}: its cache loses what is written to it.")
        _held = state


def _withdrawn() -> bool:
    """Take the state out of the cache, which asks for no room on a full disk; without one the gate is open."""
    try:
        cache = caches[CACHE_ALIAS]
        cache.delete(KEY)
        return cache.get(KEY) is None
    except Exception as error:
        logger.warning("The gate's cache does not give up its state: %s", error)
        return False


def _forget() -> None:
    global _held
    with _lock:
        _held = None


def _refuse_foreign_folder(cache: BaseCache) -> None:
    if not isinstance(cache, FileBasedCache):
        return
    folder = Path(cache._dir)  # type: ignore[attr-defined]  # Django has no public name for it
    if folder.is_dir() and folder.stat().st_uid != os.geteuid():
        raise PreflightRefused(
            f"The gate's folder {folder} belongs to the user with the id {folder.stat().st_uid}, who could not read what "
            f"this process (user id {os.geteuid()}) writes there.",
            next_step=f"Run the command as the user that the site runs as: sudo -u '#{folder.stat().st_uid}' …",
        )


def _encode(state: GateState) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(state).items()}


def _decode(value: object) -> GateState | None:
    """The state of a stored dict. Keys of another version are dropped; anything that is no state is None."""
    if not isinstance(value, dict) or value.get("state") not in ("open", "read_only", "closed"):
        return None
    known = {field.name: value[field.name] for field in fields(GateState) if field.name in value}
    for name in ("since", "heartbeat", "eta"):
        known[name] = datetime.fromisoformat(known[name]) if known.get(name) else None
    return GateState(**known)


def _marker_path() -> Path:
    return conf.state_dir / "gate_closed"


def _epoch_path() -> Path:
    return conf.state_dir / "epoch"


def _read_marker() -> GateState | None:
    """The marker's state; None where there is none. One that exists and cannot be read closes the gate all the same."""
    try:
        path = _marker_path()
        if not path.exists():
            return None
    except (OSError, ImproperlyConfigured):
        return None
    try:
        state = _decode(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, TypeError, ValueError):
        state = None
    return state or GateState(state="closed", epoch=_read_epoch())


def _read_epoch() -> str:
    try:
        return _epoch_path().read_text().strip()
    except (OSError, ImproperlyConfigured):
        return ""
