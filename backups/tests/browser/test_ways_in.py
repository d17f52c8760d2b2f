"""The same way by other means: without JavaScript, by the keyboard alone, and from the site's own pages."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN, KEEPER, NAME, PASSWORD
from backups.tests.browser.person import Person
from backups.tests.browser.steps import ARCHIVES, SITE, create, done, download, give_password, preview, restore, row_of, undo, upload
from backups.tests.site import Site
from backups.tests.web import SiteProcesses

# Whoever has not come to a button by then never will.
MOST_TABS = 200


def names(site: Site) -> list[str]:
    """The names of the clients that are live: what a test wrecks, and looks for."""
    return sorted(str(name) for (name,) in site.fetch("SELECT name FROM clients_client"))


def wreck(site: Site) -> list[str]:
    """Lose all those names; returns what they are now."""
    site.execute("UPDATE clients_client SET name = name || '?'")
    return names(site)


def test_everything_works_without_javascript(embedded: SiteProcesses, arrives: Arrives, tmp_path: Path) -> None:
    site = embedded.site
    owner = arrives(embedded, javascript=False)
    owner.log_in(ADMIN)
    create(owner, note="by hand")
    archive, made = done(owner), names(site)
    file = download(owner, archive, tmp_path)
    assert file.read_bytes() == (site.backups / archive).read_bytes()
    (site.backups / archive).unlink()
    upload(owner, file)
    assert (site.backups / archive).read_bytes() == file.read_bytes()
    wrecked = wreck(site)
    preview(owner, archive)
    # The password was given for the download, less than ten minutes ago.
    restore(owner, name=NAME, asks=False)
    done(owner)
    assert names(site) == made
    owner.log_in(ADMIN)
    undo(owner, name=NAME)
    done(owner)
    assert names(site) == wrecked


# --- by the keyboard alone --------------------------------------------------------------------------------------------


def tab_to(person: Person, target: Locator) -> None:
    """Press Tab until ``target`` has the focus, and can be seen to have it."""
    expect(target).to_have_count(1)
    for _ in range(MOST_TABS):
        if target.evaluate("element => element === document.activeElement"):
            seen = target.evaluate("element => { const s = getComputedStyle(element); return [s.outlineStyle, s.boxShadow] }")
            assert seen != ["none", "none"], f"the focus cannot be seen on {target}"
            return
        person.page.keyboard.press("Tab")
    raise AssertionError(f"{person.path}: {target} cannot be reached")


def press(person: Person, target: Locator, key: str = "Enter") -> None:
    """Go to ``target`` and press a key there."""
    tab_to(person, target)
    person.page.keyboard.press(key)


def type_into(person: Person, target: Locator, words: str) -> None:
    """Go to ``target`` and type."""
    tab_to(person, target)
    person.page.keyboard.type(words)


def test_a_backup_and_its_restore_by_the_keyboard_alone(embedded: SiteProcesses, arrives: Arrives) -> None:
    site = embedded.site
    owner = arrives(embedded)
    page = owner.page
    owner.open(f"/admin/login/?next={ARCHIVES}")
    type_into(owner, page.get_by_label("Username"), ADMIN)
    type_into(owner, page.get_by_label("Password"), PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{ARCHIVES}")
    press(owner, page.get_by_role("link", name="Create backup"))
    type_into(owner, page.get_by_label("Note"), "without a mouse")
    press(owner, page.get_by_role("button", name="Create backup"), "Space")
    page.wait_for_url("**/backups/progress/**")
    archive, made = done(owner), names(site)
    wreck(site)
    owner.open(f"{ARCHIVES}archives/{archive}/restore/")
    press(owner, page.get_by_role("button", name="Preview what would change"))
    expect(page.get_by_role("heading", name="Preview of a restore")).to_be_visible()
    press(owner, page.get_by_label("Merge:"), "ArrowDown")
    expect(page.get_by_label("Exact:")).to_be_checked()
    type_into(owner, page.get_by_label("To confirm, type the site's name"), NAME)
    press(owner, page.get_by_role("button", name="Restore", exact=True))
    # The field has the focus already.
    expect(page.get_by_label("Your password, once more")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/backups/progress/**")
    done(owner)
    assert names(site) == made


# --- from the site's own pages ----------------------------------------------------------------------------------------


def test_staff_restore_and_undo_from_import_export(embedded: SiteProcesses, arrives: Arrives, tmp_path: Path) -> None:
    site = embedded.site
    file = Path(site.manage("backup_create", "--output", tmp_path).stdout.strip())
    made, wrecked = names(site), wreck(site)
    keeper = arrives(embedded)
    page = keeper.page
    keeper.log_in(KEEPER, then="/import-export/")
    keeper.heading("Restore from a full archive")
    archive = upload(keeper, file, at=SITE)
    keeper.open("/import-export/")
    page.get_by_role("link", name="Choose").click()
    row_of(keeper, archive).get_by_role("link", name="Choose").click()
    page.get_by_role("button", name="Preview what would change").click()
    page.wait_for_url(f"**{SITE}restore/**")
    restore(keeper, name=NAME)
    done(keeper)
    assert names(site) == made
    page.get_by_role("link", name="Log in again").click()
    keeper.give_name(KEEPER)
    page.wait_for_url(f"**{SITE}operations/**")
    keeper.heading("Restore: done")
    page.get_by_role("link", name="Undo…").click()
    page.get_by_label("To confirm, type the site's name").fill(NAME)
    page.get_by_role("button", name="Undo the restore").click()
    give_password(keeper, "Undo now")
    page.wait_for_url("**/backups/progress/**")
    done(keeper)
    assert names(site) == wrecked
