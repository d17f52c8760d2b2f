"""The report: a year month by month, and each month by project, task and person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.access import PortalRequest, client_page
from portal.figures import (
    TimeSums,
    entries_of,
    first_and_last_day,
    invoiced_by_month,
    invoices_of,
    projects_of,
    sums_added,
    time_by,
    time_by_month,
)
from timetracker.accounts.models import User
from timetracker.careful_forms import FIRST_DAY, LAST_DAY
from timetracker.lists import id_of
from timetracker.tracking.bar_charts import tower_chart
from timetracker.tracking.days import month_of, today_in
from timetracker.tracking.models import Task
from timetracker.tracking.sums import starting_on

__all__ = ["month", "report"]

# Years that forms take, too.
FIRST_YEAR, LAST_YEAR = FIRST_DAY.year, LAST_DAY.year
WITHOUT_TASK = "Without a task"


@dataclass(frozen=True)
class Month:
    """A month of the report; ``invoiced`` has an amount or None for each currency of the year, in their order."""

    first: date
    sums: TimeSums
    invoiced: tuple[Decimal | None, ...]


@dataclass(frozen=True)
class Line:
    """A line of a month's table: a project, or one of its tasks (``inner``), or a person."""

    name: str
    sums: TimeSums
    inner: tuple[Line, ...] = ()
    pk: int | None = None


@require_safe
@client_page("portal_shows_time")
def report(request: PortalRequest) -> HttpResponse:
    """A year, month by month: hours, and what was invoiced. Without a year, this one or the last with anything."""
    client, zone = request.client, request.zone
    ends = first_and_last_day(client, zone=zone)
    today = today_in(zone)
    years = list(range(max(ends[0].year, FIRST_YEAR), min(ends[1].year, LAST_YEAR) + 1)) if ends else [today.year]
    asked = id_of(request.GET.get("year"))
    year = asked if asked in years else min(years[-1], max(today.year, years[0]))
    sums = time_by_month(entries_of(client), client, year, zone=zone)
    invoiced = invoiced_by_month(client, year)
    currencies = sorted({currency for amounts in invoiced.values() for currency in amounts})
    months = [
        Month(date(year, number, 1), sums.get(number, TimeSums()), tuple(invoiced.get(number, {}).get(currency) for currency in currencies))
        for number in range(1, 13)
    ]
    context: dict[str, Any] = {
        "active": "report",
        "year": year,
        "previous": year - 1 if year - 1 in years else None,
        "following": year + 1 if year + 1 in years else None,
        "months": months,
        "currencies": currencies,
        "total": sums_added(sums.values()),
        "invoiced": [sum((row.invoiced[place] or Decimal(0) for row in months), Decimal(0)) for place in range(len(currencies))],
        "chart": tower_chart([(f"{row.first:%b}", f"{row.first:%B %Y}", row.sums.seconds, row.sums.billable_seconds) for row in months]),
    }
    return render(request, "portal/report.html", context)


@require_safe
@client_page("portal_shows_time")
def month(request: PortalRequest, year: int, number: int) -> HttpResponse:
    """One month: hours by project and task, by person where names are shown, and what was invoiced. 404 for no month."""
    if not (FIRST_YEAR <= year <= LAST_YEAR and 1 <= number <= 12):
        raise Http404("There is no such month.")
    client = request.client
    first, last = month_of(date(year, number, 1))
    entries = starting_on(entries_of(client), first, last, zone=request.zone)
    by_task = time_by(entries, client, "project_id", "task_id")
    context: dict[str, Any] = {
        "active": "report",
        "first": first,
        "last": last,
        "previous": _neighbour(year, number - 1),
        "following": _neighbour(year, number + 1),
        "total": sums_added(by_task.values()),
        "projects": _projects(request, by_task),
    }
    if client.portal_shows_people:
        by_person = time_by(entries, client, "user_id")
        people = User.objects.in_bulk([person for (person,) in by_person])
        context["people"] = _longest_first(Line(str(people[person]), sums, pk=person) for (person,), sums in by_person.items())
    if client.portal_shows_invoices:
        context["invoices"] = invoices_of(client).filter(issued_on__range=(first, last))
    return render(request, "portal/month.html", context)


def _projects(request: PortalRequest, by_task: dict[tuple[Any, ...], TimeSums]) -> list[Line]:
    """A line for each project, with those of its tasks."""
    names = dict(projects_of(request.client).values_list("pk", "name"))
    tasks = dict(
        Task.objects.filter(project__client=request.client, pk__in=[task for _, task in by_task if task]).values_list("pk", "name")
    )
    lines = []
    for project in {project for project, _ in by_task}:
        own = {task: sums for (of, task), sums in by_task.items() if of == project}
        inner = _longest_first(Line(tasks.get(task, WITHOUT_TASK), sums) for task, sums in own.items())
        lines.append(Line(names[project], sums_added(own.values()), () if set(own) == {None} else tuple(inner), pk=project))
    return _longest_first(lines)


def _longest_first(lines: Iterable[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: (-line.sums.seconds, line.name))


def _neighbour(year: int, number: int) -> date | None:
    """The first day of the month before or after; None beyond the years that there are."""
    year, number = year + (number - 1) // 12, (number - 1) % 12 + 1
    return date(year, number, 1) if FIRST_YEAR <= year <= LAST_YEAR else None
