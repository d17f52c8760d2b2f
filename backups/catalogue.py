"""Rows as an index of the store: written after each operation, rebuilt from the store after a restore.

Every function here takes the database as it finds it: the caller decides whether a database error matters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from backups.archive import ArchiveReader
from backups.exceptions import BackupError
from backups.journal import Journal, journal_load_all
from backups.manifest import Manifest
from backups.models import Backup, Operation
from backups.storage import ArchiveStore

__all__ = [
    "Reconciled",
    "catalogue_reconcile",
    "catalogue_record",
    "catalogue_remembered",
    "catalogue_verified",
    "history_bytes",
    "history_record",
]


@dataclass
class Reconciled:
    """What :func:`catalogue_reconcile` found: names whose row was added or removed, and archives it could not read."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def catalogue_remembered() -> dict[str, dict[str, Any]]:
    """What people and verifications have noted of each archive, JSON-ready: a restore would rewind it."""
    fields = ("pinned", "note", "verified_at", "problem")
    return {
        name: {"pinned": pinned, "note": note, "verified_at": verified_at.isoformat() if verified_at else None, "problem": problem}
        for name, pinned, note, verified_at, problem in Backup.objects.values_list("name", *fields)
    }


def catalogue_record(name: str, size: int, manifest: Manifest, signature: str) -> Backup:
    """Make or refresh the row of one archive; pins and notes that a person changed later stay."""
    facts = {
        "archive_id": manifest.id,
        "created_at": manifest.created_at,
        "trigger": manifest.trigger,
        "size": size,
        "app_version": manifest.app_version,
        "vendor": manifest.database.vendor,
        "server_version": manifest.database.server_version,
        "row_count": sum(manifest.rows.values()),
        "has_uploads": manifest.uploads.included,
        "upload_count": manifest.uploads.count,
        "upload_bytes": manifest.uploads.bytes,
        "missing_uploads": len(manifest.uploads.missing),
        "signature": signature,
    }
    backup, _ = Backup.objects.update_or_create(
        name=name, defaults=facts, create_defaults={**facts, "note": manifest.note, "pinned": manifest.pinned}
    )
    return backup


def catalogue_verified(name: str, *, problem: str = "") -> None:
    """Note the outcome of a verification; a problem keeps the time of the last good one."""
    outcome: dict[str, str | datetime] = {"problem": problem}
    if not problem:
        outcome["verified_at"] = timezone.now()
    Backup.objects.filter(name=name).update(**outcome)


def history_record(journal: Journal) -> None:
    """Make or refresh the row of an operation that has ended."""
    Operation.objects.update_or_create(
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


def history_bytes(journal: Journal) -> bytes:
    """The record of an operation that lies beside the archives: the journal without what only this host needs."""
    record = {key: value for key, value in asdict(journal).items() if key not in ("database", "uploads", "kept", "pid")}
    return json.dumps(record, indent=1, sort_keys=True).encode()


def catalogue_reconcile(store: ArchiveStore, *, remembered: Mapping[str, Mapping[str, Any]] | None = None) -> Reconciled:
    """Make the rows agree with the store: the archives, and the history of operations.

    ``remembered`` (of :func:`catalogue_remembered`, before a restore) is put back on the rows of the same names. Only archives
    that have no row are opened (their manifest is read by ranges). An archive or a record of the history that cannot be
    read gets no row and is named in the result.
    """
    found = Reconciled()
    stored = {archive.name: archive for archive in store.list()}
    known = set(Backup.objects.values_list("name", flat=True))
    for name in sorted(stored.keys() - known):
        try:
            with store.open(name) as source, ArchiveReader(source, name=name) as reader:
                catalogue_record(name, stored[name].size, reader.manifest, reader.signature)
        except BackupError as error:
            found.unreadable[name] = error.message
        else:
            found.added.append(name)
    found.removed = sorted(known - stored.keys())
    # Before the transaction: while it is open, nobody else could write to a SQLite database.
    ended = _ended_operations(store, found)
    with transaction.atomic():
        Backup.objects.filter(name__in=found.removed).delete()
        for name, noted in (remembered or {}).items():
            Backup.objects.filter(name=name).update(**noted)
        recorded = set(Operation.objects.values_list("operation_id", flat=True))
        for operation_id in ended.keys() - recorded:
            history_record(ended[operation_id])
    return found


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
