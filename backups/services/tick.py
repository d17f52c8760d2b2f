"""What happens by itself, once a minute and at every start of a worker."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import DatabaseError, connections

from backups.exceptions import BackupError, OperationLocked
from backups.gate import is_gate_raised, maintenance_publish
from backups.interrupts import interruptible
from backups.presence import tick_note
from backups.services.carry_over import carry_over_keep, carry_over_pending
from backups.services.recover import backup_recover, interrupted
from backups.services.request import progress_logged, requests_remember, requests_run
from backups.services.schedule import schedules_run
from backups.watch import watch_sweep

__all__ = ["backup_tick", "tick_recover"]

logger = logging.getLogger(__name__)


def backup_tick() -> None:
    """Do what is due. Two ticks at once do no harm: whatever changes something takes the lock, and looks again inside.

    A step that fails is logged and does not keep the others from being tried. Only
    :class:`~backups.exceptions.Interrupted` ends a tick early.
    """
    steps: dict[str, Callable[[], object]] = {
        "note the time": tick_note,
        "recover what was interrupted": tick_recover,
        "tell of the maintenance": maintenance_publish,
        "run what was asked for": requests_run,
        "write down what never began": requests_remember,
        "carry over what a restore has left": carry_over_pending,
        "keep what is noted of the archives": carry_over_keep,
        "make the scheduled backups": lambda: schedules_run(progress_logged()),
        "sweep the cache": watch_sweep,
    }
    for name, step in steps.items():
        _step(name, step)


def tick_recover() -> None:
    """Settle interrupted operations, and open the gate where only the cache has not heard of an end.

    Without either sign nothing is touched: the lock is left to those who need it.
    """
    if not interrupted() and not is_gate_raised():
        return
    try:
        with interruptible():
            backup_recover(progress=progress_logged())
    except OperationLocked:
        # It is at work, and not interrupted.
        return


def _step(name: str, step: Callable[[], object]) -> None:
    connections.close_all()
    try:
        step()
    except (BackupError, DatabaseError, OSError) as error:
        # The cause is outside, and its sentence says it; a trace would not add anything.
        logger.error("The tick could not %s: %s", name, error)  # noqa: TRY400
    except Exception:
        logger.exception("The tick could not %s.", name)
    finally:
        connections.close_all()
