"""Two clients with people and rows of their own, and a browser in which one of them is logged in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password
from django.core.cache import caches
from django.core.files.base import ContentFile
from django.test import Client as Browser

from portal.models import ClientPerson
from timetracker.accounts.models import User
from timetracker.billing.models import Invoice, Payment
from timetracker.clients.models import Client, Document
from timetracker.tests.invoices import item_on
from timetracker.tracking.models import Project, Task, TimeEntry

PASSWORD = "correct horse battery"
NINE = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)


@dataclass
class Side:
    """One client with a row of everything; ``hidden`` invoice and document are not for her eyes."""

    client: Client
    person: ClientPerson
    worker: User
    project: Project
    entry: TimeEntry
    invoice: Invoice
    draft: Invoice
    document: Document
    hidden: Document

    @property
    def user(self) -> User:
        """The account of the person."""
        return self.person.user


@cache
def _hashed() -> str:
    """PASSWORD as an account keeps it, made once: it is slow to make."""
    return make_password(PASSWORD)


def make_person(client: Client, email: str, name: str = "Toni Client") -> ClientPerson:
    """A person of ``client`` who logs in with ``email`` and PASSWORD."""
    user = User.objects.create(username=email, email=email, password=_hashed(), full_name=name)
    return ClientPerson.objects.create(user=user, client=client)


def make_invoice(
    client: Client, number: str, status: str = "sent", *, price: str = "100.00", currency: str = "EUR", due_on: date = date(2025, 3, 16)
) -> Invoice:
    """An invoice of one line, of 2 March 2025."""
    invoice = Invoice.objects.create(
        client=client, number=number, status=status, issued_on=date(2025, 3, 2), due_on=due_on, currency=currency, tax_rate=20
    )
    item_on(invoice, description=f"Work of {number}", quantity=Decimal(2), unit_price=Decimal(price))
    return invoice


def make_side(name: str, email: str, code: str) -> Side:
    """A client who may see everything, with one row of each kind."""
    client = Client.objects.create(name=name, currency="EUR", portal_enabled=True)
    worker = User.objects.create(username=f"worker.{code}", full_name=f"Worker {code}")
    project = Project.objects.create(client=client, name=f"Project {code}", code=code, budget_hours=Decimal(10))
    task = Task.objects.create(project=project, name=f"Task {code}")
    entry = TimeEntry.objects.create(
        user=worker, project=project, task=task, started_at=NINE, ended_at=NINE + timedelta(minutes=95), notes=f"Notes {code}"
    )
    invoice = make_invoice(client, f"{code}-0001")
    Payment.objects.create(invoice=invoice, amount=Decimal(40), paid_on=date(2025, 3, 9))
    document = Document(client=client, title=f"Contract {code}", visible_to_client=True)
    document.file.save(f"contract-{code}.pdf", ContentFile(f"contract of {code}".encode()))
    hidden = Document(client=client, title=f"Internal {code}")
    hidden.file.save(f"internal-{code}.pdf", ContentFile(f"internal of {code}".encode()))
    return Side(
        client=client,
        person=make_person(client, email),
        worker=worker,
        project=project,
        entry=entry,
        invoice=invoice,
        draft=make_invoice(client, f"{code}-0002", "draft"),
        document=document,
        hidden=hidden,
    )


@pytest.fixture(autouse=True)
def own_media(media: Path) -> None:
    """No test writes elsewhere."""


@pytest.fixture(autouse=True)
def nothing_throttled() -> None:
    """No test feels the logins and mails of another."""
    caches["logins"].clear()


@pytest.fixture
def own(db: None) -> Side:
    return make_side("Sample Bakery", "toni@bakery.example", "SB")


@pytest.fixture
def other(db: None) -> Side:
    return make_side("Specimen Books", "sasha@books.example", "X-B")


@pytest.fixture
def browser(own: Side) -> Browser:
    browser = Browser()
    browser.force_login(own.user)
    return browser
