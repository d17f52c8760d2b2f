"""A store of the test's own, with archives in it that nobody opens, and the rows and journals that go with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_django import Settings

from backups.journal import Journal
from backups.models import Backup

__all__ = ["archive_placed", "journal_ended", "store_of_its_own"]

MORNING = datetime(2026, 3, 1, 8, tzinfo=UTC)


def store_of_its_own(settings: Settings, folder: Path) -> Path:
    """Let the archives live in ``folder``, which is made."""
    store = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}}
    settings.STORAGES = {**settings.STORAGES, "backups": store}
    folder.mkdir(mode=0o700)
    return folder


def archive_placed(store: Path, hour: int = 0, *, content: bytes = b"not opened", identity: str = "98b10547", **fields: Any) -> str:
    """An archive made so many hours after the first one, as a file and as a row; returns its name."""
    created_at = MORNING + timedelta(hours=hour)
    name = f"backup_{created_at:%Y%m%d_%H%M%S}_{identity}.zip"
    (store / name).write_bytes(content)
    facts = {"archive_id": identity, "trigger": "manual", "vendor": "sqlite", "row_count": 5, "has_uploads": False}
    Backup.objects.create(name=name, created_at=created_at, size=len(content), **{**facts, **fields})
    return name


def journal_ended(kind: str, hour: int = 0, **values: Any) -> Journal:
    """A finished operation, ``hour`` after the first archive."""
    at = (MORNING + timedelta(hours=hour)).isoformat()
    journal = Journal(
        **{"kind": kind, "status": "done", "created_at": at, "started_at": at, "ended_at": at, "requested_by": "ada", **values}
    )
    journal.save()
    return journal
