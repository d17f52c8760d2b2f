"""``{% load ages %}``, then ``{{ moment|age }}``: how long ago that was, for people."""

from __future__ import annotations

from django.template import Library

from backups.times import ago

register = Library()
register.filter("age", ago)
