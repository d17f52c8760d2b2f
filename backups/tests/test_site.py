"""Scratch sites: what the tests of backup and restore compare with must itself be right."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from backups.tests.servers import PgCluster
from backups.tests.site import Site, SiteTemplates, populate


def test_a_site_is_migrated_and_its_own(site: Site, site_templates: SiteTemplates, pg: PgCluster) -> None:
    other = site_templates.site(site.cluster)
    try:
        site.execute("UPDATE django_content_type SET model = 'changed' WHERE model = 'session'")
        assert site.dump_tables() != other.dump_tables()
        assert site.manage("migrate", "--check").returncode == 0
        assert other.fetch("SELECT COUNT(*) FROM django_content_type WHERE model = 'session'") == [(1,)]
    finally:
        other.close()


def test_a_dump_shows_every_change_but_sessions_and_the_catalogue(site: Site) -> None:
    before = site.dump_tables()
    assert "django_migrations" in before
    assert not any(table == "django_session" or table.startswith("backups_") for table in before)
    site.execute("INSERT INTO django_session VALUES ('k', 'd', '2026-01-01 00:00:00+00')")
    assert site.dump_tables() == before
    site.execute("UPDATE django_migrations SET name = 'changed' WHERE app = 'sessions'")
    assert site.dump_tables() != before
    site.execute("CREATE TABLE added (id integer)")
    assert site.dump_tables()["added"] == []


def test_uploads_are_told_by_path_and_content_without_staging_folders(sqlite_site: Site) -> None:
    (sqlite_site.media / "receipts").mkdir(parents=True)
    (sqlite_site.media / "receipts" / "a.txt").write_bytes(b"abc")
    (sqlite_site.media / ".backups-1234").mkdir()
    (sqlite_site.media / ".backups-1234" / "b.txt").write_bytes(b"abc")
    assert sqlite_site.uploads() == {"receipts/a.txt": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}


def test_nothing_of_the_surrounding_environment_reaches_a_command(sqlite_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKUPS_UNDO_HOURS", "1")
    monkeypatch.setenv("PGPASSWORD", "x")
    code = "import os; print(sorted(name for name in os.environ if name.startswith(('BACKUPS', 'PG', 'PYTEST'))))"
    assert sqlite_site.manage("shell", "-v", "0", "-c", code).stdout.strip() == "[]"
    assert sqlite_site.manage("shell", "-v", "0", "-c", code, env={"PGPASSWORD": "y"}).stdout.strip() == "['PGPASSWORD']"


def test_a_command_that_fails_fails_the_test_and_shows_its_output(sqlite_site: Site) -> None:
    assert sqlite_site.manage("no_such_command", check=False).returncode == 1
    with pytest.raises(AssertionError, match="Unknown command: 'no_such_command'"):
        sqlite_site.manage("no_such_command")


def test_a_command_that_hangs_is_killed_with_its_group(sqlite_site: Site) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with pytest.raises(AssertionError, match="was not done after 2 s"):
        sqlite_site.manage("shell", "-v", "0", "-c", code, timeout=2)


def test_closing_a_site_ends_its_processes_and_removes_its_databases(site_templates: SiteTemplates, pg: PgCluster) -> None:
    site = site_templates.site(pg)
    pg.create_database(f"{site.database}_shadow_0a1b2c3d")
    process = site.run_python("-c", "print('up', flush=True); import time; time.sleep(600)")
    assert process.stdout
    assert process.stdout.readline() == "up\n"
    site.close()
    assert process.returncode == -9
    assert pg.databases(site.database) == []
    assert not site.data_dir.exists()


def test_the_standard_input_reaches_a_command(sqlite_site: Site) -> None:
    assert sqlite_site.manage("shell", "-v", "0", input="print(6 * 7)\n").stdout.strip() == "42"


def test_a_blank_site_has_no_table(site_templates: SiteTemplates, pg: PgCluster, tmp_path: Path) -> None:
    for cluster in (None, pg):
        site = site_templates.blank(cluster)
        try:
            assert site.tables() == []
        finally:
            site.close()


def test_killing_the_parent_leaves_its_group_for_the_test_to_judge(sqlite_site: Site) -> None:
    code = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        "print(child.pid, flush=True); child.wait()"
    )
    process = sqlite_site.run_python("-c", code)
    assert process.stdout
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert Path(f"/proc/{child}").exists()
    Site.kill_group(process)
    assert subprocess.run(["tail", f"--pid={child}", "-f", "/dev/null"], timeout=60).returncode == 0


def test_a_populated_site_has_rows_and_uploads_and_equals_the_next_one(site: Site, site_templates: SiteTemplates) -> None:
    other = site_templates.site(site.cluster)
    try:
        for each in (site, other):
            populate(each, entries=50, uploads_mb=1)
        assert site.fetch("SELECT COUNT(*) FROM tracking_timeentry") == [(50,)]
        assert site.uploads()
        assert (site.dump_tables(), site.uploads()) == (other.dump_tables(), other.uploads())
        assert site.manage("migrate", "--check").returncode == 0
    finally:
        other.close()
