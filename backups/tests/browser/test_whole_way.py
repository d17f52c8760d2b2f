"""The whole way of an archive: made on one site, opened on a person's own machine, restored on another site, undone there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN, CLIENT, GUEST, NAME, furnished_site
from backups.tests.browser.steps import create, done, download, preview, restore, undo, upload
from backups.tests.halting import halted
from backups.tests.servers import PgCluster, RedisServer
from backups.tests.site import Site, SiteTemplates
from backups.tests.web import SiteProcesses

# What a person did is written into the data itself, and when she logged in.
CHANGING = ("django_admin_log", "accounts_user")


def data(site: Site) -> tuple[dict[str, list[tuple[Any, ...]]], dict[str, str]]:
    """All that a backup is there for: rows and uploads."""
    return {table: rows for table, rows in site.dump_tables().items() if table not in CHANGING}, site.uploads()


def wreck(site: Site) -> None:
    """Lose the work of months: all time entries, a whole table, the receipts."""
    site.execute("DELETE FROM tracking_timeentry")
    site.execute("DROP TABLE billing_expense")
    shutil.rmtree(site.media / "receipts")


@pytest.fixture
def second_site(site_templates: SiteTemplates) -> Iterator[SiteProcesses]:
    """Another site on SQLite, with another key."""
    with furnished_site(site_templates) as server:
        yield server


@pytest.fixture
def clustered_second(site_templates: SiteTemplates, pg: PgCluster, redis_server: RedisServer) -> Iterator[SiteProcesses]:
    """Another site of that kind, on the same servers, with another key."""
    with furnished_site(site_templates, cluster=pg, redis=redis_server, processes=3, threads=4) as server:
        yield server


def whole_way(first: SiteProcesses, second: SiteProcesses, arrives: Arrives, folder: Path) -> None:
    """Each step of it, as the person takes it and as the data shows it."""
    owner = arrives(first)
    owner.log_in(ADMIN)
    create(owner, note="before the move")
    archive = done(owner)
    made = data(first.site)
    file = download(owner, archive, folder)
    assert file.name == archive
    listed = subprocess.run(["unzip", "-l", file], capture_output=True, text=True, check=True).stdout
    assert "manifest.json" in listed
    assert file.read_bytes() == (first.site.backups / archive).read_bytes()

    wreck(second.site)
    wrecked = data(second.site)
    mover, guest = arrives(second), arrives(second)
    guest.log_in_as(GUEST)
    mover.log_in(ADMIN)
    upload(mover, file)
    preview(mover, archive)
    expect(mover.page.get_by_text("Nothing proves that this site made the archive.")).to_be_visible()
    expect(mover.page.get_by_text("You could log in afterwards.")).to_be_visible()
    with halted(second.site, "analyze") as stopped:
        restore(mover, name=NAME, uploads="Exact:", trust=True)
        stopped.process()
        guest.page.reload()
        expect(guest.page.get_by_text("You can read, but not change anything.")).to_be_visible()
        expect(guest.page.get_by_text(CLIENT).first).to_be_visible()
    done(mover)
    assert data(second.site) == made
    # The restore has ended her session, and she sees the restored data with the account of the archive.
    guest.open("/portal/")
    guest.page.wait_for_url("**/portal/login/**")
    guest.log_in_as(GUEST)

    mover.log_in(ADMIN)
    with halted(second.site, "closed") as stopped:
        undo(mover, name=NAME)
        stopped.process()
        guest.open("/portal/", forgive=503)
        expect(guest.page.get_by_role("heading").first).to_be_visible()
    # The page that says so asks again by itself.
    guest.page.wait_for_url("**/portal/login/**")
    done(mover)
    assert data(second.site) == wrecked


def test_from_a_backup_to_the_undo_on_another_site_embedded(
    embedded: SiteProcesses, second_site: SiteProcesses, arrives: Arrives, tmp_path: Path
) -> None:
    whole_way(embedded, second_site, arrives, tmp_path)


def test_from_a_backup_to_the_undo_on_another_site_with_postgresql_redis_and_several_processes(
    clustered: SiteProcesses, clustered_second: SiteProcesses, arrives: Arrives, tmp_path: Path
) -> None:
    whole_way(clustered, clustered_second, arrives, tmp_path)
