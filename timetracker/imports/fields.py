"""What the columns of a file can mean, for each kind of file, and the names by which they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from timetracker.accounts.models import User
from timetracker.accounts.roles import MONEY
from timetracker.imports.models import Import

__all__ = ["FIELDS", "ImportField", "columns_by_name", "fields_for", "names_of", "plain"]


@dataclass(frozen=True)
class ImportField:
    """One meaning: what it is called here and in our own CSV, other names of it (as :func:`plain` writes them), and what is read.

    ``permission`` is what it takes to bring it in.
    """

    name: str
    label: str
    others: tuple[str, ...] = ()
    help: str = ""
    permission: str = ""


FIELDS: dict[str, tuple[ImportField, ...]] = {
    Import.Kind.TIME: (
        ImportField(
            "person",
            "Person",
            ("username", "user", "email", "member", "employee"),
            "Username, e-mail address or full name. None: yourself.",
        ),
        ImportField("client", "Client", ("clientname", "customer", "customername"), "Needed where two clients have a project of one name."),
        ImportField("project", "Project", ("projectname",), "Name or code."),
        ImportField("project_code", "Project code", ("code",), "Instead of the name, or beside it."),
        ImportField("task", "Task", ("taskname", "activity", "activityname")),
        ImportField("date", "Date", ("startdate", "day"), "Of the start, where that is a clock time alone or missing."),
        ImportField("start", "Start", ("starttime", "startedat", "from", "begin"), "Date and time, or the clock time of the date."),
        ImportField("end_date", "End date", (), "Only where the end is a clock time and its day has a column of its own."),
        ImportField("end", "End", ("endtime", "endedat", "to", "until", "stop"), "Date and time, or the clock time."),
        ImportField("seconds", "Seconds", (), "Worked, without the break."),
        ImportField("hours", "Hours", ("duration", "durationh", "durationdecimal", "time", "timeh"), "Worked: 1:30, 1.5 or 90m."),
        ImportField("break", "Break in seconds", ("breakseconds",)),
        ImportField("note", "Note", ("notes", "description", "comment", "comments", "memo")),
        ImportField("tags", "Tags", ("tag", "labels"), "With commas between them."),
        ImportField("billable", "Billable", ("isbillable",), "Yes or no. Empty: as the project is."),
    ),
    Import.Kind.CLIENTS: (
        ImportField("name", "Name", ("client", "clientname", "company", "customer")),
        ImportField("contact_name", "Contact", ("contactperson",)),
        ImportField("email", "E-mail", ("emailaddress", "mail")),
        ImportField("phone", "Phone", ("telephone", "phonenumber")),
        ImportField("address", "Address"),
        ImportField("currency", "Currency", (), "Three letters, such as EUR. Empty: that of the site.", MONEY),
        ImportField("default_rate", "Rate", ("hourlyrate",), "Per hour.", MONEY),
        ImportField("active", "Active", ("isactive",), "Yes or no. Empty: yes."),
        ImportField("notes", "Notes", ("note", "comment"), "For the team."),
    ),
    Import.Kind.PROJECTS: (
        ImportField("client", "Client", ("clientname", "customer")),
        ImportField("name", "Name", ("project", "projectname")),
        ImportField("code", "Code", ("projectcode",), "Short and unique. Empty: made of the name."),
        ImportField("status", "Status", ("state",), "Active, paused or closed. Empty: active."),
        ImportField("billable", "Billable", ("isbillable",), "Yes or no. Empty: yes."),
        ImportField("hourly_rate", "Rate", ("billablerate",), "Per hour, in the client's currency.", MONEY),
        ImportField("budget_hours", "Budget in hours", ("budget", "estimate")),
        ImportField("colour", "Colour", ("color",), "Such as #64748b."),
        ImportField("notes", "Notes", ("note", "comment"), "For the team."),
    ),
}


def fields_for(kind: str, user: User) -> list[ImportField]:
    """Return what ``user`` may bring in with a file of this kind."""
    return [field for field in FIELDS[kind] if not field.permission or user.has_perm(field.permission)]


def plain(name: str) -> str:
    """Return ``name`` in small letters and without anything else: ``Start date`` and ``start_date`` are one."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def names_of(field: ImportField) -> tuple[str, ...]:
    """Return all names of ``field``, as :func:`plain` writes them, the best first."""
    return (plain(field.label), plain(field.name), *field.others)


def columns_by_name(header: Sequence[str], fields: Sequence[ImportField]) -> dict[str, int]:
    """Return which column each field has, by the names in ``header``; what is not found is left out, and no column is used twice."""
    places: dict[str, int] = {}
    for index, name in enumerate(header):
        places.setdefault(plain(name), index)
    found: dict[str, int] = {}
    for field in fields:
        place = next((places[name] for name in names_of(field) if name in places and places[name] not in found.values()), None)
        if place is not None:
            found[field.name] = place
    return found
