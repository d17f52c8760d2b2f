"""An archive that is older than the code is migrated on its way; one that is newer is refused by the names of its migrations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backups.tests.site import Site
from backups.tests.warm import WarmSite

LATER = ["growing.0002_letters", "growing.0003_unique"]


@pytest.fixture
def old(site: Site) -> WarmSite:
    """A site two migrations back, with data of that time."""
    site.extra_env["DJANGO_SETTINGS_MODULE"] = "backups.tests.growing.settings"
    warm = WarmSite.of(site)
    warm.manage("migrate", "growing", "0001", "--verbosity", "0")
    warm.execute("INSERT INTO growing_measure (name) VALUES ('ell')")
    warm.execute("INSERT INTO growing_measure (name) VALUES ('fathom')")
    warm.execute("INSERT INTO django_session (session_key, session_data, expire_date) VALUES ('k', 'd', '2099-01-01 00:00:00')")
    return warm


def test_archive_two_migrations_back_restores_and_is_migrated(old: WarmSite) -> None:
    archive = old.manage("backup_create").stdout.strip()
    old.migrate()
    old.execute("UPDATE growing_measure SET name = 'furlong', letters = 7 WHERE name = 'ell'")
    now = old.dump_tables()

    preview = old.manage("backup_restore", archive, "--dry-run").stdout
    assert f"Migrate   {', '.join(LATER)}" in preview
    assert old.dump_tables() == now

    restored = old.manage("backup_restore", archive, "--no-input", "--json")
    result = json.loads(restored.stdout.splitlines()[-1])
    assert result["migrated"] == LATER
    assert sorted(old.fetch("SELECT name, letters FROM growing_measure")) == [("ell", 3), ("fathom", 6)]
    assert "No planned migration operations" in old.manage("migrate", "--plan").stdout
    # The new column is enforced, as on a site that was never restored.
    duplicate = "from backups.tests.growing.models import Measure; Measure.objects.create(name='ell', letters=3)"
    refused = old.manage("shell", "--command", duplicate, "--verbosity", "0", check=False)
    assert "IntegrityError" in refused.stderr
    assert old.fetch("SELECT session_key FROM django_session") == []
    old.manage("backup_undo", "--no-input")
    assert old.dump_tables() == now


def test_kept_state_that_is_older_than_the_code_is_migrated_by_undo(old: WarmSite) -> None:
    archive = old.manage("backup_create").stdout.strip()
    old.manage("migrate", "growing", "0002", "--verbosity", "0")
    # What is kept by this restore is one migration back when it is undone ...
    old.manage("backup_restore", archive, "--no-input")
    undone = old.manage("backup_undo", "--no-input")
    # ... and comes back on the code's state.
    assert "Migrations run: growing.0003_unique" in undone.stdout
    assert sorted(old.fetch("SELECT name, letters FROM growing_measure")) == [("ell", 3), ("fathom", 6)]


def test_archive_whose_data_cannot_be_migrated_leaves_the_live_data(old: WarmSite) -> None:
    # Two of one name: the third migration makes names unique.
    old.execute("INSERT INTO growing_measure (name) VALUES ('ell')")
    archive = old.manage("backup_create").stdout.strip()
    old.execute("DELETE FROM growing_measure")
    old.migrate()
    now = old.dump_tables()
    failed = old.manage("backup_restore", archive, "--no-input", check=False)
    assert failed.returncode == 6
    assert "could not be brought to this code's state: IntegrityError" in failed.stderr
    assert "The live data is as it was before." in failed.stderr
    assert old.dump_tables() == now


def test_archive_of_newer_code_is_refused_naming_its_migrations(old: WarmSite, tmp_path: Path) -> None:
    old.migrate()
    archive = old.manage("backup_create", "--output", tmp_path / "newer.zip").stdout.strip()
    old.cool()
    del old.extra_env["DJANGO_SETTINGS_MODULE"]
    now = old.dump_tables()
    refused = old.manage("backup_restore", archive, "--no-input", check=False)
    assert refused.returncode == 3
    for name in ("growing.0001_initial", *LATER):
        assert name in refused.stderr
    assert "Install TimeTracker" in refused.stderr
    assert old.dump_tables() == now
    preview = old.manage("backup_restore", archive, "--dry-run", check=False)
    assert preview.returncode == 3


def test_backup_before_migrations_is_made_only_where_some_are_pending(old: WarmSite) -> None:
    made = old.manage("backup_create", "--before-migrate")
    assert made.stdout.strip().endswith(".zip")
    assert "2 migrations are pending" in made.stderr
    old.migrate()
    idle = old.manage("backup_create", "--before-migrate")
    assert idle.stdout.strip() == ""
    assert [path.name for path in old.backups.glob("*.zip")] == [made.stdout.strip()]
