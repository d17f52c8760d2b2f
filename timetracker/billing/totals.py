"""What invoices come to, in SQL and to the cent.

``Invoice.total`` and its kin read the lines of one invoice; these read any number of invoices in one query, with the
same rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, Count, F, Func, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.db.models.sql.compiler import SQLCompiler

from timetracker.billing.models import Invoice, InvoiceItem, Payment, today

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

__all__ = ["ISSUED", "CurrencySums", "InvoiceTotals", "RoundedProduct", "cents", "in_cents", "sums_by_currency", "with_totals"]

# An invoice that was cancelled may never have been sent, so it counts no more than a draft.
ISSUED = (Invoice.Status.SENT, Invoice.Status.PAID)


class InvoiceTotals(TypedDict):
    """What :func:`with_totals` adds: whole hundredths of the currency, Decimal on PostgreSQL and int on SQLite."""

    subtotal_cents: int | Decimal
    tax_cents: int | Decimal
    total_cents: int | Decimal
    paid_cents: int | Decimal
    balance_cents: int | Decimal


@dataclass(frozen=True)
class CurrencySums:
    """All issued invoices in one currency: what was billed, what was paid, what is left of those not paid, and overdue of that."""

    currency: str
    count: int
    billed: Decimal
    paid: Decimal
    open: Decimal
    overdue: Decimal


class RoundedProduct(Func):
    """``RoundedProduct(left, right, factor="100")``: ``left * right * factor`` as a whole number, half away from zero.

    ``left`` and ``right`` have two decimal places at most, ``factor`` is a power of ten from 0.01 to 100. Exact on
    PostgreSQL; on SQLite, whose decimals are doubles, it counts in whole hundredths, exact up to 9·10¹⁸ hundredths
    of hundredths: a product of 900 trillion, and a tax of 100 percent on 90 billion.
    """

    arity = 2
    output_field = BigIntegerField()

    def __init__(self, left: Any, right: Any, *, factor: str) -> None:
        """Keep the operands."""
        super().__init__(left, right)
        self.factor = Decimal(factor)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """``ROUND`` of a numeric rounds half away from zero (manual, 9.3)."""
        return self._compiled(f"ROUND(%s * %s * {self.factor})", compiler)

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """Whole hundredths on both sides; division of whole numbers cuts towards zero."""
        divisor = int(10_000 / self.factor)
        half = divisor // 2
        product = "CAST(ROUND(%s * 100) AS INTEGER) * CAST(ROUND(%s * 100) AS INTEGER)"
        nearest = f"(product + CASE WHEN product < 0 THEN -{half} ELSE {half} END) / {divisor}"
        rounded = f"(SELECT {nearest} FROM (SELECT {product} AS product))"  # noqa: S608 - built of the above alone
        return self._compiled(rounded, compiler)

    def _compiled(self, template: str, compiler: SQLCompiler) -> tuple[str, list[Any]]:
        left, right = (compiler.compile(expression) for expression in self.get_source_expressions())
        return template % (left[0], right[0]), [*left[1], *right[1]]


def with_totals(invoices: QuerySet[Invoice]) -> QuerySet[WithAnnotations[Invoice, InvoiceTotals]]:
    """Add the sums of :class:`InvoiceTotals` to each invoice."""
    found: QuerySet[Any] = (
        invoices.annotate(
            subtotal_cents=_sum_of(InvoiceItem, RoundedProduct("quantity", "unit_price", factor="100")),
            paid_cents=_sum_of(Payment, in_cents("amount")),
        )
        .annotate(tax_cents=RoundedProduct(F("subtotal_cents"), F("tax_rate"), factor="0.01"))
        .annotate(total_cents=F("subtotal_cents") + F("tax_cents"))
        .annotate(balance_cents=F("total_cents") - F("paid_cents"))
    )
    return found


def sums_by_currency(invoices: QuerySet[Any]) -> list[CurrencySums]:
    """Sum issued ``invoices``, currency by currency."""
    is_open = Q(status=Invoice.Status.SENT)
    rows = (
        with_totals(invoices.filter(status__in=ISSUED))
        .order_by("currency")
        .values("currency")
        .annotate(
            count=Count("pk"),
            billed=Sum("total_cents"),
            received=Sum("paid_cents"),
            left=Sum("balance_cents", filter=is_open),
            late=Sum("balance_cents", filter=is_open & Q(due_on__lt=today())),
        )
        .values("currency", "count", "billed", "received", "left", "late")
    )
    return [
        CurrencySums(row["currency"], row["count"], *(cents(row[name]) for name in ("billed", "received", "left", "late"))) for row in rows
    ]


def in_cents(column: str) -> RoundedProduct:
    """The amounts of ``column`` as whole hundredths, for exact sums on both engines."""
    return RoundedProduct(column, Value(1), factor="100")


def cents(value: int | Decimal | None) -> Decimal:
    """Return the amount of so many hundredths; none is nothing."""
    return Decimal(int(value or 0)).scaleb(-2)


def _sum_of(model: type[InvoiceItem | Payment], amount: RoundedProduct) -> Coalesce:
    """Sum ``amount`` over the rows of ``model`` that belong to the invoice of the outer query."""
    rows = model._default_manager.filter(invoice=OuterRef("pk")).order_by().values("invoice")
    return Coalesce(Subquery(rows.annotate(sum=Sum(amount)).values("sum"), output_field=BigIntegerField()), 0)
