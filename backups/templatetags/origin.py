"""``{% load origin %}``, then ``{{ backup|why_said }}``: why an archive was made, for people."""

from __future__ import annotations

from django.template import Library

from backups.models import Backup
from backups.origin import why_made

register = Library()


@register.filter
def why_said(backup: Backup) -> str:
    """Why an archive was made, and by whom: ``{{ backup|why_said }}``."""
    why = why_made(backup.trigger, is_uploaded=backup.is_uploaded)
    return f"{why}, by {backup.requested_by}" if backup.requested_by else why
