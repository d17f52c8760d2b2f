"""The Week page, as a browser asks for it: the sums, typing into cells, rows, the week before, other people's weeks."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from backups import gate
from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.clients.models import Client
from timetracker.tests.invoices import item_on
from timetracker.tests.people import browser_of
from timetracker.tracking.days import week_of
from timetracker.tracking.models import Project, Task, TimeEntry
from timetracker.tracking.pages.week_sheet import week_sheet
from timetracker.tracking.sums import time_sums

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/week/"}
# Of 3 to 9 March: no clocks change.
WEEK = "2025-W10"


@dataclass
class Grid(HTMLParser):
    """The form of a page, as a browser holds it: names with their values."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    is_inside: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form":
            self.is_inside = values.get("id") == "grid"
        if tag == "input" and self.is_inside and (name := values.get("name")):
            self.fields.setdefault(name, []).append(values.get("value") or "")

    @classmethod
    def of(cls, page: str) -> Grid:
        grid = cls()
        grid.feed(page)
        return grid

    @property
    def cells(self) -> dict[str, str]:
        """What stands in the cells in which something does."""
        return {name: values[0] for name, values in self.fields.items() if name.startswith("cell.") and values[0]}


@pytest.fixture
def robin(project: Project) -> User:
    """A member."""
    user = User.objects.create_user("robin.m", is_staff=True, full_name="Robin Sample", time_zone="Europe/Berlin")
    role_give(user, Role.MEMBER)
    return user


@pytest.fixture
def manager(robin: User) -> User:
    user = User.objects.create_user("manager", is_staff=True, full_name="Kim Manager", time_zone="America/New_York")
    role_give(user, Role.MANAGER)
    return user


@pytest.fixture
def browser(robin: User) -> Browser:
    return browser_of(robin)


def local(user: User, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(user.time_zone)).astimezone(UTC)


def entry_of(user: User, project: Project, day: str, begin: str, end: str, **fields: Any) -> TimeEntry:
    started_at, ended_at = local(user, f"{day} {begin}"), local(user, f"{day} {end}")
    if ended_at <= started_at:
        ended_at = local(user, f"{date.fromisoformat(day) + timedelta(days=1)} {end}")
    return TimeEntry.objects.create(user=user, project=project, started_at=started_at, ended_at=ended_at, **fields)


def address(**asked: object) -> str:
    return reverse("staff:week", query={"week": WEEK, **asked})


def shown(browser: Browser, **asked: object) -> str:
    answer = browser.get(address(**asked))
    assert answer.status_code == 200
    return answer.content.decode()


def post(browser: Browser, page: str, typed: dict[str, str] | None = None, **buttons: str) -> str:
    """Send the form of ``page`` with cells changed, as a browser without JavaScript does; the page that it leads to."""
    fields: dict[str, Any] = dict(Grid.of(page).fields)
    for name, text in (typed or {}).items():
        assert f"cell.{name}" in fields, f"no field for {name}"
        fields[f"cell.{name}"] = text
    return browser.post(reverse("staff:week"), {"do": "save", **fields, **buttons}, follow=True).content.decode()


def times(user: User, **filters: Any) -> list[str]:
    """Her entries on her clock."""
    zone, found = ZoneInfo(user.time_zone), []
    for each in TimeEntry.objects.filter(user=user, **filters).order_by("started_at", "id"):
        end = f"{each.ended_at.astimezone(zone):%H:%M}" if each.ended_at else ""
        found.append(f"{each.started_at.astimezone(zone):%d %H:%M}-{end}")
    return found


def billed(entry: TimeEntry, status: str = "sent") -> None:
    invoice = Invoice.objects.create(number="INV-0001", client=entry.project.client, due_on=timezone.now().date(), status=status)
    item = item_on(invoice, project=entry.project, description="Work", unit_price=Decimal(90))
    TimeEntry.objects.filter(pk=entry.pk).update(invoice_item=item)


# --- what the page shows ----------------------------------------------------------------------------------------------


def test_an_empty_week_says_what_to_do_next(browser: Browser) -> None:
    page = shown(browser)
    assert "Add a row below" in page and "3 March" in page and "9 March 2025" in page
    assert "<script>" not in page and " style=" not in page
    assert "You can look at this week" not in page


