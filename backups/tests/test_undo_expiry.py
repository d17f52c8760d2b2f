"""What undo says before it acts, how long its state is kept, and that the disk comes back."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backups.tests.site import Site, populate
from backups.tests.warm import WarmSite


@pytest.fixture
def restored(site: Site) -> WarmSite:
    """A site right after a restore of what it was."""
    populate(site)
    warm = WarmSite.of(site)
    archive = warm.manage("backup_create").stdout.strip()
    warm.execute("DELETE FROM tracking_timeentry WHERE id % 2 = 0")
    (warm.media / "added.txt").write_text("added")
    warm.manage("backup_restore", archive, "--no-input", "--uploads", "exact")
    return warm


def kept(site: WarmSite) -> dict[str, Any]:
    """What backup_status tells of the kept state."""
    found: dict[str, Any] = json.loads(site.manage("backup_status", "--json").stdout)["kept"]
    return found


def places_kept(site: WarmSite) -> set[str]:
    """Databases or files, and folders of uploads, that are kept for undo."""
    folders = {path.name for path in site.media.glob(".backups-*")}
    if site.cluster:
        return folders | set(site.cluster.databases(f"{site.database}_"))
    return folders | {path.name for path in site.data_dir.glob("db_before_*.sqlite3")}


def let_time_pass(site: WarmSite, hours: float) -> None:
    """Date every kept state back."""
    for path in (site.state / "journal").glob("*.json"):
        journal = json.loads(path.read_bytes())
        if journal["kept"]:
            journal["kept"]["until"] = (datetime.fromisoformat(journal["kept"]["until"]) - timedelta(hours=hours)).isoformat()
            path.write_text(json.dumps(journal))


def test_state_is_kept_for_the_hours_of_the_setting_and_its_size_is_told(restored: WarmSite) -> None:
    until = datetime.fromisoformat(kept(restored)["until"])
    assert timedelta(hours=71.9) < until - datetime.now(UTC) <= timedelta(hours=72)
    assert kept(restored)["bytes"] > 100_000
    assert len(places_kept(restored)) == 2
    assert re.search(r"Undo +until .* UTC, [\d.]+ [kM]B: manage.py backup_undo", restored.manage("backup_status").stdout)
    restored.cool()
    restored.extra_env["BACKUPS_UNDO_HOURS"] = "1"
    restored.manage("backup_undo", "--no-input")
    until = datetime.fromisoformat(kept(restored)["until"])
    assert timedelta(minutes=59) < until - datetime.now(UTC) <= timedelta(hours=1)


def test_undo_says_first_what_has_changed_since_and_touches_nothing(restored: WarmSite) -> None:
    assert "No row has changed since then." in restored.manage("backup_undo", "--dry-run").stdout
    code = (
        "from timetracker.clients.models import Client; Client.objects.create(name='Won since')\n"
        "from timetracker.tracking.models import TimeEntry; entry = TimeEntry.objects.first(); entry.notes = 'since'; entry.save()"
    )
    restored.manage("shell", "--verbosity", "0", "--command", code)
    before, files, places = restored.dump_tables(), restored.uploads(), places_kept(restored)
    said = restored.manage("backup_undo", "--dry-run").stdout
    assert "what was live before the restore of" in said
    assert re.search(r"^clients_client +13 +14$", said, re.M), said
    assert re.search(r"^tracking\.TimeEntry +1$", said, re.M), said
    assert re.search(r"^clients\.Client +1$", said, re.M), said

    declined = restored.manage("backup_undo", input="no\n", check=False)
    assert declined.returncode == 2
    assert "clients.Client" in declined.stderr, "the question says what would be put aside"
    assert (restored.dump_tables(), restored.uploads(), places_kept(restored)) == (before, files, places)
    restored.manage("backup_undo", input="undo\n")
    assert restored.fetch("SELECT count(*) FROM tracking_timeentry") == [(200,)]
    assert (restored.media / "added.txt").exists()


def test_expired_state_is_gone_with_the_next_restore_and_cannot_be_undone_to(restored: WarmSite, tmp_path: Path) -> None:
    places = places_kept(restored)
    let_time_pass(restored, 73)
    before = restored.dump_tables()
    refused = restored.manage("backup_undo", "--no-input", check=False)
    assert refused.returncode == 1
    assert "has expired" in refused.stderr
    assert "backup_list" in refused.stderr
    assert restored.dump_tables() == before
    # A restore that fails later has removed it all the same: its disk is what the next one may need.
    (archive,) = (path.name for path in restored.backups.glob("*.zip"))
    data = bytearray((restored.backups / archive).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.zip").write_bytes(bytes(data))
    assert restored.manage("backup_restore", tmp_path / "flipped.zip", "--no-input", check=False).returncode == 5
    assert places_kept(restored) == set(), places
    assert kept(restored) == {}
    assert restored.dump_tables() == before


def test_state_that_is_not_yet_expired_survives_a_restore_that_fails(restored: WarmSite, tmp_path: Path) -> None:
    places = places_kept(restored)
    let_time_pass(restored, 71)
    (archive,) = restored.backups.glob("*.zip")
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.zip").write_bytes(bytes(data))
    assert restored.manage("backup_restore", tmp_path / "flipped.zip", "--no-input", check=False).returncode == 5
    assert places_kept(restored) == places
    restored.manage("backup_undo", "--no-input")
    assert restored.fetch("SELECT count(*) FROM tracking_timeentry") == [(200,)]


def test_next_restore_keeps_one_state_and_frees_the_disk_of_the_other(restored: WarmSite) -> None:
    first = places_kept(restored)
    (archive,) = (path.name for path in restored.backups.glob("*.zip"))
    restored.execute("DELETE FROM tracking_timeentry WHERE id % 2 = 1")
    restored.manage("backup_restore", archive, "--no-input")
    second = places_kept(restored)
    assert len(second) == len(first)
    assert first.isdisjoint(second)
    restored.manage("backup_undo", "--no-input")
    assert restored.fetch("SELECT count(*) FROM tracking_timeentry WHERE id % 2 = 1") == [(0,)], "the state of the second restore"
