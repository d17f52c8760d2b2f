"""Somebody with a browser of her own: cookies, downloads, and all that the browser complains about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, expect

from backups.tests.browser.furnished import GUEST, MANAGER, PASSWORD

__all__ = ["NARROW", "SECONDS", "WIDE", "Person", "person_arrives"]

# Seconds that a page may take; the machine may be busy with other tests.
SECONDS = 45
WIDE, NARROW = (1280, 900), (390, 844)
# Of all rules that axe-core follows by default: WCAG 2.2 A and AA, and what it calls best practice.
SERIOUS = ("serious", "critical")
# Without preload: for one rule that is no part of this, axe-core would load style sheets anew, and the policy forbids how.
AXE_OPTIONS: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
AXE_COLOURS = {**AXE_OPTIONS, "runOnly": ["color-contrast"]}

expect.set_options(timeout=SECONDS * 1000)


@dataclass
class Person:
    """One person. ``faults`` are the sentences in which her browser complained: scripts, policy, answers that failed."""

    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)
    forgiven: set[int] = field(default_factory=set)

    @property
    def path(self) -> str:
        """Where she is: path and query."""
        parts = urlsplit(self.page.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def open(self, path: str, *, forgive: int = 0) -> Response:
        """Go to a page of the site; from then on, answers with the status ``forgive`` are no fault."""
        self.forgiven.add(forgive)
        response = self.page.goto(path)
        assert response, f"no answer from {path}"
        return response

    def resize(self, size: tuple[int, int]) -> None:
        """Give the window another size, in pixels."""
        self.page.set_viewport_size({"width": size[0], "height": size[1]})

    def log_in(self, username: str, *, at: str = "/admin/login/", then: str = "/admin/") -> None:
        """Log in, and come to ``then``."""
        self.open(f"{at}?next={then}")
        self.give_name(username)
        self.page.wait_for_url(lambda url: urlsplit(url).path == then)

    def log_in_as(self, username: str) -> None:
        """Log in where people of her kind do."""
        if username == GUEST:
            self.log_in(username, at="/portal/login/", then="/portal/")
        elif username == MANAGER:
            self.log_in(username, at="/login/", then="/")
        else:
            self.log_in(username)

    def give_name(self, username: str) -> None:
        """Fill in the login page that is there."""
        self.page.get_by_label("Username").or_(self.page.get_by_label("E-mail address")).fill(username)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()

    # --- what a page must be like -------------------------------------------------------------------------------------

    def heading(self, words: str | re.Pattern[str]) -> None:
        """The page has a heading with these words; waits for it."""
        expect(self.page.get_by_role("heading", name=words).first).to_be_visible()

    def darken(self, dark: bool = True) -> None:
        """Turn to the dark theme, or back, with every colour there at once."""
        self.page.emulate_media(color_scheme="dark" if dark else "light")
        self.page.evaluate(END_TRANSITIONS)

    def accessible(self, *, colours_only: bool = False) -> list[str]:
        """What axe-core finds serious or critical on the page, as sentences."""
        found: dict[str, Any] = Axe().run(self.page, options=AXE_COLOURS if colours_only else AXE_OPTIONS).response
        return [
            f"{self.path}: {rule['id']} ({rule['impact']}): {rule['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for rule in found["violations"]
            if rule["impact"] in SERIOUS
            for node in rule["nodes"]
        ]

    def overflowing(self) -> list[str]:
        """The elements that reach out of the page to the right, where the page can be scrolled sideways; as sentences."""
        found: list[str] = self.page.evaluate(OVERFLOWING)
        return [f"{self.path}: {element}" for element in found]

    # --- what the browser says ----------------------------------------------------------------------------------------

    def hear(self, page: Page) -> None:
        """Write down what is wrong with ``page``."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("response", self._answered)

    def _console(self, message: ConsoleMessage) -> None:
        # An answer that failed is heard as an answer, with its status; here it would be one more sentence about it.
        is_answer = message.text.startswith(("Failed to load resource: the server responded", "Response Status Error Code"))
        if message.type == "error" and not is_answer:
            self.faults.append(f"{message.location.get('url', '')}: {message.text}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.forgiven:
            self.faults.append(f"{response.request.method} {response.url}: {response.status}")


# Element by element, as long as the page itself can be scrolled sideways; what scrolls within a box of its own is no fault.
OVERFLOWING = """() => {
  const root = document.documentElement, width = root.clientWidth
  if (root.scrollWidth <= width) return []
  const found = [...document.body.querySelectorAll("*")].filter(element => element.getBoundingClientRect().right > width + 1)
  return [`${root.scrollWidth} px wide`, ...found.slice(0, 5).map(element => element.outerHTML.slice(0, 160))]
}"""


# Colours that change slowly are read half-way otherwise. Bars that move for ever are animations and no transitions.
END_TRANSITIONS = """() => {
  for (const animation of document.getAnimations()) if (animation instanceof CSSTransition) animation.finish()
}"""


def person_arrives(
    browser: Browser, base: str, *, size: tuple[int, int] = WIDE, javascript: bool = True, dark: bool = False, trace: bool = True
) -> Person:
    """A new person in front of the site at ``base``; she is not logged in. The caller closes her ``context``."""
    width, height = size
    context = browser.new_context(
        base_url=base,
        viewport={"width": width, "height": height},
        java_script_enabled=javascript,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(SECONDS * 1000)
    if trace:
        context.tracing.start(snapshots=True)
    person = Person(context, context.new_page())
    person.hear(person.page)
    context.on("page", person.hear)
    return person


def report_of(person: Person, folder: Path, number: int) -> str:
    """Save trace and picture of what a person saw last, for whoever reads the failure; a sentence that says where."""
    picture, trace = folder / f"person-{number}.png", folder / f"person-{number}-trace.zip"
    person.page.screenshot(path=picture, full_page=True)
    person.context.tracing.stop(path=trace)
    words = " ".join(person.page.locator("body").inner_text().split())[:1500]
    return f"{person.page.url}: {words}\npicture: {picture}\nsteps: .venv/bin/python -m playwright show-trace {trace}"
