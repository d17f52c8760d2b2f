"""Which rows of a file are here already.

People are told apart by username, or by an e-mail address that one account has; clients by name; projects by code; tasks by
project and name; documents by client and title; invoices by number, drafts by all that is on them; time by person, project,
start, end and note; expenses by person, day, amount, description, category and project. What cannot be told apart by that
counts: of three such rows in the file and two here, one is new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Model

from timetracker.accounts.models import User
from timetracker.billing.models import Expense, Invoice, InvoiceItem
from timetracker.clients.models import Client, Document
from timetracker.imports.names import folded
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

__all__ = ["NEW", "Conflict", "Here", "Spent", "Values", "entries_here", "expenses_here", "natural_key"]

# In place of the id of a row that is not here.
NEW = -1

Values = dict[str, Any]


class Conflict(ValueError):
    """Something else is here in the place of a row: the name of the field, and what to do."""

    def __init__(self, field: str, reason: str) -> None:
        """Of ``field``."""
        super().__init__(reason)
        self.field = field


def natural_key(section: str, values: Values) -> tuple[Hashable, ...]:
    """Return what tells a row from others of its list; rows that it names by their ids, whichever those are."""
    match section:
        case "people":
            return (values["username"],)
        case "clients":
            return (folded(values["name"]),)
        case "projects":
            return (values["code"],)
        case "invoices":
            return (values["number"],) if values.get("number") else _draft_key(values)
        case _:
            return tuple(values.get(name) for name in _KEYS[section])


_KEYS: dict[str, tuple[str, ...]] = {
    "project_rates": ("project", "user"),
    "tasks": ("project", "name"),
    "documents": ("client", "title"),
    "time_entries": ("user", "project", "started_at", "ended_at", "notes"),
    "expenses": ("user", "spent_on", "amount", "currency", "description", "category", "project"),
}
_ITEM = ("position", "description", "quantity", "unit_price")
# Of time and expenses: what :class:`Spent` is made of.
_STANDING = ("pk", "billable", "invoice_item")


class Here:
    """What is here, as it is when this is made; time and expenses, of which there are many, are looked up as they come."""

    def __init__(self) -> None:
        """Read what there is little of."""
        self._people: dict[str, int] = {}
        by_mail: defaultdict[str, list[int]] = defaultdict(list)
        for pk, username, email in User.objects.values_list("pk", "username", "email"):
            self._people[username] = pk
            by_mail[email.casefold()].append(pk)
        self._mails = {email: found[0] for email, found in by_mail.items() if email and len(found) == 1}
        self._clients = {folded(name): pk for pk, name in Client.objects.values_list("pk", "name")}
        self._projects = {code: (pk, client) for pk, code, client in Project.objects.values_list("pk", "code", "client")}
        self._invoices = {number: pk for pk, number in Invoice.objects.exclude(number="").values_list("pk", "number")}
        self._many = {
            "project_rates": _listed(ProjectRate, "project", "user"),
            "tasks": _listed(Task, "project", "name"),
            "documents": _listed(Document, "client", "title"),
        }

    def person(self, values: Values) -> int:
        """Return the id of the account, or NEW."""
        return self._people.get(values["username"]) or self._mails.get(values.get("email", "").casefold()) or NEW

    def client(self, values: Values) -> int:
        """Return the id, or NEW."""
        return self._clients.get(folded(values["name"]), NEW)

    def project(self, values: Values) -> int:
        """Return the id, or NEW. Raises Conflict for a code that another client's project has."""
        pk, client = self._projects.get(values["code"], (NEW, NEW))
        if pk != NEW and client != values["client"]:
            raise Conflict("code", "A project of another client has this code here. Change one of the two codes.")
        return pk

    def one_of_many(self, section: str, values: Values, turn: int) -> int:
        """Return the id of the row that is the ``turn``-th of its kind, counted from 0; or NEW."""
        found = self._many[section].get(natural_key(section, values), [])
        return found[turn] if turn < len(found) else NEW

    def invoice(self, values: Values, turn: int) -> tuple[int, Sequence[int | None]]:
        """Return its id and those of its items, or NEW and none. Raises Conflict for a number that another invoice has.

        Of one that is cancelled here the items are None: nothing hangs on them, and what they billed can be billed again.
        """
        if not values.get("number"):
            return self._draft(values, turn)
        pk = self._invoices.get(values["number"], NEW)
        if pk == NEW:
            return NEW, []
        there = Invoice.objects.get(pk=pk)
        ids = _ids_if_same(there, values)
        if ids is None:
            raise Conflict("number", "Another invoice has this number here. Two invoices cannot have the same one.")
        return pk, [None] * len(ids) if there.status == Invoice.Status.CANCELLED else ids

    def _draft(self, values: Values, turn: int) -> tuple[int, list[int]]:
        drafts = Invoice.objects.filter(number="", client=values["client"], due_on=values["due_on"]).order_by("pk")
        found = [(draft.pk, ids) for draft in drafts if (ids := _ids_if_same(draft, values)) is not None]
        return found[turn] if turn < len(found) else (NEW, [])


