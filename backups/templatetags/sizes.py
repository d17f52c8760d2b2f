"""``{% load sizes %}``, then ``{{ bytes|size }}``: how many bytes, for people, in the same units on every page."""

from __future__ import annotations

from django.template import Library

from backups.preflight import size_human

register = Library()
register.filter("size", size_human)
