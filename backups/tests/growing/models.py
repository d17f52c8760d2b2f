"""One model, in the state of the last migration."""

from __future__ import annotations

from django.db import models


class Measure(models.Model):
    """Began as a name alone; its letters are counted since the second migration and unique since the third."""

    name = models.CharField(max_length=100, unique=True)
    letters = models.PositiveIntegerField()

    class Meta:
        app_label = "growing"

    def __str__(self) -> str:
        return self.name
