"""The lines of an invoice that bill time: entries brought together as wished, always by project and by rate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Max, Min, QuerySet, Sum, TextChoices

from timetracker.accounts.models import User
from timetracker.billing.models import InvoiceItem
from timetracker.billing.totals import cents
from timetracker.billing.unbilled import priced
from timetracker.money import to_cents
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.days import day_bounds
from timetracker.tracking.local_dates import local_period
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.sums import first_and_last_start

__all__ = ["Grouping", "TimeLine", "days_said", "entries_of_line", "time_lines"]

_LONGEST = InvoiceItem._meta.get_field("description").max_length or 0
_NOTHING, _LEAST = Decimal(0), Decimal("0.01")


class Grouping(TextChoices):
    """What has a line of its own."""

    PROJECT = "project", "Each project"
    TASK = "task", "Each task"
    PERSON = "person", "Each person"
    DAY = "day", "Each day"
    ENTRY = "entry", "Each entry"


# By what its entries are brought together, besides project and rate.
_KEYS = {
    Grouping.PROJECT: (),
    Grouping.TASK: ("task_id", "task__name"),
    Grouping.PERSON: ("user_id",),
    Grouping.DAY: ("day",),
    Grouping.ENTRY: ("pk", "task__name", "notes"),
}


@dataclass(frozen=True)
class TimeLine:
    """A line to be: ``entries`` of a project, their ``hours`` (two places) at ``unit_price``.

    No line is of no hours: where rounding leaves none it is one hundredth of an hour, for nothing. ``key`` finds its entries.
    """

    description: str
    project_id: int
    entries: int
    hours: Decimal
    unit_price: Decimal
    key: dict[str, Any]

    @property
    def amount(self) -> Decimal:
        """Hours times price, rounded to cents as that of an item."""
        return to_cents(self.hours * self.unit_price)


def time_lines(entries: QuerySet[TimeEntry], grouping: Grouping, *, site: SiteSettings, zone: ZoneInfo) -> list[TimeLine]:
    """Return the lines that would bill ``entries``, which all have rates, by project and then in order. Days are those of ``zone``."""
    ends = first_and_last_start(entries)
    if ends is None:
        return []
    found = priced(entries, site)
    if grouping is Grouping.DAY:
        found = found.annotate(day=local_period("started_at", "day", zone=zone, since=ends[0], until=ends[1]))
    rows = found.values("project_id", "price_cents", *_KEYS[grouping], code=F("project__code"), name=F("project__name")).annotate(
        count=Count("pk"), seconds=Sum("billed_seconds"), first=Min("started_at"), last=Max("started_at")
    )
    people = User.objects.in_bulk({row["user_id"] for row in rows}) if grouping is Grouping.PERSON else {}
    lines = [(_place(row, grouping, people), _line(row, grouping, people, zone)) for row in rows]
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


def entries_of_line(line: TimeLine, entries: QuerySet[TimeEntry], *, site: SiteSettings) -> QuerySet[Any]:
    """Return those of ``entries`` that ``line`` bills."""
    return priced(entries, site).filter(**line.key)


def _place(row: dict[str, Any], grouping: Grouping, people: dict[int, User]) -> tuple[Any, ...]:
    words = {
        Grouping.PROJECT: "",
        Grouping.TASK: row.get("task__name") or "",
        Grouping.PERSON: str(people.get(row.get("user_id", 0), "")),
    }.get(grouping, "")
    # Within a day or a word, the first first; entries follow each other.
    return (row["code"], words, row["first"], row["price_cents"])


def _line(row: dict[str, Any], grouping: Grouping, people: dict[int, User], zone: ZoneInfo) -> TimeLine:
    first, last = row["first"].astimezone(zone).date(), row["last"].astimezone(zone).date()
    key: dict[str, Any] = {"project_id": row["project_id"], "price_cents": int(row["price_cents"])}
    name = row["name"]
    if grouping is Grouping.PROJECT:
        description = f"{name}, {days_said(first, last)}"
    elif grouping is Grouping.TASK:
        key |= {"task_id": row["task_id"]} if row["task_id"] else {"task_id__isnull": True}
        description = f"{name}: {row['task__name']}, {days_said(first, last)}" if row["task__name"] else f"{name}, {days_said(first, last)}"
    elif grouping is Grouping.PERSON:
        key["user_id"] = row["user_id"]
        description = f"{name}: {people[row['user_id']]}, {days_said(first, last)}"
    elif grouping is Grouping.DAY:
        start, end = day_bounds(first, zone)
        key |= {"started_at__gte": start, "started_at__lt": end}
        description = f"{days_said(first, first)}, {name}"
    else:
        key["pk"] = row["pk"]
        words = " – ".join(part for part in (row["task__name"], " ".join(row["notes"].split())) if part)
        description = f"{days_said(first, first)}, {name}" + (f": {words}" if words else "")
    if len(description) > _LONGEST:
        description = f"{description[: _LONGEST - 1]}…"
    hours = to_cents(Decimal(int(row["seconds"])) / 3600)
    price = cents(row["price_cents"]) if hours else _NOTHING
    return TimeLine(description, row["project_id"], row["count"], hours or _LEAST, price, key)


def days_said(first: date, last: date) -> str:
    """Write a span of days: ``2–28 March 2025``."""
    if first == last:
        return f"{first.day} {first:%B %Y}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{last.day} {last:%B %Y}"
    if first.year == last.year:
        return f"{first.day} {first:%B} – {last.day} {last:%B %Y}"
    return f"{first.day} {first:%B %Y} – {last.day} {last:%B %Y}"
