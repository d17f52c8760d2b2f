"""Rows as an index of the store: written after each operation, rebuilt from the store after a restore.

What people and verifications have noted of an archive is in its row, and in the file ``noted`` in ``BACKUPS_STATE_DIR``, from which
rows that are made anew get it back: a database that was lost must not cost a pin. When an archive is gone from the store, it goes
into the file ``vanished`` there, and is put back when the archive is there again: nor must a disk that was not mounted, or a
store that was named wrong for a day.

Every function here takes the database as it finds it: the caller decides whether a database error matters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils import timezone

from backups.archive import ArchiveReader
from backups.conf import conf
from backups.exceptions import BackupError
from backups.files import write_durably
from backups.journal import Journal, journal_load_all
from backups.manifest import LARGEST_COUNT, Manifest
from backups.models import Backup, Operation
from backups.outcomes import CANCELLED_BY
from backups.storage import ArchiveStore, StoredArchive

__all__ = [
    "Origin",
    "Reconciled",
    "catalogue_forget",
    "catalogue_keep",
    "catalogue_kept",
    "catalogue_reconcile",
    "catalogue_record",
    "catalogue_remembered",
    "catalogue_verified",
    "history_bytes",
    "history_record",
]

# Files in BACKUPS_STATE_DIR, by the names of archives: what was noted of those that are gone from the store, and what is noted of
# those that are in it, for the day on which the rows are gone.
VANISHED, KEPT = "vanished", "noted"
# Each of them keeps the newest so many.
MOST_NOTED = 10_000
# New rows that are written in one transaction: one of its own for each took half the time on SQLite (10,000 archives, measured).
ROWS_AT_ONCE = 100
# What a row knows of an archive that the archive itself does not.
NOTED = ("pinned", "note", "verified_at", "problem", "requested_by", "is_uploaded")


@dataclass(frozen=True)
class Origin:
    """Who made an archive, or brought it here. An archive itself does not say."""

    requested_by: str = ""
    is_uploaded: bool = False


@dataclass
class Reconciled:
    """What :func:`catalogue_reconcile` found: names whose row was added or removed, and archives it could not read."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def catalogue_remembered() -> dict[str, dict[str, Any]]:
    """What people and verifications have noted of each archive, JSON-ready: a restore would rewind it."""
    return {
        str(row.pop("name")): {**row, "verified_at": row["verified_at"].isoformat() if row["verified_at"] else None}
        for row in Backup.objects.values("name", *NOTED)
    }


def catalogue_kept() -> dict[str, dict[str, Any]]:
    """The same as :func:`catalogue_keep` has kept it last; asks no database, and is empty where nothing can be read."""
    return _noted_read(KEPT)


def catalogue_keep() -> None:
    """Keep what is noted of the archives outside the database, too. The rows must be today's, and not what a restore brought.

    What is kept of archives that have no row stays: their rows may be lost. Raises BackupError where it cannot be written.
    """
    kept = catalogue_kept()
    if (today := kept | catalogue_remembered()) != kept:
        _noted_write(KEPT, today)


def catalogue_record(name: str, size: int, manifest: Manifest, signature: str, *, origin: Origin | None = None) -> Backup:
    """Make or refresh the row of one archive; pins and notes that a person changed later stay, and without ``origin`` that, too."""
    facts: dict[str, Any] = {
        "archive_id": manifest.id,
        "created_at": manifest.created_at,
        "trigger": manifest.trigger,
        "size": size,
        "app_version": manifest.app_version,
        "vendor": manifest.database.vendor,
        "server_version": manifest.database.server_version,
        "row_count": min(sum(manifest.rows.values()), LARGEST_COUNT),
        "has_uploads": manifest.uploads.included,
        "upload_count": manifest.uploads.count,
        "upload_bytes": manifest.uploads.bytes,
        "missing_uploads": len(manifest.uploads.missing),
        "signature": signature,
        **(asdict(origin) if origin else {}),
    }
    facts = {column: _fitting(column, fact) for column, fact in facts.items()}
    backup, _ = Backup.objects.update_or_create(
        name=name, defaults=facts, create_defaults={**facts, "note": manifest.note, "pinned": manifest.pinned}
    )
    return backup


def _fitting(column: str, fact: Any) -> Any:
    """As much of a text as its column takes: an archive may say anything of itself, and one without a row would stop every prune."""
    return fact[: getattr(Backup._meta.get_field(column), "max_length", None)] if isinstance(fact, str) else fact


