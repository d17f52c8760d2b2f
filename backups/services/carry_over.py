"""What a restore must not rewind: pins, notes and verifications of the archives, and the schedules.

They are written into the journal before the swap, and put back onto the restored data after it; so a restore of an archive
that is older than the schedules does not end the backups. Left undone (the process was killed, the database failed), it is
finished by the tick, by ``backup_list --reconcile``, or by the next restore.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, time
from typing import Any, TypeVar

from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from backups.catalogue import catalogue_keep, catalogue_kept, catalogue_reconcile, catalogue_remembered
from backups.engines import engine_for
from backups.exceptions import BackupError, OperationLocked
from backups.gate import is_gate_raised
from backups.journal import Journal, journal_load_all
from backups.models import BackupSchedule
from backups.services.archives import archive_is_stored
from backups.storage import archive_store

T = TypeVar("T")

__all__ = [
    "carry_over",
    "carry_over_due",
    "carry_over_finish",
    "carry_over_keep",
    "carry_over_pending",
    "carry_over_proof",
    "carry_over_remember",
    "schedules_are_todays",
]

# The word of journal.arguments that says what is to be put back next: absent before the swap, then in this order.
STATE = "carry_over"
SCHEDULES, CATALOGUE, DONE = "schedules", "catalogue", "done"
# What a schedule is, but for its row's number, which means nothing in another database.
SCHEDULE_FIELDS = [field for field in BackupSchedule._meta.concrete_fields if not field.primary_key]


def carry_over_proof(journal: Journal) -> None:
    """Note in ``journal`` that every byte of its archive was read just now and was right, for the archive's row after the restore."""
    if archive_is_stored(journal.archive):
        journal.arguments["proven"] = {journal.archive: {"verified_at": timezone.now().isoformat(), "problem": ""}}


def carry_over_remember(journal: Journal) -> None:
    """Write today's state into the journal, for after the restore. The lock is held, and nothing has been replaced yet."""
    left = _left_undone()
    if left is not None:
        # Some rows are still those that the restore before this one brought.
        with suppress(DatabaseError, BackupError, OSError):
            carry_over(left)
    # Of a broken or torn live database: what was kept outside of it; the schedules of the archive go on.
    live: dict[str, dict[str, Any]] = _read(catalogue_remembered, {})
    catalogue = catalogue_kept() | live
    schedules: list[dict[str, Any]] = _read(_schedules_remembered, [])
    if left is not None and left.arguments[STATE] != DONE:
        catalogue |= left.arguments.get("catalogue", {})
        if left.arguments[STATE] == SCHEDULES:
            schedules = left.arguments.get("schedules", [])
    for archive, proof in journal.arguments.get("proven", {}).items():
        catalogue[archive] = {**catalogue.get(archive, {}), **proof}
    journal.arguments["catalogue"], journal.arguments["schedules"] = catalogue, schedules
    connections.close_all()
    journal.save()


def _read(remembered: Callable[[], T], otherwise: T) -> T:
    try:
        return remembered()
    except DatabaseError:
        connections.close_all()
        return otherwise


def carry_over_due(journal: Journal) -> None:
    """Note in ``journal``, which the caller saves, that the restored data is live and what was remembered is to be put back."""
    journal.arguments[STATE] = SCHEDULES


def carry_over(journal: Journal) -> None:
    """Put back what ``journal`` remembers, and make the catalogue agree with the store. Can be run again after it was killed.

    Raises DatabaseError, :class:`~backups.exceptions.BackupError` (the store) or OSError; then the rest is still due.
    """
    if journal.arguments.get(STATE) == SCHEDULES:
        _schedules_put_back(journal.arguments.get("schedules", []))
        # From here on people may change them, however long the store does not answer.
        journal.arguments[STATE] = CATALOGUE
        journal.save()
    catalogue_reconcile(archive_store(), remembered=journal.arguments.get("catalogue"))
    for earlier in journal_load_all():
        # What those before it had not put back is in what this one remembered.
        if earlier.id != journal.id and earlier.arguments.get(STATE, DONE) != DONE:
            earlier.arguments[STATE] = DONE
            earlier.save()
    journal.arguments[STATE] = DONE
    journal.save()


def carry_over_finish() -> None:
    """Finish what the last restore left undone. The lock must be held. Raises what :func:`carry_over` raises."""
    if left := _left_undone():
        carry_over(left)


def carry_over_pending() -> bool:
    """Finish what the last restore left undone; False where an operation is at work, so that it cannot be done now.

    Raises what :func:`carry_over` raises.
    """
    if _left_undone() is None:
        return True
    try:
        with engine_for().lock("carry-over"):
            carry_over_finish()
    except OperationLocked:
        return False
    return True


def carry_over_keep() -> None:
    """Keep what is noted of the archives outside the database, unless a restore is at work or has left something undone.

    Raises DatabaseError, or BackupError where it cannot be written.
    """
    if _left_undone() is None and not is_gate_raised():
        catalogue_keep()


def schedules_are_todays() -> bool:
    """Whether the live schedules are those of today, and not what a restore brought; the catalogue may still be behind."""
    left = _left_undone()
    return left is None or left.arguments[STATE] != SCHEDULES


def _left_undone() -> Journal | None:
    """The last operation that replaced the live data, if what it remembers has not been put back; those before it do not matter."""
    swapped = [journal for journal in journal_load_all() if journal.is_finished and STATE in journal.arguments]
    last = max(swapped, key=lambda journal: journal.ended_at, default=None)
    return last if last is not None and last.arguments[STATE] != DONE else None


def _schedules_remembered() -> list[dict[str, Any]]:
    """All schedules, JSON-ready."""
    schedules = BackupSchedule.objects.values(*(field.attname for field in SCHEDULE_FIELDS))
    return [{name: _as_json(value) for name, value in schedule.items()} for schedule in schedules]


def _as_json(value: object) -> object:
    return value.isoformat() if isinstance(value, (datetime, time)) else value


def _schedule(remembered: dict[str, Any]) -> BackupSchedule:
    values = {field.attname: field.to_python(remembered[field.attname]) for field in SCHEDULE_FIELDS if field.attname in remembered}
    return BackupSchedule(**values)


def _schedules_put_back(remembered: Sequence[dict[str, Any]]) -> None:
    """Replace the restored schedules by today's.

    Those of the archive stay where today there are none, or only the one that every installation begins with and the archive has
    others: a site that is set up anew from its archive gets its own back. None of them fires for the past.
    """
    today = [_schedule(schedule) for schedule in remembered]
    with transaction.atomic():
        has_own = BackupSchedule.objects.filter(is_default=False).exists()
        if not today or (has_own and all(schedule.is_default for schedule in today)):
            BackupSchedule.objects.update(last_due_at=timezone.now(), attempts=0, next_attempt_at=None)
        else:
            BackupSchedule.objects.all().delete()
            BackupSchedule.objects.bulk_create(today)
