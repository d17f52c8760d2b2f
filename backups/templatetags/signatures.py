"""``{% load signatures %}``, then ``{{ signature|signature_said }}``: who vouches for an archive, for people."""

from __future__ import annotations

from django.template import Library

from backups.origin import signature_said

register = Library()
register.filter("signature_said", signature_said)
