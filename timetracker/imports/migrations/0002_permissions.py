"""Owners and managers may import. What people change in their groups afterwards stays."""

from importlib import import_module

from django.db import migrations


def give_permissions(apps, schema_editor):
    """Give all that there are to the two roles, where their groups are there."""
    permission_of = import_module("timetracker.accounts.migrations.0004_four_roles").permission_of
    names = apps.get_model("imports", "import")._meta.permissions
    found = [permission_of(apps, "imports", "import", codename, name) for codename, name in names]
    for group in apps.get_model("auth", "Group").objects.filter(name__in=["Owner", "Manager"]):
        group.permissions.add(*found)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_four_roles"),
        ("imports", "0001_initial"),
    ]

    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
