"""Reports, as a browser asks for them: sums that equal plain SQL, sight by permission, charts, CSV; and budgets."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.clients.models import Client
from timetracker.tests.people import browser_of
from timetracker.tracking.date_ranges import SHORTCUTS, DateRange, shortcut_range
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry
from timetracker.tracking.pages import reports as pages
from timetracker.tracking.report_dates import period_for
from timetracker.tracking.reports import Report

pytestmark = pytest.mark.django_db

PAGE, FILE, BUDGETS = "/reports/", "/reports/report.csv", "/reports/budgets/"
MARCH = "from=2025-03-01&to=2025-03-31"
# How many seconds clocks are ahead of UTC, and from when on: both changes of 2025, on both sides of UTC.
OFFSETS = {
    "Europe/Berlin": [("2025-10-26 01:00:00", 3600), ("2025-03-30 01:00:00", 7200), ("", 3600)],
    "America/New_York": [("2025-11-02 06:00:00", -18000), ("2025-03-09 07:00:00", -14400), ("", -18000)],
    "Australia/Lord_Howe": [("2025-10-04 15:30:00", 39600), ("2025-04-05 15:00:00", 37800), ("", 39600)],
    "Asia/Kathmandu": [("", 20700)],
}


def team_member(name: str, role: Role, **fields: Any) -> User:
    user = User.objects.create_user(name, is_staff=True, full_name=name.title(), **fields)
    role_give(user, role)
    return user


@pytest.fixture
def owner(db: None) -> User:
    return team_member("olivia", Role.OWNER)


@pytest.fixture
def robin(db: None) -> User:
    """A member."""
    return team_member("robin", Role.MEMBER, hourly_rate=Decimal("61.23"), currency="SEK")


@pytest.fixture
def browser(owner: User) -> Browser:
    return browser_of(owner)


def book(user: User, project: Project, day: str, minutes: int = 60, **fields: Any) -> TimeEntry:
    started_at = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=0 if " " in day else 9)
    ended_at = started_at + timedelta(minutes=minutes)
    return TimeEntry.objects.create(user=user, project=project, started_at=started_at, ended_at=ended_at, **fields)


def page_of(browser: Browser, query: str = "", at: str = PAGE) -> str:
    answer = browser.get(f"{at}?{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def report_of(browser: Browser, query: str) -> Report:
    report = browser.get(f"{PAGE}?{query}").context["report"]
    assert isinstance(report, Report)
    return report


def lines_of(browser: Browser, query: str) -> list[dict[str, str]]:
    """The lines of the CSV."""
    answer = browser.get(f"{FILE}?{query}")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(StringIO(answer.getvalue().decode())))


def names_in(page: str) -> list[str]:
    """The names in the table, from the top."""
    table = page.split('id="table"')[1].split("<tfoot>")[0]
    return [re.sub(r"<span.*|<[^>]+>", "", name).strip() for name in re.findall(r'<th scope="row">(.*?)</th>', table, re.DOTALL)]


# --- the same as plain SQL --------------------------------------------------------------------------------------------


@pytest.fixture
def rows(owner: User, robin: User) -> None:
    """Some 500 entries of three people, in four currencies, some billed, near the changes of clocks and anywhere in 2025."""
    random = Random(20251026)
    people = [owner, robin, team_member("kim", Role.MEMBER, hourly_rate=Decimal("33.33"), currency="GBP")]
    projects = []
    for currency, rate in (("EUR", Decimal("82.35")), ("USD", None), ("JPY", Decimal("0.01"))):
        client = Client.objects.create(name=f"Client {currency}", currency=currency, default_rate=rate)
        for number, hourly_rate in enumerate([None, Decimal("99.99")]):
            projects.append(Project.objects.create(client=client, name="Work", code=f"{currency}-{number}", hourly_rate=hourly_rate))
        projects.append(Project.objects.create(client=client, name="Free", code=f"{currency}-F", billable=False))
    ProjectRate.objects.create(project=projects[0], user=robin, hourly_rate=Decimal("123.45"))
    invoice = Invoice.objects.create(number="1", client=projects[0].client, issued_on=date(2025, 12, 1), due_on=date(2025, 12, 31))
    item = InvoiceItem.objects.create(invoice=invoice, description="Work", unit_price=1)

    def moments() -> Iterator[datetime]:
        changes = {change for offsets in OFFSETS.values() for change, _ in offsets if change}
        for change in sorted(changes):
            for hours in range(-30, 31, 3):
                yield datetime.fromisoformat(change).replace(tzinfo=UTC) + timedelta(hours=hours, seconds=random.choice([-1, 0, 1]))
        for _ in range(350):
            yield datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(365 * 86400))

    entries = []
    for started_at in moments():
        seconds = random.choice([18, 3000, 30000]) + random.randrange(600)
        entry = TimeEntry(user=random.choice(people), project=random.choice(projects), started_at=started_at)
        entry.ended_at = started_at + timedelta(seconds=seconds)
        entry.break_seconds = random.choice([0, 0, 15])
        entry.billable = random.random() < 0.8
        entry.invoice_item = item if entry.billable and random.random() < 0.3 else None
        entries.append(entry)
    TimeEntry.objects.bulk_create(entries)


def plain_sums(zone: str) -> dict[tuple[str, str], dict[str, Any]]:
    """By project and local month, in SQL that shares nothing with the product's."""
    cases = "".join(f"WHEN e.started_at >= '{since}{{utc}}' THEN {offset} " for since, offset in OFFSETS[zone] if since)
    offset = f"CASE {cases} ELSE {OFFSETS[zone][-1][1]} END" if cases else str(OFFSETS[zone][-1][1])
    if connection.vendor == "postgresql":
        month = f"to_char((e.started_at AT TIME ZONE 'UTC') + make_interval(secs => {offset.format(utc='+00')}), 'YYYY-MM')"
        seconds = "CAST(EXTRACT(EPOCH FROM e.ended_at) - EXTRACT(EPOCH FROM e.started_at) AS BIGINT) - e.break_seconds"
    else:
        month = f"strftime('%%Y-%%m', e.started_at, ({offset.format(utc='')}) || ' seconds')"
        seconds = "CAST(strftime('%%s', e.ended_at) AS INTEGER) - CAST(strftime('%%s', e.started_at) AS INTEGER) - e.break_seconds"
    statement = f"""
        SELECT code, month, is_billable, is_billed, currency, COUNT(*), SUM(seconds), SUM(ROUND(seconds * rate * 100.0 / 3600.0, 0))
        FROM (
            SELECT p.code || ' ' || p.name AS code, {month} AS month, {seconds} AS seconds,
                   e.billable AND p.billable AS is_billable, e.invoice_item_id IS NOT NULL AS is_billed,
                   COALESCE(r.hourly_rate, p.hourly_rate, c.default_rate, u.hourly_rate) AS rate,
                   CASE WHEN COALESCE(r.hourly_rate, p.hourly_rate, c.default_rate) IS NULL THEN u.currency ELSE c.currency END AS currency
            FROM tracking_timeentry e
            JOIN tracking_project p ON p.id = e.project_id
            JOIN clients_client c ON c.id = p.client_id
            JOIN accounts_user u ON u.id = e.user_id
            LEFT JOIN tracking_projectrate r ON r.project_id = p.id AND r.user_id = u.id
        ) AS entries
        GROUP BY code, month, is_billable, is_billed, currency
    """
    with connection.cursor() as cursor:
        cursor.execute(statement.replace("%%", "%"))
        found = cursor.fetchall()
    sums: dict[tuple[str, str], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
    for code, of_month, is_billable, is_billed, currency, count, worked, cents in found:
        line = sums[code, of_month]
        line["Entries"] += count
        line["Seconds"] += int(worked)
        if is_billable:
            line["Billable seconds"] += int(worked)
            line["Unbilled seconds"] += 0 if is_billed else int(worked)
            if cents is not None:
                line[f"Amount {currency}"] += int(cents)
                line[f"Unbilled amount {currency}"] += 0 if is_billed else int(cents)
    return sums


@pytest.mark.parametrize("zone", OFFSETS)
def test_the_lines_equal_plain_sql_over_the_same_rows(rows: None, owner: User, browser: Browser, zone: str) -> None:
    User.objects.filter(pk=owner.pk).update(time_zone=zone)
    plain = plain_sums(zone)
    lines = lines_of(browser, "by=project&then=month&range=all")
    found = {(line["Project"], line["Month"]): line for line in lines}
    assert set(found) == set(plain) and len(lines) == len(plain) > 50
    amounts = {column for column in lines[0] if "mount " in column}
    assert amounts == {f"{word} {code}" for word in ("Amount", "Unbilled amount") for code in ("EUR", "GBP", "JPY", "SEK", "USD")}
    for key, line in found.items():
        for column in ("Entries", "Seconds", "Billable seconds", "Unbilled seconds"):
            assert int(line[column]) == plain[key][column], (key, column)
        for column in amounts:
            assert Decimal(line[column]) * 100 == plain[key][column], (key, column)


@pytest.mark.parametrize(
    "query", ["by=client", "by=project", "by=person&then=week", "by=task", "by=week", "by=month&then=client", "by=day"]
)
def test_the_totals_are_those_of_all_rows_however_they_are_grouped(rows: None, browser: Browser, query: str) -> None:
    plain = plain_sums("Europe/Berlin").values()
    report = report_of(browser, f"{query}&range=all")
    total = report.total
    assert (total.count, total.seconds) == tuple(sum(line[column] for line in plain) for column in ("Entries", "Seconds"))
    for words, amounts in (("Amount", total.amounts), ("Unbilled amount", total.unbilled_amounts)):
        assert {code: int(amount * 100) for code, amount in amounts.items()} == {
            code: sum(line[f"{words} {code}"] for line in plain) for code in amounts
        }
    assert sum(row.sums.seconds for row in report.rows) == sum(stretch.seconds for stretch in report.stretches) == total.seconds
    assert all(sum(inner.sums.seconds for inner in row.inner) == row.sums.seconds for row in report.rows if row.inner)
    assert sum(stretch.billable_seconds for stretch in report.stretches) == total.billable_seconds
    assert f'<td class="number">{total.amounts["EUR"]:,.2f}</td>' in page_of(browser, f"{query}&range=all").split("<tfoot>")[1]


@pytest.mark.parametrize(("query", "condition"), [("billable=yes", "{}"), ("billable=no", "NOT ({})")])
def test_billable_is_what_the_entry_and_its_project_are(rows: None, browser: Browser, query: str, condition: str) -> None:
    both = condition.format("e.billable AND p.billable")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM tracking_timeentry e JOIN tracking_project p ON p.id = e.project_id WHERE {both}")
        (plain,) = cursor.fetchone()
    assert report_of(browser, f"range=all&{query}").total.count == plain > 0


def test_an_entry_belongs_to_the_local_day_on_which_it_starts(owner: User, browser: Browser, project: Project) -> None:
    User.objects.filter(pk=owner.pk).update(time_zone="Pacific/Auckland")
    # 23:30 on the last of March there, and 00:30 on the first of April.
    book(owner, project, "2025-03-31 10:30:00", 240)
    book(owner, project, "2025-03-31 11:30:00", 60)
    assert report_of(browser, MARCH).total.seconds == 240 * 60
    assert [row.sums.seconds for row in report_of(browser, "from=2025-03-01&to=2025-04-30&by=month").rows] == [240 * 60, 60 * 60]


# --- who sees what ----------------------------------------------------------------------------------------------------


def test_a_member_reports_her_own_time_and_reads_no_amount(robin: User, owner: User, project: Project) -> None:
    book(robin, project, "2025-03-03", 90)
    book(owner, project, "2025-03-03", 300)
    browser = browser_of(robin)
    for by in ("client", "project", "person", "task", "day", "week", "month"):
        page = page_of(browser, f"{MARCH}&by={by}&person={owner.pk}")
        assert "1:30" in page and "5:00" not in page and "6:30" not in page and "This is your own time." in page
        assert not any(word in page for word in ("Amount", "USD", "SEK", "Olivia", "61.23", "135.00", BUDGETS, 'name="person"'))
    (line,) = lines_of(browser, f"{MARCH}&person={owner.pk}")
    assert line["Seconds"] == "5400" and not any("mount" in column for column in line)


def test_a_member_is_offered_what_she_has_worked_on(robin: User, owner: User, project: Project) -> None:
    other = Project.objects.create(client=Client.objects.create(name="Secret Client"), name="App", code="S-APP")
    book(owner, other, "2025-03-03")
    book(robin, project, "2025-03-03")
    browser = browser_of(robin)
    assert "Secret Client" not in page_of(browser, MARCH)
    assert "There is no such choice." in page_of(browser, f"{MARCH}&project={other.pk}")
    assert browser.get(f"{FILE}?{MARCH}&project={other.pk}").status_code == 404


def test_who_sees_everybody_reports_one_person_or_all(browser: Browser, robin: User, owner: User, project: Project) -> None:
    book(robin, project, "2025-03-03", 90)
    book(owner, project, "2025-03-03", 300)
    assert names_in(page_of(browser, f"{MARCH}&by=person")) == ["Olivia", "Robin"]
    assert names_in(page_of(browser, f"{MARCH}&by=person&person={robin.pk}")) == ["Robin"]


def test_who_sees_all_time_but_no_money_reads_no_amount(robin: User, project: Project) -> None:
    robin.user_permissions.add(Permission.objects.get(codename="view_all_entries"))
    book(robin, project, "2025-03-03")
    page = page_of(browser_of(robin), f"{MARCH}&by=person")
    assert "Robin" in page and "Amount" not in page and "USD" not in page


def test_strangers_are_sent_to_the_login() -> None:
    for at in (PAGE, FILE, BUDGETS):
        assert Browser().get(at).headers["Location"].startswith("/login/")


# --- the table --------------------------------------------------------------------------------------------------------


def test_rows_are_sorted_by_any_column(browser: Browser, owner: User, project: Project) -> None:
    for code, minutes, times in (("A", 60, 1), ("B", 30, 4), ("C", 10, 2)):
        other = Project.objects.create(client=project.client, name="Work", code=code)
        for _ in range(times):
            book(owner, other, "2025-03-03", minutes)
    for sort, order in {
        "": "BAC",
        "hours": "CAB",
        "-entries": "BCA",
        "entries": "ACB",
        "name": "ABC",
        "-name": "CBA",
        "-amount_USD": "BAC",
        "nonsense": "ABC",
    }.items():
        page = page_of(browser, f"{MARCH}&sort={sort}")
        assert [name[0] for name in names_in(page)] == list(order), sort
    assert 'aria-sort="descending"><a href="?from=2025-03-01&amp;to=2025-03-31&amp;sort=hours#table">Hours' in page_of(browser, MARCH)


def test_a_second_grouping_stands_within_the_first(browser: Browser, owner: User, robin: User, project: Project) -> None:
    book(robin, project, "2025-03-03", 90)
    book(robin, project, "2025-04-03", 30)
    book(owner, project, "2025-04-03", 60)
    page = page_of(browser, "range=all&by=person&then=month")
    assert names_in(page) == ["Robin", "March 2025", "April 2025", "Olivia", "April 2025"]
    assert page.count('<tr class="outer">') == 2 and page.count('<tr class="inner">') == 3
    assert len(lines_of(browser, "range=all&by=person&then=month")) == 3
    assert names_in(page_of(browser, "range=all&by=person&then=person")) == ["Robin", "Olivia"]


def test_time_without_a_task_has_a_row_of_its_own_at_the_end(browser: Browser, owner: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page <templates>")
    book(owner, project, "2025-03-03", 90)
    book(owner, project, "2025-03-03", 60, task=task)
    assert names_in(page_of(browser, f"{MARCH}&by=task")) == ["No task", "Page &lt;templates&gt;"]
    assert names_in(page_of(browser, f"{MARCH}&by=task&sort=name")) == ["Page &lt;templates&gt;", "No task"]


def test_rows_lead_to_their_entries_with_the_same_filter(browser: Browser, owner: User, robin: User, project: Project) -> None:
    book(robin, project, "2025-03-05")
    report = report_of(browser, f"from=2025-03-04&to=2025-03-31&by=client&then=week&person={robin.pk}&billable=yes")
    (outer,) = report.rows
    assert pages._address(report, outer.inner[0]) == (
        f"/entries/?person={robin.pk}&client={project.client_id}&since=2025-03-04&until=2025-03-09&billable=yes"
    )
    everything = report_of(browser, "range=all&by=task")
    assert pages._address(everything, everything.rows[0]) == "", "entries without a task cannot be asked for"
    everything = report_of(browser, "range=all&by=person")
    assert pages._address(everything, everything.rows[0]) == f"/entries/?person={robin.pk}&period=all"


def test_a_long_table_ends_with_what_is_left_out_and_the_file_has_all(
    browser: Browser, owner: User, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_LINES", 3)
    for day in range(1, 8):
        book(owner, project, f"2025-03-0{day}", 60)
    page = page_of(browser, f"{MARCH}&by=day")
    assert "4 more, all in the CSV" in page and ">7:00</td>" in page.split("<tfoot>")[1]
    assert len(lines_of(browser, f"{MARCH}&by=day")) == 7


def test_shares_are_parts_of_all_hours(browser: Browser, owner: User, robin: User, project: Project) -> None:
    book(robin, project, "2025-03-03", 10)
    book(owner, project, "2025-03-03", 20)
    assert [row.share for row in report_of(browser, f"{MARCH}&by=person").rows] == [Decimal("66.7"), Decimal("33.3")]


def test_a_running_timer_counts_up_to_now_and_the_page_says_so(browser: Browser, owner: User, project: Project) -> None:
    assert "running timer" not in page_of(browser)
    TimeEntry.objects.create(user=owner, project=project, started_at=timezone.now() - timedelta(minutes=90))
    page = page_of(browser, "range=all")
    assert "1 running timer counts up to" in page and ">1:30<" in page
    Project.objects.update(budget_hours=10)
    assert "1 running timer counts up to" in page_of(browser, at=BUDGETS)


def test_no_time_says_what_to_do_next(browser: Browser) -> None:
    page = page_of(browser, MARCH)
    assert "No time in this range. Choose other dates." in page and "<table" not in page
    assert lines_of(browser, MARCH) == []


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "by=x",
        "then=x",
        "range=x",
        "from=2025-02-30",
        "from=1999-12-31",
        "to=2101-01-01",
        "from=0001-01-01&to=9999-12-31",
        "from=2025-03-02&to=2025-03-01",
        "person=0",
        "person=x",
        "client=99999999999999999999999999",
        "project=-1",
        "project=%00",
        "billable=maybe",
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_is_shown(browser: Browser, owner: User, project: Project, query: str) -> None:
    book(owner, project, "2025-03-03")
    page = page_of(browser, query)
    assert "Correct what is marked above" in page and "<table" not in page
    assert 'class="errorlist"' in page or "There is no range of that name." in page
    assert browser.get(f"{FILE}?{query}").status_code == 404


def test_what_was_typed_stays_and_the_order_of_dates_is_explained(browser: Browser) -> None:
    page = page_of(browser, "from=2025-03-02&to=2025-03-01")
    assert 'value="2025-03-02"' in page and 'value="2025-03-01"' in page and "This is before the first day." in page


@pytest.mark.parametrize(
    "query", ["sort=-", "sort=amount_", "sort=%00", "from=2000-01-01&to=2100-12-31", "from=&to=2025-03-31", "by=&then="]
)
def test_edges_are_answered(browser: Browser, owner: User, project: Project, query: str) -> None:
    book(owner, project, "2025-03-03")
    book(owner, project, "2019-03-03")
    page_of(browser, query)
    page_of(browser, f"{query}&range=all&by=week")


def test_empty_dates_mean_all_time_and_no_dates_this_month(browser: Browser, owner: User, project: Project) -> None:
    book(owner, project, "2005-03-03")
    assert report_of(browser, "from=&to=").total.count == 1
    assert report_of(browser, "from=2005-03-03").total.count == report_of(browser, "to=2005-03-03").total.count == 1
    assert browser.get(PAGE).context["report"].total.count == 0


@pytest.mark.parametrize(
    ("name", "today", "first", "last"),
    [
        ("this_week", "2025-03-02", "2025-02-24", "2025-03-02"),
        ("last_week", "2025-03-03", "2025-02-24", "2025-03-02"),
        ("this_month", "2024-02-29", "2024-02-01", "2024-02-29"),
        ("last_month", "2025-01-31", "2024-12-01", "2024-12-31"),
        ("this_quarter", "2025-12-31", "2025-10-01", "2025-12-31"),
        ("last_quarter", "2025-01-01", "2024-10-01", "2024-12-31"),
        ("this_year", "2025-06-15", "2025-01-01", "2025-12-31"),
        ("last_year", "2025-06-15", "2024-01-01", "2024-12-31"),
    ],
)
def test_named_ranges(name: str, today: str, first: str, last: str) -> None:
    assert shortcut_range(name, date.fromisoformat(today)) == DateRange(date.fromisoformat(first), date.fromisoformat(last))


def test_each_named_range_is_a_link_that_keeps_the_rest(browser: Browser) -> None:
    page = page_of(browser, f"{MARCH}&by=person")
    for name in SHORTCUTS:
        assert f'href="?by=person&amp;range={name}"' in page
    assert page_of(browser, "range=last_year").count('aria-current="true"') == 1


def test_charts_go_by_days_weeks_or_months_and_leave_no_gap(browser: Browser, owner: User, project: Project) -> None:
    assert [period_for(date(2025, 1, 1), date(2025, month, 1)) for month in (1, 2, 4, 12)] == ["day", "day", "week", "month"]
    book(owner, project, "2025-03-03")
    book(owner, project, "2025-03-20", 30, billable=False)
    report = report_of(browser, MARCH)
    assert [stretch.first.day for stretch in report.stretches] == list(range(1, 32))
    assert report.stretches[2].seconds == 3600 and report.stretches[19].billable_seconds == 0
    assert [stretch.first.month for stretch in report_of(browser, "from=2025-01-01&to=2025-12-31").stretches] == list(range(1, 13))
    years = report_of(browser, "from=2010-01-01&to=2025-12-31")
    assert (years.step, len(years.stretches), years.stretches[-1].seconds) == ("year", 16, 5400)


# --- charts and files -------------------------------------------------------------------------------------------------


def test_charts_say_in_words_what_the_table_says(browser: Browser, owner: User, project: Project) -> None:
    Project.objects.update(name="<Website> & more")
    book(owner, project, "2025-03-03", 90)
    book(owner, project, "2025-03-03", 30, billable=False)
    page = page_of(browser, MARCH)
    said = "2:00 hours, 1:30 of it billable"
    assert f"<title>SB-WEB &lt;Website&gt; &amp; more: {said}</title>" in page and f"<title>Mon 3 Mar 2025: {said}</title>" in page
    assert page.count('role="img"') == page.count("<desc") == 2 and "The same as a table" in page
    assert "<script>" not in page and " style=" not in page and "<Website>" not in page
    assert "Hours by week</title>" not in page_of(browser, f"{MARCH}&by=week"), "its bars would say what the columns say"


def test_the_file_is_named_after_its_dates_and_runs_no_formula(browser: Browser, owner: User, project: Project) -> None:
    for name in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1"):
        book(owner, project, "2025-03-03", task=Task.objects.create(project=project, name=name))
    answer = browser.get(f"{FILE}?{MARCH}&by=task")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="report_task_2025-03-01_2025-03-31.csv"'
    lines = lines_of(browser, f"{MARCH}&by=task")
    assert {line["Task"] for line in lines} == {"'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1"}
    assert {(line["Project"], line["Hours"], line["Seconds"]) for line in lines} == {("SB-WEB Website relaunch", "1.0000", "3600")}


# --- budgets ----------------------------------------------------------------------------------------------------------


def test_budgets_say_in_words_what_is_used(browser: Browser, owner: User, robin: User, project: Project) -> None:
    def with_budget(code: str, hours: str, minutes: int, **fields: Any) -> None:
        of = Project.objects.create(client=project.client, name="Work", code=code, budget_hours=Decimal(hours), **fields)
        if minutes:
            book(robin, of, "2025-03-03", minutes, billable=False)

    with_budget("OVER", "1", 90)
    with_budget("TIGHT", "2", 110)
    with_budget("FULL", "1", 60)
    with_budget("FRESH", "5", 0)
    with_budget("ZERO", "0", 60)
    with_budget("DONE", "5", 60, status="closed")
    page = page_of(browser, at=BUDGETS)
    order = re.findall(r">(\w+) Work</a>", page)
    assert order == ["ZERO", "OVER", "FULL", "TIGHT", "FRESH"], "the most used first; closed ones and those without a budget not at all"
    for words in (
        "0:30 over budget",
        "1:00 over budget",
        "used up",
        "0:10 left",
        "5:00 left",
        "150 %",
        "91 %",
        "nearly used up",
        "2 over it",
    ):
        assert words in page, words
    assert "DONE" in page_of(browser, "state=all&sort=name", at=BUDGETS)
    assert re.findall(r">(\w+) Work</a>", page_of(browser, "sort=left", at=BUDGETS))[:2] == ["ZERO", "OVER"]
    assert "Correct what is marked above" in page_of(browser, "state=x", at=BUDGETS)


def test_a_budget_leads_to_the_report_of_all_its_time(browser: Browser, robin: User, project: Project) -> None:
    Project.objects.update(budget_hours=5)
    book(robin, project, "2015-03-03", 90)
    page = page_of(browser, at=BUDGETS)
    address = re.search(r'href="(/reports/\?by=[^"]+)"', page)
    assert address and names_in(browser.get(address[1].replace("&amp;", "&")).content.decode()) == ["Robin"]


def test_budgets_are_for_those_who_see_everybodys_time(robin: User, owner: User) -> None:
    assert browser_of(robin).get(BUDGETS).status_code == 403
    role_give(robin, Role.MANAGER)
    assert browser_of(User.objects.get(pk=robin.pk)).get(BUDGETS).status_code == 200
    assert reverse("staff:budgets") == BUDGETS


def test_without_a_budget_the_page_says_so(browser: Browser, project: Project) -> None:
    assert "None of these projects has a budget of hours." in page_of(browser, at=BUDGETS)
