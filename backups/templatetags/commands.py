"""``{% load commands %}``, then ``{{ text|as_typed }}``: the commands in a text as whoever runs this site types them."""

from __future__ import annotations

from django.template import Library

from backups.management.terminal import as_typed

register = Library()
register.filter("as_typed", as_typed)
