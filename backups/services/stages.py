"""Steps that a restore, an undo and a load in place share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from backups.conf import conf
from backups.engines import Engine
from backups.exceptions import BackupError, DatabaseDamaged, RestoreFailed, RestoreNotUndone
from backups.gate import gate_stage
from backups.interrupts import too_late
from backups.journal import Journal
from backups.progress import Progress
from backups.uploads import uploads_foresee, uploads_merge, uploads_staging, uploads_sync, uploads_top_up

__all__ = [
    "PREVIEW",
    "Before",
    "after_the_swap",
    "enter",
    "live_before",
    "live_recounted",
    "rows_equal",
    "staging_folder",
    "uploads_staged",
    "warn_of_strays",
]

# Staging of a dry run, which holds no lock: never swept.
PREVIEW = "preview-"
# More paths than this make no warning more useful.
NAMED = 5


def enter(journal: Journal, progress: Progress, stage: str, *, total: int | None = None, message: str = "") -> None:
    """Begin a stage: in the journal first, then for those who watch."""
    journal.enter(stage)
    gate_stage(stage)
    progress.stage(stage, total=total, message=message)


def staging_folder(journal: Journal) -> Path:
    """Where this operation keeps the bytes that it has verified."""
    return conf.state_dir / "staging" / journal.short_id


@dataclass(frozen=True)
class Before:
    """What is live before it is replaced.

    ``counted``: ``rows`` per table are known. ``unread``: it may be whole, and ``reason`` says why it cannot be read now (all
    connections are taken, a table is locked). ``damaged``: it cannot be read to its end. ``nothing``: no database, or no table.
    """

    state: Literal["counted", "unread", "damaged", "nothing"]
    rows: dict[str, int] = field(default_factory=dict)
    reason: str = ""


def live_before(engine: Engine) -> Before:
    """Count the rows of the live database, whatever state it is in."""
    live = engine.live_state()
    if live.state in ("missing", "empty"):
        return Before("nothing", reason=live.detail)
    if live.state == "broken":
        return Before("unread", reason=live.detail)
    try:
        return Before("counted", engine.rows())
    except DatabaseDamaged as error:
        return Before("damaged", reason=error.message)
    except BackupError as error:
        return Before("unread", reason=error.message)


def live_recounted(engine: Engine, before: Before) -> Before:
    """Count again after the drain, when nothing is written any more: what was accepted since the first count is kept, too."""
    if before.state != "counted":
        return before
    again = live_before(engine)
    return again if again.state == "counted" else before


def rows_equal(expected: dict[str, int], found: dict[str, int]) -> None:
    """Raise :class:`~backups.exceptions.RestoreFailed` naming the first table whose count differs."""
    for table in sorted(expected.keys() | found.keys()):
        if expected.get(table, 0) != found.get(table, 0):
            raise RestoreFailed(
                f"After loading, table {table} has {found.get(table, 0)} rows, and the archive's manifest counts {expected.get(table, 0)}."
            )


def uploads_staged(journal: Journal, engine: Engine, progress: Progress, uploads: str) -> Path | None:
    """Complete the staged tree (``merge``: with the live files that stay) and drain; returns MEDIA_ROOT, None for ``skip``.

    A second quick pass after the drain takes in what transactions that were still open have uploaded.
    """
    root = None if uploads == "skip" else Path(journal.uploads["root"])
    if root:
        enter(journal, progress, "uploads")
        staging = uploads_staging(root, journal.id)
        if uploads == "merge":
            conflicts = uploads_merge(root, staging, progress.advance).conflicts
        uploads_sync(staging)
    enter(journal, progress, "drain")
    left = engine.drain(conf.drain_seconds)
    if left:
        progress.warn(f"{left} transactions did not end within {conf.drain_seconds} seconds.")
    if root and uploads == "merge":
        added = uploads_top_up(root, staging, progress.advance)
        if added.linked or added.copied:
            uploads_sync(staging)
        conflicts += added.conflicts
        if conflicts:
            progress.warn(f"A file and a folder cannot have one name; the archive's wins, and the live one goes: {_named(conflicts)}.")
    if root:
        # The next stage saves it with the journal, so that the switch itself need not wait for that.
        uploads_foresee(root, staging, journal.uploads)
    return root


def warn_of_strays(progress: Progress, strays: list[str]) -> None:
    """Name the files that another program wrote during the switch of the uploads and that found their places taken."""
    if strays:
        progress.warn(f"Written to the uploads during the switch, and not put in since something else has the place: {_named(strays)}.")


def _named(paths: list[str]) -> str:
    """The first of the paths, each once, and the number of the others."""
    distinct = sorted(set(paths))
    more = len(distinct) - NAMED
    return ", ".join(distinct[:NAMED]) + (f" and {more} more" if more > 0 else "")


@contextmanager
def after_the_swap(journal: Journal) -> Iterator[None]:
    """From here on the new data is live: whatever fails, and no signal, must lead to the way back of :func:`restoring`."""
    too_late()
    try:
        yield
    except Exception as error:
        reason = error.message if isinstance(error, BackupError) else f"{type(error).__name__}: {error}"
        raise RestoreNotUndone(
            f"The {journal.kind} was swapped in, but could not be brought to its end: {reason}",
            state="The new data is live and whole; the site may still wait for the gate.",
        ) from error
