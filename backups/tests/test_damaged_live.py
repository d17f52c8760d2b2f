"""A live SQLite file whose schema can be read and whose pages cannot: what a dying disk leaves, and ``live_state`` calls ok."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from backups.tests.site import Site, populate


def damage_pages(site: Site, table: str) -> None:
    """Overwrite the first page of ``table`` with what is no page."""
    with closing(site.connect()) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
        ((size,),) = connection.execute("PRAGMA page_size")
    data = bytearray(Path(site.database).read_bytes())
    data[(page - 1) * size : page * size] = b"\xa5" * size
    Path(site.database).write_bytes(bytes(data))


@pytest.mark.parametrize("table", ["tracking_timeentry", "accounts_user", "backups_backup", "django_migrations"])
def test_site_whose_pages_are_damaged_is_brought_back(sqlite_site: Site, table: str) -> None:
    site = sqlite_site
    populate(site)
    before, files = site.dump_tables(), site.uploads()
    archive = site.manage("backup_create").stdout.strip()
    damage_pages(site, table)

    refused = site.manage("backup_create", check=False)
    assert refused.returncode == 1
    assert "is damaged" in refused.stderr
    assert "backup_list" in refused.stderr
    preview = site.manage("backup_restore", archive, "--dry-run")
    assert "tracking.TimeEntry" in preview.stdout

    site.manage("backup_restore", archive, "--no-input")
    assert site.dump_tables() == before
    assert site.uploads() == files
    site.manage("backup_verify", site.manage("backup_create").stdout.strip())


def test_copy_of_damaged_data_is_kept_until_the_next_restore(sqlite_site: Site) -> None:
    site = sqlite_site
    populate(site)
    archive = site.manage("backup_create").stdout.strip()
    damage_pages(site, "django_migrations")
    first = site.manage("backup_restore", archive, "--no-input")
    assert "undo is unavailable" in first.stderr
    (damaged,) = Path(site.database).parent.glob("db*_before_*")
    assert site.manage("backup_undo", "--no-input", check=False).returncode == 1
    assert damaged.exists()

    second = site.manage("backup_restore", archive, "--no-input")
    assert "manage.py backup_undo" in second.stdout
    (kept,) = Path(site.database).parent.glob("db*_before_*")
    assert kept != damaged
