"""Projects and their tasks and rates, as a browser asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.billing.models import Expense, Invoice, InvoiceItem
from timetracker.billing.templatetags.money import amount
from timetracker.clients.models import Client
from timetracker.tests.people import HTMX, browser_of, somebody
from timetracker.tracking.hours_text import hours_said
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def manager() -> Browser:
    return browser_of(somebody("manager", Role.MANAGER))


@pytest.fixture
def member() -> Browser:
    return browser_of(somebody("robin.m", Role.MEMBER))


def text_of(browser: Browser, name: str, *args: object, **asked: Any) -> str:
    response = browser.get(reverse(f"staff:{name}", args=args), asked)
    assert response.status_code == 200, response
    return response.content.decode()


def post(browser: Browser, name: str, pk: int, /, **form: object) -> str:
    """Send a form as a browser without JavaScript does; the page that it leads to."""
    response = browser.post(reverse(f"staff:{name}", args=[pk]), form, follow=True)
    assert response.status_code == 200, response
    return response.content.decode()


def form_of(project: Project, **changed: object) -> dict[str, object]:
    """What a browser sends of the form of ``project`` that it has loaded now."""
    fields = {"client": project.client_id, "name": project.name, "code": project.code, "status": project.status, "billable": "on"}
    more = {"colour": project.colour, "hourly_rate": project.hourly_rate or "", "as_of": project.updated_at.isoformat()}
    return fields | more | changed


def worked(user: User, project: Project, started: datetime, seconds: int, **fields: object) -> TimeEntry:
    return TimeEntry.objects.create(user=user, project=project, started_at=started, ended_at=started + timedelta(seconds=seconds), **fields)


# --- the list ---------------------------------------------------------------------------------------------------------


def test_projects_are_found_by_words_state_and_client(manager: Browser, project: Project) -> None:
    Project.objects.create(client=project.client, name="Old shop", code="SB-OLD", status="closed")
    Project.objects.create(client=project.client, name="Waits", code="SB-WAIT", status="paused")
    away = Client.objects.create(name="Old Mill", active=False)
    Project.objects.create(client=away, name="Flour", code="OM-FLOUR")
    page = text_of(manager, "projects")
    assert "SB-WEB" in page and "SB-WAIT" in page and "paused" in page and "SB-OLD" not in page and "OM-FLOUR" not in page
    archived = text_of(manager, "projects", state="archived")
    assert "SB-OLD" in archived and "OM-FLOUR" in archived and "client archived" in archived and "SB-WEB" not in archived
    assert "OM-FLOUR" in text_of(manager, "projects", state="all", client=away.pk)
    assert "SB-WEB" not in text_of(manager, "projects", state="all", client=away.pk)
    assert "SB-WEB" in text_of(manager, "projects", q="bakery") and "No project is like this." in text_of(manager, "projects", q="mill")


@pytest.mark.parametrize("asked", [{"client": "x"}, {"client": "9" * 40}, {"client": "-1"}, {"q": "\0"}, {"page": "0"}, {"state": "?"}])
def test_what_makes_no_sense_is_no_error(manager: Browser, project: Project, asked: dict[str, str]) -> None:
    assert "SB-WEB" in text_of(manager, "projects", **asked)


def test_a_member_sees_projects_without_rates(member: Browser, manager: Browser, project: Project) -> None:
    assert "90.00" in text_of(manager, "projects")
    page = text_of(member, "projects")
    assert "SB-WEB" in page and "90.00" not in page and "USD" not in page and reverse("staff:project_add") not in page


# --- one project ------------------------------------------------------------------------------------------------------

SECONDS = {
    "sqlite": "SUM(CAST(strftime('%%s', ended_at) AS INTEGER) - CAST(strftime('%%s', started_at) AS INTEGER) - break_seconds)",
    "postgresql": "SUM(EXTRACT(EPOCH FROM date_trunc('second', ended_at) - date_trunc('second', started_at)) - break_seconds)",
}


def seconds_by_hand(condition: str, *params: Any) -> int:
    """The seconds worked on these entries, by a query that is written out."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {SECONDS[connection.vendor]} FROM tracking_timeentry WHERE {condition}", params)
        return int(cursor.fetchone()[0] or 0)


