"""Which archive is meant by a name or a path."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from backups.exceptions import ArchiveNotFound, ArchiveRejected, BackupError
from backups.services.archives import archive_opened
from backups.storage.local import LocalStore
from backups.tests.hostile import make_archive
from backups.tests.stored import store_of_its_own

NAME = "backup_20250304_050608_01234567.zip"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store, and a current folder that is another one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return store_of_its_own(settings, tmp_path / "store")


def note_of(archive: str) -> str:
    with archive_opened(archive) as reader:
        return reader.manifest.note


def test_a_name_means_the_archive_of_the_store_and_a_path_the_copy(store: Path) -> None:
    make_archive(store / NAME, note="stored")
    make_archive(Path(NAME), note="copied")
    assert note_of(NAME) == "stored"
    assert note_of(f"./{NAME}") == note_of(str(Path(NAME).absolute())) == "copied"


def test_a_damaged_copy_says_nothing_of_the_archive_in_the_store(store: Path) -> None:
    make_archive(store / NAME, note="stored")
    Path(NAME).write_bytes(b"half a download")
    assert note_of(NAME) == "stored"
    with pytest.raises(ArchiveRejected):
        note_of(f"./{NAME}")


def test_a_file_will_do_where_the_store_has_none_or_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(*args: object) -> bool:
        raise BackupError("The store is out of reach.")

    make_archive(Path(NAME), note="copied")
    assert note_of(NAME) == "copied"
    monkeypatch.setattr(LocalStore, "exists", out_of_reach)
    assert note_of(NAME) == "copied"


@pytest.mark.parametrize("archive", [NAME, f"./{NAME}", ".", "absent"])
def test_what_is_nowhere_is_not_found(archive: str) -> None:
    with pytest.raises(ArchiveNotFound):
        note_of(archive)
