"""Invoices: the list, and a new one from what is on none yet."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from timetracker.accounts.access import TeamRequest
from timetracker.billing.drafts import MOST_LINES, draft_empty, draft_make, draft_preview
from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.models import Invoice, Payment, today
from timetracker.billing.pages.access import money_page
from timetracker.billing.pages.invoice_forms import InvoiceFilter, NewInvoiceForm
from timetracker.billing.pages.refusals import invoice_address
from timetracker.billing.totals import sums_by_currency, with_totals
from timetracker.billing.unbilled import UnbilledSums, unbilled_clients, unbilled_sums
from timetracker.careful_forms import go_on
from timetracker.clients.models import Client
from timetracker.lists import asked_of, id_of, page_of

__all__ = ["invoice_add", "invoice_blank", "invoices"]

# So many lines does a preview show; the draft has all.
SHOWN = 50


@require_safe
@money_page("billing.view_invoice")
def invoices(request: TeamRequest) -> HttpResponse:
    """All invoices, page by page, with the sums of those issued among all that are asked for."""
    form = InvoiceFilter(request.GET)
    found = _found(form)
    page = page_of(request, with_totals(found).select_related("client").order_by("-issued_on", "-id"))
    context = {
        "active": "invoices",
        "form": form,
        "page": page,
        "sums": sums_by_currency(found),
        "asked": asked_of(request),
        "is_filtered": any(request.GET.get(name) for name in form.fields),
    }
    return render(request, "staff/invoices.html", context)


def _found(form: InvoiceFilter) -> QuerySet[Invoice]:
    has_payments = Exists(Payment.objects.filter(invoice=OuterRef("pk")))
    states = {
        "draft": Q(status=Invoice.Status.DRAFT),
        "open": Q(status=Invoice.Status.SENT),
        "overdue": Q(status=Invoice.Status.SENT, due_on__lt=today()),
        "part": Q(has_payments, status=Invoice.Status.SENT),
        "paid": Q(status=Invoice.Status.PAID),
        "cancelled": Q(status=Invoice.Status.CANCELLED),
    }
    fields = {"since": "issued_on__gte", "until": "issued_on__lte", "client": "client"}
    rows = Invoice.objects.filter(**{fields[name]: form.wanted(name) for name in fields if form.wanted(name)})
    if words := form.wanted("q"):
        rows = rows.filter(Q(number__icontains=words) | Q(client__name__icontains=words))
    return rows.filter(states.get(form.wanted("state"), Q()))


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.add_invoice")
def invoice_add(request: TeamRequest) -> HttpResponseBase:
    """Choose what to bill, by the address (GET), see what comes of it, and write the draft (POST to the same address)."""
    asked = id_of(request.GET.get("client"))
    client = Client.objects.filter(pk=asked).first() if asked else None
    sums = unbilled_sums(client) if client else UnbilledSums(())
    form = NewInvoiceForm(request.GET if client else None, client=client, sums=sums)
    wanted = form.wanted() if client and form.is_valid() else None
    if request.method == "POST" and client and wanted:
        try:
            draft = draft_make(client, by=request.user, **wanted)
        except InvoiceRefused as refused:
            messages.error(request, " ".join(refused.messages))
        else:
            messages.success(request, "The draft is written. Nothing is sent before you issue it.")
            return go_on(request, invoice_address(draft.pk))
    context: dict[str, Any] = {"active": "invoices", "form": form, "client": client, "sums": sums, "shown": SHOWN, "most": MOST_LINES}
    if client is None:
        context["clients"] = unbilled_clients()
    elif wanted:
        context |= {"preview": draft_preview(client, by=request.user, **wanted), "currency": wanted["currency"]}
    return render(request, "staff/invoice_new.html", context)


@require_POST
@money_page("billing.add_invoice")
def invoice_blank(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Write a draft for the client without lines."""
    client = Client.objects.filter(pk=pk).first()
    if client is None:
        messages.error(request, "This client has been deleted meanwhile. Choose another one.")
        return go_on(request, reverse("staff:invoice_add"))
    draft = draft_empty(client, by=request.user)
    messages.success(request, "The draft is written. Add its lines.")
    return go_on(request, invoice_address(draft.pk))
