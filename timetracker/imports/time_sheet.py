"""Files of time entries."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import cast

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.imports.exceptions import Unfit
from timetracker.imports.names import Clients, People, Projects, Tasks
from timetracker.imports.options import Options
from timetracker.imports.sheets import Cells, Sheet
from timetracker.imports.spool import Row, Spool
from timetracker.imports.values import LONGEST, Point, moments_at, read_length, read_point, read_seconds, read_yes
from timetracker.tracking.models import TimeEntry

__all__ = ["TimeSheet"]

_MOST_NOTE, _MOST_TAGS = 20_000, 200
# Seconds by which hours may differ from start and end without a break being meant: other programs round both.
_ROUNDING = 60
_CLOSED = "The project is not active or its client is archived, so it takes no new time. Open it for the import, or leave the row out."
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)


class TimeSheet(Sheet):
    """Time entries that have ended. One that has the person, project, start, end and note of an entry that is here is that entry."""

    def __init__(self, options: Options, user: User, spool: Spool) -> None:
        """Read what the names of the file can mean."""
        super().__init__(options, user, spool)
        self._people = People()
        self._clients = Clients(creates=options.creates)
        self._projects = Projects(self._clients, creates=options.creates)
        self._tasks = Tasks(creates=options.creates)
        self._may_others = user.has_perm(ALL_ENTRIES)
        self._begins_at = time.fromisoformat(options.begins_at)
        self._zone = options.place
        self._ids: dict[str, dict[int, int]] = {}
        self._whose: set[int] = set()

    # --- reading ------------------------------------------------------------------------------------------------------

    def keep(self, cells: Cells) -> None:
        """Understand every cell, so that all that is wrong is told at once."""
        person = self._person(cells)
        project = self._project(cells)
        task = cells.read("task", lambda name: self._tasks.find(project, name)) if project is not None else None
        span = self._span(cells)
        note, tags = cells["note"].replace("\r\n", "\n"), _tags(cells["tags"])
        if len(note) > _MOST_NOTE:
            cells.fault("note", f"A note has {_MOST_NOTE:,} characters at most, and this has {len(note):,}. Shorten it.")
        if len(tags) > _MOST_TAGS:
            cells.fault("tags", f"All tags together have {_MOST_TAGS} characters at most. Shorten them.")
        is_known = project is not None and self._projects.is_billable(project)
        billable = cells.read("billable", read_yes) if cells["billable"] else is_known
        if cells.faults or person is None or project is None or span is None:
            return
        start, end, pause = span
        data = [person, start, end, pause, project, task, note, tags, billable]
        self.unique(cells, Row(cells.line, _key(person, start, end, project, note), data), major=person, minor=start)

    def _person(self, cells: Cells) -> int | None:
        if "person" not in self.options.columns:
            return self.user.pk
        if not cells["person"]:
            cells.fault("person", "Nobody is named. Write a username, or leave the column out if all of it is your own time.")
            return None
        if not self._may_others and not self._people.calls(self.user.pk, cells["person"]):
            # The same of a name that nobody has: a file is no way to ask who is here.
            cells.fault("person", "You may import your own time only. Ask somebody who sees everybody's time.")
            return None
        return cells.read("person", self._people.find)

    def _project(self, cells: Cells) -> int | None:
        client, name, code = cells["client"], cells["project"], cells["project_code"]
        field = "project_code" if code or "project" not in self.options.columns else "project"
        if not name and not code:
            cells.fault(field, "No project is named. Write its name or its code.")
            return None
        if client and not self.options.creates and client not in self._clients:
            cells.read("client", self._clients.find)
            return None
        return cells.read(field, lambda _: self._projects.find(client=client, name=name, code=code))

    def _span(self, cells: Cells) -> tuple[int, int, int] | None:
        """Start and end as seconds since 1970, and the break in seconds."""
        order = self.options.dates
        names = [name for name in ("date", "start", "end_date", "end") if cells[name]]
        points = {name: cells.read(name, lambda text: read_point(text, order)) for name in names}
        if cells["seconds"]:
            worked = cells.read("seconds", read_seconds)
        else:
            worked = cells.read("hours", lambda text: read_length(text, self.options.decimal))
        pause = cells.read("break", read_seconds)
        if cells.faults:
            return None
        try:
            return self._understood(cells, points, worked, pause)
        except _Wrong as error:
            cells.fault(error.field, str(error))
            return None

    def _understood(self, cells: Cells, points: dict[str, Point | None], worked: int | None, pause: int | None) -> tuple[int, int, int]:
        start, end = points.get("start"), points.get("end")
        day = (start and start.day) or _day(points.get("date"))
        if day is None:
            raise _Wrong(
                "start" if "start" in self.options.columns else "date", "The day is missing. Write date and time: 2026-11-23 14:05."
            )
        clock = (start and start.clock) or self._begins_at
        starts = self._moments("start" if start else "date", start or Point(day), day, clock)
        if end is None or end.clock is None:
            # Beside ends, a length alone is what a timer that runs has come to so far.
            if worked is None or ("end" in self.options.columns and start and start.clock):
                raise _Wrong("end", "There is no end, so this is a timer that still runs. Stop it there, or leave the row out.")
            return self._ended(starts[0], starts[0] + timedelta(seconds=worked + (pause or 0)), worked, pause)
        end_day = end.day or _day(points.get("end_date"))
        ends = self._moments("end", end, end_day or day, end.clock)
        if end_day is None and ends[-1] <= starts[0]:
            # A clock time alone, over midnight.
            ends = self._moments("end", end, day + _DAY, end.clock)
        # Of times that clocks show twice: the first two that fit each other, by the length where there is one.
        pairs = [(first, last) for first in starts for last in ends if last > first]
        if not pairs:
            raise _Wrong("end", "The end is not after the start. Mend one of them.")
        exact = [pair for pair in pairs if worked is not None and (pair[1] - pair[0]) // _SECOND == worked + (pause or 0)]
        return self._ended(*(exact or pairs)[0], worked, pause)

    def _moments(self, field: str, point: Point, day: date, clock: time) -> list[datetime]:
        """The points in time (UTC) that ``point`` can be: with an offset the one, else as clocks of the file's time zone show it."""
        if point.is_next_day:
            day += _DAY
        if point.offset is not None:
            return [datetime.combine(day, clock, point.offset).astimezone(UTC)]
        found = moments_at(day, clock, self._zone)
        if not found:
            raise _Wrong(field, f"Clocks in {self._zone.key} were put forward over this time. Mend it, or choose another time zone.")
        return found

    def _ended(self, start: datetime, end: datetime, worked: int | None, pause: int | None) -> tuple[int, int, int]:
        span = (end - start) // _SECOND
        if pause is None:
            pause = 0 if worked is None else span - worked
            if abs(pause) < _ROUNDING and "seconds" not in self.options.columns:
                pause = 0
        length = "seconds" if "seconds" in self.options.columns else "hours"
        if pause < 0:
            raise _Wrong(length, "This is longer than from start to end. Mend one of them.")
        if span <= 0:
            raise _Wrong(length, "This is no time at all. Write how long it took, or leave the row out.")
        if span > LONGEST:
            raise _Wrong(length if worked else "end", "This is longer than a year. Look at the dates.")
        if pause > span:
            raise _Wrong("break", "The break is longer than the entry. Mend one of them.")
        return int(start.timestamp()), int(end.timestamp()), pause

    # --- comparing and writing ----------------------------------------------------------------------------------------

    def look(self) -> None:
        """Entries are looked for as the rows come."""

    def prepare(self) -> None:
        """Make the clients, projects and tasks that are missing."""
        clients = self._clients.make()
        projects = self._projects.make(clients)
        self._ids = {"project": projects, "task": self._tasks.make(projects)}

    def new(self, rows: list[Row]) -> list[Row]:
        """Those that are no entry yet; where the project takes no new time, that is a fault."""
        known, found = self._known(rows), []
        for row in rows:
            if row.key in known:
                continue
            if self._projects.takes_time(row.data[4]):
                found.append(row)
            else:
                self.spool.complain(row.line, "", "", _CLOSED)
        return found

    def insert(self, rows: list[Row]) -> None:
        """Write entries, which say that they come from an import."""
        projects, tasks = self._ids["project"], self._ids["task"]
        TimeEntry.objects.bulk_create(
            TimeEntry(
                user_id=person,
                project_id=projects.get(project, project),
                task_id=tasks.get(task, task),
                started_at=datetime.fromtimestamp(start, UTC),
                ended_at=datetime.fromtimestamp(end, UTC),
                break_seconds=pause,
                notes=note,
                tags=tags,
                billable=billable,
                source=TimeEntry.Source.IMPORT,
            )
            for person, start, end, pause, project, task, note, tags, billable in (row.data for row in rows)
        )

    def tell(self, rows: list[Row]) -> None:
        """Hours, days and people; and what is made."""
        counts = self.counts
        for row in rows:
            person, start, end, pause = row.data[:4]
            counts.seconds += end - start - pause
            self._whose.add(person)
        if rows:
            days = [datetime.fromtimestamp(row.data[1], self._zone).date().isoformat() for row in rows]
            counts.first = min(days) if not counts.first else min(counts.first, *days)
            counts.last = max(counts.last, *days)
        counts.people = len(self._whose)
        for kind, names in (("client", self._clients.new), ("project", self._projects.new), ("task", self._tasks.new)):
            counts.making(kind, names)

    def _known(self, rows: list[Row]) -> set[str]:
        """The keys of ``rows`` that are entries here. They come by person and start, so each entry is looked at about once."""
        wanted = {row.key for row in rows}
        windows: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            windows[row.data[0]].append(row.data[1])
        found = set()
        for person, starts in windows.items():
            since, until = datetime.fromtimestamp(min(starts), UTC), datetime.fromtimestamp(max(starts) + 1, UTC)
            entries = TimeEntry.objects.filter(user=person, started_at__gte=since, started_at__lt=until, ended_at__isnull=False).order_by()
            columns = entries.values_list("started_at", "ended_at", "project", "notes")
            for start, end, project, note in cast(Iterator[tuple[datetime, datetime, int, str]], columns.iterator()):
                key = _key(person, int(start.timestamp()), int(end.timestamp()), project, note.replace("\r\n", "\n").strip())
                if key in wanted:
                    found.add(key)
        return found


class _Wrong(Unfit):
    """What is wrong with this field."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def _key(person: int, start: int, end: int, project: int, note: str) -> str:
    """What tells an entry from all others, in 32 characters."""
    return hashlib.blake2b(f"{person} {start} {end} {project} {note}".encode(), digest_size=16).hexdigest()


def _day(point: Point | None) -> date | None:
    return point.day if point else None


def _tags(text: str) -> str:
    """The tags in the form that entries have them in."""
    return ", ".join(dict.fromkeys(filter(None, (part.strip() for part in text.split(",")))))
