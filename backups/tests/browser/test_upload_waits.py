"""What an upload outlasts without anybody's help: a proxy's limit, the end of the session, the gate; and what a person may do meanwhile."""

from __future__ import annotations

import os
import re
from pathlib import Path

from playwright.sync_api import Route, expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN
from backups.tests.browser.person import Person
from backups.tests.web import SiteProcesses

# A proxy takes no more at once than the pieces have after five halvings of 8 MiB.
REFUSED, PIECE = 5, 256 * 1024
# The pieces, counted from the first, that are held back until the test lets them go.
AT_LOGOUT, AT_GATE, AT_PAUSE = 3, 6, 9


class Way:
    """The way of the pieces to the site: counts them, and holds some back."""

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self._held: list[Route] = []

    def take(self, route: Route) -> None:
        """Let it pass, refuse it or hold it back."""
        if route.request.method != "PATCH":
            route.continue_()
            return
        self.offsets.append(int(route.request.headers["upload-offset"]))
        number = len(self.offsets) - REFUSED
        if number <= 0:
            route.fulfill(status=413, body="Request Entity Too Large")
        elif number in (AT_LOGOUT, AT_GATE, AT_PAUSE):
            self._held.append(route)
        else:
            route.continue_()

    def holds(self, person: Person) -> None:
        """Wait until one is held back."""
        expect(person.page.locator("#upload-sentence")).to_contain_text("Sending")
        while not self._held:
            person.page.wait_for_timeout(20)

    def let_go(self) -> None:
        """Let it pass after all."""
        self._held.pop().continue_()


def test_an_upload_goes_on_by_itself_whatever_comes_between(embedded: SiteProcesses, arrives: Arrives, tmp_path: Path) -> None:
    site = embedded.site
    large = site.media / "large.bin"
    large.write_bytes(os.urandom(14 * PIECE))
    archive = site.manage("backup_create").stdout.strip()
    large.unlink()
    file = (site.backups / archive).rename(tmp_path / archive)
    person, way = arrives(embedded), Way()
    page, sentence = person.page, person.page.locator("#upload-sentence")
    person.log_in(ADMIN)
    person.open("/admin/backups/backup/upload/")
    # 405: the page of logging in takes no piece. Of the others each is what is tried here.
    person.forgiven.update({403, 405, 413, 503})
    page.route(re.compile(r"/upload/[0-9a-f]{32}/$"), way.take)
    page.get_by_label("Archive").set_input_files(file)
    page.get_by_role("button", name="Upload").click()

    way.holds(person)
    person.context.clear_cookies(name="sessionid")
    way.let_go()
    expect(sentence).to_contain_text("You are logged out. Log in again in another window. The upload waits, and goes on by itself")
    other = Person(person.context, person.context.new_page())
    other.log_in(ADMIN)

    way.holds(person)
    site.manage("backup_maintenance", "on")
    way.let_go()
    expect(sentence).to_contain_text("The site is not available just now. The upload waits, and goes on by itself")
    site.manage("backup_maintenance", "off")
    # It tries again at once when the network is back.
    person.context.set_offline(True)
    person.context.set_offline(False)

    way.holds(person)
    page.get_by_role("button", name="Pause").click()
    expect(sentence).to_contain_text("Paused.")
    page.unroute_all()
    page.get_by_role("button", name="Go on").click()

    page.wait_for_url("**/backups/progress/**")
    expect(page.get_by_text("Done in")).to_be_visible()
    expect(page.get_by_text("the same as in the browser")).to_be_visible()
    assert (site.backups / archive).read_bytes() == file.read_bytes()
    assert way.offsets[:REFUSED] == [0] * REFUSED
    sent = sorted(set(way.offsets))
    assert sent[1] == PIECE, "the pieces have not become smaller"
    # The browser says itself that it was cut off while it sent to somebody who did not listen.
    person.faults = [fault for fault in person.faults if "ERR_" not in fault]
