"""Sums in SQL equal a slow reckoning in Python and plain SQL, over rows at every kind of edge."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from itertools import product
from random import Random
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from timetracker.accounts.models import User
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.clients.models import Client
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry
from timetracker.tracking.rates import Rate, rate_for, with_rates
from timetracker.tracking.sums import BudgetUse, Grouping, Key, TimeSums, budgets_used, starting_on, time_sums, time_total, with_amounts

pytestmark = pytest.mark.django_db

NOW = datetime(2025, 11, 20, 15, 30, 20, 250_000, tzinfo=UTC)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "America/Santiago",
    "Asia/Beirut",
    "Asia/Kathmandu",
]
# When clocks change in those places in 2025.
CHANGES = [
    "2025-03-09 07:00",
    "2025-03-29 22:00",
    "2025-03-30 01:00",
    "2025-04-05 15:00",
    "2025-04-06 03:00",
    "2025-09-07 04:00",
    "2025-10-04 15:30",
    "2025-10-25 21:00",
    "2025-10-26 01:00",
    "2025-11-02 06:00",
]


def moments(random: Random) -> Iterator[datetime]:
    """Where sums go wrong: at changes of clocks, at midnights of every zone, at the year's end; and anywhere."""
    near = [timedelta(), *(sign * timedelta(**one) for sign in (-1, 1) for one in ({"microseconds": 1}, {"seconds": 1}, {"minutes": 40}))]
    for change in CHANGES:
        for step in near:
            yield datetime.fromisoformat(change).replace(tzinfo=UTC) + step
    for zone in ZONES:
        for day in (date(2024, 12, 31), date(2025, 1, 1), date(2025, 3, 3), date(2025, 7, 1), date(2025, 10, 27)):
            midnight = datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
            for step in (timedelta(), timedelta(microseconds=-1), timedelta(microseconds=-300), timedelta(seconds=-1)):
                yield midnight + step
    for _ in range(150):
        yield datetime(2024, 11, 1, tzinfo=UTC) + timedelta(microseconds=random.randrange(365 * 86400 * 10**6))


@pytest.fixture
def rows(db: None) -> None:
    """Some 400 entries of five people for four clients in four currencies, some billed, three running."""
    rate_of.cache_clear()
    random = Random(20250330)
    currencies = [("EUR", "82.35"), ("USD", None), ("JPY", "0.01"), ("CHF", None)]
    clients = [
        Client.objects.create(name=f"Client {code}", currency=code, default_rate=rate and Decimal(rate)) for code, rate in currencies
    ]
    projects = [
        Project.objects.create(client=client, name="Work", code=f"{client.currency}-{number}", billable=number != 2, hourly_rate=rate)
        for client, (number, rate) in product(clients, enumerate([None, Decimal("99.99"), Decimal(50)]))
    ]
    own_rates = [(Decimal(60), "SEK"), (Decimal("33.33"), "EUR"), (None, "EUR"), (Decimal(0), "GBP"), (None, "USD")]
    people = [
        User.objects.create(username=f"person{number}", hourly_rate=rate, currency=code) for number, (rate, code) in enumerate(own_rates)
    ]
    for project, person in product(projects, people):
        if random.random() < 0.3:
            ProjectRate.objects.create(
                project=project, user=person, hourly_rate=random.choice([Decimal("0.07"), Decimal("123.45"), Decimal(0)])
            )
        Task.objects.create(project=project, name="Task")
    invoice = Invoice.objects.create(number="1", client=clients[0], issued_on=NOW.date(), due_on=NOW.date())
    item = InvoiceItem.objects.create(invoice=invoice, description="Work", unit_price=1)
    tasks = {project.pk: [None, *project.tasks.all()] for project in projects}

    entries = []
    for started_at in moments(random):
        project = random.choice(projects)
        length = random.choice([timedelta(microseconds=1), timedelta(seconds=18), timedelta(minutes=50), timedelta(hours=9)]) * (
            1 + random.random()
        )
        entry = TimeEntry(user=random.choice(people), project=project, task=random.choice(tasks[project.pk]), started_at=started_at)
        entry.ended_at = started_at + max(length, timedelta(microseconds=1))
        if random.random() < 0.3:
            entry.break_seconds = random.randrange(int(length.total_seconds()) + 1)
        entry.billable = random.random() < 0.8
        if entry.billable and random.random() < 0.3:
            entry.invoice_item = item
        entries.append(entry)
    running = [(NOW - timedelta(hours=3), 600), (NOW - timedelta(minutes=5), 900), (NOW + timedelta(hours=1), 0)]
    for person, (started_at, pause) in zip(people, running, strict=False):
        entries.append(TimeEntry(user=person, project=projects[0], started_at=started_at, break_seconds=pause))
    TimeEntry.objects.bulk_create(entries)