def test_the_sums_of_a_project_are_those_of_a_plain_query(manager: Browser, member: Browser, person: User, project: Project) -> None:
    project.budget_hours = Decimal("20")
    project.save()
    robin = User.objects.get(username="robin.m")
    task = Task.objects.create(project=project, name="Page templates")
    now = timezone.now().replace(microsecond=0)
    month = now.replace(day=1, hour=0, minute=0, second=0)
    for number in range(40):
        # Also over both changes of clocks, with breaks, with fractions of a second, and before this month.
        started = month + timedelta(hours=number * 37 - 700, seconds=number, microseconds=number * 9999)
        fields = {"task": task if number % 3 else None, "break_seconds": number * 7, "billable": number % 5 > 0}
        worked(robin if number % 2 else person, project, started, 1800 + number * 61, **fields)
    own = "project_id = %s AND user_id = %s"
    for browser, condition, params in (
        (manager, "project_id = %s", [project.pk]),
        (member, own, [project.pk, robin.pk]),
    ):
        page = text_of(browser, "project", project.pk)
        whole = seconds_by_hand(condition, *params)
        until = (month + timedelta(days=31)).replace(day=1)
        this_month = seconds_by_hand(f"{condition} AND started_at >= %s AND started_at < %s", *params, _sql(month), _sql(until))
        of_task = seconds_by_hand(f"{condition} AND task_id = %s", *params, task.pk)
        assert f'<span class="figure">{hours_said(whole)}</span>' in page
        assert f'<span class="figure">{hours_said(this_month)}</span>' in page and this_month < whole
        assert f"{hours_said(of_task)} h" in page
        is_all = browser is manager
        assert (f"{whole * 100 // 72000} %" in page) is is_all
        # 90 an hour, each entry rounded by itself.
        entries = TimeEntry.objects.filter(project=project, billable=True)
        money = sum((Decimal(int(e.worked.total_seconds())) * 90 / 3600).quantize(Decimal("0.01"), "ROUND_HALF_UP") for e in _cut(entries))
        assert (amount(Decimal(money), "USD") in page) is is_all and ("USD" in page) is is_all


def _sql(moment: datetime) -> Any:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if connection.vendor == "sqlite" else moment


def _cut(entries: Iterable[TimeEntry]) -> list[TimeEntry]:
    """The entries without the fractions of their seconds."""
    found = list(entries)
    for entry in found:
        assert entry.ended_at
        entry.started_at, entry.ended_at = entry.started_at.replace(microsecond=0), entry.ended_at.replace(microsecond=0)
    return found


def test_a_member_sees_own_time_alone_and_no_amount(member: Browser, person: User, project: Project) -> None:
    Project.objects.update(budget_hours=10)
    started = timezone.now() - timedelta(hours=9)
    worked(person, project, started, 4 * 3600, notes="a secret of others")
    worked(User.objects.get(username="robin.m"), project, started, 3600, notes="my own note")
    ProjectRate.objects.create(project=project, user=person, hourly_rate=123)
    page = text_of(member, "project", project.pk)
    assert "my own note" in page and ">1:00<" in page and "10 h</span> budget" in page
    for words in ("a secret", "5:00", "4:00", "50 %", "90.00", "123.00", "USD", "Rates", "Archive", "Delete"):
        assert words not in page, words


def test_over_budget_is_said_in_words(manager: Browser, person: User, project: Project) -> None:
    Project.objects.update(budget_hours=Decimal("0.5"))
    worked(person, project, timezone.now() - timedelta(hours=9), 3600)
    assert "200 %" in text_of(manager, "project", project.pk) and "over budget" in text_of(manager, "project", project.pk)
    Project.objects.update(budget_hours=0)
    assert "The budget has no hours." in text_of(manager, "project", project.pk)


