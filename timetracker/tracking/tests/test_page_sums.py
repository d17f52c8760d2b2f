"""The sums that pages show equal plain SQL over the same rows: of everybody and of one person, in four zones and four currencies."""

from __future__ import annotations

import csv
import html
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import product
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.clients.models import Client
from timetracker.tests.analyzed import analyze
from timetracker.tests.people import browser_of
from timetracker.tracking.models import Project, Task
from timetracker.tracking.tests.plain_sums import CLOCKS, NOW, Plain, agency_made, plain_made, plain_rows, plain_total

pytestmark = pytest.mark.django_db

# Of which kind it is, and what looks at a page, or two, and notes what differs.
Check = tuple[str, Callable[[], None]]

_BUDGET_SECONDS = 700 * 3600 + 900


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages' clock stands, so that a timer counts up to the same second on each."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


def hours(seconds: int) -> str:
    """Hours and minutes, as pages write them."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}"


def hours_or_dash(seconds: int) -> str:
    """The same, where pages leave out what is nothing."""
    return hours(seconds) if seconds else "–"


def money(cents: int) -> str:
    """An amount, as pages write it."""
    return f"{Decimal(cents) / 100:,.2f}"


# --- what pages say ---------------------------------------------------------------------------------------------------


def words(markup: str) -> str:
    """What a person reads of it."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def parts(pattern: str, page: str) -> list[str]:
    """What a person reads of each part of the page that the pattern finds."""
    return [words(found) for found in re.findall(pattern, page, re.DOTALL)]


def section(page: str, begin: str, end: str) -> str:
    """The page between two marks; empty where the first is missing."""
    return page.partition(begin)[2].partition(end)[0]