def test_cells_rows_days_and_the_week_are_summed(browser: Browser, robin: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates")
    User.objects.filter(pk=robin.pk).update(weekly_hours=Decimal(5))
    entry_of(robin, project, "2025-03-03", "09:00", "10:30")
    entry_of(robin, project, "2025-03-03", "11:00", "12:00", break_seconds=600)
    entry_of(robin, project, "2025-03-09", "22:00", "23:00", task=task)
    entry_of(robin, project, "2025-03-02", "22:00", "23:59")  # Sunday: of the week before
    entry_of(robin, project, "2025-03-10", "00:00", "01:00")  # Monday: of the week after
    page = shown(browser)
    assert Grid.of(page).cells == {f"cell.{project.pk}.2025-03-03": "2:20", f"cell.{project.pk}-{task.pk}.2025-03-09": "1:00"}
    sheet = week_sheet(User.objects.get(pk=robin.pk), week_of(date(2025, 3, 3)), reader=robin, now=timezone.now())
    assert [row.seconds for row in sheet.rows] == [8400, 3600]
    assert [seconds for _, seconds in sheet.day_sums] == [8400, 0, 0, 0, 0, 0, 3600]
    assert "of 5:00 · <span>1:40 to go" in page and ">3:20</strong>" in page


@pytest.mark.parametrize(
    ("agreed", "said"),
    [(None, "hours"), (Decimal(2), "of 2:00 · <span>0:30 to go"), (Decimal(1), "of 1:00 · <span>0:30 over"), (Decimal(0), "over")],
)
def test_the_week_is_set_against_what_is_agreed(browser: Browser, robin: User, project: Project, agreed: Decimal | None, said: str) -> None:
    User.objects.filter(pk=robin.pk).update(weekly_hours=agreed)
    entry_of(robin, project, "2025-03-03", "09:00", "10:30")
    total = shown(browser).split('class="week-total"')[1].split("</section>")[0]
    assert ">1:30</strong>" in total and said in total


def test_time_past_midnight_counts_on_the_day_of_its_start_and_is_marked(browser: Browser, robin: User, project: Project) -> None:
    entry_of(robin, project, "2025-03-05", "22:00", "01:30")
    page = shown(browser)
    assert Grid.of(page).cells == {f"cell.{project.pk}.2025-03-05": "3:30"}
    assert page.count("Goes on past midnight, and counts here") == 1
    TimeEntry.objects.update(ended_at=local(robin, "2025-03-06 00:00"))
    assert "Goes on past midnight" not in shown(browser)


def test_a_running_timer_counts_up_to_now_and_says_so(browser: Browser, robin: User, project: Project) -> None:
    now = timezone.now()
    TimeEntry.objects.create(user=robin, project=project, started_at=now - timedelta(minutes=90), source="timer")
    day = (now - timedelta(minutes=90)).astimezone(ZoneInfo(robin.time_zone)).date()
    page = shown(browser, week=day.isoformat())
    assert Grid.of(page).cells == {f"cell.{project.pk}.{day}": "1:30"} and ">runs<" in page.replace("</svg>", ">")


# The points in time at which the days of a week begin, and the week after it, read off a table of clock changes.
DST_WEEKS = {
    ("Europe/Berlin", "2025-W13"): ("2025-03-23 23", "2025-03-24 23", "2025-03-25 23", "2025-03-26 23", "2025-03-27 23", "2025-03-28 23",
                                    "2025-03-29 23", "2025-03-30 22"),
    ("Europe/Berlin", "2025-W43"): ("2025-10-19 22", "2025-10-20 22", "2025-10-21 22", "2025-10-22 22", "2025-10-23 22", "2025-10-24 22",
                                    "2025-10-25 22", "2025-10-26 23"),
    ("America/New_York", "2025-W10"): ("2025-03-03 05", "2025-03-04 05", "2025-03-05 05", "2025-03-06 05", "2025-03-07 05", "2025-03-08 05",
                                       "2025-03-09 05", "2025-03-10 04"),
    ("America/New_York", "2025-W44"): ("2025-10-27 04", "2025-10-28 04", "2025-10-29 04", "2025-10-30 04", "2025-10-31 04", "2025-11-01 04",
                                       "2025-11-02 04", "2025-11-03 05"),
    ("Pacific/Auckland", "2025-W14"): ("2025-03-30 11", "2025-03-31 11", "2025-04-01 11", "2025-04-02 11", "2025-04-03 11", "2025-04-04 11",
                                       "2025-04-05 11", "2025-04-06 12"),
    ("Pacific/Auckland", "2025-W39"): ("2025-09-21 12", "2025-09-22 12", "2025-09-23 12", "2025-09-24 12", "2025-09-25 12", "2025-09-26 12",
                                       "2025-09-27 12", "2025-09-28 11"),
}  # fmt: skip


@pytest.mark.parametrize(("zone", "name"), DST_WEEKS)
def test_sums_of_weeks_in_which_clocks_change_equal_plain_sql(robin: User, person: User, project: Project, zone: str, name: str) -> None:
    bounds = [f"{text}:00:00" for text in DST_WEEKS[zone, name]]
    User.objects.filter(pk=robin.pk).update(time_zone=zone)
    robin.refresh_from_db()
    projects = [project, *(Project.objects.create(client=project.client, name=f"P {n}", code=f"P-{n}") for n in range(3))]
    tasks = {each.pk: Task.objects.create(project=each, name="Task") for each in projects}
    chance, first = Random(f"{zone} {name}"), datetime.fromisoformat(bounds[0]).replace(tzinfo=UTC)
    entries = []
    for _ in range(300):
        on = chance.choice(projects)
        started_at = first + timedelta(seconds=chance.randrange(-86400, 8 * 86400), microseconds=chance.choice([0, 0, 999_999]))
        ended_at = started_at + timedelta(seconds=chance.randrange(60, 30_000), microseconds=chance.choice([0, 1]))
        entries.append(
            TimeEntry(
                user=chance.choice([robin, robin, person]),
                project=on,
                task=chance.choice([None, tasks[on.pk]]),
                started_at=started_at,
                ended_at=ended_at,
                break_seconds=chance.choice([0, 30]),
            )
        )
    # And on the edges of the days.
    entries += [
        TimeEntry(user=robin, project=project, started_at=moment + edge, ended_at=moment + timedelta(hours=1))
        for moment in (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in bounds)
        for edge in (timedelta(), timedelta(seconds=-1))
    ]
    TimeEntry.objects.bulk_create(entries)
    second = "FLOOR(EXTRACT(EPOCH FROM {}))" if connection.vendor == "postgresql" else "CAST(strftime('%%s', substr({}, 1, 19)) AS INTEGER)"
    statement = f"""
        SELECT project_id, task_id, SUM({second.format("ended_at")} - {second.format("started_at")} - break_seconds)
        FROM tracking_timeentry WHERE user_id = %s AND started_at >= %s AND started_at < %s GROUP BY project_id, task_id
    """
    plain: dict[tuple[str, int], int] = {}
    with connection.cursor() as cursor:
        for number, (begin, end) in enumerate(zip(bounds, bounds[1:], strict=False)):
            utc = ["", ""] if connection.vendor != "postgresql" else ["+00", "+00"]
            cursor.execute(statement, [robin.pk, begin + utc[0], end + utc[1]])
            for project_id, task_id, seconds in cursor.fetchall():
                plain[f"{project_id}-{task_id}" if task_id else str(project_id), number] = int(seconds)

    page = shown(browser_of(robin), week=name)
    # Noon there, more or less: the date that the bounds are about.
    dates = [(first + timedelta(hours=13, days=number)).astimezone(ZoneInfo(zone)).date() for number in range(7)]
    grid = {f"cell.{key}.{dates[number]}": f"{seconds // 3600}:{seconds // 60 % 60:02d}" for (key, number), seconds in plain.items()}
    assert Grid.of(page).cells == grid and len(grid) > 30
    total = sum(plain.values())
    assert f">{total // 3600}:{total // 60 % 60:02d}</strong>" in page
    days = week_of(date.fromisocalendar(int(name[:4]), int(name[-2:]), 1))
    sheet = week_sheet(robin, days, reader=robin, now=timezone.now())
    by_day = time_sums(TimeEntry.objects.filter(user=robin), "day", zone=ZoneInfo(zone))
    assert sheet.seconds == total and sheet.day_sums == [(day, by_day[(day,)].seconds) for day in days]


# --- typing -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def row(project: Project) -> str:
    """The key of a row."""
    return str(project.pk)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("1:30", "04 09:00-10:30"),
        ("1.5", "04 09:00-10:30"),
        ("1,5 h", "04 09:00-10:30"),
        ("90m", "04 09:00-10:30"),
        (" 9-10:30 ", "04 09:00-10:30"),
        ("22-1", "04 22:00-01:00"),
        ("+0:30", "04 09:00-09:30"),
        ("24", "04 00:00-00:00"),
    ],
)
def test_an_empty_cell_becomes_an_entry_of_its_day(browser: Browser, robin: User, project: Project, row: str, text: str, made: str) -> None:
    page = post(browser, shown(browser, row=row), {f"{row}.2025-03-04": text})
    entry = TimeEntry.objects.get()
    assert times(robin) == [made] and "1 cell saved." in page
    assert (entry.user, entry.project, entry.task, entry.billable, entry.source) == (robin, project, None, True, "manual")