@pytest.mark.parametrize("task", ["", "x", "0", "99999999999999999", "9" * 50, "-1"])
def test_a_task_that_is_not_there_is_not_opened(manager: Browser, project: Project, task: str) -> None:
    assert "Change this task" not in text_of(manager, "project", project.pk, task=task)


# --- forms ------------------------------------------------------------------------------------------------------------


def test_a_project_is_made_for_the_client_that_one_comes_from(manager: Browser, project: Project) -> None:
    client = project.client
    assert f'<option value="{client.pk}" selected>' in text_of(manager, "project_add", client=client.pk)
    form = {"client": client.pk, "name": "App", "code": "SB-APP", "status": "active", "colour": "#AABBCC", "hourly_rate": "70"}
    response = manager.post(reverse("staff:project_add"), form | {"budget_hours": "12.5"}, headers=HTMX)
    made = Project.objects.get(code="SB-APP")
    assert response["HX-Redirect"] == reverse("staff:project", args=[made.pk])
    assert (made.client, made.colour, made.hourly_rate, made.budget_hours) == (client, "#aabbcc", Decimal(70), Decimal("12.5"))


WRONG = [
    ({"code": "SB-WEB"}, "with this Code already exists"),
    ({"client": "0"}, "not one of the available choices"),
    ({"budget_hours": "1e9"}, "no more than"),
    ({"hourly_rate": "99999999999.99"}, "no more than"),
    ({"colour": "red"}, "A colour is #"),
    ({"status": "closed"}, "not one of the available choices"),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG)
def test_what_is_wrong_is_said_and_what_was_typed_stays(manager: Browser, project: Project, wrong: dict[str, str], sentence: str) -> None:
    form = {"client": project.client_id, "name": "App", "code": "SB-APP", "status": "active", "colour": "#aabbcc", "notes": "typed"} | wrong
    page = manager.post(reverse("staff:project_add"), form).content.decode()
    assert sentence in page and "typed</textarea>" in page and Project.objects.count() == 1


def test_a_form_does_not_write_over_what_somebody_has_changed_meanwhile(manager: Browser, project: Project) -> None:
    loaded = form_of(project, name="Mine")
    Project.objects.update(name="Theirs", budget_hours=7, updated_at=timezone.now())
    page = manager.post(reverse("staff:project_edit", args=[project.pk]), loaded).content.decode()
    project.refresh_from_db()
    assert project.name == "Theirs" and "now “Theirs”" in page and "Budget in hours: now “7.00”" in page and 'value="Mine"' in page
    assert manager.post(reverse("staff:project_edit", args=[project.pk]), form_of(project, name="Mine")).status_code == 302


def test_a_project_with_time_stays_with_its_client(manager: Browser, person: User, project: Project) -> None:
    other = Client.objects.create(name="Old Mill", currency="CHF")
    assert manager.post(reverse("staff:project_edit", args=[project.pk]), form_of(project, client=other.pk)).status_code == 302
    project.refresh_from_db()
    assert project.client == other
    worked(person, project, timezone.now() - timedelta(hours=9), 60)
    assert "1 time entry, so it stays" in text_of(manager, "project_edit", project.pk)
    back = Client.objects.exclude(pk=other.pk).get()
    manager.post(reverse("staff:project_edit", args=[project.pk]), form_of(project, client=back.pk))
    project.refresh_from_db()
    assert project.client == other


def test_who_may_see_no_money_changes_a_project_without_touching_its_rate(project: Project) -> None:
    browser = browser_of(somebody("kim", None, "tracking.view_project", "tracking.change_project"))
    page = text_of(browser, "project_edit", project.pk)
    assert "Rate" not in page and "90.00" not in page
    assert browser.post(reverse("staff:project_edit", args=[project.pk]), form_of(project, name="New", hourly_rate="1")).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.hourly_rate) == ("New", Decimal(90))


# --- archived instead of deleted ---------------------------------------------------------------------------------------


