"""Owners may import exports. What people change in the group afterwards stays."""

from importlib import import_module

from django.db import migrations


def give_permission(apps, schema_editor):
    """Give it to the role, where its group is there."""
    permission_of = import_module("timetracker.accounts.migrations.0004_four_roles").permission_of
    found = permission_of(apps, "imports", "import", "import_data", dict(apps.get_model("imports", "import")._meta.permissions)["import_data"])
    for group in apps.get_model("auth", "Group").objects.filter(name="Owner"):
        group.permissions.add(found)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_four_roles"),
        ("imports", "0003_data"),
    ]

    operations = [migrations.RunPython(give_permission, migrations.RunPython.noop)]
