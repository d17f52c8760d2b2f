"""Two sites that share a Redis server and a database number there: neither sees the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backups.tests.servers import RedisServer
from backups.tests.site import Site, SiteTemplates
from backups.tests.workers import Worker, ask


@pytest.fixture
def sites(site_templates: SiteTemplates, redis_server: RedisServer) -> Iterator[tuple[Site, Site]]:
    """Two sites as two people set them up, who know of each other nothing but the server's address."""
    if redis_server.process is None:
        redis_server.start()
    both = (site_templates.site(), site_templates.site())
    for site in both:
        # "": as where it is not set.
        site.extra_env |= {"REDIS_URL": redis_server.url, "REDIS_PREFIX": ""}
    yield both
    for site in both:
        site.close()


def test_closing_one_site_leaves_the_other_open(sites: tuple[Site, Site]) -> None:
    one, other = sites
    one.manage("backup_maintenance", "on", "--message", "Closed for a while.")
    assert "closed by hand" in one.manage("backup_status").stdout
    assert "closed by hand" not in other.manage("backup_status").stdout


def test_the_worker_of_one_site_is_none_for_the_other(sites: tuple[Site, Site]) -> None:
    one, other = sites
    # Where it looks for its sign of life.
    one.extra_env["REDIS_PREFIX"] = "one"
    with Worker(one).running():
        assert ask(one, "create")["status"] in ("running", "done")
        assert ask(other, "create")["error"] == "NoWorker"
