"""The time that the agency's people spent: a stream of rows, and the hours that invoices bill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from random import Random

from timetracker.billing.models import InvoiceItem
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.demo import words
from timetracker.tracking.demo.agency import Agency, DemoProject
from timetracker.tracking.demo.calendar import MONTHS, midnight_in_utc_seconds, month_after
from timetracker.tracking.demo.tables import Ids, Value
from timetracker.tracking.durations import rounded_seconds
from timetracker.tracking.models import TimeEntry

__all__ = ["ENTRY_FIELDS", "BilledHours", "entry_rows", "open_month"]

ENTRY_FIELDS = (
    "id",
    "created_at",
    "updated_at",
    "user_id",
    "project_id",
    "task_id",
    "started_at",
    "ended_at",
    "break_seconds",
    "notes",
    "tags",
    "billable",
    "source",
    "invoice_item_id",
)

# The place of the person whose timer still runs.
_RUNNER = 2
_FIVE_MINUTES = 300


@dataclass
class BilledHours:
    """Filled while the rows are made: the item and the rounded seconds of each (project's id, month, user's id or 0).

    A user has an item of her own where she has an agreed rate. Months before ``open_month`` have been invoiced.
    """

    site: SiteSettings
    open_month: int
    ids: Ids
    items: dict[tuple[int, int, int], list[int]] = field(default_factory=dict)

    def bill(self, demo: DemoProject, month: int, user_id: int, seconds: int) -> int:
        """Count ``seconds`` on the item of the project, and return the item's id."""
        key = (demo.project.id, month, user_id if user_id in demo.rates else 0)
        item = self.items.get(key)
        if item is None:
            item = self.items[key] = [self.ids.take(InvoiceItem), 0]
        item[1] += rounded_seconds(seconds, minutes=self.site.rounding_minutes, direction=self.site.rounding_direction)
        return item[0]

    def hours(self, key: tuple[int, int, int]) -> Decimal:
        """Return the hours of an item, with two places."""
        return (Decimal(self.items[key][1]) / 3600).quantize(Decimal("0.01"))


def entry_rows(
    *, seed: int, entries: int, days: Sequence[date], agency: Agency, billed: BilledHours, ids: Ids
) -> Iterator[Sequence[Value]]:
    """Yield exactly ``entries`` rows in the order of the days, with the values of :data:`ENTRY_FIELDS`; the last one still runs."""
    if entries == 0:
        return
    random = Random(f"{seed}/entries")  # noqa: S311 (invented data)
    absences = [_absences(random, len(days), agency.months) for _ in agency.users]
    absences[_RUNNER].add(len(days) - 1)
    present = sum(len(days) - len(absent) for absent in absences)
    wanted, made, turn = entries - 1, 0, 0
    teams: list[list[list[int]]] = []
    for number, day in enumerate(days):
        month = (day.year - days[0].year) * 12 + day.month - days[0].month
        if month == len(teams):
            teams.append(_teams(random, agency, month))
        offsets = {zone: midnight_in_utc_seconds(day, zone) for zone in set(words.TIME_ZONES)}
        for person, user in enumerate(agency.users):
            if number in absences[person]:
                continue
            turn += 1
            # Busy and quiet days differ, and the sum comes out even at the end.
            swing = 0.0 if turn == present else (random.random() - 0.5) * 3
            count = max(0, min(wanted, round(wanted * turn / present + swing)) - made)
            made += count
            team = [agency.projects[place] for place in teams[month][person]]
            yield from _day(random, day.isoformat(), offsets[user.time_zone], user.id, month, team, count, billed, ids)
    runner, place = agency.users[_RUNNER], teams[-1][_RUNNER][0]
    demo = agency.projects[place]
    began = _moment(days[-1].isoformat(), 16 * 3600 + 42 * 60 + 11 + midnight_in_utc_seconds(days[-1], runner.time_zone))
    yield (
        *(ids.take(TimeEntry), began, began, runner.id, demo.project.id, demo.task_ids[0], began, None),
        *(0, demo.kind.notes[0], "", demo.project.billable, "timer", None),
    )


