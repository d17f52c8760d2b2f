"""The gate: a flag outside the database that says what every process may do while a restore runs.

It lives in a cache of its own, ``CACHES["backups"]`` (files, Redis or Valkey), under two keys: that of the running
operation, and that of a person (``backup_maintenance``); the stricter of the two holds. So it can be asked while the
database is closed, torn or gone. Small files in ``BACKUPS_STATE_DIR`` stand beside it:

- ``epoch``: the id of the last swap;
- ``gate_raised`` and ``maintenance``: what stands under the two keys, for this host's processes to read where the cache
  has no answer (flushed, restarted, out of reach);
- ``gate_closed``: the marker of a load that the database server does not fence off by itself. Where it lies, the gate is
  closed on this host whatever the cache says.

Reading is one ``get_many`` of the cache and one ``stat``; it never raises and never makes a query. Only the process that
runs an operation writes the operation's key; it holds the operation's lock, and says the same again twice a second until
the end, so that a cache that has lost everything has it back within a second, on every host.

Other modules use this one alone; what a state is stands in :mod:`backups.gate_state`, how the cache is asked in
:mod:`backups.gate_cache`.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from backups.conf import conf
from backups.exceptions import BackupError, PreflightRefused, RestoreFailed
from backups.files import sync_folder, write_durably
from backups.gate_cache import (
    CACHE_ALIAS,
    MAINTENANCE_KEY,
    OPERATION_KEY,
    cache_ask,
    cache_folder,
    cache_get,
    cache_put,
    cache_set,
    cache_withdraw,
    gate_cache_fault,
    gate_require,
)
from backups.gate_state import MAINTENANCE, STATES, GateState, state_decode, state_to_bytes

__all__ = [
    "CACHE_ALIAS",
    "MAINTENANCE",
    "STATES",
    "GateState",
    "cache_folder",
    "connections_close",
    "connections_refresh",
    "gate_cache_fault",
    "gate_close",
    "gate_open",
    "gate_raise",
    "gate_read",
    "gate_read_only",
    "gate_release",
    "gate_require",
    "gate_stage",
    "is_database_closed",
    "is_database_restore_in_progress",
    "is_gate_raised",
    "maintenance_off",
    "maintenance_on",
    "maintenance_publish",
]

# Files in BACKUPS_STATE_DIR.
EPOCH = "epoch"
MARKER = "gate_closed"
RECORD = "gate_raised"
MAINTENANCE_FILE = "maintenance"
# Seconds between two writes of the same state.
HEARTBEAT_SECONDS = 0.5

logger = logging.getLogger(__name__)

# What this process has written last, while it runs an operation. Progress is reported from several threads; each write
# starts from this and not from the cache, so that a late report of progress can never take a state back.
_held: GateState | None = None
_lock = threading.Lock()
_heart: threading.Event | None = None  # set, it stops the thread of the heartbeat
_seen = threading.local()


# --- reading ----------------------------------------------------------------------------------------------------------


def gate_read() -> GateState:
    """The gate's state. Never raises: with the cache out of reach it is what this host's files say, and open without them."""
    cached, reachable = cache_ask()
    state = replace(_of_operation(cached), reachable=reachable)
    by_hand = _by_hand(cached)
    if by_hand.state == "open":
        return state
    stricter = max(state.state, by_hand.state, key=STATES.index)
    if state.operation:
        return replace(state, state=stricter, message=state.message or by_hand.message)
    return replace(by_hand, state=stricter, heartbeat=state.heartbeat, epoch=state.epoch, reachable=reachable)


def is_database_restore_in_progress() -> bool:
    """Whether a restore, undo or recovery runs, from its first stage to its last."""
    return bool(gate_read().operation)


def is_database_closed() -> bool:
    """Whether the database may not be read now."""
    return gate_read().state == "closed"


def is_gate_raised() -> bool:
    """Whether an operation, living or dead, has left the gate as it is: its flag is up, or its marker lies, even a damaged one."""
    return bool(_of_operation(cache_ask()[0]).operation) or _has_marker()


# --- writing ----------------------------------------------------------------------------------------------------------


def gate_raise(operation: str, kind: str, *, message: str = "") -> None:
    """Raise the flag: ``operation`` begins. Raises :class:`~backups.exceptions.PreflightRefused`.

    The gate stays as it is: open, or as a dead operation left it, whose recovery this is.
    """
    now, found = datetime.now(UTC), _of_operation(cache_ask()[0])
    state = GateState(found.state, operation, kind, since=now, heartbeat=now, epoch=found.epoch, message=message)
    _publish(state, PreflightRefused)
    _heart_start()


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
        write_durably(conf.state_dir / MARKER, state_to_bytes(state))
    _publish(state, RestoreFailed)


def gate_open(epoch: str | None = None) -> None:
    """Open the gate and lower the flag; ``epoch`` is the id of the swap that has happened, None where none has.

    Raises :class:`~backups.exceptions.BackupError` where the cache still says otherwise: then the data is whole, and
    other processes go on waiting until this is called again.
    """
    if epoch is None:
        # The file first: it is written before the cache, which may have been out of reach then.
        epoch = _read_epoch() or _of_operation(cache_ask()[0]).epoch
    else:
        write_durably(conf.state_dir / EPOCH, epoch.encode())
    (conf.state_dir / MARKER).unlink(missing_ok=True)
    (conf.state_dir / RECORD).unlink(missing_ok=True)
    # A site that has done nothing yet has no such folder.
    with suppress(FileNotFoundError):
        sync_folder(conf.state_dir)
    try:
        _publish(GateState(epoch=epoch, heartbeat=datetime.now(UTC)), BackupError)
    except BackupError as error:
        if cache_withdraw():
            return
        error.state = "The data is whole, but the site goes on waiting for the gate."
        error.next_step = "Bring the cache back and run: manage.py backup_status --recover"
        raise
    finally:
        gate_release()


def gate_release() -> None:
    """This process no longer runs the operation: the gate stays as it is, and another process may open it (recovery).

    Called where the operation's lock is let go, however the operation ended. Without it this process would go on to say
    what it said last, against the one that recovers.
    """
    global _held, _heart
    with _lock:
        _held = None
        if _heart is not None:
            _heart.set()
            _heart = None


def gate_stage(stage: str, percent: float | None = None, eta: datetime | None = None) -> None:
    """Tell where the operation of this process is, for display; ``eta`` is aware. A failing cache does not stop it."""
    global _held
    with _lock:
        if _held is None:
            return
        _held = replace(_held, stage=stage, percent=percent, eta=eta or _held.eta, heartbeat=datetime.now(UTC))
        try:
            cache_set(OPERATION_KEY, _held)
        except Exception as error:
            logger.warning("The gate's cache does not take the stage %s: %s", stage, error)


# --- by hand ----------------------------------------------------------------------------------------------------------


def maintenance_on(*, message: str, read_only: bool = False, by: str = "") -> None:
    """Close the gate by hand, or with ``read_only`` refuse changes alone, until :func:`maintenance_off`.

    ``message`` is a sentence for visitors, ``by`` says who closed it. A running operation is not touched, and opening the
    gate at its end does not end this. Raises :class:`~backups.exceptions.BackupError` where it cannot be made known.
    """
    state = GateState("read_only" if read_only else "closed", kind=MAINTENANCE, since=datetime.now(UTC), message=message, by=by)
    try:
        write_durably(conf.state_dir / MAINTENANCE_FILE, state_to_bytes(state))
    except OSError as error:
        raise BackupError(
            f"The maintenance cannot be written down: {error.strerror} ({conf.state_dir / MAINTENANCE_FILE}).",
            next_step="Free some space there, or make it writable, then run the command again.",
        ) from error
    try:
        _publish_maintenance(state)
    except BackupError as error:
        error.state = "This host is in maintenance; other hosts do not know it."
        error.next_step = "Bring the cache back: the worker's tick tells the others within a minute."
        raise


def maintenance_off() -> None:
    """End what :func:`maintenance_on` began. Raises :class:`~backups.exceptions.BackupError` where it cannot be made known."""
    (conf.state_dir / MAINTENANCE_FILE).unlink(missing_ok=True)
    if conf.state_dir.is_dir():
        sync_folder(conf.state_dir)
    try:
        # Said, and not only taken away: a host with a file of its own reads that the maintenance is over.
        _publish_maintenance(GateState(since=datetime.now(UTC)))
    except BackupError as error:
        error.state = "The maintenance is over on this host; other hosts, and this one once the cache is back, go on with it."
        error.next_step = "Bring the cache back and run: manage.py backup_maintenance off"
        raise


def maintenance_publish() -> None:
    """Tell a cache that has lost it of this host's maintenance; called by the tick. What was said later stays.

    Raises :class:`~backups.exceptions.BackupError` where the cache does not take it.
    """
    written = _from_file(MAINTENANCE_FILE)
    cached, reachable = cache_ask()
    known = state_decode(cached.get(MAINTENANCE_KEY))
    if written is None or not reachable or (known and known.since and written.since and known.since >= written.since):
        return
    _publish_maintenance(written)


# --- connections ------------------------------------------------------------------------------------------------------


def connections_refresh(epoch: str) -> None:
    """Close this thread's database connections where they may be older than the swap ``epoch``; for requests and tasks."""
    if getattr(_seen, "epoch", None) != epoch:
        connections_close()
        _seen.epoch = epoch


