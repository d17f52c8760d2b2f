"""Why an archive was made, in the words that people read."""

from __future__ import annotations

from collections.abc import Mapping

from backups.models import SCHEDULE_TRIGGER

__all__ = ["ENGINES", "WHY", "why_made"]

# What the row says, and what people read; a schedule's trigger has its key behind it.
WHY: Mapping[str, str] = {
    "manual": "manual",
    "before-restore": "before a restore",
    "before-migrate": "before migrations",
}
ENGINES: Mapping[str, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def why_made(trigger: str, *, is_uploaded: bool) -> str:
    """Why: manual, schedule, before a restore, before migrations, uploaded; a trigger that nobody here knows as it is."""
    if is_uploaded:
        return "uploaded"
    return "schedule" if trigger.startswith(SCHEDULE_TRIGGER) else WHY.get(trigger, trigger)
