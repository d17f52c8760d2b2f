"""``python -m backups.tests.browser.past ARCHIVE``: give a site the weeks before today, out of the one archive that it has.

Each past archive is ARCHIVE under another name, with a row and a run of the history that say when it was made, how large it
was and how much was free then: told from now, from ARCHIVE's size, and from what is free.
"""

from __future__ import annotations

import secrets
import sys
from datetime import datetime, timedelta
from typing import Any

from backups.tests.site import Site

__all__ = ["give_past"]

DAYS = 34
# Each day the site has so many rows more, and its archive so many thousandths of today's size.
ROWS, THOUSANDTHS = 9, 11
# At the pace of this past the disk is full so many days from now.
DAYS_LEFT = 50


def give_past(site: Site, archive: str) -> None:
    """The same, from a test."""
    process = site.run_python("-m", __name__, archive)
    output = process.communicate(timeout=120)
    assert process.returncode == 0, output


def main(archive: str) -> None:
    """Make it."""
    import django

    django.setup()
    from django.conf import settings
    from django.utils import timezone

    from backups.models import Backup, BackupSchedule
    from backups.storage import archive_store

    free = archive_store().free_bytes()
    assert free is not None, "a local store"
    original = Backup.objects.get(name=archive)
    folder = settings.DATA_DIR / "backups"
    nightly = BackupSchedule.objects.earliest("pk").trigger
    same = ("app_version", "vendor", "server_version", "upload_count", "upload_bytes", "signature")
    facts = {name: getattr(original, name) for name in same}
    # Day by day, as keep rules leave them: all of the last week, then one a week.
    days = [day for day in range(1, DAYS) if day <= 7 or day % 7 == 0]
    special: dict[int, dict[str, Any]] = {
        9: {"trigger": "manual", "note": "before the new rates", "pinned": True, "requested_by": "admin"},
        4: {"trigger": "before-migrate", "note": "before migrations"},
        2: {"trigger": "manual", "note": "of the old server", "is_uploaded": True, "requested_by": "keeper", "signature": "unknown key"},
    }
    tonight = timezone.now().replace(hour=2, minute=30, second=7, microsecond=0)
    for day in sorted({*days, *special}, reverse=True):
        about = {"trigger": nightly, "note": "", **facts, **special.get(day, {})}
        at = tonight - timedelta(days=day) + (timedelta(hours=7, minutes=41) if day in special else timedelta())
        archive_id = secrets.token_hex(16)
        name = f"backup_{at:%Y%m%d_%H%M%S}_{archive_id[:8]}.zip"
        (folder / name).hardlink_to(folder / archive)
        size = original.size * (1000 - THOUSANDTHS * day) // 1000
        Backup.objects.create(
            name=name,
            archive_id=archive_id,
            created_at=at,
            size=size,
            row_count=original.row_count - ROWS * day,
            has_uploads=True,
            verified_at=at + timedelta(seconds=4),
            **about,
        )
        if not about.get("is_uploaded"):
            _run_of(name, at, size, free=free + day * free // DAYS_LEFT, requested_by=about.get("requested_by", ""))


def _run_of(archive: str, at: datetime, size: int, *, free: int, requested_by: str) -> None:
    """A line of the history."""
    from backups.models import Operation

    Operation.objects.create(
        operation_id=secrets.token_hex(16),
        kind="create",
        status="done",
        archive=archive,
        requested_by=requested_by,
        started_at=at,
        ended_at=at + timedelta(seconds=4),
        report={
            "archive": archive,
            "bytes": size,
            "rows": 13_000,
            "database_bytes": 2 * size,
            "upload_bytes": size // 2,
            "free_bytes": free,
            "seconds": {"preflight": 0.1, "dump": 1.9, "verify": 1.2, "store": 0.4},
        },
    )


if __name__ == "__main__":
    main(sys.argv[1])