def test_a_task_has_a_row_of_its_own_and_a_project_that_is_not_billable_makes_such_time(browser: Browser, project: Project) -> None:
    Project.objects.update(billable=False)
    task = Task.objects.create(project=project, name="Page templates")
    key = f"{project.pk}-{task.pk}"
    post(browser, shown(browser, row=key), {f"{key}.2025-03-04": "1"})
    entry = TimeEntry.objects.get()
    assert (entry.task, entry.billable) == (task, False)


def test_lengths_typed_for_today_share_no_time_whichever_page_they_are_typed_on(browser: Browser, robin: User, project: Project) -> None:
    # Past noon, where she is: the day has room before now.
    robin.time_zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
    robin.save()
    day = timezone.now().astimezone(ZoneInfo(robin.time_zone)).date()
    today = {"work": project.pk, "notes": "", "time": "1:30"}
    pages = [browser.post(reverse("staff:start"), today, follow=True).content.decode() for _ in range(2)]
    pages.append(browser.post(reverse("staff:entries_add"), {**today, "day": day, "break_minutes": 15}, follow=True).content.decode())
    pages.append(post(browser, shown(browser, week=f"{day:%G-W%V}"), {f"{project.pk}.{day}": "+2"}))
    found = list(TimeEntry.objects.order_by("-started_at"))
    assert [each.worked for each in found] == [timedelta(hours=hours) for hours in (1.5, 1.5, 1.5, 2)]
    assert all(later.started_at == earlier.ended_at for later, earlier in pairwise(found))
    assert found[0].ended_at and found[0].ended_at <= timezone.now() and not any("Shares time" in page for page in pages)


def test_time_that_ends_in_the_future_is_saved_and_told_on_every_page(browser: Browser, robin: User, project: Project) -> None:
    said = "This ends in the future: 2098-03-05 10:00. It counts as worked all the same."
    address, form = reverse("staff:entries_add"), {"work": project.pk, "time": "9-10"}
    assert said in browser.post(address, {**form, "day": "2098-03-05"}, follow=True).content.decode()
    week = {"week": "2098-W10"}
    # One cell more than are told one by one.
    typed = {f"{project.pk}.2098-03-0{day}": "+9-10" for day in (3, 5, 6, 7)}
    page = post(browser, shown(browser, **week), typed)
    assert said in page and "1 more cell: sharing time with others, or ending in the future." in page
    page = post(browser, shown(browser, week="2098-W11"), do="copy")
    assert "5 copies end in the future." in page and TimeEntry.objects.count() == 10
    assert "in the future" not in browser.post(address, {**form, "day": "2025-03-05"}, follow=True).content.decode()
    tomorrow = timezone.now().astimezone(ZoneInfo(robin.time_zone)).date() + timedelta(days=1)
    page = browser.post(reverse("staff:start"), {"work": project.pk, "time": "23:58-23:57"}, follow=True).content.decode()
    assert f"This ends in the future: {tomorrow} 23:57." in page


def test_lengths_follow_each_other_and_share_no_time(browser: Browser, robin: User, project: Project) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    entry_of(robin, other, "2025-03-04", "09:00", "11:00")
    page = shown(browser, row=project.pk)
    page = post(browser, page, {f"{project.pk}.2025-03-04": "1:30", f"{project.pk}.2025-03-05": "8", f"{other.pk}.2025-03-05": "2"})
    assert times(robin) == ["04 09:00-11:00", "04 11:00-12:30", "05 09:00-11:00", "05 11:00-19:00"]
    assert "3 cells saved." in page and "Shares time" not in page
    assert "Shares time with SB-APP" in post(browser, page, {f"{project.pk}.2025-03-04": "10-12"})