def catalogue_forget(name: str) -> None:
    """Remove the row of an archive that was deleted on purpose, and what is noted of it: another of that name begins anew.

    Raises BackupError where what is noted outside the database cannot be written; then the row is still there.
    """
    for file in (VANISHED, KEPT):
        noted = _noted_read(file)
        if name in noted:
            _noted_write(file, {other: about for other, about in noted.items() if other != name})
    Backup.objects.filter(name=name).delete()


def catalogue_verified(name: str, *, problem: str = "") -> None:
    """Note the outcome of a verification; a problem keeps the time of the last good one."""
    outcome: dict[str, str | datetime] = {"problem": problem}
    if not problem:
        outcome["verified_at"] = timezone.now()
    Backup.objects.filter(name=name).update(**outcome)


def history_record(journal: Journal) -> None:
    """Make or refresh the row of an operation that has ended; a new one of a restore or undo goes into the admin's log, too.

    What the admin's log said when it was asked for was in the data that it replaced. That somebody cancelled an operation goes there
    as well: the page where that is done asks no database.
    """
    with transaction.atomic():
        operation, is_new = Operation.objects.update_or_create(
            operation_id=journal.id,
            defaults={
                "kind": journal.kind,
                "status": journal.status,
                "archive": journal.archive,
                "requested_by": journal.requested_by,
                "started_at": datetime.fromisoformat(journal.started_at or journal.created_at),
                "ended_at": datetime.fromisoformat(journal.ended_at) if journal.ended_at else None,
                "report": journal.report,
                "error": journal.error,
            },
        )
        if is_new and journal.kind in ("restore", "undo") and journal.status in ("done", "recovered"):
            _log_entry(operation, who=operation.requested_by, act=operation.kind.capitalize())
        elif is_new and journal.outcome == "cancelled":
            _log_entry(operation, who=str(journal.report[CANCELLED_BY]), act=f"Cancel: {operation.kind}")


def _log_entry(operation: Operation, *, who: str, act: str) -> None:
    """Say in the admin's log who did what with it, where the data has an account of that name."""
    accounts = get_user_model()
    account = accounts.objects.filter(**{accounts.USERNAME_FIELD: who}).first() if who else None
    if account is not None:
        LogEntry.objects.create(
            user_id=account.pk,
            action_time=operation.ended_at or timezone.now(),
            content_type=ContentType.objects.get_for_model(Operation),
            object_id=str(operation.pk),
            object_repr=str(operation),
            action_flag=CHANGE,
            change_message=": ".join(filter(None, [act, operation.archive])),
        )


def history_bytes(journal: Journal) -> bytes:
    """The record of an operation that lies beside the archives: the journal without what only this host needs."""
    record = {key: value for key, value in asdict(journal).items() if key not in ("database", "uploads", "kept", "pid")}
    return json.dumps(record, indent=1, sort_keys=True).encode()


def catalogue_reconcile(store: ArchiveStore, *, remembered: Mapping[str, Mapping[str, Any]] | None = None) -> Reconciled:
    """Make the rows agree with the store: the archives, and the history of operations.

    ``remembered`` (of :func:`catalogue_remembered`, before a restore) is put back on the rows of the same names. Only archives
    that have no row are opened (their manifest is read by ranges). An archive or a record of the history that cannot be
    read gets no row and is named in the result. Raises BackupError where what is noted of vanished archives cannot be kept.
    """
    found = Reconciled()
    vanished, kept = _noted_read(VANISHED), catalogue_kept()
    stored = {archive.name: archive for archive in store.list()}
    known = set(Backup.objects.values_list("name", flat=True))
    unknown = sorted(stored.keys() - known)
    for start in range(0, len(unknown), ROWS_AT_ONCE):
        _rows_add(store, [stored[name] for name in unknown[start : start + ROWS_AT_ONCE]], found)
    found.removed = sorted(known - stored.keys())
    outside = kept | vanished
    noted = {name: outside[name] for name in found.added if name in outside} | dict(remembered or {})
    if gone := {name: about for name, about in (catalogue_remembered() | noted).items() if name not in stored}:
        _noted_write(VANISHED, vanished | gone)
    # Before the transaction: while it is open, nobody else could write to a SQLite database.
    ended = _ended_operations(store, found)
    with transaction.atomic():
        Backup.objects.filter(name__in=found.removed).delete()
        for name, about in noted.items():
            Backup.objects.filter(name=name).update(**about)
        _origins_fill(ended.values())
        recorded = set(Operation.objects.values_list("operation_id", flat=True))
        for operation_id in ended.keys() - recorded:
            history_record(ended[operation_id])
    if back := vanished.keys() & stored.keys() - found.unreadable.keys():
        _noted_write(VANISHED, {name: about for name, about in vanished.items() if name not in back} | gone)
    today = {name: about for name, about in kept.items() if name in stored} | catalogue_remembered()
    if today != kept:
        # Where the disk is full, pruning must go on; the tick tells.
        with suppress(BackupError):
            _noted_write(KEPT, today)
    return found


