"""``python -m backups.tests.many_archives COUNT``: a store with so many archives, in a site's own environment, as years of nights leave it.

Each is the one archive that lies there already, under another name (a hard link): they can all be opened, and cost no disk. With
each goes its row and the record of how it was made; half of them are of the site's schedule, so that its keep rules have
something to judge.

``python -m backups.tests.many_archives look`` then asks for the admin's list as a browser would, and prints what it took as JSON:
``milliseconds`` of each of five, ``queries`` of the last, and ``peak_kib`` of the process before and after.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta

import django

from backups.tests.measured import peak_kib

BETWEEN = timedelta(hours=6)


def archives_multiply(count: int) -> None:
    """Make ``count`` archives of the one that is there."""
    from django.utils import timezone

    from backups.archive import archive_name
    from backups.models import Backup, BackupSchedule, Operation
    from backups.storage import archive_store

    folder = archive_store().local_root
    assert folder is not None, "the store is a folder"
    first = Backup.objects.get()
    now = timezone.now().replace(microsecond=0)
    trigger = BackupSchedule.objects.get().trigger
    of_first = {field.attname: getattr(first, field.attname) for field in Backup._meta.concrete_fields if not field.primary_key}
    rows, history = [], []
    for number in range(1, count):
        at = now - BETWEEN * number
        identity = f"{number:032x}"
        name = archive_name(at, identity[::-1])
        os.link(folder / first.name, folder / name)
        facts = {**of_first, "name": name, "archive_id": identity, "created_at": at, "verified_at": at, "note": f"night {number}"}
        rows.append(Backup(**facts | ({"trigger": trigger} if number % 2 else {})))
        report = {"archive": name, "bytes": first.size, "free_bytes": 10**11 - 10**7 * (count - number), "seconds": {"dump": 1.0}}
        history.append(
            Operation(operation_id=identity, kind="create", status="done", archive=name, started_at=at, ended_at=at, report=report)
        )
    Backup.objects.bulk_create(rows, batch_size=500)
    Operation.objects.bulk_create(history, batch_size=500)


def list_look() -> None:
    """Ask for the list, and print what it took."""
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    browser = Client()
    browser.force_login(get_user_model().objects.get_or_create(username="chief", defaults={"is_staff": True, "is_superuser": True})[0])

    def look() -> bytes:
        answer = browser.get("/admin/backups/backup/")
        assert answer.status_code == 200, answer.status_code
        return answer.content

    look()
    before, milliseconds = peak_kib(), []
    for _ in range(5):
        began = time.perf_counter()
        look()
        milliseconds.append(round((time.perf_counter() - began) * 1000))
    with CaptureQueriesContext(connection) as queries:
        page = look()
    print(
        json.dumps(
            {
                "milliseconds": milliseconds,
                "queries": len(queries),
                "peak_kib": [before, peak_kib()],
                "rows": page.count(b'name="_selected_action"'),
                "bytes": len(page),
            }
        )
    )


if __name__ == "__main__":
    django.setup()
    if sys.argv[1] == "look":
        list_look()
    else:
        archives_multiply(int(sys.argv[1]))
