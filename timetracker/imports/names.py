"""What is here already, by the names that files use: people, clients, projects and tasks.

Capital letters make no difference. What is missing can be planned: it gets a number below zero, and a real one when it is made.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q

from timetracker.accounts.models import User
from timetracker.clients.models import Client
from timetracker.imports.exceptions import FileRefused, ImportStopped, Unfit
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.models import Project, Task

__all__ = ["Clients", "People", "Projects", "Tasks", "code_for", "folded"]

# How many clients, projects and tasks a file of another kind can make: beyond that the wrong column was matched.
MOST_PLANNED = 5_000
# Rows made by one statement.
_ROWS = 500

What = TypeVar("What")


def folded(name: str) -> str:
    """Return ``name`` as it is compared."""
    return " ".join(name.split()).casefold()


class People:
    """The team, with those who have left: by username, e-mail address and full name."""

    def __init__(self) -> None:
        """Read them."""
        self._by_name: dict[str, set[int]] = defaultdict(set)
        found = User.objects.filter(Q(is_staff=True) | Q(is_superuser=True)).values_list("pk", "username", "email", "full_name")
        for pk, username, *others in found:
            self._by_name[folded(username)].add(pk)
            for other in filter(None, others):
                self._by_name[folded(other)].add(pk)

    def calls(self, person: int, name: str) -> bool:
        """Whether ``name`` is one of hers."""
        return person in self._by_name.get(folded(name), ())

    def find(self, name: str) -> int:
        """Return the person's id. Raises Unfit."""
        found = self._by_name.get(folded(name), set())
        if not found:
            raise Unfit("Nobody of the team is called so. Write her username or e-mail address, or have her invited first.")
        if len(found) > 1:
            raise Unfit("Several people are called so. Write the username.")
        return next(iter(found))


class _Plan(Generic[What]):
    """Things that are made when the file is imported, with numbers from -1 down."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._whats: dict[tuple[object, ...], What] = {}
        self._numbers: dict[tuple[object, ...], int] = {}

    def number(self, key: tuple[object, ...], what: What) -> int:
        """Return the number of ``what``; the same for the same key."""
        if key not in self._numbers:
            if len(self._numbers) >= MOST_PLANNED:
                raise FileRefused(f"The file names more than {MOST_PLANNED:,} {self._kind}s that are missing. Is the right column matched?")
            self._numbers[key], self._whats[key] = -1 - len(self._numbers), what
        return self._numbers[key]

    @property
    def whats(self) -> list[What]:
        """All of them, in the order of their numbers."""
        return list(self._whats.values())

    def ids(self, made: Iterable[Model]) -> dict[int, int]:
        """Return which id each number has, of rows that were made in the order of :attr:`whats`."""
        return {-1 - place: row.pk for place, row in enumerate(made)}


class Clients:
    """All clients, by name."""

    def __init__(self, *, creates: bool) -> None:
        """Read them; ``creates``: plan those that are missing."""
        self._creates = creates
        self._ids = {folded(name): pk for pk, name in Client.objects.values_list("pk", "name")}
        self._plan: _Plan[str] = _Plan("client")

    def __contains__(self, name: str) -> bool:
        return folded(name) in self._ids

    def find(self, name: str) -> int:
        """Return the client's id or number. Raises Unfit."""
        found = self._ids.get(folded(name))
        if found is not None:
            return found
        if not self._creates:
            raise Unfit("There is no client of this name. Mend the name, make the client first, or tick that what is missing is made.")
        _check(Client, "name", name)
        return self._plan.number((folded(name),), name)

    @property
    def new(self) -> list[str]:
        """The names of those that are planned."""
        return self._plan.whats

    def make(self) -> dict[int, int]:
        """Write what is planned, and return the ids of its numbers. Raises IntegrityError where somebody has made one meanwhile."""
        currency = SiteSettings.load().currency
        rows = [Client(name=name, currency=currency) for name in self._plan.whats]
        return self._plan.ids(Client.objects.bulk_create(rows, batch_size=_ROWS))


@dataclass(frozen=True)
class _Project:
    pk: int
    code: str
    client: int
    takes_time: bool
    billable: bool


