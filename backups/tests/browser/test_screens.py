"""What holds for every page: people who see little, hear it, or hold a phone can use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backups.tests.browser.conftest import Arrives
from backups.tests.browser.furnished import GUEST, furnished_site
from backups.tests.browser.person import NARROW, WIDE, Person
from backups.tests.browser.screens import tour
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
