"""All pages of the backups that there are to see, each in a state that shows what it can: looked at by a test, and pictured.

:func:`tour` leads through a furnished site that has no archive yet, and brings it from one state to the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import expect

from backups.tests.browser.furnished import ADMIN, CLIENT, GUEST, KEEPER, LOOKER, NAME
from backups.tests.browser.past import give_past
from backups.tests.browser.person import Person
from backups.tests.browser.steps import ARCHIVES, SITE, cancel, create, done, give_password, preview, restore, row_of, upload
from backups.tests.halting import halted
from backups.tests.web import SiteProcesses
from backups.tests.workers import journals

__all__ = ["Screen", "tour"]

GOLDEN = Path(__file__).parent.parent / "archives" / "format1-sqlite.zip"
OPERATIONS, SCHEDULES = "/admin/backups/operation/", "/admin/backups/backupschedule/"
NOBODY = ""


@dataclass(frozen=True)
class Screen:
    """One page: ``who`` sees it (nobody: a stranger), ``reach`` brings her there from wherever she is, logged in."""

    name: str
    who: str
    reach: Callable[[Person], object]


def at(path: str) -> Callable[[Person], object]:
    """Reached by its address."""
    return lambda person: person.open(path)


def tour(server: SiteProcesses) -> Iterator[Screen]:
    """Each screen in turn. The site stands still while one is looked at; what comes after it counts on its having been reached."""
    site = server.site
    yield Screen("login", NOBODY, at("/admin/login/"))
    yield Screen("list-empty", ADMIN, at(ARCHIVES))
    yield Screen("history-empty", ADMIN, at(OPERATIONS))
    give_past(site, site.manage("backup_create").stdout.strip())
    archive = site.manage("backup_create", "--note", "before the experiment").stdout.strip()
    yield Screen("list", ADMIN, at(ARCHIVES))
    yield Screen("list-for-lookers", LOOKER, at(ARCHIVES))
    yield Screen("list-filtered", ADMIN, at(f"{ARCHIVES}?q=nothing+like+it"))
    yield Screen("index", ADMIN, at("/admin/"))
    yield Screen("archive", ADMIN, at(f"{ARCHIVES}archives/{archive}/"))
    yield Screen("create", ADMIN, at(f"{ARCHIVES}add/"))
    yield Screen("history", ADMIN, at(OPERATIONS))
    yield Screen("schedules", ADMIN, at(SCHEDULES))
    yield Screen("schedule", ADMIN, at(f"{SCHEDULES}1/change/"))
    yield Screen("rules-tried", ADMIN, _try_rules)
    # The newest is refused, each old one is not.
    old = min(path.name for path in site.backups.glob("backup_*.zip"))
    yield Screen("delete", ADMIN, at(f"{ARCHIVES}archives/{old}/delete/"))
    yield Screen("delete-refused", ADMIN, lambda person: person.open(f"{ARCHIVES}archives/{archive}/delete/", forgive=409))
    yield Screen("password", ADMIN, lambda person: _ask_for_download(person, archive))
    yield Screen("password-wrong", ADMIN, _mistype)
    yield Screen("download", ADMIN, _download)

    yield Screen("upload", ADMIN, at(f"{ARCHIVES}upload/"))
    (site.data_dir / "import").mkdir(exist_ok=True)
    shutil.copy(GOLDEN, site.data_dir / "import" / "from-another-site.zip")
    yield Screen("upload-from-server", ADMIN, at(f"{ARCHIVES}upload/"))
    yield Screen("uploaded", ADMIN, lambda person: upload(person, GOLDEN))
    foreign = str(journals(site)[-1]["archive"])
    yield Screen("import-export", KEEPER, at("/import-export/"))
    yield Screen("import-export-choose", KEEPER, at(SITE))
    yield Screen("import-export-upload", KEEPER, at(f"{SITE}upload/"))
    yield Screen("import-export-restore", KEEPER, at(f"{SITE}archives/{archive}/restore/"))
    yield Screen("import-export-preview", KEEPER, lambda person: preview(person, archive, at=SITE))

    yield Screen("portal", GUEST, at("/portal/"))
    yield Screen("restore", ADMIN, at(f"{ARCHIVES}archives/{archive}/restore/"))
    yield Screen("preview-foreign", ADMIN, lambda person: preview(person, foreign))
    yield Screen("preview-refused", ADMIN, _confirm_nothing)
    site.execute("DELETE FROM tracking_timeentry WHERE id % 3 = 0")
    site.execute("UPDATE tracking_project SET name = 'renamed today', updated_at = CURRENT_TIMESTAMP WHERE id % 7 = 0")
    shutil.rmtree(site.media / "receipts")
    yield Screen("preview", ADMIN, lambda person: preview(person, archive))
    with halted(site, "analyze") as stopped:
        yield Screen("restoring", ADMIN, _restore)
        stopped.process()
        yield Screen("list-restoring", LOOKER, at(ARCHIVES))
        yield Screen("portal-restoring", GUEST, _look_into_portal)
    yield Screen("restored", ADMIN, done)
    yield Screen("result", ADMIN, _log_in_again)
    yield Screen("undo", ADMIN, at(f"{ARCHIVES}undo/"))
    yield Screen("import-export-undo", KEEPER, _undo_in_site)

    with halted(site, "dump") as stopped:
        yield Screen("creating", ADMIN, lambda person: create(person, note="the weekly one"))
        stopped.process()
        yield Screen("list-running", KEEPER, at(ARCHIVES))
        yield Screen("cancel", ADMIN, lambda person: person.page.get_by_role("link", name="Cancel…").click())
        yield Screen("cancelled", ADMIN, _cancel)
    yield Screen("failed", ADMIN, at(f"{ARCHIVES}operations/{journals(site)[-1]['id']}/"))


def _try_rules(person: Person) -> None:
    person.page.get_by_label("Last").fill("1")
    person.page.get_by_label("Daily").fill("2")
    person.page.get_by_role("button", name="Try these rules").click()
    expect(person.page.locator("#rules-tried")).to_contain_text("delete")


def _ask_for_download(person: Person, archive: str) -> None:
    person.open(ARCHIVES)
    row_of(person, archive).get_by_role("button", name="Download").click()
    expect(person.page.get_by_label("Your password, once more")).to_be_visible()


def _mistype(person: Person) -> None:
    person.page.get_by_label("Your password, once more").fill("mistyped")
    person.page.get_by_role("button", name="Download").click()
    expect(person.page.get_by_text("That is not the password of")).to_be_visible()


def _download(person: Person) -> None:
    with person.page.expect_download():
        give_password(person, "Download")


def _confirm_nothing(person: Person) -> None:
    person.page.get_by_role("button", name="Restore", exact=True).click()
    expect(person.page.get_by_text("Type the site's name to confirm.")).to_be_visible()


def _restore(person: Person) -> None:
    restore(person, name=NAME, asks=False)
    expect(person.page.get_by_text("Stage: Making it durable")).to_be_visible()


def _look_into_portal(person: Person) -> None:
    person.open("/portal/")
    expect(person.page.get_by_text(CLIENT).first).to_be_visible()


def _log_in_again(person: Person) -> None:
    person.page.get_by_role("link", name="Log in again").click()
    person.give_name(ADMIN)
    person.heading("Restore: done")


def _undo_in_site(person: Person) -> None:
    person.log_in(KEEPER, then=f"{SITE}undo/")


def _cancel(person: Person) -> None:
    person.page.go_back()
    cancel(person, "backup")
    expect(person.page.get_by_text("It was cancelled")).to_be_visible()
