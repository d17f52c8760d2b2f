"""Issued invoices: the list, each with its PDF, and all as CSV."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import FileResponse, Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from portal.access import PortalRequest, client_page
from portal.figures import invoice_state, invoice_sums, invoices_of
from timetracker.attachments import attachment_answer
from timetracker.billing.totals import cents
from timetracker.clients.models import Client
from timetracker.csv_text import Cell, csv_answer
from timetracker.lists import page_of
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.days import today_in

__all__ = ["invoice", "invoice_pdf", "invoices", "invoices_csv"]

_COLUMNS = ("Invoice", "Date", "Due", "Status")
_AMOUNTS = ("Currency", "Net", "Tax", "Total", "Paid", "To pay")


@require_safe
@client_page("portal_shows_invoices")
def invoices(request: PortalRequest) -> HttpResponse:
    """Issued invoices, page by page, with the sums of all."""
    context = {"active": "invoices", "money": invoice_sums(request.client), "page": page_of(request, invoices_of(request.client))}
    return render(request, "portal/invoices.html", context)


@require_safe
@client_page("portal_shows_invoices")
def invoice(request: PortalRequest, pk: int) -> HttpResponse:
    """One issued invoice, as it is printed."""
    found = get_object_or_404(invoices_of(request.client), pk=pk)
    context = {"active": "invoices", "invoice": found, "items": found.items.all(), "payments": found.payments.all()}
    return render(request, "portal/invoice.html", context | {"site": SiteSettings.load()})


@require_safe
@client_page("portal_shows_invoices")
def invoice_pdf(request: PortalRequest, pk: int) -> FileResponse:
    """Its PDF as it was issued, to be saved. 404 where there is none, and where amounts are kept back, which it names."""
    found = get_object_or_404(invoices_of(request.client), pk=pk)
    if not (found.pdf and request.client.portal_shows_amounts):
        raise Http404("There is no PDF to show.")
    return attachment_answer(found.pdf)


@require_safe
@client_page("portal_shows_invoices")
def invoices_csv(request: PortalRequest) -> StreamingHttpResponse:
    """All of them as a file, the oldest first."""
    client = request.client
    columns = (*_COLUMNS, *_AMOUNTS) if client.portal_shows_amounts else _COLUMNS
    return csv_answer(f"invoices_{today_in(request.zone)}.csv", columns, _rows(client))


def _rows(client: Client) -> Iterator[list[Cell]]:
    for row in invoices_of(client).order_by("issued_on", "id").iterator(chunk_size=1000):
        cells: list[Cell] = [row.number, row.issued_on.isoformat(), row.due_on.isoformat(), invoice_state(row)]
        if client.portal_shows_amounts:
            is_open = row.status == row.Status.SENT
            cells.append(row.currency)
            cells += [cents(amount) for amount in (row.subtotal_cents, row.tax_cents, row.total_cents, row.paid_cents)]
            cells.append(cents(row.balance_cents if is_open else 0))
        yield cells
