"""Archives of one PostgreSQL major in servers of another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backups.tests.servers import PgCluster
from backups.tests.site import Site, SiteTemplates, populate


@pytest.fixture(params=[17, 18])
def newer(request: pytest.FixtureRequest, site_templates: SiteTemplates) -> Iterator[Site]:
    """A migrated site on a newer server."""
    cluster: PgCluster = request.getfixturevalue(f"pg{request.param}")
    site = site_templates.site(cluster)
    yield site
    site.close()


def test_an_archive_of_an_older_server_restores_and_the_way_back_is_refused(postgres_site: Site, newer: Site) -> None:
    populate(postgres_site)
    data, uploads = postgres_site.dump_tables(), postgres_site.uploads()
    older_archive = postgres_site.backups / postgres_site.manage("backup_create").stdout.strip()

    newer.manage("backup_restore", older_archive, "--no-input", "--trust-unsigned", "--uploads", "exact")
    assert newer.dump_tables() == data
    assert newer.uploads() == uploads
    newer.manage("backup_undo", "--no-input")
    newer.manage("backup_undo", "--no-input")
    assert newer.dump_tables() == data

    newer_archive = newer.backups / newer.manage("backup_create").stdout.strip()
    completed = postgres_site.manage("backup_restore", newer_archive, "--no-input", "--trust-unsigned", check=False)
    assert completed.returncode == 3
    assert newer.cluster is not None
    assert f"PostgreSQL {newer.cluster.major}" in completed.stderr
    assert postgres_site.dump_tables() == data


def test_a_limit_that_only_newer_servers_know_does_not_end_the_migrations_of_a_shadow(newer: Site) -> None:
    cluster = newer.cluster
    assert cluster
    cluster.execute(f"ALTER ROLE \"{cluster.owner}\" SET transaction_timeout = '1min'")
    asks = "with connection.cursor() as cursor: cursor.execute('SHOW transaction_timeout'); print(*cursor.fetchone())"
    try:
        said = []
        for lifts in ("", "from backups.shadow import without_limits; without_limits()"):
            process = newer.run_python("-c", f"{lifts}\nimport django; django.setup()\nfrom django.db import connection\n{asks}")
            said.append(process.communicate(timeout=60)[0].strip())
    finally:
        cluster.execute(f'ALTER ROLE "{cluster.owner}" RESET ALL')
    assert said == ["1min", "0"]


@pytest.mark.parametrize("strategy", ["swap", "in-place"])
def test_each_server_restores_its_own_archive(newer: Site, strategy: str) -> None:
    populate(newer)
    data = newer.dump_tables()
    archive = newer.manage("backup_create").stdout.strip()
    newer.execute("DELETE FROM tracking_timeentry")
    newer.manage("backup_restore", archive, "--no-input", "--strategy", strategy)
    assert newer.dump_tables() == data
