"""Fixtures that several modules share: real servers, scratch sites and databases, and folders of the test's own.

Servers start when first asked for and end with the session.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from pytest_django import Settings

from backups.gate import gate_release
from backups.tests.contracts import CONTENT
from backups.tests.faults import FaultProxy
from backups.tests.scratch_postgres import ScratchPostgres, scratch_postgres
from backups.tests.servers import PgCluster, RedisServer, S3Server, oldest_pg_major, running
from backups.tests.site import Site, SiteTemplates
from backups.tests.warm import WarmSite

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


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
    """An S3-protocol server, and one description of the protocol for all its clients: each would read megabytes of JSON anew."""
    from botocore.loaders import create_loader

    with pytest.MonkeyPatch.context() as patch, running(S3Server()) as server:
        patch.setattr("botocore.session.create_loader", cache(create_loader))
        yield server


@pytest.fixture(scope="session")
def s3_client(s3_server: S3Server) -> S3Client:
    """A client of the S3 server itself, past proxy and store."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint_url,
        region_name=s3_server.region,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
    )


@pytest.fixture
def bucket(s3_client: S3Client) -> str:
    """A bucket of the test's own; its name."""
    name = f"backups-{uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    """What can go wrong on the way to the S3 server."""
    with FaultProxy(s3_server.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def scratch(pg: PgCluster, settings: Settings) -> Iterator[ScratchPostgres]:
    """A PostgreSQL database with content, owned by a role that may create databases and nothing more."""
    settings.BACKUPS_PG_BIN_DIRS = [str(pg.bin_dir)]
    with scratch_postgres(pg) as scratch:
        scratch.execute(CONTENT)
        yield scratch


@pytest.fixture
def own_state(tmp_path: Path, settings: Settings) -> None:
    """Journals of the test go to a folder of its own."""
    settings.BACKUPS_STATE_DIR = tmp_path / "state"


@pytest.fixture
def own_gate(own_state: None, tmp_path: Path, settings: Settings) -> Iterator[None]:
    """Journals and gate, on files, of the test's own."""
    folder = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path / "gate")}
    settings.CACHES = {**settings.CACHES, "backups": folder}
    yield
    gate_release()


@pytest.fixture
def media(tmp_path: Path, settings: Settings) -> Path:
    """The folder of the test's own to which uploads go."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


@pytest.fixture(scope="session")
def site_templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteTemplates]:
    """Makes scratch sites: ``site_templates.site(cluster)``, ``.blank(cluster)``."""
    templates = SiteTemplates(tmp_path_factory.mktemp("sites"))
    yield templates
    shutil.rmtree(templates.folder)


@pytest.fixture
def sqlite_site(site_templates: SiteTemplates) -> Iterator[WarmSite]:
    """A migrated scratch site on SQLite, whose commands are forks of one process: see :class:`WarmSite`."""
    site = WarmSite.of(site_templates.site())
    yield site
    site.close()


@pytest.fixture
def postgres_site(site_templates: SiteTemplates, pg: PgCluster) -> Iterator[WarmSite]:
    """A migrated scratch site on the default PostgreSQL cluster."""
    site = WarmSite.of(site_templates.site(pg))
    yield site
    pg.start()
    site.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest) -> Site:
    """A migrated scratch site on each engine."""
    chosen: Site = request.getfixturevalue("sqlite_site" if request.param == "sqlite" else "postgres_site")
    return chosen


@pytest.fixture
def cache_away(own_gate: None, settings: Settings, tmp_path: Path) -> None:
    """A gate whose server is gone; no file of this host says anything either."""
    nowhere = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": f"unix://{tmp_path}/nobody"}
    settings.CACHES = {**settings.CACHES, "backups": nowhere}
