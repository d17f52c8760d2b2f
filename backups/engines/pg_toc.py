"""A dump's table of contents: which entries are loaded, which are left out, and the grants as single statements.

Left out are extensions that are there already (a role that is no superuser fails on them: measured), event triggers,
publications and subscriptions. Grants never go through ``pg_restore``: an entry names several roles, and one that does
not exist here would end the whole load. They are run one by one instead, and those that cannot be made are reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Contents", "Entry", "copied_rows", "grants", "parse_contents", "statements", "write_list"]

_ENTRY = re.compile(r"^(\d+); \d+ \d+ (.*)$")
_VERSION = re.compile(r"^;\s+Dumped (from database|by pg_dump) version: (\d+)")
# Kinds of objects whose entries are left out, whoever asks: only a superuser makes them, or they reach beyond this database.
_LEFT_OUT = ("EVENT TRIGGER", "PUBLICATION", "SUBSCRIPTION")
_REPORTED = ("EVENT TRIGGER - ", "PUBLICATION - ", "SUBSCRIPTION - ")
_GRANTS = ("ACL ", "DEFAULT ACL ")
_ABOUT = ("COMMENT - ", "SECURITY LABEL - ")


@dataclass(frozen=True)
class Entry:
    """One line of ``pg_restore --list``: its id and what follows the OIDs (``TABLE public items owner``)."""

    dump_id: int
    text: str
    line: str

    @property
    def subject(self) -> str:
        """The text without a leading ``COMMENT - `` or ``SECURITY LABEL - ``."""
        for prefix in _ABOUT:
            if self.text.startswith(prefix):
                return self.text.removeprefix(prefix)
        return self.text

    @property
    def extension(self) -> str | None:
        """The extension that this entry makes, else None. Extensions have no owner in the list."""
        return self.text.removeprefix("EXTENSION - ").strip() if self.text.startswith("EXTENSION - ") else None

    @property
    def is_grant(self) -> bool:
        """Whether it holds GRANT, REVOKE or ALTER DEFAULT PRIVILEGES."""
        return self.text.startswith(_GRANTS)


@dataclass
class Contents:
    """The whole list. ``server_major`` and ``client_major`` are what the dump itself says (0: it does not)."""

    entries: list[Entry] = field(default_factory=list)
    server_major: int = 0
    client_major: int = 0

    @property
    def extensions(self) -> list[str]:
        """Names of the extensions in the dump."""
        return [entry.extension for entry in self.entries if entry.extension]

    def left_out(self) -> list[str]:
        """Objects that no restore makes, in words: ``event trigger audit``."""
        found = []
        for entry in self.entries:
            for prefix in _REPORTED:
                if entry.text.startswith(prefix):
                    name = entry.text.removeprefix(prefix).rpartition(" ")[0] or entry.text.removeprefix(prefix)
                    found.append(f"{prefix.removesuffix(' - ').lower()} {name}")
        return found

    def loaded(self, *, extensions_present: set[str], schemas_present: set[str]) -> Iterator[Entry]:
        """The entries to load where these extensions and schemas are there already."""
        for entry in self.entries:
            subject = entry.subject
            if entry.is_grant or subject.startswith((*_LEFT_OUT, "DATABASE ")):
                continue
            if subject.startswith("EXTENSION ") and _name_in(subject, "EXTENSION", extensions_present, entry.extension):
                continue
            if entry.text.startswith("SCHEMA - ") and any(entry.text.startswith(f"SCHEMA - {name} ") for name in schemas_present):
                continue
            yield entry

    def granting(self) -> Iterator[Entry]:
        """The entries that hold grants on objects of the database (those on the database itself are carried over from the live one)."""
        return (entry for entry in self.entries if entry.is_grant and not entry.text.startswith("ACL - DATABASE "))

    def table_data(self, table: str) -> Iterator[Entry]:
        """The entries with the rows of ``table``, named as in :meth:`~backups.engines.base.Engine.rows`."""
        schema, name = ("public", table) if "." not in table else table.split(".", 1)
        prefix = f"TABLE DATA {schema} {name} "
        return (entry for entry in self.entries if entry.text.startswith(prefix) and " " not in entry.text.removeprefix(prefix))


def _name_in(subject: str, kind: str, names: set[str], exact: str | None) -> bool:
    """Whether an entry is about one of ``names``; a comment's line ends with an owner, an extension's own with none."""
    if exact is not None:
        return exact in names
    return any(f"{subject} ".startswith(f"{kind} {name} ") for name in names)


def parse_contents(listing: str) -> Contents:
    """Read what ``pg_restore --list`` printed."""
    contents = Contents()
    for line in listing.splitlines():
        if match := _ENTRY.match(line):
            contents.entries.append(Entry(int(match[1]), match[2], line))
        elif match := _VERSION.match(line):
            if match[1] == "by pg_dump":
                contents.client_major = int(match[2])
            else:
                contents.server_major = int(match[2])
    return contents


def write_list(path: Path, entries: Iterator[Entry]) -> Path:
    """Write the list that ``pg_restore --use-list`` takes."""
    path.write_text("".join(f"{entry.line}\n" for entry in entries))
    return path


def statements(script: str) -> Iterator[str]:
    """The SQL statements of a script without function bodies (grants), without comments and psql's own commands.

    A semicolon inside a quoted name or string ends nothing.
    """
    current: list[str] = []
    # In this order: a comment or a psql command fills its line, a quoted name or string may span lines, anything else one sign.
    for match in re.finditer(r"""^\\[^\n]*$|--[^\n]*|"(?:[^"]|"")*"|'(?:[^']|'')*'|.""", script, re.MULTILINE | re.DOTALL):
        piece = match[0]
        if piece == ";":
            yield "".join(current).strip()
            current = []
        elif not piece.startswith(("--", "\\")):
            current.append(piece)


def grants(script: str) -> tuple[list[str], list[str]]:
    """From a script of grants: the statements to run, and those left out because another role granted them."""
    kept: list[str] = []
    left_out: list[str] = []
    by_another = False
    for statement in statements(script):
        if statement.upper().startswith("SET SESSION AUTHORIZATION"):
            by_another = True
        elif statement.upper().startswith("RESET SESSION AUTHORIZATION"):
            by_another = False
        elif statement.upper().startswith(("GRANT ", "REVOKE ", "ALTER DEFAULT PRIVILEGES ")):
            (left_out if by_another else kept).append(statement)
    return kept, left_out


_COPY = re.compile(r"^COPY .+? \((.*)\) FROM stdin;$")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unescape(text: str) -> str | None:
    """One field of COPY's text format (manual, "File Formats: Text Format")."""
    if text == r"\N":
        return None
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text)


def copied_rows(script: str) -> Iterator[dict[str, str | None]]:
    """The rows of the COPY blocks in a script, as text per column."""
    columns: list[str] | None = None
    for line in script.split("\n"):
        if columns is None:
            if match := _COPY.match(line):
                names = re.findall(r'"((?:[^"]|"")*)"|([^,\s]+)', match[1])
                columns = [quoted.replace('""', '"') or plain for quoted, plain in names]
        elif line == "\\.":
            columns = None
        else:
            yield dict(zip(columns, map(_unescape, line.split("\t")), strict=True))
