"""The kept state: what undo uses. One at a time, for ``BACKUPS_UNDO_HOURS`` or until the next restore succeeds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from backups.conf import conf
from backups.engines import Engine
from backups.exceptions import BackupError, reason_of
from backups.journal import Journal, journal_load_all
from backups.progress import Progress
from backups.uploads import uploads_kept_discard

__all__ = ["kept_current", "kept_describe", "kept_discard", "kept_expire", "kept_expired", "kept_keep_only", "kept_until", "kept_usable"]


def kept_until() -> str:
    """When a state kept now expires (ISO 8601, UTC)."""
    return (datetime.now(UTC) + timedelta(hours=conf.undo_hours)).isoformat()


def kept_usable(journal: Journal) -> bool:
    """Whether undo could use what ``journal`` kept.

    Uploads alone (the database before was broken) cannot be undone to, nor a database without a table: an undo would
    take the site away. Such a rest is kept for its time all the same.
    """
    return bool(journal.kept.get("database") or journal.kept.get("archive")) and not journal.arguments.get("nothing_before")


def kept_current(journals: Iterable[Journal] | None = None) -> Journal | None:
    """The journal of the last operation that keeps something, or None; :func:`kept_usable` says whether undo could use it.

    ``journals`` are all there are, for whoever has just read them.
    """
    held = [journal for journal in journals or journal_load_all() if journal.is_finished and journal.kept]
    return max(held, key=lambda journal: journal.ended_at) if held else None


def kept_describe(journal: Journal) -> dict[str, Any]:
    """What a person wants to know of a kept state: the operation, its kind, when it expires."""
    return {"operation": journal.id, "kind": journal.kind, "archive": journal.archive, "until": journal.kept.get("until", "")}


def kept_discard(engine: Engine, journal: Journal) -> None:
    """Remove the kept state of ``journal``: the database, then the uploads, then its mention."""
    if journal.kept.get("database"):
        engine.discard_kept(journal.kept["database"])
    if journal.kept.get("uploads"):
        uploads_kept_discard(journal.kept["uploads"])
    journal.kept = {}
    journal.save()


def kept_keep_only(engine: Engine, keep: Journal | None) -> None:
    """Remove every kept state but that of ``keep`` (after a restore or undo has succeeded)."""
    for journal in journal_load_all():
        if journal.is_finished and journal.kept and (keep is None or journal.id != keep.id):
            kept_discard(engine, journal)


def kept_expired() -> list[Journal]:
    """Operations whose kept state is past its time."""
    now = datetime.now(UTC)
    return [
        journal
        for journal in journal_load_all()
        if journal.is_finished and journal.kept and datetime.fromisoformat(journal.kept["until"]) < now
    ]


def kept_expire(engine: Engine, progress: Progress) -> None:
    """Remove kept states past their time. The lock must be held.

    One that cannot be removed now (a replication slot holds its database, say) is a warning, and tried again by the next
    operation: it stands in nobody's way but the disk's.
    """
    for journal in kept_expired():
        try:
            kept_discard(engine, journal)
        except (BackupError, OSError) as error:
            reason = reason_of(error)
            progress.warn(f"The expired kept state of {journal.kind} {journal.short_id} could not be removed: {reason}")
