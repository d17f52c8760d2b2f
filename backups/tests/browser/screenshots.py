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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from backups.tests.browser.chromium import browser_running
from backups.tests.browser.furnished import furnished_site
from backups.tests.browser.person import NARROW, WIDE, Person, person_arrives
from backups.tests.browser.screens import Screen, tour
from backups.tests.browser.team_screens import team_tour
from backups.tests.site import BASE_DIR, SiteTemplates

THEMES = ("light", "dark")
# Each with as many time entries as it needs: the team's pages show full weeks, those of the backups are quicker with fewer.
TOURS = ((team_tour, 12000), (tour, 4000))


@dataclass(frozen=True)
class Shown:
    """A picture of the documentation: its name there, and the theme and the size of the window in which the screen is shown."""

    name: str
    theme: str = "light"
    size: tuple[int, int] = WIDE


# By the name of the screen.
DOCUMENTED = {
    "today": (Shown("today"), Shown("today-phone", "dark", NARROW)),
    "week": (Shown("week"),),
    "reports": (Shown("reports"),),
    "invoice": (Shown("invoice"),),
    "portal-overview": (Shown("portal"),),
    "entries": (Shown("entries"),),
    "entries-lost": (Shown("entries-lost"),),
    "list": (Shown("backups-list"),),
    "preview": (Shown("restore-preview"),),
    "list-running": (Shown("backups-running", "dark"),),
    "result": (Shown("restore-result"),),
}


def picture(person: Person, path: Path, *, whole: bool) -> None:
    """Write what the person sees as a small PNG."""
    image = Image.open(io.BytesIO(person.page.screenshot(full_page=whole, animations="disabled", caret="hide")))
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def pictures(person: Person, name: str, folder: Path) -> None:
    """Picture one screen in both sizes and themes, and as the documentation shows it."""
    for theme in THEMES:
        person.darken(theme == "dark")
        for size in (NARROW, WIDE):
            person.resize(size)
            picture(person, folder / f"{name}-{size[0]}-{theme}.png", whole=True)
            for shown in DOCUMENTED.get(name, ()):
                if (shown.theme, shown.size) == (theme, size):
                    picture(person, BASE_DIR / "docs" / "images" / f"{shown.name}.png", whole=False)
    person.darken(False)


def main(folder: Path) -> None:
    """Lead through all screens."""
    sites = Path(tempfile.mkdtemp(prefix="timetracker-screens-"))
    try:
        with browser_running() as browser:
            for screens, entries in TOURS:
                with furnished_site(SiteTemplates(sites), entries=entries) as server:
                    take(screens(server), browser, server.base, folder)
    finally:
        shutil.rmtree(sites, ignore_errors=True)


def take(screens: Iterable[Screen], browser: Browser, base: str, folder: Path) -> None:
    """Reach each screen as who sees it, and picture it."""
    people: dict[str, Person] = {}
    for screen in screens:
        if screen.who not in people:
            people[screen.who] = person_arrives(browser, base, trace=False)
            if screen.who:
                people[screen.who].log_in_as(screen.who)
        screen.reach(people[screen.who])
        pictures(people[screen.who], screen.name, folder)
        print(screen.name, flush=True)


if __name__ == "__main__":
    wanted = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="timetracker-screenshots-"))
    wanted.mkdir(parents=True, exist_ok=True)
    print(f"All pictures go to {wanted}, those of the documentation to docs/images.")
    main(wanted)
