"""Fixtures of the tests in a browser.

One browser for as long as tests of this package follow each other, which they do (conftest.py of the project): an open browser counts
as an event loop in this thread, in which Django refuses to ask a database. Each person has a context of her own, each module a site.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error

from backups.tests.browser.chromium import browser_running
from backups.tests.browser.furnished import furnished_site
from backups.tests.browser.person import Person, person_arrives, report_of
from backups.tests.servers import PgCluster, RedisServer
from backups.tests.site import SiteTemplates
from backups.tests.web import SiteProcesses

Arrives = Callable[..., Person]
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember for the fixtures whether the test has failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A browser."""
    with browser_running() as browser:
        yield browser


@pytest.fixture(scope="module")
def embedded(site_templates: SiteTemplates) -> Iterator[SiteProcesses]:
    """A site as ``./run`` starts it: SQLite, one web process, everything in files."""
    with furnished_site(site_templates) as server:
        yield server


@pytest.fixture
def clustered(site_templates: SiteTemplates, pg: PgCluster, redis_server: RedisServer) -> Iterator[SiteProcesses]:
    """A site of several web processes on PostgreSQL and Redis."""
    with furnished_site(site_templates, cluster=pg, redis=redis_server, processes=3, threads=4) as server:
        yield server


@pytest.fixture
def arrives(browser: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Arrives]:
    """Lets people come: ``arrives(server, javascript=False)``. Where a browser complained of anything, the test fails."""
    people: list[Person] = []

    def arrive(server: SiteProcesses, **options: Any) -> Person:
        people.append(person_arrives(browser, server.base, **options))
        return people[-1]

    yield arrive
    # A picture, too, is made by means that the policy forbids, and the browser says so.
    faults = [fault for person in people for fault in person.faults]
    for number, person in enumerate(people):
        if request.node.stash.get(FAILED, False) or person.faults:
            with suppress(Error):
                request.node.add_report_section("teardown", f"browser {number}", report_of(person, tmp_path, number))
        person.context.close()
    assert not faults, "\n".join(faults)
