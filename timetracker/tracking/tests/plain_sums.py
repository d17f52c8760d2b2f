"""What time comes to, in plain SQL written by hand, and many entries to add up: what pages say is compared with it.

Nothing here is made of the product's own expressions. On PostgreSQL its server knows the time zones; on SQLite the changes of
clocks are those of :data:`CLOCKS`, looked up in the zones' own tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any

from django.db import connection

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give
from timetracker.billing.models import Expense, Invoice, InvoiceItem
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

__all__ = ["CLOCKS", "NOW", "Plain", "agency_made", "plain_made", "plain_rows", "plain_total"]

# In Los Angeles it is the Sunday on which clocks were put back, in Berlin half an hour before its end, in Auckland Monday morning.
NOW = datetime(2025, 11, 2, 22, 30, tzinfo=UTC)
_FIRST = datetime(2024, 11, 15, tzinfo=UTC)

# Seconds ahead of UTC, and from when on (UTC), from the first entry to NOW.
CLOCKS = {
    "Europe/Berlin": [("2024-10-27 01:00:00", 3600), ("2025-03-30 01:00:00", 7200), ("2025-10-26 01:00:00", 3600)],
    "America/Los_Angeles": [("2024-11-03 09:00:00", -28800), ("2025-03-09 10:00:00", -25200), ("2025-11-02 09:00:00", -28800)],
    "Pacific/Auckland": [("2024-09-28 14:00:00", 46800), ("2025-04-05 14:00:00", 43200), ("2025-09-27 14:00:00", 46800)],
    "Asia/Kolkata": [("2024-11-01 00:00:00", 19800)],
}
_CURRENCIES = {"EUR": "82.35", "USD": None, "JPY": "0.07", "CHF": "199.99"}
_PEOPLE = 20


# --- the rows ---------------------------------------------------------------------------------------------------------


def agency_made(entries: int, random: Random) -> None:
    """Make 20 people in four zones, clients in four currencies, and ``entries``; some billed, three running, rounding switched on."""
    SiteSettings.objects.create(rounding_minutes=15, rounding_direction=SiteSettings.Rounding.UP)
    clients = [Client.objects.create(name=f"Client {code}", currency=code, default_rate=rate) for code, rate in _CURRENCIES.items()]
    rates = [None, Decimal("99.99"), Decimal(50), None, Decimal(0)]
    projects = [
        Project.objects.create(
            client=client,
            name="Work",
            code=f"{client.currency}-{number}",
            hourly_rate=rate,
            billable=number != 2,
            budget_hours=None if number == 4 else Decimal("700.25"),
        )
        for client, (number, rate) in product(clients, enumerate(rates))
    ]
    tasks = {project: [None, *(Task.objects.create(project=project, name=f"Task {n}") for n in (1, 2))] for project in projects}
    people = [_person(number, random) for number in range(_PEOPLE)]
    for project, person in product(projects, people):
        if random.random() < 0.2:
            ProjectRate.objects.create(project=project, user=person, hourly_rate=random.choice(["0.07", "123.45", "0"]))
    invoice = Invoice.objects.create(number="1", client=clients[0], issued_on=NOW.date(), due_on=NOW.date())
    item = InvoiceItem.objects.create(invoice=invoice, description="Work", unit_price=1)
    TimeEntry.objects.bulk_create(_entries(entries, random, people, tasks, item), batch_size=5000)
    Expense.objects.bulk_create(
        Expense(user=person, description="Train", amount=Decimal(random.randrange(1, 10**6)) / 100, currency=random.choice([*_CURRENCIES]))
        for person in people
        for _ in range(9)
    )


def _person(number: int, random: Random) -> User:
    person = User.objects.create(
        username=f"person{number:02}",
        full_name=f"Person {number:02}",
        is_staff=True,
        time_zone=[*CLOCKS][number % len(CLOCKS)],
        weekly_hours=random.choice([None, Decimal(40)]),
        hourly_rate=random.choice([None, Decimal(60), Decimal("33.33")]),
        currency=random.choice([*_CURRENCIES]),
    )
    # One of each zone sees everything, the others their own time.
    role_give(person, Role.OWNER if number < len(CLOCKS) else Role.MEMBER)
    return person


def _entries(
    count: int, random: Random, people: list[User], tasks: dict[Project, list[Task | None]], item: InvoiceItem
) -> Iterator[TimeEntry]:
    """Anywhere in the year, every fifth around a midnight or a change of clocks, with fractions of a second; many cross midnight."""
    projects = [*tasks]
    changes = [datetime.fromisoformat(f"{at}+00:00") for clocks in CLOCKS.values() for at, _ in clocks[1:]]
    hours = (NOW - _FIRST) // timedelta(hours=1)
    for number in range(count - 3):
        started_at = _FIRST + timedelta(seconds=random.randrange(hours * 3600), microseconds=random.randrange(10**6))
        if number % 5 == 0:
            near = random.choice([timedelta(), timedelta(microseconds=1), timedelta(seconds=1), timedelta(minutes=40)])
            edge = random.choice(changes) if number % 25 == 0 else started_at.replace(minute=0, second=0, microsecond=0)
            started_at = edge + random.choice([1, -1]) * near
        length = random.choice([timedelta(microseconds=700), timedelta(seconds=18), timedelta(minutes=50), timedelta(hours=9)])
        project = random.choice(projects)
        billable = random.random() < 0.8
        yield TimeEntry(
            user=random.choice(people),
            project=project,
            task=random.choice(tasks[project]),
            started_at=started_at,
            ended_at=started_at + length * (1 + random.random()),
            break_seconds=random.randrange(int(length.total_seconds()) + 1) if random.random() < 0.3 else 0,
            billable=billable,
            invoice_item=item if billable and random.random() < 0.3 else None,
        )
    # The last one is a timer of which more was a break than has passed.
    for person, (ago, pause) in zip(people, [(3 * 3600, 600), (26 * 3600, 0), (300, 900)], strict=False):
        yield TimeEntry(user=person, project=projects[0], started_at=NOW - timedelta(seconds=ago), break_seconds=pause)


# --- the sums ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plain:
    """Of some entries: how many, their seconds, the billable ones, those on no invoice, and amounts by currency in hundredths."""

    count: int
    seconds: int
    billable: int
    unbilled: int
    amounts: dict[str, tuple[int, int]]


def plain_made() -> None:
    """Write each entry's seconds, amount in hundredths and local dates into the temporary table ``plain``."""
    is_postgresql = connection.vendor == "postgresql"
    second = "FLOOR(EXTRACT(EPOCH FROM {}))" if is_postgresql else "CAST(strftime('%s', substr({}, 1, 19)) AS INTEGER)"
    now = f"{NOW.timestamp():.0f}"
    ended = f"CASE WHEN e.ended_at IS NULL THEN {now} ELSE {second.format('e.ended_at')} END"
    dates = ", ".join(f'{_local_date(zone)} AS "{zone}"' for zone in CLOCKS)
    divided = "DIV(seconds * cents_an_hour + 1800, 3600)" if is_postgresql else "(seconds * cents_an_hour + 1800) / 3600"
    with connection.cursor() as cursor:
        cursor.execute(f"""
            CREATE TEMPORARY TABLE plain AS
            SELECT worked.*, CASE WHEN is_billable AND cents_an_hour IS NOT NULL THEN {divided} END AS cents
            FROM (
                SELECT e.id, e.user_id AS person, e.project_id AS project, p.client_id AS client, e.task_id AS task, {dates},
                       CASE WHEN {ended} - {second.format("e.started_at")} > e.break_seconds
                            THEN {ended} - {second.format("e.started_at")} - e.break_seconds ELSE 0 END AS seconds,
                       e.billable AND p.billable AS is_billable,
                       e.invoice_item_id IS NULL AS is_open,
                       CASE WHEN COALESCE(r.hourly_rate, p.hourly_rate, c.default_rate) IS NULL THEN u.currency
                            ELSE c.currency END AS currency,
                       CAST(ROUND(COALESCE(r.hourly_rate, p.hourly_rate, c.default_rate, u.hourly_rate) * 100) AS BIGINT)
                            AS cents_an_hour
                FROM tracking_timeentry e
                JOIN tracking_project p ON p.id = e.project_id
                JOIN clients_client c ON c.id = p.client_id
                JOIN accounts_user u ON u.id = e.user_id
                LEFT JOIN tracking_projectrate r ON r.project_id = p.id AND r.user_id = u.id
            ) AS worked
        """)


