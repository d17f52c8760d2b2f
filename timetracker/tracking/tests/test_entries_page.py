"""Entries, as a browser asks for it: the filter, the sums, pages of days, one entry changed, and the download."""

from __future__ import annotations

import csv
import html
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.clients.models import Client
from timetracker.tests.people import browser_of
from timetracker.tracking.hours_text import hours_said
from timetracker.tracking.models import Project, Task, TimeEntry
from timetracker.tracking.pages.entry_csv import COLUMNS, MONEY_COLUMNS
from timetracker.tracking.pages.entry_filter import EntryFilter
from timetracker.tracking.pages.entry_list import PAGE, entry_page

pytestmark = pytest.mark.django_db

NINE = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALL = "/entries/?period=all"
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/entries/"}


@pytest.fixture
def robin(project: Project) -> User:
    """A member, in Berlin."""
    user = User.objects.create_user("robin.m", is_staff=True, full_name="Robin Sample", time_zone="Europe/Berlin")
    role_give(user, Role.MEMBER)
    return user


@pytest.fixture
def kim(project: Project) -> User:
    """A manager, in New York."""
    user = User.objects.create_user("kim.m", is_staff=True, full_name="Kim Specimen", time_zone="America/New_York")
    role_give(user, Role.MANAGER)
    return user


@pytest.fixture
def other(project: Project) -> Project:
    client = Client.objects.create(name="Counting House", currency="EUR", default_rate=Decimal("33.33"))
    return Project.objects.create(client=client, name="App", code="CH-APP")


def entry_of(user: User, project: Project, begins: datetime = NINE, length: timedelta = HOUR, **fields: Any) -> TimeEntry:
    """An entry that is not saved yet."""
    return TimeEntry(user=user, project=project, started_at=begins, ended_at=begins + length, **fields)


def make(user: User, project: Project, begins: datetime = NINE, length: timedelta = HOUR, **fields: Any) -> TimeEntry:
    entry = entry_of(user, project, begins, length, **fields)
    entry.save()
    return entry


def bill(entry: TimeEntry) -> None:
    invoice, _ = Invoice.objects.get_or_create(number="INV-0007", client=entry.project.client, defaults={"due_on": date(2099, 1, 1)})
    TimeEntry.objects.filter(pk=entry.pk).update(
        invoice_item=InvoiceItem.objects.create(invoice=invoice, description="Work", unit_price=Decimal(90))
    )


