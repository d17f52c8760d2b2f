"""What the tests of the pages of restore and undo share: people, workers, archives and previews as rows and journals.

The fixtures are used by importing them; nothing here opens an archive, or restores.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connections
from django.test import Client
from pytest_django import Settings

from backups.conf import conf
from backups.journal import Journal, journal_load_all
from backups.models import Backup
from backups.pages.place import ADMIN, SITE
from backups.presence import worker_announce
from backups.services.request import requests_run
from backups.tests import reading
from backups.tests.stored import store_of_its_own

__all__ = [
    "NAME",
    "PASSWORD",
    "PLACES",
    "SITE_NAME",
    "acts",
    "ann",
    "archived",
    "busy_worker",
    "person",
    "post",
    "previewed",
    "surroundings",
    "text_of",
    "waiting",
    "worker",
]

PASSWORD = "correct horse battery"
SITE_NAME = "Placeholder & Daughters"
NAME = "backup_20260301_080000_98b10547.zip"
PLACES = pytest.mark.parametrize("place", [ADMIN, SITE], ids=lambda place: place.name)


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, settings: Settings) -> None:
    """A store and uploads of the test's own, and a site with a name."""
    store_of_its_own(settings, tmp_path / "store")
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.BACKUPS_SITE_NAME = "backups.tests.restoring.site_name"


def site_name() -> str:
    """The name that is typed."""
    return SITE_NAME


def person(*rights: str, name: str = "ann", is_superuser: bool = False) -> Client:
    """The browser of somebody on the staff with these rights; it insists on the token against forged requests."""
    account = get_user_model().objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser=is_superuser)
    account.user_permissions.set(Permission.objects.filter(codename__in=[f"{right}_backup" for right in rights]))
    client = Client(enforce_csrf_checks=True)
    client.force_login(account)
    return client


@pytest.fixture
def ann() -> Client:
    """Somebody who may restore."""
    return person("view", "restore")


@pytest.fixture
def worker() -> Iterator[None]:
    """Somebody who works requests off as they come."""
    yield from beside(requests_run)


@pytest.fixture
def busy_worker() -> Iterator[None]:
    """A worker that is there, and at something else: what is asked for waits."""
    Journal(kind="verify", archive=NAME).start()
    yield from beside(lambda: worker_announce("worker@host"))


def beside(act: Any) -> Iterator[None]:
    """``act`` again and again in a thread of its own."""
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.wait(0.01):
                act()
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


def text_of(response: Any) -> str:
    """What a person reads in the page's own part."""
    return reading.text_of(response, since='<div class="backups-page">').replace(" .", ".").replace("  ", " ")


def post(client: Client, path: str, **fields: str) -> Any:
    """The form at ``path`` as a browser sends it: after a look at the page, with its token."""
    client.get(path)
    token = client.cookies["csrftoken"].value
    return client.post(path, {"csrfmiddlewaretoken": token, **fields})


def waiting(kind: str) -> list[Journal]:
    """The requests of this kind that nobody has begun."""
    return [journal for journal in journal_load_all() if journal.kind == kind and journal.status == "queued"]


def acts() -> list[dict[str, Any]]:
    """What stands in the audit file."""
    path = conf.state_dir / "audit.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def archived(**fields: Any) -> Backup:
    """A row of an archive, without the archive: no page opens it."""
    facts = {
        "archive_id": "98b10547" * 4,
        "created_at": datetime(2026, 3, 1, 8, tzinfo=UTC),
        "trigger": "manual",
        "note": "Friday evening",
        "size": 1_800_000,
        "app_version": "0.1.0",
        "vendor": "sqlite",
        "server_version": "3.40.1",
        "row_count": 1437,
        "has_uploads": True,
        "upload_count": 154,
        "upload_bytes": 1_700_000,
    }
    return Backup.objects.create(name=NAME, **{**facts, **fields})


def previewed(*, by: str = "ann", minutes_ago: float = 3, status: str = "done", error: str = "", **changes: Any) -> Journal:
    """The journal of a preview that has ended; ``changes`` of what it found."""
    report: dict[str, Any] = {
        "signature": "valid",
        "plan": {
            "strategy": "swap",
            "seconds_closed": 0.1,
            "tools": {"sqlite": "3.40.1"},
            "spaces": [
                {"disk": "the disk of the database", "needed": 18_800_000, "free": None},
                {"disk": "the disk of /srv/media", "needed": 1_700_000_000, "free": 2_500_000_000},
            ],
        },
        "rows": {
            "tracking_timeentry": [395, 400],
            "clients_client": [14, 13],
            "billing_invoice": [7, 7],
            "django_session": [3, 0],
            "backups_backup": [9, 1],
            "of_another_app": [0, 2],
        },
        "newer": {"clients.Client": 1, "tracking.TimeEntry": 1203, "gone.Model": 2},
        "migrations": ["clients.0007_something"],
        "accounts": [{"username": "hired", "sentence": "does not exist in the archive and could not log in afterwards"}],
        "own": {"username": by, "could_log_in": True, "sentence": "as today"},
        "administrators": ["chief"],
        "uploads": {"added": 2, "changed": 1, "kept": 150, "others": 4},
        "has_uploads": True,
        "missing_uploads": 0,
        "warnings": ["The grants of the role nobody are left out."],
        "unread": "",
        "archive_id": "98b10547" * 4,
        "digest": "d" * 64,
        "created_at": "2026-03-01T08:00:00+00:00",
    }
    journal = Journal(kind="preview", archive=NAME, requested_by=by, arguments={"uploads": "merge"})
    journal.start()
    journal.report = {**report, **changes} if status == "done" else changes
    journal.end(status, error=error)
    ended = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    journal.created_at = journal.started_at = journal.ended_at = ended.isoformat()
    journal.save()
    return journal
