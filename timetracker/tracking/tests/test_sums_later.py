"""Pages of more entries than are added up at once: the frame comes first, and the sums when they are asked for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.test import Client as Browser

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give
from timetracker.clients.models import Client
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.pages import budgets, reports

pytestmark = pytest.mark.django_db

PAGES = {
    "/reports/": "by=project&from=2025-03-01&to=2025-03-31",
    "/reports/budgets/": "state=all&sort=name",
}
LINK = re.compile(r'<a href="(\?[^"]*sums=yes[^"]*)">Add them up</a>')


@pytest.fixture
def browser() -> Browser:
    user = User.objects.create_user("olivia", is_staff=True)
    role_give(user, Role.OWNER)
    client = Client.objects.create(name="Sample Bakery GmbH", currency="EUR")
    project = Project.objects.create(client=client, name="Website", code="WEB-1", budget_hours=10)
    for day in (3, 4, 5):
        began = datetime(2025, 3, day, 9, tzinfo=UTC)
        TimeEntry.objects.create(user=user, project=project, started_at=began, ended_at=began + timedelta(minutes=45))
    browser = Browser()
    browser.force_login(user)
    return browser


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Two entries are added up at once."""
    monkeypatch.setattr(reports, "AT_ONCE", 2)
    monkeypatch.setattr(budgets, "AT_ONCE", 2)
    return monkeypatch


def page_of(browser: Browser, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_the_sums_of_many_entries_follow_the_page(browser: Browser, most: pytest.MonkeyPatch, path: str) -> None:
    page = page_of(browser, f"{path}?{PAGES[path]}")
    assert "2:15" not in page and "WEB-1 Website</a>" not in page
    assert "To add up more than 2 entries takes a moment." in page
    # The form stays to be changed, and says what was asked.
    assert "Show</button>" in page
    (link,) = LINK.findall(page)
    assert re.search(rf'<div id="sums" hx-get="{re.escape(link)}" hx-trigger="load" hx-target="#sums" hx-select="#sums"', page)
    followed = page_of(browser, f"{path}{unescape(link)}")
    assert followed.count('id="sums"') == 1
    sums = followed.partition('<div id="sums">')[2]
    assert "2:15" in sums and "WEB-1 Website</a>" in sums and not LINK.search(followed)
    # It is the page that stands there where there is less.
    most.undo()
    assert page_of(browser, f"{path}?{PAGES[path]}").partition('<div id="sums">')[2].count("2:15") == sums.count("2:15")


@pytest.mark.parametrize("path", PAGES)
def test_sums_of_few_entries_stand_in_the_page(browser: Browser, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    for module in (reports, budgets):
        monkeypatch.setattr(module, "AT_ONCE", 3)
    page = page_of(browser, f"{path}?{PAGES[path]}")
    assert "2:15" in page and not LINK.search(page)


def test_another_range_begins_with_the_page_again_and_another_order_with_the_sums(browser: Browser, most: pytest.MonkeyPatch) -> None:
    page = page_of(browser, "/reports/?by=project&range=all&sums=yes")
    shortcuts, _, table = page.partition('<form class="report-form"')
    assert "range=this_year" in shortcuts and "sums=yes" not in shortcuts
    assert all("sums=yes" in address for address in re.findall(r'<a href="([^"]*)#table"', table))


def test_the_file_of_many_entries_is_whole(browser: Browser, most: pytest.MonkeyPatch) -> None:
    answer = browser.get("/reports/report.csv?by=project&range=all")
    assert b"WEB-1" in b"".join(answer)
