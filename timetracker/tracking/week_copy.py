"""The entries of one week once more, in the week after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from timetracker.accounts.models import User
from timetracker.tracking.days import week_of, zone_of
from timetracker.tracking.entries import entry_duplicate
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.sums import starting_on

__all__ = ["WeekCopied", "person_locked", "week_before", "week_copy"]

_WEEK = timedelta(days=7)


@dataclass
class WeekCopied:
    """The entries that were made, and sentences about what was left out."""

    entries: list[TimeEntry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def week_before(person: User, monday: date) -> list[Any]:
    """Return her entries of the week before ``monday``, the first first, with project, client and task. One query."""
    days = week_of(monday - _WEEK)
    return list(_between(person, days).select_related("user", "project__client", "task").order_by("started_at", "id"))


@transaction.atomic
def week_copy(person: User, monday: date, *, user: User) -> WeekCopied:
    """Copy what she worked in the week before ``monday`` seven days on, in the name of ``user``: same clock times, notes and tags.

    Left out, and told: work on which there is time in that week already (so a second time copies nothing), projects that are
    not active, a running timer, and what ``user`` may not add (:func:`timetracker.tracking.entries.entry_duplicate`).
    """
    person_locked(person)
    zone, copied = zone_of(person), WeekCopied()
    has_time = set(_between(person, week_of(monday)).order_by().values_list("project_id", "task_id").distinct())
    reasons: dict[str, list[str]] = {}
    for entry in week_before(person, monday):
        said = f"{entry.project.code}: {entry.task}" if entry.task else entry.project.code
        day = entry.started_at.astimezone(zone).date() + _WEEK
        if (entry.project_id, entry.task_id) in has_time:
            reasons.setdefault("has time in this week already", []).append(said)
        elif entry.project.status != Project.Status.ACTIVE:
            reasons.setdefault("takes no new time, as the project is not active", []).append(said)
        else:
            try:
                copied.entries.append(entry_duplicate(entry, user=user, day=day))
            except ValidationError as error:
                reasons.setdefault(" ".join(error.messages), []).append(said)
    copied.left_out = [f"{_listed(works)}: {reason}" for reason, works in reasons.items()]
    return copied


def person_locked(person: User) -> None:
    """Let nobody else change her timesheet until this transaction ends; timers and single entries wait for nothing."""
    User.objects.select_for_update(no_key=True).get(pk=person.pk)


def _between(person: User, days: list[date]) -> Any:
    return starting_on(TimeEntry.objects.filter(user=person), days[0], days[-1], zone=zone_of(person))


def _listed(works: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(works))
