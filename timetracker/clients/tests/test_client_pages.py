"""Clients, as a browser asks for them: who sees what, changing without overwriting, archiving instead of deleting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.billing.models import Expense, Invoice, Payment
from timetracker.clients.models import Client, Document
from timetracker.tests.invoices import item_on
from timetracker.tests.people import HTMX, browser_of, somebody
from timetracker.tracking.models import Project, TimeEntry

pytestmark = pytest.mark.django_db

SPACE = "\N{NO-BREAK SPACE}"


@pytest.fixture
def client() -> Client:
    return Client.objects.create(name="Sample Bakery", contact_name="Toni Crumb", email="toni@bakery.example", default_rate=80)


@pytest.fixture
def owner() -> Browser:
    return browser_of(somebody("owner", Role.OWNER))


@pytest.fixture
def member() -> Browser:
    return browser_of(somebody("robin", Role.MEMBER))


def text_of(browser: Browser, name: str, *args: object, **asked: Any) -> str:
    response = browser.get(reverse(f"staff:{name}", args=args), asked)
    assert response.status_code == 200, response
    return response.content.decode()


def worked(user: User, project: Project, hours: int, *, days_ago: int = 0) -> TimeEntry:
    started = timezone.now().replace(microsecond=0) - timedelta(days=days_ago, hours=hours)
    return TimeEntry.objects.create(user=user, project=project, started_at=started, ended_at=started + timedelta(hours=hours))


def form_of(client: Client, **changed: object) -> dict[str, object]:
    """What a browser sends of the form of ``client`` that it has loaded now."""
    fields = {"name": client.name, "contact_name": client.contact_name, "email": client.email, "currency": client.currency}
    return fields | {"default_rate": client.default_rate or "", "as_of": client.updated_at.isoformat()} | changed


# --- the list ---------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_what_to_do_next(owner: Browser) -> None:
    page = text_of(owner, "clients")
    assert "No clients yet." in page and reverse("staff:client_add") in page and "<script>" not in page and " style=" not in page


def test_clients_are_found_by_words_and_state(owner: Browser, client: Client) -> None:
    Client.objects.create(name="Old Mill", active=False)
    page = text_of(owner, "clients")
    assert "Sample Bakery" in page and "Old Mill" not in page
    assert "Old Mill" in text_of(owner, "clients", state="archived")
    assert "Old Mill" in text_of(owner, "clients", state="all")
    assert "Sample Bakery" in text_of(owner, "clients", q="CRUMB")
    assert "No client is like this." in text_of(owner, "clients", q="nobody")


@pytest.mark.parametrize(
    "asked", [{"state": "nonsense"}, {"page": "-1"}, {"page": "many"}, {"page": "9" * 30}, {"q": "a\0b"}, {"q": "x" * 500}]
)
def test_what_makes_no_sense_is_no_error(owner: Browser, client: Client, asked: dict[str, str]) -> None:
    assert "Sample Bakery" in text_of(owner, "clients", **asked)


def test_a_long_list_has_pages_in_a_steady_order(owner: Browser) -> None:
    Client.objects.bulk_create(Client(name=f"Client {number:03}") for number in range(120))
    pages = [text_of(owner, "clients", page=number) for number in (1, 2, 3)]
    assert ["Client 000<" in page for page in pages] == [True, False, False] and "Client 119<" in pages[2]
    assert "Page 2 of 3" in pages[1] and "Page 3 of 3" in text_of(owner, "clients", page=99)


def test_hours_of_the_month_are_those_that_she_sees(owner: Browser, member: Browser, client: Client) -> None:
    project = Project.objects.create(client=client, name="Web", code="WEB")
    first = timezone.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for username, hours in (("robin", 2), ("owner", 3)):
        user = User.objects.get(username=username)
        TimeEntry.objects.create(user=user, project=project, started_at=first, ended_at=first + timedelta(hours=hours))
        TimeEntry.objects.create(user=user, project=project, started_at=first - timedelta(hours=9), ended_at=first - timedelta(hours=8))
    assert ">5:00<" in text_of(owner, "clients") and ">2:00<" in text_of(member, "clients")
    assert ">5:00<" in text_of(owner, "client", client.pk) and ">7:00<" in text_of(owner, "client", client.pk)
    own = text_of(member, "client", client.pk)
    assert ">2:00<" in own and ">3:00<" in own and ">7:00<" not in own


# --- one client -------------------------------------------------------------------------------------------------------


@pytest.fixture
def furnished(client: Client) -> Client:
    """With money of every kind in it."""
    kim = somebody("kim")
    project = Project.objects.create(client=client, name="Web", code="WEB", budget_hours=10, hourly_rate=Decimal("91.00"))
    worked(kim, project, 4)
    invoice = Invoice.objects.create(client=client, number="INV-7", status="sent", issued_on="2025-03-02", due_on="2025-03-16", tax_rate=20)
    item_on(invoice, description="Work", quantity=2, unit_price=Decimal("150.55"))
    Payment.objects.create(invoice=invoice, amount=Decimal("61.32"))
    Invoice.objects.create(client=client, number="INV-8", issued_on="2025-03-02", due_on="2025-03-16")
    Expense.objects.create(user=kim, project=project, description="Night train", amount=Decimal("123.45"))
    Document.objects.create(client=client, title="Contract", file="documents/contract.pdf")
    return client


def test_the_page_of_a_client_shows_an_owner_everything(owner: Browser, furnished: Client) -> None:
    page = text_of(owner, "client", furnished.pk)
    # 2 × 150.55, and a fifth on top.
    for words in ("Toni Crumb", "80.00", "40 % of 10:00", "INV-7", "INV-8", f"361.32{SPACE}EUR", f"300.00{SPACE}EUR", "123.45", "Contract"):
        assert words in page, words
    assert reverse("admin:portal_clientperson_changelist") in page


def test_the_page_of_a_client_shows_a_member_no_amount_and_nothing_of_others(member: Browser, furnished: Client) -> None:
    page = text_of(member, "client", furnished.pk)
    assert "Toni Crumb" in page and "WEB Web" in page
    for words in ("80.00", "91.00", "EUR", "INV-7", "Night train", "Contract", "40 %", "4:00", "Archive", "Delete", "admin/"):
        assert words not in page, words


def test_invoices_are_shown_without_totals_to_who_may_see_no_money(furnished: Client) -> None:
    browser = browser_of(somebody("clerk", None, "clients.view_client", "billing.view_invoice"))
    for name in ("client", "client_invoices"):
        page = text_of(browser, name, furnished.pk)
        assert "INV-7" in page and "361.32" not in page and "overdue" in page


PAGES_OF_MEMBERS_NOT = ["client_add", "client_edit", "client_delete", "client_invoices", "documents", "document_add"]


@pytest.mark.parametrize("name", PAGES_OF_MEMBERS_NOT)
def test_a_member_gets_no_page_beyond_her_rights_by_its_address(member: Browser, client: Client, name: str) -> None:
    address = reverse(f"staff:{name}", args=[] if name == "client_add" else [client.pk])
    assert member.get(address).status_code == 403
    assert member.post(address, form_of(client)).status_code in (403, 405)


@pytest.mark.parametrize("name", ["client_archive", "client_reopen"])
def test_a_member_archives_nothing(member: Browser, client: Client, name: str) -> None:
    assert member.post(reverse(f"staff:{name}", args=[client.pk])).status_code == 403


def test_a_client_that_is_not_there_is_not_found(owner: Browser) -> None:
    for name in ("client", "client_edit", "client_delete", "client_invoices", "documents"):
        for pk in (0, 10**17):
            assert owner.get(reverse(f"staff:{name}", args=[pk])).status_code == 404


# --- forms ------------------------------------------------------------------------------------------------------------


def test_a_client_is_made_and_its_page_comes_next(owner: Browser) -> None:
    form = {"name": "Old Mill", "currency": "chf", "default_rate": "95.50", "portal_enabled": "on", "portal_shows_time": "on"}
    response = owner.post(reverse("staff:client_add"), form)
    made = Client.objects.get()
    assert response.url == reverse("staff:client", args=[made.pk])  # type: ignore[attr-defined]
    assert (made.currency, made.default_rate, made.portal_shows_time, made.portal_shows_invoices) == ("CHF", Decimal("95.50"), True, False)


def test_each_switch_of_the_portal_is_changed_and_shown(owner: Browser, furnished: Client) -> None:
    Client.objects.filter(pk=furnished.pk).update(portal_enabled=True)
    assert text_of(owner, "client", furnished.pk).count("<dd>shown</dd>") == 4
    form = browser_form(owner, furnished)
    for switch in ("portal_shows_people", "portal_shows_notes", "portal_shows_unbilled", "portal_shows_amounts"):
        assert form.pop(switch) == "on", switch
    assert owner.post(reverse("staff:client_edit", args=[furnished.pk]), form).status_code == 302
    furnished.refresh_from_db()
    assert furnished.portal_enabled and furnished.portal_shows_time
    assert not (furnished.portal_shows_people or furnished.portal_shows_notes)
    assert not (furnished.portal_shows_unbilled or furnished.portal_shows_amounts)
    assert text_of(owner, "client", furnished.pk).count("<dd>kept back") == 4


def browser_form(owner: Browser, client: Client) -> dict[str, str]:
    """What a browser would send of the form as it is shown."""
    form = owner.get(reverse("staff:client_edit", args=[client.pk])).context["form"]
    values = {field.name: field.value() for field in form}
    return {name: "on" if value is True else str(value) for name, value in values.items() if value not in (None, False)}


def test_htmx_is_sent_on_with_a_real_page(owner: Browser) -> None:
    response = owner.post(reverse("staff:client_add"), {"name": "Old Mill", "currency": "EUR"}, headers=HTMX)
    assert response["HX-Redirect"] == reverse("staff:client", args=[Client.objects.get().pk])


WRONG = [
    ({"name": ""}, "This field is required."),
    ({"name": "SAMPLE bakery"}, "There is a client of this name already: Sample Bakery."),
    ({"currency": "EURO"}, "at most 3 characters"),
    ({"currency": "XXX"}, "is no currency code"),
    ({"default_rate": "-1"}, "greater than or equal to 0"),
    ({"default_rate": "1e30"}, "no more than"),
    ({"default_rate": "NaN"}, "Enter a number."),
    ({"default_rate": "1.234"}, "2 decimal places"),
    ({"email": "nobody"}, "valid email"),
]


@pytest.mark.parametrize(("wrong", "sentence"), WRONG)
def test_what_is_wrong_is_said_beside_the_field_and_what_was_typed_stays(
    owner: Browser, client: Client, wrong: dict[str, str], sentence: str
) -> None:
    form = {"name": "New", "currency": "EUR", "notes": "typed for minutes"} | wrong
    response = owner.post(reverse("staff:client_add"), form)
    page = response.content.decode()
    assert response.status_code == 200 and sentence in page and "typed for minutes" in page and 'aria-invalid="true"' in page
    assert Client.objects.count() == 1


def test_a_form_does_not_write_over_what_somebody_has_changed_meanwhile(owner: Browser, client: Client) -> None:
    loaded = form_of(client, notes="mine")
    Client.objects.filter(pk=client.pk).update(phone="+1 555", contact_name="Kim Crust", updated_at=timezone.now())
    page = owner.post(reverse("staff:client_edit", args=[client.pk]), loaded).content.decode()
    client.refresh_from_db()
    assert client.contact_name == "Kim Crust" and client.notes == ""
    assert "Somebody has changed this" in page and "Contact: now “Kim Crust”" in page and ">\nmine</textarea>" in page
    # Who has read it may insist.
    again = loaded | {"as_of": client.updated_at.isoformat()}
    assert f'value="{client.updated_at.isoformat()}"' in page
    assert owner.post(reverse("staff:client_edit", args=[client.pk]), again).status_code == 302
    client.refresh_from_db()
    assert client.contact_name == "Toni Crumb" and client.notes == "mine"


@pytest.mark.parametrize("as_of", ["", "nonsense", "2025-01-01T00:00:00+00:00"])
def test_a_form_without_the_right_mark_writes_nothing(owner: Browser, client: Client, as_of: str) -> None:
    owner.post(reverse("staff:client_edit", args=[client.pk]), form_of(client, name="Other", as_of=as_of))
    client.refresh_from_db()
    assert client.name == "Sample Bakery"


def test_who_may_see_no_money_changes_a_client_without_touching_its_rate(client: Client) -> None:
    browser = browser_of(somebody("kim", None, "clients.view_client", "clients.change_client"))
    page = text_of(browser, "client_edit", client.pk)
    assert "Rate" not in page and "80.00" not in page and "Currency" not in page
    response = browser.post(reverse("staff:client_edit", args=[client.pk]), form_of(client, phone="+1", default_rate="1", currency="USD"))
    client.refresh_from_db()
    assert response.status_code == 302 and (client.phone, client.default_rate, client.currency) == ("+1", Decimal(80), "EUR")


# --- archived instead of deleted ---------------------------------------------------------------------------------------


def test_a_client_is_archived_and_reopened_with_one_click(owner: Browser, furnished: Client) -> None:
    owner.post(reverse("staff:client_archive", args=[furnished.pk]))
    assert "Sample Bakery" not in text_of(owner, "clients")
    assert "archived" in text_of(owner, "client", furnished.pk) and "INV-7" in text_of(owner, "client", furnished.pk)
    assert f'<option value="{furnished.pk}"' not in text_of(owner, "project_add")
    assert "WEB Web" not in text_of(owner, "today"), "its projects are no choice any more"
    owner.post(reverse("staff:client_reopen", args=[furnished.pk]))
    assert "Sample Bakery" in text_of(owner, "clients") and "WEB Web" in text_of(owner, "today")


def test_no_time_starts_on_a_project_of_an_archived_client(owner: Browser, furnished: Client) -> None:
    project = furnished.projects.get()
    Client.objects.update(active=False)
    owner.post(reverse("staff:start"), {"work": str(project.pk), "time": "", "notes": ""})
    assert not TimeEntry.objects.filter(ended_at=None).exists()


def test_a_client_that_was_used_cannot_be_deleted_and_the_page_says_why(owner: Browser, furnished: Client) -> None:
    page = text_of(owner, "client_delete", furnished.pk)
    assert "1 document, 1 project and 2 invoices" in page and reverse("staff:client_archive", args=[furnished.pk]) in page
    response = owner.post(reverse("staff:client_delete", args=[furnished.pk]))
    assert response.status_code == 409 and "stays" in response.content.decode() and Client.objects.filter(pk=furnished.pk).exists()


def test_a_client_that_was_never_used_is_deleted_after_a_question(owner: Browser, client: Client) -> None:
    assert "Delete Sample Bakery?" in text_of(owner, "client_delete", client.pk) and Client.objects.exists()
    assert owner.post(reverse("staff:client_delete", args=[client.pk])).status_code == 302
    assert not Client.objects.exists()


# --- time zones -------------------------------------------------------------------------------------------------------


def test_a_month_begins_at_midnight_where_the_reader_is(client: Client) -> None:
    """On both sides of UTC."""
    project = Project.objects.create(client=client, name="Web", code="WEB")
    for zone, offset in (("Etc/GMT-14", 14), ("Etc/GMT+12", -12)):
        kim = somebody(f"kim{offset}", Role.MEMBER, time_zone=zone)
        here = timezone.now() + timedelta(hours=offset)
        first = datetime(here.year, here.month, 1, tzinfo=UTC) - timedelta(hours=offset)
        for started, hours in ((first - timedelta(seconds=3600), 1), (first, 2)):
            TimeEntry.objects.create(user=kim, project=project, started_at=started, ended_at=started + timedelta(hours=hours))
        assert ">2:00<" in text_of(browser_of(kim), "clients")
