"""A small agency with one of everything, for tests of exports and of bringing them in again."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from timetracker.accounts.models import User
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.clients.models import Client, Document
from timetracker.exports.make import exports_make
from timetracker.exports.models import Export
from timetracker.tests.people import PDF, PNG, somebody
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

__all__ = ["FORMULA", "TABLES", "Agency", "agency", "content_of", "made"]

NINE = datetime(2025, 3, 3, 9, tzinfo=UTC)
# All but the people, those first that name others.
TABLES = (Payment, Expense, TimeEntry, InvoiceItem, Invoice, Document, ProjectRate, Task, Project, Client)
FORMULA = '=HYPERLINK("http://evil.example")'


class Agency(NamedTuple):
    """Who and what there is."""

    owner: User
    robin: User
    kim: User


def agency() -> Agency:
    """Two members with time and expenses, an invoice that is paid, a draft, a document, and texts that are hard on CSV."""
    rights = ("exports.export_everything", "tracking.view_money", "tracking.view_all_entries")
    owner = somebody("owner", None, *rights, password="owner secret")
    robin = somebody("robin", full_name="Robin Sample", hourly_rate=Decimal("71.25"), password="robin secret", time_zone="Europe/Berlin")
    kim = somebody("kim", full_name="Kim Étoile", hourly_rate=Decimal("83.75"), weekly_hours=Decimal("32.50"))
    bakery = Client.objects.create(
        name="Sample Bakery", phone="+49 30 1234", default_rate=Decimal("91.50"), notes="First line\nsecond line"
    )
    museum = Client.objects.create(name="Museum “Ω”", currency="CHF", active=False)
    web = Project.objects.create(client=bakery, name="Website", code="WEB-1", hourly_rate=Decimal("97.25"))
    tour = Project.objects.create(client=museum, name="Tour", code="TOUR", status="closed", budget_hours=Decimal("12.50"))
    ProjectRate.objects.create(project=web, user=kim, hourly_rate=Decimal("99.75"))
    # Twins, which only their order tells apart.
    design = [Task.objects.create(project=web, name="Design", assignee=kim, due_on=date(2025, 4, 1)) for _ in range(2)]
    invoice = Invoice.objects.create(number="INV-0007", client=bakery, issued_on=date(2025, 4, 1), due_on=date(2025, 4, 15))
    item = InvoiceItem.objects.create(
        invoice=invoice, project=web, description="March", quantity=Decimal("2.00"), unit_price=Decimal("97.25")
    )
    InvoiceItem.objects.create(invoice=invoice, position=2, description="Discount", unit_price=Decimal("-4.50"))
    Payment.objects.create(invoice=invoice, amount=Decimal("190.00"), paid_on=date(2025, 4, 9), reference="R 1")
    for user, project, task, hours, notes, billed in (
        (robin, web, design[1], 0, FORMULA, item),
        (robin, web, None, 2, "'=kept", None),
        (robin, tour, None, 4, 'Said "yes",\nthen ½', None),
        (kim, web, design[0], 0, "Seen by few", item),
        (kim, web, None, 8, "", None),
    ):
        TimeEntry.objects.create(
            user=user,
            project=project,
            task=task,
            started_at=NINE + timedelta(hours=hours, microseconds=hours),
            ended_at=NINE + timedelta(hours=hours + 1),
            break_seconds=60 * hours,
            notes=notes,
            tags="a, b",
            invoice_item=billed,
        )
    TimeEntry.objects.bulk_create(
        [
            TimeEntry(user=kim, project=web, started_at=NINE + timedelta(days=1), ended_at=NINE + timedelta(days=1, hours=1))
            for _ in range(2)
        ]
    )
    TimeEntry.objects.create(user=kim, project=web, started_at=NINE + timedelta(days=2), source="timer")
    for user, name, content in ((robin, "receipts/2025/03/lunch.pdf", PDF), (kim, "receipts/2025/03/train.png", PNG)):
        default_storage.save(name, ContentFile(content))
        fields = {"project": web, "spent_on": date(2025, 3, 3), "amount": Decimal("12.35"), "billable": True}
        Expense.objects.create(user=user, description=f"+ {name}", receipt=name, **fields)
    default_storage.save("documents/2025/03/offer.pdf", ContentFile(PDF))
    Document.objects.create(client=bakery, title="Offer", file="documents/2025/03/offer.pdf", uploaded_by=owner, visible_to_client=True)
    # At the end, as an invoice that is issued takes nothing more on.
    Invoice._base_manager.update(status="paid")
    return Agency(owner, robin, kim)


def made(user: User, scope: str) -> Export:
    """An export, made here and now."""
    export = Export.objects.create(user=user, asked_by=str(user), scope=scope)
    exports_make()
    export.refresh_from_db()
    return export


def content_of(export: Export) -> tuple[zipfile.ZipFile, dict[str, Any]]:
    """The ZIP of an export that is ready, and its JSON."""
    assert export.state == "ready", export.reason
    with default_storage.open(export.stored_name, "rb") as file:
        archive = zipfile.ZipFile(io.BytesIO(file.read()))
    assert archive.testzip() is None
    return archive, json.loads(archive.read("data.json"))
