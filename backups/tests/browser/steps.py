"""What a person does with archives in the pages: in the admin, or in the site's own pages for staff.

Each step ends where the next page is there. Buttons and fields are found by what a person reads.
"""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, expect

from backups.tests.browser.furnished import PASSWORD
from backups.tests.browser.person import Person

__all__ = [
    "ARCHIVES",
    "SITE",
    "cancel",
    "create",
    "done",
    "download",
    "give_password",
    "preview",
    "restore",
    "row_of",
    "undo",
    "upload",
]

# Where the pages are mounted.
ARCHIVES, SITE = "/admin/backups/backup/", "/import-export/archive/"
ARCHIVE_SHOWN = re.compile(r"Archive: (backup_\d{8}_\d{6}_[0-9a-f]{8}\.zip)")


def give_password(person: Person, button: str) -> None:
    """Answer the page that asks for the password once more."""
    person.page.get_by_label("Your password, once more").fill(PASSWORD)
    person.page.get_by_role("button", name=button).click()


def done(person: Person) -> str:
    """Wait on the progress page until the operation has come to a good end; the archive that it names."""
    expect(person.page.get_by_text("Done in").or_(person.page.get_by_text("It failed."))).to_be_visible()
    said = " ".join(person.page.locator("main").inner_text().split())
    assert "Done in" in said, said
    found = ARCHIVE_SHOWN.search(said)
    return found[1] if found else ""


def create(person: Person, *, note: str) -> None:
    """Ask for a backup by the list's button; ends on its progress."""
    page = person.page
    person.open(ARCHIVES)
    page.get_by_role("link", name="Create backup").click()
    page.get_by_label("Note").fill(note)
    page.get_by_role("button", name="Create backup").click()
    page.wait_for_url("**/backups/progress/**")


def row_of(person: Person, archive: str) -> Locator:
    """The row of an archive in a list."""
    return person.page.get_by_role("row").filter(has=person.page.locator(f"[href*='{archive}']"))


def download(person: Person, archive: str, folder: Path) -> Path:
    """From the list to the saved file: two clicks, of which the second is for the password."""
    page = person.page
    person.open(ARCHIVES)
    row_of(person, archive).get_by_role("button", name="Download").click()
    with page.expect_download() as downloading:
        give_password(person, "Download")
    file = folder / downloading.value.suggested_filename
    downloading.value.save_as(file)
    return file


def upload(person: Person, file: Path, *, at: str = ARCHIVES) -> str:
    """Bring an archive to the site, and wait until it is taken in; its name there."""
    page = person.page
    person.open(f"{at}upload/")
    page.get_by_label("Archive").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/backups/progress/**")
    return done(person)


def preview(person: Person, archive: str, *, at: str = ARCHIVES) -> None:
    """Ask what a restore would do, and wait for the answer."""
    page = person.page
    person.open(f"{at}archives/{archive}/restore/")
    page.get_by_role("button", name="Preview what would change").click()
    page.wait_for_url(re.compile(rf"{at}restore/[0-9a-f]{{32}}/"))


def restore(person: Person, *, name: str, uploads: str = "", trust: bool = False, asks: bool = True) -> None:
    """Confirm on the preview's page that the site called ``name`` is to be restored; ends on the progress.

    ``uploads`` are words of what becomes of them, ``trust``: the archive needs a consent of its own.
    ``asks``: the password has not been given within the last ten minutes.
    """
    page = person.page
    if uploads:
        page.get_by_label(uploads).check()
    if trust:
        page.get_by_label("I know where this archive comes from").check()
    _confirm(person, name=name, button="Restore", password_button="Restore now" if asks else "")


def undo(person: Person, *, name: str, at: str = ARCHIVES, asks: bool = True) -> None:
    """Ask for the undo on its page; ends on the progress."""
    person.open(f"{at}undo/")
    _confirm(person, name=name, button="Undo the restore", password_button="Undo now" if asks else "")


def _confirm(person: Person, *, name: str, button: str, password_button: str) -> None:
    page = person.page
    page.get_by_label("To confirm, type the site's name").fill(name)
    page.get_by_role("button", name=button, exact=True).click()
    if password_button:
        give_password(person, password_button)
    page.wait_for_url("**/backups/progress/**")


def cancel(person: Person, what: str) -> None:
    """Cancel what the progress page shows."""
    page = person.page
    page.get_by_role("link", name="Cancel…").click()
    page.get_by_role("button", name=f"Cancel the {what}").click()
    page.wait_for_url("**/backups/progress/**")
