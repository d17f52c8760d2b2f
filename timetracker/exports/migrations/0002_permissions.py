"""Owners may export everything. What people change in the group afterwards stays."""

from importlib import import_module

from django.db import migrations


def give_permissions(apps, schema_editor):
    """Give all that there are to the role, where its group is there."""
    permission_of = import_module("timetracker.accounts.migrations.0004_four_roles").permission_of
    found = [permission_of(apps, "exports", "export", codename, name) for codename, name in apps.get_model("exports", "export")._meta.permissions]
    for group in apps.get_model("auth", "Group").objects.filter(name="Owner"):
        group.permissions.add(*found)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_four_roles"),
        ("exports", "0001_initial"),
    ]

    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
