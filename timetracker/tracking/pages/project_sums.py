"""What lists show of projects: hours of this month and of all time, and what is used of the budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from django.db.models import QuerySet

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.tracking.days import month_of, today_in, zone_of
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.sums import BudgetUse, Grouping, starting_on, time_sums
from timetracker.tracking.visibility import entries_seen_by

__all__ = ["ProjectRow", "of_this_month", "project_rows", "seconds_by"]


@dataclass(frozen=True)
class ProjectRow:
    """A project with the seconds of this month and of all time that the reader sees.

    ``use`` is None for who does not see everybody's time: what others have worked could be read from it.
    """

    project: Project
    month_seconds: int
    seconds: int
    use: BudgetUse | None


def of_this_month(entries: QuerySet[TimeEntry], user: User) -> QuerySet[TimeEntry]:
    """Return those that start in this month, where ``user`` is."""
    zone = zone_of(user)
    return starting_on(entries, *month_of(today_in(zone)), zone=zone)


def seconds_by(entries: QuerySet[TimeEntry], by: Grouping) -> Counter[int]:
    """Return the seconds of each id of what ``by`` names; those of no id are left out. One query."""
    return Counter({key: sums.seconds for (key,), sums in time_sums(entries, by, money=False).items() if isinstance(key, int)})


def project_rows(projects: QuerySet[Project], user: User) -> list[ProjectRow]:
    """Return a row for each of ``projects``, in their order. Three queries, and those of permissions."""
    found = list(projects)
    entries = entries_seen_by(user).filter(project__in=[project.pk for project in found])
    month, whole = seconds_by(of_this_month(entries, user), "project"), seconds_by(entries, "project")
    sees_all = user.has_perm(ALL_ENTRIES)
    return [
        ProjectRow(each, month[each.pk], whole[each.pk], BudgetUse.of(whole[each.pk], each.budget_hours) if sees_all else None)
        for each in found
    ]
