"""An issued invoice goes out with its PDF and the portal's link; what fails is told and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from pytest_django import Settings

from timetracker.accounts.models import User
from timetracker.billing.drafts import draft_make
from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.invoice_mail import invoice_mail, mail_addresses, mail_words
from timetracker.billing.issuing import invoice_cancel, invoice_issue
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.billing.tests.conftest import Worked
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.models import TimeEntry

ADDRESS = "https://time.example.org"


class Refusing(BaseEmailBackend):
    """A mail server that takes nothing."""

    def send_messages(self, _messages: object) -> int:
        raise ConnectionRefusedError(111, "Connection refused")


@pytest.fixture
def issued(media: Path, bakery: Client, worked: Worked, robin: User) -> Invoice:
    SiteSettings.objects.create(company_name="Example\nStudio", company_email="bills@studio.example")
    worked(3, 120)
    return invoice_issue(draft_make(bakery, by=robin), robin)


def test_mail_has_the_words_the_pdf_and_where_it_is_in_the_portal(issued: Invoice, bakery: Client, robin: User, media: Path) -> None:
    bakery.portal_enabled = True
    bakery.save()
    sent = invoice_mail(Invoice.objects.get(), to=["office@bakery.example", "kim@bakery.example"], address=ADDRESS, by=robin)
    (message,) = mail.outbox
    assert message.subject == "Invoice INV-0001 from Example Studio"
    assert message.to == ["office@bakery.example", "kim@bakery.example"] and message.reply_to == ["bills@studio.example"]
    assert "200.00\N{NO-BREAK SPACE}EUR, due on" in message.body
    assert f"{ADDRESS}/portal/invoices/{issued.pk}/" in message.body
    ((name, content, kind),) = message.attachments
    assert (name, kind) == ("INV-0001.pdf", "application/pdf") and content == (media / str(sent.pdf.name)).read_bytes()
    stored = Invoice.objects.get()
    assert stored.mailed_to == "office@bakery.example, kim@bakery.example" and stored.mailed_at is not None


@pytest.mark.parametrize("closed", [{"portal_enabled": False}, {"portal_shows_invoices": False}, {"active": False}])
def test_mail_has_no_link_that_leads_nowhere(issued: Invoice, bakery: Client, robin: User, closed: dict[str, bool]) -> None:
    Client.objects.update(**{"portal_enabled": True} | closed)
    invoice_mail(Invoice.objects.get(), to=["kim@bakery.example"], address=ADDRESS, words="Here you are. <3", by=robin)
    assert mail.outbox[0].body.startswith("Here you are. <3") and ADDRESS not in mail.outbox[0].body


def test_mail_that_is_not_accepted_is_not_written_down(issued: Invoice, robin: User, settings: Settings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Refusing"
    with pytest.raises(OSError, match="Connection refused"):
        invoice_mail(issued, to=["kim@bakery.example"], address=ADDRESS, by=robin)
    issued.refresh_from_db()
    assert (issued.mailed_at, issued.mailed_to) == (None, "")


def test_second_press_of_the_button_sends_nothing(issued: Invoice, robin: User) -> None:
    first, second = Invoice.objects.get(), Invoice.objects.get()
    invoice_mail(first, to=["kim@bakery.example"], address=ADDRESS, by=robin)
    with pytest.raises(InvoiceRefused, match="was sent a moment ago"):
        invoice_mail(second, to=["lee@bakery.example"], address=ADDRESS, by=robin)
    invoice_mail(Invoice.objects.get(), to=["max@bakery.example"], address=ADDRESS, by=robin)
    assert [message.to for message in mail.outbox] == [["kim@bakery.example"], ["max@bakery.example"]]
    assert Invoice.objects.get().mailed_to == "max@bakery.example"


class Restoring(BaseEmailBackend):
    """A mail server that is slow: while it takes the mail a restore replaces the data."""

    def send_messages(self, _messages: object) -> int:
        Invoice._base_manager.all()._raw_delete("default")
        return 1


def test_mail_of_an_invoice_that_a_restore_took_away_meanwhile_has_gone_all_the_same(
    issued: Invoice, robin: User, settings: Settings
) -> None:
    TimeEntry.objects.update(invoice_item=None)
    InvoiceItem._base_manager.all()._raw_delete("default")
    settings.EMAIL_BACKEND = f"{__name__}.Restoring"
    assert invoice_mail(issued, to=["kim@bakery.example"], address=ADDRESS, by=robin).mailed_to == "kim@bakery.example"
    assert not Invoice.objects.exists()


def test_pdf_that_is_missing_is_told_and_nothing_is_sent(issued: Invoice, robin: User, media: Path) -> None:
    (media / str(issued.pdf.name)).unlink()
    with pytest.raises(InvoiceRefused, match="missing among the uploads"):
        invoice_mail(issued, to=["kim@bakery.example"], address=ADDRESS, by=robin)
    assert mail.outbox == []


def test_only_issued_invoices_are_sent_and_only_to_somebody(issued: Invoice, bakery: Client, robin: User, worked: Worked) -> None:
    worked(5)
    with pytest.raises(InvoiceRefused, match="is draft: only an issued invoice is sent"):
        invoice_mail(draft_make(bakery, by=robin), to=["kim@bakery.example"], address=ADDRESS, by=robin)
    with pytest.raises(InvoiceRefused, match="Nobody would get it"):
        invoice_mail(issued, to=[], address=ADDRESS, by=robin)
    with pytest.raises(InvoiceRefused, match="is cancelled"):
        invoice_mail(invoice_cancel(issued), to=["kim@bakery.example"], address=ADDRESS, by=robin)
    assert mail.outbox == []


def test_invoice_of_before_gets_its_pdf_when_it_is_sent(bakery: Client, media: Path, robin: User) -> None:
    old = Invoice.objects.create(client=bakery, number="OLD-1", status="paid", issued_on="2025-03-02", due_on="2025-03-16")
    old.refresh_from_db()
    sent = invoice_mail(old, to=["kim@bakery.example"], address=ADDRESS, by=robin)
    assert mail.outbox[0].attachments[0][0] == "OLD-1.pdf" and sent.pdf


def test_addresses_are_the_clients_and_those_of_its_people_who_may_log_in(bakery: Client, robin: User) -> None:
    from django.apps import apps

    person = apps.get_model("portal", "ClientPerson")
    other = Client.objects.create(name="Other", email="")
    for name, client, active in (("kim", bakery, True), ("lee", bakery, False), ("max", other, True)):
        user = get_user_model().objects.create(username=name, email=f"{name}@bakery.example", is_active=active)
        person.objects.create(user=user, client=client)
    assert mail_addresses(bakery) == ["office@bakery.example", "kim@bakery.example"]
    assert mail_addresses(other) == ["max@bakery.example"]


def test_words_greet_the_contact_and_name_the_total(issued: Invoice) -> None:
    issued.client.contact_name = "Kim Sample"
    words = mail_words(issued)
    assert words.startswith("Hello Kim Sample,") and "200.00\N{NO-BREAK SPACE}EUR" in words