class Projects:
    """All projects, by code, and by client and name."""

    def __init__(self, clients: Clients, *, creates: bool) -> None:
        """Read them; ``creates``: plan those that are missing."""
        self._clients, self._creates = clients, creates
        self._by_id: dict[int, _Project] = {}
        self._by_code: dict[str, list[_Project]] = defaultdict(list)
        self._by_name: dict[str, list[_Project]] = defaultdict(list)
        found = Project.objects.values_list("pk", "code", "name", "client", "status", "client__active", "billable")
        for pk, code, name, client, status, is_active, billable in found:
            project = _Project(pk, code, client, status == Project.Status.ACTIVE and is_active, billable)
            self._by_id[pk] = project
            self._by_code[folded(code)].append(project)
            self._by_name[folded(name)].append(project)
        # The client's number and name, the project's name and code.
        self._plan: _Plan[tuple[int, str, str, str]] = _Plan("project")

    def find(self, *, client: str, name: str, code: str) -> int:
        """Return the id or number of a project, by its code where there is one, else by its name (or what stands there is a code).

        An empty ``client`` says nothing. Raises Unfit.
        """
        wanted = self._clients.find(client) if client else None
        named = self._of_code(code) if code else self._by_name.get(folded(name), [])
        fitting = [project for project in named if wanted in (None, project.client)]
        if not fitting and not code:
            named = self._of_code(name)
            fitting = [project for project in named if wanted in (None, project.client)]
        if len(fitting) == 1:
            return fitting[0].pk
        if fitting:
            raise Unfit("Several projects are called so. Match a column for the client, or one for the project code.")
        if code and named:
            raise Unfit("The project of this code is one of another client. Mend the code, or the client.")
        return self._planned(client, wanted, name, code)

    def takes_time(self, pk: int) -> bool:
        """Whether the project is active, and so is its client; a new one is."""
        return pk < 0 or self._by_id[pk].takes_time

    def is_billable(self, pk: int) -> bool:
        """Whether its time is billable; that of a new one is."""
        return pk < 0 or self._by_id[pk].billable

    @property
    def new(self) -> list[str]:
        """The names of those that are planned, each behind its client's."""
        return [f"{client}: {name}" for _, client, name, _ in self._plan.whats]

    def make(self, clients: dict[int, int]) -> dict[int, int]:
        """Write what is planned, for the clients that were made, and return the ids of its numbers.

        Raises ImportStopped where somebody has made one meanwhile, and IntegrityError for a code.
        """
        found = list(Project.objects.values_list("client", "name", "code")) if self._plan.whats else []
        taken, there = {code for _, _, code in found}, {(client, folded(name)) for client, name, _ in found}
        rows = []
        for client, _, name, code in self._plan.whats:
            _refuse(not code and (client, folded(name)) in there, "project", name)
            code = code or code_for(name, taken)
            taken.add(code)
            rows.append(Project(client_id=clients.get(client, client), name=name, code=code))
        return self._plan.ids(Project.objects.bulk_create(rows, batch_size=_ROWS))

    def _of_code(self, code: str) -> list[_Project]:
        """Those of this code; where capital letters tell several apart, the one."""
        found = self._by_code.get(folded(code), [])
        return [project for project in found if project.code == code] or found

    def _planned(self, client: str, wanted: int | None, name: str, code: str) -> int:
        if not self._creates:
            raise Unfit("There is no such project. Mend its name, make the project first, or tick that what is missing is made.")
        if wanted is None or not name:
            raise Unfit("There is no such project, and it can be made only where the row names its client and itself. Write both.")
        _check(Project, "name", name)
        if code:
            _check(Project, "code", code)
        return self._plan.number((code,) if code else (wanted, folded(name)), (wanted, client, name, code))


class Tasks:
    """All tasks, by project and name; of those with one name in one project the first."""

    def __init__(self, *, creates: bool) -> None:
        """Read them; ``creates``: plan those that are missing."""
        self._creates = creates
        self._ids: dict[tuple[int, str], int] = {}
        for pk, project, name in Task.objects.order_by("pk").values_list("pk", "project", "name").iterator():
            self._ids.setdefault((project, folded(name)), pk)
        self._plan: _Plan[tuple[int, str]] = _Plan("task")

    def find(self, project: int, name: str) -> int:
        """Return the id or number of a task of ``project`` (an id or number). Raises Unfit."""
        found = self._ids.get((project, folded(name)))
        if found is not None:
            return found
        if not self._creates:
            raise Unfit("The project has no such task. Mend its name, make the task first, or tick that what is missing is made.")
        _check(Task, "name", name)
        return self._plan.number((project, folded(name)), (project, name))

    @property
    def new(self) -> list[str]:
        """The names of those that are planned."""
        return [name for _, name in self._plan.whats]

    def make(self, projects: dict[int, int]) -> dict[int, int]:
        """Write what is planned, for the projects that were made, and return the ids of its numbers. Raises ImportStopped."""
        there = {(project, folded(name)) for project, name in Task.objects.values_list("project", "name")} if self._plan.whats else set()
        for project, name in self._plan.whats:
            _refuse((project, folded(name)) in there, "task", name)
        rows = [Task(project_id=projects.get(project, project), name=name) for project, name in self._plan.whats]
        return self._plan.ids(Task.objects.bulk_create(rows, batch_size=_ROWS))


def code_for(name: str, taken: Container[str]) -> str:
    """Return a code of a project that is called so, which is not ``taken``: ``Büro & Lager`` has BURO-LAGER, the next one BURO-LAGER-2."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper()
    stem = "-".join(re.findall("[A-Z0-9]+", letters))[:15].rstrip("-") or "PROJECT"
    return next(code for number in count(1) if (code := stem if number == 1 else f"{stem}-{number}") not in taken)


def _refuse(is_there: bool, kind: str, name: str) -> None:
    if is_there:
        raise ImportStopped(f"Somebody has added the {kind} “{name}” since the file was read. Nothing was imported: check the file again.")


def _check(model: type[Model], field: str, value: str) -> None:
    """Raise Unfit unless ``field`` can hold ``value``."""
    try:
        cast("Field[Any, Any]", model._meta.get_field(field)).run_validators(value)
    except ValidationError as error:
        raise Unfit(" ".join(error.messages)) from error
