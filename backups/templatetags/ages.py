"""``{% load ages %}``, then ``{{ moment|age }}``: how long ago that was, for people."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.template import Library
from django.utils import timezone
from django.utils.timesince import timesince

register = Library()


@register.filter
def age(moment: datetime) -> str:
    """``just now``, ``3 hours ago``; ``moment`` is aware."""
    now = timezone.now()
    return "just now" if now - moment < timedelta(minutes=1) else f"{timesince(moment, now, depth=1)} ago"
