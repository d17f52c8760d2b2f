"""Four roles: "Project lead" becomes "Manager", "Accountant" becomes "Bookkeeper", and "Owner" is new.

What people have changed in a group stays. Until now whoever might view a model saw all its rows and amounts in the admin;
that takes permissions of its own now, which all who had it get, but for the members.
"""

from importlib import import_module

from django.db import migrations

OWNER, MEMBER = "Owner", "Member"
RENAMED = {"Project lead": "Manager", "Accountant": "Bookkeeper"}
# Where an owner may do everything.
APPS = {"accounts", "auth", "backups", "billing", "clients", "portal", "siteconf", "tracking"}

# What takes a permission of its own now, and what showed it until now.
SEEN = {
    "view_all_entries": ("timeentry",),
    "view_money": ("client", "project", "projectrate", "invoice", "invoiceitem", "payment", "expense"),
}


def make_roles(apps, schema_editor):
    """Rename groups that are there, and make those that are missing.

    A group that people have made under a new name themselves is left alone, and so is then the one of the old name.
    """
    Group = apps.get_model("auth", "Group")
    found = import_module("timetracker.accounts.migrations.0002_roles").ROLES
    for old, new in RENAMED.items():
        if Group.objects.filter(name=new).exists():
            continue
        if not Group.objects.filter(name=old).update(name=new):
            Group.objects.create(name=new).permissions.add(*named_permissions(apps, found[old]))
        if new == "Manager":
            Group.objects.get(name=new).permissions.add(*named_permissions(apps, {("accounts", "user"): ("view",)}))
    group, created = Group.objects.get_or_create(name=MEMBER)
    if created:
        group.permissions.add(*named_permissions(apps, found[MEMBER]))
    group, created = Group.objects.get_or_create(name=OWNER)
    if created:
        group.permissions.add(*all_permissions(apps))
    keep_sight(apps)


def keep_sight(apps):
    """Let everybody but the members go on seeing in the admin what they could see there until now."""
    Permission = apps.get_model("auth", "Permission")
    names = dict(apps.get_model("tracking", "timeentry")._meta.permissions)
    for codename, models in SEEN.items():
        new = permission_of(apps, "tracking", "timeentry", codename, names[codename])
        before = Permission.objects.filter(codename__in=[f"{action}_{model}" for model in models for action in ("view", "change")])
        for group in apps.get_model("auth", "Group").objects.filter(permissions__in=before).exclude(name=MEMBER).distinct():
            group.permissions.add(new)
        for user in apps.get_model("accounts", "User").objects.filter(user_permissions__in=before).distinct():
            user.user_permissions.add(new)


def named_permissions(apps, models):
    """The permissions that a table of (app, model) and actions names."""
    for (app_label, model), actions in models.items():
        verbose_name = apps.get_model(app_label, model)._meta.verbose_name
        for action in actions:
            yield permission_of(apps, app_label, model, f"{action}_{model}", f"Can {action} {verbose_name}")


def all_permissions(apps):
    """All that the apps know."""
    for model in apps.get_models():
        meta = model._meta
        if meta.app_label in APPS:
            yield from named_permissions(apps, {(meta.app_label, meta.model_name): meta.default_permissions})
            for codename, name in meta.permissions:
                yield permission_of(apps, meta.app_label, meta.model_name, codename, name)


def permission_of(apps, app_label, model, codename, name):
    """The permission. Django makes them after the last migration only, so a missing one is made here, as it would name it."""
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label=app_label, model=model)
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type, codename=codename, defaults={"name": name}
    )
    return permission


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_weekly_hours"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("backups", "0004_history_without_permissions"),
        ("billing", "0002_initial"),
        ("clients", "0001_initial"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("portal", "0001_initial"),
        ("siteconf", "0001_initial"),
        ("tracking", "0002_entry_permissions"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]