def test_one_entry_gets_the_length_or_the_times_and_keeps_the_rest(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry = entry_of(robin, project, "2025-03-04", "08:15", "10:00", break_seconds=900, notes="draft", tags="remote", billable=False)
    cell = f"{row}.2025-03-04"
    page = post(browser, shown(browser), {cell: "2:00"})
    assert times(robin) == ["04 08:15-10:30"] and Grid.of(page).cells == {f"cell.{cell}": "2:00"}
    post(browser, page, {cell: "13-14:30"})
    changed = TimeEntry.objects.get()
    assert times(robin) == ["04 13:00-14:30"]
    assert (changed.pk, changed.break_seconds, changed.notes, changed.tags, changed.billable) == (entry.pk, 900, "draft", "remote", False)


def test_cells_that_nobody_touched_keep_their_seconds(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry = entry_of(robin, project, "2025-03-04", "09:00:23", "10:00:41")
    post(browser, shown(browser), {f"{row}.2025-03-05": "1"})
    entry.refresh_from_db()
    assert entry.ended_at == local(robin, "2025-03-04 10:00:41") and TimeEntry.objects.count() == 2
    assert "Nothing was changed." in post(browser, shown(browser))


def test_plus_adds_an_entry_whatever_is_there(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    cell = f"{row}.2025-03-04"
    page = post(browser, shown(browser), {cell: "+0:30"})
    assert times(robin) == ["04 09:00-10:00", "04 10:00-10:30"] and Grid.of(page).cells == {f"cell.{cell}": "1:30"}
    page = post(browser, page, {cell: "+13-14"})
    assert times(robin)[2:] == ["04 13:00-14:00"] and ">3<" in page
    assert "Nothing to add" in post(browser, page, {cell: "+0"}) and "is given" in post(browser, page, {cell: "+"})
    assert TimeEntry.objects.count() == 3


def refused(browser: Browser, page: str, cell: str, text: str) -> str:
    """Type ``text``, see that nothing changes and that it stays, and return the page."""
    before = list(TimeEntry.objects.order_by("id").values())
    page = post(browser, page, {cell: text})
    assert list(TimeEntry.objects.order_by("id").values()) == before
    assert Grid.of(page).fields[f"cell.{cell}"] == [text] and 'aria-invalid="true"' in page and "1 cell is not saved." in page
    return page


def test_several_entries_are_not_changed_as_one(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    entry_of(robin, project, "2025-03-04", "11:00", "12:00")
    for text in ("3:00", "", "0", "9-12"):
        assert "There are 2 entries in this cell." in refused(browser, shown(browser), f"{row}.2025-03-04", text)


@pytest.mark.parametrize(("status", "said"), [("sent", "which has been issued"), ("draft", "on a draft of an invoice")])
def test_billed_time_does_not_change_and_more_can_be_added(
    browser: Browser, robin: User, project: Project, row: str, status: str, said: str
) -> None:
    billed(entry_of(robin, project, "2025-03-04", "09:00", "10:00"), status)
    cell = f"{row}.2025-03-04"
    for text in ("3:00", "", "9-12"):
        page = refused(browser, shown(browser), cell, text)
        assert "INV-0001" in page and said in page and "billed" in page
    assert "1 cell saved." in post(browser, shown(browser), {cell: "+1"})
    page = shown(browser)
    assert times(robin) == ["04 09:00-10:00", "04 10:00-11:00"] and "partly billed" in page


def test_the_running_timer_is_not_changed_from_here(browser: Browser, robin: User, project: Project, row: str) -> None:
    began = timezone.now() - timedelta(minutes=5)
    TimeEntry.objects.create(user=robin, project=project, started_at=began, source="timer")
    day = began.astimezone(ZoneInfo(robin.time_zone)).date()
    page = shown(browser, week=day.isoformat())
    for text in ("3:00", ""):
        assert "The timer runs here." in refused(browser, page, f"{row}.{day}", text)
    assert "1 cell saved." in post(browser, page, {f"{row}.{day}": "+0:30"})
    assert TimeEntry.objects.filter(ended_at=None).count() == 1 and TimeEntry.objects.count() == 2


@pytest.mark.parametrize("text", ["", "0", "0:00"])
def test_emptying_a_cell_asks_and_deletes_only_then(browser: Browser, robin: User, project: Project, row: str, text: str) -> None:
    entry_of(robin, project, "2025-03-04", "09:00", "10:00", notes="half <a> sentence")
    entry_of(robin, project, "2025-03-05", "09:00", "10:00")
    cell = f"{row}.2025-03-04"
    page = refused(browser, shown(browser), cell, text)
    assert "Delete the entry 09:00–10:00 with the note “half &lt;a&gt; sentence”?" in page and f'name="sure" value="{cell}"' in page
    page = post(browser, page, {cell: text}, sure=cell)
    assert times(robin) == ["05 09:00-10:00"] and "1 entry deleted." in page


def test_sure_is_sure_of_what_was_shown_only(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry = entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    other = entry_of(robin, project, "2025-03-05", "09:00", "10:00")
    cell, beside = f"{row}.2025-03-04", f"{row}.2025-03-05"
    page = post(browser, shown(browser), {cell: "", beside: ""})
    assert page.count('name="sure"') == 2
    # Longer by now: it is told, and not deleted.
    TimeEntry.objects.filter(pk=entry.pk).update(ended_at=entry.started_at + timedelta(hours=3))
    page = post(browser, page, {}, sure=cell)
    assert "it was 1:00 here and is 3:00 now" in page
    assert set(TimeEntry.objects.all()) == {entry, other}
    # Kept by typing again what it was.
    page = post(browser, page, {cell: "3:00", beside: "1:00"})
    assert "Nothing was changed." in page and TimeEntry.objects.count() == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [("soon", "is no time"), ("25", "more than 24 hours"), ("9-9", "ends when it begins"), ("9-25", "from 0:00 to 24:00"),
     ("-1", "is no time"), ("1" * 41, "longer than 40"), ("<b>", "is no time")],
)  # fmt: skip
def test_what_cannot_be_read_stays_and_the_good_cells_are_saved(browser: Browser, robin: User, row: str, text: str, said: str) -> None:
    page = post(browser, shown(browser, row=row), {f"{row}.2025-03-04": text, f"{row}.2025-03-05": "1", f"{row}.2025-03-06": "2"})
    assert times(robin) == ["05 09:00-10:00", "06 09:00-11:00"]
    assert said in page and "2 cells saved." in page and "1 cell is not saved." in page and "<b>" not in page
    cells = Grid.of(page).cells
    assert cells == {f"cell.{row}.2025-03-04": text, f"cell.{row}.2025-03-05": "1:00", f"cell.{row}.2025-03-06": "2:00"}
    post(browser, page, {f"{row}.2025-03-04": "3"})
    assert times(robin) == ["04 09:00-12:00", "05 09:00-10:00", "06 09:00-11:00"]


def test_what_the_model_refuses_is_said_too(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry_of(robin, project, "2025-03-04", "09:00", "12:00", break_seconds=3600)
    assert "The break is longer than the entry." in refused(browser, shown(browser), f"{row}.2025-03-04", "9-9:30")


def test_a_cell_that_was_changed_meanwhile_is_told_and_not_overwritten(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry = entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    cell, beside = f"{row}.2025-03-04", f"{row}.2025-03-05"
    first = shown(browser)
    post(browser, shown(browser), {cell: "2"})
    page = post(browser, first, {cell: "3", beside: "1"})
    assert "it was 1:00 here and is 2:00 now" in page and times(robin) == ["04 09:00-11:00", "05 09:00-10:00"]
    assert Grid.of(page).cells == {f"cell.{cell}": "3", f"cell.{beside}": "1:00"}
    post(browser, page)
    assert times(robin) == ["04 09:00-12:00", "05 09:00-10:00"]
    # Other times of the same length are a change, too.
    page = shown(browser)
    TimeEntry.objects.filter(pk=entry.pk).update(
        started_at=entry.started_at + timedelta(hours=1), ended_at=entry.started_at + timedelta(hours=4)
    )
    assert "The entries of this cell were changed meanwhile" in refused(browser, page, cell, "4")


def test_the_same_form_sent_twice_counts_once(browser: Browser, robin: User, row: str) -> None:
    page = shown(browser, row=row)
    for _ in range(2):
        answer = post(browser, page, {f"{row}.2025-03-04": "1:30"})
    assert times(robin) == ["04 09:00-10:30"] and "it was empty here and is 1:30 now" in answer


def test_an_entry_that_was_deleted_meanwhile_is_not_made_again(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    page = shown(browser)
    TimeEntry.objects.all().delete()
    page = post(browser, page, {f"{row}.2025-03-04": "3"})
    assert "it was 1:00 here and is empty now" in page and not TimeEntry.objects.exists()


@pytest.mark.parametrize(
    ("zone", "day", "text", "seconds"),
    [
        ("Europe/Berlin", "2025-03-30", "1-4", 7200),
        ("Europe/Berlin", "2025-10-26", "1-4", 4 * 3600),
        ("Europe/Berlin", "2025-03-29", "22-4", 5 * 3600),
        ("America/New_York", "2025-03-09", "1-4", 7200),
        ("America/New_York", "2025-11-02", "0-4", 5 * 3600),
        ("Pacific/Auckland", "2025-09-28", "1-4", 7200),
        ("Pacific/Auckland", "2025-04-06", "1-4", 4 * 3600),
        ("Europe/Berlin", "2025-03-30", "3:00", 3 * 3600),
        ("Pacific/Auckland", "2025-04-06", "24", 24 * 3600),
    ],
)
def test_what_is_typed_is_what_passes_where_clocks_change(robin: User, row: str, zone: str, day: str, text: str, seconds: int) -> None:
    User.objects.filter(pk=robin.pk).update(time_zone=zone)
    browser = browser_of(robin)
    page = post(browser, shown(browser, week=day, row=row), {f"{row}.{day}": text})
    entry = TimeEntry.objects.get()
    assert entry.worked == timedelta(seconds=seconds)
    assert entry.started_at.astimezone(ZoneInfo(zone)).date() == date.fromisoformat(day)
    assert Grid.of(page).cells == {f"cell.{row}.{day}": f"{seconds // 3600}:00"}


def test_a_length_over_a_change_of_clocks_ends_so_much_later(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry_of(robin, project, "2025-03-30", "01:00", "01:30")
    post(browser, shown(browser, week="2025-W13"), {f"{row}.2025-03-30": "3:00"})
    assert times(robin) == ["30 01:00-05:00"]


def test_a_time_that_clocks_leave_out_is_refused(browser: Browser, row: str) -> None:
    page = post(browser, shown(browser, week="2025-W13", row=row), {f"{row}.2025-03-30": "2:30-3:30"})
    assert "clocks were put forward then" in page and not TimeEntry.objects.exists()


# --- rows -------------------------------------------------------------------------------------------------------------


def test_a_row_is_added_and_what_was_typed_stays_unsaved(browser: Browser, robin: User, project: Project, row: str) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    cell = f"{row}.2025-03-04"
    page = post(browser, shown(browser), {cell: "2"}, do="add", add=str(other.pk))
    assert Grid.of(page).cells == {f"cell.{cell}": "2"} and f"cell.{other.pk}.2025-03-05" in Grid.of(page).fields
    assert times(robin) == ["04 09:00-10:00"]
    # Changed meanwhile: the new row has not made the form forget what the cell was.
    TimeEntry.objects.update(ended_at=local(robin, "2025-03-04 12:00"))
    page = post(browser, page, {f"{other.pk}.2025-03-05": "1"})
    assert "it was 1:00 here and is 3:00 now" in page and times(robin) == ["04 09:00-12:00", "05 09:00-10:00"]


def test_rows_without_time_stay_after_saving(browser: Browser, project: Project, row: str) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    page = shown(browser, row=row)
    page = post(browser, page, do="add", add=str(other.pk))
    page = post(browser, page, {f"{row}.2025-03-04": "1"})
    assert f"cell.{other.pk}.2025-03-05" in Grid.of(page).fields


@pytest.mark.parametrize(
    ("add", "said"), [("", "Choose what you work on."), ("x", "Choose a project"), ("999999", "takes no time any more")]
)
def test_a_row_that_is_none_is_said_beside_the_choice(browser: Browser, row: str, add: str, said: str) -> None:
    page = post(browser, shown(browser, row=row), {f"{row}.2025-03-04": "1:30"}, do="add", add=add)
    assert said in page and Grid.of(page).cells == {f"cell.{row}.2025-03-04": "1:30"} and not TimeEntry.objects.exists()


@pytest.mark.parametrize(
    ("model", "state", "said"),
    [
        (Project, {"status": Project.Status.CLOSED}, "SB-WEB is closed and takes no new time"),
        (Client, {"active": False}, "SB-WEB takes no new time: its client,"),
    ],
)
def test_a_closed_project_takes_no_new_time_and_lets_its_time_be_changed(
    browser: Browser, robin: User, project: Project, row: str, model: type[Project | Client], state: dict[str, object], said: str
) -> None:
    entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    page = shown(browser)
    model._default_manager.update(**state)
    assert set(Grid.of(shown(browser)).cells) == {name for name in Grid.of(shown(browser)).fields if name.startswith("cell.")}
    page = post(browser, page, {f"{row}.2025-03-04": "2", f"{row}.2025-03-05": "1"})
    assert said in page and times(robin) == ["04 09:00-11:00"]
    assert f"cell.{row}" not in shown(browser, week="2025-W11", row=row)


def test_a_row_whose_project_was_closed_meanwhile_loses_no_words(browser: Browser, row: str) -> None:
    page = shown(browser, row=row)
    Project.objects.update(status=Project.Status.CLOSED)
    page = post(browser, page, {f"{row}.2025-03-05": "1:23"})
    assert "“1:23” on 2025-03-05: This takes no time any more" in page and not TimeEntry.objects.exists()


# --- the week before --------------------------------------------------------------------------------------------------


@pytest.fixture
def before(robin: User, project: Project) -> list[Project]:
    """Three projects with time in the week before, one of them closed by now."""
    app, old = (
        Project.objects.create(client=project.client, name=name, code=code) for name, code in (("App", "SB-APP"), ("Old", "SB-OLD"))
    )
    entry_of(robin, project, "2025-02-24", "09:00", "10:30", notes="monday", tags="remote", break_seconds=600)
    entry_of(robin, project, "2025-02-25", "22:00", "01:00", billable=False)
    entry_of(robin, app, "2025-03-02", "10:00", "11:00")
    entry_of(robin, old, "2025-02-26", "10:00", "11:00")
    entry_of(robin, app, "2025-02-23", "10:00", "11:00")  # of the week before that
    Project.objects.filter(pk=old.pk).update(status=Project.Status.CLOSED)
    return [project, app, old]


def test_rows_of_the_week_before_are_added_without_time(browser: Browser, before: list[Project]) -> None:
    count = TimeEntry.objects.count()
    page = post(browser, shown(browser), do="rows")
    keys = {name.split(".")[1] for name in Grid.of(page).fields if name.startswith("cell.")}
    assert keys == {str(each.pk) for each in before[:2]} and not Grid.of(page).cells
    assert "2 rows of the week before added" in page and "take no new time: SB-OLD." in page
    assert "is here already" in post(browser, page, do="rows") and TimeEntry.objects.count() == count


def test_the_week_before_is_copied_with_its_times(browser: Browser, robin: User, before: list[Project]) -> None:
    billed(TimeEntry.objects.get(notes="monday"))
    page = post(browser, shown(browser), do="copy")
    since = local(robin, "2025-03-03 00:00")
    assert times(robin, started_at__gte=since) == ["03 09:00-10:30", "04 22:00-01:00", "09 10:00-11:00"]
    assert "3 entries of the week before copied, 5:20 in all." in page
    assert "Left out: SB-OLD: takes no new time, as the project is not active." in page
    copy = TimeEntry.objects.filter(started_at__gte=since).earliest("started_at")
    assert (copy.notes, copy.tags, copy.break_seconds, copy.billable, copy.invoice_item, copy.source) == (
        "monday", "remote", 600, True, None, "manual",
    )  # fmt: skip


def test_copying_twice_copies_once_and_leaves_rows_with_time_alone(browser: Browser, robin: User, before: list[Project]) -> None:
    entry_of(robin, before[1], "2025-03-05", "09:00", "10:00")
    page = post(browser, shown(browser), do="copy")
    assert "Left out: SB-APP: has time in this week already." in page and "2 entries of the week before copied" in page
    count = TimeEntry.objects.count()
    page = post(browser, page, do="copy")
    assert TimeEntry.objects.count() == count
    assert "Nothing was copied." in page and "Left out: SB-WEB, SB-APP: has time in this week already." in page


def test_what_was_typed_is_saved_before_copying_and_nothing_is_copied_where_that_fails(
    browser: Browser, robin: User, before: list[Project], row: str
) -> None:
    page = shown(browser, row=row)
    refusal = post(browser, page, {f"{row}.2025-03-04": "soon"}, do="copy")
    assert "is no time" in refusal and "copied" not in refusal and TimeEntry.objects.count() == 5
    post(browser, page, {f"{row}.2025-03-04": "1"}, do="copy")
    assert times(robin, started_at__gte=local(robin, "2025-03-03 00:00")) == ["04 09:00-10:00", "09 10:00-11:00"]


def test_copies_that_share_time_are_told(browser: Browser, robin: User, before: list[Project]) -> None:
    other = Project.objects.create(client=before[0].client, name="Other", code="SB-OTH")
    entry_of(robin, other, "2025-03-03", "10:00", "12:00")
    assert "1 copy share" in post(browser, shown(browser), do="copy").replace("shares", "share")


@pytest.mark.parametrize("week", ["2025-W13", "2025-W14", "2025-W43", "2025-W44"])
def test_copies_keep_clock_times_and_lengths_where_clocks_change(browser: Browser, robin: User, project: Project, week: str) -> None:
    monday = date.fromisocalendar(int(week[:4]), int(week[-2:]), 1)
    for days in range(-7, 0):
        entry_of(robin, project, (monday + timedelta(days=days)).isoformat(), "09:00", "10:30")
    sunday = entry_of(robin, project, (monday - timedelta(days=1)).isoformat(), "23:00", "00:30")
    post(browser, shown(browser, week=week), do="copy")
    copies = times(robin, started_at__gte=local(robin, f"{monday} 00:00"))
    assert [text[3:] for text in copies] == ["09:00-10:30"] * 7 + ["23:00-00:30"]
    assert sunday.worked == timedelta(hours=1, minutes=30)


def test_a_week_before_without_time_is_said(browser: Browser) -> None:
    for button in ("rows", "copy"):
        assert "Nothing was recorded in the week before." in post(browser, shown(browser, week="2025-W20"), do=button)


def test_a_timer_that_runs_since_the_week_before_is_not_copied(browser: Browser, robin: User, project: Project) -> None:
    TimeEntry.objects.create(user=robin, project=project, started_at=local(robin, "2025-02-26 09:00"))
    assert "SB-WEB: This timer still runs." in post(browser, shown(browser), do="copy") and TimeEntry.objects.count() == 1


# --- whose week it is -------------------------------------------------------------------------------------------------


def test_who_sees_everybodys_time_changes_the_week_of_others_in_their_time_zone(
    manager: User, robin: User, project: Project, row: str
) -> None:
    entry_of(robin, project, "2025-03-04", "00:30", "01:30")
    browser = browser_of(manager)
    page = shown(browser, person=robin.pk)
    assert Grid.of(page).cells == {f"cell.{row}.2025-03-04": "1:00"}
    assert "Robin Sample: week 10" in page and "those of Robin Sample, in Europe/Berlin" in page
    page = post(browser, page, {f"{row}.2025-03-05": "1:30"})
    made = TimeEntry.objects.latest("id")
    assert (made.user, times(robin)) == (robin, ["04 00:30-01:30", "05 09:00-10:30"]) and "Robin Sample: week 10" in page
    post(browser, page, do="copy")
    assert "3 entries" not in post(browser, shown(browser, person=robin.pk, week="2025-W11"), do="copy")
    assert len(times(robin)) == 4 and not TimeEntry.objects.filter(user=manager).exists()


def test_a_member_sees_no_week_of_others_and_writes_none(browser: Browser, person: User, manager: User, project: Project, row: str) -> None:
    entry_of(manager, project, "2025-03-04", "09:00", "10:00")
    for who in (manager.pk, person.pk, 10**20, "x", "²"):
        assert browser.get(address(person=who)).status_code == 404
        fields = Grid.of(shown(browser, row=row)).fields | {"person": [str(who)], f"cell.{row}.2025-03-04": ["5"]}
        assert browser.post(reverse("staff:week"), fields).status_code == 404
    assert TimeEntry.objects.count() == 1 and "Kim Manager" not in shown(browser)


def test_of_a_client_or_nobody_there_is_no_week(manager: User) -> None:
    guest = User.objects.create_user("guest")
    for who in (guest.pk, 10**17):
        assert browser_of(manager).get(address(person=who)).status_code == 404


def test_who_may_only_change_time_has_fields_for_what_is_there(manager: User, robin: User, project: Project, row: str) -> None:
    role_give(manager, Role.BOOKKEEPER)
    entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    browser = browser_of(manager)
    page = shown(browser, person=robin.pk)
    assert [name for name in Grid.of(page).fields if name.startswith("cell.")] == [f"cell.{row}.2025-03-04"]
    assert "Add row" not in page
    assert "You may not add time entries." in post(browser, page, {f"{row}.2025-03-04": "+1"})
    post(browser, page, {f"{row}.2025-03-04": "2"})
    assert times(robin) == ["04 09:00-11:00"]
    assert "You may not delete time entries." in post(
        browser, shown(browser, person=robin.pk), {f"{row}.2025-03-04": ""}, sure=f"{row}.2025-03-04"
    )
    assert times(robin) == ["04 09:00-11:00"]


def test_who_may_change_no_time_reads(browser: Browser, robin: User, project: Project, row: str) -> None:
    entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    form = Grid.of(shown(browser)).fields | {f"cell.{row}.2025-03-04": ["5"]}
    robin.groups.clear()
    page = shown(browser)
    assert "1:00" in page and not [name for name in Grid.of(page).fields if name.startswith("cell.")]
    assert "You can look at this week, and not change it." in page and "Save" not in page.split('id="week-page"')[1].split("<dialog")[0]
    assert browser.post(reverse("staff:week"), form).status_code == 403 and times(robin) == ["04 09:00-10:00"]


def test_a_member_reads_no_amount(browser: Browser, robin: User, project: Project) -> None:
    User.objects.filter(pk=robin.pk).update(hourly_rate=Decimal("61.23"))
    entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    page = shown(browser)
    for amount in ("61.23", "90.00", "80.00", "USD"):
        assert amount not in page


def test_strangers_are_sent_to_the_login() -> None:
    assert "/login/" in Browser().get(address()).headers["Location"]


# --- the address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["2025-W10", "2025w10", "2025W10", "2025-03-03", "2025-03-09"])
def test_a_week_is_named_by_its_number_or_a_date_in_it(browser: Browser, text: str) -> None:
    page = shown(browser, week=text)
    assert "3 March" in page and "9 March 2025" in page and "week=2025-W09" in page and "week=2025-W11" in page
    assert browser.get(reverse("staff:week", query={"date": text})).content.decode().count("9 March 2025") == 1


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2025-W54",
        "2025-W00",
        "2025-02-30",
        "1999-W10",
        "2000-01-01",
        "2101-01-01",
        "0001-01-01",
        "9999-W52",
        "20250303",
        "²",
        "x" * 5000,
    ],
)
def test_a_week_that_is_none_is_said_and_this_week_is_shown(browser: Browser, row: str, text: str) -> None:
    page = shown(browser, week=text)
    assert "is no week between 2000 and 2100." in page
    fields = Grid.of(page).fields | {"week": [text]}
    assert browser.post(reverse("staff:week"), fields).status_code == 302


@pytest.mark.parametrize(("week", "leads"), [("2000-01-03", ["2000-W02"]), ("2100-12-31", ["2100-W51"]), ("2100-W52", ["2100-W51"])])
def test_the_first_and_the_last_week_lead_no_further_and_take_time(browser: Browser, row: str, week: str, leads: list[str]) -> None:
    page = shown(browser, week=week, row=row)
    bar = page.split('aria-label="Weeks"')[1].split("This week")[0]
    assert re.findall(r"week=(\d{4}-W\d\d)", bar)[:-1] == leads
    cells = [name.removeprefix("cell.") for name in Grid.of(page).fields if name.startswith("cell.")]
    page = post(browser, page, {cells[0]: "22-1", cells[6]: "22-1"}, do="copy")
    assert "2 cells saved." in page and TimeEntry.objects.count() == 2


def test_rows_that_are_none_are_left_out(browser: Browser, robin: User, project: Project, row: str) -> None:
    task = Task.objects.create(project=Project.objects.create(client=project.client, name="App", code="SB-APP"), name="Login")
    asked = [row, row, "0", "x", f"{row}-{task.pk}", f"{row}-999999", "9" * 18, "9" * 30, "1-", "²"]
    page = browser.get(reverse("staff:week", query={"week": WEEK, "row": asked})).content.decode()
    assert {name.split(".")[1] for name in Grid.of(page).fields if name.startswith("cell.")} == {row}
    fields: dict[str, Any] = Grid.of(page).fields
    for wrong in ("", "x|@", f"{row}|@", f"{row}|||||||", "|" * 50, f"{task.pk}-|@|@|@|@|@|@|@"):
        answer = browser.post(reverse("staff:week"), fields | {"row": [wrong], f"cell.{row}.2025-03-04": ["5"]}, follow=True)
        assert answer.status_code == 200 and not TimeEntry.objects.exists(), wrong


# --- htmx, queries, restores ------------------------------------------------------------------------------------------


def test_htmx_gets_the_parts_and_an_address_that_keeps_the_rows(browser: Browser, project: Project, row: str) -> None:
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    fields: dict[str, Any] = Grid.of(shown(browser, row=row)).fields
    added = browser.post(reverse("staff:week"), {**fields, "do": "add", "add": other.pk}, headers=HTMX)
    assert added.headers["HX-Replace-Url"] == f"/week/?week=2025-W10&row={other.pk}&row={row}"
    saved = browser.post(reverse("staff:week"), {**fields, f"cell.{row}.2025-03-04": "1"}, headers=HTMX)
    parts = saved.content.decode()
    assert 'id="week-page"' in parts and "1 cell saved." in parts and "<html" not in parts
    answer = browser.post(reverse("staff:week"), fields)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/week/?week=2025-W10")


def test_a_full_week_takes_as_few_queries_as_an_empty_one(manager: User, robin: User, project: Project) -> None:
    browser = browser_of(manager)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            shown(browser, person=robin.pk, row=project.pk)
        return len(queries)

    entry_of(robin, project, "2025-03-04", "09:00", "10:00")
    few = count()
    client = Client.objects.create(name="Another Client")
    for number in range(12):
        another = Project.objects.create(client=client, name=f"Project {number}", code=f"P-{number}")
        task = Task.objects.create(project=another, name="Task")
        for day in range(3, 10):
            entry = entry_of(robin, another, f"2025-03-0{day}", "09:00", "10:00", task=task if day % 2 else None)
        if number < 5:
            item = InvoiceItem.objects.create(
                invoice=Invoice.objects.create(number=f"INV-{number}", client=client, due_on=timezone.now().date()),
                project=another, description="Work", unit_price=Decimal(90),
            )  # fmt: skip
            TimeEntry.objects.filter(pk=entry.pk).update(invoice_item=item)
        User.objects.create_user(f"person-{number}", is_staff=True)
    assert count() == few <= 14


def test_more_rows_than_a_form_can_hold_are_read_only(browser: Browser, robin: User, project: Project) -> None:
    start = local(robin, "2025-03-04 09:00")
    tasks = Task.objects.bulk_create(Task(project=project, name=f"Task {number}") for number in range(105))
    TimeEntry.objects.bulk_create(
        TimeEntry(user=robin, project=project, task=task, started_at=start, ended_at=start + timedelta(hours=1)) for task in tasks
    )
    page = shown(browser)
    assert len([name for name in Grid.of(page).fields if name.startswith("cell.")]) == 700
    assert "Only the first 100 rows can be typed into." in page and ">105:00</strong>" in page
    assert "1 cell saved." in post(browser, page, {f"{project.pk}-{tasks[0].pk}.2025-03-04": "2"})


@pytest.fixture
def raised(own_gate: None) -> Iterator[None]:
    """A restore of this process: the flag is up."""
    gate.gate_raise("restore-of-the-test", "restore")
    yield
    gate.gate_open()


def test_during_a_restore_the_week_is_read_and_nothing_is_changed(browser: Browser, row: str, raised: None) -> None:
    gate.gate_read_only()
    page = shown(browser, row=row)
    assert "You can read, but not change anything." in page
    refused = browser.post(reverse("staff:week"), {**Grid.of(page).fields, f"cell.{row}.2025-03-04": "5"}, headers=HTMX)
    assert (refused.status_code, refused.headers["HX-Retarget"]) == (503, "#gate-message")
    assert not TimeEntry.objects.exists()


# --- at the same instant ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_form_and_a_copy_sent_four_times_at_once_count_once(person: User, project: Project) -> None:
    # By no role: an earlier test of this kind has emptied all tables.
    User.objects.filter(pk=person.pk).update(is_superuser=True)
    before = TimeEntry.objects.create(
        user=person, project=project, started_at=datetime(2025, 2, 26, 9, tzinfo=UTC), ended_at=datetime(2025, 2, 26, 10, tzinfo=UTC)
    )
    other = Project.objects.create(client=project.client, name="App", code="SB-APP")
    fields: dict[str, Any] = Grid.of(shown(browser_of(person), row=other.pk)).fields
    fields |= {f"cell.{other.pk}.2025-03-04": "1:30", "do": "copy"}
    browsers, together = [browser_of(person) for _ in range(4)], threading.Barrier(4)

    def send(browser: Browser) -> int:
        together.wait(timeout=30)
        try:
            return browser.post(reverse("staff:week"), fields).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(send, browsers)) == [200, 200, 200, 302]
    made = TimeEntry.objects.exclude(pk=before.pk).order_by("started_at")
    found = [(entry.project_id, entry.worked) for entry in made]
    assert found == [(other.pk, timedelta(minutes=90)), (project.pk, timedelta(hours=1))]
