"""What typing into the cells of a timesheet does.

- An empty cell becomes an entry of that day: at the clock times that are typed, or for a length where there is room
  (:func:`timetracker.tracking.free_time.free_start`).
- A cell of one entry gives it that length, from its start on, or those clock times; its break stays, and comes on top of a length.
- ``+0:30`` adds another entry, whatever is there. It is the only thing that a cell takes that holds several entries, time on an
  invoice, the running timer or time that the reader may not change.
- Emptying a cell, or 0, deletes its entry, but only after a question that names it. It deletes nothing else.

Each cell stands for itself: those that are good are saved, the others keep what was typed and say why. What a cell was when
the form was made comes along: where it is not that any more, it is told and not overwritten.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.core.exceptions import ValidationError

from timetracker.accounts.models import User
from timetracker.tracking.entries import entry_delete, entry_save, entry_warnings
from timetracker.tracking.free_time import length_start
from timetracker.tracking.hours_text import Hours, read_hours
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.pages.week_sheet import Cell, WeekSheet

__all__ = ["CellQuestion", "Typed", "TypingResult", "typed_keep", "typed_save"]

_LONGEST = 40


@dataclass(frozen=True)
class Typed:
    """What a form holds for one cell that was changed in it: ``was`` is what the cell was when the form was made."""

    key: str
    day: date
    text: str
    was: str

    @property
    def name(self) -> str:
        """The name of the cell."""
        return f"{self.key}.{self.day:%Y-%m-%d}"


class CellQuestion(ValidationError):
    """The entry of the cell is to be deleted; its message names what would be lost."""


@dataclass
class TypingResult:
    """What was saved: how many cells were written, how many entries deleted; and what their writers should know."""

    saved: int = 0
    deleted: int = 0
    warnings: list[str] = field(default_factory=list)
    left: list[tuple[Typed, ValidationError]] = field(default_factory=list)


def typed_save(sheet: WeekSheet, typed: Collection[Typed], *, user: User, sure: Collection[str] = ()) -> TypingResult:
    """Save what was typed into ``sheet``, which is locked: within a transaction. ``sure`` are names of cells whose entry may be deleted."""
    result = TypingResult()
    for each in typed:
        cell = sheet.cell(each.key, each.day)
        try:
            if cell is None:
                raise ValidationError("This takes no time any more: the project is not active, or the task is gone.", code="gone")
            if cell.state != each.was:
                raise ValidationError(_changed(cell, each), code="changed")
            entry = _typed_into(cell, each.text, sheet, user, is_sure=each.name in sure)
        except ValidationError as error:
            result.left.append((each, error))
            continue
        if entry is None:
            result.deleted += bool(cell.entries)
            continue
        result.saved += 1
        if warnings := entry_warnings(entry):
            result.warnings.append(f"{cell.work.project.code}, {each.day:%a} {each.day.day}: {' '.join(warnings)}")
    return result


def typed_keep(sheet: WeekSheet, typed: Collection[Typed], left: Collection[tuple[Typed, ValidationError]] = ()) -> list[str]:
    """Put into ``sheet`` what stays in the form, and return the sentences that belong to no cell of it.

    With its error (``left``) a cell is told as it is now; without one it still is what it was when the form was made.
    """
    lost = []
    for each, error in left:
        cell = sheet.cell(each.key, each.day)
        if cell is None or not cell.has_field:
            lost += [f"“{each.text}” on {each.day:%Y-%m-%d}: {sentence}" for sentence in _sentences(error)]
            continue
        cell.typed, cell.asks = each.text, isinstance(error, CellQuestion)
        cell.faults = _sentences(error)
    for each in typed:
        if cell := sheet.cell(each.key, each.day):
            cell.typed, cell.was = each.text, each.was
    return lost


def _typed_into(cell: Cell, text: str, sheet: WeekSheet, user: User, *, is_sure: bool) -> TimeEntry | None:
    """Return the entry that was written; None where the cell is empty now."""
    if len(text) > _LONGEST:
        raise ValidationError(f"This is longer than {_LONGEST} characters. Write 1:30, 1.5, 90m, or from and to: 9-10:30.", code="hours")
    if text.startswith("+"):
        return _added(cell, _hours(text[1:], cell, sheet), sheet, user)
    if not cell.entries:
        hours = _hours(text, cell, sheet)
        return _added(cell, hours, sheet, user) if hours.seconds else None
    if cell.only is None:
        raise ValidationError(_why_closed(cell), code="closed")
    hours = _hours(text, cell, sheet) if text else Hours(0)
    if hours.seconds:
        return _changed_to(cell.only, hours, user)
    if not is_sure:
        raise CellQuestion(_what_goes(cell.only, sheet))
    entry_delete(cell.only, user=user)
    return None


def _hours(text: str, cell: Cell, sheet: WeekSheet) -> Hours:
    return read_hours(text, day=cell.day, zone=sheet.zone)


def _added(cell: Cell, hours: Hours, sheet: WeekSheet, user: User) -> TimeEntry:
    if not hours.seconds:
        raise ValidationError("Nothing to add: this is no time. Write +0:30 or +9-10.", code="hours")
    length = timedelta(seconds=hours.seconds)
    started_at = hours.started_at or length_start(sheet.person, length=length, day=cell.day, zone=sheet.zone, now=sheet.now)
    project = cell.work.project
    entry = TimeEntry(
        user=sheet.person,
        project=project,
        task=cell.work.task,
        started_at=started_at,
        ended_at=hours.ended_at or started_at + length,
        billable=project.billable,
        source=TimeEntry.Source.MANUAL,
    )
    return entry_save(entry, user=user)


def _changed_to(entry: TimeEntry, hours: Hours, user: User) -> TimeEntry:
    entry.started_at = hours.started_at or entry.started_at
    entry.ended_at = hours.ended_at or entry.started_at + timedelta(seconds=hours.seconds + entry.break_seconds)
    return entry_save(entry, user=user)


def _changed(cell: Cell, typed: Typed) -> str:
    before, now = typed.was.split("@")[0], cell.said
    if before == now:
        return "The entries of this cell were changed meanwhile, elsewhere. Look at them, then save once more, or press Esc to leave them."
    return (
        f"Changed meanwhile, elsewhere: it was {before or 'empty'} here and is {now or 'empty'} now. "
        "Save once more to set what you typed, or press Esc to leave it."
    )


def _why_closed(cell: Cell) -> str:
    if cell.is_running:
        return "The timer runs here. Stop it first, or type +0:30 to add time."
    if len(cell.entries) > 1:
        return f"There are {len(cell.entries)} entries in this cell. Type +0:30 to add time, or change them one by one in the list."
    return f"{cell.refusal} To add time here, type +0:30." if cell.may_add else cell.refusal


def _what_goes(entry: TimeEntry, sheet: WeekSheet) -> str:
    began, ended = (moment.astimezone(sheet.zone) for moment in (entry.started_at, entry.ended_at or entry.started_at))
    note = " ".join(entry.notes.split())
    words = f" with the note “{note[:80]}{'…' if len(note) > 80 else ''}”" if note else ""
    return f"Delete the entry {began:%H:%M}–{ended:%H:%M}{words}? To keep it, press Esc in the cell, or load the page again."


def _sentences(error: ValidationError) -> list[str]:
    return list(error.messages)
