"""Expenses: the list, each with its receipt, and the forms.

What one does not see does not exist (404); what is on an invoice does not change.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.roles import MONEY
from timetracker.attachments import attachment_answer, attachment_followed
from timetracker.billing.expenses import expense_refusal, expense_sums, expenses_seen_by
from timetracker.billing.models import Expense
from timetracker.billing.pages.expense_forms import ExpenseFilter, ExpenseForm
from timetracker.careful_forms import form_saved, go_on, row_to_change
from timetracker.lists import asked_of, id_of, page_of
from timetracker.tracking.models import Project

__all__ = ["expense", "expense_add", "expense_delete", "expenses", "receipt"]

_WITH = ("user", "project", "invoice_item__invoice")


@require_safe
@team_page("billing.view_expense")
def expenses(request: TeamRequest) -> HttpResponse:
    """Expenses that she sees, page by page, with the sums of all that are asked for."""
    form = ExpenseFilter(request.GET, user=request.user)
    found = _found(form, expenses_seen_by(request.user))
    page = page_of(request, found.select_related(*_WITH))
    context = {
        "active": "expenses",
        "form": form,
        "page": page,
        "sums": expense_sums(found),
        "asked": asked_of(request),
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "of": form.wanted("project") or form.wanted("client"),
        "sees_all": request.user.has_perm(MONEY),
    }
    return render(request, "staff/expenses.html", context)


def _found(form: ExpenseFilter, rows: QuerySet[Expense]) -> QuerySet[Expense]:
    states = {
        "open": Q(billable=True, invoice_item__isnull=True),
        "billed": Q(invoice_item__isnull=False),
        "own": Q(billable=False),
        "bare": Q(receipt=""),
    }
    fields = {"since": "spent_on__gte", "until": "spent_on__lte", "person": "user", "client": "project__client", "project": "project"}
    rows = rows.filter(**{fields[name]: form.wanted(name) for name in fields if form.wanted(name)})
    if words := form.wanted("q"):
        rows = rows.filter(Q(description__icontains=words) | Q(project__code__icontains=words) | Q(project__name__icontains=words))
    return rows.filter(states.get(form.wanted("state"), Q()))


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("billing.add_expense")
def expense_add(request: TeamRequest) -> HttpResponseBase:
    """Enter one; ``?project=ID`` says on what."""
    asked = id_of(request.GET.get("project"))
    project = Project.objects.select_related("client").filter(pk=asked).first() if asked else None
    initial = {"project": project.pk, "currency": project.client.currency} if project else None
    form = _form(request, Expense(), initial=initial)
    if form.is_bound and form.is_valid() and form_saved(form):
        messages.success(request, "The expense is saved.")
        return go_on(request, reverse("staff:expenses"))
    return render(request, "staff/expense_form.html", {"active": "expenses", "form": form})


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("billing.view_expense")
def expense(request: TeamRequest, pk: int) -> HttpResponseBase:
    """One expense: the form or, where it does not change, what it is."""
    may = request.user.has_perm("billing.change_expense")
    with row_to_change(request, expenses_seen_by(request.user).select_related(*_WITH), pk) as found:
        refusal = expense_refusal(found) if may else "You may see it, and not change it."
        if refusal:
            if request.method == "POST":
                messages.error(request, refusal)
            context = {"active": "expenses", "expense": found, "refusal": refusal}
            return render(request, "staff/expense.html", context, status=403 if request.method == "POST" else 200)
        form = _form(request, found)
        if form.is_bound and form.is_valid() and form_saved(form):
            messages.success(request, "The expense is saved.")
            return go_on(request, reverse("staff:expenses"))
    kept = get_object_or_404(expenses_seen_by(request.user), pk=pk)
    return render(request, "staff/expense_form.html", {"active": "expenses", "form": form, "expense": kept})


def _form(request: TeamRequest, row: Expense, *, initial: dict[str, Any] | None = None) -> ExpenseForm:
    if request.method == "POST":
        return ExpenseForm(request.POST, request.FILES, instance=row, user=request.user)
    return ExpenseForm(instance=row, user=request.user, initial=initial)


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("billing.delete_expense")
def expense_delete(request: TeamRequest, pk: int) -> HttpResponse:
    """Ask, and delete the row with its receipt, unless it is on an invoice."""
    back = reverse("staff:expense", args=[pk])
    with row_to_change(request, expenses_seen_by(request.user).select_related(*_WITH), pk) as found:
        if refusal := expense_refusal(found):
            messages.error(request, refusal)
            return redirect(back)
        if request.method == "POST":
            with attachment_followed(found, "receipt"):
                found.delete()
            messages.success(request, f"{found} is deleted.")
            return redirect("staff:expenses")
    context = {"active": "expenses", "name": str(found), "kind": "expense with its receipt", "back": back}
    return render(request, "staff/delete.html", context)


@require_safe
@team_page("billing.view_expense")
def receipt(request: TeamRequest, pk: int) -> HttpResponseBase:
    """The file of a receipt."""
    found = get_object_or_404(expenses_seen_by(request.user), pk=pk)
    if not found.receipt:
        raise Http404("There is no receipt.")
    return attachment_answer(found.receipt)
