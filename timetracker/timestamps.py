"""When a row was made and last changed."""

from __future__ import annotations

from django.db import models

__all__ = ["Timestamped"]


class Timestamped(models.Model):
    """Adds ``created_at`` and ``updated_at`` (aware, UTC), both set by Django on save."""

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        abstract = True
