"""What holds for every page: people who see little, hear it, or hold a phone can use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import ADMIN, GUEST, furnished_site
from backups.tests.browser.past import give_past
from backups.tests.browser.person import NARROW, WIDE, Person
from backups.tests.browser.screens import tour
from backups.tests.browser.steps import ARCHIVES
from backups.tests.site import SiteTemplates
from backups.tests.web import SiteProcesses


@pytest.fixture
def fresh(site_templates: SiteTemplates) -> Iterator[SiteProcesses]:
    """A site without an archive."""
    with furnished_site(site_templates) as server:
        yield server


def test_no_page_has_a_serious_barrier_or_is_wider_than_a_phone(fresh: SiteProcesses, arrives: Arrives) -> None:
    people: dict[str, Person] = {}
    found, seen = [], []
    for screen in tour(fresh):
        if screen.who not in people:
            people[screen.who] = arrives(fresh)
            if screen.who:
                people[screen.who].log_in_as(screen.who)
        person = people[screen.who]
        screen.reach(person)
        seen.append(screen.name)
        found += [f"{screen.name}: {finding}" for finding in person.accessible()]
        person.darken()
        found += [f"{screen.name}, dark: {finding}" for finding in person.accessible(colours_only=True)]
        person.darken(False)
        person.resize(NARROW)
        found += [f"{screen.name}, narrow: {finding}" for finding in person.overflowing()]
        person.resize(WIDE)
    assert not found, "\n".join(found)
    assert len(seen) == len(set(seen))
    assert GUEST in people


def test_on_a_phone_the_charts_come_after_the_list_and_can_be_reached_from_above_it(fresh: SiteProcesses, arrives: Arrives) -> None:
    give_past(fresh.site, fresh.site.manage("backup_create").stdout.strip())
    person = arrives(fresh)
    person.log_in(ADMIN)
    person.open(ARCHIVES)
    charts, archives = person.page.locator(".figures"), person.page.locator("#result_list")
    way = person.page.get_by_role("link", name="Sizes and free space")
    for size, is_first in ((WIDE, True), (NARROW, False)):
        person.resize(size)
        above, below = charts.bounding_box(), archives.bounding_box()
        assert above and below
        assert (above["y"] < below["y"]) is is_first, size
        assert way.is_visible() is not is_first, size
    way.click()
    expect(charts).to_be_in_viewport()