def _local_date(zone: str) -> str:
    """The date there on which an entry starts, as text."""
    if connection.vendor == "postgresql":
        return f"to_char(e.started_at AT TIME ZONE '{zone}', 'YYYY-MM-DD')"
    cases = " ".join(f"WHEN e.started_at >= '{at}' THEN {ahead}" for at, ahead in reversed(CLOCKS[zone]))
    return f"date(substr(e.started_at, 1, 19), (CASE {cases} END) || ' seconds')"


def plain_rows(by: str, where: str = "TRUE") -> dict[Any, Plain]:
    """Group the entries for which ``where`` holds by an expression over the columns of ``plain``."""
    with connection.cursor() as cursor:
        cursor.execute(f"""
            SELECT {by}, COUNT(*), SUM(seconds),
                   SUM(CASE WHEN is_billable THEN seconds ELSE 0 END),
                   SUM(CASE WHEN is_billable AND is_open THEN seconds ELSE 0 END)
            FROM plain WHERE {where} GROUP BY 1
        """)
        rows = cursor.fetchall()
        cursor.execute(f"""
            SELECT {by}, currency, SUM(cents), SUM(CASE WHEN is_open THEN cents ELSE 0 END)
            FROM plain WHERE cents IS NOT NULL AND ({where}) GROUP BY 1, 2
        """)
        amounts: dict[Any, dict[str, tuple[int, int]]] = {}
        for key, currency, cents, open_cents in cursor.fetchall():
            amounts.setdefault(key, {})[currency] = int(cents), int(open_cents)
    return {
        key: Plain(int(count), int(seconds), int(billable), int(unbilled), amounts.get(key, {}))
        for key, count, seconds, billable, unbilled in rows
    }


def plain_total(where: str = "TRUE") -> Plain:
    """The sums of all entries for which ``where`` holds."""
    return plain_rows("1", where).get(1, Plain(0, 0, 0, 0, {}))
