"""A new machine: nothing but the code, another secret key and one archive. ``backup_restore FILE --trust-unsigned`` brings it all back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.tests.site import Site, SiteTemplates, populate
from backups.tests.warm import WarmSite

PASSWORD = "an old password, kept in mind"
# Says whom a wrong password lets in, then logs in through the real login page and names the page that comes after it.
LOG_IN = f"""
from django.contrib.auth import authenticate
from django.http import HttpRequest
from django.test import Client
client = Client(SERVER_NAME='testserver')
print(authenticate(HttpRequest(), username='chief', password='another'))
print(client.post('/admin/login/?next=/admin/', {{'username': 'chief', 'password': {PASSWORD!r}}}).headers['Location'])
"""
MAKE_CHIEF = f"""
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser('chief', password={PASSWORD!r})
"""


def shell(site: Site, code: str) -> str:
    return site.manage("shell", "--verbosity", "0", "--command", code).stdout.strip()


@pytest.fixture
def old(site: Site) -> WarmSite:
    """The site that was lost, with somebody who knows her password."""
    populate(site)
    shell(site, MAKE_CHIEF)
    return WarmSite.of(site)


@pytest.fixture
def new(old: WarmSite, site_templates: SiteTemplates) -> Iterator[WarmSite]:
    """An installation on which nothing was ever done."""
    blank = WarmSite.of(site_templates.blank(old.cluster))
    assert blank.secret_key != old.secret_key
    yield blank
    blank.close()


def test_empty_installation_is_brought_back_from_one_file_and_people_log_in(old: WarmSite, new: WarmSite, tmp_path: Path) -> None:
    archive = Path(shutil.move(old.backups / old.manage("backup_create").stdout.strip(), tmp_path / "from-the-old-machine.zip"))
    before, files = old.dump_tables(), old.uploads()

    refused = new.manage("backup_restore", archive, "--no-input", check=False)
    assert refused.returncode == 5
    assert "signed with a key that this site does not have" in refused.stderr
    assert "--trust-unsigned" in refused.stderr
    assert new.tables() == [] if new.cluster else not Path(new.database).exists(), "a refusal leaves the installation empty"

    restored = new.manage("backup_restore", archive, "--no-input", "--trust-unsigned")
    assert "undo is unavailable" in restored.stderr
    assert new.dump_tables() == before
    assert new.uploads() == files
    assert shell(new, LOG_IN).split() == ["None", "/admin/"]
    # The archives that the new machine makes are its own: they need no trust.
    own = new.manage("backup_create").stdout.strip()
    new.manage("backup_restore", own, "--no-input")


def test_key_of_the_old_machine_makes_its_archives_trusted(old: WarmSite, new: WarmSite) -> None:
    archive = old.backups / old.manage("backup_create").stdout.strip()
    new.extra_env["SECRET_KEY_FALLBACKS"] = old.secret_key
    new.manage("backup_restore", archive, "--no-input")
    assert new.dump_tables() == old.dump_tables()


def test_archive_copied_into_the_store_is_listed_and_restored_by_its_name(old: WarmSite, new: WarmSite) -> None:
    name = old.manage("backup_create", "--note", "before the move", "--pin").stdout.strip()
    new.backups.mkdir(mode=0o700, parents=True)
    shutil.copy(old.backups / name, new.backups)
    listed = new.manage("backup_list").stdout
    assert name in listed
    assert "before the move" in listed
    new.manage("backup_restore", name, "--no-input", "--trust-unsigned")
    listed = new.manage("backup_list").stdout
    assert "pinned" in listed, "what the archive says of itself is in the catalogue"
    assert new.dump_tables() == old.dump_tables()
