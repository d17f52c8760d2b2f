"""Drafts: what is written on them, line by line, and their issue. An issued invoice has none of these pages (404)."""

from __future__ import annotations

from contextlib import AbstractContextManager

from django.contrib import messages
from django.db.models import Count, F, Max, QuerySet
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from timetracker.accounts.access import TeamRequest
from timetracker.billing.drafts import MOST_LINES
from timetracker.billing.issuing import invoice_issue
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.billing.pages.access import money_page
from timetracker.billing.pages.invoice_forms import DiscountForm, DraftForm, IssueForm, LineForm
from timetracker.billing.pages.refusals import invoice_address, refusals_said
from timetracker.careful_forms import form_saved, go_on, row_to_change
from timetracker.tracking.days import today_in, zone_of

__all__ = ["discount_add", "draft_delete", "draft_edit", "issue", "line", "line_add", "line_delete", "line_move"]


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.change_invoice")
@refusals_said
def draft_edit(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Change its days, tax and notes, unless somebody else has done so meanwhile."""
    with _held_draft(request, pk) as found:
        form = DraftForm(request.POST or None, instance=found)
        if form.is_valid() and form_saved(form):
            messages.success(request, "The draft is saved.")
            return go_on(request, invoice_address(pk))
    return render(request, "staff/draft_form.html", {"active": "invoices", "form": form, "invoice": found})


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.change_invoice")
@refusals_said
def line_add(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Write another line."""
    with _held_draft(request, pk) as found:
        form = LineForm(request.POST or None, instance=InvoiceItem(invoice=found, position=_next_position(found)))
        if form.is_valid() and _has_room(request, found) and form_saved(form):
            return go_on(request, invoice_address(pk))
    return render(request, "staff/draft_line.html", {"active": "invoices", "form": form, "invoice": found})


@require_POST
@money_page("billing.change_invoice")
@refusals_said
def discount_add(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Write a line that takes so many percent off."""
    with _held_draft(request, pk) as found:
        form = DiscountForm(request.POST)
        if form.is_valid() and _has_room(request, found):
            off = form.of(found.subtotal)
            if off > 0:
                words = f"Discount, {form.cleaned_data['percent'].normalize():f} %"
                InvoiceItem.objects.create(invoice=found, position=_next_position(found), description=words, unit_price=-off)
                return go_on(request, invoice_address(pk))
            form.add_error("percent", "There is nothing to take it off. Write lines first.")
    return render(request, "staff/draft_discount.html", {"active": "invoices", "form": form, "invoice": found})


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.change_invoice")
@refusals_said
def line(request: TeamRequest, pk: int, item: int) -> HttpResponseBase:
    """Change a line; the time that hangs on it stays there."""
    with _held_draft(request, pk) as invoice, row_to_change(request, invoice.items.all(), item) as found:
        form = LineForm(request.POST or None, instance=found)
        if form.is_valid() and form_saved(form):
            messages.success(request, "The line is saved.")
            return go_on(request, invoice_address(pk))
    context = {"active": "invoices", "form": form, "invoice": invoice, "line": found, "entries": found.time_entries.count()}
    return render(request, "staff/draft_line.html", context)


@require_POST
@money_page("billing.change_invoice")
@refusals_said
def line_move(request: TeamRequest, pk: int, item: int, step: int) -> HttpResponseBase:
    """Let a line change its place with the one before it (``step`` -1) or behind it (1); htmx shows the lines as they are then."""
    with _held_draft(request, pk) as found:
        items = list(found.items.all())
        place = next((place for place, each in enumerate(items) if each.pk == item), None)
        if place is not None and 0 <= place + step < len(items):
            items.insert(place + step, items.pop(place))
            for position, each in enumerate(items, 1):
                each.position = position
            InvoiceItem.objects.bulk_update(items, ["position"])
    return redirect(invoice_address(pk))


@require_POST
@money_page("billing.change_invoice")
@refusals_said
def line_delete(request: TeamRequest, pk: int, item: int) -> HttpResponseBase:
    """Take a line off; its time and its expense can be billed again."""
    with _held_draft(request, pk) as found:
        taken = found.items.filter(pk=item).first()
        if taken is not None:
            taken.delete()
            messages.success(request, f"“{taken}” is off the draft. What it billed can be billed again.")
    return redirect(invoice_address(pk))


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.change_invoice")
@refusals_said
def issue(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Ask for its days, and issue it."""
    found = get_object_or_404(_drafts().select_related("client"), pk=pk)
    today = today_in(zone_of(request.user))
    days = {"issued_on": today, "due_on": today + (found.due_on - found.issued_on)}
    form = IssueForm(request.POST or None, initial=days, as_of=_as_of(found))
    if form.is_valid():
        try:
            issued = invoice_issue(found, request.user, on=form.cleaned_data["issued_on"], due_on=form.cleaned_data["due_on"])
        except OSError as error:
            form.add_error(
                None, f"The PDF cannot be kept ({error.strerror or error}), so it is a draft still. Tell whoever runs this site."
            )
        else:
            messages.success(request, f"Invoice {issued} is issued. Send it, or download its PDF.")
            return go_on(request, invoice_address(pk))
    context = {"active": "invoices", "form": form, "invoice": found, "lines": found.items.count()}
    return render(request, "staff/draft_issue.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@money_page("billing.delete_invoice")
@refusals_said
def draft_delete(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Ask, and delete the draft; its time and its expenses can be billed again."""
    found = get_object_or_404(_drafts(), pk=pk)
    if request.method == "POST":
        name = str(found)
        found.delete()
        messages.success(request, f"{name} is deleted. What it billed can be billed again.")
        return go_on(request, reverse("staff:invoices"))
    context = {"active": "invoices", "name": str(found), "kind": "draft", "back": invoice_address(pk)}
    return render(request, "staff/delete.html", context)


def _drafts() -> QuerySet[Invoice]:
    return Invoice.objects.filter(status=Invoice.Status.DRAFT)


def _held_draft(request: TeamRequest, pk: int) -> AbstractContextManager[Invoice]:
    return row_to_change(request, _drafts(), pk)


def _as_of(found: Invoice) -> str:
    """When the draft and its lines were last changed, and how many there are."""
    lines = found.items.aggregate(count=Count("pk"), last=Max("updated_at"))
    return f"{found.updated_at.isoformat()} {lines['count']} {lines['last']}"


def _next_position(found: Invoice) -> int:
    return 1 + (found.items.aggregate(last=Max(F("position")))["last"] or 0)


def _has_room(request: TeamRequest, found: Invoice) -> bool:
    if found.items.count() < MOST_LINES:
        return True
    messages.error(request, f"An invoice has {MOST_LINES} lines at most. Take one off, or write a second invoice.")
    return False
