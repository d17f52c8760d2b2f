"""What an hour costs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from timetracker.accounts.models import User
from timetracker.tracking.models import Project, ProjectRate

__all__ = ["Rate", "rate_for"]


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