def page_of(user: User, query: str = "period=all") -> str:
    answer = browser_of(user).get(f"/entries/?{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def listed(page: str) -> list[int]:
    """The entries on the page, from above."""
    return [int(number) for number in re.findall(r'<li class="row entry-row" id="entry-(\d+)"', page)]


def found_by(user: User, query: str) -> set[int]:
    return set(EntryFilter(QueryDict(query), user=user).find(TimeEntry.objects.all()).values_list("pk", flat=True))


def totals_on(page: str) -> dict[str, list[str]]:
    """The figures above the list, by their name."""
    said: dict[str, list[str]] = {}
    name = ""
    for tag, text in re.findall(r"<(dt|dd)>([^<]+)</", page.split('id="totals"')[1].split("</dl>")[0]):
        if tag == "dt":
            name = text
        else:
            said.setdefault(name, []).append(html.unescape(text))
    return said


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_without_time_the_page_says_what_to_do(robin: User) -> None:
    page = page_of(robin, "")
    assert "No time is found for this filter." in page and "Write down time" in page and 'id="selection"' not in page
    assert "<script>" not in page and " style=" not in page
    assert "There is no time yet." in page_of(robin)


def test_a_member_sees_her_own_entries_and_no_amount_also_by_address(robin: User, kim: User, project: Project) -> None:
    own, theirs = make(robin, project), make(kim, project, notes="secret")
    for query in ("period=all", f"period=all&person={kim.pk}", f"period=all&project={project.pk}&sums=yes"):
        page = page_of(robin, query)
        assert listed(page) == [own.pk] and "secret" not in page
        assert 'name="person"' not in page and "USD" not in page and "Comes to" not in page
    page = page_of(kim)
    assert set(listed(page)) == {own.pk, theirs.pk} and totals_on(page)["Comes to"] == ["180.00\xa0USD"]
    assert "90.00\xa0USD" in page and 'name="person"' in page


@pytest.mark.parametrize("name", ["entries_edit", "entries_copy", "entries_remove"])
def test_an_entry_of_somebody_else_is_not_there_for_a_member(robin: User, kim: User, project: Project, name: str) -> None:
    theirs = make(kim, project)
    form = {"day": "2025-03-04", "confirmed": "yes", "work": project.pk, "time": "9-10"}
    for answer in (
        browser_of(robin).get(reverse(f"staff:{name}", args=[theirs.pk])),
        browser_of(robin).post(reverse(f"staff:{name}", args=[theirs.pk]), form),
    ):
        assert answer.status_code == 404
    assert list(TimeEntry.objects.values_list("pk", flat=True)) == [theirs.pk]


def test_who_may_not_add_or_delete_is_refused_and_shown_no_way(kim: User, robin: User, project: Project) -> None:
    role_give(kim, Role.BOOKKEEPER)
    entry = make(robin, project)
    page, browser = page_of(kim), browser_of(kim)
    assert "New entry" not in page and "Duplicate" not in page and "Delete" not in page and "Edit: " in page
    for address in (
        reverse("staff:entries_add"),
        reverse("staff:entries_copy", args=[entry.pk]),
        reverse("staff:entries_remove", args=[entry.pk]),
    ):
        assert browser.post(address, {"confirmed": "yes", "day": "2025-03-04"}).status_code == 403
    assert browser.get(reverse("staff:entries_delete")).status_code == 403


# --- the filter -------------------------------------------------------------------------------------------------------


def test_each_filter_finds_its_own(kim: User, robin: User, project: Project, other: Project) -> None:
    task = Task.objects.create(project=project, name="Header")
    unbillable = Project.objects.create(client=project.client, name="Favour", code="SB-FAV", billable=False)
    a = make(kim, project, task=task, notes="First DRAFT", tags="remote, css")
    b = make(robin, other, NINE + 24 * HOUR, billable=False, tags="remotely")
    c = make(robin, unbillable, NINE + 48 * HOUR)
    d = make(robin, project, NINE + 72 * HOUR)
    bill(d)
    for query, meant in {
        "period=all": {a, b, c, d},
        f"person={robin.pk}&period=all": {b, c, d},
        f"client={project.client_id}&period=all": {a, c, d},
        f"client={other.client_id}&project={project.pk}&period=all": {b},
        f"project={project.pk}&period=all": {a, d},
        f"task={task.pk}&period=all": {a},
        f"task={task.pk}&project={other.pk}&period=all": {b},
        "tag=remote&period=all": {a},
        "tag=css&period=all": {a},
        "notes=draft&period=all": {a},
        "notes=100%25&period=all": set(),
        "billable=yes&period=all": {a, d},
        "billable=no&period=all": {b, c},
        "billed=yes&period=all": {d},
        "billed=no&period=all": {a, b, c},
        "since=2025-03-04": {b, c, d},
        "until=2025-03-04": {a, b},
        "since=2025-03-04&until=2025-03-05&billable=no": {b, c},
    }.items():
        assert found_by(kim, query) == {entry.pk for entry in meant}, query


def test_days_of_the_filter_are_those_of_whoever_looks(kim: User, robin: User, project: Project) -> None:
    # 23:30 in New York is the next morning in Berlin.
    late = make(robin, project, datetime(2025, 3, 9, 3, 30, tzinfo=UTC))
    assert found_by(kim, "since=2025-03-08&until=2025-03-08") == {late.pk}
    assert found_by(robin, "since=2025-03-08&until=2025-03-08") == set()
    assert found_by(robin, "since=2025-03-09&until=2025-03-09") == {late.pk}


def test_the_filter_is_said_in_words_and_each_part_can_be_left_out(kim: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Header")
    query: dict[str, str | int] = {
        "project": project.pk,
        "task": task.pk,
        "notes": "a&b",
        "billable": "yes",
        "since": "2025-03-01",
        "until": "2025-03-31",
    }
    page = browser_of(kim).get("/entries/", query).content.decode()
    words = re.findall(r'<li><span class="quiet">([^<]+):</span> ([^<]+) <a href="([^"]+)"', page)
    assert [(label, html.unescape(said)) for label, said, _ in words] == [
        ("Days", "1 – 31 Mar 2025"),
        ("Project", "SB-WEB Website relaunch"),
        ("Task", "Header"),
        ("Billable", "yes"),
        ("Note has", "a&b"),
    ]
    asked = {name: [str(value)] for name, value in query.items()}
    for (label, _, address), gone in zip(words, [{"since", "until"}, {"project", "task"}, {"task"}, {"billable"}, {"notes"}], strict=True):
        left = parse_qs(urlsplit(html.unescape(address)).query)
        left.pop("period", None)
        assert left == {name: value for name, value in asked.items() if name not in gone}, label


def test_without_days_this_month_is_meant_and_said(robin: User, project: Project) -> None:
    page = page_of(robin, "")
    assert "This month, 1 – " in page and 'aria-current="true">This month</a>' in page
    assert 'aria-current="true">All time</a>' in page_of(robin) and "What is looked for" not in page_of(robin)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("since=1.3.2025", "From: Enter a valid date."),
        ("since=1999-12-31", "Choose a day between 2000 and 2100."),
        ("until=9999-12-31", "Choose a day between 2000 and 2100."),
        ("since=2025-03-02&until=2025-03-01", "This day is before the first."),
        ("client=999999", "This client is gone"),
        ("project=x", "Enter a whole number."),
        ("project=99999999999999999999999", "less than or equal to"),
        ("task=999999", "This task is gone."),
        ("person=999999", "Nobody of the team"),
        ("period=yesterday", "Select a valid choice."),
        ("billable=maybe", "Select a valid choice."),
        ("notes=%00", "Null characters are not allowed."),
    ],
)
def test_a_filter_that_makes_no_sense_is_told_and_finds_nothing(kim: User, project: Project, query: str, said: str) -> None:
    make(kim, project)
    page = page_of(kim, query)
    assert said in html.unescape(page) and not listed(page) and 'id="selection"' not in page
    answer = browser_of(kim).get(f"/entries/csv/?{query}")
    assert answer.status_code == 302


