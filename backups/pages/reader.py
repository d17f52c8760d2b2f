"""Times as the one reads them who asks for a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils import timezone

__all__ = ["in_readers_zone"]


@contextmanager
def in_readers_zone(request: HttpRequest) -> Iterator[None]:
    """Until the end of the block, times are those of the reader's account, where that has a ``time_zone``; else the site's.

    A response that is rendered later must be rendered within.
    """
    name = getattr(request.user, "time_zone", "")
    try:
        zone = ZoneInfo(name) if name else None
    except (OSError, ValueError):
        zone = None
    if zone is None:
        yield
        return
    with timezone.override(zone):
        yield
