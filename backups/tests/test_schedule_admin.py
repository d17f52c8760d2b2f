"""The admin of the schedules, as a browser asks for it; and what the database itself refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.models import BackupSchedule
from backups.presence import worker_announce, worker_withdraw

LIST = "admin:backups_backupschedule_changelist"
CHANGE = "admin:backups_backupschedule_change"


@pytest.fixture(autouse=True)
def plain_static_files(settings: Any) -> None:
    """Pages name static files as they are: nothing has collected and hashed them here."""
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}


@pytest.fixture
def schedule(db: None) -> BackupSchedule:
    """The one that every installation begins with."""
    BackupSchedule.objects.all().delete()
    return BackupSchedule.objects.create(is_default=True, last_due_at=timezone.now() - timedelta(hours=9))


@pytest.fixture
def log_in(db: None) -> Callable[..., Client]:
    """A browser of somebody on the staff with the named permissions on schedules."""

    def log_in(*permissions: str) -> Client:
        person = get_user_model().objects.create_user("staff", password="correct horse battery", is_staff=True)
        person.user_permissions.set(Permission.objects.filter(codename__in=[f"{name}_backupschedule" for name in permissions]))
        browser = Client()
        browser.force_login(person)
        return browser

    return log_in


def as_posted(**changes: object) -> dict[str, object]:
    """The form of the default schedule as a browser sends it."""
    form: dict[str, object] = {
        "enabled": "on",
        "days": ["1", "2", "4", "8", "16", "32", "64"],
        "at": "02:30:00",
        "time_zone": "UTC",
        "uploads": "on",
        "note": "",
        "keep_last": "3",
        "keep_daily": "7",
        "keep_weekly": "4",
        "keep_monthly": "12",
        "keep_yearly": "0",
    }
    return {name: value for name, value in {**form, **changes}.items() if value is not None}


def test_list_says_what_each_does_and_when_next(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    BackupSchedule.objects.create(enabled=False, at=time(12), days=1, last_error="The disk is full.")
    page = log_in("view").get(reverse(LIST)).content.decode()
    assert "Every day at 02:30 (UTC), with uploads. Keeps the newest 3, and one for each of 7 days, 4 weeks and 12 months." in page
    assert "Off. On Mondays at 12:00" in page
    assert "The disk is full." in page
    assert page.count("02:30 (UTC)</td>") == 1, "the one that is off has no next run"


def test_list_warns_where_nothing_happens_by_itself(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    browser = log_in("view")
    worker_announce("one@host")
    assert "made by itself" not in browser.get(reverse(LIST)).content.decode()
    worker_withdraw("one@host")
    assert "No worker is heard, so no backup is made by itself." in browser.get(reverse(LIST)).content.decode()
    BackupSchedule.objects.update(enabled=False)
    assert "No schedule is on, so no backup is made by itself." in browser.get(reverse(LIST)).content.decode()


def test_form_shows_the_next_five_runs_in_the_schedules_own_time(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    BackupSchedule.objects.update(time_zone="Asia/Kathmandu", days=0b100)
    page = log_in("view", "change").get(reverse(CHANGE, args=[schedule.pk])).content.decode()
    assert page.count("<div>Wednesday, ") == 5
    assert page.count(" 02:30 (Asia/Kathmandu)</div>") == 5
    assert page.count('name="days"') == 7
    assert page.count('name="days" value="4"') == 1
    assert page.count("checked") == 3, "enabled, Wednesday, with uploads"


def test_edited_schedule_is_the_sites_own(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    before = schedule.last_due_at
    answer = log_in("view", "change").post(reverse(CHANGE, args=[schedule.pk]), as_posted(note="nightly"))
    assert answer.status_code == 302
    schedule.refresh_from_db()
    assert (schedule.note, schedule.is_default, schedule.days) == ("nightly", False, 127)
    assert schedule.last_due_at == before, "a new note is no reason to leave out a run"


@pytest.mark.parametrize(
    "changes",
    [{"days": ["1", "64"]}, {"at": "01:00"}, {"time_zone": "Asia/Kathmandu"}, {"enabled": None}],
    ids=["days", "at", "zone", "off"],
)
def test_schedule_with_another_time_begins_anew(
    log_in: Callable[..., Client], schedule: BackupSchedule, changes: dict[str, object]
) -> None:
    BackupSchedule.objects.update(attempts=2, next_attempt_at=timezone.now(), last_error="The disk is full.")
    moment = timezone.now()
    assert log_in("change").post(reverse(CHANGE, args=[schedule.pk]), as_posted(**changes)).status_code == 302
    schedule.refresh_from_db()
    assert schedule.last_due_at >= moment
    assert (schedule.attempts, schedule.next_attempt_at, schedule.last_error) == (0, None, "")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"days": []}, "Choose at least one day."),
        ({"days": ["3"]}, "Select a valid choice. 3 is not one of the available choices."),
        ({"time_zone": "Atlantis/Capital"}, "Select a valid choice. Atlantis/Capital is not one of the available choices."),
        ({f"keep_{rule}": "0" for rule in ("last", "daily", "weekly", "monthly")}, "Keep at least one"),
        ({"keep_last": "-1"}, "Ensure this value is greater than or equal to 0."),
    ],
)
def test_form_that_makes_no_sense_is_refused(
    log_in: Callable[..., Client], schedule: BackupSchedule, changes: dict[str, object], said: str
) -> None:
    answer = log_in("view", "change").post(reverse(CHANGE, args=[schedule.pk]), as_posted(**changes))
    assert answer.status_code == 200
    assert said in answer.content.decode()
    schedule.refresh_from_db()
    assert schedule.is_default


def test_schedule_is_added_and_does_not_fire_for_the_past(log_in: Callable[..., Client]) -> None:
    browser, moment = log_in("add"), timezone.now()
    assert browser.post(reverse("admin:backups_backupschedule_add"), as_posted(note="second")).status_code == 302
    added = BackupSchedule.objects.get(note="second")
    assert added.last_due_at >= moment
    assert (added.is_default, len(added.key)) == (False, 8)


def test_form_of_a_new_one_begins_with_every_day_and_the_sites_time_zone(log_in: Callable[..., Client], settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kathmandu"
    page = log_in("add").get(reverse("admin:backups_backupschedule_add")).content.decode()
    assert re.findall(r'<option value="([^"]+)" selected>', page) == ["Asia/Kathmandu"]
    assert page.count("checked") == 9, "enabled, seven days, with uploads"
    assert "Next five runs" not in page
    assert "Names the schedule in its archives" not in page, "its key is drawn when it is saved"


def test_permissions_are_those_of_the_model(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    browser = log_in("view")
    assert browser.get(reverse(CHANGE, args=[schedule.pk])).status_code == 200
    assert browser.post(reverse(CHANGE, args=[schedule.pk]), as_posted(note="no")).status_code == 403
    assert browser.post(reverse("admin:backups_backupschedule_add"), as_posted()).status_code == 403
    assert browser.post(reverse("admin:backups_backupschedule_delete", args=[schedule.pk]), {"post": "yes"}).status_code == 403


def test_attempts_and_a_time_zone_that_this_machine_lost_are_told(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    BackupSchedule.objects.update(attempts=2, next_attempt_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC), time_zone="Atlantis/Capital")
    page = log_in("view").get(reverse(LIST)).content.decode()
    assert "Attempt 2 of 4 has not succeeded; the next is at 2026-01-02 03:04 UTC." in page
    assert "(UTC, since this machine does not know Atlantis/Capital)" in page


@pytest.mark.parametrize(
    "values",
    [
        {"days": 0},
        {"days": 128},
        {"keep_last": 0, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0},
        {"attempts": 1},
        {"next_attempt_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"is_default": True},
    ],
    ids=str,
)
def test_database_refuses_a_schedule_that_makes_no_sense(schedule: BackupSchedule, values: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        BackupSchedule.objects.create(**values)


def test_saving_some_fields_begins_anew_where_the_time_is_among_them(schedule: BackupSchedule) -> None:
    before = schedule.last_due_at
    schedule.at = time(5)
    schedule.save(update_fields=["note"])
    assert BackupSchedule.objects.get().last_due_at == before
    schedule.save(update_fields=["at"])
    assert BackupSchedule.objects.get().last_due_at > before