@pytest.mark.parametrize(
    "place", ["x", "1-", "0-1", "4000000000000000-1", "-99999999999999999-1", "99999999999999999-1", "1-99999999999999999999"]
)
def test_places_that_are_none_or_behind_everything_are_passed_over(robin: User, project: Project, place: str) -> None:
    entry = make(robin, project)
    for name in ("older", "newer"):
        assert listed(page_of(robin, f"period=all&{name}={place}")) == [entry.pk]


# --- sums -------------------------------------------------------------------------------------------------------------

SECONDS = {
    "sqlite": "CAST(strftime('%s', e.ended_at) AS INTEGER) - CAST(strftime('%s', e.started_at) AS INTEGER) - e.break_seconds",
    "postgresql": "CAST(EXTRACT(EPOCH FROM e.ended_at) - EXTRACT(EPOCH FROM e.started_at) AS BIGINT) - e.break_seconds",
}
RATE = "COALESCE(p.hourly_rate, c.default_rate, u.hourly_rate)"
JOINED = """tracking_timeentry e JOIN tracking_project p ON p.id = e.project_id JOIN clients_client c ON c.id = p.client_id
            JOIN accounts_user u ON u.id = e.user_id"""


def by_hand(what: str, where: str = "1 = 1") -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {what.replace('SECONDS', SECONDS[connection.vendor])} FROM {JOINED} WHERE {where} GROUP BY 1 ORDER BY 1")
        return list(cursor.fetchall())


@pytest.fixture
def rows(kim: User, robin: User, person: User, project: Project, other: Project) -> None:
    """300 entries of three people in three currencies, around both changes of clocks in Berlin and New York."""
    random = Random(20251026)
    third = Project.objects.create(client=Client.objects.create(name="No Rate", currency="CHF"), name="Misc", code="NR-1")
    favour = Project.objects.create(client=other.client, name="Favour", code="CH-FAV", billable=False)
    entries = []
    for _ in range(300):
        begins = random.choice([date(2025, 3, 9), date(2025, 3, 30), date(2025, 10, 26), date(2025, 11, 2)])
        moment = datetime(begins.year, begins.month, begins.day, tzinfo=UTC) + timedelta(seconds=random.randrange(-90_000, 90_000))
        entries.append(
            entry_of(
                random.choice([kim, robin, person]),
                random.choice([project, other, third, favour]),
                moment,
                timedelta(seconds=random.randrange(600, 30_000)),
                break_seconds=random.choice([0, 0, 300]),
                billable=random.random() < 0.8,
            )
        )
    TimeEntry.objects.bulk_create(entries)
    for entry in TimeEntry.objects.filter(billable=True, project=project)[:20]:
        bill(entry)


