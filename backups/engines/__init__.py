"""Dump and restore per database vendor; :func:`engine_for` chooses by ``connection.vendor``."""

from backups.engines.base import Engine, LiveState, Plan, Snapshot, Space
from backups.engines.choose import engine_for

__all__ = ["Engine", "LiveState", "Plan", "Snapshot", "Space", "engine_for"]