def table_rows(markup: str) -> list[list[str]]:
    """The cells of each row."""
    return [parts(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr\b[^>]*>(.*?)</tr>", markup, re.DOTALL)]


class Comparison:
    """One person's browser, and what its pages say that plain SQL does not."""

    def __init__(self, person: User) -> None:
        self.person, self.browser, self.faults = person, browser_of(person), list[str]()
        self.zone, self.today = person.time_zone, NOW.astimezone(ZoneInfo(person.time_zone)).date()
        self.sees_all = person.has_perm(ALL_ENTRIES)
        # What she sees, and her own dates.
        self.seen, self.day = ("TRUE" if self.sees_all else f"person = {person.pk}"), f'"{self.zone}"'
        self.pages = 0

    def page(self, address: str) -> str:
        """The page; a file as text."""
        self.pages += 1
        return asked(self.browser, address)

    def same(self, where: str, said: object, plain: object) -> None:
        """Note it where the page says something else."""
        if said != plain:
            self.faults.append(f"{self.person} ({self.zone}), {where}: {said!r}, and by plain SQL {plain!r}")

    def where(self, *conditions: str, since: date | None = None, until: date | None = None) -> str:
        """What she sees, narrowed."""
        dates = [f"{self.day} >= '{since}'"] * (since is not None) + [f"{self.day} <= '{until}'"] * (until is not None)
        return " AND ".join([self.seen, *conditions, *dates])

    # --- one's own time -----------------------------------------------------------------------------------------------

    def today_page(self) -> None:
        """The sums of the week and its days."""
        monday = self.today - timedelta(days=self.today.weekday())
        days = [monday + timedelta(days=number) for number in range(7)]
        plain = plain_rows(self.day, f"person = {self.person.pk} AND {self.day} BETWEEN '{days[0]}' AND '{days[6]}'")
        seconds = [plain[str(day)].seconds if str(day) in plain else 0 for day in days]
        page = self.page("/")
        said = parts(r"<li\b[^>]*>.*?</abbr></span>(.*?)</li>", section(page, '<ol class="week-days">', "</ol>"))
        self.same("Today, days", said, [hours_or_dash(each) for each in seconds])
        week = section(page, '<section id="week"', "</section>")
        self.same("Today, week", parts(r'class="figure"[^>]*>(.*?)<', week), [hours(sum(seconds))])

    def week_page(self, person: User, day: date) -> None:
        """The grid of a week of somebody: its days, its rows, and the whole."""
        monday, of_days = day - timedelta(days=day.weekday()), f'"{person.time_zone}"'
        days = [monday + timedelta(days=number) for number in range(7)]
        these = f"person = {person.pk} AND {of_days} BETWEEN '{days[0]}' AND '{days[6]}'"
        plain = plain_rows(of_days, these)
        seconds = [plain[str(each)].seconds if str(each) in plain else 0 for each in days]
        page = self.page(f"/week/?week={day}&person={person.pk}")
        name = f"Week of {person}, {day}"
        sums = [*(hours_or_dash(each) for each in seconds), hours(sum(seconds))]
        foot = [row[1:] for row in table_rows(section(page, "<tfoot", "</tfoot>"))]
        self.same(f"{name}, days", foot, [sums] if plain else [])
        said = dict(re.findall(r'id="work-([\d-]+)".*?week-sum-of-row"><span class="cell-text">(.*?)</span>', page, re.DOTALL))
        key = "CASE WHEN task IS NULL THEN CAST(project AS TEXT) ELSE CAST(project AS TEXT) || '-' || CAST(task AS TEXT) END"
        self.same(f"{name}, rows", said, {work: hours(sums.seconds) for work, sums in plain_rows(key, these).items()})

    # --- entries and reports ------------------------------------------------------------------------------------------

    def entries_page(self, query: str, where: str) -> None:
        """The totals, and the sums of the days that are shown."""
        page, total = self.page(f"/entries/?sums=yes&{query}"), plain_total(where)
        said = parts(r"<dd>(.*?)</dd>", section(page, '<dl class="totals"', "</dl>"))
        plain = [str(total.count), *(hours(each) for each in (total.seconds, total.billable, total.unbilled))]
        if self.sees_all:
            plain += [f"{money(cents)} {currency}" for currency, (cents, _) in sorted(total.amounts.items())]
        self.same(f"Entries, {query}", said, plain if total.count else [])
        heads = re.findall(r'<time datetime="([\d-]+)">[^<]*</time> <span class="day-sum">.*?</span>(.*?)</span>', page)
        by_day = plain_rows(self.day, f"{where} AND {self.day} >= '{heads[-1][0]}'") if heads else {}
        self.same(f"Entries, {query}, days", dict(heads), {day: hours(by_day[day].seconds) for day, _ in heads})
        assert heads or not total.count, f"no days on {query}"

    def report(self, query: str, by: str, where: str, name: Callable[[Any], str]) -> None:
        """The file of a report, to the second and the cent, and the foot of its table. ``name`` is that of a key in the file."""
        whole, plain = plain_total(where), {name(key): sums for key, sums in plain_rows(by, where).items()}
        lines = list(csv.reader(self.page(f"/reports/report.csv?{query}").splitlines()))
        names = lines[0].index("Entries")
        said = {" · ".join(line[:names]): dict(zip(lines[0][names:], line[names:], strict=True)) for line in lines[1:]}
        currencies = sorted(whole.amounts) if self.sees_all else []
        self.same(f"Report {query}", said, {key: _csv_line(sums, currencies) for key, sums in plain.items()})
        (foot,) = table_rows(section(self.page(f"/reports/?{query}"), "<tfoot>", "</tfoot>"))
        amounts = [money(each) for currency in currencies for each in whole.amounts[currency]]
        shown = [str(whole.count), hours(whole.seconds), "100 %", hours(whole.billable), hours(whole.unbilled), *amounts]
        self.same(f"Report {query}, total", foot[1:], shown)

    def budgets_page(self) -> None:
        """The hours of each project that has a budget, and how much of it they are."""
        rows = table_rows(section(self.page("/reports/budgets/?state=all"), "<tbody>", "</tbody>"))
        plain = plain_rows("project")
        names = {f"{project} {project.client}": plain[project.pk].seconds for project in projects() if project.budget_hours}
        self.same(
            "Budgets",
            {row[0]: row[1:3] for row in rows},
            {name: [f"{seconds * 100 // _BUDGET_SECONDS} %", hours(seconds)] for name, seconds in names.items()},
        )

    # --- records ------------------------------------------------------------------------------------------------------

    @property
    def month(self) -> str:
        """What she sees of this month, where she is."""
        return f"{self.seen} AND {self.day} LIKE '{self.today:%Y-%m}-%'"

    def project_page(self, project: Project) -> None:
        """The sums in its cards, and those of its tasks."""
        page = self.page(f"/projects/{project.pk}/")
        month, whole = (plain_total(f"{where} AND project = {project.pk}") for where in (self.month, self.seen))
        cards = parts(r'<li class="card">(.*?)</li>', page)
        self.same(f"{project}", [card.split()[0] for card in cards[:2]], [hours(month.seconds), hours(whole.seconds)])
        if self.sees_all:
            used = [f"{whole.seconds * 100 // _BUDGET_SECONDS} %"] if project.budget_hours else []
            self.same(f"{project}, budget", [" ".join(card.split()[:2]) for card in cards[2 : 2 + len(used)]], used)
            amounts = [
                f"{money(cents)} {currency} billable, {money(unbilled)} {currency} of it on no invoice"
                for currency, (cents, unbilled) in sorted(whole.amounts.items())
            ]
            self.same(f"{project}, money", [card.replace(" ,", ",") for card in cards[2 + len(used) :]], amounts)
        tasks = plain_rows("task", f"{self.seen} AND project = {project.pk} AND task IS NOT NULL")
        said = re.findall(r'class="line-what">\s*([^<]*?)\s*<span class="below quiet">([\d:]+) h', page)
        names = {task.name: hours(tasks[task.pk].seconds if task.pk in tasks else 0) for task in project.tasks.all()}
        self.same(f"{project}, tasks", dict(said), names)

    def client_page(self, client: Client) -> None:
        """This month and all time of each of its projects."""
        page = self.page(f"/clients/{client.pk}/")
        rows = table_rows(section(section(page, '<section id="projects"', "</section>"), "<tbody>", "</tbody>"))
        month, whole = (plain_rows("project", f"{where} AND client = {client.pk}") for where in (self.month, self.seen))
        plain = {
            str(project): [hours_or_dash(sums[project.pk].seconds if project.pk in sums else 0) for sums in (month, whole)]
            for project in client.projects.all()
        }
        said = {next((name for name in plain if row[0].startswith(name)), row[0]): row[1:3] for row in rows}
        self.same(f"{client}", said, plain)

    def record_lists(self) -> None:
        """The hours of this month in the lists of clients and projects."""
        for path, by, rows in (("/clients/", "client", Client.objects.all()), ("/projects/", "project", projects())):
            month = plain_rows(by, self.month)
            plain = {str(row): hours_or_dash(month[row.pk].seconds if row.pk in month else 0) for row in rows}
            lines = table_rows(section(self.page(path), "<tbody>", "</tbody>"))
            said = {next((name for name in plain if line[0].startswith(name)), line[0]): line[-1] for line in lines}
            self.same(path, said, plain)

    def expenses_page(self) -> None:
        """What expenses come to, by currency."""
        with connection.cursor() as cursor:
            cursor.execute(f"""
                SELECT currency, COUNT(*), SUM(CAST(ROUND(amount * 100) AS BIGINT)) FROM billing_expense
                WHERE {"TRUE" if self.sees_all else f"user_id = {self.person.pk}"} GROUP BY currency ORDER BY currency
            """)
            plain = [f"{money(int(cents))} {currency} {count} expense{'s' * (count > 1)}" for currency, count, cents in cursor.fetchall()]
        self.same("Expenses", parts(r"<li>(.*?)</li>", section(self.page("/expenses/"), '<ul class="sums">', "</ul>")), plain)


def _csv_line(sums: Plain, currencies: list[str]) -> dict[str, str]:
    """The columns of a report's file."""
    columns = {"Entries": str(sums.count)}
    for title, seconds in (("", sums.seconds), ("Billable ", sums.billable), ("Unbilled ", sums.unbilled)):
        columns[f"{title}Hours".capitalize()] = str((Decimal(seconds) / 3600).quantize(Decimal("0.0001")))
        columns[f"{title}Seconds".capitalize()] = str(seconds)
    for currency in currencies:
        cents, unbilled = sums.amounts.get(currency, (0, 0))
        columns[f"Amount {currency}"], columns[f"Unbilled amount {currency}"] = (
            f"{Decimal(cents) / 100:.2f}",
            f"{Decimal(unbilled) / 100:.2f}",
        )
    return columns


def asked(browser: Browser, address: str) -> str:
    """The text of an answer that must be there."""
    answer: Any = browser.get(address)
    assert answer.status_code == 200, f"{address}: {answer.status_code}"
    return b"".join(answer.streaming_content if answer.streaming else [answer.content]).decode()


def projects() -> list[Project]:
    """All of them."""
    return list(Project.objects.select_related("client").order_by("code"))


# --- everything -------------------------------------------------------------------------------------------------------


def local_days_of_changes(zone: str) -> list[date]:
    """The days there on which clocks change."""
    changes = [datetime.fromisoformat(f"{at}+00:00") for at, _ in CLOCKS[zone][1:]]
    return [change.astimezone(ZoneInfo(zone)).date() for change in changes]


def week_of_day(day: str) -> str:
    """The Monday before it, or the day itself, in SQL."""
    if connection.vendor == "postgresql":
        return f"to_char(date_trunc('week', {day}::date), 'YYYY-MM-DD')"
    return f"date({day}, '-' || ((strftime('%w', {day}) + 6) % 7) || ' days')"


def own_checks(comparison: Comparison) -> Iterator[Check]:
    """What everybody looks at: her own time."""
    yield "Today", comparison.today_page
    for day in sorted({comparison.today, *local_days_of_changes(comparison.zone)}):
        yield "Week", partial(comparison.week_page, comparison.person, day)


def record_checks(comparison: Comparison) -> Iterator[Check]:
    """Clients, projects and expenses."""
    for project in projects():
        yield "Project", partial(comparison.project_page, project)
    for client in Client.objects.all():
        yield "Client", partial(comparison.client_page, client)
    yield "Lists", comparison.record_lists
    yield "Expenses", comparison.expenses_page


def entry_checks(comparison: Comparison, random: Random) -> Iterator[Check]:
    """The list with each filter."""
    where, project, task = comparison.where, random.choice(projects()), random.choice(list(Task.objects.order_by("pk")))
    filters = {
        "period=all": where(),
        f"period=all&client={project.client_id}": where(f"client = {project.client_id}"),
        f"period=all&project={project.pk}": where(f"project = {project.pk}"),
        f"period=all&task={task.pk}": where(f"task = {task.pk}"),
        "period=all&billable=yes&billed=no": where("is_billable", "is_open"),
        "period=all&billable=no": where("NOT is_billable"),
        "period=all&billed=yes": where("NOT is_open"),
        "period=this-month": comparison.month,
    }
    if comparison.sees_all:
        person = random.choice(list(User.objects.order_by("pk")))
        filters[f"period=all&person={person.pk}"] = where(f"person = {person.pk}")
    for day in local_days_of_changes(comparison.zone):
        filters[f"since={day}&until={day}"] = where(since=day, until=day)
    for query, condition in filters.items():
        yield "Entries", partial(comparison.entries_page, query, condition)


def period_checks(comparison: Comparison) -> Iterator[Check]:
    """Reports by days, weeks and months, which are those of the reader."""
    day, where = comparison.day, comparison.where()
    for by, key in (("day", day), ("week", week_of_day(day)), ("month", f"substr({day}, 1, 7)")):
        yield f"Report by {by}", partial(comparison.report, f"range=all&by={by}", key, where, str)
    names = {str(project.pk): f"{project.client} · {project}" for project in projects()}

    def name(key: str) -> str:
        project, month = key.split()
        return f"{names[project]} · {month}"

    both = f"CAST(project AS TEXT) || ' ' || substr({day}, 1, 7)"
    yield "Report by two", partial(comparison.report, "range=all&by=project&then=month", both, where, name)


def grouping_checks(comparison: Comparison) -> Iterator[Check]:
    """Reports by all else, of all time and of some; and the budgets, for who may see them."""
    tasks = {task.pk: f"{task.project} · {task}" for task in Task.objects.select_related("project")}
    names: dict[str, dict[Any, str]] = {
        "client": {client.pk: str(client) for client in Client.objects.all()},
        "project": {project.pk: f"{project.client} · {project}" for project in projects()},
        "person": {person.pk: str(person) for person in User.objects.all()},
        "task": {**tasks, None: " · No task"},
    }
    client, (first, last) = projects()[0].client_id, (date(2025, 3, 9), date(2025, 10, 26))
    asked_for = {
        "range=all": comparison.where(),
        f"from={first}&to={last}&billable=yes&client={client}": comparison.where(
            "is_billable", f"client = {client}", since=first, until=last
        ),
    }
    for (by, of), (query, where) in product(names.items(), asked_for.items()):
        yield f"Report by {by}", partial(comparison.report, f"by={by}&{query}", by, where, of.__getitem__)
    if comparison.sees_all:
        yield "Budgets", comparison.budgets_page


def compared(people: list[Comparison], random: Random, *, share: int) -> int:
    """Look at one of ``share`` pages of each kind that there are for these people, chosen at random, and return how many those are."""
    owners, members = people[: len(CLOCKS)], people[len(CLOCKS) :]
    readers = [*owners, members[-1]]
    checks = [check for each in people for check in own_checks(each)]
    # A colleague's week is in her own days.
    pairs = zip(owners, members[1:], strict=False)
    checks += [("Week of another", partial(owner.week_page, other.person, other.today)) for owner, other in pairs]
    for reader in readers:
        checks += [*entry_checks(reader, random), *period_checks(reader), *record_checks(reader)]
    checks += [check for reader in (owners[0], members[-1]) for check in grouping_checks(reader)]
    kinds: dict[str, list[Callable[[], None]]] = defaultdict(list)
    for kind, look in checks:
        kinds[kind].append(look)
    for looks in kinds.values():
        for look in random.sample(looks, -(-len(looks) // share)):
            look()
    return sum(each.pages for each in people)


def every_page_says_what_plain_sql_says(entries: int, seed: int, *, share: int) -> None:
    """Make entries, look at pages, and say how many there were."""
    random = Random(seed)
    agency_made(entries, random)
    analyze()
    plain_made()
    assert plain_total().count == entries
    people = [Comparison(person) for person in User.objects.order_by("username")]
    assert [each.sees_all for each in people] == [True] * len(CLOCKS) + [False] * (len(people) - len(CLOCKS))
    pages = compared(people, random, share=share)
    faults = [fault for each in people for fault in each.faults]
    print(f"{connection.vendor}: {entries} entries of seed {seed}, {pages} pages compared, {len(faults)} sums differ")
    assert not faults, "\n".join(faults)


def test_pages_say_what_plain_sql_says(still_clock: None) -> None:
    every_page_says_what_plain_sql_says(20_000, 20251102, share=8)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_every_page_says_what_plain_sql_says_of_200_thousand_entries(still_clock: None) -> None:
    every_page_says_what_plain_sql_says(200_000, random.randrange(10**6), share=1)
