"""The worker's side: thin, and of no harm when late, lost or doubled. What is asked for stands in the rows."""

from __future__ import annotations

from celery import shared_task

from timetracker.exports.make import exports_make
from timetracker.exports.models import Export
from timetracker.exports.sweep import exports_sweep

__all__ = ["make", "sweep", "tick"]


@shared_task(name="exports.make")
def make() -> None:
    """Make what is asked for."""
    exports_make()


@shared_task(name="exports.tick")
def tick() -> None:
    """Begin what no worker was told of, and settle what a dead one has left."""
    if Export.objects.filter(state__in=Export.PENDING).exists():
        exports_make()


@shared_task(name="exports.sweep")
def sweep() -> None:
    """Delete what has expired or belongs to nobody."""
    exports_sweep()
