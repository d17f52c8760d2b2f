"""What is new, and the projects."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal.access import PortalRequest, client_page
from portal.figures import (
    documents_of,
    entries_of,
    invoice_sums,
    invoices_of,
    projects_of,
    projects_with_time,
    sums_added,
    time_by,
    time_sums,
    with_standing,
)
from timetracker.lists import page_of
from timetracker.tracking.days import month_of, today_in
from timetracker.tracking.models import Project
from timetracker.tracking.sums import starting_on

__all__ = ["dashboard", "projects"]

# How many rows of each kind the overview shows; its pages have all.
ENTRIES, PROJECTS, OTHERS = 5, 10, 3


@require_safe
@client_page()
def dashboard(request: PortalRequest) -> HttpResponse:
    """What is new, of all that the client sees."""
    client = request.client
    context: dict[str, object] = {"active": "dashboard"}
    if client.portal_shows_time:
        entries = entries_of(client)
        first, last = month_of(today_in(request.zone))
        running = projects_of(client).filter(status=Project.Status.ACTIVE)
        by_project = time_by(entries, client, "project_id")
        context |= {
            "month": first,
            "month_sums": time_sums(starting_on(entries, first, last, zone=request.zone), client),
            "all_sums": sums_added(by_project.values()),
            "entries": with_standing(entries, client)[:ENTRIES],
            "projects": projects_with_time(running[:PROJECTS], by_project),
        }
    if client.portal_shows_invoices:
        context |= {"money": invoice_sums(client), "invoices": invoices_of(client)[:OTHERS]}
    if client.portal_shows_documents:
        context["documents"] = documents_of(client)[:OTHERS]
    return render(request, "portal/dashboard.html", context)


@require_safe
@client_page()
def projects(request: PortalRequest) -> HttpResponse:
    """All projects, page by page; their hours and budgets where the client sees time."""
    client = request.client
    page = page_of(request, projects_of(client))
    sums = time_by(entries_of(client).filter(project__in=[project.pk for project in page]), client, "project_id")
    return render(request, "portal/projects.html", {"active": "projects", "page": page, "projects": projects_with_time(page, sums)})
