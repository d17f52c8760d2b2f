"""From the draft on: issued with number and PDF as a whole or not at all, paid, cancelled."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from timetracker.accounts.models import User
from timetracker.billing.drafts import draft_empty, draft_make
from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.issuing import invoice_cancel, invoice_issue, invoice_pdf_keep, payment_add, payment_remove
from timetracker.billing.models import Expense, Invoice, Payment
from timetracker.billing.tests.conftest import Worked
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings
from timetracker.tests.invoices import item_on
from timetracker.tests.storages import storage_fails
from timetracker.tracking.models import TimeEntry

PAID_ON = date(2025, 4, 1)


@pytest.fixture
def draft(media: Path, bakery: Client, worked: Worked, robin: User) -> Invoice:
    """Two hours, with 19 percent of tax: 238.00 EUR."""
    SiteSettings.objects.create(company_name="Example Studio", default_tax_rate=Decimal(19), invoice_prefix="2025/", invoice_next_number=7)
    worked(3, 120)
    return draft_make(bakery, by=robin)


def files_in(media: Path) -> list[str]:
    return sorted(str(path.relative_to(media)) for path in media.rglob("*") if path.is_file())


# --- issue ------------------------------------------------------------------------------------------------------------


def test_draft_is_issued_with_its_number_its_dates_and_its_pdf(draft: Invoice, robin: User, media: Path) -> None:
    issued = invoice_issue(draft, robin, on=date(2025, 4, 1), due_on=date(2025, 4, 15))
    issued.refresh_from_db()
    assert (issued.number, issued.status, issued.issued_by, issued.total) == ("2025/0007", "sent", robin, Decimal("238.00"))
    assert (issued.issued_on, issued.due_on) == (date(2025, 4, 1), date(2025, 4, 15))
    folder, year, month, name = str(issued.pdf.name).split("/")
    assert (folder, name) == ("invoices", "20250007.pdf") and len(year) == 4 and len(month) == 2
    assert files_in(media) == [issued.pdf.name]
    assert (media / str(issued.pdf.name)).read_bytes().startswith(b"%PDF-")
    assert SiteSettings.load().invoice_next_number == 8


def test_invoice_is_issued_once(draft: Invoice, robin: User, media: Path) -> None:
    invoice_issue(draft, robin)
    with pytest.raises(InvoiceRefused, match="Invoice 2025/0007 has been issued already"):
        invoice_issue(draft, robin)
    assert len(files_in(media)) == 1 and SiteSettings.load().invoice_next_number == 8


def test_number_of_a_deleted_draft_was_never_given(draft: Invoice, bakery: Client, robin: User) -> None:
    draft.delete()
    assert invoice_issue(draft_make(bakery, by=robin), robin).number == "2025/0007"


def test_draft_with_a_number_of_before_is_issued_under_it(draft: Invoice, robin: User) -> None:
    draft.number = "OLD-3"
    draft.save()
    assert invoice_issue(draft, robin).number == "OLD-3" and SiteSettings.load().invoice_next_number == 7


def test_what_comes_to_nothing_is_paid_at_once_and_less_than_nothing_is_refused(draft: Invoice, robin: User) -> None:
    discount = item_on(draft, description="Discount", unit_price=Decimal("-200.01"))
    with pytest.raises(InvoiceRefused, match="less than nothing"):
        invoice_issue(draft, robin)
    discount.unit_price = Decimal(-200)
    discount.save()
    assert invoice_issue(draft, robin).status == "paid"


def test_draft_without_lines_or_with_wrong_days_stays_a_draft(draft: Invoice, bakery: Client, robin: User, media: Path) -> None:
    with pytest.raises(InvoiceRefused, match="no lines yet"):
        invoice_issue(draft_empty(bakery, by=robin), robin)
    with pytest.raises(InvoiceRefused, match="not due before its date"):
        invoice_issue(draft, robin, on=date(2025, 4, 1), due_on=date(2025, 3, 31))
    assert not Invoice.objects.exclude(status="draft").exists() and files_in(media) == []


@pytest.mark.parametrize("place", ["drawing", "keeping", "row"])
def test_issue_that_fails_leaves_a_draft_no_number_and_no_file(
    draft: Invoice, robin: User, media: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "drawing":
        monkeypatch.setattr("timetracker.billing.invoice_pdf.invoice_pdf", lambda *_, **__: (_ for _ in ()).throw(OSError("no font")))
    elif place == "keeping":
        media.mkdir()
        (media / "invoices").write_text("A file where the folder would be.")
    else:
        monkeypatch.setattr(Invoice, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("the database is gone")))
    before = files_in(media)
    with pytest.raises(OSError):
        invoice_issue(draft, robin)
    monkeypatch.undo()
    draft.refresh_from_db()
    assert (draft.status, draft.number, draft.pdf.name, draft.issued_by) == ("draft", "", "", None)
    assert files_in(media) == before and SiteSettings.load().invoice_next_number == 7


def test_invoice_of_before_gets_its_pdf_once(bakery: Client, media: Path) -> None:
    old = Invoice.objects.create(client=bakery, number="OLD-1", status="paid", issued_on=PAID_ON, due_on=PAID_ON)
    item_on(old, unit_price=Decimal(5))
    first = invoice_pdf_keep(old).pdf.name
    assert invoice_pdf_keep(old).pdf.name == first and files_in(media) == [first]
    with pytest.raises(InvoiceRefused, match="A draft has no PDF"):
        invoice_pdf_keep(Invoice.objects.create(client=bakery, issued_on=PAID_ON, due_on=PAID_ON))


@pytest.mark.usefixtures("media")
def test_any_error_of_the_storage_leaves_the_draft_as_it_was_and_is_an_oserror(
    draft: Invoice, robin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        storage_fails(patch, "save")
        with pytest.raises(OSError, match="BucketError: no such bucket"):
            invoice_issue(draft, robin)
    draft.refresh_from_db()
    assert (draft.status, draft.number, SiteSettings.load().invoice_next_number) == ("draft", "", 7)
    assert invoice_issue(draft, robin).number == "2025/0007"


# --- payments ---------------------------------------------------------------------------------------------------------


def test_invoice_is_paid_when_nothing_is_left_and_open_again_without_a_payment(draft: Invoice, robin: User) -> None:
    issued = invoice_issue(draft, robin)

    def standing() -> tuple[str, Decimal]:
        issued.refresh_from_db()
        return issued.status, issued.balance

    payment_add(issued, amount=Decimal("100.00"), paid_on=PAID_ON)
    assert standing() == ("sent", Decimal("138.00"))
    rest = payment_add(issued, amount=Decimal("138.00"), paid_on=PAID_ON, method="card", reference="R-1")
    assert standing() == ("paid", Decimal(0))
    more = payment_add(issued, amount=Decimal("0.01"), paid_on=PAID_ON)
    assert standing() == ("paid", Decimal("-0.01"))
    payment_remove(more)
    assert standing() == ("paid", Decimal(0))
    assert payment_remove(rest).status == "sent"
    assert standing() == ("sent", Decimal("138.00"))


def test_drafts_and_cancelled_invoices_take_no_payment(draft: Invoice, robin: User) -> None:
    with pytest.raises(InvoiceRefused, match="is draft: only an issued invoice is paid"):
        payment_add(draft, amount=Decimal(1), paid_on=PAID_ON)
    issued = invoice_cancel(invoice_issue(draft, robin))
    with pytest.raises(InvoiceRefused, match="is cancelled: only an issued invoice is paid"):
        payment_add(issued, amount=Decimal(1), paid_on=PAID_ON)
    with pytest.raises(ValidationError, match="Only an issued invoice is paid"):
        Payment(invoice=issued, amount=Decimal(1)).full_clean()
    assert not Payment.objects.exists()


def test_wrong_payment_is_refused_by_its_field(draft: Invoice, robin: User) -> None:
    issued = invoice_issue(draft, robin)
    with pytest.raises(ValidationError) as refused:
        payment_add(issued, amount=Decimal(0), paid_on=PAID_ON, method="shells")
    assert set(refused.value.message_dict) == {"amount", "method"} and not Payment.objects.exists()


# --- cancel -----------------------------------------------------------------------------------------------------------


def test_cancelled_invoice_keeps_number_lines_and_pdf_and_frees_what_it_billed(
    draft: Invoice, bakery: Client, robin: User, media: Path
) -> None:
    project = TimeEntry.objects.get().project
    issued = invoice_issue(draft, robin)
    # Of an older version: an expense that hangs on a line beside the time.
    Expense.objects.create(user=robin, project=project, description="Train", amount=1, billable=True, invoice_item=issued.items.get())
    cancelled = invoice_cancel(issued)
    cancelled.refresh_from_db()
    assert (cancelled.status, cancelled.number, cancelled.total) == ("cancelled", "2025/0007", Decimal("238.00"))
    assert files_in(media) == [cancelled.pdf.name]
    again = draft_make(bakery, by=robin)
    assert again.items.count() == 2
    assert invoice_issue(again, robin).number == "2025/0008"


def test_invoice_with_payments_and_draft_without_a_number_are_not_cancelled(draft: Invoice, robin: User) -> None:
    with pytest.raises(InvoiceRefused, match="Delete it instead"):
        invoice_cancel(draft)
    issued = invoice_issue(draft, robin)
    payment_add(issued, amount=Decimal(1), paid_on=PAID_ON)
    with pytest.raises(InvoiceRefused, match="has payments. Remove them first"):
        invoice_cancel(issued)
    issued.refresh_from_db()
    assert issued.status == "sent" and not TimeEntry.objects.filter(invoice_item=None).exists()


def test_draft_that_was_deleted_meanwhile_is_told(draft: Invoice, robin: User) -> None:
    stale = Invoice.objects.get(pk=draft.pk)
    draft.delete()
    with pytest.raises(InvoiceRefused, match="deleted meanwhile"):
        invoice_issue(stale, robin)
    with pytest.raises(InvoiceRefused, match="deleted meanwhile"):
        invoice_cancel(stale)