def test_a_project_is_archived_and_reopened_with_one_click(manager: Browser, person: User, project: Project) -> None:
    TimeEntry.objects.create(user=person, project=project, started_at=timezone.now() - timedelta(hours=1))
    page = post(manager, "project_archive", project.pk)
    assert "is archived" in page and "A timer still runs on it" in page and "SB-WEB" not in text_of(manager, "projects")
    assert f'<option value="{project.pk}"' not in text_of(manager, "today")
    assert "SB-WEB" in text_of(manager, "project", project.pk)
    post(manager, "project_reopen", project.pk)
    assert f'<option value="{project.pk}"' in text_of(manager, "today")


def use_by_time(user: User, project: Project) -> None:
    worked(user, project, timezone.now() - timedelta(hours=9), 60)


def use_by_expense(user: User, project: Project) -> None:
    Expense.objects.create(user=user, project=project, description="Train", amount=1)


def use_by_invoice(user: User, project: Project) -> None:
    invoice = Invoice.objects.create(client=project.client, number="INV-7", issued_on="2025-03-02", due_on="2025-03-16")
    InvoiceItem.objects.create(invoice=invoice, project=project, description="Work", unit_price=1)


USES = [(use_by_time, "1 time entry"), (use_by_expense, "1 expense"), (use_by_invoice, "1 invoice item")]


@pytest.mark.parametrize(("use", "words"), USES)
def test_a_project_that_was_used_cannot_be_deleted(manager: Browser, person: User, project: Project, use, words: str) -> None:  # type: ignore[no-untyped-def]
    use(person, project)
    page = text_of(manager, "project_delete", project.pk)
    assert words in page and "Archive this project" in page
    assert manager.post(reverse("staff:project_delete", args=[project.pk])).status_code == 409
    assert Project.objects.exists()


def test_a_project_that_was_never_used_is_deleted_with_its_tasks(manager: Browser, person: User, project: Project) -> None:
    Task.objects.create(project=project, name="Page templates")
    ProjectRate.objects.create(project=project, user=person, hourly_rate=1)
    assert "Delete SB-WEB Website relaunch?" in text_of(manager, "project_delete", project.pk)
    assert "is deleted" in post(manager, "project_delete", project.pk)
    assert not Project.objects.exists() and not Task.objects.exists()


# --- tasks ------------------------------------------------------------------------------------------------------------


def test_a_task_is_added_renamed_finished_and_reopened(member: Browser, project: Project) -> None:
    assert "No tasks yet." in text_of(member, "project", project.pk)
    page = post(member, "task_add", project.pk, name="Page <templates>")
    task = Task.objects.get()
    assert task.name == "Page <templates>" and "Page &lt;templates&gt;" in page
    page = post(member, "task", task.pk, name="Templates", estimate_hours="4", due_on="2025-06-01", assignee="")
    assert "Templates" in page and "0:00 h of 4 h" in page and "due 1 Jun 2025" in page
    assert "is done" in post(member, "task_done", task.pk) and "1 done" in text_of(member, "project", project.pk)
    task.refresh_from_db()
    assert task.status == "done" and f'value="{project.pk}-{task.pk}"' not in text_of(member, "today")
    post(member, "task_reopen", task.pk)
    assert f'value="{project.pk}-{task.pk}"' in text_of(member, "today")


