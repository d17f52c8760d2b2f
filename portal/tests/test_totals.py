"""What the portal adds up, against plain SQL over all rows: many entries, four currencies, on every page and in the files.

The normal run takes 20,000 entries, ``./run soak`` 200,000. The SQL here is written by hand and shares nothing with the code.
"""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.urls import reverse

from portal.tests.conftest import make_person
from timetracker.accounts.models import User
from timetracker.billing.models import Invoice, InvoiceItem, Payment
from timetracker.clients.models import Client
from timetracker.tests.analyzed import analyze
from timetracker.tracking.models import Project, Task, TimeEntry

SEED = 20250303
CURRENCIES = ("CHF", "EUR", "GBP", "USD")
YEARS = (2023, 2024, 2025)
BEGINNING = datetime(YEARS[0], 1, 1, tzinfo=UTC)
MINUTES = 3 * 365 * 24 * 60
INVOICES = 240

# --- by hand ----------------------------------------------------------------------------------------------------------

_SQLITE = {
    # Cut first: strftime rounds to the thousandth.
    "worked": "strftime('%s', substr(e.ended_at, 1, 19)) - strftime('%s', substr(e.started_at, 1, 19)) - e.break_seconds",
    # Tokyo, which has no summer time.
    "month": "strftime('%Y-%m', substr(e.started_at, 1, 19), '+9 hours')",
    "issued_month": "strftime('%Y-%m', v.issued_on)",
    "line": "CAST(ROUND(CAST(ROUND(i.quantity * 100) AS INTEGER) * CAST(ROUND(i.unit_price * 100) AS INTEGER) / 100.0) AS INTEGER)",
    "tax": "(SUM(line) * CAST(ROUND(tax_rate * 100) AS INTEGER) + 5000) / 10000",
    "paid": "CAST(ROUND(SUM(y.amount) * 100) AS INTEGER)",
}
_POSTGRESQL = {
    "worked": "FLOOR(EXTRACT(EPOCH FROM e.ended_at)) - FLOOR(EXTRACT(EPOCH FROM e.started_at)) - e.break_seconds",
    "month": "to_char(e.started_at AT TIME ZONE 'Asia/Tokyo', 'YYYY-MM')",
    "issued_month": "to_char(v.issued_on, 'YYYY-MM')",
    "line": "ROUND(i.quantity * i.unit_price * 100)",
    "tax": "ROUND(SUM(line) * tax_rate / 100)",
    "paid": "SUM(y.amount) * 100",
}
# Time of the client that has ended, with its standing.
_ENTRIES = """
    SELECT e.id, e.project_id, e.task_id, e.user_id, {month} AS month, {worked} AS seconds,
        CASE WHEN v.status IN ('sent', 'paid') AND v.client_id = p.client_id THEN 'billed'
             WHEN e.billable AND p.billable THEN 'to bill' ELSE 'free' END AS standing
    FROM tracking_timeentry e
    JOIN tracking_project p ON p.id = e.project_id
    LEFT JOIN billing_invoiceitem i ON i.id = e.invoice_item_id
    LEFT JOIN billing_invoice v ON v.id = i.invoice_id
    WHERE p.client_id = %s AND e.ended_at IS NOT NULL
"""
_INVOICES = """
    SELECT currency, month, status, is_late, SUM(line) + {tax} AS total,
        COALESCE((SELECT {paid} FROM billing_payment y WHERE y.invoice_id = lines.id), 0) AS paid
    FROM (
        SELECT v.id, v.currency, v.tax_rate, v.status, {issued_month} AS month, v.due_on < %s AS is_late, {line} AS line
        FROM billing_invoice v JOIN billing_invoiceitem i ON i.invoice_id = v.id
        WHERE v.client_id = %s AND v.status IN ('sent', 'paid')
    ) lines
    GROUP BY lines.id, currency, tax_rate, status, month, is_late
"""


