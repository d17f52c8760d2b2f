"""Files of clients and of projects: few rows with many fields, which the models themselves check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model

from timetracker.accounts.models import User
from timetracker.clients.models import Client
from timetracker.imports.names import Clients, code_for, folded
from timetracker.imports.options import Options
from timetracker.imports.sheets import Cells, Sheet
from timetracker.imports.spool import Row, Spool
from timetracker.imports.values import read_number, read_yes
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.models import Project

__all__ = ["ClientSheet", "ProjectSheet"]

_NO_NAME = "The name is missing. Write it, or leave the row out."


class _RecordSheet(Sheet):
    """Reads the fields of one model."""

    def _read(self, cells: Cells, name: str, read: Callable[[str], object], values: dict[str, Any]) -> None:
        """Put what the cell says into ``values``, unless it is empty or wrong."""
        value = cells.read(name, read)
        if value is not None:
            values[name] = value

    def _number(self, text: str) -> str:
        return str(read_number(text, self.options.decimal))

    def _check(self, cells: Cells, model: type[Model], values: dict[str, Any], exclude: set[str]) -> None:
        """Note what the model does not take."""
        try:
            model(**values).clean_fields(exclude=exclude | {name for name in self.options.columns if name not in values})
        except ValidationError as error:
            for name, sentences in error.message_dict.items():
                cells.fault(name, " ".join(sentences))


class ClientSheet(_RecordSheet):
    """Clients. One of a name that is here already is that client, whatever else the row says."""

    def __init__(self, options: Options, user: User, spool: Spool) -> None:
        """Look up the currency of clients that name none."""
        super().__init__(options, user, spool)
        self._currency = SiteSettings.load().currency
        self._there: set[str] = set()

    def keep(self, cells: Cells) -> None:
        """Check what the model checks."""
        values: dict[str, Any] = {"currency": self._currency}
        for name in ("name", "contact_name", "email", "phone", "address", "notes"):
            self._read(cells, name, str, values)
        self._read(cells, "currency", str.upper, values)
        self._read(cells, "default_rate", self._number, values)
        self._read(cells, "active", read_yes, values)
        if "name" in values:
            self._check(cells, Client, values, set())
        else:
            cells.fault("name", _NO_NAME)
        if not cells.faults:
            self.unique(cells, Row(cells.line, folded(values["name"]), [values]))

    def look(self) -> None:
        """Read the names that are here."""
        self._there = {folded(name) for name in Client.objects.values_list("name", flat=True)}

    def prepare(self) -> None:
        """Nothing is planned."""

    def tell(self, rows: list[Row]) -> None:
        """How many there are says it all."""

    def new(self, rows: list[Row]) -> list[Row]:
        """Those whose name is not here."""
        return [row for row in rows if row.key not in self._there]

    def insert(self, rows: list[Row]) -> None:
        """Write clients."""
        Client.objects.bulk_create(Client(**row.data[0]) for row in rows)


class ProjectSheet(_RecordSheet):
    """Projects. One is here already if its client has a project of its code or, in a row without code, of its name."""

    def __init__(self, options: Options, user: User, spool: Spool) -> None:
        """Read the clients."""
        super().__init__(options, user, spool)
        self._clients = Clients(creates=options.creates)
        self._codes: dict[str, int] = {}
        # Those that no code is made like: what is here, what the file has, and what was made.
        self._taken: set[str] = set()
        self._names: set[tuple[int, str]] = set()
        self._ids: dict[int, int] = {}

    def keep(self, cells: Cells) -> None:
        """Check what the model checks."""
        values: dict[str, Any] = {}
        for name in ("name", "code", "notes"):
            self._read(cells, name, str, values)
        for name in ("status", "colour"):
            self._read(cells, name, str.lower, values)
        for name in ("hourly_rate", "budget_hours"):
            self._read(cells, name, self._number, values)
        self._read(cells, "billable", read_yes, values)
        self._read(cells, "client", self._clients.find, values)
        client = values.pop("client", None)
        if not cells["client"]:
            cells.fault("client", "The client is missing. Write its name.")
        if "name" in values:
            self._check(cells, Project, values, {"client"} | ({"code"} - values.keys()))
        else:
            cells.fault("name", _NO_NAME)
        if not cells.faults:
            key = f"code {values['code']}" if "code" in values else f"{client} {folded(values['name'])}"
            self._taken.update([values["code"]] if "code" in values else [])
            self.unique(cells, Row(cells.line, key, [client, values]))

    def look(self) -> None:
        """Read the codes and the names that are here."""
        found = list(Project.objects.values_list("client", "code", "name"))
        self._codes = {code: client for client, code, _ in found}
        self._taken.update(self._codes)
        self._names = {(client, folded(name)) for client, _, name in found}

    def prepare(self) -> None:
        """Make the clients that are missing."""
        self._ids = self._clients.make()

    def tell(self, rows: list[Row]) -> None:
        """The clients that are made."""
        self.counts.making("client", self._clients.new)

    def new(self, rows: list[Row]) -> list[Row]:
        """Those that are not here; a code that is one of another client's project is a fault."""
        found = []
        for row in rows:
            client, values = row.data
            code = values.get("code")
            if code in self._codes and self._codes[code] != client:
                column = self.options.header[self.options.columns["code"]]
                self.spool.complain(row.line, column, code, "A project of another client has this code. Write another one.")
            elif code not in self._codes and (code or (client, folded(values["name"])) not in self._names):
                found.append(row)
        return found

    def insert(self, rows: list[Row]) -> None:
        """Write projects, with a code made of the name where there is none."""
        made = []
        for client, values in (row.data for row in rows):
            code = values.get("code") or code_for(values["name"], self._taken)
            self._taken.add(code)
            made.append(Project(**values | {"client_id": self._ids.get(client, client), "code": code}))
        Project.objects.bulk_create(made)
