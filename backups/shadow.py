"""``python -m backups.shadow NAME``: bring one database to the code's state, in a process of its own.

With ``--wait`` instead of a NAME it loads the project, writes :data:`READY` and reads the name from stdin, as one line of JSON, which
no locale and no byte of a path changes.

NAME is a shadow, a kept state or (strategy in-place) the live database itself. A fresh process, because Django's
connections, content types and permissions are cached per process and must not know the live database here. It
migrates to head, proves that every model can be read, and ends all sessions, since a session belongs to the data it
was made in. With ``--analyze`` (a load brings no statistics), and where it has migrated, it gathers the planner's statistics.
The last line on stdout is the outcome as JSON; exit 0 when the database is fit to go live.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

from backups.conf import conf
from backups.exceptions import reason_of

__all__ = ["READY", "main", "shadow_prepare"]

READY = b"ready\n"

# Limits that a role or a database has for the sake of pages must not end a migration.
UNLIMITED = " ".join(
    f"-c {name}"
    for name in (
        "statement_timeout=0",
        "lock_timeout=0",
        "idle_in_transaction_session_timeout=0",
        "idle_session_timeout=0",
        "default_transaction_read_only=off",
    )
)


def shadow_prepare(*, lenient: bool, analyze: bool) -> dict[str, Any]:
    """Migrate, check and, where ``analyze`` says so or something was migrated, analyze the default database of this process.

    Returns ``{"migrated": [...], "warnings": [...]}``. With ``lenient`` (undo: the data was live before, whatever its
    state) a model that cannot be read is a warning; else it raises RuntimeError.
    """
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    warnings = []
    if lenient and not executor.loader.applied_migrations:
        # Tables that our migrations did not make are in their way; what was live is to come back as it was.
        warnings.append("It was never migrated and comes back as it was.")
        plan = []
    if plan:
        from django.core.management import call_command

        call_command("migrate", interactive=False, verbosity=0)
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise RuntimeError("Migrations are still pending after migrate.")
    with statistics_gathered() if analyze or plan else nullcontext():
        warnings += prove(unmigrated=executor.loader.unmigrated_apps, lenient=lenient)
    return {"migrated": [f"{migration.app_label}.{migration.name}" for migration, _ in plan], "warnings": warnings}


def prove(*, unmigrated: Collection[str], lenient: bool) -> list[str]:
    """Run the system checks, read every model but those of the ``unmigrated`` apps, end all sessions; returns what ``lenient`` forgives."""
    from django.apps import apps
    from django.core.management import call_command
    from django.db import DEFAULT_DB_ALIAS, DatabaseError

    warnings = []
    call_command("check", databases=[DEFAULT_DB_ALIAS], verbosity=0)
    for model in apps.get_models():
        if model._meta.proxy or not model._meta.managed or model._meta.app_label in unmigrated:
            continue
        columns = [field.attname for field in model._meta.concrete_fields]
        try:
            list(model._base_manager.order_by().values_list(*columns)[:1])
        except DatabaseError as error:
            problem = f"{model._meta.label} cannot be read: {reason_of(error)}"
            if not lenient:
                raise RuntimeError(problem) from error
            warnings.append(problem)
    if apps.is_installed("django.contrib.sessions"):
        from django.contrib.sessions.models import Session

        try:
            Session.objects.all().delete()
        except DatabaseError as error:
            if not lenient:
                raise
            warnings.append(f"Sessions could not be ended: {reason_of(error)}")
    return warnings


@contextmanager
def statistics_gathered() -> Iterator[None]:
    """Gather the planner's statistics: on PostgreSQL beside the block, on SQLite, which has one writer, after it."""
    from django.db import connection

    def gather() -> None:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        # A thread has one of its own.
        connection.close()

    if connection.vendor != "postgresql":
        yield
        gather()
        return
    with ThreadPoolExecutor(max_workers=1) as beside:
        gathering = beside.submit(gather)
        yield
    gathering.result()


# Django's own options of a connection; all others are libpq's, and of the address that they stand in.
DJANGO_OPTIONS = ("assume_role", "isolation_level", "server_side_binding")


def past_the_pooler(default: dict[str, Any]) -> None:
    """Let the settings ``default`` lead to the server that ``BACKUPS_MAINTENANCE_URL`` names, as the engine does.

    A pooler in between knows no shadow, and refuses a connection that sets options.
    """
    if not conf.maintenance_url:
        return
    from psycopg2.extensions import parse_dsn

    given = parse_dsn(conf.maintenance_url)
    given.pop("dbname", None)
    role = {"USER": given.pop("user"), "PASSWORD": given.pop("password", "")} if "user" in given else {}
    kept = {name: value for name, value in default.get("OPTIONS", {}).items() if name in (*DJANGO_OPTIONS, "options")}
    default |= {**role, "HOST": given.pop("host", ""), "PORT": given.pop("port", ""), "OPTIONS": {**kept, **given}}


def lead_to(name: str) -> None:
    """Let the default database be the one of that name, or none at all where it is empty."""
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = name


def without_limits() -> None:
    """Let the default database's connections know this operation, no pooler and no limits for pages."""
    from django.conf import settings

    default = settings.DATABASES["default"]
    if not default["ENGINE"].endswith("postgresql"):
        return
    past_the_pooler(default)
    options = default.setdefault("OPTIONS", {})
    options["application_name"] = f"backups:{os.environ.get('BACKUPS_OPERATION', '')}"
    # libpq takes the variable only where no options are given.
    given = options.get("options") or os.environ.get("PGOPTIONS", "")
    options["options"] = f"{given} {UNLIMITED}".strip()

    from django.db.backends.signals import connection_created

    connection_created.connect(_lift_newer_limit)


def _lift_newer_limit(connection: Any, **_: object) -> None:
    """What servers from 17 on know; older ones would refuse a connection that sets it."""
    if connection.vendor == "postgresql" and connection.pg_version >= 170000:
        with connection.cursor() as cursor:
            cursor.execute("SET transaction_timeout = 0")


def name_awaited() -> str:
    """Load what the checks will load, say so, and wait for the name; empty where nobody wants it any more."""
    from django.db.migrations.loader import MigrationLoader
    from django.urls import get_resolver

    _ = get_resolver().reverse_dict
    MigrationLoader(None)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    return str(json.loads(sys.stdin.buffer.readline() or b'""'))


def main(argv: list[str]) -> int:
    """Run for the database named in ``argv``; 0 when it is fit, 1 with one line of reason on stderr when not."""
    lenient, analyze, waits = "--lenient" in argv, "--analyze" in argv, "--wait" in argv
    names = [word for word in argv if not word.startswith("--")]
    if len(names) != (0 if waits else 1):
        print("usage: python -m backups.shadow NAME|--wait [--lenient] [--analyze]", file=sys.stderr)
        return 2

    # As in manage.py: what is imported stays, and need not be looked through for garbage.
    gc.set_threshold(50_000)
    import django

    # Without a name nothing can be asked of the live database while the project is loaded: what it learned there would stay.
    lead_to("" if waits else names[0])
    without_limits()
    django.setup()
    if waits:
        name = name_awaited()
        if not name:
            return 2
        lead_to(name)
    try:
        outcome = shadow_prepare(lenient=lenient, analyze=analyze)
    except Exception as error:
        print(f"{type(error).__name__}: {reason_of(error)}", file=sys.stderr)
        return 1
    print(json.dumps(outcome))
    gc.freeze()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
