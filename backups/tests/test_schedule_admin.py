"""The admin of the schedules, as a browser asks for it; and what the database itself refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from backups.admin.schedules import BackupScheduleForm
from backups.conf import conf
from backups.models import Backup, BackupSchedule
from backups.presence import worker_announce, worker_withdraw
from backups.tests.staff import staff_browser

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

    def log_in(*permissions: str, sees_archives: bool = False) -> Client:
        return staff_browser("staff", *(f"{name}_backupschedule" for name in permissions), *["view_backup"] * sees_archives)

    return log_in


def as_posted(**changes: object) -> dict[str, object]:
    """The form of the default schedule as a browser sends it; without ``seen``, which the page of one has hidden in it."""
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


def as_changed(schedule: BackupSchedule, **changes: object) -> dict[str, object]:
    """The same as the page of ``schedule`` sends it."""
    return as_posted(seen=BackupScheduleForm(instance=BackupSchedule.objects.get(pk=schedule.pk)).initial["seen"], **changes)


def made_by(schedule: BackupSchedule, nights: int, **fields: object) -> list[str]:
    """Good archives of the last ``nights`` nights; their names, newest first."""
    names = []
    for night in range(nights):
        at = timezone.now() - timedelta(days=night, hours=1)
        names.append(f"backup_{at:%Y%m%d_%H%M%S}_{night:08x}.zip")
        row = {"trigger": schedule.trigger, "size": 12_000_000, "vendor": "sqlite", "row_count": 5, "has_uploads": True, **fields}
        Backup.objects.create(name=names[-1], archive_id=f"{night:032x}", created_at=at, verified_at=at, **row)
    return names


def section(page: str) -> str:
    """What the page says about the rules."""
    found = re.search(r'<section id="rules-tried".*?</section>', page, re.DOTALL)
    assert found
    return found[0]


def audited() -> list[dict[str, str]]:
    """What the audit file holds."""
    path = conf.state_dir / "audit.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


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
    answer = log_in("view", "change").post(reverse(CHANGE, args=[schedule.pk]), as_changed(schedule, note="nightly"))
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
    assert log_in("change").post(reverse(CHANGE, args=[schedule.pk]), as_changed(schedule, **changes)).status_code == 302
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
    answer = log_in("view", "change").post(reverse(CHANGE, args=[schedule.pk]), as_changed(schedule, **changes))
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
    assert browser.post(reverse(CHANGE, args=[schedule.pk]), as_changed(schedule, note="no")).status_code == 403
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


# --- what the rules would delete ----------------------------------------------------------------------------------------


def test_list_counts_what_the_rules_of_each_delete(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    made_by(schedule, 12)
    rules = {"keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0, "days": 1}
    BackupSchedule.objects.create(keep_last=2, **rules)
    BackupSchedule.objects.filter(pk=schedule.pk).update(keep_last=5, **rules)
    page = log_in("view").get(reverse(LIST)).content.decode()
    assert "7 now and 1 after the next run, of 12" in page
    assert "none of 0" in page


def test_list_looks_at_the_archives_once(
    log_in: Callable[..., Client], schedule: BackupSchedule, django_assert_max_num_queries: Any
) -> None:
    made_by(schedule, 3)
    for minute in range(8):
        BackupSchedule.objects.create(at=time(3, minute))
    browser = log_in("view")
    with django_assert_max_num_queries(12):
        browser.get(reverse(LIST))


def test_form_names_what_the_saved_rules_delete(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    names = made_by(schedule, 5)
    BackupSchedule.objects.update(keep_last=2, keep_daily=0, keep_weekly=0, keep_monthly=0)
    said = section(log_in("view", sees_archives=True).get(reverse(CHANGE, args=[schedule.pk])).content.decode())
    assert "The next prune would delete 3 of its 5 archives (36.0 MB):" in said
    now, following = said.split("After the next run")
    assert [name in now for name in names] == [False, False, True, True, True]
    assert names[1] in following
    assert "last 1 of 2" in following
    assert "not saved" not in said


def test_who_may_not_see_archives_learns_numbers_alone(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    made_by(schedule, 5)
    BackupSchedule.objects.update(keep_last=2, keep_daily=0, keep_weekly=0, keep_monthly=0)
    said = section(log_in("view").get(reverse(CHANGE, args=[schedule.pk])).content.decode())
    assert "The next prune would delete 3 of its 5 archives (36.0 MB)." in said
    assert "After the next run it would delete 1 more." in said
    assert "backup_" not in said


def test_rules_are_tried_as_typed_and_not_saved(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    names = made_by(schedule, 4)
    typed = as_changed(schedule, keep_last="1", keep_daily="0", keep_weekly="0", keep_monthly="0", note="only once", _try="Try these rules")
    answer = log_in("change", sees_archives=True).post(reverse(CHANGE, args=[schedule.pk]), typed)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "What these rules delete (as typed, not saved)" in section(page)
    assert "would delete 3 of its 4 archives" in section(page)
    assert all(name in section(page) for name in names[1:])
    assert "only once" in page, "what was typed stays in the form"
    assert "Keeps the newest." in section(page), "and the sentence is that of the typed rules"
    schedule.refresh_from_db()
    assert (schedule.keep_last, schedule.note, schedule.is_default) == (3, "", True)
    assert Backup.objects.count() == 4


def test_rules_that_make_no_sense_are_not_tried(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    made_by(schedule, 4)
    typed = as_changed(schedule, _try="1", **{f"keep_{rule}": "0" for rule in ("last", "daily", "weekly", "monthly")})
    page = log_in("change", sees_archives=True).post(reverse(CHANGE, args=[schedule.pk]), typed).content.decode()
    assert "Nothing was tried: the form has errors." in section(page)
    assert "Keep at least one" in section(page)
    assert "would delete" not in page


@pytest.mark.parametrize(("right", "status"), [("view", 403), ("add", 403), ("delete", 403), ("change", 200)])
def test_who_may_not_change_a_schedule_may_not_try(
    log_in: Callable[..., Client], schedule: BackupSchedule, right: str, status: int
) -> None:
    browser = log_in(right)
    assert browser.post(reverse(CHANGE, args=[schedule.pk]), as_changed(schedule, _try="1")).status_code == status
    if right == "view":
        assert "Try these rules" not in browser.get(reverse(CHANGE, args=[schedule.pk])).content.decode()


@pytest.mark.parametrize("may_delete", [True, False])
def test_delete_comes_after_trying_and_for_those_who_may(log_in: Callable[..., Client], schedule: BackupSchedule, may_delete: bool) -> None:
    browser = log_in("view", "change", *["delete"] * may_delete)
    page = browser.get(reverse(CHANGE, args=[schedule.pk])).content.decode()
    links = [reverse("admin:backups_backupschedule_delete", args=[schedule.pk])] * may_delete
    assert re.findall(r'<a href="([^"]+)" class="deletelink"', page.split('name="_try"')[1]) == links
    assert page.count("deletelink") == may_delete
    assert page.index('name="_save"') < page.index('name="_try"'), "the Enter key saves"


def test_trying_needs_the_token_of_the_page(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    browser = log_in("change")
    browser.handler.enforce_csrf_checks = True
    assert browser.post(reverse(CHANGE, args=[schedule.pk]), as_changed(schedule, _try="1")).status_code == 403


def test_trying_what_is_gone_is_no_page(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    assert log_in("change").post(reverse(CHANGE, args=[schedule.pk + 1]), as_posted(_try="1")).status_code == 404


def test_a_new_schedule_has_nothing_to_try(log_in: Callable[..., Client]) -> None:
    page = log_in("add").get(reverse("admin:backups_backupschedule_add")).content.decode()
    assert "rules-tried" not in page
    assert "_try" not in page


def test_saving_rules_that_delete_says_so(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    names = made_by(schedule, 4)
    few = as_changed(schedule, keep_last="1", keep_daily="0", keep_weekly="0", keep_monthly="0")
    page = log_in("view", "change", sees_archives=True).post(reverse(CHANGE, args=[schedule.pk]), few, follow=True).content.decode()
    assert f"By these rules the next prune deletes these three: {', '.join(names[1:])}." in page


# --- two at a time ------------------------------------------------------------------------------------------------------


def seen_on(answer: HttpResponseBase) -> str:
    """What the page has hidden in its form about what it shows."""
    found = re.search(r'<input type="hidden" name="seen" value="([^"]+)"', answer.content.decode())  # type: ignore[attr-defined]
    assert found
    return found[1]


def test_what_somebody_else_has_changed_meanwhile_is_not_reverted_and_nothing_typed_is_lost(schedule: BackupSchedule) -> None:
    rights = ("view_backupschedule", "change_backupschedule")
    ann, bob = staff_browser("ann", *rights), staff_browser("bob", *rights)
    page = reverse(CHANGE, args=[schedule.pk])
    opened = seen_on(ann.get(page))
    assert bob.post(page, as_posted(keep_daily="30", seen=seen_on(bob.get(page)))).status_code == 302
    typed = as_posted(note="typed with care", keep_last="9", seen=opened)
    answer = ann.post(page, typed)
    said = answer.content.decode()
    assert answer.status_code == 200
    assert re.search(r"has been changed since you opened the page, by bob at \d{4}-\d\d-\d\d \d\d:\d\d\. It says now: Every day", said)
    assert "one for each of 30 days" in said, "what it says now"
    assert "typed with care" in said and 'name="keep_last" value="9"' in said
    schedule.refresh_from_db()
    assert (schedule.keep_last, schedule.keep_daily, schedule.note) == (3, 30, "")
    assert ann.post(page, {**typed, "seen": seen_on(answer)}).status_code == 302, "ann has been told, and means it"
    schedule.refresh_from_db()
    assert (schedule.keep_last, schedule.keep_daily, schedule.note) == (9, 7, "typed with care")


@pytest.mark.parametrize("seen", [None, "", "forged"])
def test_a_form_that_does_not_say_what_it_has_shown_is_refused(
    log_in: Callable[..., Client], schedule: BackupSchedule, seen: str | None
) -> None:
    answer = log_in("change").post(reverse(CHANGE, args=[schedule.pk]), as_posted(keep_last="9", seen=seen))
    assert "has been changed since you opened the page. It says now: Every day" in answer.content.decode(), "nobody is named"
    assert BackupSchedule.objects.get().keep_last == 3


def test_what_a_run_notes_of_a_schedule_is_no_change_of_another_person(log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    browser, page = log_in("change"), reverse(CHANGE, args=[schedule.pk])
    opened = seen_on(browser.get(page))
    BackupSchedule.objects.update(attempts=1, next_attempt_at=timezone.now(), last_due_at=timezone.now())
    assert browser.post(page, as_posted(note="new", seen=opened)).status_code == 302
    schedule.refresh_from_db()
    assert (schedule.note, schedule.attempts) == ("new", 1)


# --- the audit file -----------------------------------------------------------------------------------------------------


def test_each_change_of_a_schedule_is_audited(own_state: None, log_in: Callable[..., Client], schedule: BackupSchedule) -> None:
    browser = log_in("add", "change", "delete", "view")
    browser.post(reverse("admin:backups_backupschedule_add"), as_posted(note="second"))
    browser.post(reverse(CHANGE, args=[schedule.pk]), as_changed(schedule, keep_daily="5", note="new"))
    browser.post(reverse("admin:backups_backupschedule_delete", args=[schedule.pk]), {"post": "yes"})
    second = BackupSchedule.objects.get()
    chosen = {"action": "delete_selected", "_selected_action": [second.pk], "post": "yes"}
    browser.post(reverse(LIST), chosen)
    assert not BackupSchedule.objects.exists()
    assert [(line["action"], line["who"]) for line in audited()] == [
        ("schedule-add", "staff"),
        ("schedule-change", "staff"),
        ("schedule-delete", "staff"),
        ("schedule-delete", "staff"),
    ]
    added, changed, deleted, _ = [line["detail"] for line in audited()]
    assert added.startswith(f"{second.key}: Every day at 02:30 (UTC), with uploads. Keeps the newest 3")
    assert changed.endswith("(changed: note, keep_daily)")
    assert "one for each of 5 days" in changed
    assert deleted.startswith(f"{schedule.key}: ")


def test_change_that_cannot_be_audited_is_not_made_and_stays_typed(
    own_state: None, log_in: Callable[..., Client], schedule: BackupSchedule
) -> None:
    (conf.state_dir / "audit.log").mkdir(parents=True)
    browser = log_in("add", "change", "delete", "view")
    changed = browser.post(reverse(CHANGE, args=[schedule.pk]), as_changed(schedule, note="typed with care"))
    added = browser.post(reverse("admin:backups_backupschedule_add"), as_posted(note="typed with care"))
    for answer in (changed, added):
        assert answer.status_code == 200
        assert "cannot be written into the audit file" in answer.content.decode()
        assert "typed with care" in answer.content.decode()
    deleting = browser.post(reverse("admin:backups_backupschedule_delete", args=[schedule.pk]), {"post": "yes"}, follow=True)
    assert "cannot be written into the audit file" in deleting.content.decode()
    chosen = {"action": "delete_selected", "_selected_action": [schedule.pk], "post": "yes"}
    assert "cannot be written into the audit file" in browser.post(reverse(LIST), chosen, follow=True).content.decode()
    assert [(kept.pk, kept.note) for kept in BackupSchedule.objects.all()] == [(schedule.pk, "")]
