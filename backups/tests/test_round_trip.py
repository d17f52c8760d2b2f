"""Create, change everything, restore, undo, undo again: each time exactly the data of that moment."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from backups.tests.site import Site, populate
from backups.tests.wrecking import wreck


@pytest.mark.parametrize("mode", ["exact", "merge"])
def test_restore_brings_back_every_row_and_file_and_undo_goes_both_ways(site: Site, mode: str) -> None:
    populate(site)
    before, files_before = site.dump_tables(), site.uploads()
    assert sum(map(len, before.values())) > 400
    assert files_before

    archive = site.manage("backup_create", "--note", "round trip").stdout.strip()
    assert site.dump_tables() == before, "making a backup changes nothing"

    wreck(site)
    wrecked, files_wrecked = site.dump_tables(), site.uploads()
    assert wrecked != before
    assert files_wrecked != files_before

    site.manage("backup_restore", archive, "--no-input", "--uploads", mode)
    assert site.dump_tables() == before
    files_restored = site.uploads()
    if mode == "exact":
        assert files_restored == files_before
    else:
        assert files_restored == files_wrecked | files_before

    assert site.manage("backup_undo", "--no-input").stdout.startswith("Undone (")
    assert site.dump_tables() == wrecked
    assert site.uploads() == files_wrecked

    assert site.manage("backup_undo", "--no-input").stdout.startswith("Redone (")
    assert site.dump_tables() == before
    assert site.uploads() == files_restored


def test_after_a_restore_new_rows_get_ids_that_nobody_has(site: Site) -> None:
    populate(site)
    (highest,) = site.fetch("SELECT max(id) FROM clients_client")[0]
    archive = site.manage("backup_create").stdout.strip()
    wreck(site)
    site.manage("backup_restore", archive, "--no-input")
    code = "from timetracker.clients.models import Client; print(Client.objects.create(name='Made after the restore').pk)"
    made = site.manage("shell", "--command", code, "--verbosity", "0").stdout.strip()
    assert int(made) > highest


def test_what_was_restored_and_what_was_undone_to_has_statistics_for_the_planner(site: Site) -> None:
    """A load brings none; without them PostgreSQL may plan for an empty table until autovacuum comes by."""
    statistics = "pg_stats WHERE tablename" if site.vendor == "postgresql" else "sqlite_stat1 WHERE tbl"
    query = f"SELECT count(*) FROM {statistics} = 'clients_client'"
    populate(site)
    if site.vendor == "sqlite":
        site.execute("ANALYZE")
        site.execute("DROP TABLE sqlite_stat1")
    archive = site.manage("backup_create").stdout.strip()
    site.execute("ANALYZE")
    site.manage("backup_restore", archive, "--no-input")
    assert site.fetch(query) > [(0,)]
    site.manage("backup_undo", "--no-input")
    assert site.fetch(query) > [(0,)]


def test_create_prints_the_name_alone_and_leaves_no_partial_file(site: Site) -> None:
    completed = site.manage("backup_create")
    name = completed.stdout.strip()
    assert (site.backups / name).is_file()
    assert completed.stdout == f"{name}\n"
    assert (site.backups / name).stat().st_mode & 0o777 == 0o600
    assert [path for path in site.data_dir.rglob("*.partial*") if path.name != ".partial"] == []
    assert list((site.state / "staging").glob("*")) == []


def test_rows_that_name_files_which_cannot_exist_are_told_without_what_a_terminal_would_obey(site: Site) -> None:
    populate(site)
    site.execute("UPDATE clients_document SET file = 'documents/\x1b[2Jgone.pdf' WHERE id = (SELECT min(id) FROM clients_document)")
    site.execute(f"UPDATE clients_document SET file = '{'€' * 200}' WHERE id = (SELECT max(id) FROM clients_document)")
    completed = site.manage("backup_create")
    assert "2 files that rows name do not exist" in completed.stderr
    assert "documents/\\x1b[2Jgone.pdf" in completed.stderr
    assert "\x1b" not in completed.stderr


def test_create_writes_to_a_path_or_into_a_folder(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "mine.zip"
    assert site.manage("backup_create", "--output", target).stdout.strip() == str(target)
    inside = Path(site.manage("backup_create", "--output", tmp_path).stdout.strip())
    assert inside.parent == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {"mine.zip", inside.name}

    again = site.manage("backup_create", "--output", target, check=False)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    site.manage("backup_restore", target, "--no-input")


def test_a_site_where_nobody_answers_is_not_restored(site: Site) -> None:
    archive = site.manage("backup_create").stdout.strip()
    completed = site.manage("backup_restore", archive, check=False)
    assert completed.returncode == 2
    assert "--no-input" in completed.stderr


def test_undo_with_nothing_kept_says_so(site: Site) -> None:
    completed = site.manage("backup_undo", "--no-input", check=False)
    assert completed.returncode == 1
    assert "nothing to undo" in completed.stderr


def test_live_uploads_that_cannot_stay_beside_the_archive_are_named(site: Site) -> None:
    site.media.mkdir(exist_ok=True)
    (site.media / "plans").write_bytes(b"a file")
    archive = site.manage("backup_create").stdout.strip()
    (site.media / "plans").unlink()
    (site.media / "plans").mkdir()
    (site.media / "plans" / "new.txt").write_bytes(b"uploaded since")
    completed = site.manage("backup_restore", archive, "--no-input")
    assert "the archive's wins, and the live one goes: plans." in completed.stderr
    assert (site.media / "plans").read_bytes() == b"a file"
    site.manage("backup_undo", "--no-input")
    assert (site.media / "plans" / "new.txt").read_bytes() == b"uploaded since"


def test_files_that_a_program_writes_meanwhile_without_asking_the_gate_are_all_there(site: Site) -> None:
    """Those of the last instant before the switch, too: no look at the tree before it can see them."""
    populate(site)
    archive = site.manage("backup_create").stdout.strip()
    folder = site.media / "documents" / "meanwhile"
    folder.mkdir(parents=True)
    over = threading.Event()
    written: list[Path] = []

    def write() -> None:
        while not over.wait(0.003):
            path = folder / f"{len(written)}.txt"
            # The tree is exchanged while it is written to: then the folder is the new one.
            with contextlib.suppress(FileNotFoundError):
                path.write_text(path.name)
                written.append(path)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        site.manage("backup_restore", archive, "--no-input", "--uploads", "merge")
    finally:
        over.set()
        writer.join()
    assert len(written) > 20
    assert [path.name for path in written if not path.exists() or path.read_text() != path.name] == []


@pytest.mark.parametrize("how", ["--no-input", "--dry-run"])
def test_uploads_are_never_emptied_by_an_archive_that_has_none(sqlite_site: Site, how: str) -> None:
    archive = sqlite_site.manage("backup_create", "--no-uploads").stdout.strip()
    completed = sqlite_site.manage("backup_restore", archive, how, "--uploads", "exact", check=False)
    assert completed.returncode == 3
    assert "would remove every file" in completed.stderr
