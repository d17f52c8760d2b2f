"""A client reads in the portal while the owner restores from Import/Export, and undoes it: her pages, and never a wrong number."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle, groupby
from statistics import median
from typing import Any

import pytest
from playwright.sync_api import Response, expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import GUEST, KEEPER, NAME
from backups.tests.browser.person import Person
from backups.tests.browser.steps import SITE, done, give_password, restore, row_of
from backups.tests.halting import halted
from backups.tests.site import Site
from backups.tests.web import SiteProcesses

# The pages that she reads, and where on each the numbers stand that are looked at.
OVERVIEW, PROJECTS, TIME, INVOICES = "/portal/", "/portal/projects/", "/portal/time/", "/portal/invoices/"
NUMBERS = {
    OVERVIEW: ".card .figure",
    PROJECTS: "tbody th a, tbody td.number",
    TIME: "tfoot th, tfoot td.number",
    INVOICES: ".sums .number",
}
READ = "selector => [...document.querySelectorAll(`main ${selector}`)].map(element => element.innerText.trim())"
LOGIN = "/portal/login/"
# Whoever has read so many pages waits for an end that does not come.
MOST_PAGES = 1000
# Who among those that the portal is open to has the most to see.
BUSY = """
    SELECT c.id FROM clients_client c JOIN billing_invoice v ON v.client_id = c.id
    WHERE c.portal_enabled AND c.active AND v.status IN ('sent', 'paid') GROUP BY c.id ORDER BY COUNT(*) DESC, c.id LIMIT 1
"""
MINE = f"SELECT p.client_id FROM portal_clientperson p JOIN accounts_user u ON u.id = p.user_id WHERE u.username = '{GUEST}'"  # noqa: S608

# --- what is right, by hand -------------------------------------------------------------------------------------------

PIECES = {
    "sqlite": {
        # Cut first: strftime rounds to the thousandth.
        "worked": "strftime('%s', substr(e.ended_at, 1, 19)) - strftime('%s', substr(e.started_at, 1, 19)) - e.break_seconds",
        "line": "CAST(ROUND(CAST(ROUND(i.quantity * 100) AS INTEGER) * CAST(ROUND(i.unit_price * 100) AS INTEGER) / 100.0) AS INTEGER)",
        "tax": "(SUM(line) * CAST(ROUND(tax_rate * 100) AS INTEGER) + 5000) / 10000",
        "paid": "CAST(ROUND(SUM(y.amount) * 100) AS INTEGER)",
    },
    "postgresql": {
        "worked": "FLOOR(EXTRACT(EPOCH FROM e.ended_at)) - FLOOR(EXTRACT(EPOCH FROM e.started_at)) - e.break_seconds",
        "line": "ROUND(i.quantity * i.unit_price * 100)",
        "tax": "ROUND(SUM(line) * tax_rate / 100)",
        "paid": "SUM(y.amount) * 100",
    },
}
TIME_SUMS = """
    SELECT name, COUNT(seconds), COALESCE(SUM(seconds), 0),
        COALESCE(SUM(CASE WHEN started_at >= '{month}' THEN seconds END), 0), COALESCE(SUM(CASE WHEN is_to_bill THEN seconds END), 0)
    FROM (
        SELECT p.id, p.name, p.status, p.code, e.started_at, {worked} AS seconds,
            e.billable AND p.billable AND NOT COALESCE(v.status IN ('sent', 'paid') AND v.client_id = p.client_id, false) AS is_to_bill
        FROM tracking_project p
        LEFT JOIN tracking_timeentry e ON e.project_id = p.id AND e.ended_at IS NOT NULL
        LEFT JOIN billing_invoiceitem i ON i.id = e.invoice_item_id
        LEFT JOIN billing_invoice v ON v.id = i.invoice_id
        WHERE p.client_id = ({mine})
    ) entries
    GROUP BY id, name, status, code ORDER BY status, code
"""
MONEY_SUMS = """
    SELECT currency, COUNT(*), SUM(total), SUM(paid),
        COALESCE(SUM(CASE WHEN status = 'sent' THEN total - paid END), 0),
        COALESCE(SUM(CASE WHEN status = 'sent' AND due_on < '{today}' THEN total - paid END), 0)
    FROM (
        SELECT currency, status, due_on, SUM(line) + {tax} AS total,
            COALESCE((SELECT {paid} FROM billing_payment y WHERE y.invoice_id = lines.id), 0) AS paid
        FROM (
            SELECT v.id, v.currency, v.tax_rate, v.status, v.due_on, {line} AS line
            FROM billing_invoice v JOIN billing_invoiceitem i ON i.invoice_id = v.id
            WHERE v.client_id = ({mine}) AND v.status IN ('sent', 'paid')
        ) lines
        GROUP BY lines.id, currency, tax_rate, status, due_on
    ) invoices
    GROUP BY currency ORDER BY currency