def test_a_task_is_opened_in_its_place(member: Browser, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates", status="done")
    response = member.get(reverse("staff:task", args=[task.pk]), follow=True)
    assert 'value="Page templates"' in response.content.decode() and "<details open>" in response.content.decode()


def test_a_member_is_told_no_names_of_the_team(member: Browser, manager: Browser, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates", assignee=somebody("kim", full_name="Kim Crust"))
    somebody("alex", full_name="Alex Placeholder")
    page = text_of(member, "project", project.pk, task=task.pk)
    assert "Kim Crust" in page and "robin.m" in page and "Alex" not in page
    assert "Alex" in text_of(manager, "project", project.pk, task=task.pk)


@pytest.mark.parametrize(
    ("wrong", "sentence"), [({"name": ""}, "required"), ({"due_on": "0001-01-01"}, "2000 and 2100"), ({"due_on": "x"}, "valid date")]
)
def test_a_task_that_is_refused_keeps_what_was_typed(member: Browser, project: Project, wrong: dict[str, str], sentence: str) -> None:
    task = Task.objects.create(project=project, name="Page templates")
    page = post(member, "task", task.pk, **({"name": "New", "estimate_hours": "17", "due_on": ""} | wrong))
    assert sentence in page and 'value="17"' in page
    task.refresh_from_db()
    assert task.name == "Page templates"
    assert "This field is required." in post(member, "task_add", project.pk, name=" ")


def test_a_task_on_which_somebody_has_worked_is_not_deleted(manager: Browser, person: User, project: Project) -> None:
    used, unused = (Task.objects.create(project=project, name=name) for name in ("Used", "Unused"))
    worked(person, project, timezone.now() - timedelta(hours=9), 60, task=used)
    page = text_of(manager, "task_delete", used.pk)
    assert "1 time entry" in page and "Mark it as done" in page
    assert manager.post(reverse("staff:task_delete", args=[used.pk])).status_code == 409
    post(manager, "task_delete", unused.pk)
    assert list(Task.objects.all()) == [used]


def test_members_delete_no_task_and_change_no_project(member: Browser, project: Project) -> None:
    task = Task.objects.create(project=project, name="Page templates")
    addresses = [reverse(f"staff:project_{act}", args=[project.pk]) for act in ("edit", "archive", "reopen", "delete")]
    addresses += [reverse("staff:task_delete", args=[task.pk]), reverse("staff:rate_set", args=[project.pk]), reverse("staff:project_add")]
    for address in addresses:
        assert member.post(address, form_of(project)).status_code == 403, address
    project.refresh_from_db()
    assert project.status == "active" and Task.objects.exists()


# --- rates ------------------------------------------------------------------------------------------------------------


def test_the_rate_of_a_person_is_set_changed_and_removed(manager: Browser, project: Project) -> None:
    kim = somebody("kim", full_name="Kim Crust")
    assert "the project&#x27;s" in text_of(manager, "project", project.pk) or "the project's" in text_of(manager, "project", project.pk)
    post(manager, "rate_set", project.pk, user=kim.pk, hourly_rate="110")
    page = post(manager, "rate_set", project.pk, user=kim.pk, hourly_rate="120.50")
    rate = ProjectRate.objects.get()
    assert rate.hourly_rate == Decimal("120.50") and amount(rate.hourly_rate, "USD") in page
    post(manager, "rate_delete", rate.pk)
    assert not ProjectRate.objects.exists()


def test_the_sums_follow_a_rate_where_the_page_changes_in_place(manager: Browser, project: Project) -> None:
    page = text_of(manager, "project", project.pk)
    assert 'hx-select-oob="#messages:innerHTML,#sums"' in page.split('id="rates"')[1].split(">")[0]
    assert page.count('id="sums"') == 1


@pytest.mark.parametrize("rate", ["-1", "", "x", "1e99", "1.005"])
def test_a_rate_that_is_none_is_refused(manager: Browser, project: Project, rate: str) -> None:
    kim = somebody("kim")
    page = post(manager, "rate_set", project.pk, user=kim.pk, hourly_rate=rate)
    assert 'class="errorlist"' in page and not ProjectRate.objects.exists()


def test_rates_are_nobodys_business_who_may_see_no_money(project: Project) -> None:
    kim = somebody("kim", None, "tracking.view_project", *(f"tracking.{act}_projectrate" for act in ("view", "add", "change", "delete")))
    rate = ProjectRate.objects.create(project=project, user=kim, hourly_rate=Decimal("123.45"))
    browser = browser_of(kim)
    assert "123.45" not in text_of(browser, "project", project.pk)
    assert browser.post(reverse("staff:rate_set", args=[project.pk]), {"user": kim.pk, "hourly_rate": 1}).status_code == 403
    assert browser.post(reverse("staff:rate_delete", args=[rate.pk])).status_code == 403
    assert ProjectRate.objects.get().hourly_rate == Decimal("123.45")
