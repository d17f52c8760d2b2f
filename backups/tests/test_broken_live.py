"""A live database that is gone or torn: the case people need a restore for most. It works, and what was there is kept aside."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from backups.tests.servers import PgCluster
from backups.tests.site import Site, SiteTemplates, populate
from backups.tests.warm import WarmSite

NO_UNDO = "There was no readable database before, so undo is unavailable."


def remove_file(site: Site) -> None:
    Path(site.database).unlink()


def fill_with_garbage(site: Site) -> None:
    Path(site.database).write_bytes(random.Random(1).randbytes(50_000))


def empty_the_file(site: Site) -> None:
    Path(site.database).write_bytes(b"")


def cut_the_file(site: Site) -> None:
    """What a full disk or a broken copy leaves: a right header, and a part of the pages."""
    data = Path(site.database).read_bytes()
    Path(site.database).write_bytes(data[:10_000])


def destroy_the_schema(site: Site) -> None:
    data = bytearray(Path(site.database).read_bytes())
    data[100:2000] = b"\xa5" * 1900
    Path(site.database).write_bytes(bytes(data))


def garbage_beside_a_foreign_wal(site: Site) -> None:
    """A stale WAL beside it must not become a part of what is restored."""
    with closing(site.connect()) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("DELETE FROM tracking_timeentry")
        wal = Path(f"{site.database}-wal").read_bytes()
    Path(f"{site.database}-wal").write_bytes(wal)
    fill_with_garbage(site)


SQLITE_WRECKS = {
    "missing": remove_file,
    "garbage": fill_with_garbage,
    "of no bytes": empty_the_file,
    "cut off": cut_the_file,
    "without a schema": destroy_the_schema,
    "garbage beside a foreign WAL": garbage_beside_a_foreign_wal,
}


def drop_database(site: Site) -> None:
    assert site.cluster
    site.cluster.drop_databases(site.database)


def drop_every_table(site: Site) -> None:
    site.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


POSTGRES_WRECKS = {"dropped": drop_database, "empty": drop_every_table}


def restored_from(site: Site, wreck: Callable[[Site], None]) -> WarmSite:
    """Back up, wreck, look, restore; the site is as it was, and says that there is no way back."""
    populate(site)
    warm = WarmSite.of(site)
    before, files = warm.dump_tables(), warm.uploads()
    archive = warm.manage("backup_create").stdout.strip()
    warm.execute("UPDATE backups_backup SET pinned = NOT pinned, note = 'keep it'")
    warm.manage("shell", "--verbosity", "0", "--command", "from backups.services.tick import backup_tick; backup_tick()")
    wreck(warm)

    status = json.loads(warm.manage("backup_status", "--json").stdout)
    assert status["database"] in ("missing", "broken", "empty")
    assert archive in warm.manage("backup_list").stdout, "the store is listed without the catalogue"
    refused = warm.manage("backup_create", check=False)
    assert refused.returncode == 3
    assert "There is no database to back up" in refused.stderr
    assert "manage.py backup_restore" in refused.stderr
    preview = warm.manage("backup_restore", archive, "--dry-run")
    assert "tracking.TimeEntry" in preview.stdout

    restored = warm.manage("backup_restore", archive, "--no-input", "--uploads", "exact")
    assert warm.dump_tables() == before
    assert warm.uploads() == files
    ((verified, pinned, note),) = warm.fetch(f"SELECT verified_at, pinned, note FROM backups_backup WHERE name = '{archive}'")
    assert verified, "every byte of it was read for the restore"
    assert (bool(pinned), note) == (True, "keep it"), "what was noted of it since is not in it"
    assert NO_UNDO in restored.stderr
    assert "manage.py backup_undo" not in restored.stdout
    undo = warm.manage("backup_undo", "--no-input", check=False)
    assert undo.returncode == 1
    assert "nothing to undo" in undo.stderr
    status = json.loads(warm.manage("backup_status", "--json").stdout)
    assert (status["database"], status["gate"]["state"], status["kept"]) == ("ok", "open", {})
    assert list((warm.state / "staging").glob("*")) == []
    # The site goes on: the next backup is as good as the first.
    again = warm.manage("backup_create").stdout.strip()
    warm.manage("backup_verify", again)
    return warm


@pytest.mark.parametrize("how", SQLITE_WRECKS)
def test_site_whose_sqlite_file_is_lost_is_brought_back(sqlite_site: Site, how: str) -> None:
    contents: list[bytes] = []

    def wreck(site: Site) -> None:
        SQLITE_WRECKS[how](site)
        contents.extend(path.read_bytes() for path in [Path(site.database)] if path.exists() and path.stat().st_size)

    site = restored_from(sqlite_site, wreck)
    aside = list(Path(site.database).parent.glob("db_broken_*.sqlite3"))
    assert [path.read_bytes() for path in aside] == contents, "what was there is kept aside, byte by byte"


def test_failed_restore_puts_the_broken_file_back(sqlite_site: Site) -> None:
    populate(sqlite_site)
    site = WarmSite.of(sqlite_site)
    archive = site.manage("backup_create").stdout.strip()
    fill_with_garbage(site)
    before = Path(site.database).read_bytes()
    data = bytearray((site.backups / archive).read_bytes())
    data[len(data) // 3] ^= 1
    (site.data_dir / "flipped.zip").write_bytes(bytes(data))
    failed = site.manage("backup_restore", site.data_dir / "flipped.zip", "--no-input", check=False)
    assert failed.returncode == 5
    assert Path(site.database).read_bytes() == before


@pytest.mark.parametrize("how", POSTGRES_WRECKS)
def test_site_whose_postgresql_database_is_lost_is_brought_back(site_templates: SiteTemplates, pg: PgCluster, how: str) -> None:
    site = site_templates.site(pg)
    try:
        restored_from(site, POSTGRES_WRECKS[how])
    finally:
        site.close()


def test_role_that_may_not_create_a_dropped_database_is_told_what_to_ask_for(postgres_site: Site) -> None:
    populate(postgres_site)
    site = WarmSite.of(postgres_site)
    assert site.cluster
    archive = site.manage("backup_create").stdout.strip()
    before = site.dump_tables()
    drop_database(site)
    site.cluster.execute("ALTER ROLE timetracker NOCREATEDB")
    try:
        refused = site.manage("backup_restore", archive, "--no-input", check=False)
        assert refused.returncode == 3
        assert f'CREATE DATABASE "{site.database}" OWNER "timetracker"' in refused.stderr
        # The administrator does as told, and the same command brings everything back.
        site.cluster.create_database(site.database)
        restored = site.manage("backup_restore", archive, "--no-input")
        assert "Restored (in-place)" in restored.stdout
        assert site.dump_tables() == before
    finally:
        site.cluster.execute("ALTER ROLE timetracker CREATEDB")


def test_tables_that_were_never_migrated_are_replaced_and_can_be_brought_back(site: Site) -> None:
    populate(site)
    warm = WarmSite.of(site)
    before = warm.dump_tables()
    archive = warm.manage("backup_create").stdout.strip()
    # As after a half-done first start, or a dump of something else loaded by hand.
    for table in warm.tables():
        warm.execute(f'DROP TABLE IF EXISTS "{table}"' + (" CASCADE" if warm.cluster else ""))
    warm.execute("CREATE TABLE accounts_user (something integer)")
    warm.execute("INSERT INTO accounts_user VALUES (7)")
    torn = warm.dump_tables()

    restored = warm.manage("backup_restore", archive, "--no-input")
    assert warm.dump_tables() == before
    assert "manage.py backup_undo" in restored.stdout, "a database that can be read can be brought back, whatever it holds"
    warm.manage("backup_undo", "--no-input")
    assert warm.dump_tables() == torn
