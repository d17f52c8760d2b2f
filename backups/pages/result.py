"""What became of an operation: its outcome, what was checked, how long it took, and the way back while there is one.

From the journal of this host, else from the history's row: a restore rewinds the rows, and brings the history back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern
from django.views.decorators.http import require_safe

from backups.journal import Journal, journal_find
from backups.kinds import kind_word
from backups.links import progress_link
from backups.models import Backup, Operation
from backups.operation_words import checked_sentences
from backups.outcomes import CANCELLED_BY
from backups.pages.allowed import restore_offered
from backups.pages.place import Place, may, page_path
from backups.pages.row_counts import row_counts
from backups.pages.undo import undo_available
from backups.preflight import size_human
from backups.stage_words import STAGES, stage_word
from backups.storage import is_archive_name
from backups.times import duration_human

__all__ = ["urls"]

STRATEGIES = {"swap": "built beside the live data, then swapped", "in-place": "loaded in place"}
# Of the report, what the page tells in its own way or nobody needs.
TOLD = (
    "operation",
    "kind",
    "archive",
    "archive_id",
    "milliseconds_closed",
    "undo_until",
    "digest",
    "state",
    "next_step",
    "created_at",
    CANCELLED_BY,
)


@dataclass(frozen=True)
class Fact:
    """A number or word of the report, with what it means."""

    name: str
    value: str


def urls(place: Place) -> list[URLPattern]:
    """The page of this module in ``place``."""
    return [page_path(place, "operations/<operation:operation>/", result, "result")]


@require_safe
def result(request: HttpRequest, *, operation: str, place: Place) -> HttpResponse:
    """The outcome of one operation, for who may look at the backups, and for who may restore."""
    if not request.user.has_perm("backups.restore_backup"):
        may(request, "view")
    journal = journal_find(operation) or _from_history(operation)
    if journal is None:
        raise Http404
    began = datetime.fromisoformat(journal.started_at or journal.created_at)
    ended = datetime.fromisoformat(journal.ended_at) if journal.ended_at else None
    undoable = undo_available() if restore_offered(request) else None
    context = {
        "title": f"{_title(journal)}: {_outcome(journal)}",
        "journal": journal,
        "began": began,
        "ended": ended,
        "duration": duration_human((ended or datetime.now(UTC)) - began),
        "outcome": _outcome(journal),
        "icon": {"done": "good", "failed": "bad", "cancelled": "cancelled", "recovered": "warning"}.get(journal.outcome, "busy"),
        "progress": "" if journal.is_finished else progress_link(journal.id, place=place.name),
        "counts": _counts(journal),
        "checked": checked_sentences(journal.kind, journal.status, journal.report),
        "facts": _facts(journal),
        "seconds": _seconds(journal),
        "is_replaced": journal.kind in ("restore", "undo"),
        "undo_until": datetime.fromisoformat(undoable.kept["until"]) if undoable and undoable.id == journal.id else None,
        "undo": place.url("undo"),
        "restore": place.url("restore", journal.archive) if restore_offered(request) and _is_listed(journal) else "",
    }
    return render(request, "backups/result.html", {**place.context(request), **context})


def _is_listed(journal: Journal) -> bool:
    """Whether there is an archive of the operation still to restore from."""
    return journal.kind != "delete" and is_archive_name(journal.archive) and Backup.objects.filter(name=journal.archive).exists()


def _from_history(operation: str) -> Journal | None:
    row = Operation.objects.filter(operation_id=operation).first()
    if row is None:
        return None
    began = row.started_at.isoformat()
    return Journal(
        kind=row.kind,
        id=row.operation_id,
        status=row.status,
        created_at=began,
        started_at=began,
        ended_at=row.ended_at.isoformat() if row.ended_at else "",
        requested_by=row.requested_by,
        archive=row.archive,
        report=row.report,
        error=row.error,
    )


def _title(journal: Journal) -> str:
    return "Undo of an undo" if journal.report.get("is_redo") else kind_word(journal.kind)


def _outcome(journal: Journal) -> str:
    words = {"done": "done", "failed": "failed", "cancelled": "cancelled", "recovered": "interrupted, then settled", "queued": "waiting"}
    return words.get(journal.outcome, "not brought to its end" if journal.error else "running")


def _counts(journal: Journal) -> Any:
    """Rows before and after, where the operation replaced them and both are known."""
    before, after = journal.report.get("rows_before", {}), journal.report.get("rows_after", {})
    if not before or not after:
        return None
    return row_counts({table: (before.get(table, 0), after.get(table, 0)) for table in before.keys() | after.keys()})


def _seconds(journal: Journal) -> list[tuple[str, float]]:
    """The stages in their order, and how long each took; stages that took no time to speak of are left out."""
    seconds = {stage: spent for stage, spent in journal.report.get("seconds", {}).items() if spent >= 0.05}
    known = [stage for stage in STAGES if stage in seconds]
    return [(stage_word(journal.kind, stage), seconds[stage]) for stage in [*known, *sorted(seconds.keys() - STAGES.keys())]]


def _facts(journal: Journal) -> list[Fact]:
    """What else the report says in numbers and words."""
    facts = []
    for name, value in journal.report.items():
        if isinstance(value, bool) or value in ("", None) or name in TOLD:
            continue
        if isinstance(value, (int, float)):
            facts.append(Fact(_words(name), size_human(value) if "bytes" in name or name == "size" else f"{value:,}"))
        elif isinstance(value, str):
            facts.append(Fact(_words(name), STRATEGIES.get(value, value)))
    return facts


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
