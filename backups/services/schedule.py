"""Scheduled backups: what the tick does for them.

A run counts its attempt in the row before it begins, and has been made when a finished journal says so. So two ticks at once
make one backup, a killed process costs a pause, and neither a restore nor a database error makes a run happen twice.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.core.mail import mail_admins
from django.db import DatabaseError, connections
from django.utils import timezone

from backups.conf import conf
from backups.engines import engine_for
from backups.exceptions import BackupError, OperationLocked, reason_of
from backups.gate import is_database_restore_in_progress
from backups.interrupts import interruptible
from backups.journal import Journal, journal_load_all
from backups.models import BackupSchedule
from backups.progress import Progress
from backups.schedules import due_between, next_runs, sentence
from backups.services.carry_over import carry_over_finish, carry_over_pending, schedules_are_todays
from backups.services.create import backup_create
from backups.services.lock import lock_taken
from backups.services.prune import backup_prune

__all__ = ["schedules_run"]

# Attempts at one due time, the first included.
ATTEMPTS = 4
# Seconds to wait for the lock; after that the run stays due, and the next tick waits again. A tick must not hold up a worker.
LOCK_SECONDS = 5.0
# A due time is never in the future, but where the clock was once set far ahead: such a one must not silence a schedule.
CLOCK_SET_BACK = timedelta(days=1)

logger = logging.getLogger(__name__)


def schedules_run(progress: Progress | None = None) -> None:
    """Make the backups that are due, each followed by a prune. One that fails does not keep the others from being made.

    During a restore nothing happens: the schedules that are live then may not be today's. Raises what
    :func:`~backups.services.carry_over.carry_over_pending` raises, and DatabaseError.
    """
    if is_database_restore_in_progress():
        return
    try:
        if not carry_over_pending():
            return
    except (BackupError, OSError):
        # A store that does not answer is told where the backup fails for it: in the row, on the health page and by mail.
        if not schedules_are_todays():
            raise
    for schedule in BackupSchedule.objects.filter(enabled=True):
        try:
            if _due(schedule, timezone.now()):
                with interruptible():
                    _run(schedule, Progress(sinks=list(progress.sinks)) if progress else Progress())
        except (BackupError, DatabaseError, OSError) as error:
            logger.error("The schedule %s could not be looked after: %s", schedule.key, reason_of(error))  # noqa: TRY400 - no trace needed
        except Exception:
            logger.exception("The schedule %s could not be looked after.", schedule.key)


def _due(schedule: BackupSchedule, now: datetime) -> datetime | None:
    """The due time that is to be run now, or None."""
    if schedule.last_due_at > now + CLOCK_SET_BACK:
        logger.warning("The schedule %s was last due in the future (%s): it begins anew.", schedule.key, schedule.last_due_at)
        BackupSchedule.objects.filter(key=schedule.key).update(last_due_at=now, attempts=0, next_attempt_at=None)
        return None
    due = due_between(schedule, schedule.last_due_at, now)
    is_pausing = schedule.next_attempt_at is not None and now < schedule.next_attempt_at <= now + _pause(ATTEMPTS)
    return None if is_pausing else due


def _pause(attempts: int) -> timedelta:
    """From the attempt of that number to the next: three times as long each time, but for the last, which has no next."""
    return timedelta(minutes=conf.retry_minutes * 3 ** (min(attempts, ATTEMPTS - 1) - 1))


def _run(schedule: BackupSchedule, progress: Progress) -> None:
    try:
        with lock_taken(engine_for(), "schedule", wait=LOCK_SECONDS):
            # A restore may have held it until now: other connections, other rows, and perhaps not yet today's.
            connections.close_all()
            carry_over_finish()
            claimed = _claim(schedule.key)
    except OperationLocked as error:
        logger.info("The schedule %s is due and waits: %s", schedule.key, error.message)
        return
    except (BackupError, OSError) as error:
        # Nothing to lock with, or a store that does not answer: without this, such a night would never count as failed.
        if claimed := _claim(schedule.key):
            _failed(*claimed, error)
        return
    if claimed is None:
        return
    schedule, due = claimed
    logger.info("The scheduled backup of %s begins (schedule %s).", _instant(due), schedule.key)
    try:
        made = backup_create(
            trigger=schedule.trigger,
            note=schedule.note,
            uploads=schedule.uploads,
            gentle=True,
            requested_by=f"schedule {schedule.key}",
            wait=LOCK_SECONDS,
            progress=progress,
        )
    except OperationLocked as error:
        logger.info("The schedule %s is due and waits: %s", schedule.key, error.message)
        _release(schedule)
    except Exception as error:
        _failed(schedule, due, error)
    else:
        _settle(schedule, due)
        logger.info("The scheduled backup of %s is made: %s", _instant(due), made.location)
        _prune(schedule, Progress(sinks=list(progress.sinks)))


def _claim(key: str) -> tuple[BackupSchedule, datetime] | None:
    """Count an attempt at what is due; None where it has been made, given up or changed meanwhile.

    The lock is held, so that no backup is at work: what began has ended, and its journal says how.
    """
    now = timezone.now()
    schedule = BackupSchedule.objects.filter(key=key, enabled=True).first()
    due = _due(schedule, now) if schedule else None
    if schedule is None or due is None:
        return None
    runs = _runs_since(schedule, due)
    if any(journal.status == "done" for journal in runs):
        _settle(schedule, due)
        return None
    if schedule.attempts >= ATTEMPTS:
        # The last one was killed before it could say so itself.
        _give_up(schedule, due, runs[-1].error if runs else "The process was ended in the middle of the last attempt.")
        return None
    schedule.attempts += 1
    schedule.next_attempt_at = now + _pause(schedule.attempts)
    BackupSchedule.objects.filter(key=key).update(attempts=schedule.attempts, next_attempt_at=schedule.next_attempt_at)
    return schedule, due


def _runs_since(schedule: BackupSchedule, due: datetime) -> list[Journal]:
    """The backups that this schedule has begun since ``due``, oldest first."""
    return [
        journal
        for journal in journal_load_all()
        if journal.kind == "create"
        and journal.arguments.get("trigger") == schedule.trigger
        and journal.started_at
        and datetime.fromisoformat(journal.started_at) >= due
    ]


def _settle(schedule: BackupSchedule, due: datetime) -> None:
    """Note that the backup due then is made; a schedule whose times were changed meanwhile has begun anew and stays so."""
    BackupSchedule.objects.filter(key=schedule.key, last_due_at__lt=due).update(
        last_due_at=due, attempts=0, next_attempt_at=None, last_error=""
    )


def _release(schedule: BackupSchedule) -> None:
    """Take back an attempt that another operation has kept from beginning."""
    before = schedule.attempts - 1
    BackupSchedule.objects.filter(key=schedule.key, attempts=schedule.attempts).update(
        attempts=before, next_attempt_at=timezone.now() if before else None
    )


def _failed(schedule: BackupSchedule, due: datetime, error: Exception) -> None:
    if schedule.attempts >= ATTEMPTS:
        _give_up(schedule, due, reason_of(error))
        return
    logger.warning(
        "The scheduled backup of %s failed (attempt %d of %d, the next in %d minutes): %s",
        _instant(due),
        schedule.attempts,
        ATTEMPTS,
        _pause(schedule.attempts).total_seconds() / 60,
        reason_of(error),
    )


def _give_up(schedule: BackupSchedule, due: datetime, reason: str) -> None:
    """Report that there is no backup of ``due``: in the row (for the health page), in the log and by mail."""
    BackupSchedule.objects.filter(key=schedule.key, last_due_at__lt=due).update(
        last_due_at=due, attempts=0, next_attempt_at=None, last_error=reason
    )
    following = _instant(next_runs(schedule, timezone.now(), count=1)[0])
    logger.error("The scheduled backup of %s was given up after %d attempts: %s", _instant(due), ATTEMPTS, reason)
    text = (
        f"The backup that was due at {_instant(due)} was not made, in {ATTEMPTS} attempts.\n\n"
        f"Last attempt: {reason}\n"
        f"Schedule: {sentence(schedule)}\n"
        f"Next run: {following}\n\n"
        "To see how things stand, run: manage.py backup_status\n"
        "To make a backup now, run: manage.py backup_create\n"
    )
    try:
        mail_admins("A scheduled backup failed", text)
    except Exception as error:  # each mail backend has errors of its own
        logger.error("The mail to the admins could not be sent: %s", reason_of(error))  # noqa: TRY400 - no trace needed


def _prune(schedule: BackupSchedule, progress: Progress) -> None:
    try:
        backup_prune(requested_by=f"schedule {schedule.key}", wait=LOCK_SECONDS, progress=progress)
    except OperationLocked as error:
        logger.info("Pruning waits for the next backup: %s", error.message)
    except Exception as error:
        # The backup is made; the failure is in the history, where the health page finds it.
        logger.error("Pruning after the scheduled backup failed: %s", reason_of(error))  # noqa: TRY400 - no trace needed


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