def _absences(random: Random, days: int, months: int) -> set[int]:
    """Return the places of the days off: in eighteen months seven weeks, and eight single days of illness."""
    absent: set[int] = set()
    for _ in range(7 * months // MONTHS):
        week = random.randrange(days // 5 + 1) * 5
        absent.update(range(week, min(week + 5, days)))
    absent.update(random.randrange(days) for _ in range(8 * months // MONTHS))
    return absent


def _teams(random: Random, agency: Agency, month: int) -> list[list[int]]:
    """Return for each person the places of three to five projects of this month, the main one first, internal work last."""
    running = [place for place, demo in enumerate(agency.projects) if place and demo.from_month <= month < demo.to_month]
    per_person = len(running) // max(1, len(agency.users)) + 1
    teams = []
    for person in range(len(agency.users)):
        # Each project has somebody, then chance fills up.
        own = [running[(person * per_person + step) % len(running)] for step in range(per_person)]
        own += random.sample(running, min(2, len(running)))
        teams.append([*dict.fromkeys(own), 0])
    return teams


def _day(
    random: Random,
    day: str,
    offset: int,
    user_id: int,
    month: int,
    team: list[DemoProject],
    count: int,
    billed: BilledHours,
    ids: Ids,
) -> Iterator[Sequence[Value]]:
    """Yield one person's entries of one day: from the morning on, one after the other, with a break at noon."""
    if count == 0:
        return
    chance = random.random
    begins = 8 * 3600 + int(chance() * 18) * _FIVE_MINUTES
    slots = min(96, 30 * count + int(chance() * 12)) if count < 3 else 84 + int(chance() * 12)
    slots = max(slots, count)
    cuts = [0, *sorted(random.sample(range(1, slots), count - 1)), slots]
    paused = False
    for number in range(count):
        start = begins + cuts[number] * _FIVE_MINUTES
        end = begins + cuts[number + 1] * _FIVE_MINUTES
        pause = 0
        if not paused and end > 12 * 3600:
            # Half an hour or more at noon: within a long entry, else before the next.
            paused = True
            length = (6 + int(chance() * 6)) * _FIVE_MINUTES
            if end - start > 3 * length:
                pause = length
            else:
                begins += length
        timer = chance() < 0.7
        if timer:
            start += int(chance() * 90)
            end -= int(chance() * 120)
        demo = team[int(chance() * chance() * len(team))] if chance() > 0.06 else team[-1]
        billable = demo.project.billable and chance() > 0.05
        # A few hours come in after the invoice: they wait for the next one.
        item = None
        if billable and month < billed.open_month and chance() > 0.02:
            item = billed.bill(demo, month, user_id, end - start - pause)
        notes = demo.kind.notes
        note = notes[int(chance() * len(notes))] if chance() < 0.9 else ""
        if note and chance() < 0.3:
            note = f"{note} (#{100 + int(chance() * 9900)})"
        started, ended = _moment(day, start + offset), _moment(day, end + offset)
        yield (
            ids.take(TimeEntry),
            started if timer else ended,
            ended,
            user_id,
            demo.project.id,
            demo.task_ids[int(chance() * len(demo.task_ids))] if chance() < 0.75 else None,
            started,
            ended,
            pause,
            note,
            words.TAGS[int(chance() * len(words.TAGS))],
            billable,
            "timer" if timer else "manual",
            item,
        )


def _moment(day: str, seconds: int) -> str:
    return f"{day} {seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def open_month(days: Sequence[date], anchor_on: date) -> int:
    """Return the first month (counted from the first day's) that is not invoiced yet: invoices are written on the second."""
    months = (anchor_on.year - days[0].year) * 12 + anchor_on.month - days[0].month
    return months if anchor_on > month_after(anchor_on, 0).replace(day=2) else months - 1
