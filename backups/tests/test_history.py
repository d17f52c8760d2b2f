"""The run history, and what is told where it, or the kept state, is out of reach."""

from __future__ import annotations

import json

import pytest

from backups.tests.site import Site


@pytest.fixture
def history_in_the_way(site: Site) -> None:
    """A history beside the archives that cannot be written."""
    site.backups.mkdir(mode=0o700)
    (site.backups / "history").write_bytes(b"a file where the folder should be")


@pytest.mark.usefixtures("history_in_the_way")
def test_backup_whose_history_cannot_be_written_is_made_and_says_so(site: Site) -> None:
    completed = site.manage("backup_create")
    assert (site.backups / completed.stdout.strip()).is_file()
    assert "warning: The run history cannot be written" in completed.stderr


@pytest.mark.usefixtures("history_in_the_way")
def test_history_that_cannot_be_written_is_told_after_the_error_of_the_operation(site: Site) -> None:
    site.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('tracking', '9999_later', '2026-01-01 00:00:00')")
    later = site.manage("backup_create", "--no-progress").stdout.strip()
    site.execute("DELETE FROM django_migrations WHERE name = '9999_later'")
    completed = site.manage("backup_restore", later, "--no-input", "--no-progress", check=False)
    assert completed.returncode == 3
    told = completed.stderr.strip().splitlines()
    assert "tracking.9999_later" in told[0]
    assert told[-1].startswith("The run history cannot be written")
    assert len(told) == 4, "what happened, in what state things are, what to do next, and the history"

    completed = site.manage("backup_restore", later, "--no-input", "--json", check=False)
    error = json.loads(completed.stdout.splitlines()[-1])
    assert "tracking.9999_later" in error["message"]
    assert [note.startswith("The run history cannot be written") for note in error["notes"]] == [True]


@pytest.mark.parametrize("content", [b"", b'{"kind": "restore", "star', b"[1, 2]", b'{"kind": "create", "ended_at": "yesterday"}'])
def test_restore_passes_over_a_record_that_says_nothing(sqlite_site: Site, content: bytes) -> None:
    archive = sqlite_site.manage("backup_create").stdout.strip()
    (sqlite_site.backups / "history" / "0123456789abcdef0123456789abcdef.json").write_bytes(content)
    completed = sqlite_site.manage("backup_restore", archive, "--no-input")
    assert "warning" not in completed.stderr
    assert "1 unreadable" in sqlite_site.manage("backup_list", "--reconcile").stderr


def test_status_says_what_it_cannot_ask_of_a_server_that_is_out_of_reach(postgres_site: Site) -> None:
    archive = postgres_site.manage("backup_create").stdout.strip()
    postgres_site.manage("backup_restore", archive, "--no-input")
    completed = postgres_site.manage("backup_status", env={"DATABASE_URL": "postgres://somebody@127.0.0.1:1/timetracker"})
    assert "Undo       until" in completed.stdout
    assert "Problem    The size of the kept state cannot be asked" in completed.stdout
