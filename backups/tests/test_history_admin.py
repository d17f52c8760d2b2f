"""The history of operations in the admin: who may see it, what it says, and that a restore does not rewind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponseBase
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backups.models import Operation
from backups.tests.reading import text_in
from backups.tests.site import Site
from backups.tests.staff import staff_browser
from backups.tests.stored import MORNING
from backups.tests.workers import in_the_site

HISTORY = "/admin/backups/operation/"
ARCHIVE = "backup_20260301_080000_98b10547.zip"
LogIn = Callable[..., Client]


@pytest.fixture
def log_in(db: None, own_gate: None) -> LogIn:
    """A browser of somebody on the staff with the named permissions."""

    def log_in(*permissions: str, **account: Any) -> Client:
        return staff_browser("bo", *permissions, **account)

    return log_in


@pytest.fixture
def several(db: None) -> dict[str, str]:
    """One operation of each outcome: what it is called here, by its id."""
    about: dict[str, dict[str, Any]] = {
        "made": {"kind": "create", "archive": ARCHIVE, "requested_by": "ada"},
        "torn": {"kind": "verify", "status": "failed", "archive": ARCHIVE, "error": "The member db.sqlite is damaged."},
        "stopped": {"kind": "verify", "status": "failed", "error": "Cancelled by ada.", "report": {"cancelled_by": "ada"}},
        "killed": {"kind": "restore", "status": "recovered", "error": "It was interrupted; the live data is as it was."},
        "aside": {"kind": "create", "archive": "/mnt/disk/<b>.zip", "ended_at": None},
    }
    found = {}
    for number, (which, fields) in enumerate(about.items()):
        at = MORNING + timedelta(hours=number)
        facts = {"status": "done", "started_at": at, "ended_at": at + timedelta(seconds=75), **fields}
        found[Operation.objects.create(operation_id=f"{number:032x}", **facts).operation_id] = which
    return found


def rows_of(response: HttpResponseBase, several: dict[str, str]) -> dict[str, str]:
    """What each row says, in the order of the list."""
    found = {}
    for row in re.findall(r"<tr><th.*?</tr>", response.content.decode(), re.DOTALL):  # type: ignore[attr-defined]
        (operation,) = re.findall(r"operations/([0-9a-f]{32})/", row)
        found[several[operation]] = text_in(row)
    return found


def test_each_row_says_what_was_done_and_how_it_ended(log_in: LogIn, several: dict[str, str]) -> None:
    rows = rows_of(log_in("view_backup").get(HISTORY), several)
    assert rows == {
        "aside": "2026-03-01 12:00:00 Backup ✓ done - /mnt/disk/<b>.zip -",
        "killed": "2026-03-01 11:00:00 Restore ↺ interrupted, and settled It was interrupted; the live data is as it was. 1 min 15 s - -",
        "stopped": "2026-03-01 10:00:00 Verification ⊘ cancelled Cancelled by ada. 1 min 15 s - -",
        "torn": f"2026-03-01 09:00:00 Verification ✕ failed The member db.sqlite is damaged. 1 min 15 s {ARCHIVE} -",
        "made": f"2026-03-01 08:00:00 Backup ✓ done 1 min 15 s {ARCHIVE} ada",
    }


def test_times_are_those_of_the_readers_account(log_in: LogIn, several: dict[str, str]) -> None:
    page = log_in("view_backup", time_zone="Europe/Berlin").get(HISTORY)
    assert rows_of(page, several)["made"].startswith("2026-03-01 09:00:00 ")
    assert "Began (CET)" in page.content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"kind": "create"}, ["aside", "made"]),
        ({"kind": "nothing"}, ["aside", "killed", "stopped", "torn", "made"]),
        ({"status": "failed"}, ["torn"]),
        ({"status": "cancelled"}, ["stopped"]),
        ({"status": "recovered"}, ["killed"]),
        ({"q": "ADA"}, ["made"]),
        ({"q": ARCHIVE}, ["torn", "made"]),
        ({"started_at__gte": "2026-03-01 11:00:00+00:00"}, ["aside", "killed"]),
        ({"o": "0"}, ["made", "torn", "stopped", "killed", "aside"]),
    ],
    ids=str,
)
def test_the_history_is_narrowed_down_and_sorted(log_in: LogIn, several: dict[str, str], query: dict[str, str], found: list[str]) -> None:
    assert list(rows_of(log_in("view_backup").get(HISTORY, query), several)) == found


def test_a_row_leads_to_the_page_of_the_outcome_whatever_its_number_is(log_in: LogIn, several: dict[str, str]) -> None:
    browser = log_in("view_backup")
    (killed,) = [operation for operation, which in several.items() if which == "killed"]
    result = reverse("admin:backups_result", args=[killed])
    assert f'<a href="{result}">' in browser.get(HISTORY).content.decode()
    number = Operation.objects.get(operation_id=killed).pk
    answer = browser.get(reverse("admin:backups_operation_change", args=[number]))
    assert (answer.status_code, answer.headers["Location"]) == (302, result)
    assert browser.get(result).status_code == 200


def test_nobody_writes_the_history(log_in: LogIn, several: dict[str, str]) -> None:
    browser = log_in("view_backup", *(f"{what}_operation" for what in ("add", "change", "delete", "view")))
    number = Operation.objects.first()
    assert number is not None
    for page in ("change", "delete"):
        answer = browser.post(reverse(f"admin:backups_operation_{page}", args=[number.pk]), {"status": "done", "post": "yes"})
        assert answer.status_code in (302, 403)
    assert browser.post(HISTORY, {"action": "delete_selected", "_selected_action": [number.pk], "index": "0"}).status_code in (200, 302)
    assert set(Operation.objects.values_list("operation_id", flat=True)) == set(several)


def test_who_may_not_see_the_backups_does_not_see_what_was_done(log_in: LogIn, several: dict[str, str]) -> None:
    browser = log_in("view_operation", "change_operation")
    assert browser.get(HISTORY).status_code == 403
    assert "operation" not in browser.get("/admin/").content.decode()


def test_an_empty_history_says_so(log_in: LogIn) -> None:
    browser = log_in("view_backup")
    assert "Nothing has been done yet." in browser.get(HISTORY).content.decode()
    assert "No operation is like that." in browser.get(HISTORY, {"status": "failed"}).content.decode()


def test_a_long_history_takes_few_queries(log_in: LogIn) -> None:
    at = timezone.now()
    Operation.objects.bulk_create(
        Operation(operation_id=f"{number:032x}", kind="create", status="done", started_at=at, ended_at=at) for number in range(500)
    )
    browser = log_in("view_backup")
    with CaptureQueriesContext(connection) as queries:
        page = browser.get(HISTORY)
    assert page.content.decode().count("<tr><th") == 50
    assert len(queries) < 10


# Nothing is collected in a scratch site, so there is no manifest of hashed names to look in.
READ = """
from django.conf import settings
settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
from django.contrib.auth import get_user_model
from django.test import Client
from django.test.utils import setup_test_environment
setup_test_environment()
browser = Client()
account, _ = get_user_model().objects.get_or_create(username="reader", defaults={"is_staff": True, "is_superuser": True})
browser.force_login(account)
print(browser.get("/admin/backups/operation/").content.decode())
"""


def test_the_history_survives_a_restore(site: Site) -> None:
    archive = site.manage("backup_create").stdout.strip()
    site.manage("backup_verify", archive)
    site.manage("backup_create", "--note", "newer than what is restored")
    site.manage("backup_restore", archive, "--no-input")
    body = in_the_site(site, READ)
    kinds = re.findall(r'<td class="field-_kind">([^<]+)</td>', body)
    assert kinds == ["Restore", "Backup", "Backup"], "newest first; a verification by command is no operation"
    assert body.count(archive) >= 2
