"""What is in an export: the sections of ``timetracker-data/1``, and their rows.

``everything`` holds whole rows. One's own data holds what she has entered, and of clients, projects and tasks only what that
names; of amounts, those of her own expenses, and rates where she may see money.

Accounts are an allow-list, so that no secret slips in; so is all of one's own data. Of other tables every field is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from django.db.models import Field, FileField, Model, Q, QuerySet

from timetracker.accounts.models import User
from timetracker.accounts.roles import MONEY, Role
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.clients.models import Client, Document
from timetracker.exports.models import Export
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

__all__ = ["FORMAT", "Row", "Section", "StoredFile", "fields_of", "member_of", "sections_for"]

FORMAT = "timetracker-data/1"

Row = dict[str, Any]

# Of an account. Its password, its rights beyond the role, and when it last logged in stay here.
_PERSON = ("username", "full_name", "email", "time_zone", "weekly_hours", "currency", "date_joined", "is_active", "is_staff")
_PERSON_MONEY = ("hourly_rate",)
# What stays here of every table: when a row was made and changed is that of this site's row.
_KEPT_HERE = {"id", "created_at", "updated_at"}
# Rows read at once.
_ROWS = 2000


class StoredFile(NamedTuple):
    """A file that a row names: where it is in the ZIP, and in the default storage."""

    member: str
    name: str


class Section(NamedTuple):
    """A list of the JSON. ``inner`` are lists within each of its rows: key, rows in the order of their parent, its foreign key, fields."""

    name: str
    found: QuerySet[Any]
    fields: tuple[str, ...]
    inner: tuple[tuple[str, QuerySet[Any], str, tuple[str, ...]], ...] = ()

    def rows(self, missing: frozenset[str]) -> Iterator[Row]:
        """Yield the rows, ready for JSON; of files that are ``missing`` in the storage (members) it says so."""
        read = _reader(self.found, self.fields, self.name, missing)
        within = {key: _Within(rows, parent, fields) for key, rows, parent, fields in self.inner}
        columns = [_column(self.found.model, name) for name in self.fields]
        for pk, *values in self.found.values_list("pk", *columns).iterator(chunk_size=_ROWS):
            yield {**read(pk, values), **{key: inner.of(pk) for key, inner in within.items()}}

    def files(self) -> Iterator[StoredFile]:
        """Yield the files that the rows name."""
        for name, rows in self._with_files():
            for pk, stored in rows.values_list("pk", name).iterator(chunk_size=_ROWS):
                yield StoredFile(member_of(self.name, pk, stored), stored)

    def count_files(self) -> int:
        """Return how many files that is."""
        return sum(rows.count() for _, rows in self._with_files())

    def _with_files(self) -> Iterator[tuple[str, QuerySet[Any]]]:
        for name in self.fields:
            if isinstance(self.found.model._meta.get_field(name), FileField):
                yield name, self.found.exclude(**{name: ""})


class _Within:
    """Rows that belong to others, taken by one after the other in the order of those."""

    def __init__(self, rows: QuerySet[Any], parent: str, fields: tuple[str, ...]) -> None:
        read = _reader(rows, fields, "", frozenset())
        columns = [_column(rows.model, name) for name in fields]
        found = rows.values_list(f"{parent}_id", "pk", *columns).iterator(chunk_size=_ROWS)
        self._groups = groupby(((owner, read(pk, values)) for owner, pk, *values in found), key=lambda pair: pair[0])
        self._next = next(self._groups, None)

    def of(self, owner: int) -> list[Row]:
        if self._next is None or self._next[0] != owner:
            return []
        rows = [row for _, row in self._next[1]]
        self._next = next(self._groups, None)
        return rows


def sections_for(user: User, scope: str) -> list[Section]:
    """Return the sections of an export for ``user``, in the order in which one names rows of those before it."""
    return _everything() if scope == Export.Scope.EVERYTHING else _own(user)


def fields_of(model: type[Model]) -> tuple[str, ...]:
    """Return the names of all fields of a table that everything holds, but for the id."""
    if model is User:
        return (*_PERSON, *_PERSON_MONEY)
    return tuple(field.name for field in model._meta.concrete_fields if field.name not in _KEPT_HERE)


def member_of(section: str, pk: int, stored: str) -> str:
    """Return the place in the ZIP of a file of the storage."""
    return f"files/{section}/{pk}/{PurePosixPath(stored).name}"


def _everything() -> list[Section]:
    worked = Q(is_staff=True) | Q(is_superuser=True) | Q(time_entries__isnull=False) | Q(expenses__isnull=False)
    # The people of clients are the portal's, which invites them.
    people = User.objects.filter(pk__in=User.objects.filter(worked).values("pk")).order_by("pk")
    items, payments = InvoiceItem.objects.order_by("invoice_id", "position", "id"), Payment.objects.order_by("invoice_id", "id")
    return [
        Section("people", people, fields_of(User)),
        Section("clients", Client.objects.order_by("pk"), fields_of(Client)),
        Section("projects", Project.objects.order_by("pk"), fields_of(Project)),
        Section("project_rates", ProjectRate.objects.order_by("pk"), fields_of(ProjectRate)),
        Section("tasks", Task.objects.order_by("pk"), fields_of(Task)),
        Section("documents", Document.objects.order_by("pk"), fields_of(Document)),
        Section(
            "invoices",
            Invoice.objects.order_by("pk"),
            fields_of(Invoice),
            (
                ("items", items, "invoice", _without(InvoiceItem, "invoice")),
                ("payments", payments, "invoice", _without(Payment, "invoice")),
            ),
        ),
        Section("time_entries", TimeEntry.objects.order_by("started_at", "id"), fields_of(TimeEntry)),
        Section("expenses", Expense.objects.order_by("spent_on", "id"), fields_of(Expense)),
    ]


def _own(user: User) -> list[Section]:
    money = user.has_perm(MONEY)
    entries = TimeEntry.objects.filter(user=user)
    expenses = Expense.objects.filter(user=user)
    tasks = Task.objects.filter(Q(pk__in=entries.values("task")) | Q(assignee=user))
    projects = Project.objects.filter(
        Q(pk__in=entries.values("project")) | Q(pk__in=expenses.values("project")) | Q(pk__in=tasks.values("project"))
    )
    clients = Client.objects.filter(pk__in=projects.values("client"))
    return [
        Section("people", User.objects.filter(pk=user.pk), (*_PERSON, *(_PERSON_MONEY if money else ()))),
        Section("clients", clients.order_by("pk"), ("name", "currency", *(("default_rate",) if money else ()))),
        Section(
            "projects",
            projects.order_by("pk"),
            ("client", "name", "code", "billable", "status", "colour", *(("hourly_rate",) if money else ())),
        ),
        Section("tasks", tasks.order_by("pk"), ("project", "name", "status", "estimate_hours", "due_on", "notes")),
        Section("time_entries", entries.order_by("started_at", "id"), _without(TimeEntry, "invoice_item")),
        Section("expenses", expenses.order_by("spent_on", "id"), _without(Expense, "invoice_item")),
    ]


def _without(model: type[Model], *names: str) -> tuple[str, ...]:
    return tuple(name for name in fields_of(model) if name not in names)


def _column(model: type[Model], name: str) -> str:
    field: Field[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]
    return field.attname


def _reader(found: QuerySet[Any], fields: tuple[str, ...], section: str, missing: frozenset[str]) -> Callable[[int, list[Any]], Row]:
    """Return what makes a row of a primary key and the values of ``fields``."""
    is_file = {name for name in fields if isinstance(found.model._meta.get_field(name), FileField)}
    roles = _roles() if found.model is User else None

    def read(pk: int, values: list[Any]) -> Row:
        row: Row = {"id": pk}
        for name, value in zip(fields, values, strict=True):
            row[name] = _file(member_of(section, pk, value), missing) if name in is_file and value else _plain(value)
        if roles is not None:
            row["role"] = roles.get(pk, "")
        return row

    return read


def _roles() -> dict[int, str]:
    """The role of each account that has one, as :func:`~timetracker.accounts.roles.role_of` says it."""
    found: dict[int, str] = {}
    for name in reversed(Role.values):
        found |= dict.fromkeys(User.objects.filter(groups__name=name).values_list("pk", flat=True), name)
    return found


def _file(member: str, missing: frozenset[str]) -> Row:
    return {"name": PurePosixPath(member).name, "member": None if member in missing else member}


def _plain(value: Any) -> str | int | bool | None:
    """A value as JSON has it: an amount as text, a point in time in UTC, a file that there is none of as null."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (str, Decimal)):
        return str(value)
    raise TypeError(f"No JSON form is known for {type(value).__name__}.")