def seconds_of(entry: TimeEntry) -> int:
    begins, ends = entry.started_at.replace(microsecond=0), (entry.ended_at or NOW).replace(microsecond=0)
    return max(0, int((ends - begins).total_seconds()) - entry.break_seconds)


@cache
def rate_of(user: User, project: Project) -> Rate | None:
    """Asked for once in each test, since a test has thousands of questions and sixty answers."""
    return rate_for(user=user, project=project)


def amount_of(entry: TimeEntry) -> tuple[str, Decimal] | None:
    rate = rate_of(entry.user, entry.project) if entry.billable else None
    if rate is None:
        return None
    return rate.currency, (seconds_of(entry) * rate.amount / 3600).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def added(entries: list[TimeEntry]) -> TimeSums:
    """Add up one by one."""
    billable = [entry for entry in entries if entry.billable and entry.project.billable]
    unbilled = [entry for entry in billable if entry.invoice_item is None]
    return TimeSums(
        count=len(entries),
        seconds=sum(map(seconds_of, entries)),
        billable_seconds=sum(map(seconds_of, billable)),
        unbilled_seconds=sum(map(seconds_of, unbilled)),
        amounts=amounts_added(billable),
        unbilled_amounts=amounts_added(unbilled),
    )


def amounts_added(entries: list[TimeEntry]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        if (amount := amount_of(entry)) is not None:
            sums[amount[0]] += amount[1]
    return sums


def local_date(entry: TimeEntry, zone: str) -> date:
    return entry.started_at.astimezone(ZoneInfo(zone)).date()


KEYS: dict[Grouping, Callable[[TimeEntry, str], int | date | None]] = {
    "client": lambda entry, zone: entry.project.client_id,
    "project": lambda entry, zone: entry.project_id,
    "person": lambda entry, zone: entry.user_id,
    "task": lambda entry, zone: entry.task_id,
    "day": local_date,
    "week": lambda entry, zone: local_date(entry, zone) - timedelta(days=local_date(entry, zone).weekday()),
    "month": lambda entry, zone: local_date(entry, zone).replace(day=1),
}


def reckoned(*by: Grouping, zone: str = "UTC") -> dict[Key, TimeSums]:
    groups: dict[Key, list[TimeEntry]] = defaultdict(list)
    for entry in TimeEntry.objects.select_related("project__client", "user"):
        groups[tuple(KEYS[grouping](entry, zone) for grouping in by)].append(entry)
    return {key: added(entries) for key, entries in groups.items()}


@pytest.mark.parametrize("by", [["client"], ["project"], ["person"], ["task"], ["project", "person"], ["client", "task"], []])
def test_sums_by_what_entries_belong_to_equal_a_slow_reckoning(rows: None, by: list[Grouping]) -> None:
    assert time_sums(TimeEntry.objects.all(), *by, now=NOW) == reckoned(*by)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("by", [["day"], ["week"], ["month"], ["project", "day"], ["month", "week", "person"]])
def test_sums_by_local_dates_equal_a_slow_reckoning(rows: None, by: list[Grouping], zone: str) -> None:
    assert time_sums(TimeEntry.objects.all(), *by, zone=ZoneInfo(zone), now=NOW) == reckoned(*by, zone=zone)


def test_periods_are_those_of_utc_where_no_zone_is_named(rows: None) -> None:
    assert time_sums(TimeEntry.objects.all(), "day", now=NOW) == reckoned("day", zone="UTC")


def test_amounts_of_single_entries_equal_a_slow_reckoning(rows: None) -> None:
    for entry in with_amounts(TimeEntry.objects.select_related("project__client", "user"), now=NOW):
        amount = amount_of(entry)
        assert entry.worked_seconds == seconds_of(entry)
        assert entry.rate_currency == (amount and amount[0])
        assert (None if entry.amount_cents is None else Decimal(int(entry.amount_cents)) / 100) == (amount and amount[1])


def test_total_equals_plain_sql_over_the_same_rows(rows: None) -> None:
    instant = "FLOOR(EXTRACT(EPOCH FROM {}))" if connection.vendor == "postgresql" else "CAST(strftime('%s', substr({}, 1, 19)) AS INTEGER)"
    statement = f"""
        SELECT currency, SUM(seconds), SUM((seconds * cents + 1800) / 3600)
        FROM (
            SELECT {instant.format("e.ended_at")} - {instant.format("e.started_at")} - e.break_seconds AS seconds,
                   CAST(ROUND(COALESCE(r.hourly_rate, p.hourly_rate, c.default_rate, u.hourly_rate) * 100) AS BIGINT) AS cents,
                   CASE WHEN COALESCE(r.hourly_rate, p.hourly_rate, c.default_rate) IS NULL THEN u.currency ELSE c.currency END AS currency
            FROM tracking_timeentry e
            JOIN tracking_project p ON p.id = e.project_id
            JOIN clients_client c ON c.id = p.client_id
            JOIN accounts_user u ON u.id = e.user_id
            LEFT JOIN tracking_projectrate r ON r.project_id = p.id AND r.user_id = u.id
            WHERE e.ended_at IS NOT NULL AND e.billable AND p.billable
        ) AS entries
        GROUP BY currency
    """
    if connection.vendor == "postgresql":
        statement = statement.replace("(seconds * cents + 1800) / 3600", "DIV(seconds * cents + 1800, 3600)")
    with connection.cursor() as cursor:
        cursor.execute(statement)
        plain = cursor.fetchall()

    total = time_total(TimeEntry.objects.filter(ended_at__isnull=False), now=NOW)
    assert total.billable_seconds == sum(int(seconds) for _, seconds, _ in plain)
    assert total.amounts == {currency: Decimal(int(cents)) / 100 for currency, _, cents in plain if cents is not None}
    assert set(total.amounts) == {"CHF", "EUR", "JPY", "SEK", "USD"}


def test_days_of_a_zone_add_up_to_its_weeks_and_to_all(rows: None) -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    entries = TimeEntry.objects.all()
    days, weeks = time_sums(entries, "day", zone=zone, now=NOW), time_sums(entries, "week", zone=zone, now=NOW)
    assert list(days) == sorted(days) and list(weeks) == sorted(weeks)
    for (monday,), week in weeks.items():
        assert isinstance(monday, date) and monday.weekday() == 0
        assert week.seconds == sum(day.seconds for (on,), day in days.items() if isinstance(on, date) and 0 <= (on - monday).days < 7)
    assert sum(day.seconds for day in days.values()) == time_total(entries, now=NOW).seconds


@pytest.mark.parametrize("zone", ZONES)
def test_entries_that_start_on_some_days_are_those_that_the_sums_by_day_count(rows: None, zone: str) -> None:
    changes = [(date(2025, 3, 30), date(2025, 3, 30)), (date(2025, 4, 5), date(2025, 4, 6))]
    for first, last in [*changes, (date(2024, 12, 31), date(2025, 9, 7))]:
        found = starting_on(TimeEntry.objects.all(), first, last, zone=ZoneInfo(zone))
        assert set(found) == {entry for entry in TimeEntry.objects.all() if first <= local_date(entry, zone) <= last}


def test_entry_over_midnight_counts_whole_on_the_day_on_which_it_starts(person: User, project: Project) -> None:
    started_at = datetime(2025, 3, 31, 20, 0, tzinfo=UTC)
    TimeEntry.objects.create(user=person, project=project, started_at=started_at, ended_at=started_at + timedelta(hours=5))
    for zone, day in [("Europe/Berlin", date(2025, 3, 31)), ("Pacific/Kiritimati", date(2025, 4, 1))]:
        assert [(key, sums.seconds) for key, sums in time_sums(TimeEntry.objects.all(), "day", zone=ZoneInfo(zone)).items()] == [
            ((day,), 18000)
        ]
    assert list(time_sums(TimeEntry.objects.all(), "month", zone=ZoneInfo("Europe/Berlin"))) == [(date(2025, 3, 1),)]


def test_each_entry_is_rounded_to_cents_by_itself_and_half_a_cent_goes_up(person: User, project: Project) -> None:
    project.hourly_rate = Decimal(1)
    project.save()
    begins = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
    for number, seconds in enumerate([18, 18, 18, 17]):
        started_at = begins + timedelta(hours=number)
        TimeEntry.objects.create(user=person, project=project, started_at=started_at, ended_at=started_at + timedelta(seconds=seconds))
    assert time_total(TimeEntry.objects.all()).amounts == {"USD": Decimal("0.03")}


def test_large_amounts_are_exact(person: User, project: Project) -> None:
    project.hourly_rate = Decimal("9999999999.99")
    project.save()
    begins = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
    for number in range(3):
        started_at = begins + timedelta(days=number)
        ended_at = started_at + timedelta(hours=23, minutes=59, seconds=59)
        TimeEntry.objects.create(user=person, project=project, started_at=started_at, ended_at=ended_at)
    each = (Decimal("9999999999.99") * 86399 / 3600).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    assert time_total(TimeEntry.objects.all()).amounts == {"USD": 3 * each}


def test_entry_that_runs_counts_up_to_now_and_never_below_zero(person: User, project: Project) -> None:
    TimeEntry.objects.create(user=person, project=project, started_at=NOW - timedelta(hours=2), break_seconds=600)
    entries = TimeEntry.objects.all()
    assert time_total(entries, now=NOW) == TimeSums(1, 6600, 6600, 6600, {"USD": Decimal(165)}, {"USD": Decimal(165)})
    assert time_total(entries, now=NOW - timedelta(hours=3)).seconds == 0
    assert time_total(entries).seconds > 6600


def test_nothing_comes_to_nothing(db: None) -> None:
    nobody = TimeEntry.objects.all()
    assert time_sums(nobody, "project", "day", zone=ZoneInfo("Europe/Berlin")) == {}
    assert time_total(nobody) == TimeSums(0, 0, 0, 0, {}, {})


def test_none_comes_last(person: User, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates")
    for number, chosen in enumerate([None, task]):
        started_at = NOW - timedelta(days=1 + number)
        TimeEntry.objects.create(user=person, project=project, task=chosen, started_at=started_at, ended_at=NOW)
    assert list(time_sums(TimeEntry.objects.all(), "task")) == [(task.pk,), (None,)]


def test_sums_follow_the_filter_and_take_one_query_and_one_more_for_each_period(rows: None) -> None:
    entries = TimeEntry.objects.filter(project__client__currency="EUR", user__username="person1").select_related("task", "project")
    with CaptureQueriesContext(connection) as queries:
        sums = time_sums(entries, "project", now=NOW)
    assert len(queries) == 1
    chosen = [entry for entry in entries if entry.project.client.currency == "EUR" and entry.user.username == "person1"]
    assert sum(found.count for found in sums.values()) == len(chosen) > 5
    with CaptureQueriesContext(connection) as queries:
        time_sums(entries, "project", "day", zone=ZoneInfo("Europe/Berlin"), now=NOW)
    assert len(queries) == 2


def test_dates_before_and_after_all_tables_of_zones_are_summed(person: User, project: Project) -> None:
    for year in (1850, 2500):
        started_at = datetime(year, 6, 15, 12, tzinfo=UTC)
        TimeEntry.objects.create(user=person, project=project, started_at=started_at, ended_at=started_at + timedelta(hours=1))
    found = time_sums(TimeEntry.objects.all(), "day", zone=ZoneInfo("Europe/Berlin"))
    assert list(found) == [(date(1850, 6, 15),), (date(2500, 6, 15),)]


# --- rates and budgets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_set", list(product([True, False], repeat=4)))
@pytest.mark.parametrize("billable", [True, False])
def test_rate_in_sql_is_the_one_of_python(person: User, project: Project, is_set: tuple[bool, ...], billable: bool) -> None:
    on_project, of_project, of_client, of_user = is_set
    kim = User.objects.create(username="kim")
    ProjectRate.objects.create(project=project, user=kim, hourly_rate=Decimal(1))
    if on_project:
        ProjectRate.objects.create(project=project, user=person, hourly_rate=Decimal("100.50"))
    project.hourly_rate = Decimal(0) if of_project else None
    project.billable = billable
    project.save()
    project.client.default_rate = Decimal(80) if of_client else None
    project.client.save()
    person.hourly_rate = Decimal(60) if of_user else None
    person.save()
    TimeEntry.objects.create(user=person, project=project, started_at=NOW)

    rate = rate_for(user=person, project=project)
    (found,) = with_rates(TimeEntry.objects.all())
    assert (found.rate, found.rate_currency) == ((rate.amount, rate.currency) if rate else (None, None))
    assert found.is_billable == billable


def test_entry_that_is_not_billable_has_no_rate(person: User, project: Project) -> None:
    TimeEntry.objects.create(user=person, project=project, started_at=NOW, billable=False)
    (found,) = with_rates(TimeEntry.objects.all())
    assert (found.is_billable, found.rate, found.rate_currency) == (False, None, None)


def test_budget_is_used_by_all_time_on_the_project(person: User, project: Project) -> None:
    client = project.client
    project.budget_hours = Decimal("2.50")
    project.save()
    zero = Project.objects.create(client=client, name="Zero", code="Z", budget_hours=0)
    unused = Project.objects.create(client=client, name="Unused", code="U", budget_hours=Decimal("0.01"))
    none = Project.objects.create(client=client, name="None", code="N")
    for on, hours, billable in [(project, 1, True), (project, 2, False), (none, 1, True), (zero, 1, True)]:
        TimeEntry.objects.create(user=person, project=on, started_at=NOW - timedelta(hours=hours), ended_at=NOW, billable=billable)
    TimeEntry.objects.create(user=person, project=none, started_at=NOW - timedelta(minutes=1))

    with CaptureQueriesContext(connection) as queries:
        used = budgets_used(Project.objects.filter(client=client), now=NOW)
    assert len(queries) == 2
    assert used == {
        project.pk: BudgetUse(10800, 9000),
        zero.pk: BudgetUse(3600, 0),
        unused.pk: BudgetUse(0, 36),
        none.pk: BudgetUse(3660, None),
    }
    assert (used[project.pk].percent, used[project.pk].is_over) == (120, True)
    assert (used[zero.pk].percent, used[zero.pk].is_over) == (None, True)
    assert (used[unused.pk].percent, used[unused.pk].is_over) == (0, False)
    assert (used[none.pk].percent, used[none.pk].is_over) == (None, False)


def test_budget_is_full_at_its_last_second_and_not_before() -> None:
    assert [(use.percent, use.is_over) for use in (BudgetUse(3599, 3600), BudgetUse(3600, 3600), BudgetUse(3601, 3600))] == [
        (99, False),
        (100, False),
        (100, True),
    ]
