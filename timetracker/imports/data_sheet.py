"""The import of an export: what is not here is added, what is here stays as it is. It replaces nothing, so it is no restore.

One thing of what is here changes: time and expenses that an invoice of the file bills hang on it, or they would be billed once more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import FileField, Model

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give, roles_to_give
from timetracker.imports.counts import Counts
from timetracker.imports.data_file import DataFile
from timetracker.imports.data_files import DataFiles
from timetracker.imports.data_here import NEW, Conflict, Here, Spent, Values, entries_here, expenses_here, natural_key
from timetracker.imports.data_rows import INNER, SECTIONS, Section, values_of
from timetracker.imports.exceptions import CHANGED, FileRefused, ImportStopped
from timetracker.imports.spool import Row, Spool
from timetracker.tracking.models import TimeEntry

__all__ = ["DataSheet"]

# Rows of a file that nothing tells apart: more of them are no time that anybody has spent.
_TWINS = 1000
_TAKEN_HERE = (
    "This is on another invoice here, or not billable here, so it would be billed twice. "
    "Take it off that draft, cancel that invoice, or leave out the one of the file."
)

# A row with what it names by the ids of this site, NEW for what is not here.
_Found = tuple[Row, Values]


class DataSheet:
    """All rows of one file. First :meth:`read`, then either :meth:`compare` or :meth:`write`, that within a transaction.

    Where the transaction is taken back, the files that it wrote are discarded: ``files.discard()``.
    """

    def __init__(self, user: User, spool: Spool, file: DataFile) -> None:
        """Read what ``user`` brought."""
        self.spool, self.counts, self.files = spool, Counts(), DataFiles(file)
        self._file = file
        self._roles = {role.value for role in roles_to_give(user)}
        # By list: the ids that its rows have in the file, also of those that are wrong.
        self._there: dict[str, set[int]] = {name: set() for name in (*SECTIONS, *INNER)}
        # By list: what those are here; None is an item on which nothing can hang.
        self._ids: dict[str, dict[int, int | None]] = {}
        self._project_of_task: dict[int, int] = {}
        # Whose timer runs, here or in the file.
        self._running: set[Hashable] = set()
        # Items that this file brings, by their ids here.
        self._new_items: set[int] = {NEW}
        # By item: time or expenses that are here and that it bills.
        self._joining: defaultdict[int, list[int]] = defaultdict(list)

    # --- reading ------------------------------------------------------------------------------------------------------

    def read(self) -> Iterator[int]:
        """Put all rows into the spool, and what is wrong with them; yields how many bytes have been read. Raises FileRefused."""
        for line, (name, row) in enumerate(self._file.rows(frozenset(SECTIONS)), 1):
            self.counts.rows += 1
            self._keep(SECTIONS[name], line, row)
            yield self._file.position

    def _keep(self, section: Section, line: int, row: Any) -> None:
        values, faults = values_of(section, row)
        own = values.get("id")
        for fault in faults:
            self._complain(section, line, own, fault.field, fault.value, fault.reason)
        named = [(INNER["items"], item.get("id")) for item in values.get("items", [])]
        if section.with_ids and not any(fault.field == "id" for fault in faults):
            named.insert(0, (section, own))
        are_noted = [self._note_id(each, line, pk) for each, pk in named]
        if faults or not all(are_noted):
            return
        if section.name == "tasks":
            self._project_of_task[values["id"]] = values["project"]
        is_unique = section.is_unique or bool(section.name == "invoices" and values.get("number"))
        key = repr((section.name, natural_key(section.name, values)))
        major = list(SECTIONS).index(section.name)
        # Time in its own order, so that those that are looked up together are near each other.
        minor = int(datetime.fromisoformat(values["started_at"]).timestamp()) if section.name == "time_entries" else 0
        for turn in range(_TWINS):
            if self.spool.add(Row(line, f"{key}{turn}", [section.name, turn, values]), major=major, minor=minor):
                return
            if is_unique:
                self._complain(section, line, own, "", "", "Another row of this list is the same one. Leave one of them out.")
                return
        raise FileRefused(f"The same row is in the list {section.name} more than {_TWINS:,} times.")

    def _note_id(self, section: Section, line: int, own: Any) -> bool:
        """Note that there is such a row; where there is one of this id already, or it has none, complain and return False."""
        if type(own) is int and own not in self._there[section.name]:
            self._there[section.name].add(own)
            return True
        self._complain(section, line, own, "id", str(own), "Each row of this list has an id of its own.")
        return False

    def _complain(self, section: Section, line: int, own: Any, field: str, value: str, reason: str) -> None:
        where = f"{section.name} {own}" if type(own) is int else section.name
        # What no database keeps is shown as it can be.
        shown, name = (text.encode(errors="backslashreplace").decode() for text in (value, field[:60]))
        self.spool.complain(line, f"{where}, {name}" if name else where, shown, reason)

    # --- comparing and writing ----------------------------------------------------------------------------------------

    def compare(self) -> Iterator[int]:
        """Count what would happen; yields the number of rows that are done after each thousand."""
        yield from self._settle(is_written=False)

    def write(self) -> Iterator[int]:
        """Write all rows that are new, and their files; yields the number of rows that are done after each thousand.

        Raises ImportStopped where something has come in between since :meth:`compare`.
        """
        yield from self._settle(is_written=True)

    def _settle(self, *, is_written: bool) -> Iterator[int]:
        self.counts = Counts(rows=self.counts.rows)
        self._ids = {name: {} for name in (*SECTIONS, *INNER)}
        self._running = set(TimeEntry.objects.filter(ended_at=None).values_list("user", flat=True))
        here, done = Here(), 0
        for batch in self.spool.batches():
            for name, rows in groupby(batch, key=lambda row: str(row.data[0])):
                new = self._new(SECTIONS[name], here, list(rows))
                if is_written and self.spool.bad:
                    raise ImportStopped(CHANGED)
                if is_written:
                    self._join(SECTIONS[name])
                    self._insert(SECTIONS[name], new)
                self._joining.clear()
            done += len(batch)
            yield done

    def _new(self, section: Section, here: Here, rows: list[Row]) -> list[_Found]:
        """Return those that are not here, and complain of what they lack; note of all what they are here."""
        found = [(row, values) for row in rows if (values := self._named(section, row)) is not None]
        spent = self._spent(section, [values for _, values in found])
        find = self._finder(section, here, spent)
        new: list[_Found] = []
        count = 0
        for row, values in found:
            own, bad = row.data[2].get("id"), self.spool.bad
            try:
                pk = find(values, row.data[1])
            except Conflict as error:
                self._complain(section, row.line, own, error.field, str(values.get(error.field, "")), str(error))
                continue
            if section.with_ids:
                self._ids[section.name][own] = pk
            if pk == NEW:
                self._check(section, row, values)
                if self.spool.bad == bad:
                    new.append((row, values))
            else:
                count += 1
                if values.get("invoice_item") in self._new_items:
                    self._bill(section, row, values, spent)
        self.counts.new += len(new)
        self.counts.here += count
        before = self.counts.lists.get(section.name, [0, 0])
        self.counts.lists[section.name] = [before[0] + len(new), before[1] + count]
        return new

    def _named(self, section: Section, row: Row) -> Values | None:
        """The values with the ids that this site has; None where one names a row that is not in the file, or is wrong itself."""
        values: Values = dict(row.data[2])
        if section.name == "time_entries" and self._project_of_task.get(values["task"], values["project"]) != values["project"]:
            self._complain(section, row.line, values.get("id"), "task", str(values["task"]), "This task belongs to another project.")
            return None
        if not self._translate(section, row, values):
            return None
        for name, inner in INNER.items():
            if name in values:
                values[name] = [dict(item) for item in values[name]]
                if not all(self._translate(inner, row, item) for item in values[name]):
                    return None
        return values

    def _translate(self, section: Section, row: Row, values: Values) -> bool:
        for field, target in section.references.items():
            wanted = values.get(field)
            if wanted is None:
                continue
            if wanted not in self._there[target]:
                reason = f"The list {target} has no row of this id."
                self._complain(section, row.line, values.get("id"), field, str(wanted), reason)
                return False
            if wanted not in self._ids[target]:
                # That row is wrong, which has been told.
                return False
            values[field] = self._ids[target][wanted]
        return True

    def _spent(self, section: Section, rows: list[Values]) -> dict[tuple[Hashable, ...], list[Spent]]:
        """Of time and expenses, which of ``rows`` are here."""
        look = {"time_entries": entries_here, "expenses": expenses_here}.get(section.name)
        return look(rows) if look else {}

    def _bill(self, section: Section, row: Row, values: Values, spent: dict[tuple[Hashable, ...], list[Spent]]) -> None:
        """Note what is here and hangs on an invoice that this file brings; complain where it cannot."""
        same = spent[natural_key(section.name, values)]
        free = next((each for each in same if each.is_free), None)
        if free is None:
            item = str(row.data[2]["invoice_item"])
            self._complain(section, row.line, values.get("id"), "invoice_item", item, _TAKEN_HERE)
            return
        same[same.index(free)] = Spent(free.pk, is_free=False)
        self._joining[values["invoice_item"]].append(free.pk)

    def _join(self, section: Section) -> None:
        """Hang on the items of this file what they bill. Raises ImportStopped."""
        for item, ids in self._joining.items():
            free = section.model._base_manager.filter(pk__in=ids, billable=True, invoice_item=None)
            if free.update(invoice_item=item) != len(ids):
                raise ImportStopped(CHANGED)

    def _finder(self, section: Section, here: Here, spent: dict[tuple[Hashable, ...], list[Spent]]) -> Callable[[Values, int], int]:
        """Return what says which row of this site the ``turn``-th of its kind is, or NEW."""
        match section.name:
            case "people":
                return lambda values, turn: here.person(values)
            case "clients":
                return lambda values, turn: here.client(values)
            case "projects":
                return lambda values, turn: here.project(values)
            case "invoices":
                return lambda values, turn: self._invoice(here, values, turn)
            case "time_entries" | "expenses":
                # Which one it is does not matter: nothing names it.
                return lambda values, turn: 0 if turn < len(spent.get(natural_key(section.name, values), [])) else NEW
            case _:
                return lambda values, turn: here.one_of_many(section.name, values, turn)

    def _invoice(self, here: Here, values: Values, turn: int) -> int:
        pk, items = here.invoice(values, turn)
        own = [item["id"] for item in values.get("items", [])]
        self._ids["items"] |= dict(zip(own, items or [NEW] * len(own), strict=True))
        return pk

    def _check(self, section: Section, row: Row, values: Values) -> None:
        """Complain of what a new row cannot have."""
        line, own = row.line, row.data[2].get("id")
        if section.name == "people" and values.get("role") and values["role"] not in self._roles:
            self._complain(section, line, own, "role", values["role"], "You may not give this role. Ask somebody who may, or leave it out.")
        if section.name == "time_entries" and values.get("ended_at") is None:
            # People who are not here yet are told apart by their ids in the file.
            person = ("new", row.data[2]["user"]) if values["user"] == NEW else values["user"]
            if person in self._running:
                self._complain(section, line, own, "ended_at", "", "This person has a running timer already. Stop one of the two.")
            self._running.add(person)
        for name in section.files:
            if values.get(name):
                try:
                    self.files.check(cast("FileField", section.fields[name]), values[name])
                except ValidationError as error:
                    self._complain(section, line, own, name, values[name]["name"], " ".join(error.messages))

    def _insert(self, section: Section, found: list[_Found]) -> None:
        made = self._written(section, [self._made(section, values) for _, values in found])
        if section.with_ids:
            self._ids[section.name] |= {row.data[2]["id"]: cast(int, each.pk) for (row, _), each in zip(found, made, strict=True)}
        if section.model is User:
            for (_, values), person in zip(found, made, strict=True):
                if values.get("role"):
                    role_give(cast(User, person), Role(values["role"]))
        for name, inner in INNER.items():
            items = [(item, invoice) for (_, values), invoice in zip(found, made, strict=True) for item in values.get(name, [])]
            self._insert_inner(inner, items)

    def _insert_inner(self, section: Section, items: list[tuple[Values, Model]]) -> None:
        made = self._written(section, [self._made(section, item, invoice=invoice) for item, invoice in items])
        if section.with_ids:
            self._ids[section.name] |= {item["id"]: cast(int, each.pk) for (item, _), each in zip(items, made, strict=True)}
            self._new_items |= {cast(int, each.pk) for each in made}

    def _written(self, section: Section, rows: list[Model]) -> list[Model]:
        """Insert ``rows``, which have their ids then. Raises ImportStopped."""
        try:
            # The plain manager: others refuse what an issued invoice has from the beginning.
            return section.model._base_manager.bulk_create(rows, batch_size=500)
        except IntegrityError as error:
            raise ImportStopped(
                f"The database refused a row of {section.name} ({' '.join(str(error).split())}), so nothing was imported. "
                "Check the file again: something may have changed meanwhile."
            ) from error

    def _made(self, section: Section, values: Values, **others: Model) -> Model:
        """A row of this site, with its files written, and with ``others`` for what the file does not say by a field."""
        made = section.model(**others)
        for name, field in section.fields.items():
            if name not in values:
                continue
            if name in section.references:
                setattr(made, field.attname, values[name])
            elif not isinstance(field, FileField):
                setattr(made, name, field.to_python(values[name]))
            elif values[name]:
                setattr(made, name, self.files.store(made, field, values[name]))
        if isinstance(made, User):
            made.set_unusable_password()
        return made
