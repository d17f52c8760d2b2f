"""What a restore means for running timers."""

from __future__ import annotations

from typing import Any

from timetracker.tracking.models import TimeEntry

__all__ = ["report_running_timers"]

# More names than this make no report more useful.
_NAMED = 10


def report_running_timers(sender: object, *, outcome: str, **kwargs: Any) -> str | None:
    """Receiver of ``backups.signals.restore_ended``: name the timers that run in the restored data, and since when (UTC).

    They ran when the backup was made, and count on as if nobody had stopped them since. None where there is none, and
    where the data is as before.
    """
    if outcome != "new":
        return None
    running = TimeEntry.objects.filter(ended_at__isnull=True).order_by("started_at", "id")
    count = running.count()
    if not count:
        return None
    named = ", ".join(
        f"{entry.user} on {entry.project.code} since {entry.started_at:%Y-%m-%d %H:%M} UTC"
        for entry in running.select_related("user", "project")[:_NAMED]
    )
    more = f" and {count - _NAMED} more" if count > _NAMED else ""
    noun = "1 timer was" if count == 1 else f"{count} timers were"
    return f"{noun} running in the restored data: {named}{more}. Stop or correct what should not count on."
