"""Who may see pages of invoices: they are amounts throughout."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpResponseBase

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.roles import MONEY

__all__ = ["money_page"]


def money_page(permission: str) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """As :func:`~timetracker.accounts.access.team_page`, for those alone who may see amounts."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @team_page(permission)
        @wraps(view)
        def page(request: TeamRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.has_perm(MONEY):
                raise PermissionDenied(f"{request.user.get_username()} lacks {MONEY}.")
            return view(request, *args, **kwargs)

        return page

    return decorate
