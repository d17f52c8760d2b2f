"""The Celery app: ``celery -A timetracker.celery worker`` and ``… beat``; ``./run`` starts both.

Nothing depends on a message being delivered, so a folder of files will do as the broker of one host; several hosts set
``REDIS_URL``. There is no result backend: what a task has to tell stands outside of Celery.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore
from celery.platforms import SecurityWarning
from celery.signals import setup_logging
from django.conf import settings
from kombu.transport import TRANSPORT_ALIASES

from backups.gate import gate_read

__all__ = ["SiteTask", "app"]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timetracker.settings")
# A worker must start while the database is closed or broken, because it is what recovers it; some checks of models ask it.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

# Said of every worker that root starts; what makes that dangerous, messages that can hold code, is not accepted here.
warnings.filterwarnings("ignore", category=SecurityWarning)

TRANSPORT_ALIASES["files"] = "timetracker.broker:Transport"
# Seconds between two looks of a task that waits for the gate.
GATE_SECONDS = 5
# Seconds between two ticks.
TICK_SECONDS = 60.0
# Seconds between two looks for what has expired.
EXPIRE_SECONDS = 3600.0


class SiteTask(Task):
    """An ordinary task of the project: it waits while the gate is not open, since the database may be replaced any moment.

    It waits as a message and not in a worker's process, so that those are free for what opens the gate; the wait counts as
    no retry. Each task begins without connections from before (Celery closes them), so a new epoch needs no care here.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run, or come again later."""
        if not self.request.called_directly and not self.request.is_eager and gate_read().state != "open":
            self.signature_from_request(self.request, args, kwargs, countdown=GATE_SECONDS, retries=self.request.retries).apply_async()
            raise Ignore
        return super().__call__(*args, **kwargs)


def broker_settings() -> dict[str, Any]:
    """Where messages go: Redis, or private folders below ``DATA_DIR``, which are made here."""
    if settings.REDIS_URL:
        return {
            "broker_url": settings.REDIS_URL,
            # Seconds; without them a server that is silent instead of gone would hold up whoever asks for something.
            "broker_transport_options": {
                "socket_connect_timeout": 2,
                "socket_timeout": 5,
                "max_retries": 1,
                "global_keyprefix": f"{settings.REDIS_PREFIX}:broker:",
            },
        }
    folders = {name: settings.DATA_DIR / "broker" / name for name in ("messages", "control")}
    for folder in folders.values():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    return {
        "broker_url": "files://localhost//",
        "broker_transport_options": {
            "data_folder_in": str(folders["messages"]),
            "data_folder_out": str(folders["messages"]),
            "control_folder": str(folders["control"]),
            # Seconds between two looks into the folder.
            "polling_interval": 0.2,
        },
    }


app = Celery("timetracker", task_cls=SiteTask)
app.conf.update(
    **broker_settings(),
    broker_connection_timeout=2,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_default_queue="timetracker",
    task_queues={"timetracker": {}, "backups": {}},
    worker_concurrency=2,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    enable_utc=True,
    timezone="UTC",
    beat_scheduler="celery.beat:Scheduler",
    beat_schedule={
        "backups.tick": {"task": "backups.tick", "schedule": TICK_SECONDS},
        # A message that nobody has taken before the next one comes is of no use.
        "imports.expire": {"task": "imports.expire", "schedule": EXPIRE_SECONDS, "options": {"expires": EXPIRE_SECONDS}},
        "exports.tick": {"task": "exports.tick", "schedule": TICK_SECONDS, "options": {"expires": TICK_SECONDS}},
        "exports.sweep": {"task": "exports.sweep", "schedule": EXPIRE_SECONDS, "options": {"expires": EXPIRE_SECONDS}},
    },
)
app.autodiscover_tasks()


@setup_logging.connect
def keep_our_logging(**kwargs: Any) -> None:
    """That this is connected keeps Celery from setting up the log: Django has done it (``LOGGING``)."""
