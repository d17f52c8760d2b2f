"""An operation that is cancelled from its progress page takes its clean way back, and everybody who looks sees it."""

from __future__ import annotations

from playwright.sync_api import expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN, KEEPER, NAME
from backups.tests.browser.person import Person
from backups.tests.browser.steps import ARCHIVES, cancel, create, preview, restore
from backups.tests.halting import halted
from backups.tests.site import Site
from backups.tests.web import SiteProcesses


def cancelled(person: Person, what: str) -> None:
    """Cancel what the progress page shows, and wait until it says that it is over."""
    cancel(person, what)
    expect(person.page.get_by_text("It was cancelled")).to_be_visible()


def left_over(site: Site) -> list[str]:
    """What a cancelled operation may not leave behind, beside what was kept for an undo before."""
    patterns = ("state/staging/*", "backups/.partial/*", "media/.backups-*", "db_shadow_*")
    return [str(path) for pattern in patterns for path in site.data_dir.glob(pattern)]


def test_a_cancelled_backup_leaves_nothing_and_two_people_see_the_same(embedded: SiteProcesses, arrives: Arrives) -> None:
    site = embedded.site
    before, kept = sorted(site.backups.glob("backup_*.zip")), left_over(site)
    owner, other = arrives(embedded), arrives(embedded)
    other.log_in(KEEPER, then=ARCHIVES)
    owner.log_in(ADMIN)
    with halted(site, "dump") as stopped:
        create(owner, note="never to be")
        stopped.process()
        expect(owner.page.get_by_text("Stage: Writing the database")).to_be_visible()
        # She has not asked for the page again: it tells by itself what has begun meanwhile, and who began it.
        panel = other.page.locator("#running")
        expect(panel.get_by_role("heading", name="Backup: Writing the database")).to_be_visible()
        expect(panel.get_by_text(f"for {ADMIN}")).to_be_visible()
        owner.page.reload()
        expect(owner.page.get_by_text("Stage: Writing the database")).to_be_visible()
        cancelled(owner, "backup")
    expect(panel.get_by_text("cancelled")).to_be_visible()
    assert sorted(site.backups.glob("backup_*.zip")) == before
    assert left_over(site) == kept


def test_a_cancelled_restore_leaves_the_data_as_it_was(embedded: SiteProcesses, arrives: Arrives) -> None:
    site = embedded.site
    archive = site.manage("backup_create").stdout.strip()
    site.execute("UPDATE tracking_project SET name = 'of today'")
    rows, uploads, kept = site.dump_tables(), site.uploads(), left_over(site)
    owner = arrives(embedded)
    owner.log_in(ADMIN)
    preview(owner, archive)
    with halted(site, "rows") as stopped:
        restore(owner, name=NAME)
        stopped.process()
        expect(owner.page.get_by_text("Stage: Counting its rows")).to_be_visible()
        cancelled(owner, "restore")
    # She is still logged in, since nothing was replaced.
    assert owner.open(ARCHIVES).status == 200
    assert owner.path == ARCHIVES
    now = site.dump_tables()
    for table in ("django_admin_log", "accounts_user"):
        del rows[table], now[table]
    assert now == rows
    assert site.uploads() == uploads
    assert left_over(site) == kept