"""


def right_numbers(site: Site) -> dict[str, list[str]]:
    """What each page has to show of the data that is live."""
    today = datetime.now(UTC).date()
    facts = PIECES[site.vendor] | {"mine": MINE, "today": str(today), "month": str(today.replace(day=1))}
    time_rows, money = site.fetch(TIME_SUMS.format(**facts)), site.fetch(MONEY_SUMS.format(**facts))
    count, seconds, new, to_bill = (sum(row[column] for row in time_rows) for column in range(1, 5))
    return {
        OVERVIEW: [hours(new), hours(to_bill), *(amount(row[4], row[0]) for row in money)],
        PROJECTS: [words for row in time_rows for words in (row[0], hours(row[2]))],
        TIME: [f"Sum of {count} entries", hours(seconds)],
        INVOICES: [
            *(f"{row[1]} in {row[0]}" for row in money),
            *(amount(row[column], row[0]) for column in range(2, 6) for row in money),
        ],
    }


def hours(seconds: Any) -> str:
    """Hours and minutes."""
    minutes = int(seconds) // 60
    return f"{minutes // 60:,}:{minutes % 60:02}"


def amount(cents: Any, currency: str) -> str:
    """An amount of so many hundredths."""
    return f"{Decimal(int(cents)) / 100:,.2f}\N{NO-BREAK SPACE}{currency}"


# --- who reads --------------------------------------------------------------------------------------------------------


@dataclass
class Reader:
    """The client's person. ``states`` are the right numbers by the name of what is live, ``seen`` the names in the order of her pages."""

    person: Person
    client: str
    states: dict[str, dict[str, list[str]]]
    seen: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    logins: int = 0

    def read(self, path: str) -> None:
        """Open a page, and look at it."""
        assert len(self.seen) < MOST_PAGES, f"after {MOST_PAGES} pages nothing has come of it"
        began = time.monotonic()
        answer = self.person.open(path)
        self.seconds.append(time.monotonic() - began)
        assert answer.status == 200, f"{path}: {answer.status}"
        self.look_at(path)

    def read_all(self) -> None:
        """Open each page once."""
        for path in NUMBERS:
            self.read(path)

    def read_until_done(self, owner: Person) -> None:
        """Open one page after another until the owner's operation has ended, and each once more."""
        ended = owner.page.get_by_text("Done in").or_(owner.page.get_by_text("It failed."))
        for path in cycle(NUMBERS):
            if ended.is_visible():
                break
            self.read(path)
        done(owner)
        self.read_all()

    def look_at(self, path: str) -> None:
        """The page that is there is hers, and its numbers are those of one state of the data; where she is logged out, she logs in."""
        page = self.person.page
        if self.person.path.startswith(LOGIN):
            self.logins += 1
            self.person.give_name(GUEST)
            page.wait_for_url(f"**{path}")
        assert page.locator(".who > a").inner_text().split() == [GUEST, ",", *self.client.split()]
        numbers = page.evaluate(READ, NUMBERS[path])
        found = [name for name, right in self.states.items() if right[path] == numbers]
        assert found, f"{path} shows {numbers}, and right are {[right[path] for right in self.states.values()]}"
        self.seen += found

    @property
    def order(self) -> list[str]:
        """What she has seen, one after the other."""
        return [name for name, _ in groupby(self.seen)]


@contextmanager
def works_for(client: str, site: Site) -> Iterator[None]:
    """For the length of the block the client's person works for another client, the row that ``client`` selects; she lives in UTC."""
    her = f"(SELECT id FROM accounts_user WHERE username = '{GUEST}')"
    ((usual,),) = site.fetch(MINE)
    site.execute(f"UPDATE accounts_user SET time_zone = 'UTC' WHERE username = '{GUEST}'")  # noqa: S608
    site.execute(f"UPDATE portal_clientperson SET client_id = ({client}) WHERE user_id = {her}")  # noqa: S608
    try:
        yield
    finally:
        site.execute(f"UPDATE portal_clientperson SET client_id = {usual} WHERE user_id = {her}")  # noqa: S608


