"""What an hour costs: of one person on one project, and in SQL of any number of entries."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, Case, F, FilteredRelation, Func, Q, QuerySet, When
from django.db.models.functions import Coalesce
from django.db.models.sql.compiler import SQLCompiler

from timetracker.accounts.models import User
from timetracker.tracking.models import Project, ProjectRate, TimeEntry

__all__ = ["BILLABLE", "Rate", "RoundedAmount", "rate_for", "with_billable", "with_rates"]

# Of time entries: it says so, and its project is.
BILLABLE = Q(billable=True, project__billable=True)


@dataclass(frozen=True)
class Rate:
    """An amount per hour, its currency, and whose rate it is.

    The rate of a person stands in her own currency, which need not be the client's: nothing is converted here.
    """

    amount: Decimal
    currency: str
    source: Literal["user on project", "project", "client", "user"]


def rate_for(*, user: User, project: Project) -> Rate | None:
    """Return what an hour of ``user`` on ``project`` costs: her rate on the project, else the project's, the client's, her own.

    The first that is set counts, and zero is a rate. None where nobody has set one, and where the project is not billable.
    """
    if not project.billable:
        return None
    client = project.client
    agreed = ProjectRate.objects.filter(project=project, user=user).values_list("hourly_rate", flat=True).first()
    if agreed is not None:
        return Rate(agreed, client.currency, "user on project")
    if project.hourly_rate is not None:
        return Rate(project.hourly_rate, client.currency, "project")
    if client.default_rate is not None:
        return Rate(client.default_rate, client.currency, "client")
    if user.hourly_rate is not None:
        return Rate(user.hourly_rate, user.currency, "user")
    return None


class RoundedAmount(Func):
    """``RoundedAmount("seconds", "rate")``: what so many whole seconds cost at a rate per hour, in hundredths, half of one goes up.

    Neither is below zero. Exact as long as both together are below 9·10¹⁸ seconds times hundredths: a rate of ten billion for
    a hundred days; above that PostgreSQL refuses to reckon, and SQLite is no longer exact.
    """

    arity = 2
    output_field = BigIntegerField()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """Its decimals are doubles, a rate in hundredths is a whole number."""
        return self._compiled("((%s * CAST(ROUND(%s * 100) AS INTEGER) + 1800) / 3600)", compiler)

    def as_postgresql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **extra: Any) -> Any:
        """Whole numbers are quicker to divide than decimals."""
        return self._compiled("((%s * (%s * 100)::bigint + 1800) / 3600)", compiler)

    def _compiled(self, template: str, compiler: SQLCompiler) -> tuple[str, list[Any]]:
        seconds, rate = (compiler.compile(expression) for expression in self.get_source_expressions())
        return template % (seconds[0], rate[0]), [*seconds[1], *rate[1]]


def with_billable(entries: QuerySet[TimeEntry]) -> QuerySet[Any]:
    """Add ``is_billable`` to each entry: it is if it says so and its project is."""
    return entries.annotate(is_billable=Case(When(BILLABLE, then=True), default=False))


def with_rates(entries: QuerySet[TimeEntry]) -> QuerySet[Any]:
    """Add ``is_billable``, ``rate`` and ``rate_currency`` to each entry: what :func:`rate_for` says of its person and project.

    ``is_billable`` is that of :func:`with_billable`; both others are null where it is not, or nobody has set a rate.
    """
    # At most one row: a person has one rate on a project.
    agreed = FilteredRelation("project__rates", condition=Q(project__rates__user=F("user")))
    rates = ("agreed_rate__hourly_rate", "project__hourly_rate", "project__client__default_rate", "user__hourly_rate")
    *of_client, of_user = (Q(**{f"{rate}__isnull": False}) for rate in rates)
    found: QuerySet[Any] = (
        with_billable(entries)
        .annotate(agreed_rate=agreed)
        .annotate(
            rate=Case(When(BILLABLE, then=Coalesce(*rates))),
            rate_currency=Case(
                When(BILLABLE & (of_client[0] | of_client[1] | of_client[2]), then="project__client__currency"),
                When(BILLABLE & of_user, then="user__currency"),
            ),
        )
    )
    return found
