"""How the backups stand, in a level and a few sentences: what the banner of the admin shows.

It is judged as the health page judges it, from the rows alone: no store is asked and no archive is read, so that it costs a page
little. It never raises: what cannot be looked at is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from django.db import DatabaseError, connections
from django.utils import timezone

from backups.exceptions import reason_of
from backups.gate import gate_read
from backups.kinds import kind_word
from backups.models import Backup, BackupSchedule
from backups.presence import tick_seen, worker_seen
from backups.retention import CLOCKS_DIFFER
from backups.services.health import (
    Health,
    LastBackup,
    judge_backups,
    judge_operations,
    judge_processes,
    look_at_journals,
    schedule_health,
)
from backups.services.schedule import ATTEMPTS
from backups.times import ago, local_minute, span_human

__all__ = ["Line", "Standing", "standing"]

Level = Literal["green", "amber", "red"]
Icon = Literal["good", "warning", "bad", "clock", "undo", "busy"]

HEADLINES: dict[Level, str] = {
    "green": "The backups are in order.",
    "amber": "The backups need a look.",
    "red": "The backups need you now.",
}


@dataclass(frozen=True)
class Line:
    """One sentence, and the name of the icon before it."""

    icon: Icon
    text: str


@dataclass
class Standing:
    """How things stand: what is wrong comes first in ``lines``. Times are aware UTC, None where there is none."""

    level: Level = "green"
    lines: list[Line] = field(default_factory=list)
    last_backup: LastBackup | None = None
    next_run: datetime | None = None
    undo_until: datetime | None = None

    @property
    def icon(self) -> Icon:
        """The icon before the headline."""
        icons: dict[Level, Icon] = {"green": "good", "amber": "warning", "red": "bad"}
        return icons[self.level]

    @property
    def headline(self) -> str:
        """The level in words."""
        return HEADLINES[self.level]


def standing() -> Standing:
    """Look at rows, journals and signs of life: three queries (four where no archive was made here), no store."""
    health = Health(checked_at=timezone.now(), gate=gate_read())
    look_at_journals(health)
    is_closed = health.gate.state == "closed"
    if not is_closed:
        _look_at_rows(health)
    health.tick_at, health.worker = tick_seen(), worker_seen()
    bad, amber = _judged(health)
    found = Standing(last_backup=health.last_backup)
    found.level = "red" if bad else "amber" if amber else "green"
    found.lines = [Line("bad", sentence) for sentence in bad] + [Line("warning", sentence) for sentence in amber]
    _tell_last(found, health)
    _tell_next(found, health)
    _tell_undo(found, health)
    if is_closed:
        found.lines.append(Line("busy", "The database is being replaced: what it knows of the backups can be read in a moment."))
    found.lines.extend(Line("busy", f"The {kind_word(journal.kind).lower()} is at work.") for journal in health.running)
    return found


# --- looking ------------------------------------------------------------------------------------------------------------


def _look_at_rows(health: Health) -> None:
    """What the catalogue and the schedules say; the health page asks the store itself, and so is right where they differ."""
    try:
        order = ("-created_at", "-name")
        rows = Backup.objects.order_by(*order).values_list("name", "created_at", "verified_at", "problem")
        newest = rows.first()
        good = rows.filter(problem="", created_at__lte=health.checked_at + CLOCKS_DIFFER)
        own = good.filter(is_uploaded=False).first()
        health.has_brought = own is None and good.exists()
        health.schedules = [schedule_health(schedule) for schedule in BackupSchedule.objects.filter(enabled=True)]
    except DatabaseError as error:
        connections.close_all()
        health.database = "broken"
        health.problems.append(f"The database cannot be asked: {reason_of(error)}")
        return
    health.database = "ok"
    health.archives = 0 if newest is None else 1
    if newest is not None and newest[3] and newest[1] <= health.checked_at + CLOCKS_DIFFER:
        health.problems.append(f"The newest archive {newest[0]} is not good: {newest[3]}")
    if own is not None:
        health.last_backup = LastBackup(*own[:3])


def _judged(health: Health) -> tuple[list[str], list[str]]:
    """The sentences about what is bad, and about what needs a look: those of the health page, and two that are no problem yet."""
    looked, health.problems = health.problems, []
    judge_backups(health)
    judge_operations(health)
    bad, health.problems = health.problems, []
    judge_processes(health)
    return looked + bad, health.problems + list(_remarks(health))


def _remarks(health: Health) -> list[str]:
    if health.schedules is None:
        return []
    if not health.schedules:
        return ["No schedule is on, so no backup is made by itself."]
    # An attempt is counted before it begins: while one is at work it has not failed.
    trying = [] if health.running else [schedule for schedule in health.schedules if schedule.attempts and schedule.next_due_at]
    return [
        f"The schedule {schedule.key} has not succeeded yet, in {schedule.attempts} of {ATTEMPTS} attempts; it tries again by itself."
        for schedule in trying
    ]


# --- telling ------------------------------------------------------------------------------------------------------------


def _tell_last(found: Standing, health: Health) -> None:
    last = health.last_backup
    if last is None:
        return
    verified = f"verified {ago(last.verified_at, health.checked_at)}" if last.verified_at else "not verified here"
    found.lines.append(
        Line(
            "good" if last.verified_at else "clock",
            f"Last good backup: {ago(last.made_at, health.checked_at)} ({local_minute(last.made_at)}), {verified}.",
        )
    )


def _tell_next(found: Standing, health: Health) -> None:
    due: list[datetime] = [schedule.next_due_at for schedule in health.schedules or () if schedule.next_due_at]
    if due:
        found.next_run = min(due)
        soon = "now" if found.next_run <= health.checked_at else f"in {span_human(health.checked_at, found.next_run)}"
        found.lines.append(Line("clock", f"Next backup: {soon} ({local_minute(found.next_run)})."))


def _tell_undo(found: Standing, health: Health) -> None:
    until = datetime.fromisoformat(health.kept["until"]) if health.kept else None
    if until is not None and until > health.checked_at:
        found.undo_until = until
        found.lines.append(Line("undo", f"The last {health.kept['kind']} can be undone until {local_minute(until)}."))
