"""Admin of invoices, payments and expenses."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminFileWidget
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from timetracker.accounts.roles import MONEY
from timetracker.admin_sight import SightAdmin
from timetracker.attachments import PICTURES, RECEIPT_MEGABYTES, AttachmentField
from timetracker.billing.fixed import InvoiceRefused
from timetracker.billing.issuing import payment_add, payment_remove
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment


class RefusalAdmin(SightAdmin):
    """An admin in which what is refused at the last moment is said, and nothing was done."""

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Say so instead of failing."""
        return self._said(request, super().changeform_view, *args, **options)

    def delete_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Say so instead of failing."""
        return self._said(request, super().delete_view, *args, **options)

    def _said(self, request: HttpRequest, view: Callable[..., HttpResponse], *args: Any, **options: Any) -> HttpResponse:
        try:
            return view(request, *args, **options)
        except InvoiceRefused as refused:
            messages.error(request, " ".join(refused.messages))
            return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Delete one by one: what stays is judged for each."""
        return {name: action for name, action in super().get_actions(request).items() if name != "delete_selected"}


class InvoiceItemInline(admin.TabularInline):
    """The lines, on the invoice's page."""

    model = InvoiceItem
    autocomplete_fields = ("project",)
    extra = 0


class PaymentInline(admin.TabularInline):
    """The payments, on the invoice's page, to be read: each decides whether the invoice is paid."""

    model = Payment
    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Invoice | None = None) -> bool:
        """Add them among the payments."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Payment | None = None) -> bool:
        """Keep them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Payment | None = None) -> bool:
        """Delete them among the payments."""
        return False


@admin.register(Invoice)
class InvoiceAdmin(RefusalAdmin):
    """Drafts to be written, and issued invoices to be read. They are issued, paid and cancelled on the team's pages."""

    sight = MONEY
    list_display = ("__str__", "client", "status", "issued_on", "due_on", "currency", "total", "balance", "overdue")
    list_filter = ("status", "issued_on", "due_on", "currency")
    list_select_related = ("client",)
    list_per_page = 50
    search_fields = ("number", "client__name")
    autocomplete_fields = ("client",)
    readonly_fields = ("number", "status", "total", "balance", "issued_by", "mailed_at", "mailed_to", "created_at", "updated_at")
    show_full_result_count = False
    inlines = (InvoiceItemInline, PaymentInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invoice]:
        """Read lines and payments of a page's invoices in two queries."""
        return super().get_queryset(request).prefetch_related("items", "payments")

    def get_readonly_fields(self, request: HttpRequest, obj: Invoice | None = None) -> tuple[str, ...]:
        """Keep the client and the currency of a draft: its lines are this client's time, at rates in this currency."""
        return self.readonly_fields if obj is None else (*self.readonly_fields, "client", "currency")

    @admin.display(boolean=True)
    def overdue(self, invoice: Invoice) -> bool:
        """Show whether it is overdue."""
        return invoice.is_overdue()

    def has_change_permission(self, request: HttpRequest, obj: Invoice | None = None) -> bool:
        """Show an issued invoice, and no more."""
        return (obj is None or obj.is_draft) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Invoice | None = None) -> bool:
        """Keep what has a number."""
        return (obj is None or (obj.is_draft and not obj.number)) and super().has_delete_permission(request, obj)


@admin.register(Payment)
class PaymentAdmin(RefusalAdmin):
    """Payments of all invoices. They are added and deleted, not changed, and the invoice is paid or open accordingly."""

    sight = MONEY
    list_display = ("paid_on", "invoice", "amount", "currency", "method", "reference")
    list_filter = ("method", "paid_on")
    list_select_related = ("invoice",)
    search_fields = ("invoice__number", "reference")
    autocomplete_fields = ("invoice",)
    readonly_fields = ("created_at", "updated_at")
    show_full_result_count = False

    @admin.display(ordering="invoice__currency")
    def currency(self, payment: Payment) -> str:
        """Show the invoice's currency."""
        return payment.invoice.currency

    def has_change_permission(self, request: HttpRequest, obj: Payment | None = None) -> bool:
        """Show a payment, and no more."""
        return obj is None and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Payment, form: Any, change: bool) -> None:
        """Let the invoice be paid with it."""
        added = payment_add(obj.invoice, amount=obj.amount, paid_on=obj.paid_on, method=obj.method, reference=obj.reference)
        obj.pk = added.pk

    def delete_model(self, request: HttpRequest, obj: Payment) -> None:
        """Let the invoice be open again without it."""
        payment_remove(obj)


class ExpenseForm(forms.ModelForm):
    """An expense, whose receipt is checked as on the team's pages."""

    receipt = AttachmentField(endings=PICTURES, megabytes=RECEIPT_MEGABYTES, required=False, widget=AdminFileWidget)


@admin.register(Expense)
class ExpenseAdmin(SightAdmin):
    """Expenses with their receipts. What is on an invoice does not change."""

    sight = MONEY
    form = ExpenseForm
    list_display = ("spent_on", "user", "project", "category", "description", "amount", "currency", "billable", "receipt")
    list_filter = ("category", "billable", "spent_on", "currency")
    list_select_related = ("user", "project")
    search_fields = ("description", "user__username", "project__code")
    autocomplete_fields = ("user", "project")
    readonly_fields = ("invoice_item", "created_at", "updated_at")
    show_full_result_count = False

    def has_change_permission(self, request: HttpRequest, obj: Expense | None = None) -> bool:
        """Show an expense that is on an invoice, and no more."""
        return (obj is None or obj.invoice_item_id is None) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Expense | None = None) -> bool:
        """Keep it, too."""
        return (obj is None or obj.invoice_item_id is None) and super().has_delete_permission(request, obj)
