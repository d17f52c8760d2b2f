"""The pages of the portal. Each begins with the client, and what is not the client's own does not exist (404)."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from portal.access import PortalRequest, client_page
from portal.figures import (
    documents_of,
    entries_of,
    invoice_sums,
    invoices_of,
    month_start,
    projects_of,
    projects_with_time,
    time_sums,
)
from portal.forms import TimeFilter
from timetracker.attachments import attachment_answer
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.models import Project

__all__ = ["account", "dashboard", "document", "documents", "invoice", "invoices", "projects", "time_entries"]

ROWS_PER_PAGE = 50


@require_safe
@client_page()
def dashboard(request: PortalRequest) -> HttpResponse:
    """What is new, of all that the client sees."""
    client = request.client
    context: dict[str, object] = {"active": "dashboard"}
    if client.portal_shows_time:
        entries = entries_of(client)
        running = projects_with_time(client).filter(status=Project.Status.ACTIVE)
        context |= {"month": month_start(), "sums": time_sums(entries, since=month_start()), "entries": entries[:5], "projects": running}
    if client.portal_shows_invoices:
        context |= {"money": invoice_sums(client), "invoices": invoices_of(client)[:3]}
    if client.portal_shows_documents:
        context["documents"] = documents_of(client)[:3]
    return render(request, "portal/dashboard.html", context)


@require_safe
@client_page()
def projects(request: PortalRequest) -> HttpResponse:
    """All projects; their hours and budgets where the client sees time."""
    client = request.client
    rows = projects_with_time(client) if client.portal_shows_time else projects_of(client)
    return render(request, "portal/projects.html", {"active": "projects", "projects": rows})


@require_safe
@client_page("portal_shows_time")
def time_entries(request: PortalRequest) -> HttpResponse:
    """Time entries, page by page; htmx asks for the rows alone."""
    form = TimeFilter(request.GET, client=request.client)
    context: dict[str, object] = {"active": "time", "form": form}
    if form.is_valid():
        entries = form.chosen(entries_of(request.client))
        sums = time_sums(entries)
        pages = Paginator(entries, ROWS_PER_PAGE)
        # Counted with the sums; saves a query.
        pages.count = sums.count
        asked = request.GET.copy()
        asked.pop("page", None)
        context |= {
            "sums": sums,
            "page": pages.get_page(request.GET.get("page")),
            "asked": asked.urlencode(),
            "is_filtered": any(asked.values()),
        }
    elif "project" in form.errors:
        raise Http404("The project is not this client's.")
    # Going back in the browser's history asks for the whole page.
    is_part = request.htmx and not request.htmx.history_restore_request
    response = render(request, "portal/time_rows.html" if is_part else "portal/time.html", context)
    patch_vary_headers(response, ["HX-Request", "HX-History-Restore-Request"])
    return response


@require_safe
@client_page("portal_shows_invoices")
def invoices(request: PortalRequest) -> HttpResponse:
    """Issued invoices, page by page, with the sums of all."""
    sums = invoice_sums(request.client)
    pages = Paginator(invoices_of(request.client), ROWS_PER_PAGE)
    pages.count = sum(row.count for row in sums)
    return render(request, "portal/invoices.html", {"active": "invoices", "money": sums, "page": pages.get_page(request.GET.get("page"))})


@require_safe
@client_page("portal_shows_invoices")
def invoice(request: PortalRequest, pk: int) -> HttpResponse:
    """One issued invoice, as it is printed."""
    found = get_object_or_404(invoices_of(request.client), pk=pk)
    context = {"active": "invoices", "invoice": found, "items": found.items.all(), "payments": found.payments.all()}
    return render(request, "portal/invoice.html", context | {"site": SiteSettings.load()})


@require_safe
@client_page("portal_shows_documents")
def documents(request: PortalRequest) -> HttpResponse:
    """Documents released for the client, page by page."""
    page = Paginator(documents_of(request.client), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "portal/documents.html", {"active": "documents", "page": page})


@require_safe
@client_page("portal_shows_documents")
def document(request: PortalRequest, pk: int) -> FileResponse:
    """The file of a document that was released."""
    found = get_object_or_404(documents_of(request.client), pk=pk)
    return attachment_answer(found.file)


@require_safe
@client_page()
def account(request: PortalRequest) -> HttpResponse:
    """Who is logged in, and the way to a new password."""
    return render(request, "portal/account.html", {"active": "account", "is_changed": "changed" in request.GET})
