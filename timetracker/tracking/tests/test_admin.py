"""The admin of all domain apps, as a browser asks for it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from timetracker.accounts.models import User
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.clients.models import Client, Document
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.models import Project, Task, TimeEntry

NINE = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
MODELS = (User, Client, Document, Project, Task, TimeEntry, Invoice, Payment, Expense, SiteSettings)


@pytest.fixture(autouse=True)
def plain_static_files(settings) -> None:  # type: ignore[no-untyped-def]
    """Pages name static files as they are: nothing has collected and hashed them here."""
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}


@pytest.fixture
def browser(db: None) -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("boss", "boss@studio.example", "correct horse battery"))
    return browser


@pytest.fixture
def rows(person: User, project: Project) -> dict[type[Model], Model]:
    """One row of every model in MODELS."""
    invoice = Invoice.objects.create(number="INV-0001", client=project.client, issued_on=date(2025, 3, 2), due_on=date(2025, 3, 16))
    item = InvoiceItem.objects.create(invoice=invoice, project=project, description="Work", unit_price=Decimal(90))
    task = Task.objects.create(project=project, name="Page templates", assignee=person)
    ended = NINE + timedelta(minutes=95)
    return {
        User: person,
        Client: project.client,
        Document: Document.objects.create(client=project.client, title="Agreement", file="documents/agreement.pdf"),
        Project: project,
        Task: task,
        TimeEntry: TimeEntry.objects.create(
            user=person, project=project, task=task, started_at=NINE, ended_at=ended, invoice_item=item, source="timer"
        ),
        Invoice: invoice,
        Payment: Payment.objects.create(invoice=invoice, amount=Decimal(90)),
        Expense: Expense.objects.create(user=person, project=project, description="Taxi", amount=Decimal(12)),
        SiteSettings: SiteSettings.objects.create(company_name="Example Studio"),
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_list_search_and_form_open(browser: Browser, rows: dict[type[Model], Model], model: type[Model]) -> None:
    name = f"admin:{model._meta.label_lower.replace('.', '_')}"
    pages = [reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[rows[model].pk])]
    if model is not SiteSettings:
        pages += [pages[0] + "?q=robin", reverse(f"{name}_add")]
    for page in pages:
        assert browser.get(page, follow=True).status_code == 200, page


def test_pages_bear_the_name_of_the_product(browser: Browser) -> None:
    page = browser.get(reverse("admin:index")).content.decode()
    assert "TimeTracker" in page
    assert "Django" not in page


def test_every_model_that_people_edit_is_in_the_admin() -> None:
    assert set(MODELS) <= set(admin.site._registry)


def test_list_of_time_takes_as_many_queries_for_thirty_rows_as_for_one(browser: Browser, rows: dict[type[Model], Model]) -> None:
    page = reverse("admin:tracking_timeentry_changelist")
    browser.get(page)
    with CaptureQueriesContext(
        connection,
    ) as one:
        browser.get(page)
    entry = TimeEntry.objects.get()
    for number in range(1, 30):
        entry.pk = None
        entry.started_at = NINE - timedelta(days=number)
        entry.save()
    with CaptureQueriesContext(connection) as thirty:
        assert b"30 time entries" in browser.get(page).content
    assert len(thirty) == len(one)


def test_time_is_found_by_exact_username_and_project_code(browser: Browser, rows: dict[type[Model], Model]) -> None:
    page = reverse("admin:tracking_timeentry_changelist")
    for term, count in (("robin", 1), ("SB-WEB", 1), ("rob", 0)):
        assert browser.get(page, {"q": term}).context["cl"].result_count == count, term


def test_billed_time_cannot_be_deleted(browser: Browser, rows: dict[type[Model], Model]) -> None:
    page = reverse("admin:tracking_timeentry_delete", args=[rows[TimeEntry].pk])
    assert browser.post(page, {"post": "yes"}).status_code == 403
    assert TimeEntry.objects.count() == 1


def test_billed_time_is_shown_and_not_changed(browser: Browser, rows: dict[type[Model], Model]) -> None:
    page = reverse("admin:tracking_timeentry_change", args=[rows[TimeEntry].pk])
    assert b'name="_save"' not in browser.get(page).content
    form = {"user": rows[User].pk, "project": rows[Project].pk, "started_at_0": "2025-03-03", "started_at_1": "01:00:00", "notes": "More"}
    form |= {"ended_at_0": "2025-03-03", "ended_at_1": "09:00:00", "break_seconds": "0", "billable": "on", "source": "timer"}
    assert browser.post(page, form).status_code == 403
    assert TimeEntry.objects.get().notes == ""
    # Of time that is on no invoice the same form is taken.
    TimeEntry.objects.update(invoice_item=None)
    assert browser.post(page, form).status_code == 302
    assert TimeEntry.objects.get().notes == "More"


def test_project_that_was_used_stays_with_its_client_and_a_task_with_time_where_it_is(
    browser: Browser, rows: dict[type[Model], Model], project: Project
) -> None:
    other = Client.objects.create(name="Sample Mill")
    inline = {f"rates-{kind}_FORMS": "0" for kind in ("TOTAL", "INITIAL")}
    form = {"client": other.pk, "name": "Other", "code": "OTHER", "status": "active", "colour": "#64748b", "notes": "", **inline}
    assert browser.post(reverse("admin:tracking_project_change", args=[project.pk]), form).status_code == 302
    assert Project.objects.values_list("name", "client__name").get() == ("Other", project.client.name)
    task = rows[Task].pk
    assert b'name="project"' not in browser.get(reverse("admin:tracking_task_change", args=[task])).content
    assert browser.post(reverse("admin:tracking_task_delete", args=[task]), {"post": "yes"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [task], "post": "yes"}
    browser.post(reverse("admin:tracking_task_changelist"), action)
    assert TimeEntry.objects.get().task_id == task


@pytest.mark.parametrize("model", [TimeEntry, Expense])
def test_row_that_a_form_writes_is_held_before_it_is_read(browser: Browser, rows: dict[type[Model], Model], model: type[Model]) -> None:
    page = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_change", args=[rows[model].pk])
    with CaptureQueriesContext(connection) as queries:
        browser.post(page, {})
    asked = [query["sql"] for query in queries]
    read = next(place for place, sql in enumerate(asked) if f'FROM "{model._meta.db_table}"' in sql)
    # SQLite locks no rows: there whoever may write next is alone from the beginning of the transaction.
    assert any(sql.startswith("SAVEPOINT") for sql in asked[:read])
    assert "FOR UPDATE" in asked[read] or not connection.features.has_select_for_update


def test_new_invoice_is_a_draft_without_a_number(browser: Browser, rows: dict[type[Model], Model]) -> None:
    form = {
        "client": rows[Client].pk,
        "status": "sent",
        "issued_on": "2025-04-02",
        "due_on": "2025-04-16",
        "currency": "USD",
        "tax_rate": "0",
        **{f"{inline}-{kind}_FORMS": "0" for inline in ("items", "payments") for kind in ("TOTAL", "INITIAL")},
    }
    response = browser.post(reverse("admin:billing_invoice_add"), form)
    assert response.status_code == 302, response.context["errors"]
    made = Invoice.objects.latest("id")
    assert (made.number, made.status) == ("", "draft")


def test_message_of_a_constraint_reaches_the_form(browser: Browser, person: User, project: Project) -> None:
    TimeEntry.objects.create(user=person, project=project, started_at=NINE)
    form = {
        "user": person.pk,
        "project": project.pk,
        "started_at_0": "2025-03-03",
        "started_at_1": "10:00",
        "break_seconds": "0",
        "source": "manual",
    }
    response = browser.post(reverse("admin:tracking_timeentry_add"), form)
    assert "This person has a running timer already. Stop it first." in response.content.decode()
    assert TimeEntry.objects.count() == 1


def test_site_settings_have_one_page(browser: Browser) -> None:
    page = reverse("admin:siteconf_sitesettings_changelist")
    assert browser.get(page).headers["Location"] == reverse("admin:siteconf_sitesettings_add")
    SiteSettings.objects.create()
    assert browser.get(page).headers["Location"] == reverse("admin:siteconf_sitesettings_change", args=[1])
    assert browser.get(reverse("admin:siteconf_sitesettings_add")).status_code == 403
    assert browser.post(reverse("admin:siteconf_sitesettings_delete", args=[1]), {"post": "yes"}).status_code == 403
