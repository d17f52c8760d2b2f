"""What the rows of a report are called: clients, projects, people, tasks and dates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from django.db.models import Exists, OuterRef, Q

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.tracking.models import Project, Task
from timetracker.tracking.report_dates import period_last
from timetracker.tracking.sums import Grouping
from timetracker.tracking.visibility import entries_seen_by

__all__ = ["NAME_COLUMNS", "ReportNames", "report_names"]

# What the parts of a name are, for a table of them.
NAME_COLUMNS: dict[Grouping, tuple[str, ...]] = {
    "client": ("Client",),
    "project": ("Client", "Project"),
    "person": ("Person",),
    "task": ("Project", "Task"),
    "day": ("Day",),
    "week": ("Week from",),
    "month": ("Month",),
}


@dataclass
class ReportNames:
    """Names by id, of all that may occur in the reports of one reader. ``projects`` are in the order of their clients and codes."""

    projects: dict[int, str]
    client_of: dict[int, int]
    clients: dict[int, str]
    people: dict[int, str]
    tasks: dict[int, tuple[int, str]] = field(default_factory=dict)

    def read_tasks(self, *, client: int | None = None, project: int | None = None) -> None:
        """Read the names of tasks, of those on one client's projects or one project alone where it is named. One query."""
        tasks = Task.objects.filter(project__in=[project]) if project is not None else Task.objects.all()
        if client is not None:
            tasks = tasks.filter(project__client=client)
        self.tasks = {pk: (of, name) for pk, of, name in tasks.order_by().values_list("pk", "project_id", "name")}

    def of(self, grouping: Grouping, key: int | date | None) -> tuple[str, ...]:
        """Return the name of a key of a report: one part for each of :data:`NAME_COLUMNS`, for people to read."""
        if isinstance(key, date):
            return (date_name(grouping, key),)
        if grouping == "project" and key is not None:
            return self._client(self.client_of.get(key)), self.projects.get(key, f"Project {key}")
        if grouping == "task":
            project, name = self.tasks.get(key or 0, (0, f"Task {key}" if key else "No task"))
            return self.projects.get(project, ""), name
        if grouping == "person" and key is not None:
            return (self.people.get(key, f"Person {key}"),)
        return (self._client(key),)

    def _client(self, key: int | None) -> str:
        return self.clients.get(key or 0, f"Client {key}")


def date_name(grouping: str, first: date) -> str:
    """Return what a period from ``first`` on is called."""
    if grouping == "year":
        return f"{first:%Y}"
    if grouping == "month":
        return f"{first:%B %Y}"
    if grouping == "week":
        last = period_last("week", first)
        return f"{first.day} {first:%b}{'' if first.year == last.year else f' {first:%Y}'} – {last.day} {last:%b %Y}"
    return f"{first:%a} {first.day} {first:%b %Y}"


def report_names(user: User) -> ReportNames:
    """Read what may occur in the reports of ``user``: of who sees her own time alone what she has worked on. Two queries."""
    projects = Project.objects.order_by("client__name", "code")
    people: Iterable[User] = [user]
    seen = entries_seen_by(user).order_by()
    if user.has_perm(ALL_ENTRIES):
        has_time = Exists(seen.filter(user=OuterRef("pk")))
        people = User.objects.filter(Q(is_staff=True) | Q(is_superuser=True) | has_time).order_by("full_name", "username")
    else:
        projects = projects.filter(pk__in=seen.values("project"))
    names = ReportNames({}, {}, {}, {person.pk: str(person) for person in people})
    for pk, code, name, client, client_name in projects.values_list("pk", "code", "name", "client_id", "client__name"):
        names.projects[pk], names.client_of[pk], names.clients[client] = f"{code} {name}", client, client_name
    return names
