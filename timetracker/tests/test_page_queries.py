"""Each page of the team asks few questions of the database, and not more of them where there are more rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.billing.models import Expense, Invoice
from timetracker.clients.models import Client, Document
from timetracker.imports.counts import Counts
from timetracker.imports.models import Import
from timetracker.imports.options import Options
from timetracker.staff_urls import urlpatterns
from timetracker.tests.invoices import item_on
from timetracker.tests.people import PDF, browser_of, somebody
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

# How many queries a page makes hangs on no engine; that each page works on both, test_every_url shows.
pytestmark = [pytest.mark.django_db, pytest.mark.one_engine, pytest.mark.usefixtures("media")]

MOST = 25
# Of the pages, by their names: the rows whose id they are asked with, or nothing; and what they are asked for.
PAGES: dict[str, tuple[type[Any] | None, tuple[str, ...]]] = {
    "today": (None, ("",)),
    "clock": (None, ("",)),
    "week": (None, ("", "week=2026-W10")),
    "entries": (None, ("", "period=all", "period=all&notes=note", "period=all&sums=yes")),
    "entries_csv": (None, ("period=all",)),
    "entries_add": (None, ("",)),
    "entries_edit": (TimeEntry, ("",)),
    "entries_copy": (TimeEntry, ("",)),
    "entries_remove": (TimeEntry, ("",)),
    "reports": (
        None,
        (
            *(f"range=all&by={by}" for by in ("client", "project", "person", "task", "day", "week", "month")),
            *(f"range={name}&by=client" for name in ("this_week", "this_month", "this_quarter", "this_year")),
            *("range=all&by=client&then=person", "range=all&by=task&then=week"),
        ),
    ),
    "report_csv": (None, ("range=all&by=person&then=task",)),
    "budgets": (None, ("", "state=all&sort=left")),
    "account": (None, ("",)),
    "change_password": (None, ("",)),
    "team": (None, ("",)),
    "invite": (None, ("",)),
    "member": (User, ("",)),
    "clients": (None, ("", "state=all&q=client")),
    "client_add": (None, ("",)),
    "client": (Client, ("",)),
    "client_edit": (Client, ("",)),
    "client_delete": (Client, ("",)),
    "client_invoices": (Client, ("",)),
    "documents": (Client, ("",)),
    "document_add": (Client, ("",)),
    "document_edit": (Document, ("",)),
    "document_delete": (Document, ("",)),
    "projects": (None, ("", "state=all&q=client")),
    "project_add": (None, ("",)),
    "project": (Project, ("",)),
    "project_edit": (Project, ("",)),
    "project_delete": (Project, ("",)),
    "task_delete": (Task, ("",)),
    "invoices": (None, ("", "state=overdue", "q=INV")),
    "invoice_add": (None, ("",)),
    "invoice": (Invoice, ("",)),
    "invoice_send": (Invoice, ("",)),
    "invoice_cancel": (Invoice, ("",)),
    "payment_new": (Invoice, ("",)),
    "expenses": (None, ("", "state=open&q=train")),
    "expense_add": (None, ("",)),
    "expense": (Expense, ("",)),
    "expense_delete": (Expense, ("",)),
    "import_export": (None, ("",)),
    "import_new": (None, ("", "kind=time")),
    "import": (Import, ("",)),
    "import_columns": (Import, ("",)),
}
# Those that only change something or lead elsewhere, files, and pages before the login.
OTHERS = {
    *("start", "stop", "discard", "shift", "entry", "delete", "again", "entries_change", "entries_delete", "send", "link"),
    *("client_archive", "client_reopen", "project_archive", "project_reopen", "rate_set", "rate_delete"),
    *("task", "task_add", "task_done", "task_reopen"),
    *("import_begin", "import_problems", "import_discard"),
    *("export", "export_ask", "export_file", "export_delete"),
    *("invoice_blank", "invoice_pdf_make", "line_up", "line_down", "line_delete", "discount_add", "payment_delete"),
    # Forms of a draft, each of one row.
    *("draft_edit", "draft_delete", "invoice_issue", "line", "line_add"),
    *("document", "receipt", "invoice_file", "login", "logout", "forgotten", "forgotten_sent", "new_password", "invitation"),
}


def rows_made(owner: User, numbers: range) -> None:
    """Of everything that lists show, some more: of the first client and its project, and of others."""
    now = timezone.now()
    for number in numbers:
        someone = owner if number == 0 else somebody(f"person{number}", Role.MEMBER)
        client = Client.objects.create(name=f"Client {number}", currency="EUR", default_rate=Decimal(80))
        project = Project.objects.create(client=client, name="Work", code=f"P-{number}", budget_hours=10, hourly_rate=Decimal(90))
        of_first = Project.objects.order_by("pk")[0]
        ProjectRate.objects.create(project=of_first, user=someone, hourly_rate=Decimal(70))
        if number:
            Project.objects.create(client=of_first.client, name="More", code=f"M-{number}", budget_hours=5)
        invoice = Invoice.objects.create(
            number=f"INV-{number}", client=of_first.client, issued_on=date(2026, 3, 2), due_on=date(2026, 4, 2), status="sent"
        )
        item = item_on(invoice, unit_price=Decimal(90))
        Document.objects.create(client=of_first.client, title=f"Offer {number}", file=ContentFile(PDF, name="a.pdf"), uploaded_by=someone)
        options = Options("utf-8-sig", ",", ["Name"], {"name": 0}).to_json()
        file = ContentFile(b"Name\nMill\n", name="clients.csv")
        Import.objects.create(
            kind="clients", state="checked", by=owner, name="clients.csv", file=file, options=options, counts=Counts(new=1).to_json()
        )
        for of in (project, of_first):
            task = Task.objects.create(project=of, name=f"Task {number}", assignee=someone)
            Expense.objects.create(user=someone, project=of, description=f"Train {number}", amount=Decimal(12), currency="EUR")
            for began in (now - timedelta(minutes=90), datetime(2026, 3, 4, 9, tzinfo=UTC)):
                entry = TimeEntry(user=owner, project=of, task=task, notes="A note", tags="one, two", source="manual")
                entry.started_at, entry.ended_at = began, began + timedelta(minutes=5)
                entry.save()
                TimeEntry.objects.create(user=someone, project=of, started_at=began, ended_at=entry.ended_at, invoice_item=item)
        if number:
            TimeEntry.objects.create(user=someone, project=project, started_at=now)


def counts(browser: Browser) -> dict[str, int]:
    """How many queries each page takes; of a row the first one's."""
    found = {}
    patterns = {pattern.name: str(pattern.pattern) for pattern in urlpatterns if isinstance(pattern, URLPattern)}
    for name, (model, queries) in PAGES.items():
        pk = "" if model is None else str(model._default_manager.order_by("pk").values_list("pk", flat=True)[0])
        for query in queries:
            path = f"/{patterns[name].replace('<int:pk>', pk)}"
            with CaptureQueriesContext(connection) as captured:
                answer = browser.get(f"{path}?{query}")
                assert answer.status_code == 200, (path, answer.status_code)
                if answer.streaming:
                    b"".join(answer)
            found[f"{name}?{query}"] = len(captured)
    return found


def test_every_page_is_measured() -> None:
    names = {pattern.name for pattern in urlpatterns if isinstance(pattern, URLPattern)}
    assert names == set(PAGES) | OTHERS and not set(PAGES) & OTHERS


def test_pages_take_at_most_25_queries_and_no_more_where_there_are_more_rows() -> None:
    owner = somebody("olivia", Role.OWNER, weekly_hours=Decimal(40))
    browser = browser_of(owner)
    rows_made(owner, range(2))
    few = counts(browser)
    rows_made(owner, range(2, 9))
    many = counts(browser)
    assert {page: (few[page], count) for page, count in many.items() if count > few[page]} == {}
    assert {page: count for page, count in many.items() if count > MOST} == {}
    print(f"The most queries: {max(many.values())}, by {max(many, key=many.__getitem__)}.")
