"""``python -m backups.tests.browser.screenshots [FOLDER]``: picture each screen, wide and narrow, light and dark.

All go into FOLDER (a new one, which is named, where none is given); those that the documentation shows go into ``docs/images``.
A picture is of the whole page; one for the documentation ends at the lower edge of the window. They are written with a palette
of 256 colours, which nobody sees and makes them a third as large.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from backups.tests.browser.chromium import browser_running
from backups.tests.browser.furnished import furnished_site
from backups.tests.browser.person import NARROW, WIDE, Person, person_arrives
from backups.tests.browser.screens import tour
from backups.tests.site import BASE_DIR, SiteTemplates

# Which screens the documentation shows, and the names of their pictures there; the theme of each.
DOCUMENTED = {
    "list": ("backups-list", "light"),
    "preview": ("restore-preview", "light"),
    "list-running": ("backups-running", "dark"),
    "result": ("restore-result", "light"),
}
THEMES = ("light", "dark")
ENTRIES = 4000


def picture(person: Person, path: Path, *, whole: bool) -> None:
    """Write what the person sees as a small PNG."""
    image = Image.open(io.BytesIO(person.page.screenshot(full_page=whole, animations="disabled", caret="hide")))
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def pictures(person: Person, name: str, folder: Path) -> None:
    """Picture one screen in both sizes and themes."""
    for theme in THEMES:
        person.darken(theme == "dark")
        for size in (NARROW, WIDE):
            person.resize(size)
            picture(person, folder / f"{name}-{size[0]}-{theme}.png", whole=True)
        if DOCUMENTED.get(name, ("", ""))[1] == theme:
            picture(person, BASE_DIR / "docs" / "images" / f"{DOCUMENTED[name][0]}.png", whole=False)
    person.darken(False)


def main(folder: Path) -> None:
    """Lead through all screens."""
    sites = Path(tempfile.mkdtemp(prefix="timetracker-screens-"))
    people: dict[str, Person] = {}
    try:
        with browser_running() as browser, furnished_site(SiteTemplates(sites), entries=ENTRIES) as server:
            for screen in tour(server):
                if screen.who not in people:
                    people[screen.who] = person_arrives(browser, server.base, trace=False)
                    if screen.who:
                        people[screen.who].log_in_as(screen.who)
                screen.reach(people[screen.who])
                pictures(people[screen.who], screen.name, folder)
                print(screen.name, flush=True)
    finally:
        shutil.rmtree(sites, ignore_errors=True)


if __name__ == "__main__":
    wanted = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="timetracker-screenshots-"))
    wanted.mkdir(parents=True, exist_ok=True)
    print(f"All pictures go to {wanted}, those of the documentation to docs/images.")
    main(wanted)
