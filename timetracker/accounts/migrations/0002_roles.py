"""The three roles, as groups. They are made once; what people change in them afterwards stays."""

from django.db import migrations

VIEW, EDIT = ("view",), ("view", "add", "change", "delete")

ROLES = {
    "Member": {
        ("clients", "client"): VIEW,
        ("tracking", "project"): VIEW,
        ("tracking", "task"): ("view", "add", "change"),
        ("tracking", "timeentry"): EDIT,
        ("billing", "expense"): ("view", "add", "change"),
    },
    "Project lead": {
        ("clients", "client"): ("view", "add", "change"),
        ("clients", "document"): EDIT,
        ("tracking", "project"): EDIT,
        ("tracking", "projectrate"): EDIT,
        ("tracking", "task"): EDIT,
        ("tracking", "timeentry"): EDIT,
        ("billing", "expense"): EDIT,
        ("billing", "invoice"): VIEW,
        ("billing", "invoiceitem"): VIEW,
        ("billing", "payment"): VIEW,
    },
    "Accountant": {
        ("clients", "client"): ("view", "add", "change"),
        ("clients", "document"): EDIT,
        ("tracking", "project"): VIEW,
        ("tracking", "projectrate"): EDIT,
        ("tracking", "task"): VIEW,
        ("tracking", "timeentry"): ("view", "change"),
        ("billing", "invoice"): EDIT,
        ("billing", "invoiceitem"): EDIT,
        ("billing", "payment"): EDIT,
        ("billing", "expense"): EDIT,
        ("siteconf", "sitesettings"): ("view", "change"),
    },
}


def create_roles(apps, schema_editor):
    """Make each role that is missing, with its permissions.

    Django makes permissions after the last migration only, so those that are needed here are made here, as it names them.
    """
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for role, models in ROLES.items():
        group, created = Group.objects.get_or_create(name=role)
        if not created:
            continue
        for (app_label, model), actions in models.items():
            content_type, _ = ContentType.objects.get_or_create(app_label=app_label, model=model)
            name = apps.get_model(app_label, model)._meta.verbose_name
            for action in actions:
                permission, _ = Permission.objects.get_or_create(
                    content_type=content_type, codename=f"{action}_{model}", defaults={"name": f"Can {action} {name}"}
                )
                group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("billing", "0002_initial"),
        ("clients", "0001_initial"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("siteconf", "0001_initial"),
        ("tracking", "0001_initial"),
    ]

    operations = [migrations.RunPython(create_roles, migrations.RunPython.noop)]
