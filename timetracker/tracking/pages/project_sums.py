"""What lists show of projects: hours of this month and of all time, and what is used of the budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.tracking.days import month_of, today_in, zone_of
from timetracker.tracking.models import Project
from timetracker.tracking.sums import BudgetUse, TimeSums, starting_on, time_sums
from timetracker.tracking.visibility import entries_seen_by

__all__ = ["ProjectRow", "project_rows", "together"]


@dataclass(frozen=True)
class ProjectRow:
    """A project with the seconds of this month and of all time that the reader sees.

    ``use`` is None for who does not see everybody's time: what others have worked could be read from it.
    """

    project: Project
    month_seconds: int
    seconds: int
    use: BudgetUse | None


def together(parts: Iterable[TimeSums]) -> TimeSums:
    """Return the sum of sums, which is that of all their entries; zeros where there are none."""
    parts = list(parts)
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    unbilled: dict[str, Decimal] = defaultdict(Decimal)
    for part in parts:
        for sums, found in ((amounts, part.amounts), (unbilled, part.unbilled_amounts)):
            for currency, amount in found.items():
                sums[currency] += amount
    return TimeSums(
        count=sum(part.count for part in parts),
        seconds=sum(part.seconds for part in parts),
        billable_seconds=sum(part.billable_seconds for part in parts),
        unbilled_seconds=sum(part.unbilled_seconds for part in parts),
        amounts=dict(sorted(amounts.items())),
        unbilled_amounts=dict(sorted(unbilled.items())),
    )


def project_rows(projects: QuerySet[Project], user: User) -> list[ProjectRow]:
    """Return a row for each of ``projects``, in their order. Three queries, and those of permissions."""
    zone = zone_of(user)
    found = list(projects)
    entries = entries_seen_by(user).filter(project__in=[project.pk for project in found])
    month = time_sums(starting_on(entries, *month_of(today_in(zone)), zone=zone), "project")
    whole = time_sums(entries, "project")
    sees_all = user.has_perm(ALL_ENTRIES)
    rows = []
    for project in found:
        key = (project.pk,)
        seconds = whole[key].seconds if key in whole else 0
        budget = None if project.budget_hours is None else int(project.budget_hours * 3600)
        use = BudgetUse(seconds, budget) if sees_all else None
        rows.append(ProjectRow(project, month[key].seconds if key in month else 0, seconds, use))
    return rows
