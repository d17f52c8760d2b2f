"""The timesheet of a person's week: one row for each project or task, one cell for each day, and the sums.

As in all sums (:mod:`timetracker.tracking.sums`) an entry counts whole, on the day on which it starts where she is. Cells,
sums and what a form says a cell was come from one read, so they cannot contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2s
from typing import Any
from zoneinfo import ZoneInfo

from timetracker.accounts.models import User
from timetracker.tracking.days import day_bounds, today_in, zone_of
from timetracker.tracking.durations import worked_seconds
from timetracker.tracking.entries import entry_refusal
from timetracker.tracking.hours_text import hours_said
from timetracker.tracking.models import TAKES_TIME, Project, Task, TimeEntry
from timetracker.tracking.pages.work import Work, ids_of
from timetracker.tracking.sums import starting_on
from timetracker.tracking.visibility import entries_seen_by
from timetracker.tracking.week_target import WeekTarget

__all__ = ["MOST_ROWS", "Cell", "Row", "WeekSheet", "week_sheet", "works_named"]

# Rows with fields: eight a row, below what Django takes of a form (DATA_UPLOAD_MAX_NUMBER_FIELDS). Those beyond are read only.
MOST_ROWS = 100


@dataclass
class Cell:
    """The time on one thing on one day: ``entries``, the first first, each with ``worked_seconds`` (whole, a timer's up to now).

    ``refusal`` says why the reader may not change its only entry. ``typed`` is what stays of what was typed and not saved,
    ``faults`` why, and ``asks`` whether it was emptied and the entry is to be deleted: that is asked first.
    """

    work: Work
    day: date
    entries: list[Any]
    ends_at: datetime
    may_add: bool
    refusal: str
    typed: str | None = None
    was: str | None = None
    faults: list[str] = field(default_factory=list)
    asks: bool = False
    has_field: bool = True

    @property
    def name(self) -> str:
        """How a form names it."""
        return f"{self.work.key}.{self.day:%Y-%m-%d}"

    @property
    def seconds(self) -> int:
        """What was worked."""
        return sum(entry.worked_seconds for entry in self.entries)

    @property
    def said(self) -> str:
        """The same as hours and minutes; empty where there is no entry."""
        return hours_said(self.seconds) if self.entries else ""

    @property
    def shown(self) -> str:
        """What its field holds."""
        return self.said if self.typed is None else self.typed

    @property
    def state(self) -> str:
        """What a form says that the cell was: what it shows, and a mark of the entries behind it that changes when they do."""
        if not self.entries:
            return "@"
        facts = [(each.pk, str(each.started_at), str(each.ended_at), each.break_seconds, each.invoice_item_id) for each in self.entries]
        return f"{self.said}@{blake2s(repr(facts).encode(), digest_size=6).hexdigest()}"

    @property
    def only(self) -> Any | None:
        """The entry that typing changes: the only one, ended, on no invoice, and one that the reader may change."""
        return self.entries[0] if len(self.entries) == 1 and not self.is_running and not self.refusal else None

    @property
    def is_open(self) -> bool:
        """Whether typing can do anything here."""
        return self.has_field and (self.only is not None or self.may_add)

    @property
    def is_running(self) -> bool:
        """Whether the timer runs here."""
        return any(entry.is_running for entry in self.entries)

    @property
    def billed(self) -> str:
        """``billed``, ``partly billed``, or nothing."""
        count = sum(entry.invoice_item_id is not None for entry in self.entries)
        return "" if not count else "billed" if count == len(self.entries) else "partly billed"

    @property
    def passes_midnight(self) -> bool:
        """Whether time counts here that was worked on a later day."""
        return any(entry.ended_at and entry.ended_at > self.ends_at for entry in self.entries)


@dataclass
class Row:
    """The time on one thing; ``cells`` are those of the days."""

    work: Work
    cells: list[Cell]

    @property
    def seconds(self) -> int:
        """The sum of the row."""
        return sum(cell.seconds for cell in self.cells)

    @property
    def state(self) -> str:
        """How a form names the row, and what its cells were."""
        return "|".join([self.work.key, *(cell.was or cell.state for cell in self.cells)])

    @property
    def unsaved(self) -> list[Cell]:
        """The cells of which something has to be said."""
        return [cell for cell in self.cells if cell.faults or cell.asks]


@dataclass
class WeekSheet:
    """The time of ``person`` in the week of ``days``, in her time zone, as far as its reader sees it.

    ``may_add`` is about new entries.
    """

    person: User
    zone: ZoneInfo
    now: datetime
    days: list[date]
    rows: list[Row]
    may_add: bool

    @property
    def today(self) -> date:
        """The date there now."""
        return today_in(self.zone, self.now)

    @property
    def day_sums(self) -> list[tuple[date, int]]:
        """Each day, and the seconds worked on it."""
        return [(day, sum(row.cells[number].seconds for row in self.rows)) for number, day in enumerate(self.days)]

    @property
    def seconds(self) -> int:
        """The sum of the week."""
        return sum(row.seconds for row in self.rows)

    @property
    def target(self) -> WeekTarget:
        """The sum of the week, against what is agreed for it."""
        return WeekTarget.of(self.person, self.seconds)

    @property
    def may_type(self) -> bool:
        """Whether there is a cell in which typing can do something."""
        return any(cell.is_open for row in self.rows for cell in row.cells)

    @property
    def unsaved(self) -> list[Cell]:
        """The cells of which something has to be said."""
        return [cell for row in self.rows for cell in row.unsaved]

    @property
    def empty_keys(self) -> list[str]:
        """The rows that only the form knows: nothing is recorded on them."""
        return [row.work.key for row in self.rows if not any(cell.entries for cell in row.cells)]

    def cell(self, key: str, day: date) -> Cell | None:
        """The cell of a row and a day; None where there is none."""
        row = next((row for row in self.rows if row.work.key == key), None)
        return row.cells[self.days.index(day)] if row is not None and day in self.days else None


def week_sheet(
    person: User, days: list[date], *, reader: User, now: datetime, extra: Iterable[str] = (), locked: bool = False
) -> WeekSheet:
    """Read it. ``extra`` are keys of work that gets a row, whether there is time on it or not, if it takes new time.

    ``locked``: within the caller's transaction nobody else can change the entries. One query, and up to two for ``extra``.
    """
    zone = zone_of(person)
    entries: Any = (
        starting_on(entries_seen_by(reader).filter(user=person), days[0], days[-1], zone=zone)
        .select_related("project__client", "task", "invoice_item__invoice")
        .annotate(worked_seconds=worked_seconds(now))
        .order_by("started_at", "id")
    )
    if locked:
        entries = entries.select_for_update(of=("self",), no_key=True)
    found: dict[Work, dict[date, list[Any]]] = {}
    for entry in entries:
        of_days = found.setdefault(Work(entry.project, entry.task), {})
        of_days.setdefault(entry.started_at.astimezone(zone).date(), []).append(entry)
    for work in works_named(extra):
        found.setdefault(work, {})
    may_add = not entry_refusal(TimeEntry(user=person), reader)
    ends = [day_bounds(day, zone)[1] for day in days]
    rows = []
    for number, work in enumerate(sorted(found, key=_order)):
        takes_time = may_add and work.project.takes_time
        cells = []
        for day, ends_at in zip(days, ends, strict=True):
            of_day = found[work].get(day, [])
            refusal = entry_refusal(of_day[0], reader) if len(of_day) == 1 else ""
            cells.append(Cell(work, day, of_day, ends_at, takes_time, refusal, has_field=number < MOST_ROWS))
        rows.append(Row(work, cells))
    return WeekSheet(person, zone, now, days, rows, may_add)


def works_named(keys: Iterable[str]) -> list[Work]:
    """Return the work of these keys that takes new time; others are left out. Two queries at most."""
    pairs = [ids for ids in map(ids_of, dict.fromkeys(keys)) if ids]
    if not pairs:
        return []
    projects = Project.objects.select_related("client").filter(TAKES_TIME).in_bulk([pair[0] for pair in pairs])
    task_ids = [task for _, task in pairs if task]
    tasks = Task.objects.in_bulk(task_ids) if task_ids else {}
    works = []
    for project_id, task_id in pairs:
        project, task = projects.get(project_id), tasks.get(task_id or 0)
        if project is not None and (task_id is None or (task is not None and task.project_id == project_id)):
            works.append(Work(project, task))
    return works


def _order(work: Work) -> tuple[Any, ...]:
    project = work.project
    return project.client.name.casefold(), project.code, project.pk, work.task.pk if work.task else 0
