"""What the list of archives can be narrowed down to. None of them asks the database for its choices."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from backups.models import SCHEDULE_TRIGGER, Backup
from backups.origin import ENGINES, WHY

__all__ = ["EngineFilter", "TimeFilter", "VerifiedFilter", "WhyFilter"]


class WhyFilter(admin.SimpleListFilter):
    """Why the archive is there."""

    title = parameter_name = "why"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The words of the list."""
        return [("manual", "manual"), ("schedule", "schedule"), *list(WHY.items())[1:], ("uploaded", "uploaded")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Backup]) -> QuerySet[Backup]:
        """Those of that reason; what was brought here is nothing else, whatever it says of itself."""
        chosen = self.value()
        if chosen == "uploaded":
            return queryset.filter(is_uploaded=True)
        if chosen == "schedule":
            return queryset.filter(is_uploaded=False, trigger__startswith=SCHEDULE_TRIGGER)
        return queryset.filter(is_uploaded=False, trigger=chosen) if chosen else queryset


class VerifiedFilter(admin.SimpleListFilter):
    """What the last verification found."""

    title = parameter_name = "verified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Good, bad, or nobody knows."""
        return [("yes", "verified"), ("no", "not verified"), ("bad", "found damaged")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Backup]) -> QuerySet[Backup]:
        """Those of that outcome."""
        wanted = {
            "yes": Q(problem="", verified_at__isnull=False),
            "no": Q(problem="", verified_at__isnull=True),
            "bad": ~Q(problem=""),
        }
        return queryset.filter(wanted[chosen]) if (chosen := self.value()) in wanted else queryset


class EngineFilter(admin.SimpleListFilter):
    """Which database it is of."""

    title = parameter_name = "engine"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The engines that there are."""
        return list(ENGINES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Backup]) -> QuerySet[Backup]:
        """Those of that engine."""
        return queryset.filter(vendor=chosen) if (chosen := self.value()) in ENGINES else queryset


class TimeFilter(admin.DateFieldListFilter):
    """When it was, by the reader's calendar."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """In a person's word instead of the field's name."""
        super().__init__(*args, **kwargs)
        self.title = "time"
