"""Every page of the team's, asked for by everybody, with other people's rows: who gets what is written down here, by hand.

A page without a line in the table fails the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.http import HttpResponseBase
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, reverse
from pytest_django import Settings

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.clients.models import Client, Document
from timetracker.exports.models import Export
from timetracker.imports.models import Import
from timetracker.staff_urls import urlpatterns
from timetracker.tests.invoices import item_on
from timetracker.tests.people import PDF, browser_of, somebody
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

pytestmark = pytest.mark.django_db

PEOPLE = ("nobody", "inactive", "client", "member", "bookkeeper", "manager", "owner")
# Who is no member of the team that may log in, and who of the team sees her own time and expenses alone.
OUTSIDE, OWN_ALONE = PEOPLE[:3], "member"

# The status of each answer: nobody, somebody who is switched off, a client's person | member bookkeeper manager owner.
# All that is asked about belongs to somebody else. 302 leads the first three away, 404 is what one may not see.
TABLE = """
                  GET                              POST
today             302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
clock             302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
start             405 405 405 | 405 405 405 405    302 302 302 | 302 403 302 302
stop              405 405 405 | 405 405 405 405    302 302 302 | 302 302 302 302
discard           405 405 405 | 405 405 405 405    302 302 302 | 302 302 302 302
shift             405 405 405 | 405 405 405 405    302 302 302 | 302 302 302 302
entry             302 302 302 | 302 302 302 302    302 302 302 | 404 404 404 404
delete            405 405 405 | 405 405 405 405    302 302 302 | 404 403 404 404
again             405 405 405 | 405 405 405 405    302 302 302 | 404 403 404 404
entries           302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
entries_csv       302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
entries_add       302 302 302 | 200 403 200 200    302 302 302 | 403 403 302 302
entries_change    302 302 302 | 302 200 200 200    302 302 302 | 302 302 302 302
entries_delete    302 302 302 | 302 403 200 200    302 302 302 | 302 403 302 302
entries_edit      302 302 302 | 404 200 200 200    302 302 302 | 404 302 302 302
entries_copy      302 302 302 | 404 403 200 200    302 302 302 | 404 403 302 302
entries_remove    302 302 302 | 404 403 200 200    302 302 302 | 404 403 302 302
reports           302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
report_csv        302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
budgets           302 302 302 | 403 200 200 200    405 405 405 | 405 405 405 405
week              302 302 302 | 404 200 200 200    302 302 302 | 404 302 302 302
account           302 302 302 | 200 200 200 200    302 302 302 | 302 302 302 302
change_password   302 302 302 | 200 200 200 200    302 302 302 | 200 200 200 200
team              302 302 302 | 403 403 200 200    405 405 405 | 405 405 405 405
invite            302 302 302 | 403 403 403 200    302 302 302 | 403 403 403 302
member            302 302 302 | 403 403 403 200    302 302 302 | 403 403 403 302
send              405 405 405 | 405 405 405 405    302 302 302 | 403 403 403 302
link              405 405 405 | 405 405 405 405    302 302 302 | 403 403 403 302
clients           302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
client_add        302 302 302 | 403 200 200 200    302 302 302 | 403 302 302 302
client            302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
client_edit       302 302 302 | 403 200 200 200    302 302 302 | 403 200 200 200
client_archive    405 405 405 | 405 405 405 405    302 302 302 | 403 302 302 302
client_reopen     405 405 405 | 405 405 405 405    302 302 302 | 403 302 302 302
client_delete     302 302 302 | 403 403 403 200    302 302 302 | 403 403 403 409
client_invoices   302 302 302 | 403 200 200 200    405 405 405 | 405 405 405 405
documents         302 302 302 | 403 200 200 200    405 405 405 | 405 405 405 405
document_add      302 302 302 | 403 200 200 200    302 302 302 | 403 200 200 200
document          302 302 302 | 403 200 200 200    405 405 405 | 405 405 405 405
document_edit     302 302 302 | 403 200 200 200    302 302 302 | 403 302 302 302
document_delete   302 302 302 | 403 200 200 200    302 302 302 | 403 302 302 302
projects          302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
project_add       302 302 302 | 403 403 200 200    302 302 302 | 403 403 302 302
project           302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
project_edit      302 302 302 | 403 403 200 200    302 302 302 | 403 403 200 200
project_archive   405 405 405 | 405 405 405 405    302 302 302 | 403 403 302 302
project_reopen    405 405 405 | 405 405 405 405    302 302 302 | 403 403 302 302
project_delete    302 302 302 | 403 403 200 200    302 302 302 | 403 403 409 409
rate_set          405 405 405 | 405 405 405 405    302 302 302 | 403 302 302 302
rate_delete       405 405 405 | 405 405 405 405    302 302 302 | 403 302 302 302
task_add          405 405 405 | 405 405 405 405    302 302 302 | 302 403 302 302
task              302 302 302 | 302 403 302 302    302 302 302 | 302 403 302 302
task_done         405 405 405 | 405 405 405 405    302 302 302 | 302 403 302 302
task_reopen       405 405 405 | 405 405 405 405    302 302 302 | 302 403 302 302
task_delete       302 302 302 | 403 403 200 200    302 302 302 | 403 403 409 409
invoices          302 302 302 | 403 200 200 200    405 405 405 | 405 405 405 405
invoice_add       302 302 302 | 403 200 403 200    302 302 302 | 403 200 403 200
invoice_blank     405 405 405 | 405 405 405 405    302 302 302 | 403 302 403 302
invoice           302 302 302 | 403 200 200 200    405 405 405 | 405 405 405 405
invoice_file      302 302 302 | 403 200 200 200    405 405 405 | 405 405 405 405
invoice_pdf_make  405 405 405 | 405 405 405 405    302 302 302 | 403 302 403 302
draft_edit        302 302 302 | 403 200 403 200    302 302 302 | 403 200 403 200
line_add          302 302 302 | 403 200 403 200    302 302 302 | 403 302 403 302
line              302 302 302 | 403 200 403 200    302 302 302 | 403 200 403 200
line_up           405 405 405 | 405 405 405 405    302 302 302 | 403 302 403 302
line_down         405 405 405 | 405 405 405 405    302 302 302 | 403 302 403 302
line_delete       405 405 405 | 405 405 405 405    302 302 302 | 403 302 403 302
discount_add      405 405 405 | 405 405 405 405    302 302 302 | 403 302 403 302
invoice_issue     302 302 302 | 403 200 403 200    302 302 302 | 403 302 403 302
draft_delete      302 302 302 | 403 200 403 200    302 302 302 | 403 302 403 302
invoice_send      302 302 302 | 403 200 403 200    302 302 302 | 403 200 403 200
payment_new       302 302 302 | 403 200 403 200    302 302 302 | 403 302 403 302
invoice_cancel    302 302 302 | 403 200 403 200    302 302 302 | 403 302 403 302
payment_delete    302 302 302 | 403 200 403 200    302 302 302 | 403 302 403 302
expenses          302 302 302 | 200 200 200 200    405 405 405 | 405 405 405 405
expense_add       302 302 302 | 200 200 200 200    302 302 302 | 302 302 302 302
expense           302 302 302 | 404 200 200 200    302 302 302 | 404 200 200 200
expense_delete    302 302 302 | 403 200 200 200    302 302 302 | 403 302 302 302
receipt           302 302 302 | 404 200 200 200    405 405 405 | 405 405 405 405
import_export     302 302 302 | 403 403 200 200    405 405 405 | 405 405 405 405
import_new        302 302 302 | 403 403 200 200    302 302 302 | 403 403 200 200
import            302 302 302 | 404 404 404 404    405 405 405 | 405 405 405 405
import_columns    302 302 302 | 404 404 404 404    302 302 302 | 404 404 404 404
import_begin      405 405 405 | 405 405 405 405    302 302 302 | 404 404 404 404
import_problems   302 302 302 | 404 404 404 404    405 405 405 | 405 405 405 405
import_discard    405 405 405 | 405 405 405 405    302 302 302 | 404 404 404 404
export            302 302 302 | 302 302 302 302    405 405 405 | 405 405 405 405
export_ask        405 405 405 | 405 405 405 405    302 302 302 | 302 302 302 302
export_file       404 404 404 | 404 404 404 404    405 405 405 | 405 405 405 405
export_delete     405 405 405 | 405 405 405 405    302 302 302 | 404 404 404 404
login             200 200 200 | 200 200 200 200    200 200 200 | 200 200 200 200
logout            405 405 405 | 405 405 405 405    302 302 302 | 302 302 302 302
forgotten         200 200 200 | 200 200 200 200    200 200 200 | 200 200 200 200
forgotten_sent    200 200 200 | 200 200 200 200    405 405 405 | 405 405 405 405
new_password      200 200 200 | 200 200 200 200    200 200 200 | 200 200 200 200
invitation        200 200 200 | 200 200 200 200    200 200 200 | 200 200 200 200
"""
# Pages about one's own time alone, whatever one may see of others.
ONES_OWN = ("stop", "discard", "shift", "entry", "delete", "again")
# The ways in, for everybody.
OPEN = ("login", "logout", "forgotten", "forgotten_sent", "new_password", "invitation")
CHANGING = ("INSERT", "UPDATE", "DELETE")
# What changes whoever asks: the session, and the time of the last login.
OWN_TRACES = ('"django_session"', '"last_login"')


def table_rows() -> dict[str, tuple[list[int], list[int]]]:
    """The table: for each page the statuses of GET and POST."""
    rows = {}
    for line in TABLE.strip().splitlines()[1:]:
        name, *codes = line.replace("|", " ").split()
        numbers = [int(code) for code in codes]
        assert len(numbers) == 2 * len(PEOPLE), f"{name} has {len(numbers)} statuses"
        rows[name] = (numbers[: len(PEOPLE)], numbers[len(PEOPLE) :])
    return rows


class Agency:
    """Everybody's browser, and somebody else with one row of each kind."""

    def __init__(self) -> None:
        client = Client.objects.create(name="Sample Bakery", currency="USD", default_rate=Decimal(80))
        self.other = somebody("other", Role.MEMBER)
        self.other.set_unusable_password()
        self.other.save()
        self.project = Project.objects.create(client=client, name="Website", code="SB-WEB")
        self.task = Task.objects.create(project=self.project, name="Texts")
        began = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        entry = TimeEntry(user=self.other, project=self.project, task=self.task, started_at=began, ended_at=began + timedelta(hours=1))
        self.entry, self.timer = entry, TimeEntry(user=self.other, project=self.project)
        TimeEntry.objects.bulk_create([self.entry, self.timer])
        rate = ProjectRate.objects.create(project=self.project, user=self.other, hourly_rate=Decimal(90))
        document = Document(client=client, title="Offer", uploaded_by=self.other)
        document.file.save("offer.pdf", ContentFile(PDF))
        self.expense = Expense(user=self.other, description="Train", amount=Decimal(40), currency="USD")
        self.expense.receipt.save("ticket.pdf", ContentFile(PDF))
        self.export = Export.objects.create(user=self.other, asked_by="other", scope="own", state="ready")
        day = datetime(2026, 3, 2, tzinfo=UTC).date()
        self.draft = Invoice.objects.create(client=client, currency="USD", issued_on=day, due_on=day)
        self.line = item_on(self.draft, unit_price=Decimal(80))
        issued = Invoice(client=client, currency="USD", number="INV-1", status="sent", issued_on=day, due_on=day)
        issued.pdf.save("INV-1.pdf", ContentFile(PDF))
        payment = Payment.objects.create(invoice=issued, amount=Decimal(1))
        self.numbers = {
            **dict.fromkeys(("draft", "line", "discount", "invoice_issue"), self.draft.pk),
            **dict.fromkeys(("invoice", "payment_new"), issued.pk),
            "invoice_blank": client.pk,
            "payment_delete": payment.pk,
            "client": client.pk,
            "document": document.pk,
            "project": self.project.pk,
            "rate": rate.pk,
            "task": self.task.pk,
            "expense": self.expense.pk,
            "receipt": self.expense.pk,
            "import": Import.objects.create(by=self.other, kind="time", name="time.csv", file="imports/time").pk,
            "rate_set": self.project.pk,
            "task_add": self.project.pk,
            "documents": client.pk,
            "document_add": client.pk,
            **dict.fromkeys(("entry", "delete", "again", "entries"), self.entry.pk),
            **dict.fromkeys(("member", "send", "link"), self.other.pk),
        }
        self.browsers = {"nobody": Browser(), **{name: browser_of(user) for name, user in self._people(client)}}
        User.objects.filter(username="inactive").update(is_active=False)

    def _people(self, client: Client) -> Iterator[tuple[str, User]]:
        yield "inactive", somebody("inactive", Role.OWNER)
        guest = User.objects.create_user("client", "guest@bakery.example")
        apps.get_model("portal", "ClientPerson").objects.create(user=guest, client=client)
        yield "client", guest
        for role in (Role.MEMBER, Role.BOOKKEEPER, Role.MANAGER, Role.OWNER):
            yield role.value.lower(), somebody(role.value.lower(), role)

    def address(self, pattern: URLPattern) -> str:
        """The page, about somebody else's row; pages that are asked whose are asked for hers."""
        name, route = str(pattern.name), pattern.pattern.converters
        kwargs: dict[str, Any] = {}
        if "pk" in route:
            kwargs["pk"] = self.numbers.get(name) or self.numbers[name.partition("_")[0]]
            if "item" in route:
                kwargs["item"] = self.line.pk
        elif "scope" in route:
            kwargs["scope"] = "own"
        elif name.startswith("export"):
            kwargs["token"] = self.export.token
        elif route:
            kwargs = {"uidb64": "MQ", "token": "no-token"}
        asked = {
            "week": f"?person={self.other.pk}",
            "entries_change": f"?entry={self.entry.pk}",
            "entries_delete": f"?entry={self.entry.pk}",
        }
        return reverse(f"staff:{name}", kwargs=kwargs) + asked.get(name, "")

    def fields(self, name: str) -> dict[str, Any]:
        """What is posted. All would be taken, but for the rows that carry when they were last changed, and for files."""
        work = f"{self.project.pk}-{self.task.pk}"
        time = {"work": work, "time": "9-10", "day": "2026-03-03"}
        mark = f"1-{self.entry.pk}"
        timer = {"entry": self.timer.pk}
        fields: dict[str, dict[str, Any]] = {
            "start": {"work": work},
            "stop": timer,
            "discard": timer,
            "shift": timer | {"day": "2026-03-02", "time": "08:00"},
            "entry": time,
            "entries_add": time | {"person": self.other.pk},
            "entries_change": {"billable": "no", "mark": mark},
            "entries_delete": {"confirmed": "yes", "mark": mark},
            "entries_edit": time,
            "entries_copy": time,
            "entries_remove": {"confirmed": "yes"},
            "week": {"person": self.other.pk},
            "account": {"full_name": "Changed", "time_zone": "UTC"},
            "invite": {"full_name": "New", "email": "new@studio.example", "role": "Member"},
            "member": {"role": "Owner", "is_active": "on"},
            "client_add": {"name": "Another", "currency": "USD"},
            "document_edit": {"title": "Changed"},
            "project_add": {"name": "Another", "code": "SB-2", "client": self.project.client_id, "status": "active", "colour": "#64748b"},
            "rate_set": {"user": self.other.pk, "hourly_rate": "1"},
            "task_add": {"name": "Another"},
            "task": {"name": "Changed"},
            "line_add": {"description": "More", "quantity": "1", "unit_price": "1"},
            "discount_add": {"percent": "5"},
            "invoice_issue": {"issued_on": "2026-03-02", "due_on": "2026-03-02"},
            "payment_new": {"amount": "1", "paid_on": "2026-03-02", "method": "card"},
            "expense_add": {
                "description": "Mine",
                "amount": "1",
                "currency": "USD",
                "category": "other",
                "spent_on": "2026-03-02",
                "user": self.other.pk,
            },
        }
        return fields.get(name, {})

    def others_rows(self) -> list[Any]:
        """What somebody else has, as it is now."""
        return [
            list(TimeEntry.objects.filter(user=self.other).order_by("pk").values()),
            list(Expense.objects.filter(user=self.other).order_by("pk").values()),
            list(Export.objects.filter(user=self.other).values()),
            list(Invoice.objects.order_by("pk").values()),
            list(InvoiceItem.objects.order_by("pk").values()),
            list(Payment.objects.order_by("pk").values()),
            list(User.objects.filter(pk=self.other.pk).values("is_active", "password", "groups__name")),
        ]


