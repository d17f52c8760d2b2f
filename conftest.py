"""What holds for every test: the choice of tests per engine, and no skip in CI."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

pytest_plugins = ["backups.tests.fixtures"]

# Fixtures of pytest-django that open Django's own test database.
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "django_db_serialized_rollback", "admin_user", "admin_client"}


def uses_test_database(item: pytest.Item) -> bool:
    """Whether the test runs in Django's own test database, and so has to hold on both engines."""
    if item.get_closest_marker("one_engine"):
        return False
    if item.get_closest_marker("django_db") or DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ())):
        return True
    return isinstance(item, pytest.Function) and item.cls is not None and issubclass(item.cls, TransactionTestCase)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``TEST_DATABASE_URL`` only tests that run in that database: all others choose their engines themselves.

    Tests in a browser come first and together, whatever the order of all others: they take longest, and share one browser.
    """
    if os.environ.get("TEST_DATABASE_URL"):
        others = [item for item in items if not uses_test_database(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if uses_test_database(item)]
    items.sort(key=lambda item: "browser" not in item.path.parts)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Django's own test database; what its migrations made outlives every flush."""
    from timetracker.tests.migrated import give_back_after_flush

    with django_db_blocker.unblock():
        give_back_after_flush()


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """A test that CI does not run proves nothing: a skip or an expected failure is a failure there."""
    if os.environ.get("CI") == "true" and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"Not run in CI: {reason}"
        if hasattr(report, "wasxfail"):
            del report.wasxfail


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skips into failures in CI."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that skips itself."""
    report = yield
    _fail_if_skipped(report)
    return report


def pytest_report_header() -> str:
    """Name the engine of Django's own test database."""
    return f"test database: {'PostgreSQL' if os.environ.get('TEST_DATABASE_URL') else 'SQLite'}"
