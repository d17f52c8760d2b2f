"""Expenses and their receipts, as a browser asks for them: one's own, everybody's, and those on an invoice."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.billing.models import Expense, Invoice
from timetracker.billing.templatetags.money import amount
from timetracker.clients.models import Client
from timetracker.tests.invoices import item_on
from timetracker.tests.people import PDF, PNG, browser_of, file_names, somebody
from timetracker.tracking.models import Project

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]

Post = Callable[..., str]


@pytest.fixture
def robin() -> User:
    return somebody("robin", Role.MEMBER, full_name="Robin Sample")


@pytest.fixture
def member(robin: User) -> Browser:
    return browser_of(robin)


@pytest.fixture
def keeper() -> Browser:
    return browser_of(somebody("keeper", Role.BOOKKEEPER))


@pytest.fixture
def project() -> Project:
    return Project.objects.create(client=Client.objects.create(name="Sample Bakery", currency="CHF"), name="Web", code="WEB")


@pytest.fixture
def post(django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]]) -> Post:
    """Sends a form, and lets happen what a commit does; the page that it leads to."""

    def send(browser: Browser, name: str, /, *args: int, **form: object) -> str:
        with django_capture_on_commit_callbacks(execute=True):
            return browser.post(reverse(f"staff:{name}", args=args), form, follow=True).content.decode()

    return send


def text_of(browser: Browser, name: str, *args: object, **asked: Any) -> str:
    response = browser.get(reverse(f"staff:{name}", args=args), asked)
    assert response.status_code == 200, response
    return response.content.decode()


def spent(user: User, description: str = "Night train", **fields: object) -> Expense:
    fields = {"amount": Decimal("123.45"), "spent_on": date(2025, 3, 3)} | fields
    return Expense.objects.create(user=user, description=description, **fields)


def form_of(expense: Expense, **changed: object) -> dict[str, object]:
    """What a browser sends of the form of ``expense`` that it has loaded now."""
    fields = {"spent_on": f"{expense.spent_on:%Y-%m-%d}", "description": expense.description, "amount": expense.amount}
    more = {"currency": expense.currency, "category": expense.category, "project": expense.project_id or "", "user": expense.user_id}
    return fields | more | {"as_of": expense.updated_at.isoformat()} | changed


def billed(expense: Expense, project: Project, status: str = "sent") -> Expense:
    invoice = Invoice.objects.create(client=project.client, number="INV-7", status=status, issued_on="2025-03-02", due_on="2025-03-16")
    expense.project, expense.billable = project, True
    expense.invoice_item = item_on(invoice, description="Train", unit_price=1)
    expense.save()
    return expense


# --- who sees what ----------------------------------------------------------------------------------------------------


def test_a_member_sees_her_own_expenses_alone_also_by_their_address(member: Browser, keeper: Browser, robin: User, media: Path) -> None:
    kim = somebody("kim")
    own, other = spent(robin), spent(kim, "Champagne", amount=Decimal("77.70"))
    other.receipt.save("champagne.pdf", ContentFile(PDF))
    page = text_of(member, "expenses")
    assert "Night train" in page and amount(Decimal("123.45"), "EUR") in page and "Champagne" not in page and "77.70" not in page
    assert "Person" not in page and "Champagne" not in text_of(member, "expenses", person=kim.pk)
    for name in ("expense", "receipt"):
        assert member.get(reverse(f"staff:{name}", args=[other.pk])).status_code == 404
    assert member.post(reverse("staff:expense", args=[other.pk]), form_of(other, amount="1")).status_code == 404
    everybody = text_of(keeper, "expenses")
    assert "Night train" in everybody and "Champagne" in everybody
    assert "Night train" not in text_of(keeper, "expenses", person=kim.pk)
    answer = keeper.get(reverse("staff:receipt", args=[other.pk]))
    assert b"".join(answer) == PDF and "attachment" in answer["Content-Disposition"]
    assert member.get(reverse("staff:receipt", args=[own.pk])).status_code == 404, "there is none"


def test_who_may_view_no_expenses_gets_no_page(robin: User) -> None:
    browser = browser_of(somebody("guest"))
    pk = spent(robin).pk
    for name, args in (("expenses", []), ("expense", [pk]), ("receipt", [pk]), ("expense_add", []), ("expense_delete", [pk])):
        assert browser.get(reverse(f"staff:{name}", args=args)).status_code == 403, name


def test_a_member_deletes_no_expense(member: Browser, robin: User) -> None:
    own = spent(robin)
    assert "Delete" not in text_of(member, "expense", own.pk)
    assert member.post(reverse("staff:expense_delete", args=[own.pk])).status_code == 403 and Expense.objects.exists()


def test_who_may_only_look_gets_no_form(robin: User) -> None:
    expense = spent(robin)
    looker = browser_of(somebody("looker", None, "billing.view_expense", "tracking.view_money"))
    page = text_of(looker, "expense", expense.pk)
    assert "You may see it, and not change it." in page and '<input type="date"' not in page
    assert looker.post(reverse("staff:expense", args=[expense.pk]), form_of(expense, amount="1")).status_code == 403


# --- the list ---------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_what_to_do_next(member: Browser) -> None:
    page = text_of(member, "expenses")
    assert "No expenses yet." in page and reverse("staff:expense_add") in page and " style=" not in page


def test_a_narrow_screen_says_below_its_name_whether_an_expense_is_billed(member: Browser, robin: User, project: Project) -> None:
    states = {
        "on an invoice": billed(spent(robin), project),
        "to be billed": spent(robin, project=project, billable=True),
        "not billable": spent(robin, project=project),
    }
    page = text_of(member, "expenses")
    for state, expense in states.items():
        row = page.split(f'href="{reverse("staff:expense", args=[expense.pk])}"')[1].split("</tr>")[0]
        assert state in row.split('<span class="narrow-only">')[1].split("</th>")[0] and state in row.split("</th>")[1]


def test_expenses_are_found_by_words_state_dates_project_and_client(keeper: Browser, robin: User, project: Project) -> None:
    spent(robin, "Alpha")
    spent(robin, "Beta", project=project, billable=True, spent_on=date(2025, 5, 5), receipt="receipts/x.pdf")
    billed(spent(robin, "Gamma", spent_on=date(2025, 6, 6)), project)

    def found(**asked: object) -> list[str]:
        page = text_of(keeper, "expenses", **asked)
        return [name for name in ("Alpha", "Beta", "Gamma") if f">{name}<" in page]

    assert found() == ["Alpha", "Beta", "Gamma"]
    assert found(q="bet") == ["Beta"] and found(q="web") == ["Beta", "Gamma"]
    assert found(state="open") == ["Beta"] and found(state="billed") == ["Gamma"] and found(state="own") == ["Alpha"]
    assert found(state="bare") == ["Alpha", "Gamma"]
    assert found(since="2025-05-05", until="2025-05-31") == ["Beta"]
    assert found(project=project.pk) == found(client=project.client_id) == ["Beta", "Gamma"]
    assert found(q="omega") == []


NONSENSE = [
    {"since": "0001-01-01"},
    {"until": "9999-12-31"},
    {"since": "soon"},
    {"person": "x"},
    {"project": "9" * 40},
    {"page": "-3"},
    {"state": "x"},
]


@pytest.mark.parametrize("asked", NONSENSE)
def test_what_makes_no_sense_is_no_error(keeper: Browser, robin: User, asked: dict[str, str]) -> None:
    spent(robin)
    assert "Night train" in text_of(keeper, "expenses", **asked)


def test_sums_are_those_of_a_plain_query_by_currency(keeper: Browser, robin: User) -> None:
    for number in range(70):
        spent(robin, f"Number {number}", amount=Decimal(number * 10_007 + 1) / 100, currency=("EUR", "CHF", "JPY")[number % 3])
    with connection.cursor() as cursor:
        cursor.execute("SELECT currency, CAST(ROUND(SUM(amount * 100)) AS BIGINT), COUNT(*) FROM billing_expense GROUP BY currency")
        by_hand = [(code, Decimal(int(cents)) / 100, count) for code, cents, count in cursor.fetchall()]
    page = re.sub(r"[ \n]+", " ", text_of(keeper, "expenses"))
    assert len(by_hand) == 3 and "Page 1 of 2" in page
    for code, value, count in by_hand:
        assert f'<span class="figure">{amount(value, code)}</span> {count} expenses' in page


# --- forms ------------------------------------------------------------------------------------------------------------


def test_a_member_enters_an_expense_with_its_receipt_as_her_own(
    member: Browser, robin: User, project: Project, post: Post, media: Path
) -> None:
    kim = somebody("kim")
    form = {"spent_on": "2025-03-03", "description": "Train", "amount": "12.50", "currency": "chf", "category": "travel", "user": kim.pk}
    page = post(member, "expense_add", **form, project=project.pk, billable="on", receipt=SimpleUploadedFile("ticket.png", PNG))
    made = Expense.objects.get()
    assert (made.user, made.amount, made.currency, made.billable, made.project) == (robin, Decimal("12.50"), "CHF", True, project)
    assert "The expense is saved." in page and len(file_names(media)) == 1


def test_who_sees_everybodys_may_enter_one_for_somebody_else(keeper: Browser, robin: User, post: Post) -> None:
    form = {"spent_on": "2025-03-03", "description": "Train", "amount": "12.50", "currency": "EUR", "category": "travel", "user": robin.pk}
    post(keeper, "expense_add", **form)
    assert Expense.objects.get().user == robin


def test_a_new_expense_begins_today_where_she_is_and_with_the_project_that_is_named(project: Project) -> None:
    kim = browser_of(somebody("kim", Role.MEMBER, time_zone="Pacific/Kiritimati"))
    page = text_of(kim, "expense_add", project=project.pk)
    assert f'value="{timezone.now().astimezone(ZoneInfo("Pacific/Kiritimati")):%Y-%m-%d}"' in page
    assert f'<option value="{project.pk}" selected>' in page and 'value="CHF"' in page


WRONG = [
    ({"amount": "0"}, "greater than or equal to 0.01"),
    ({"amount": "-5"}, "greater than or equal to 0.01"),
    ({"amount": "1e20"}, "no more than"),
    ({"amount": "Infinity"}, "Enter a number."),
    ({"currency": "ABC"}, "is no currency code"),
    ({"spent_on": "1999-12-31"}, "between 2000 and 2100"),
    ({"spent_on": "9999-12-31"}, "between 2000 and 2100"),
    ({"billable": "on"}, "A billable expense needs a project."),
    ({"project": "0"}, "not one of the available choices"),
    ({"category": "bribe"}, "not one of the available choices"),
    ({"receipt": SimpleUploadedFile("page.html", b"<html>")}, "is not taken"),
    ({"receipt": SimpleUploadedFile("photo.png", b"<html>")}, "no PNG file inside"),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG)
def test_what_is_wrong_is_said_and_what_was_typed_stays(
    member: Browser, post: Post, media: Path, wrong: dict[str, object], sentence: str
) -> None:
    form = {"spent_on": "2025-03-03", "description": "Typed for minutes", "amount": "12.50", "currency": "EUR", "category": "travel"}
    page = post(member, "expense_add", **(form | wrong))
    assert sentence in page and "Typed for minutes" in page and not Expense.objects.exists() and file_names(media) == []


def test_an_archived_project_is_no_choice_and_stays_where_it_is_chosen(member: Browser, robin: User, project: Project, post: Post) -> None:
    expense = spent(robin, project=project)
    Client.objects.update(active=False)
    assert f'<option value="{project.pk}"' not in text_of(member, "expense_add")
    assert f'<option value="{project.pk}" selected>' in text_of(member, "expense", expense.pk)
    post(member, "expense", expense.pk, **form_of(expense, amount="2"))
    expense.refresh_from_db()
    assert (expense.amount, expense.project) == (Decimal(2), project)


def test_a_receipt_is_replaced_and_removed_with_its_file(member: Browser, robin: User, post: Post, media: Path) -> None:
    expense = spent(robin)
    expense.receipt.save("ticket.pdf", ContentFile(PDF))
    post(member, "expense", expense.pk, **form_of(expense, receipt=SimpleUploadedFile("better.png", PNG)))
    assert file_names(media) == ["better.png"]
    expense.refresh_from_db()
    page = post(member, "expense", expense.pk, **form_of(expense, without_receipt="on", receipt=SimpleUploadedFile("more.png", PNG)))
    assert "Either choose another receipt" in page and file_names(media) == ["better.png"]
    post(member, "expense", expense.pk, **form_of(expense, without_receipt="on"))
    expense.refresh_from_db()
    assert not expense.receipt and file_names(media) == []


def test_a_change_of_the_rest_keeps_the_receipt(member: Browser, robin: User, post: Post, media: Path) -> None:
    expense = spent(robin)
    expense.receipt.save("ticket.pdf", ContentFile(PDF))
    post(member, "expense", expense.pk, **form_of(expense, description="Slow train"))
    expense.refresh_from_db()
    assert expense.description == "Slow train" and expense.receipt and file_names(media) == ["ticket.pdf"]


def test_an_expense_that_somebody_has_changed_meanwhile_is_not_written_over(member: Browser, robin: User, post: Post) -> None:
    expense = spent(robin)
    loaded = form_of(expense, description="Mine")
    Expense.objects.update(amount=5, updated_at=timezone.now())
    page = post(member, "expense", expense.pk, **loaded)
    expense.refresh_from_db()
    assert "Somebody has changed this" in page and (expense.amount, expense.description) == (Decimal(5), "Night train")


# --- on an invoice ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "sentence"), [("sent", "which has been issued"), ("draft", "Take it off the draft first.")])
def test_what_is_on_an_invoice_does_not_change(
    keeper: Browser, robin: User, project: Project, post: Post, media: Path, status: str, sentence: str
) -> None:
    expense = billed(spent(robin), project, status)
    expense.receipt.save("ticket.pdf", ContentFile(PDF))
    page = text_of(keeper, "expense", expense.pk)
    assert sentence in page and "INV-7" in page and reverse("staff:receipt", args=[expense.pk]) in page and "Save" not in page
    response = keeper.post(reverse("staff:expense", args=[expense.pk]), form_of(expense, amount="1", without_receipt="on"))
    assert response.status_code == 403
    post(keeper, "expense_delete", expense.pk)
    expense.refresh_from_db()
    assert expense.amount == Decimal("123.45") and file_names(media) == ["ticket.pdf"]


def test_what_is_billed_while_the_form_is_open_does_not_change(member: Browser, robin: User, project: Project) -> None:
    expense = spent(robin)
    loaded = form_of(expense, amount="1")
    billed(expense, project)
    assert member.post(reverse("staff:expense", args=[expense.pk]), loaded).status_code == 403
    assert Expense.objects.get().amount == Decimal("123.45")


def test_the_admin_keeps_it_too(robin: User, project: Project) -> None:
    expense = billed(spent(robin), project)
    browser = browser_of(somebody("owner", Role.OWNER))
    change, delete = (reverse(f"admin:billing_expense_{act}", args=[expense.pk]) for act in ("change", "delete"))
    assert browser.get(change).status_code == 200
    assert browser.post(change, {"description": "Other"}).status_code == 403 and browser.post(delete, {"post": "yes"}).status_code == 403


def test_an_expense_is_deleted_with_its_receipt_after_a_question(keeper: Browser, robin: User, post: Post, media: Path) -> None:
    expense = spent(robin)
    expense.receipt.save("ticket.pdf", ContentFile(PDF))
    assert "Delete Night train?" in text_of(keeper, "expense_delete", expense.pk) and Expense.objects.exists()
    assert "is deleted" in post(keeper, "expense_delete", expense.pk)
    assert not Expense.objects.exists() and file_names(media) == []