@pytest.mark.parametrize("where", ["all", "project"])
def test_totals_are_those_of_a_plain_query_over_all_that_is_found(kim: User, project: Project, rows: None, where: str) -> None:
    query, condition = {"all": ("period=all", "1 = 1"), "project": (f"project={project.pk}&period=all", f"p.id = {project.pk}")}[where]
    said = totals_on(page_of(kim, query))
    [(_, count, seconds)] = by_hand("1, COUNT(*), SUM(SECONDS)", condition)
    [(_, billable)] = by_hand("1, SUM(SECONDS)", f"{condition} AND e.billable AND p.billable")
    [(_, unbilled)] = by_hand("1, SUM(SECONDS)", f"{condition} AND e.billable AND p.billable AND e.invoice_item_id IS NULL")
    currency = "CASE WHEN COALESCE(p.hourly_rate, c.default_rate) IS NULL THEN u.currency ELSE c.currency END"
    money = by_hand(
        f"{currency}, SUM(ROUND((SECONDS) * {RATE} * 100.0 / 3600))", f"{condition} AND e.billable AND p.billable AND {RATE} IS NOT NULL"
    )
    assert said["Entries"] == [str(count)]
    assert (said["Hours"], said["Billable"], said["Not billed yet"]) == tuple(
        [hours_said(int(each))] for each in (seconds, billable, unbilled)
    )
    assert said["Comes to"] == [f"{Decimal(int(cents)).scaleb(-2):,.2f}\xa0{code}" for code, cents in money]
    assert len(money) == (3 if where == "all" else 1)


def test_sums_of_days_are_whole_on_both_sides_of_a_page_and_where_clocks_change(robin: User, kim: User, rows: None) -> None:
    for user, begins, ends in (
        (robin, "2025-03-29 23:00:00", "2025-03-30 22:00:00"),
        (robin, "2025-10-25 22:00:00", "2025-10-26 23:00:00"),
        (kim, "2025-03-09 05:00:00", "2025-03-10 04:00:00"),
        (kim, "2025-11-02 04:00:00", "2025-11-03 05:00:00"),
    ):
        seen = "1 = 1" if user == kim else f"u.id = {robin.pk}"
        [(_, seconds)] = by_hand("1, SUM(SECONDS)", f"{seen} AND e.started_at >= '{begins}' AND e.started_at < '{ends}'")
        day = datetime.fromisoformat(f"{begins}+00:00").astimezone(ZoneInfo(user.time_zone)).date()
        page = page_of(user, f"since={day}&until={day}")
        assert f'<span class="visually-hidden">Sum: </span>{hours_said(int(seconds))}</span>' in page
        assert totals_on(page)["Hours"] == [hours_said(int(seconds))]
    # In pieces of seven, each day says the same sum wherever it is cut.
    found, zone, now = TimeEntry.objects.all(), ZoneInfo(kim.time_zone), datetime(2026, 1, 1, tzinfo=UTC)
    sums: dict[date, set[int]] = {}
    older = ""
    while True:
        part = entry_page(found, older=older, newer="", money=False, zone=zone, now=now, size=7)
        for each in part.days:
            sums.setdefault(each.day, set()).add(each.seconds)
        older = part.older
        if not older:
            break
    assert all(len(said) == 1 for said in sums.values())
    assert sum(said.pop() for said in sums.values()) == int(by_hand("1, SUM(SECONDS)")[0][1])