def plain(query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows of a query of plain SQL."""
    pieces = _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE
    filled = query.replace("{entries}", _ENTRIES).replace("{invoices}", _INVOICES).format(**pieces)
    with connection.cursor() as cursor:
        # A percent sign of strftime is none of a parameter.
        cursor.execute(filled.replace("%s'", "%%s'").replace("%Y-%m", "%%Y-%%m"), parameters)
        return list(cursor.fetchall())


def seconds_by(client: Client, key: str, where: str = "1 = 1") -> dict[Any, tuple[int, int]]:
    """Entries and seconds of the client by ``key``, as plain SQL adds them up."""
    rows = plain(f"SELECT {key}, COUNT(*), SUM(seconds) FROM ({{entries}}) e WHERE {where} GROUP BY {key}", client.pk)
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


# --- what there is ----------------------------------------------------------------------------------------------------


def fill(random: Random, entries: int) -> Client:
    """Three clients, of which the first is looked at; a quarter of all rows belongs to the others."""
    people = [User.objects.create(username=f"person.{number}", full_name=f"Person {number}") for number in range(8)]
    clients = [Client.objects.create(name=f"Client {number}", portal_enabled=True) for number in range(3)]
    projects, tasks = [], {}
    for number in range(24):
        owner = clients[0] if number % 4 else clients[1 + number // 4 % 2]
        project = Project.objects.create(
            client=owner, name=f"Project {number}", code=f"P-{number}", billable=number % 7 > 0, budget_hours=900
        )
        projects.append(project)
        tasks[project.pk] = [Task.objects.create(project=project, name=f"Task {each}") for each in range(3)]
    items = {client.pk: fill_invoices(random, client) for client in clients}

    def one(number: int) -> TimeEntry:
        project = random.choice(projects)
        # With fractions of a second, which count nowhere.
        began = BEGINNING + timedelta(minutes=random.randrange(MINUTES), microseconds=random.randrange(1_000_000))
        seconds = random.randrange(60, 36_000)
        billable = random.random() < 0.9
        # Some hang on a line of another client: their project has changed hands.
        lines = items[project.client_id if random.random() < 0.99 else clients[1].pk]
        return TimeEntry(
            user=random.choice(people),
            project=project,
            task=random.choice([None, *tasks[project.pk]]),
            started_at=began,
            ended_at=began + timedelta(seconds=seconds, microseconds=random.randrange(1_000_000)),
            break_seconds=random.choice([0, 0, 0, random.randrange(60)]),
            billable=billable,
            invoice_item=random.choice(lines) if billable and random.random() < 0.7 else None,
        )

    for _ in range(0, entries, 5000):
        TimeEntry.objects.bulk_create(map(one, range(5000)), batch_size=1000)
    for number, person in enumerate(people):
        TimeEntry.objects.create(user=person, project=projects[number], started_at=BEGINNING)
    return clients[0]


def fill_invoices(random: Random, client: Client) -> list[InvoiceItem]:
    """Invoices in every state and currency, with halves of cents to be rounded, and some that are paid in part; their lines."""
    invoices, items, payments = [], [], []
    for number in range(INVOICES):
        issued_on = date(YEARS[0], 1, 1) + timedelta(days=random.randrange(3 * 365))
        due_on = date.today() + timedelta(days=random.randrange(-2, 3)) if number % 3 == 0 else issued_on + timedelta(days=14)
        invoice = Invoice(
            client=client,
            number=f"{client.pk}-{number}",
            status=random.choice(["draft", "sent", "sent", "paid", "cancelled"]),
            issued_on=issued_on,
            due_on=max(due_on, issued_on),
            currency=CURRENCIES[number % 4],
            tax_rate=Decimal(random.choice(["0", "7.50", "19", "8.10"])),
        )
        invoices.append(invoice)
        items += [
            InvoiceItem(
                invoice=invoice,
                position=position,
                description="Work",
                quantity=Decimal(random.randrange(25, 20_000)) / 100,
                unit_price=Decimal(random.randrange(1, 20_000)) / 100,
            )
            for position in range(random.randrange(1, 4))
        ]
        if invoice.status == "paid" or (invoice.status == "sent" and random.random() < 0.3):
            payments.append(Payment(invoice=invoice, amount=Decimal(random.randrange(1, 50_000)) / 100))
    Invoice._base_manager.bulk_create(invoices)
    InvoiceItem._base_manager.bulk_create(items)
    Payment._base_manager.bulk_create(payments)
    return items


# --- the comparison ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("entries", [20_000, pytest.param(200_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_all_totals_are_those_of_plain_sql(entries: int) -> None:
    client = fill(Random(SEED), entries)  # noqa: S311 (invented data)
    person = make_person(client, "toni@bakery.example")
    person.user.time_zone = "Asia/Tokyo"
    person.user.save()
    analyze()
    browser = Browser()
    browser.force_login(person.user)
    print(f"seed {SEED}: {TimeEntry.objects.count()} entries, {Invoice.objects.count()} invoices in {', '.join(CURRENCIES)}")
    for shows_unbilled in (True, False):
        Client.objects.filter(pk=client.pk).update(portal_shows_unbilled=shows_unbilled)
        time_is_that_of_plain_sql(browser, client, "1 = 1" if shows_unbilled else "standing = 'billed'")
    money_is_that_of_plain_sql(browser, client)


def time_is_that_of_plain_sql(browser: Browser, client: Client, where: str) -> None:
    """Overview, projects, time with its filters, the report with its months, and the file."""
    ((count, seconds),) = seconds_by(client, "1", where).values()
    standings = {standing: found[1] for standing, found in seconds_by(client, "standing", where).items()}
    sums = browser.get(reverse("portal:dashboard")).context["all_sums"]
    assert (sums.count, sums.seconds, sums.billed_seconds) == (count, seconds, standings["billed"])
    assert (sums.unbilled_seconds, sums.free_seconds) == (standings.get("to bill", 0), standings.get("free", 0))

    by_project = seconds_by(client, "project_id", where)
    shown = {row.project.pk: (row.sums.count, row.sums.seconds) for row in browser.get(reverse("portal:projects")).context["projects"]}
    assert shown == by_project
    for project, found in list(by_project.items())[:3]:
        assert listed(browser, project=project) == found
    by_person = seconds_by(client, "user_id", where)
    assert len(by_person) == 8
    for somebody, found in list(by_person.items())[:3]:
        assert listed(browser, person=somebody) == found
    assert listed(browser) == (count, seconds)
    may = listed(browser, since=f"{YEARS[1]}-05-01", until=f"{YEARS[1]}-05-31")

    months = seconds_by(client, "month", where)
    assert may == months[f"{YEARS[1]}-05"]
    for year in (*YEARS, YEARS[-1] + 1):
        page = browser.get(reverse("portal:report"), {"year": year})
        reported = {f"{row.first:%Y-%m}": (row.sums.count, row.sums.seconds) for row in page.context["months"] if row.sums.count}
        assert reported == {month: found for month, found in months.items() if month.startswith(f"{page.context['year']}-")}
    within = f"{where} AND month = '{YEARS[1]}-05'"
    page = browser.get(reverse("portal:month", args=[YEARS[1], 5]))
    assert {line.pk: (line.sums.count, line.sums.seconds) for line in page.context["projects"]} == seconds_by(client, "project_id", within)
    assert {line.pk: (line.sums.count, line.sums.seconds) for line in page.context["people"]} == seconds_by(client, "user_id", within)
    tasks = [sums[1] for sums in seconds_by(client, "COALESCE(task_id, -project_id)", within).values()]
    assert sorted(line.sums.seconds for project in page.context["projects"] for line in project.inner) == sorted(tasks)

    rows = list(csv.DictReader(StringIO(b"".join(browser.get(reverse("portal:time_csv"))).decode())))
    assert (len(rows), sum(int(row["Seconds"]) for row in rows)) == (count, seconds)
    for standing, said in (("billed", "billed"), ("to bill", "not billed yet"), ("free", "not charged")):
        assert sum(int(row["Seconds"]) for row in rows if row["Billing"] == said) == standings.get(standing, 0)


def listed(browser: Browser, **asked: Any) -> tuple[int, int]:
    """Entries and seconds that the page of time names below its rows."""
    sums = browser.get(reverse("portal:time"), asked).context["sums"]
    return sums.count, sums.seconds


def money_is_that_of_plain_sql(browser: Browser, client: Client) -> None:
    """The sums of invoices, those by month, and the file."""
    query = (
        "SELECT currency, COUNT(*), SUM(total), SUM(paid), SUM(CASE WHEN status = 'sent' THEN total - paid ELSE 0 END),"
        " SUM(CASE WHEN status = 'sent' AND is_late THEN total - paid ELSE 0 END) FROM ({invoices}) v GROUP BY currency ORDER BY currency"
    )
    today = datetime.now(UTC).date()
    expected = [(row[0], row[1], *(Decimal(int(cents)) / 100 for cents in row[2:])) for row in plain(query, today, client.pk)]
    assert [row[0] for row in expected] == list(CURRENCIES)
    for page in ("dashboard", "invoices"):
        money = browser.get(reverse(f"portal:{page}")).context["money"]
        assert [(row.currency, row.count, row.billed, row.paid, row.open, row.overdue) for row in money] == expected, page

    months = plain("SELECT month, currency, SUM(total) FROM ({invoices}) v GROUP BY month, currency", today, client.pk)
    by_month = {(row[0], row[1]): Decimal(int(row[2])) / 100 for row in months}
    shown: dict[tuple[str, str], Decimal] = {}
    for year in YEARS:
        context = browser.get(reverse("portal:report"), {"year": year}).context
        for row in context["months"]:
            found = zip(context["currencies"], row.invoiced, strict=True)
            shown |= {(f"{row.first:%Y-%m}", currency): amount for currency, amount in found if amount is not None}
    assert shown == by_month

    rows = list(csv.DictReader(StringIO(b"".join(browser.get(reverse("portal:invoices_csv"))).decode())))
    for currency, count, billed, paid, left, _ in expected:
        own = [row for row in rows if row["Currency"] == currency]
        assert len(own) == count
        assert [sum(Decimal(row[name]) for row in own) for name in ("Total", "Paid", "To pay")] == [billed, paid, left]
