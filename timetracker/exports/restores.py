"""What a restore means for exports."""

from __future__ import annotations

from typing import Any

from timetracker.exports.sweep import exports_sweep

__all__ = ["agree_after_restore"]


def agree_after_restore(sender: object, *, outcome: str, **kwargs: Any) -> str | None:
    """Receiver of ``backups.signals.restore_ended``: let rows and files agree, and say how many exports are gone. None: nothing to say."""
    if outcome != "new":
        return None
    _, lost = exports_sweep()
    if not lost:
        return None
    return f"{lost} {'export' if lost == 1 else 'exports'} of data cannot be downloaded any more. Who needs one asks for it again."