def test_pages_forward_and_back_show_each_entry_once_also_of_the_same_instant(robin: User, project: Project) -> None:
    made = [make(robin, project, NINE + (number // 5) * timedelta(minutes=1)).pk for number in range(23)]
    zone, now = ZoneInfo("UTC"), NINE

    def ids(older: str = "", newer: str = "") -> tuple[list[int], str, str]:
        page = entry_page(TimeEntry.objects.all(), older=older, newer=newer, money=False, zone=zone, now=now, size=5)
        return [entry.pk for day in page.days for entry in day.entries], page.older, page.newer

    pages = [ids()]
    while pages[-1][1]:
        pages.append(ids(older=pages[-1][1]))
    assert [pk for page, _, _ in pages for pk in page] == made[::-1]
    assert pages[0][2] == "" and all(newer for _, _, newer in pages[1:])
    for before, page in zip(pages, pages[1:], strict=False):
        assert ids(newer=page[2])[0] == before[0]
    assert ids(newer=pages[1][2])[2] == "", "the first page is the first one also from behind"


def test_a_timer_counts_up_to_now_and_is_not_changed_here(robin: User, project: Project) -> None:
    timer = TimeEntry.objects.create(user=robin, project=project, started_at=NINE, source="timer")
    page = page_of(robin)
    assert listed(page) == [timer.pk] and "since 10:00" in page and "Edit: " not in page
    for name in ("entries_edit", "entries_copy", "entries_remove"):
        assert browser_of(robin).post(reverse(f"staff:{name}", args=[timer.pk]), {"confirmed": "yes"}).status_code == 404


def test_more_than_can_be_added_up_at_once_is_added_up_when_asked(robin: User, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("timetracker.tracking.pages.entries.AT_ONCE", PAGE)
    TimeEntry.objects.bulk_create(entry_of(robin, project, NINE + number * HOUR) for number in range(PAGE + 1))
    page = page_of(robin)
    assert "more than 100" in page and 'hx-trigger="load"' in page and "period=all&amp;sums=yes" in page
    assert totals_on(page_of(robin, "period=all&sums=yes"))["Hours"] == ["101:00"]
    parts = browser_of(robin).get(f"{ALL}&sums=yes", headers=HTMX | {"HX-Target": "totals"})
    assert 'id="messages"' not in parts.content.decode() and "HX-Push-Url" not in parts.headers


# --- one entry --------------------------------------------------------------------------------------------------------


def form_of(entry: TimeEntry, zone: str, **changes: object) -> dict[str, object]:
    """What the form sends when nothing but ``changes`` is touched."""
    began, ended = entry.started_at.astimezone(ZoneInfo(zone)), (entry.ended_at or NINE).astimezone(ZoneInfo(zone))
    own = {"work": entry.project_id, "day": f"{began:%Y-%m-%d}", "time": f"{began:%H:%M}–{ended:%H:%M}", "break_minutes": 0}
    return own | {"notes": entry.notes, "tags": entry.tags, "billable": "on"} | changes


def test_the_form_opens_on_a_page_and_in_its_row_and_saving_leads_back_to_the_same_list(robin: User, project: Project) -> None:
    entry, browser = make(robin, project, notes="draft"), browser_of(robin)
    address = f"{reverse('staff:entries_edit', args=[entry.pk])}?notes=draft&period=all"
    whole = browser.get(address).content.decode()
    assert "<html" in whole and 'value="10:00–11:00"' in whole and 'value="2025-03-03"' in whole
    row = browser.get(address, headers=HTMX | {"HX-Target": f"entry-{entry.pk}"})
    assert "<html" not in row.content.decode() and row.headers["HX-Retarget"] == f"#entry-{entry.pk}"
    saved = browser.post(address, form_of(entry, robin.time_zone, notes="final draft"))
    assert saved.headers["Location"] == f"/entries/?notes=draft&period=all#entry-{entry.pk}"
    assert TimeEntry.objects.get().notes == "final draft"


def test_htmx_gets_the_whole_list_when_a_row_is_saved_and_the_row_when_it_is_refused(robin: User, project: Project) -> None:
    entry, browser = make(robin, project), browser_of(robin)
    address, headers = f"{reverse('staff:entries_edit', args=[entry.pk])}?period=all", HTMX | {"HX-Target": f"entry-{entry.pk}"}
    saved = browser.post(address, form_of(entry, robin.time_zone, time="2h"), headers=headers)
    assert saved.headers["HX-Retarget"] == "#entries-page" and totals_on(saved.content.decode())["Hours"] == ["2:00"]
    assert f'id="entry-{entry.pk}" tabindex="-1" data-focus' in saved.content.decode() and "HX-Push-Url" not in saved.headers
    refused = browser.post(address, form_of(entry, robin.time_zone, time="soon", notes="typed"), headers=headers)
    assert refused.headers["HX-Retarget"] == f"#entry-{entry.pk}"
    assert "is no time" in refused.content.decode() and ">typed</textarea>" in refused.content.decode()
    there = browser.post(address, form_of(entry, robin.time_zone), headers=HTMX | {"HX-Target": "entry-page"})
    assert there.headers["HX-Redirect"].startswith("/entries/?period=all")


def test_an_entry_moves_to_another_day_at_its_clock_time_and_as_long_as_it_is(robin: User, project: Project) -> None:
    # 0:30 to 4:30 in Berlin; on 30 March the hour after 2:00 is left out there.
    entry = make(robin, project, datetime(2025, 3, 2, 23, 30, 17, tzinfo=UTC), 4 * HOUR)
    address = reverse("staff:entries_edit", args=[entry.pk])
    browser_of(robin).post(address, form_of(entry, robin.time_zone, day="2025-03-30"))
    entry.refresh_from_db()
    assert entry.started_at == datetime(2025, 3, 29, 23, 30, 17, tzinfo=UTC) and entry.worked == 4 * HOUR
    browser_of(robin).post(address, form_of(entry, robin.time_zone, day="2025-03-31", time="9-10"))
    entry.refresh_from_db()
    assert entry.started_at == datetime(2025, 3, 31, 7, tzinfo=UTC) and entry.worked == HOUR
    browser_of(robin).post(address, form_of(entry, robin.time_zone, day="2025-04-01", time="1:30"))
    entry.refresh_from_db()
    assert entry.started_at == datetime(2025, 4, 1, 7, tzinfo=UTC) and entry.worked == 1.5 * HOUR
    for day in ("0001-01-01", "9999-12-31", "2025-02-30", ""):
        assert browser_of(robin).post(address, form_of(entry, robin.time_zone, day=day)).status_code == 200


def as_of_on(page: str) -> str:
    """When the entry was last changed, as the form that is open carries it."""
    found = re.search(r'name="as_of" value="([^"]+)"', page)
    assert found
    return html.unescape(found[1])


@pytest.mark.parametrize("name", ["entries_edit", "entry"])
def test_a_form_that_was_opened_before_a_change_elsewhere_writes_over_nothing_unasked(
    name: str, kim: User, robin: User, project: Project
) -> None:
    entry = make(robin, project, NINE, timedelta(minutes=10), notes="draft")
    address, browser = reverse(f"staff:{name}", args=[entry.pk]), browser_of(robin)
    form = form_of(entry, robin.time_zone, notes="by the first tab")
    form["as_of"] = as_of_on(browser.get(reverse("staff:entries_edit", args=[entry.pk])).content.decode())
    browser_of(kim).post(reverse("staff:entries_edit", args=[entry.pk]), form_of(entry, kim.time_zone, time="1:30", notes="by Kim"))
    entry.refresh_from_db()
    assert entry.worked == 1.5 * HOUR
    refused = browser.post(address, form).content.decode()
    assert "was changed since you opened it" in refused and "Note: now “by Kim”, unlike yours." in refused
    entry.refresh_from_db()
    assert (entry.notes, entry.worked) == ("by Kim", 1.5 * HOUR)
    form["as_of"] = as_of_on(refused)
    assert browser.post(address, form).status_code == 302
    entry.refresh_from_db()
    assert (entry.notes, entry.worked) == ("by the first tab", timedelta(minutes=10))


def test_who_sees_everybodys_time_changes_it_and_it_stays_that_persons(kim: User, robin: User, project: Project) -> None:
    entry = make(robin, project)
    page = browser_of(kim).post(
        reverse("staff:entries_edit", args=[entry.pk]) + "?period=all", form_of(entry, kim.time_zone, notes="by Kim"), follow=True
    )
    entry.refresh_from_db()
    assert (entry.notes, entry.user, entry.started_at) == ("by Kim", robin, NINE) and "Saved." in page.content.decode()


def test_billed_time_is_neither_changed_nor_deleted(robin: User, project: Project) -> None:
    entry, browser = make(robin, project), browser_of(robin)
    bill(entry)
    page = page_of(robin)
    assert ">billed</span>" in page and "Edit: " not in page and "Delete: " not in page and "Duplicate: " in page
    for name in ("entries_edit", "entries_remove"):
        for method in ("get", "post"):
            form = form_of(entry, robin.time_zone, notes="final", confirmed="yes")
            said = getattr(browser, method)(reverse(f"staff:{name}", args=[entry.pk]), form if method == "post" else {}, follow=True)
            assert "INV-0007" in said.content.decode()
    assert TimeEntry.objects.get().notes == ""


def test_an_entry_is_deleted_once_that_is_confirmed(robin: User, project: Project) -> None:
    entry, browser = make(robin, project), browser_of(robin)
    address = reverse("staff:entries_remove", args=[entry.pk]) + "?period=all"
    for asked in (browser.get(address), browser.post(address)):
        assert "Its time and note are gone then." in asked.content.decode() and TimeEntry.objects.exists()
    done = browser.post(address, {"confirmed": "yes"}, follow=True).content.decode()
    assert "1:00 on SB-WEB Website relaunch, 3 Mar 2025, deleted." in done and not TimeEntry.objects.exists()


def test_an_entry_is_copied_to_a_day_and_is_on_no_invoice(robin: User, project: Project) -> None:
    entry, browser = make(robin, project, notes="stand-up", tags="remote"), browser_of(robin)
    bill(entry)
    address = reverse("staff:entries_copy", args=[entry.pk])
    assert 'type="date"' in browser.get(address).content.decode()
    page = browser.post(address, {"day": "2025-07-01"}, follow=True).content.decode()
    copied = TimeEntry.objects.exclude(pk=entry.pk).get()
    # 10:00 in Berlin, in winter and in summer.
    assert copied.started_at == datetime(2025, 7, 1, 8, tzinfo=UTC) and copied.invoice_item is None
    assert (copied.notes, copied.tags, copied.worked) == ("stand-up", "remote", HOUR) and "copied to 1 Jul 2025" in page
    for day in ("", "x", "9999-12-31"):
        assert 'class="errorlist"' in browser.post(address, {"day": day}).content.decode()
    Project.objects.update(status="closed")
    assert "takes no new time" in browser.post(address, {"day": "2025-07-02"}).content.decode()
    assert TimeEntry.objects.count() == 2


# --- new entries ------------------------------------------------------------------------------------------------------


def add(user: User, **form: object) -> str:
    return (
        browser_of(user)
        .post(reverse("staff:entries_add") + "?period=all", {"time": "9-10:30", "billable": "on", **form}, follow=True)
        .content.decode()
    )


def test_time_of_any_day_is_written_down(robin: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Header")
    page = add(robin, day="2025-03-30", work=f"{project.pk}-{task.pk}", time="1-4", notes="night", tags="a,b", break_minutes=15)
    entry = TimeEntry.objects.get()
    # The clocks of that night leave an hour out.
    assert (entry.started_at, entry.ended_at) == (datetime(2025, 3, 30, 0, tzinfo=UTC), datetime(2025, 3, 30, 2, tzinfo=UTC))
    assert (entry.user, entry.task, entry.notes, entry.tags, entry.break_seconds, entry.source) == (
        robin,
        task,
        "night",
        "a, b",
        900,
        "manual",
    )
    assert "1:45 on SB-WEB Website relaunch booked, 30 Mar 2025." in page


def test_a_length_begins_at_nine_or_where_the_time_of_that_day_ends(robin: User, project: Project) -> None:
    add(robin, day="2025-03-03", work=project.pk, time="1:30", break_minutes=30)
    add(robin, day="2025-03-03", work=project.pk, time="45m")
    first, second = TimeEntry.objects.order_by("started_at")
    assert (first.started_at, first.worked) == (datetime(2025, 3, 3, 8, tzinfo=UTC), 1.5 * HOUR)
    assert (second.started_at, second.worked) == (first.ended_at, 0.75 * HOUR)


def test_who_sees_everybodys_time_writes_it_down_for_others_and_a_member_does_not(robin: User, kim: User, project: Project) -> None:
    assert 'name="person"' in browser_of(kim).get(reverse("staff:entries_add")).content.decode()
    assert "booked for Robin Sample" in add(kim, day="2025-03-03", work=project.pk, person=robin.pk)
    entry = TimeEntry.objects.get()
    assert (entry.user, entry.started_at) == (robin, datetime(2025, 3, 3, 14, tzinfo=UTC))
    assert 'name="person"' not in browser_of(robin).get(reverse("staff:entries_add")).content.decode()
    address = reverse("staff:entries_add")
    form = {"day": "2025-03-03", "work": project.pk, "time": "9-10", "person": kim.pk}
    assert browser_of(robin).post(address, form).status_code == 403
    assert TimeEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"time": "soon"}, "is no time"),
        ({"time": "0"}, "The end must be after the start."),
        ({"day": "2101-01-01"}, "Choose a day between 2000 and 2100."),
        ({"day": ""}, "Choose a day."),
        ({"work": ""}, "Choose what you work on."),
        ({"person": "999999"}, "Choose somebody of the team."),
        ({"break_minutes": "91"}, "The break is longer than the entry."),
    ],
)
def test_what_cannot_be_written_down_is_said_and_what_was_typed_stays(
    kim: User, project: Project, wrong: dict[str, str], said: str
) -> None:
    page = add(kim, **{"day": "2025-03-03", "work": project.pk, "notes": "typed <words>", **wrong})
    assert said in page and ">typed &lt;words&gt;</textarea>" in page and not TimeEntry.objects.exists()


def test_a_day_is_proposed_by_the_address(robin: User) -> None:
    for text, proposed in (("2025-03-03", "2025-03-03"), ("9999-12-31", ""), ("x", "")):
        page = browser_of(robin).get(reverse("staff:entries_add"), {"day": text}).content.decode()
        assert (f'name="day" required min="2000-01-01" max="2100-12-31" value="{proposed or "2"}' in page) and 'value="9999' not in page


# --- the download -----------------------------------------------------------------------------------------------------


def download(user: User, query: str) -> list[dict[str, str]]:
    answer = browser_of(user).get(f"/entries/csv/?{query}")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8" and answer.streaming
    return list(csv.DictReader(StringIO(answer.getvalue().decode())))


def test_csv_has_all_that_is_found_and_adds_up_to_the_page(kim: User, rows: None) -> None:
    lines = download(kim, "period=all")
    said = totals_on(page_of(kim))
    assert len(lines) == 300 and tuple(lines[0]) == (*COLUMNS, *MONEY_COLUMNS)
    assert [hours_said(sum(int(line["seconds"]) for line in lines))] == said["Hours"]
    amounts: dict[str, Decimal] = {}
    for line in lines:
        assert abs(Decimal(line["hours"]) * 3600 - int(line["seconds"])) < 1
        if line["amount"]:
            amounts[line["currency"]] = amounts.get(line["currency"], Decimal(0)) + Decimal(line["amount"])
    assert [f"{amount:,.2f}\xa0{code}" for code, amount in sorted(amounts.items())] == said["Comes to"]
    assert {line["billed"] for line in lines if line["invoice"]} == {"yes"}


def test_csv_of_a_member_has_her_own_time_and_no_amounts(robin: User, kim: User, rows: None) -> None:
    lines = download(robin, f"period=all&person={kim.pk}")
    assert {line["person"] for line in lines} == {"Robin Sample"} and tuple(lines[0]) == COLUMNS


def test_csv_says_times_with_their_offset_and_is_no_formula(robin: User, project: Project) -> None:
    project.name = "@home"
    project.save()
    make(robin, project, datetime(2025, 10, 26, 0, 30, tzinfo=UTC), HOUR, notes='=HYPERLINK("x")', tags="+1, -2", break_seconds=90)
    TimeEntry.objects.create(user=robin, project=project, started_at=datetime(2025, 10, 27, 9, tzinfo=UTC), notes="a\nb")
    line, running = download(robin, "since=2025-10-26&until=2025-10-27")
    assert (line["date"], line["start"], line["end"]) == ("2025-10-26", "2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00+01:00")
    assert (line["note"], line["tags"], line["project"]) == ('\'=HYPERLINK("x")', "'+1, -2", "'@home")
    assert (line["seconds"], line["hours"], line["break_seconds"]) == ("3510", "0.9750", "90")
    assert running["end"] == "" and running["note"] == "a\nb"


def test_csv_is_named_after_its_days(robin: User) -> None:
    def name_of(query: str) -> str:
        return browser_of(robin).get(f"/entries/csv/?{query}").headers["Content-Disposition"]

    assert name_of("since=2025-03-01&until=2025-03-31") == 'attachment; filename="entries_2025-03-01_2025-03-31.csv"'
    assert "entries_all_" in name_of("period=all")


# --- htmx, queries ----------------------------------------------------------------------------------------------------


def test_htmx_gets_parts_and_the_address_without_empty_fields_and_whole_pages_when_it_goes_back(robin: User) -> None:
    browser, query = browser_of(robin), "/entries/?notes=a&tag=&period=all&since="
    parts = browser.get(query, headers=HTMX | {"HX-Target": "entries-page"})
    assert "<html" not in parts.content.decode() and parts.headers["HX-Push-Url"] == "/entries/?notes=a&period=all"
    back = browser.get(query, headers=HTMX | {"HX-History-Restore-Request": "true"})
    assert "<html" in back.content.decode()


def test_the_number_of_queries_does_not_grow_with_entries_tasks_and_projects(kim: User, robin: User, project: Project) -> None:
    browser = browser_of(kim)

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(f"{ALL}&project={project.pk}").status_code == 200
        return len(queries)

    def fill(begins: datetime) -> None:
        client = Client.objects.create(name=f"Client since {begins}")
        numbers = range(PAGE + 1)
        tasks = Task.objects.bulk_create(Task(project=project, name="Task") for _ in numbers)
        TimeEntry.objects.bulk_create(
            entry_of(robin, project, begins + number * HOUR, task=tasks[number], tags=f"tag{number}") for number in numbers
        )
        Project.objects.bulk_create(Project(client=client, name="Work", code=f"{begins:%y%m%d}-{number}") for number in numbers)

    make(kim, project)
    assert count() <= 20
    fill(NINE)
    few = count()
    fill(NINE + 1000 * HOUR)
    assert count() == few <= 20
