"""What is on no invoice yet, and the drafts that bill it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from timetracker.accounts.models import User
from timetracker.billing.drafts import draft_make, draft_preview
from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.lines import Grouping
from timetracker.billing.models import Expense, Invoice, InvoiceItem
from timetracker.billing.tests.conftest import Worked
from timetracker.billing.unbilled import Unbilled, unbilled_sums
from timetracker.clients.models import Client
from timetracker.money import to_cents
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.entries import EntryRefused, entry_save
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry


def lines_of(invoice: Invoice) -> list[tuple[str, str, str]]:
    return [(item.description, str(item.quantity), str(item.unit_price)) for item in invoice.items.all()]


def spent(robin: User, project: Project | None, **fields: object) -> Expense:
    values = {"description": "Train", "amount": Decimal("40.50"), "spent_on": date(2025, 3, 5), "billable": True} | fields
    return Expense.objects.create(user=robin, project=project, **values)


# --- what is unbilled -------------------------------------------------------------------------------------------------


def test_unbilled_is_billable_ended_time_with_expenses_by_currency(bakery: Client, website: Project, robin: User, worked: Worked) -> None:
    worked(3, 90)
    worked(4, 30, billable=False)
    worked(5, 30, project=Project.objects.create(client=bakery, name="Favour", code="FAV", billable=False))
    TimeEntry.objects.create(user=robin, project=website, started_at=datetime(2025, 3, 7, 9, tzinfo=UTC))
    spent(robin, website)
    spent(robin, website, currency="USD", amount=Decimal(7))
    spent(robin, website, billable=False)
    with CaptureQueriesContext(connection) as queries:
        found = unbilled_sums(bakery)
    assert len(queries) == 4
    assert found.by_currency == (
        Unbilled("EUR", 1, 5400, Decimal("150.00"), 1, Decimal("40.50")),
        Unbilled("USD", 0, 0, Decimal(0), 1, Decimal("7.00")),
    )
    assert found.by_currency[0].total == Decimal("190.50") and found.entries_without_rate == 0


def test_time_without_a_rate_is_told_apart(bakery: Client, worked: Worked) -> None:
    bakery.default_rate = None
    bakery.save()
    worked(3, 90)
    found = unbilled_sums(bakery)
    assert (found.by_currency, found.entries_without_rate, found.seconds_without_rate) == ((), 1, 5400)
    assert found and not unbilled_sums(Client.objects.create(name="Other"))


def test_days_are_those_of_the_zone(bakery: Client, worked: Worked, robin: User) -> None:
    worked(4, started_at=datetime(2025, 3, 3, 23, 30, tzinfo=UTC), ended_at=datetime(2025, 3, 4, 0, 30, tzinfo=UTC))
    fourth: Any = {"since": date(2025, 3, 4), "until": date(2025, 3, 4)}
    assert draft_preview(bakery, by=robin, **fourth).lines == []
    robin.time_zone = "Europe/Berlin"
    assert lines_of(draft_make(bakery, by=robin, grouping=Grouping.DAY, **fourth)) == [("4 March 2025, Website", "1.00", "100.00")]


@pytest.mark.parametrize(("direction", "minutes"), [("up", 75), ("down", 30), ("nearest", 60)])
def test_each_entry_is_rounded_by_itself_as_the_settings_say(
    bakery: Client, worked: Worked, robin: User, direction: str, minutes: int
) -> None:
    SiteSettings.objects.create(rounding_minutes=15, rounding_direction=direction)
    # Half a step goes up; up: 30 + 15 + 30, down: 15 + 0 + 15, nearest: 30 + 15 + 15.
    for day, worked_minutes in ((3, 23), (4, 7.5), (5, 16)):
        worked(day, worked_minutes)
    found = unbilled_sums(bakery).by_currency[0]
    assert (found.seconds, found.time_amount) == (minutes * 60, to_cents(Decimal(minutes) * 100 / 60))
    assert draft_make(bakery, by=robin).items.get().quantity == Decimal(minutes) / 60


# --- grouping ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(bakery: Client, website: Project, robin: User, worked: Worked) -> None:
    """Three days of two people on two projects, one of whom has a rate of her own."""
    sam = User.objects.create(username="sam", full_name="Sam Sample", is_staff=True)
    ProjectRate.objects.create(project=website, user=sam, hourly_rate=Decimal("120.50"))
    shop = Project.objects.create(client=bakery, name="Shop", code="SHOP", hourly_rate=Decimal(80))
    design = Task.objects.create(project=website, name="Design")
    worked(3, 60, task=design, notes="Colours\nand  fonts")
    worked(3, 30, started_at=datetime(2025, 3, 3, 14, tzinfo=UTC), ended_at=datetime(2025, 3, 3, 14, 30, tzinfo=UTC))
    worked(10, 120, user=sam, task=design)
    worked(31, 45, project=shop)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("grouping", "lines"),
    [
        (
            Grouping.PROJECT,
            [
                ("Shop, 31 March 2025", "0.75", "80.00"),
                ("Website, 3 March 2025", "1.50", "100.00"),
                ("Website, 10 March 2025", "2.00", "120.50"),
            ],
        ),
        (
            Grouping.TASK,
            [
                ("Shop, 31 March 2025", "0.75", "80.00"),
                ("Website, 3 March 2025", "0.50", "100.00"),
                ("Website: Design, 3 March 2025", "1.00", "100.00"),
                ("Website: Design, 10 March 2025", "2.00", "120.50"),
            ],
        ),
        (
            Grouping.PERSON,
            [
                ("Shop: Robin Example, 31 March 2025", "0.75", "80.00"),
                ("Website: Robin Example, 3 March 2025", "1.50", "100.00"),
                ("Website: Sam Sample, 10 March 2025", "2.00", "120.50"),
            ],
        ),
        (
            Grouping.DAY,
            [
                ("31 March 2025, Shop", "0.75", "80.00"),
                ("3 March 2025, Website", "1.50", "100.00"),
                ("10 March 2025, Website", "2.00", "120.50"),
            ],
        ),
        (
            Grouping.ENTRY,
            [
                ("31 March 2025, Shop", "0.75", "80.00"),
                ("3 March 2025, Website: Design – Colours and fonts", "1.00", "100.00"),
                ("3 March 2025, Website", "0.50", "100.00"),
                ("10 March 2025, Website: Design", "2.00", "120.50"),
            ],
        ),
    ],
)
def test_time_is_brought_together_as_wished_and_the_preview_is_what_comes(
    busy: None, bakery: Client, robin: User, grouping: Grouping, lines: list[tuple[str, str, str]]
) -> None:
    preview = draft_preview(bakery, by=robin, grouping=grouping)
    assert [(line.description, str(line.hours), str(line.unit_price)) for line in preview.lines] == lines
    draft = draft_make(bakery, by=robin, grouping=grouping)
    assert lines_of(draft) == lines
    assert draft.total == draft.subtotal == preview.subtotal == Decimal("451.00")
    for item in draft.items.all():
        seconds = sum((entry.worked.total_seconds() for entry in item.time_entries.all()), 0)
        assert Decimal(seconds) / 3600 == item.quantity and {entry.project for entry in item.time_entries.all()} == {item.project}
    assert not TimeEntry.objects.filter(invoice_item=None).exists()
    assert not InvoiceItem.objects.filter(description="Time to be billed").exists()


def test_long_span_names_both_months_and_long_notes_are_cut(bakery: Client, worked: Worked, robin: User) -> None:
    worked(3, notes="ö" * 400)
    worked(3, started_at=datetime(2024, 12, 30, 9, tzinfo=UTC), ended_at=datetime(2024, 12, 30, 10, tzinfo=UTC))
    first = draft_preview(bakery, by=robin).lines[0]
    assert first.description == "Website, 30 December 2024 – 3 March 2025"
    each = draft_preview(bakery, by=robin, grouping=Grouping.ENTRY).lines[1]
    assert len(each.description) == 300 and each.description.endswith("ö…")


# --- drafts -----------------------------------------------------------------------------------------------------------


def test_draft_has_no_number_and_begins_with_the_settings(bakery: Client, worked: Worked, robin: User) -> None:
    SiteSettings.objects.create(default_tax_rate=Decimal(20), invoice_due_days=30, invoice_notes="Thank you.")
    worked()
    draft = draft_make(bakery, by=robin)
    assert (draft.number, draft.status, draft.tax_rate, draft.notes, draft.currency) == ("", "draft", Decimal(20), "Thank you.", "EUR")
    assert draft.due_on - draft.issued_on == timedelta(days=30)
    assert draft.total == Decimal("120.00") and SiteSettings.load().invoice_next_number == 1


def test_days_projects_and_expenses_are_chosen(bakery: Client, website: Project, worked: Worked, robin: User) -> None:
    shop = Project.objects.create(client=bakery, name="Shop", code="SHOP")
    worked(3)
    in_time = worked(10)
    worked(10, project=shop)
    train = spent(robin, website, spent_on=date(2025, 3, 9))
    spent(robin, website, spent_on=date(2025, 3, 20))
    spent(robin, shop, spent_on=date(2025, 3, 9))
    chosen: Any = {"since": date(2025, 3, 9), "until": date(2025, 3, 11), "projects": [website]}
    without = draft_make(bakery, by=robin, expenses=False, **chosen)
    assert lines_of(without) == [("Website, 10 March 2025", "1.00", "100.00")]
    with_it = draft_make(bakery, by=robin, **chosen)
    assert lines_of(with_it) == [("Train, 9 March 2025", "1.00", "40.50")]
    in_time.refresh_from_db()
    train.refresh_from_db()
    assert in_time.invoice_item == without.items.get() and train.invoice_item == with_it.items.get()


def test_each_currency_has_a_draft_of_its_own(bakery: Client, website: Project, worked: Worked, robin: User) -> None:
    bakery.default_rate = None
    bakery.save()
    kim = User.objects.create(username="kim", hourly_rate=Decimal(70), currency="USD")
    for user in (robin, kim):
        worked(3, user=user)
    spent(robin, website)
    euros = draft_make(bakery, by=robin)
    assert (euros.currency, lines_of(euros)) == ("EUR", [("Train, 5 March 2025", "1.00", "40.50")])
    dollars = draft_make(bakery, by=robin, currency="USD")
    assert (dollars.currency, lines_of(dollars)) == ("USD", [("Website, 3 March 2025", "1.00", "70.00")])
    # Whose hour has no price waits.
    assert TimeEntry.objects.get(invoice_item=None).user == robin


def test_nothing_to_bill_and_too_many_lines_write_nothing(
    bakery: Client, worked: Worked, robin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvoiceRefused, match="There is nothing to bill"):
        draft_make(bakery, by=robin)
    monkeypatch.setattr("timetracker.billing.drafts.MOST_LINES", 2)
    for day in (3, 4, 5):
        worked(day)
    assert draft_preview(bakery, by=robin, grouping=Grouping.DAY).is_too_long
    with pytest.raises(InvoiceRefused, match="These are 3 lines"):
        draft_make(bakery, by=robin, grouping=Grouping.DAY)
    assert not Invoice.objects.exists() and TimeEntry.objects.filter(invoice_item=None).count() == 3
    assert draft_make(bakery, by=robin).items.count() == 1


def test_time_too_short_to_count_is_on_a_line_that_costs_nothing(bakery: Client, worked: Worked, robin: User) -> None:
    SiteSettings.objects.create(rounding_minutes=15, rounding_direction="down")
    entry = worked(3, 5)
    draft = draft_make(bakery, by=robin)
    assert (draft.total, draft.items.get().quantity) == (Decimal(0), Decimal("0.01"))
    entry.refresh_from_db()
    assert entry.invoice_item is not None


def test_time_on_a_draft_is_taken_by_no_other_and_does_not_change_until_it_is_freed(
    bakery: Client, website: Project, worked: Worked, robin: User
) -> None:
    entry, train = worked(), spent(robin, website)
    draft = draft_make(bakery, by=robin)
    with pytest.raises(InvoiceRefused, match="nothing to bill"):
        draft_make(bakery, by=robin)
    entry.refresh_from_db()
    boss = User.objects.create_superuser("boss")
    with pytest.raises(EntryRefused, match=f"on a draft of an invoice: Draft {draft.pk}"):
        entry_save(entry, user=boss)
    # A line taken off frees its own.
    train.refresh_from_db()
    assert train.invoice_item is not None
    train.invoice_item.delete()
    train.refresh_from_db()
    assert train.invoice_item is None
    draft.delete()
    entry.refresh_from_db()
    assert entry.invoice_item is None
    entry_save(entry, user=boss)
    assert draft_make(bakery, by=robin).items.count() == 2
