"""What a restore's report says of running timers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backups.signals import restore_ended
from timetracker.accounts.models import User
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.restores import report_running_timers

NINE = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)


def sentences(outcome: str) -> list[object]:
    answers = restore_ended.send(sender=None, operation="0" * 32, kind="restore", outcome=outcome)
    return [answer for receiver, answer in answers if receiver is report_running_timers]


def test_restored_data_with_a_running_timer_names_who_on_what_since_when(person: User, project: Project) -> None:
    TimeEntry.objects.create(user=person, project=project, started_at=NINE)
    TimeEntry.objects.create(user=person, project=project, started_at=NINE - timedelta(hours=1), ended_at=NINE)
    assert sentences("new") == [
        "1 timer was running in the restored data: Robin Sample on SB-WEB since 2025-03-03 09:00 UTC. "
        "Stop or correct what should not count on."
    ]


def test_restore_that_changed_nothing_says_nothing(person: User, project: Project) -> None:
    TimeEntry.objects.create(user=person, project=project, started_at=NINE)
    assert sentences("old") == [None]


def test_restored_data_without_a_running_timer_says_nothing(person: User, project: Project) -> None:
    TimeEntry.objects.create(user=person, project=project, started_at=NINE, ended_at=NINE + timedelta(hours=1))
    assert sentences("new") == [None]


def test_more_than_ten_timers_are_counted_and_the_oldest_ten_named(project: Project) -> None:
    for number in range(12):
        user = User.objects.create(username=f"person{number:02d}")
        TimeEntry.objects.create(user=user, project=project, started_at=NINE - timedelta(minutes=number))
    (sentence,) = sentences("new")
    assert isinstance(sentence, str)
    assert sentence.startswith("12 timers were running in the restored data: person11 on SB-WEB since 2025-03-03 08:49 UTC, person10")
    assert "person02" in sentence and "person01" not in sentence and " and 2 more. " in sentence