class Spent(NamedTuple):
    """Time or an expense that is here: ``is_free`` to be billed, or not billable or on an invoice already."""

    pk: int
    is_free: bool


def entries_here(rows: Iterable[Values]) -> dict[tuple[Hashable, ...], list[Spent]]:
    """Return the time entries that are here of each :func:`natural_key` of ``rows``, which are near each other in time."""
    wanted = {natural_key("time_entries", row) for row in rows if NEW not in (row["user"], row["project"])}
    starts = [datetime.fromisoformat(str(start)) for _, _, start, _, _ in wanted]
    if not starts:
        return {}
    found = TimeEntry.objects.filter(started_at__range=(min(starts), max(starts))).order_by()
    here: defaultdict[tuple[Hashable, ...], list[Spent]] = defaultdict(list)
    for user, project, started_at, ended_at, notes, *standing in found.values_list(*_KEYS["time_entries"], *_STANDING).iterator():
        key = (user, project, _iso(started_at), ended_at and _iso(ended_at), notes)
        if key in wanted:
            here[key].append(_spent(*standing))
    return here


def expenses_here(rows: Iterable[Values]) -> dict[tuple[Hashable, ...], list[Spent]]:
    """Return the expenses that are here of each :func:`natural_key` of ``rows``."""
    wanted = [row for row in rows if NEW not in (row["user"], row.get("project"))]
    names = _KEYS["expenses"]
    found = Expense.objects.filter(user__in={row["user"] for row in wanted}, spent_on__in={row["spent_on"] for row in wanted})
    here: defaultdict[tuple[Hashable, ...], list[Spent]] = defaultdict(list)
    for user, spent_on, amount, *others in found.order_by().values_list(*names, *_STANDING):
        key = (user, spent_on.isoformat(), f"{amount:.2f}", *others[: -len(_STANDING)])
        here[key].append(_spent(*others[-len(_STANDING) :]))
    return here


def _spent(pk: int, billable: bool, item: int | None) -> Spent:
    return Spent(pk, billable and item is None)


def _listed(model: type[Model], *names: str) -> dict[tuple[Hashable, ...], list[int]]:
    found: defaultdict[tuple[Hashable, ...], list[int]] = defaultdict(list)
    for pk, *key in model._default_manager.order_by("pk").values_list("pk", *names).iterator():
        found[tuple(key)].append(pk)
    return found


def _head(values: Values) -> tuple[int, str, str]:
    return values["client"], values["issued_on"], values["currency"]


def _draft_key(values: Values) -> tuple[Hashable, ...]:
    return (*_head(values), values["due_on"], *_items_of(values))


def _items_of(values: Values) -> list[tuple[Hashable, ...]]:
    return [tuple(item.get(name) for name in _ITEM) for item in values.get("items", [])]


def _ids_if_same(there: Invoice, values: Values) -> list[int] | None:
    """The ids of its items, in their order, where it says what ``values`` do, its items included; None where it says anything else."""
    found = list(InvoiceItem.objects.filter(invoice=there).order_by("position", "id").values_list("pk", *_ITEM))
    items = [tuple(_money(value) for value in item) for _, *item in found]
    is_same = (there.client_id, there.issued_on.isoformat(), there.currency) == _head(values) and items == _items_of(values)
    return [pk for pk, *_ in found] if is_same else None


def _money(value: Any) -> Hashable:
    return f"{value:.2f}" if isinstance(value, Decimal) else value


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
