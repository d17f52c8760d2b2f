"""Celery's side: tasks that call one service each, and what a worker does beside them.

A message only wakes a worker; what is to be done stands in journals (:mod:`backups.services.request`). So both tasks are
acknowledged early, have no result and may be lost, late or doubled. They run while the gate is not open, which ordinary
tasks of the project do not: they are what opens it.
"""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress
from typing import Any

from billiard.process import active_children
from celery import Task, shared_task
from celery.signals import beat_init, celeryd_init, worker_ready, worker_shutting_down
from django.db import connections

from backups.exceptions import Interrupted
from backups.journal import journal_load_all
from backups.presence import worker_announce, worker_withdraw
from backups.services.request import operation_work, requests_run
from backups.services.tick import backup_tick, tick_recover
from backups.watch import cancel_request

__all__ = ["tick", "work"]

# Of its own, so that it can be emptied at a worker's start without losing a task of anybody else.
QUEUE = "backups"
# Seconds after which a tick that nobody has taken is of no use: the next one is there.
TICK_EXPIRES = 55
# Seconds between two signs of life of a worker.
PRESENCE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class _Plain(Task):
    """A task of Celery's own class, whatever class the project gives to its ordinary tasks."""

    abstract = True
    queue = QUEUE
    acks_late = False
    ignore_result = True


@shared_task(name="backups.work", base=_Plain)
def work(operation_id: str) -> None:
    """Run one request, and those that have come meanwhile."""
    connections.close_all()
    try:
        with suppress(Interrupted):
            if operation_work(operation_id):
                requests_run()
    finally:
        connections.close_all()


@shared_task(name="backups.tick", base=_Plain, expires=TICK_EXPIRES)
def tick() -> None:
    """Do what is due."""
    connections.close_all()
    try:
        backup_tick()
    except Interrupted as error:
        logger.warning("The tick was interrupted by signal %s.", error.signum)
    finally:
        connections.close_all()


# --- a worker's life ------------------------------------------------------------------------------------------------------


@celeryd_init.connect
def recover_first(sender: str, instance: Any, **kwargs: Any) -> None:
    """Settle what a dead operation left, before this worker takes anything on; what fails is tried again by the tick.

    What had been sent before the start is thrown away: the requests stand in journals, and the tick looks at all of them.
    """
    try:
        tick_recover()
    except Interrupted:
        raise SystemExit(143) from None
    except Exception as error:
        logger.error("The start of the worker could not recover what was interrupted: %s", error)  # noqa: TRY400
    finally:
        connections.close_all()
    try:
        with instance.app.connection_for_write() as connection:
            connection.default_channel.queue_purge(QUEUE)
    except Exception as error:  # each broker has errors of its own
        logger.warning("Old messages could not be thrown away: %s", error)


@worker_ready.connect
def announce(sender: Any, **kwargs: Any) -> None:
    """Show from now on that a worker is there, and look at once for what is due."""
    _presence.start(str(sender.hostname))
    _tick_now()


@beat_init.connect
def tick_at_start(sender: Any, **kwargs: Any) -> None:
    """Let the first tick come at once, and not after the first minute."""
    _tick_now()


@worker_shutting_down.connect
def stop_operations(sender: Any, **kwargs: Any) -> None:
    """Cancel what this worker's processes are at, so that it is undone before the worker is killed. Runs in a signal's handler."""
    _presence.is_leaving.set()


def _tick_now() -> None:
    try:
        tick.apply_async(retry=False)
    except Exception as error:
        logger.warning("The first tick could not be sent: %s", error)


class _Presence:
    """The thread of a worker's main process that shows that it is there; at its end it cancels what its processes do."""

    def __init__(self) -> None:
        self.is_leaving = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, node: str) -> None:
        """Begin, unless it has begun: a worker is ready again after each loss of the broker."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(node,), name="presence", daemon=True)
            self._thread.start()

    def _run(self, node: str) -> None:
        is_told = False
        while not self.is_leaving.is_set():
            try:
                worker_announce(node)
                is_told = False
            except Exception as error:  # each cache backend has errors of its own
                if not is_told:
                    logger.warning("The worker cannot show that it is there: %s", error)
                is_told = True
            self.is_leaving.wait(PRESENCE_SECONDS)
        while True:
            # As long as this process lives: an operation may begin even now.
            self._leave(node)
            threading.Event().wait(PRESENCE_SECONDS)

    def _leave(self, node: str) -> None:
        try:
            _cancel_own_operations()
            worker_withdraw(node)
        except Exception as error:
            logger.warning("What the worker was at could not be stopped: %s", error)


_presence = _Presence()


def _cancel_own_operations() -> None:
    pids, host = {child.pid for child in active_children()}, socket.gethostname()
    for journal in journal_load_all():
        if journal.status == "running" and journal.host == host and journal.pid in pids:
            cancel_request(journal.id, by="the worker, which was told to end")
