"""Why an archive was made, of what, and who vouches for it, in the words that people read."""

from __future__ import annotations

from collections.abc import Mapping

from backups.models import SCHEDULE_TRIGGER

__all__ = ["ENGINES", "WHY", "signature_said", "why_made"]

# What the row says, and what people read; a schedule's trigger has its key behind it.
WHY: Mapping[str, str] = {
    "manual": "manual",
    "before-restore": "before a restore",
    "before-migrate": "before migrations",
}
ENGINES: Mapping[str, str] = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
# By what the reader of an archive says of its signature.
SIGNATURES: Mapping[str, str] = {
    "valid": "is signed by this site.",
    "missing": "has no signature, so nothing says who made it, or whether somebody has changed it.",
    "unknown key": "is signed with a key that this site does not have, so nothing says who made it: another site, or this one before its"
    " SECRET_KEY was changed.",
}


def why_made(trigger: str, *, is_uploaded: bool) -> str:
    """Why: manual, schedule, before a restore, before migrations, uploaded; a trigger that nobody here knows as it is."""
    if is_uploaded:
        return "uploaded"
    return "schedule" if trigger.startswith(SCHEDULE_TRIGGER) else WHY.get(trigger, trigger)


def signature_said(signature: str, subject: str = "It") -> str:
    """Who vouches for an archive, in a sentence about ``subject``; empty where its signature has not been looked at."""
    return f"{subject} {SIGNATURES[signature]}" if signature in SIGNATURES else ""
