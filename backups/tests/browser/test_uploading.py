"""Bringing an archive from one site to another, with a browser in between."""

from __future__ import annotations

import os
import re
from pathlib import Path

from playwright.sync_api import Route, expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN
from backups.tests.web import SiteProcesses

PIECE = 8 * 1024**2


def test_an_upload_goes_on_after_a_lost_connection_and_a_reload(embedded: SiteProcesses, arrives: Arrives, tmp_path: Path) -> None:
    site = embedded.site
    large = site.media / "large.bin"
    large.write_bytes(os.urandom(2 * PIECE + 1000))
    archive = site.manage("backup_create", "--note", "two pieces and a little").stdout.strip()
    large.unlink()
    # Whoever brings it has it nowhere else.
    file = (site.backups / archive).rename(tmp_path / archive)
    person = arrives(embedded)
    page = person.page
    offsets: list[int] = []

    def lose_the_second(route: Route) -> None:
        if route.request.method == "PATCH":
            offsets.append(int(route.request.headers["upload-offset"]))
            if len(offsets) == 2:
                route.abort("connectionreset")
                return
        route.continue_()

    person.log_in(ADMIN)
    person.open("/admin/backups/backup/upload/")
    page.route(re.compile(r"/upload/[0-9a-f]{32}/$"), lose_the_second)
    page.get_by_label("Archive").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("The connection to the site is lost. The upload waits, and goes on by itself")).to_be_visible()
    page.unroute_all()
    page.reload()
    expect(page.get_by_role("heading", name="Your uploads that are not taken in yet")).to_be_visible()
    page.route(re.compile(r"/upload/[0-9a-f]{32}/$"), lose_the_second)
    page.get_by_label("Archive").set_input_files(file)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/backups/progress/**")
    expect(page.get_by_text("Done in")).to_be_visible()
    assert offsets[:3] == [0, PIECE, PIECE], "what had come was sent once more"
    expect(page.get_by_text("the same as in the browser")).to_be_visible()
    assert (site.backups / archive).read_bytes() == file.read_bytes()
    # The browser has said itself that it lost a connection.
    person.faults = [fault for fault in person.faults if "ERR_CONNECTION_RESET" not in fault]