def _rows_add(store: ArchiveStore, archives: Iterable[StoredArchive], found: Reconciled) -> None:
    """Make the rows of ``archives`` in one transaction, which is not open while they are read."""
    read = []
    for archive in archives:
        try:
            with store.open(archive.name) as source, ArchiveReader(source, name=archive.name) as reader:
                # A row knows nothing of single members, and there may be hundreds of thousands.
                read.append((archive, replace(reader.manifest, members=()), reader.signature))
        except BackupError as error:
            found.unreadable[archive.name] = error.message
    with transaction.atomic():
        for archive, manifest, signature in read:
            catalogue_record(archive.name, archive.size, manifest, signature)
    found.added.extend(archive.name for archive, _, _ in read)


def _origins_fill(ended: Iterable[Journal]) -> None:
    """Say of the archives whose row does not who made or brought them, as far as the history knows."""
    origins = _origins(ended)
    for name in Backup.objects.filter(requested_by="", is_uploaded=False).values_list("name", flat=True):
        if name in origins:
            Backup.objects.filter(name=name).update(**asdict(origins[name]))


def _origins(ended: Iterable[Journal]) -> dict[str, Origin]:
    """The origin of each archive that the operations brought about and did not remove again."""
    origins: dict[str, Origin] = {}
    for journal in sorted(ended, key=lambda journal: journal.ended_at):
        if journal.kind == "create" and journal.status == "done":
            origins[journal.archive] = Origin(journal.requested_by)
        elif journal.kind == "upload" and journal.report.get("is_new"):
            origins[journal.archive] = Origin(journal.requested_by, is_uploaded=True)
        elif journal.kind == "upload" and journal.report.keys() <= {CANCELLED_BY}:
            # Ended after it had named the archive: it may have been the one that brought it.
            origins.setdefault(journal.archive, Origin(journal.requested_by, is_uploaded=True))
        elif journal.kind == "delete" and journal.status == "done":
            origins.pop(journal.archive, None)
        elif journal.kind == "prune":
            for name in journal.report.get("removed", ()):
                origins.pop(name, None)
        # Of a restore in place: what was live before.
        if safety := str(journal.kept.get("archive", "")):
            origins[safety] = Origin(journal.requested_by)
    return origins


def _noted_read(file: str) -> dict[str, dict[str, Any]]:
    with suppress(OSError, ValueError):
        data = json.loads((conf.state_dir / file).read_bytes())
        if isinstance(data, dict):
            return {name: about for name, about in data.items() if isinstance(about, dict) and about.keys() <= set(NOTED)}
    return {}


def _noted_write(file: str, noted: Mapping[str, Mapping[str, Any]]) -> None:
    # Names begin with the time: those that are too many are the oldest.
    kept = {name: noted[name] for name in sorted(noted)[-MOST_NOTED:]}
    try:
        write_durably(conf.state_dir / file, json.dumps(kept, indent=1).encode())
    except OSError as error:
        raise BackupError(
            f"What is noted of the archives cannot be kept: {error.strerror} ({conf.state_dir / file}).",
            state="The catalogue is as it was.",
            next_step="Free some space there, or make it writable, then run: manage.py backup_list --reconcile",
        ) from error


def _ended_operations(store: ArchiveStore, found: Reconciled) -> dict[str, Journal]:
    """The journals of this host and the records beside the archives, by their ids; ``found`` takes those that say nothing."""
    ended = {journal.id: journal for journal in journal_load_all() if journal.is_finished}
    for operation_id, data in store.records():
        if operation_id in ended:
            continue
        try:
            record = json.loads(data)
            journal = Journal(**{key: record[key] for key in Journal.__dataclass_fields__ if key in record})
            datetime.fromisoformat(journal.started_at or journal.created_at)
            datetime.fromisoformat(journal.ended_at)
        except (ValueError, TypeError) as error:
            found.unreadable[f"history/{operation_id}.json"] = f"It is no record of an operation: {error}"
        else:
            ended[operation_id] = journal
    return ended