def connections_close() -> None:
    """Close this thread's database connections. One in the midst of a transaction is its owner's and stays."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


# --- within -----------------------------------------------------------------------------------------------------------


def _of_operation(cached: dict[str, Any]) -> GateState:
    """What operations say: the cache, else this host's record; and the marker above both."""
    state = state_decode(cached.get(OPERATION_KEY)) or _from_file(RECORD)
    marker = _read_marker()
    if marker is not None:
        return replace(state, state="closed") if state and state.operation else marker
    return state or GateState(epoch=_read_epoch())


def _by_hand(cached: dict[str, Any]) -> GateState:
    """What a person says; open where nobody has said anything."""
    return state_decode(cached.get(MAINTENANCE_KEY)) or _from_file(MAINTENANCE_FILE) or GateState()


def _raised(state: Literal["read_only", "closed"]) -> GateState:
    """What this process has raised, with another state."""
    if _held is None:
        raise RuntimeError("The gate is set by the process that has raised the flag (gate_raise).")
    return replace(_held, state=state, heartbeat=datetime.now(UTC))


def _publish(state: GateState, error_class: type[BackupError]) -> None:
    """Write ``state`` and read it back; ``error_class`` is raised where other processes would not see it."""
    global _held
    with _lock:
        if state.operation:
            _write_record(state)
        cache_put(OPERATION_KEY, state, error_class)
        _held = state


