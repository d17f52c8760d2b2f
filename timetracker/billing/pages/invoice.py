"""The page of one invoice: as it stands, its PDF, the mail to the client, payments, and taking it back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from timetracker.accounts.access import TeamRequest
from timetracker.accounts.links import site_address
from timetracker.attachments import attachment_answer
from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.invoice_mail import invoice_mail, mail_addresses, mail_words
from timetracker.billing.issuing import invoice_cancel, invoice_pdf_keep, payment_add, payment_remove
from timetracker.billing.models import Invoice, Payment
from timetracker.billing.pages.access import money_page
from timetracker.billing.pages.invoice_forms import DiscountForm, LineForm, MailForm, PaymentForm
from timetracker.billing.pages.refusals import invoice_address, refusals_said
from timetracker.billing.totals import cents, with_totals
from timetracker.careful_forms import go_on, row_to_change
from timetracker.mail_faults import mail_fault
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.days import today_in, zone_of

__all__ = ["cancel", "invoice", "invoice_file", "payment_delete", "payment_new", "pdf_make", "send"]


@require_safe
@money_page("billing.view_invoice")
def invoice(request: TeamRequest, pk: int) -> HttpResponse:
    """One invoice: a draft with what changes it, an issued one as it is."""
    found = get_object_or_404(with_totals(Invoice.objects.select_related("client", "issued_by")), pk=pk)
    # Grouped rows leave the model's order.
    items = found.items.annotate(entries=Count("time_entries")).order_by("position", "id")
    context: dict[str, Any] = {"active": "invoices", "invoice": found, "items": items, "site": SiteSettings.load()}
    if found.is_draft:
        context |= {"line_form": LineForm(auto_id="line_%s"), "discount_form": DiscountForm(auto_id="discount_%s")}
        return render(request, "staff/draft.html", context)
    context |= {"payments": found.payments.all(), "form": _payment_form(request, found)}
    return render(request, "staff/invoice.html", context)


@require_safe
@money_page("billing.view_invoice")
def invoice_file(request: TeamRequest, pk: int) -> HttpResponseBase:
    """The PDF as it was issued; of a draft, as it would be now."""
    found = get_object_or_404(Invoice.objects.select_related("client"), pk=pk)
    if found.pdf:
        return attachment_answer(found.pdf)
    if not found.is_draft:
        raise Http404("It was issued without a PDF.")
    # As where it is issued: only who draws one loads what draws.
    from timetracker.billing.invoice_pdf import invoice_pdf

    name = f"draft-{found.pk}.pdf"
    content = invoice_pdf(found, site=SiteSettings.load())
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(content, content_type="application/pdf", headers=headers)


@require_POST
@money_page("billing.change_invoice")
@refusals_said
def pdf_make(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Make the PDF of an invoice of an older version, which had none."""
    found = get_object_or_404(Invoice, pk=pk)
    try:
        invoice_pdf_keep(found)
    except OSError as error:
        messages.error(request, f"The PDF cannot be kept ({error.strerror or error}). Tell whoever runs this site, and try again.")
    else:
        messages.success(request, "The PDF is made, and kept with the invoice.")
    return go_on(request, invoice_address(pk))


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.change_invoice")
def send(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Ask to whom and with which words, and send it."""
    found = get_object_or_404(Invoice.objects.select_related("client"), pk=pk)
    if found.is_draft or found.status == Invoice.Status.CANCELLED:
        messages.error(request, f"{found} is {found.get_status_display().lower()}: only an issued invoice is sent.")
        return go_on(request, invoice_address(pk))
    addresses = mail_addresses(found.client)
    initial = {"to": addresses[:1], "words": mail_words(found)}
    form = MailForm(request.POST or None, addresses=addresses, last=found.mailed_at, initial=initial)
    if form.is_valid():
        to, words = form.addresses(form.cleaned_data), form.cleaned_data["words"]
        try:
            invoice_mail(found, to=to, address=site_address(request), words=words, by=request.user)
        except InvoiceRefused as refused:
            form.add_error(None, refused)
        except OSError as error:
            form.add_error(None, f"Nothing was sent. {mail_fault(error)} Until then download the PDF, and send it yourself.")
        else:
            messages.success(request, f"Invoice {found} is on its way to {', '.join(to)}.")
            return go_on(request, invoice_address(pk))
    context = {"active": "invoices", "form": form, "invoice": found}
    return render(request, "staff/invoice_send.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.add_payment")
@refusals_said
def payment_new(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Write down what was received."""
    with row_to_change(request, Invoice.objects.all(), pk):
        found = get_object_or_404(with_totals(Invoice.objects.select_related("client")), pk=pk)
        form = _payment_form(request, found)
        if form.is_valid():
            payment_add(found, **{name: form.cleaned_data[name] for name in ("amount", "paid_on", "method", "reference")})
            found.refresh_from_db(fields=["status"])
            left = found.balance
            said = (
                "It is paid." if left == 0 else f"{abs(left):,.2f} {found.currency} {'left to pay' if left > 0 else 'too much was paid'}."
            )
            messages.success(request, f"The payment is saved. {said}")
            return go_on(request, invoice_address(pk))
    return render(request, "staff/invoice_payment.html", {"active": "invoices", "form": form, "invoice": found})


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.delete_payment")
def payment_delete(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Ask, and take a payment away."""
    found = get_object_or_404(Payment.objects.select_related("invoice"), pk=pk)
    back = invoice_address(found.invoice_id)
    if request.method == "POST":
        try:
            payment_remove(found)
            messages.success(request, f"The payment of {found.amount:,.2f} {found.invoice.currency} is removed.")
        except InvoiceRefused as refused:
            messages.error(request, " ".join(refused.messages))
        return go_on(request, back)
    name = f"the payment of {found.amount:,.2f} {found.invoice.currency} for {found.invoice}"
    return render(request, "staff/delete.html", {"active": "invoices", "name": name, "kind": "payment", "back": back})


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.change_invoice")
@refusals_said
def cancel(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Ask, and take the invoice back."""
    found = get_object_or_404(Invoice.objects.select_related("client"), pk=pk)
    if request.method == "POST":
        invoice_cancel(found)
        messages.success(request, f"Invoice {found} is cancelled. What it billed can be billed again.")
        return go_on(request, invoice_address(pk))
    return render(request, "staff/invoice_cancel.html", {"active": "invoices", "invoice": found})


def _payment_form(request: TeamRequest, found: Any) -> PaymentForm:
    left = cents(found.balance_cents)
    initial = {"paid_on": today_in(zone_of(request.user)), "amount": left if left > 0 else None}
    paid = int(found.paid_cents)
    return PaymentForm(request.POST or None, instance=Payment(invoice=found), initial=initial, paid=paid, auto_id="payment_%s")
