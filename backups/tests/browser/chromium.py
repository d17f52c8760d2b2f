"""The Chromium that tests and screenshots drive: the system's, else the one that Playwright keeps.

``python -m backups.tests.browser.chromium`` installs one where there is none, as ``./run test`` does before the tests: as root on
Debian the system's package, else Playwright's own. ``CHROMIUM`` names another one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

__all__ = ["NoChromium", "browser_running", "chromium_find"]

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# Text is drawn the same on every machine, as far as its fonts are; a container's /dev/shm is too small for a browser.
OPTIONS = ["--font-render-hinting=none", "--disable-dev-shm-usage"]


class NoChromium(RuntimeError):
    """No Chromium was found."""

    def __init__(self) -> None:
        """Say what to type."""
        super().__init__(
            "No Chromium was found. Install one: sudo apt install chromium, or "
            ".venv/bin/python -m playwright install --with-deps chromium. Or name yours: CHROMIUM=/path/to/chrome ./run test"
        )


def chromium_find() -> Path | None:
    """The program that ``CHROMIUM`` names, or the system's; None where there is none."""
    if wanted := os.environ.get("CHROMIUM"):
        return Path(wanted)
    return next((Path(found) for name in NAMES if (found := shutil.which(name))), None)


def _chromium(playwright: Playwright) -> Path | None:
    """That, else Playwright's own where it has been downloaded."""
    own = Path(playwright.chromium.executable_path)
    return chromium_find() or (own if own.exists() else None)


@contextmanager
def browser_running() -> Iterator[Browser]:
    """A headless browser for the length of the block. Raises :class:`NoChromium`.

    Until its end an event loop counts as running in this thread, so that Django refuses to ask a database in it.
    """
    with sync_playwright() as playwright:
        program = _chromium(playwright)
        if program is None:
            raise NoChromium
        with playwright.chromium.launch(executable_path=program, args=OPTIONS) as browser:
            yield browser


def _install() -> None:
    """Install one. Raises CalledProcessError."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Debian's package chromium, for the tests in a browser.", file=sys.stderr)
        apt = ["apt-get", "--quiet", "--quiet", "--option", "Dpkg::Use-Pty=0"]
        if subprocess.run([*apt, "update"]).returncode == 0:
            done = subprocess.run([*apt, "install", "--yes", "--no-install-recommends", "chromium"])
            if done.returncode == 0 and chromium_find():
                return
    print("Downloading Playwright's Chromium, for the tests in a browser.", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


def main() -> int:
    """See to it that there is one; says what to type where that fails."""
    if chromium_find():
        return 0
    with sync_playwright() as playwright:
        is_there = _chromium(playwright) is not None
    if not is_there:
        try:
            _install()
        except subprocess.CalledProcessError:
            print(NoChromium(), file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
