"""Admin of invoices, payments and expenses."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminFileWidget
from django.db.models import QuerySet
from django.http import HttpRequest

from timetracker.accounts.roles import MONEY
from timetracker.admin_sight import SightAdmin
from timetracker.attachments import PICTURES, RECEIPT_MEGABYTES, AttachmentField
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.billing.numbering import invoice_number_take


class InvoiceItemInline(admin.TabularInline):
    """The lines, on the invoice's page."""

    model = InvoiceItem
    autocomplete_fields = ("project",)
    extra = 0


class PaymentInline(admin.TabularInline):
    """The payments, on the invoice's page."""

    model = Payment
    extra = 0


@admin.register(Invoice)
class InvoiceAdmin(SightAdmin):
    """Invoices with lines and payments; the number is given on the first save."""

    sight = MONEY
    list_display = ("number", "client", "status", "issued_on", "due_on", "currency", "total", "balance", "overdue")
    list_filter = ("status", "issued_on", "due_on", "currency")
    list_select_related = ("client",)
    list_per_page = 50
    search_fields = ("number", "client__name")
    autocomplete_fields = ("client",)
    readonly_fields = ("number", "total", "balance", "created_at", "updated_at")
    show_full_result_count = False
    inlines = (InvoiceItemInline, PaymentInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invoice]:
        """Read lines and payments of a page's invoices in two queries."""
        return super().get_queryset(request).prefetch_related("items", "payments")

    @admin.display(boolean=True)
    def overdue(self, invoice: Invoice) -> bool:
        """Show whether it is overdue."""
        return invoice.is_overdue()

    def save_model(self, request: HttpRequest, obj: Invoice, form: Any, change: bool) -> None:
        """Give a new invoice its number."""
        if not obj.number:
            obj.number = invoice_number_take()
        super().save_model(request, obj, form, change)


@admin.register(Payment)
class PaymentAdmin(SightAdmin):
    """Payments of all invoices."""

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
