"""The lock as services take it: where another operation holds it, that one is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from backups.engines import Engine
from backups.exceptions import OperationLocked
from backups.gate import gate_release
from backups.journal import journal_load_all

__all__ = ["lock_owner", "lock_taken"]

# Seconds in which a holder that has just taken the lock writes its journal, and between two looks.
OWNER_SECONDS = 2.0
# Times that the lock is asked for where nobody is found to hold it.
ATTEMPTS = 3
POLL_SECONDS = 0.02


@contextmanager
def lock_taken(engine: Engine, operation: str, *, wait: float = 0) -> Iterator[None]:
    """Hold the lock, waiting at most ``wait`` seconds; raises :class:`~backups.exceptions.OperationLocked` naming the holder."""
    with ExitStack() as held:
        for attempt in range(ATTEMPTS):
            try:
                held.enter_context(engine.lock(operation, wait=wait))
                break
            except OperationLocked as error:
                if owner := lock_owner(patience=OWNER_SECONDS):
                    raise OperationLocked(f"The lock is held by {owner}.", next_step=error.next_step) from error
                # No operation is at work any more, so the holder has ended between the refusal and the look.
                if attempt == ATTEMPTS - 1:
                    raise
        # While the lock is still held: from then on another process may recover, and sets the gate.
        held.callback(gate_release)
        yield


def lock_owner(*, patience: float = 0) -> str:
    """A phrase that names who holds the lock, from the journals: ``restore 1a2b3c4d since … (stage load)``; empty: not known.

    ``patience``: seconds to wait for a journal, where the lock was refused a moment ago.
    """
    deadline = time.monotonic() + patience
    while not (running := [journal for journal in journal_load_all() if journal.status == "running"]):
        if time.monotonic() >= deadline:
            return ""
        time.sleep(POLL_SECONDS)
    journal = running[-1]
    who = f" by {journal.requested_by}" if journal.requested_by else ""
    stage = f", stage {journal.stage}" if journal.stage else ""
    return f"{journal.kind} {journal.short_id}{who}, since {journal.started_at[:19].replace('T', ' ')} UTC on {journal.host}{stage}"
