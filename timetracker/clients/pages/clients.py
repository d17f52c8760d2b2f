"""Clients: the list, the page of each, and the forms."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.roles import MONEY
from timetracker.billing.expenses import expenses_seen_by
from timetracker.billing.models import Invoice
from timetracker.billing.totals import sums_by_currency, with_totals
from timetracker.billing.unbilled import unbilled_sums
from timetracker.careful_forms import form_saved, go_on, row_to_change
from timetracker.clients.models import Client
from timetracker.clients.pages.forms import ClientForm
from timetracker.deletion import Instead, deletion_page
from timetracker.lists import ListFilter, asked_of, page_of
from timetracker.tracking.models import Project
from timetracker.tracking.pages.project_sums import of_this_month, project_rows, seconds_by
from timetracker.tracking.visibility import entries_seen_by

__all__ = ["archive", "client", "client_add", "client_delete", "client_edit", "client_invoices", "clients", "reopen"]

# How many rows of each kind the page of a client shows; its lists have all.
SHOWN, MOST_PROJECTS = 8, 50


@require_safe
@team_page("clients.view_client")
def clients(request: TeamRequest) -> HttpResponse:
    """All clients, page by page, with the hours of this month that she sees."""
    form = ListFilter(request.GET)
    page = page_of(request, _found(form))
    entries = entries_seen_by(request.user).filter(project__client__in=[row.pk for row in page])
    month = seconds_by(of_this_month(entries, request.user), "client")
    rows = [(row, month[row.pk]) for row in page]
    context = {"active": "clients", "form": form, "page": page, "rows": rows, "asked": asked_of(request)}
    return render(request, "staff/clients.html", context)


def _found(form: ListFilter) -> QuerySet[Any]:
    running = Count("projects", filter=~Q(projects__status=Project.Status.CLOSED))
    rows = Client.objects.annotate(projects_running=running).order_by("name", "pk")
    state = form.wanted("state")
    if state != "all":
        rows = rows.filter(active=state != "archived")
    if words := form.wanted("q"):
        rows = rows.filter(Q(name__icontains=words) | Q(contact_name__icontains=words) | Q(email__icontains=words))
    return rows


@require_safe
@team_page("clients.view_client")
def client(request: TeamRequest, pk: int) -> HttpResponse:
    """One client: who it is, and what there is of it that she may see."""
    found = get_object_or_404(Client, pk=pk)
    user = request.user
    projects = Project.objects.filter(client=found).select_related("client").order_by("status", "code")[:MOST_PROJECTS]
    context: dict[str, Any] = {"active": "clients", "client": found, "projects": project_rows(projects, user), "shown": SHOWN}
    if user.has_perm("clients.view_document"):
        context["documents"] = found.documents.all()[: SHOWN + 1]
    if user.has_perm("billing.view_expense"):
        context["expenses"] = expenses_seen_by(user).filter(project__client=found).select_related("user", "project")[: SHOWN + 1]
    if user.has_perm("billing.view_invoice"):
        invoices = Invoice.objects.filter(client=found)
        context["invoices"] = with_totals(invoices).order_by("-issued_on", "-id")[: SHOWN + 1]
        context["sums"] = sums_by_currency(invoices) if user.has_perm(MONEY) else []
        context["unbilled"] = unbilled_sums(found) if user.has_perm(MONEY) else None
    return render(request, "staff/client.html", context)


@require_safe
@team_page("billing.view_invoice")
def client_invoices(request: TeamRequest, pk: int) -> HttpResponse:
    """All its invoices, page by page."""
    found = _seen(request, pk)
    invoices = Invoice.objects.filter(client=found)
    page = page_of(request, with_totals(invoices).order_by("-issued_on", "-id"))
    sums = sums_by_currency(invoices) if request.user.has_perm(MONEY) else []
    context = {"active": "clients", "client": found, "page": page, "invoices": page, "sums": sums}
    return render(request, "staff/client_invoices.html", context)


def _seen(request: TeamRequest, pk: int) -> Client:
    """The client, for whom a permission for something of it is not enough. Raises Http404."""
    seen = Client.objects.all() if request.user.has_perm("clients.view_client") else Client.objects.none()
    return get_object_or_404(seen, pk=pk)


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("clients.add_client")
def client_add(request: TeamRequest) -> HttpResponseBase:
    """Make one."""
    form = ClientForm(request.POST or None, user=request.user)
    saved = form_saved(form) if form.is_valid() else None
    if saved is not None:
        messages.success(request, f"{saved} is saved. Its first project comes next.")
        return go_on(request, _address(saved.pk))
    return render(request, "staff/client_form.html", {"active": "clients", "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("clients.change_client")
def client_edit(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Change one, unless somebody else has done so meanwhile."""
    with row_to_change(request, Client.objects.all(), pk) as found:
        form = ClientForm(request.POST or None, instance=found, user=request.user)
        if form.is_valid() and form_saved(form):
            messages.success(request, f"{found} is saved.")
            return go_on(request, _address(pk))
    context = {"active": "clients", "form": form, "client": found, "name": form.initial["name"]}
    return render(request, "staff/client_form.html", context)


@require_POST
@team_page("clients.change_client")
def archive(request: TeamRequest, pk: int) -> HttpResponse:
    """Take it and its projects out of all lists of choices, and close its portal; everything of it stays."""
    _turn(pk, active=False)
    messages.success(request, "Archived. It and its projects leave the lists of choices, and its portal is closed. Its history stays.")
    return redirect(_address(pk))


@require_POST
@team_page("clients.change_client")
def reopen(request: TeamRequest, pk: int) -> HttpResponse:
    """Bring it back, as it was."""
    _turn(pk, active=True)
    messages.success(request, "Reopened. Its projects that are not archived take time again.")
    return redirect(_address(pk))


def _turn(pk: int, *, active: bool) -> None:
    found = get_object_or_404(Client, pk=pk)
    found.active = active
    found.save(update_fields=["active", "updated_at"])


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("clients.delete_client")
def client_delete(request: TeamRequest, pk: int) -> HttpResponse:
    """Delete one that was never used."""
    found = get_object_or_404(Client, pk=pk)
    may_archive = found.active and request.user.has_perm("clients.change_client")
    instead = Instead("Archive this client", reverse("staff:client_archive", args=[pk])) if may_archive else None
    then = reverse("staff:clients")
    return deletion_page(request, found, active="clients", back=_address(pk), then=then, instead=instead)


def _address(pk: int) -> str:
    return reverse("staff:client", args=[pk])
