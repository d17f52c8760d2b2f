"""Backup, restore and undo of a site that reaches its database through a pooler."""

from __future__ import annotations

from urllib.parse import quote

from backups.tests.pooler import Pooler
from backups.tests.servers import PgCluster
from backups.tests.site import Site, populate


def behind(site: Site, pooler: Pooler, pg: PgCluster) -> None:
    """Let pages reach the database through the pooler, and operations the server."""
    role, password = pg.owner, quote(pg.passwords[pg.owner], safe="")
    site.extra_env["DATABASE_URL"] = f"postgres://{role}:{password}@127.0.0.1:{pooler.port}/{site.database}?application_name=site"
    site.extra_env["BACKUPS_MAINTENANCE_URL"] = pg.url("postgres", over="tcp")


def test_a_restore_and_its_undo_go_past_the_pooler(postgres_site: Site, pg: PgCluster) -> None:
    site = postgres_site
    populate(site)
    with Pooler(pg, site.database).running() as pooler:
        behind(site, pooler, pg)
        before = site.dump_tables()
        name = site.manage("backup_create", "--no-progress").stdout.strip()
        site.execute("DELETE FROM tracking_timeentry")
        after = site.dump_tables()
        site.manage("backup_restore", name, "--no-input", "--no-progress", "--strategy", "swap")
        assert site.dump_tables() == before
        site.manage("backup_undo", "--no-input", "--no-progress")
        assert site.dump_tables() == after
        counted = site.manage("shell", "-v", "0", "-c", "from timetracker.tracking.models import *; print(TimeEntry.objects.count())")
        assert counted.stdout.strip() == "0"
        assert pooler.refused == []


def test_the_pooler_of_these_tests_refuses_what_a_pooler_refuses(postgres_site: Site, pg: PgCluster) -> None:
    with Pooler(pg, postgres_site.database).running() as pooler:
        behind(postgres_site, pooler, pg)
        del postgres_site.extra_env["BACKUPS_MAINTENANCE_URL"]
        refused = postgres_site.manage("backup_create", "--no-progress", check=False)
        assert refused.returncode != 0
        assert pooler.refused
