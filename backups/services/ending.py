"""The end of a restore, an undo or a recovery, once the data that shall be live is live."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from django.db import DatabaseError, connections

from backups.engines import Engine
from backups.exceptions import BackupError, reason_of
from backups.gate import gate_open
from backups.journal import Journal, journal_load_all
from backups.progress import Progress
from backups.services.carry_over import carry_over, carry_over_due
from backups.services.kept import kept_keep_only, kept_usable
from backups.signals import restore_ended
from backups.uploads import uploads_catch_up, uploads_kept_discard

__all__ = ["RestoreReport", "ended_notes", "operation_live"]


@dataclass
class RestoreReport:
    """What a restore or undo did: rows per table before and after, migrations run, seconds per stage, ms closed.

    ``is_redo`` says of an undo that it took an undo back: the restored data is live again. ``undo_until`` is ISO 8601 in
    UTC, empty where undo is unavailable. ``notes`` are the sentences of other apps.
    """

    operation: str
    kind: str
    archive: str
    strategy: str
    rows_before: dict[str, int]
    rows_after: dict[str, int]
    migrated: list[str]
    milliseconds_closed: float
    is_redo: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    undo_until: str = ""
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def operation_live(journal: Journal, engine: Engine, *, status: str, report: RestoreReport | None, progress: Progress) -> None:
    """Open the gate on the new data, and bring everything that indexes it into line.

    The data is live and proven; so nothing in here is a reason to call the operation failed: what does not succeed is
    a warning, and the next reconcile or operation brings it about.
    """
    undone = journal.arguments.get("undoes")
    for earlier in journal_load_all() if undone else ():
        if earlier.id == undone and earlier.kept:
            # What it kept is the live data now: forget it before anything could discard it. Of its uploads only the empty
            # folder is left, since the undo took the tree.
            uploads_kept_discard(earlier.kept.get("uploads", {}))
            earlier.kept = {}
            earlier.save()
    gate_open(epoch=journal.id)
    connections.close_all()
    _catch_up(journal, progress)
    if report is not None:
        report.undo_until = str(journal.kept["until"]) if kept_usable(journal) else ""
        journal.report = asdict(report)
    if not kept_usable(journal):
        progress.warn("There was no readable database before, so undo is unavailable.")
        # What undo cannot use is kept for its time all the same; only while it is mentioned here is it ever removed.
        if not journal.kept.get("database") and not journal.kept.get("uploads"):
            journal.kept = {}
    carry_over_due(journal)
    journal.end(status)

    progress.stage("reconcile")
    try:
        kept_keep_only(engine, journal)
    except (BackupError, OSError) as error:
        progress.warn(f"An older kept state could not be removed and is tried again by the next operation: {error}")
    try:
        carry_over(journal)
    except (DatabaseError, BackupError, OSError) as error:
        progress.warn(
            f"Today's schedules, pins and notes are not all carried over yet ({reason_of(error)})."
            " A worker tries again each minute; without one, run: manage.py backup_list --reconcile"
        )
        connections.close_all()
    notes = ended_notes(journal, "new")
    for note in notes:
        progress.note(note)
    progress.finish()
    if report is not None:
        report.seconds = {stage: round(seconds, 3) for stage, seconds in progress.timings.items()}
        report.warnings, report.notes = list(progress.warnings), notes
        journal.report = asdict(report)
        journal.save()


def _catch_up(journal: Journal, progress: Progress) -> None:
    """Put the uploads in that were written to the displaced tree in the last instants before the switch."""
    try:
        added = uploads_catch_up(journal.uploads)
    except (BackupError, OSError) as error:
        place = f"{journal.uploads['staging']}/old"
        progress.warn(f"Uploads that were written in the instant of the switch may be in {place} alone: {reason_of(error)}")
        return
    if count := added.linked + added.copied:
        progress.note(f"{count} uploads that were written in the instant of the switch were put in.")


def ended_notes(journal: Journal, outcome: str) -> list[str]:
    """Tell other apps that it is over; returns the sentences they answer with. Django logs a receiver that fails."""
    answers = restore_ended.send_robust(sender=Journal, operation=journal.id, kind=journal.kind, outcome=outcome)
    return [answer for _, answer in answers if isinstance(answer, str) and answer]