def _publish_maintenance(state: GateState) -> None:
    with _lock:
        cache_put(MAINTENANCE_KEY, state, BackupError)


def _write_record(state: GateState) -> None:
    """Write the state for this host to read while the cache has lost it. It is the second copy: a full disk stops nothing."""
    try:
        write_durably(conf.state_dir / RECORD, state_to_bytes(state))
    except OSError as error:
        logger.warning("The gate's record cannot be written: %s", error)


def _heart_start() -> None:
    """Begin to say again, until :func:`gate_release`, what this process holds."""
    global _heart
    with _lock:
        if _heart is None:
            _heart = threading.Event()
            threading.Thread(target=_beat_until, args=(_heart,), name="gate-heartbeat", daemon=True).start()


def _beat_until(stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECONDS):
        with _lock:
            if stop.is_set() or _held is None:
                return
            try:
                _beat(_held)
            except Exception as error:
                logger.warning("The gate's cache does not take the heartbeat: %s", error)


def _beat(held: GateState) -> None:
    found = cache_get(OPERATION_KEY)
    if found and found.operation and found.since and held.since and found.since > held.since:
        # This process has lost its lock without noticing it yet, and another recovers the operation.
        logger.error("The gate is held by %s %s now; it is left alone.", found.kind, found.operation[:8])
        return
    cache_set(OPERATION_KEY, replace(held, heartbeat=datetime.now(UTC)))


def _read_marker() -> GateState | None:
    """The marker's state; None where there is none. One that exists and cannot be read closes the gate all the same."""
    if not _has_marker():
        return None
    state = _from_file(MARKER)
    if state is None and _has_marker():
        return GateState(state="closed", epoch=_read_epoch())
    return state


def _has_marker() -> bool:
    try:
        return (conf.state_dir / MARKER).exists()
    except (OSError, ImproperlyConfigured):
        return False


def _from_file(name: str) -> GateState | None:
    """The state in one of the files beside the cache; None where there is none, or it cannot be read."""
    try:
        return state_decode(json.loads((conf.state_dir / name).read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ImproperlyConfigured) as error:
        logger.warning("The gate's file %s cannot be read: %s", name, error)
        return None


def _read_epoch() -> str:
    try:
        return (conf.state_dir / EPOCH).read_text().strip()
    except (OSError, ValueError, ImproperlyConfigured):
        return ""
