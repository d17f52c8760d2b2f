"""Fixtures of real servers and scratch sites. Servers start when first asked for and end with the session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from backups.tests.servers import PgCluster, RedisServer, S3Server, oldest_pg_major, running
from backups.tests.site import Site, SiteTemplates


@pytest.fixture(scope="session")
def pg15() -> Iterator[PgCluster]:
    """PostgreSQL 15, the oldest that we support; where the machine has none, the oldest that there is."""
    with running(PgCluster(oldest_pg_major())) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def pg17() -> Iterator[PgCluster]:
    """PostgreSQL 17."""
    with running(PgCluster(17)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def pg18() -> Iterator[PgCluster]:
    """PostgreSQL 18."""
    with running(PgCluster(18)) as cluster:
        yield cluster


@pytest.fixture
def pg(pg15: PgCluster) -> PgCluster:
    """The default cluster, running (an earlier test may have stopped it)."""
    pg15.start()
    return pg15


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis-protocol server."""
    with running(RedisServer()) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3-protocol server."""
    with running(S3Server()) as server:
        yield server


@pytest.fixture(scope="session")
def site_templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteTemplates]:
    """Makes scratch sites: ``site_templates.site(cluster)``, ``.blank(cluster)``."""
    templates = SiteTemplates(tmp_path_factory.mktemp("sites"))
    yield templates
    shutil.rmtree(templates.folder)


@pytest.fixture
def sqlite_site(site_templates: SiteTemplates) -> Iterator[Site]:
    """A migrated scratch site on SQLite."""
    site = site_templates.site()
    yield site
    site.close()


@pytest.fixture
def postgres_site(site_templates: SiteTemplates, pg: PgCluster) -> Iterator[Site]:
    """A migrated scratch site on the default PostgreSQL cluster."""
    site = site_templates.site(pg)
    yield site
    pg.start()
    site.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest) -> Site:
    """A migrated scratch site on each engine."""
    chosen: Site = request.getfixturevalue("sqlite_site" if request.param == "sqlite" else "postgres_site")
    return chosen
