"""Where an entry goes of which only the length is known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from timetracker.accounts.models import User
from timetracker.tracking.free_time import free_start, times_around
from timetracker.tracking.models import Project, TimeEntry

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def start_of(day: str, hours: float, *times: str, zone: ZoneInfo = BERLIN, now: str = "2025-06-01 12:00") -> str:
    """The clock time that is found on ``day``; each of ``times`` is ``START END``, or ``START`` where it runs."""
    taken: list[tuple[datetime, datetime | None]] = []
    for text in times:
        begin, _, end = text.partition("/")
        taken.append((at(begin, zone), at(end, zone) if end else None))
    found = free_start(taken, length=timedelta(hours=hours), day=date.fromisoformat(day), zone=zone, now=at(now, zone))
    assert found.tzinfo is UTC
    return f"{found.astimezone(zone):%Y-%m-%d %H:%M}".removeprefix(f"{day} ")


@pytest.mark.parametrize(
    ("hours", "times", "start"),
    [
        (1.5, [], "09:00"),
        (1.5, ["2025-03-04 10:00/2025-03-04 12:00"], "12:00"),
        (1.5, ["2025-03-04 06:00/2025-03-04 07:00"], "07:00"),
        (1.5, ["2025-03-04 13:00/2025-03-04 15:00", "2025-03-04 09:00/2025-03-04 12:00"], "15:00"),
        # Seconds of the timer: the next whole minute, and so nothing is shared.
        (1.5, ["2025-03-04 09:00:10/2025-03-04 10:00:41"], "10:01"),
        # Beside the night before.
        (1.5, ["2025-03-03 22:00/2025-03-04 03:00"], "09:00"),
        (1.5, ["2025-03-03 22:00/2025-03-04 10:00"], "10:00"),
        # The last ends too late: the first room after nine, and then the last before.
        (2, ["2025-03-04 10:00/2025-03-04 11:00", "2025-03-04 20:00/2025-03-04 23:00"], "11:00"),
        (2, ["2025-03-04 09:00/2025-03-04 23:00"], "07:00"),
        (2, ["2025-03-04 13:00"], "09:00"),
        (5, ["2025-03-04 09:00/2025-03-04 12:00", "2025-03-04 13:00"], "04:00"),
        (16, [], "08:00"),
        (24, [], "00:00"),
        # Beyond midnight, and at last over other time.
        (3, ["2025-03-04 00:00/2025-03-04 22:30"], "22:30"),
        (3, ["2025-03-04 00:00/2025-03-05 00:00"], "09:00"),
        (24, ["2025-03-03 22:00/2025-03-04 01:00", "2025-03-05 00:00/2025-03-05 01:00"], "09:00"),
    ],
)
def test_a_length_goes_behind_the_last_entry_or_where_there_is_room(hours: float, times: list[str], start: str) -> None:
    assert start_of("2025-03-04", hours, *times) == start


@pytest.mark.parametrize(
    ("hours", "now", "times", "start"),
    [
        (1.5, "14:42:50", [], "13:12"),
        # Twice the same length: one before the other.
        (1.5, "14:42:50", ["13:12/14:42"], "11:42"),
        (1.5, "14:42:50", ["13:12/14:42", "11:42/13:12"], "10:12"),
        # A timer that was stopped within this minute, and one that runs.
        (1.5, "14:42:50", ["14:00:05/14:42:20"], "12:30"),
        (1.5, "14:42", ["14:00"], "12:30"),
        # What is planned for later leaves the time up to now free; what covers now does not.
        (1.5, "14:42", ["15:00/16:00"], "13:12"),
        (1.5, "14:42", ["14:30/16:00"], "13:00"),
        # Room that is too short is passed over.
        (1.5, "14:42", ["13:30/14:30", "09:00/12:30"], "07:30"),
        # The day has no room before now: over other time, up to now.
        (4, "05:00", ["02:00/03:00"], "01:00"),
        # Never on the day before.
        (1.5, "00:20", [], "00:00"),
        (1.5, "00:00:10", [], "00:00"),
        (1.5, "02:00", ["01:00/01:30"], "00:30"),
    ],
)
def test_a_length_of_today_ends_now_or_in_the_last_room_before(hours: float, now: str, times: list[str], start: str) -> None:
    day = "2025-03-04"
    dated = ["/".join(f"{day} {clock}" for clock in text.split("/")) for text in times]
    assert start_of(day, hours, *dated, now=f"{day} {now}") == start


def test_a_day_of_23_hours_has_room_for_23_and_one_of_25_for_25() -> None:
    spring, autumn = "2025-03-30", "2025-10-26"
    assert start_of(spring, 23) == start_of(autumn, 25) == "00:00"
    assert start_of(spring, 15) == start_of(autumn, 15) == "09:00"
    # 24 hours from nine o'clock on, or the whole day and an hour more.
    assert start_of(spring, 24) == "09:00"


def test_an_hour_that_is_there_twice_is_room_for_two_hours() -> None:
    times = ["2025-10-26 00:00/2025-10-26 02:00", "2025-10-26 03:00/2025-10-27 00:00"]
    assert start_of("2025-10-26", 2, *times) == "02:00"
    assert start_of("2025-03-30", 2, "2025-03-30 00:00/2025-03-30 01:00", "2025-03-30 03:00/2025-03-31 00:00") == "09:00"


@pytest.mark.django_db
def test_all_that_an_entry_of_the_day_may_meet_is_looked_at(person: User, project: Project) -> None:
    other = User.objects.create(username="other")
    for user, begin, end in (
        (person, "2025-03-02 22:00", "2025-03-03 23:00"),  # over before the day
        (person, "2025-03-03 22:00", "2025-03-04 01:00"),
        (person, "2025-03-04 09:00", "2025-03-04 10:00"),
        (other, "2025-03-04 11:00", "2025-03-04 12:00"),
        (person, "2025-03-05 23:59", "2025-03-06 01:00"),  # an entry of 24 hours may meet it
        (person, "2025-03-06 00:00", "2025-03-06 01:00"),  # after it
    ):
        TimeEntry.objects.create(user=user, project=project, started_at=at(begin), ended_at=at(end))
    running = TimeEntry.objects.create(user=person, project=project, started_at=at("2025-03-04 13:00"))
    found = times_around(person, date(2025, 3, 4), BERLIN)
    assert [f"{begin.astimezone(BERLIN):%d %H:%M}" for begin, _ in found] == ["03 22:00", "04 09:00", "04 13:00", "05 23:59"]
    assert found[2] == (running.started_at, None)
