"""The history has no permissions of its own: who sees the backups sees it, and nobody changes it."""

from django.db import migrations


def remove_permissions(apps, schema_editor):
    """Take away the four that Django had made; they allowed nothing, whoever had them."""
    permissions = apps.get_model("auth", "Permission").objects.using(schema_editor.connection.alias)
    permissions.filter(content_type__app_label="backups", content_type__model="operation").delete()


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('backups', '0003_rights_and_origin'),
        ('contenttypes', '0002_remove_content_type_name'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='operation',
            options={'default_permissions': (), 'ordering': ('-started_at',)},
        ),
        migrations.RunPython(remove_permissions, migrations.RunPython.noop),
    ]
