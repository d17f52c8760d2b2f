"""Rows that migrations make: kept for the tests behind one whose end empties every table."""

from __future__ import annotations

from django.apps import apps
from django.core import serializers
from django.db.models.signals import post_migrate

# Django itself makes these anew after each flush.
MADE_BY_DJANGO = {"auth.permission", "contenttypes.contenttype"}


def give_back_after_flush() -> None:
    """Remember all rows of the migrated test database, and write them again after each flush.

    A transactional test ends with a flush, which leaves tables as empty as no site ever has them: without its roles and its
    schedule. Whether a test behind it passes must not hang on which worker took which of the two.
    """
    models = [model for model in apps.get_models() if model._meta.label_lower not in MADE_BY_DJANGO and not model._meta.proxy]
    rows = [row for model in models for row in model._default_manager.all()]
    kept = serializers.serialize("json", rows, use_natural_foreign_keys=True, use_natural_primary_keys=True)
    last = [config for config in apps.get_app_configs() if config.models_module][-1]

    def give_back(using: str, **options: object) -> None:
        """Write the rows. A migration passes its plan; a flush has none."""
        if "plan" not in options:
            for row in serializers.deserialize("json", kept, using=using):
                row.save(using=using)

    post_migrate.connect(give_back, sender=last, weak=False)