def reads_on(server: SiteProcesses, arrives: Arrives) -> None:
    """Restore and undo, and what she sees all the while."""
    site = server.site
    ((client,),) = site.fetch(f"SELECT name FROM clients_client WHERE id = ({MINE})")  # noqa: S608
    projects, invoices = (f"SELECT id FROM {table} WHERE client_id = ({MINE})" for table in ("tracking_project", "billing_invoice"))  # noqa: S608
    # Whatever day it is, there is time of today, and it will be among what is lost.
    today = datetime.now(UTC)
    newest = f"SELECT id FROM tracking_timeentry WHERE id % 3 = 0 AND project_id IN ({projects}) ORDER BY started_at DESC LIMIT 1"  # noqa: S608
    first, last = (f"{today - timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S}" for minutes in (3, 1))
    site.execute(f"UPDATE tracking_timeentry SET started_at = '{first}', ended_at = '{last}', break_seconds = 0 WHERE id = ({newest})")  # noqa: S608
    archive = site.manage("backup_create").stdout.strip()
    restored = right_numbers(site)
    # Since then a third of her time was lost, and all her prices went wrong.
    site.execute(f"DELETE FROM tracking_timeentry WHERE id % 3 = 0 AND project_id IN ({projects})")  # noqa: S608
    site.execute(f"UPDATE billing_invoiceitem SET unit_price = unit_price + 1 WHERE invoice_id IN ({invoices})")  # noqa: S608
    old = right_numbers(site)
    assert all(old[path] != restored[path] for path in NUMBERS), (old, restored)

    owner, guest = arrives(server), arrives(server)
    guest.log_in_as(GUEST)
    reader = Reader(guest, client, {"old": old, "restored": restored})
    reader.read_all()
    owner.log_in(KEEPER, then="/import-export/")
    owner.page.get_by_role("link", name="Choose").click()
    row_of(owner, archive).get_by_role("link", name="Choose").click()
    owner.page.get_by_role("button", name="Preview what would change").click()
    owner.page.wait_for_url(f"**{SITE}restore/**")
    with halted(site, "analyze") as built:
        restore(owner, name=NAME)
        while not built.is_reached:
            reader.read(OVERVIEW)
        reader.read_all()
        expect(guest.page.get_by_text("You can read, but not change anything.")).to_be_visible()
        assert reader.order == ["old"]
        with halted(site, "closed") as shut:
            shut.process()
            answers: list[Response] = []
            guest.page.on("response", lambda answer: answers.append(answer))
            # The one page that is slow: it waits at the gate, while others that need no gate are answered.
            began = time.monotonic()
            with guest.page.expect_navigation() as navigation:
                with guest.page.expect_request(f"**{TIME}"):
                    guest.page.get_by_role("navigation", name="Portal").get_by_role("link", name="Time").evaluate("link => link.click()")
                assert server.get("/healthz")[0] == 200
                owner.page.evaluate("1")
                assert not answers, "she did not wait"
                shut.go_on()
            held = time.monotonic() - began
    assert navigation.value.status == 200
    reader.look_at(TIME)
    reader.read_until_done(owner)
    assert right_numbers(site) == restored
    assert (reader.order, reader.logins) == (["old", "restored"], 1)

    owner.page.get_by_role("link", name="Log in again").click()
    owner.give_name(KEEPER)
    owner.page.wait_for_url(f"**{SITE}operations/**")
    owner.page.get_by_role("link", name="Undo…").click()
    owner.page.get_by_label("To confirm, type the site's name").fill(NAME)
    owner.page.get_by_role("button", name="Undo the restore").click()
    give_password(owner, "Undo now")
    owner.page.wait_for_url("**/backups/progress/**")
    reader.read_until_done(owner)
    assert right_numbers(site) == old
    assert (reader.order, reader.logins) == (["old", "restored", "old"], 2)
    usual = median(reader.seconds)
    slow = sum(each > 3 * usual for each in reader.seconds)
    print(f"{len(reader.seen)} pages, half of them within {usual * 1000:.0f} ms, the slowest {max(reader.seconds) * 1000:.0f} ms;", end=" ")
    print(f"{slow} took three times as long as usual; the one that waited at the gate took {held * 1000:.0f} ms")


def test_a_client_reads_on_while_the_owner_restores_and_undoes(embedded: SiteProcesses, arrives: Arrives) -> None:
    with works_for(BUSY, embedded.site):
        reads_on(embedded, arrives)


@pytest.mark.soak
def test_a_client_reads_on_with_postgresql_redis_and_several_processes(clustered: SiteProcesses, arrives: Arrives) -> None:
    with works_for(BUSY, clustered.site):
        reads_on(clustered, arrives)