@pytest.fixture
def agency(db: None, settings: Settings, tmp_path: Any) -> Agency:
    """The agency, with uploads of its own, where no test feels the logins of another."""
    settings.MEDIA_ROOT = tmp_path
    caches["logins"].clear()
    return Agency()


@contextmanager
def undone() -> Iterator[None]:
    """What happens in this block has not happened after it."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def asked(browser: Browser, method: str, address: str, fields: dict[str, Any]) -> HttpResponseBase:
    """The answer, read to its end."""
    answer: HttpResponseBase = browser.get(address) if method == "GET" else browser.post(address, fields)
    if answer.streaming:
        list(answer)
    return answer


def test_every_url_has_a_line_in_the_table() -> None:
    names = [pattern.name for pattern in urlpatterns]
    assert len(names) == len(set(names)), "each URL has a name of its own"
    assert set(table_rows()) == set(names)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_everybody_gets_what_the_table_says_and_who_is_refused_changes_nothing(agency: Agency, method: str) -> None:
    rows, faults = table_rows(), []
    theirs = agency.others_rows()
    for pattern in urlpatterns:
        name = str(pattern.name)
        address, fields = agency.address(pattern), agency.fields(name)
        expected = rows[name][method == "POST"]
        for person, status in zip(PEOPLE, expected, strict=True):
            with undone():
                cookies = dict(agency.browsers[person].cookies)
                with CaptureQueriesContext(connection) as queries:
                    answer = asked(agency.browsers[person], method, address, fields)
                said = f"{method} {address} ({name}) as {person}"
                if answer.status_code != status:
                    faults.append(f"{said}: {answer.status_code}, not {status}")
                is_outside = person in OUTSIDE and name not in OPEN
                if is_outside and status == 302:
                    to = answer.headers["Location"]
                    if not to.startswith("/portal/" if person == "client" else "/login/?next="):
                        faults.append(f"{said}: led to {to}")
                changes = [query["sql"][:120] for query in queries if query["sql"].startswith(CHANGING)]
                changes = [change for change in changes if not any(trace in change for trace in OWN_TRACES)]
                if changes and (method == "GET" or is_outside or status >= 400):
                    faults.append(f"{said}: {status}, and yet {changes}")
                if (person == OWN_ALONE or name in ONES_OWN) and agency.others_rows() != theirs:
                    faults.append(f"{said}: somebody else's rows are changed")
            if name == "logout":
                # The session was ended and is back, the browser has lost its cookie.
                agency.browsers[person].cookies.update(cookies)
    assert not faults, "\n".join(faults)
