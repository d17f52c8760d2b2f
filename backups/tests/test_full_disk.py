"""A disk that runs full in each stage, on a real file system of its own: nothing is lost, the exit code is right, nothing lies about."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.tests.namespaces import run_in_mount
from backups.tests.servers import PgCluster, oldest_pg_major, running
from backups.tests.site import Site, SiteTemplates, populate
from backups.tests.test_killed import assert_tidy
from backups.tests.warm import WarmSite

SMALL = 'mount -t tmpfs -o size=64m tmpfs "$1"'
# Bytes that stay free: room for a journal, and for nothing else; and none at all.
LITTLE, NONE = 64 * 1024, 0


@pytest.fixture
def small(tmp_path: Path, sqlite_site: Site) -> Path:
    """The place to mount at, with the data of a populated site beside it."""
    populate(sqlite_site)
    shutil.copytree(sqlite_site.data_dir, tmp_path / "prepared")
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


@contextlib.contextmanager
def site_on(disk: Path) -> Iterator[WarmSite]:
    """The prepared site, moved to the small disk."""
    folder = disk / "site"
    shutil.copytree(disk.parent / "prepared", folder)
    site = WarmSite(folder, str(folder / "db.sqlite3"), f"sqlite:///{folder / 'db.sqlite3'}", secret_key="a key of this test alone" * 3)
    try:
        yield site
    finally:
        site.close()


def create_on_a_full_disk(disk: Path) -> None:
    """Runs in the mount namespace."""
    with site_on(disk) as site:
        good = site.manage("backup_create").stdout.strip()
        tables, uploads = site.dump_tables(), site.uploads()
        for stage in ("preflight", "dump"):
            for leave in (LITTLE, NONE):
                ended = site.filling(stage, disk / "ballast", leave, "backup_create", "--no-progress")
                (disk / "ballast").unlink()
                shown = f"{stage}, {leave} bytes left: {ended}"
                assert ended.returncode == (3 if stage == "preflight" else 1), shown
                assert "Traceback" not in ended.stderr, shown
                assert "Free some space" in ended.stderr or leave == NONE, shown
                assert [path.name for path in site.backups.glob("*.zip")] == [good], shown
                site.manage("backup_status", "--recover")
                assert_tidy(site)
                assert (site.dump_tables(), site.uploads()) == (tables, uploads), shown
        site.manage("backup_create")


def restore_on_a_full_disk(disk: Path) -> None:
    """Runs in the mount namespace."""
    with site_on(disk) as site:
        archive = site.manage("backup_create").stdout.strip()
        site.execute("DELETE FROM tracking_timeentry")
        (site.media / "later.txt").write_text("later")
        tables, uploads = site.dump_tables(), site.uploads()
        for stage in ("preflight", "extract", "shadow", "migrate", "analyze", "uploads", "drain", "swap"):
            for leave in (LITTLE, NONE):
                ended = site.filling(stage, disk / "ballast", leave, "backup_restore", archive, "--no-input", "--no-progress")
                (disk / "ballast").unlink()
                shown = f"{stage}, {leave} bytes left: {ended}"
                assert ended.returncode == (3 if stage == "preflight" else 6), shown
                assert "Traceback" not in ended.stderr, shown
                # At once, before anything recovers: people work on what was live.
                assert site.dump_tables() == tables, shown
                assert site.uploads() == uploads, shown
                site.manage("backup_status", "--recover")
                assert_tidy(site)
                assert (site.dump_tables(), site.uploads()) == (tables, uploads), shown
        site.manage("backup_restore", archive, "--no-input")
        assert site.fetch("SELECT count(*) FROM tracking_timeentry") == [(400,)]
        # Undo goes the same way, and its kept state survives a full disk too.
        restored = site.dump_tables()
        for stage in ("shadow", "swap"):
            ended = site.filling(stage, disk / "ballast", LITTLE, "backup_undo", "--no-input", "--no-progress")
            (disk / "ballast").unlink()
            assert ended.returncode == 6, ended
            assert site.dump_tables() == restored
            assert_tidy(site)
        site.manage("backup_undo", "--no-input")
        assert site.dump_tables() == tables


def read_only_store(disk: Path) -> None:
    """Runs in the mount namespace: archives are on a file system that has become read-only."""
    with site_on(disk) as site:
        archive = site.manage("backup_create").stdout.strip()
        tables = site.dump_tables()
        site.cool()
        subprocess.run(["mount", "--bind", site.backups, site.backups], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", site.backups], check=True)
        refused = site.manage("backup_create", "--no-progress", check=False)
        assert refused.returncode == 3, refused
        assert str(site.backups) in refused.stderr
        assert "Read-only file system" in refused.stderr
        assert "Traceback" not in refused.stderr
        # To a path elsewhere it works, and what is in the store is read and restored as ever.
        (disk / "elsewhere").mkdir()
        site.manage("backup_create", "--output", disk / "elsewhere" / "mine.zip")
        site.manage("backup_verify", archive)
        site.execute("DELETE FROM tracking_timeentry")
        site.manage("backup_restore", archive, "--no-input")
        assert site.dump_tables() == tables
        assert json.loads(site.manage("backup_status", "--json").stdout)["gate"]["state"] == "open"
        subprocess.run(["umount", site.backups], check=True)


def server_on_a_full_disk(disk: Path) -> None:
    """Runs in the mount namespace: the database lies in a tablespace on the small disk, everything else elsewhere."""
    with running(PgCluster(oldest_pg_major(), fsync=False)) as cluster:
        place = cluster.folder / "small"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], check=True)
        if cluster.account:
            os.chown(place, *cluster.account)
        cluster.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        cluster.execute("GRANT CREATE ON TABLESPACE small TO timetracker")
        templates = SiteTemplates(disk / "templates")
        template = templates.site(cluster)
        populate(template)
        cluster.execute(f"ALTER DATABASE {template.database} SET TABLESPACE small")
        site = WarmSite.of(template)
        archive = site.manage("backup_create").stdout.strip()
        site.execute("DELETE FROM tracking_timeentry")
        tables, uploads = site.dump_tables(), site.uploads()
        for stage in ("shadow", "migrate", "analyze"):
            ended = site.filling(stage, place / "ballast", LITTLE, "backup_restore", archive, "--no-input", "--no-progress")
            (place / "ballast").unlink(missing_ok=True)
            shown = f"{stage}: {ended}"
            if ended.returncode == 0:
                # What was left to write fitted into pages that were there already.
                assert stage != "shadow", shown
                site.manage("backup_undo", "--no-input")
            else:
                assert ended.returncode == 6, shown
                assert "No space left on device" in ended.stderr or stage != "shadow", shown
            assert (site.dump_tables(), site.uploads()) == (tables, uploads), shown
            assert_tidy(site)
        site.manage("backup_restore", archive, "--no-input")
        assert site.fetch("SELECT count(*) FROM tracking_timeentry") == [(400,)]
        site.close()
        cluster.stop("immediate")
        subprocess.run(["umount", place], check=True)


def test_create_on_a_full_disk_leaves_nothing_partial(small: Path) -> None:
    run_in_mount(create_on_a_full_disk, small, SMALL)


def test_restore_and_undo_on_a_full_disk_leave_the_live_data(small: Path) -> None:
    run_in_mount(restore_on_a_full_disk, small, SMALL)


def test_store_that_is_read_only_refuses_a_backup_and_still_serves_a_restore(small: Path) -> None:
    run_in_mount(read_only_store, small, SMALL)


def test_restore_on_a_server_whose_disk_runs_full_leaves_the_live_data(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    run_in_mount(server_on_a_full_disk, tmp_path / "disk", "true")
