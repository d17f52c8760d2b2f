"""Files as people bring them, and what becomes of them."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from timetracker.accounts.models import User
from timetracker.imports.counts import Counts
from timetracker.imports.models import Import
from timetracker.imports.options import Options
from timetracker.imports.problems import problems_first
from timetracker.imports.running import import_begin, import_bring

__all__ = ["brought", "checked", "counts_of", "faults_of", "imported"]


def brought(by: User, kind: str, text: str | bytes, **options: Any) -> Import:
    """The row of a file that ``by`` brought, read with these options beside those that are guessed."""
    content = text.encode() if isinstance(text, str) else text
    row = import_bring(SimpleUploadedFile("file.csv", content), kind=kind, by=by)
    chosen = Options.from_json(row.options | options)
    row.options = chosen.to_json()
    row.save()
    return row


def checked(by: User, kind: str, text: str | bytes, **options: Any) -> Import:
    """The same, checked."""
    return _begun(brought(by, kind, text, **options), Import.Act.CHECK)


def imported(by: User, kind: str, text: str | bytes, **options: Any) -> Import:
    """The same, imported."""
    return _begun(brought(by, kind, text, **options), Import.Act.WRITE)


def counts_of(row: Import) -> Counts:
    """What it came to."""
    return Counts.from_json(row.counts)


def faults_of(row: Import) -> list[tuple[int, str, str, str]]:
    """What is wrong: line, column, value, reason."""
    found = problems_first(row.problems, 1000) if row.problems else []
    return [(problem.line, problem.column, problem.value, problem.reason) for problem in found]


def _begun(row: Import, act: Import.Act) -> Import:
    import_begin(row, act)
    row.refresh_from_db()
    return row
