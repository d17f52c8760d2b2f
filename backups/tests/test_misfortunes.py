"""What an unlucky administrator meets: nothing is lost for it, and nothing untrue is said."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.tests.servers import PgCluster
from backups.tests.site import Site, populate
from backups.tests.wrecking import wreck

# Dies before the third rename of the switch: a part of the live uploads then lies in the staging folder alone.
DIES_IN_THE_SWITCH = """
import itertools, os, signal, sys
import backups.uploads.switch as switch
from django.core.management import execute_from_command_line
rename, calls = switch.rename, itertools.count(1)
def dying(source, target):
    if next(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
switch.rename = dying
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def wrecked(site: Site) -> str:
    """Fill the site, back it up and wreck it; return the archive's name."""
    populate(site)
    archive = site.manage("backup_create").stdout.strip()
    wreck(site)
    return archive


def dead_in_the_switch(site: Site, archive: str) -> tuple[Path, dict[str, str]]:
    """Kill a restore while the uploads are switched; return its journal and the uploads that were live before."""
    before = site.uploads()
    process = site.run_python("-c", DIES_IN_THE_SWITCH, "backup_restore", archive, "--no-input", "--uploads", "exact")
    process.communicate(timeout=300)
    assert process.returncode == -9
    assert site.uploads() != before
    return max((site.state / "journal").glob("*.json"), key=os.path.getmtime), before


def all_files(site: Site) -> set[str]:
    """Contents of all files below MEDIA_ROOT, in staging folders too."""
    return {path.read_bytes().hex() for path in site.media.rglob("*") if path.is_file()}


def test_uploads_of_an_operation_whose_journal_is_damaged_are_never_swept_away(sqlite_site: Site) -> None:
    site = sqlite_site
    journal, _ = dead_in_the_switch(site, wrecked(site))
    files, whole = all_files(site), journal.read_bytes()
    journal.write_bytes(whole[:200])

    assert "is damaged" in site.manage("backup_status").stdout
    refused = site.manage("backup_status", "--recover", check=False)
    assert refused.returncode == 7
    assert "is damaged" in refused.stderr
    assert json.loads(site.manage("backup_status", "--json").stdout)["gate"]["state"] == "closed"
    site.manage("backup_create")
    assert all_files(site) >= files

    journal.write_bytes(whole)
    assert "was undone" in site.manage("backup_status", "--recover").stdout


def test_uploads_displaced_by_an_operation_that_was_never_judged_stay_after_the_gate_was_forced_open(sqlite_site: Site) -> None:
    site = sqlite_site
    journal, _ = dead_in_the_switch(site, wrecked(site))
    files = all_files(site)
    forced = site.manage("backup_status", "--force-open", input="open the gate\n")
    assert f".backups-{journal.stem[:8]}/old" in forced.stdout
    site.manage("backup_create")
    site.manage("backup_status", "--recover")
    assert all_files(site) >= files


@pytest.fixture
def wrecked_site(postgres_site: Site) -> tuple[Site, str]:
    """A wrecked site on PostgreSQL, and the name of the archive of what it was."""
    return postgres_site, wrecked(postgres_site)


@contextlib.contextmanager
def all_connections_taken(site: Site) -> Iterator[None]:
    assert site.cluster
    site.cluster.execute(f'ALTER DATABASE "{site.database}" CONNECTION LIMIT 1')
    try:
        with contextlib.closing(site.connect()):
            yield
    finally:
        site.cluster.execute(f'ALTER DATABASE "{site.database}" CONNECTION LIMIT -1')


@contextlib.contextmanager
def table_locked(site: Site) -> Iterator[None]:
    """As a migration does it that hangs."""
    with contextlib.closing(site.connect()) as connection:
        connection.autocommit = False
        connection.cursor().execute("LOCK TABLE billing_invoice IN ACCESS EXCLUSIVE MODE")
        yield


OBSTACLES = {"all connections taken": all_connections_taken, "a table locked": table_locked}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_data_that_cannot_be_read_now_is_kept_for_undo_all_the_same(wrecked_site: tuple[Site, str], obstacle: str) -> None:
    site, archive = wrecked_site
    before = site.dump_tables()
    with OBSTACLES[obstacle](site):
        preview = site.manage("backup_restore", archive, "--dry-run").stdout
        restored = site.manage("backup_restore", archive, "--no-input")
    assert "it is not known what would be lost" in preview
    assert "Nothing that is newer" not in preview
    assert "could not be counted" in restored.stderr
    assert "undo is unavailable" not in restored.stderr
    assert "manage.py backup_undo" in restored.stdout
    site.cluster.execute(f'ALTER DATABASE "{site.database}" CONNECTION LIMIT -1')  # type: ignore[union-attr]
    site.manage("backup_undo", "--no-input")
    assert site.dump_tables() == before


def test_nothing_is_replaced_in_place_that_could_not_be_saved_before(wrecked_site: tuple[Site, str]) -> None:
    site, archive = wrecked_site
    before = site.dump_tables()
    with table_locked(site):
        refused = site.manage("backup_restore", archive, "--no-input", "--strategy", "in-place", check=False)
    assert refused.returncode == 3
    assert "cannot be saved before it is replaced in place" in refused.stderr
    assert "CREATEDB" in refused.stderr
    assert site.dump_tables() == before
    assert json.loads(site.manage("backup_status", "--json").stdout)["gate"]["operation"] == ""


def test_restore_of_a_dead_host_is_not_undone_over_what_another_host_restored_since(wrecked_site: tuple[Site, str]) -> None:
    site, archive = wrecked_site
    journal, _ = dead_in_the_switch(site, archive)
    other = dataclasses.replace(site, data_dir=site.data_dir / "other")
    other.data_dir.mkdir()
    other.manage("backup_restore", site.backups / archive, "--no-input", "--trust-unsigned")
    other.execute("INSERT INTO auth_group (name) VALUES ('Added on the other host')")
    data, files = other.dump_tables(), all_files(site)

    refused = site.manage("backup_status", "--recover", check=False)
    assert refused.returncode == 7
    assert "neither the one before" in refused.stderr
    assert site.dump_tables() == data
    assert all_files(site) == files
    forced = site.manage("backup_status", "--force-open", input="open the gate\n")
    assert f".backups-{journal.stem[:8]}/old" in forced.stdout
    site.manage("backup_create")
    assert site.dump_tables() == data
    assert all_files(site) == files


def test_partitioned_tables_are_replaced_in_place(postgres_site: Site) -> None:
    site = postgres_site
    site.execute("CREATE TABLE parts (id integer, made date) PARTITION BY RANGE (made)")
    site.execute("CREATE TABLE parts_early PARTITION OF parts FOR VALUES FROM (MINVALUE) TO ('2025-01-01')")
    site.execute("CREATE TABLE parts_late PARTITION OF parts DEFAULT")
    site.execute("INSERT INTO parts VALUES (1, '2020-02-02'), (2, '2025-05-05')")
    archive = site.manage("backup_create").stdout.strip()
    site.execute("DELETE FROM parts WHERE id = 1")
    site.manage("backup_restore", archive, "--no-input", "--strategy", "in-place")
    assert site.dump_tables()["parts"] == [(1, datetime.date(2020, 2, 2)), (2, datetime.date(2025, 5, 5))]


def test_limits_of_the_role_do_not_end_a_restore(wrecked_site: tuple[Site, str]) -> None:
    site, archive = wrecked_site
    before, owner = site.dump_tables(), PgCluster.owner
    assert site.cluster
    # Milliseconds: too few to copy a database or to load one, enough to read a row of the site's settings on a busy machine.
    for setting in ("statement_timeout = 20", "lock_timeout = 20", "default_transaction_read_only = on"):
        site.cluster.execute(f'ALTER ROLE "{owner}" SET {setting}')
    try:
        site.manage("backup_restore", archive, "--no-input")
        site.manage("backup_undo", "--no-input")
    finally:
        site.cluster.execute(f'ALTER ROLE "{owner}" RESET ALL')
    assert site.dump_tables() == before


def test_default_privileges_of_today_give_no_rights_on_what_is_loaded_in_place(wrecked_site: tuple[Site, str]) -> None:
    site, archive = wrecked_site
    site.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC")
    site.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO PUBLIC")
    site.manage("backup_restore", archive, "--no-input", "--strategy", "in-place")
    assert site.fetch("SELECT relname FROM pg_class WHERE relname = 'accounts_user' AND relacl IS NOT NULL") == []
    site.manage("backup_undo", "--no-input")
    assert len(site.fetch("SELECT defaclacl FROM pg_default_acl")) == 2


def test_journal_that_this_user_may_not_read_is_a_refusal_and_not_overlooked(sqlite_site: Site) -> None:
    site = sqlite_site
    site.manage("backup_create")
    (journal,) = (site.state / "journal").glob("*.json")
    # A link to itself fails for root too, as a file without rights does for others.
    journal.unlink()
    journal.symlink_to(journal)
    refused = site.manage("backup_create", check=False)
    assert refused.returncode == 3
    assert f"The journal {journal} cannot be read" in refused.stderr


def test_last_operation_is_the_last_even_where_the_clock_was_set_back(sqlite_site: Site) -> None:
    site = sqlite_site
    site.manage("backup_create")
    (first,) = (site.state / "journal").glob("*.json")
    data = json.loads(first.read_text())
    data["ended_at"] = "2999-01-01T00:00:00.500000+00:00"
    first.write_text(json.dumps(data))
    site.manage("backup_create")
    (second,) = set((site.state / "journal").glob("*.json")) - {first}
    assert json.loads(second.read_text())["ended_at"] > data["ended_at"]


def test_database_among_the_uploads_is_never_moved_with_them(sqlite_site: Site) -> None:
    site = sqlite_site
    populate(site)
    archive = site.manage("backup_create").stdout.strip()
    database = Path(site.database).rename(site.media / "db.sqlite3")
    site.database, site.database_url = str(database), f"sqlite:///{database}"
    for command in (("backup_create",), ("backup_restore", archive, "--no-input", "--uploads", "exact")):
        refused = site.manage(*command, check=False)
        assert refused.returncode == 3
        assert "lies inside MEDIA_ROOT" in refused.stderr
    before = site.dump_tables()
    archive = site.manage("backup_create", "--no-uploads").stdout.strip()
    site.execute("UPDATE accounts_user SET password = 'lost'")
    site.manage("backup_restore", archive, "--no-input")
    assert site.dump_tables() == before
