"""IANA time zones: the names that a field may hold."""

from __future__ import annotations

from functools import cache
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError

__all__ = ["time_zone_names", "validate_time_zone"]


# Files among the zones that name none: what another machine takes them for, or nowhere.
_NO_ZONES = {"localtime", "Factory"}


@cache
def time_zone_names() -> frozenset[str]:
    """Return the names of zones that this system and the tzdata package know (read from disk once)."""
    return frozenset(available_timezones() - _NO_ZONES)


def validate_time_zone(name: str) -> None:
    """Raise ValidationError unless ``name`` is a known IANA time zone."""
    if name not in time_zone_names():
        raise ValidationError("“%(name)s” is no IANA time zone, such as Europe/Berlin.", code="time_zone", params={"name": name})
