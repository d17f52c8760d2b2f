"""The journal: without it nothing begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pytest_django import Settings

from backups.exceptions import PreflightRefused
from backups.journal import Journal, journal_find, journal_load_all, journals_damaged


def test_an_operation_whose_journal_cannot_be_written_is_refused(settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_STATE_DIR = tmp_path
    (tmp_path / "journal").write_text("a file, where the folder should be")
    with pytest.raises(PreflightRefused, match=f"journal cannot be written in {tmp_path}/journal: File exists") as refusal:
        Journal(kind="create").start()
    assert "Free some space" in refusal.value.next_step


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("created_at", None),
        ("created_at", "yesterday"),
        ("created_at", "2026-01-01T00:00:00"),
        ("ended_at", 5),
        ("status", "begun"),
        ("arguments", None),
        ("kept", {"database": "x"}),
        ("kept", {"until": "tomorrow"}),
        ("pid", "1"),
        ("id", "0" * 32),
    ],
)
def test_a_journal_that_holds_what_nobody_expects_is_damaged_and_stops_nothing(
    settings: Settings, tmp_path: Path, field: str, value: object
) -> None:
    settings.BACKUPS_STATE_DIR = tmp_path
    good, bad = Journal(kind="create"), Journal(kind="restore")
    bad.save()
    bad.path.write_text(json.dumps(json.loads(bad.path.read_bytes()) | {field: value}))
    good.start()
    good.end("done")
    assert [journal.id for journal in journal_load_all()] == [good.id]
    assert journals_damaged() == [bad.id]
    assert journal_find(bad.id) is None


def test_a_copy_that_a_person_has_made_of_a_journal_is_no_operation(settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_STATE_DIR = tmp_path
    journal = Journal(kind="restore")
    journal.start()
    (journal.path.parent / f"{journal.id} (copy).json").write_bytes(journal.path.read_bytes())
    journal.end("recovered")
    assert [(found.id, found.status) for found in journal_load_all()] == [(journal.id, "recovered")]
    assert journals_damaged() == []


def test_a_journal_that_has_ended_is_read_once_and_again_when_it_is_another_file(settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_STATE_DIR = tmp_path
    journal = Journal(kind="restore", kept={"until": "2026-01-01T00:00:00+00:00"})
    journal.start()
    assert [found.status for found in journal_load_all()] == ["running"]
    journal.end("done")
    (found,) = journal_load_all()
    assert (found.status, found.kept) == ("done", journal.kept)
    journal.path.chmod(0o600)
    journal.error, journal.kept = "a second time", {}
    journal.save()
    assert [(found.error, found.kept) for found in journal_load_all()] == [("a second time", {})]
    journal.path.unlink()
    assert journal_load_all() == []


def test_what_somebody_makes_of_a_journal_is_not_what_others_read(settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_STATE_DIR = tmp_path
    journal = Journal(kind="restore", arguments={"uploads": "merge"})
    journal.start()
    journal.end("done")
    (first,) = journal_load_all()
    first.arguments["undoes"], first.kept, first.error = "another", {"until": "never"}, "changed in memory"
    assert journal_load_all() == [journal]
    assert first.path == journal.path


def test_journals_of_another_folder_are_not_those_of_the_one_before(settings: Settings, tmp_path: Path) -> None:
    for name in ("one", "two"):
        settings.BACKUPS_STATE_DIR = tmp_path / name
        journal = Journal(kind="create", requested_by=name)
        journal.start()
        journal.end("done")
        assert [found.requested_by for found in journal_load_all()] == [name]
