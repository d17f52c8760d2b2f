"""``backup_status``: gate, lock, journal, last backup, kept state; and the way out when nothing else helps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backups.engines import engine_for
from backups.exceptions import BackupError, OperationLocked, reason_of
from backups.gate import GateState, gate_open, gate_read
from backups.journal import journals_damaged
from backups.services.kept import kept_current, kept_describe, kept_usable
from backups.services.listing import ListedArchive, backup_list
from backups.services.lock import lock_owner
from backups.services.recover import interrupted

__all__ = ["Status", "backup_force_open", "backup_status"]


@dataclass
class Status:
    """How things stand. ``problems`` are sentences about what could not be asked."""

    gate: GateState
    database: str
    database_detail: str
    locked_by: str = ""
    interrupted: list[str] = field(default_factory=list)
    last_backup: ListedArchive | None = None
    archives: int = 0
    kept: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def backup_status() -> Status:
    """Look at everything and change nothing; works with the database closed, broken or gone."""
    engine = engine_for()
    live = engine.live_state()
    status = Status(gate=gate_read(), database=live.state, database_detail=live.detail)
    unfinished = [f"{journal.kind} {journal.short_id} (stage {journal.stage or 'start'})" for journal in interrupted()]
    if engine.is_locked():
        status.locked_by = lock_owner() or "another operation"
    else:
        status.interrupted = unfinished
    kept = kept_current()
    if kept is not None and kept_usable(kept):
        status.kept = {**kept_describe(kept), "bytes": None}
        if kept.kept.get("database"):
            try:
                status.kept["bytes"] = engine.kept_size(kept.kept["database"])
            except BackupError as error:
                status.problems.append(f"The size of the kept state cannot be asked: {error.message}")
    status.problems.extend(
        f"The journal of operation {operation[:8]} is damaged; what it staged or kept stays where it is."
        for operation in journals_damaged()
    )
    try:
        archives = backup_list()
    except (BackupError, OSError) as error:
        status.problems.append(f"The store cannot be listed: {reason_of(error)}")
    else:
        status.archives = len(archives)
        status.last_backup = next((archive for archive in archives if not archive.problem), None)
    return status


def backup_force_open() -> list[str]:
    """Open the gate by hand, and return what is unproven: the operations whose outcome nobody has judged.

    Raises :class:`~backups.exceptions.OperationLocked` while an operation is at work.
    """
    engine = engine_for()
    if engine.is_locked():
        raise OperationLocked(f"The lock is held by {lock_owner() or 'another operation'}: the gate is its own.")
    unproven = []
    for journal in interrupted():
        staged = journal.uploads.get("staging", "")
        where = f" (uploads that it may have displaced: {staged}/old)" if staged and Path(staged).exists() else ""
        unproven.append(f"{journal.kind} {journal.short_id}, stopped in stage {journal.stage or 'start'}{where}")
        journal.end("failed", error="Its outcome was never judged: the gate was opened by hand (backup_status --force-open).")
    gate_open()
    return unproven
