"""An invoice by e-mail: its PDF, and where it is in the portal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.attachments import storage_asked
from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.issuing import invoice_pdf_keep
from timetracker.billing.models import Invoice
from timetracker.clients.models import Client
from timetracker.siteconf.models import SiteSettings

__all__ = ["invoice_mail", "mail_addresses", "mail_words"]


def mail_addresses(client: Client) -> list[str]:
    """Return where its mail may go: its own address first, then those of its people who may log in."""
    people = User.objects.filter(client_person__client=client, is_active=True).exclude(email="").order_by("full_name", "pk")
    return list(dict.fromkeys(address for address in (client.email, *people.values_list("email", flat=True)) if address))


def mail_words(invoice: Invoice) -> str:
    """Return what is written to the client unless somebody writes something else."""
    return render_to_string("staff/mail/invoice_words.txt", {"invoice": invoice, "site": SiteSettings.load()}).strip()


def invoice_mail(invoice: Invoice, *, to: Sequence[str], address: str, words: str = "", by: User) -> Invoice:
    """Send an issued invoice to these addresses, and write down when and to whom; answers go to the company, or to ``by``.

    Raises InvoiceRefused, also where it was sent since ``invoice`` was read and where its PDF cannot be had, and OSError where the mail
    was not accepted; then nothing is written down.
    """
    if invoice.is_draft or invoice.status == Invoice.Status.CANCELLED:
        raise InvoiceRefused(f"{invoice} is {invoice.get_status_display().lower()}: only an issued invoice is sent.", code="state")
    if not to:
        raise InvoiceRefused("Nobody would get it. Choose an address, or type one.", code="nobody")
    kept, pdf = _with_pdf(invoice)
    site = SiteSettings.load()
    link = _portal_link(kept, address=address)
    subject = " ".join(render_to_string("staff/mail/invoice_subject.txt", {"invoice": kept, "site": site}).split())
    body = render_to_string("staff/mail/invoice.txt", {"words": words.strip() or mail_words(kept), "link": link, "site": site})
    mail = EmailMessage(subject, body, to=list(to), reply_to=list(filter(None, [site.company_email or by.email])))
    mail.attach(PurePosixPath(str(kept.pdf.name)).name, pdf, "application/pdf")
    # Not within a transaction: a mail server that is slow would hold up all who write. It is written down first, so that a button that
    # is pressed twice sends one mail.
    before = {"mailed_at": invoice.mailed_at, "mailed_to": invoice.mailed_to}
    sent: dict[str, Any] = {"mailed_at": timezone.now(), "mailed_to": ", ".join(to)}
    if not _write_down(kept, before, sent):
        raise InvoiceRefused(f"Invoice {kept} was sent a moment ago, most likely by a second press of the button.", code="sent")
    try:
        mail.send()
    except BaseException:
        _write_down(kept, sent, before)
        raise
    kept.mailed_at, kept.mailed_to = sent["mailed_at"], sent["mailed_to"]
    return kept


def _portal_link(invoice: Invoice, *, address: str) -> str:
    """Where the client sees it, ``address`` being the site's; empty where its portal does not show it."""
    client = invoice.client
    if not (client.active and client.portal_enabled and client.portal_shows_invoices):
        return ""
    return address + reverse("portal:invoice", args=[invoice.pk])


def _with_pdf(invoice: Invoice) -> tuple[Invoice, bytes]:
    """The invoice as it is now, and its PDF. Raises InvoiceRefused: what a storage fails with is no fault of the mail server."""
    try:
        kept = invoice_pdf_keep(invoice)
        with storage_asked(), kept.pdf.open("rb") as file:
            return kept, file.read()
    except FileNotFoundError as error:
        sentence = "The PDF of this invoice is missing among the uploads. A backup has it. Nothing was sent."
        raise InvoiceRefused(sentence, code="pdf") from error
    except OSError as error:
        sentence = f"The PDF of this invoice cannot be read ({error.strerror or error}), so nothing was sent. Tell whoever runs this site."
        raise InvoiceRefused(sentence, code="pdf") from error


def _write_down(invoice: Invoice, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Write ``new`` over the ``old`` values of the row; whether they were those. What a mail changes is never fixed by the issue."""
    rows = Invoice._base_manager.filter(pk=invoice.pk, **old)
    return rows.update(**new, updated_at=timezone.now()) == 1
