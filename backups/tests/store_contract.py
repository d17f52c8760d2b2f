"""What every store owes (``ArchiveStore``), as tests; each variant runs them with its own fixture ``store``."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backups.exceptions import ArchiveNotFound, NameTaken, UsageError
from backups.storage import ArchiveStore

NAME = "backup_20250314_150926_0123abcd.zip"
OPERATION = "0123abcd" + "0" * 24
OTHER_OPERATION = "fedcba98" + "0" * 24


def content_of(size: int, seed: int = 7) -> bytes:
    """Bytes that do not repeat, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def partial_of(store: ArchiveStore, content: bytes) -> Path:
    """A finished partial archive in the store's folder."""
    partial = store.folder() / "0123abcd.partial"
    partial.write_bytes(content)
    return partial


def save(store: ArchiveStore, content: bytes, name: str = NAME) -> list[int]:
    """Save ``content`` under ``name``; returns the byte counts that were reported."""
    reported: list[int] = []
    store.save(partial_of(store, content), name, sha256=hashlib.sha256(content).hexdigest(), on_bytes=reported.append)
    return reported


class StoreContract:
    """Subclasses are test classes with a fixture ``store`` that gives an empty store."""

    def test_archive_appears_whole_under_its_name_and_its_partial_file_is_gone(self, store: ArchiveStore) -> None:
        content = content_of(3_000_000)
        save(store, content)
        with store.open(NAME) as file:
            assert file.read() == content
        assert list(store.folder().iterdir()) == []
        assert store.exists(NAME)

    def test_bytes_reported_add_up_to_what_was_announced(self, store: ArchiveStore) -> None:
        content = content_of(1_500_001)
        assert sum(save(store, content)) == store.bytes_to_move(len(content))

    def test_taken_name_is_refused_and_its_archive_kept(self, store: ArchiveStore) -> None:
        save(store, b"first")
        with pytest.raises(NameTaken, match="already") as caught:
            save(store, b"second")
        assert caught.value.exit_code == 8
        assert (store.folder() / "0123abcd.partial").read_bytes() == b"second"
        with store.open(NAME) as file:
            assert file.read() == b"first"

    def test_archive_is_read_at_any_position(self, store: ArchiveStore) -> None:
        content = content_of(2_000_000)
        save(store, content)
        generator = random.Random(11)
        with store.open(NAME) as file:
            assert file.seek(0, 2) == len(content)
            assert file.read() == b""
            for _ in range(40):
                position = generator.randrange(len(content))
                size = generator.choice([1, 30, 5000, 400_000])
                assert file.seek(position) == position
                assert file.read(size) == content[position : position + size]
                assert file.tell() == min(position + size, len(content))

    def test_missing_archive_is_named(self, store: ArchiveStore) -> None:
        with pytest.raises(ArchiveNotFound, match=NAME) as caught:
            store.open(NAME)
        assert caught.value.exit_code == 2
        assert not store.exists(NAME)

    @pytest.mark.parametrize(
        "name", ["", "../x.zip", "a/b.zip", "/etc/passwd", "a\\b.zip", ".partial", "..", "a\0.zip", "a\n.zip", "x" * 252 + ".zip"]
    )
    def test_names_that_are_no_plain_names_are_refused(self, store: ArchiveStore, name: str) -> None:
        for method in (store.open, store.exists, store.delete):
            with pytest.raises(UsageError) as caught:
                method(name)
            assert caught.value.exit_code == 2
        partial = partial_of(store, b"content")
        with pytest.raises(UsageError):
            store.save(partial, name, sha256="", on_bytes=lambda count: None)
        assert partial.exists()

    def test_list_has_archives_alone_newest_first(self, store: ArchiveStore) -> None:
        assert store.list() == []
        before = datetime.now(UTC) - timedelta(seconds=2)
        names = ["backup_20250314_150926_0123abcd.zip", "backup_20231231_235959_ffffffff.zip", "backup_20250314_150927_00000000.zip"]
        for number, name in enumerate(names):
            save(store, b"x" * (number + 1), name)
        for stranger in ["my-archive.zip", "backup_20250314_150926_0123ABCD.zip", "backup_20250314_150926_0123abcd.zip.partial"]:
            save(store, b"stranger", stranger)
        store.save_record(OPERATION, b"{}")
        listed = store.list()
        assert [(archive.name, archive.size) for archive in listed] == [(names[2], 3), (names[0], 1), (names[1], 2)]
        for archive in listed:
            assert before <= archive.modified <= datetime.now(UTC) + timedelta(seconds=2)

    def test_deleted_archive_is_gone_and_deleting_it_again_is_no_error(self, store: ArchiveStore) -> None:
        save(store, b"content")
        store.delete(NAME)
        store.delete(NAME)
        assert not store.exists(NAME)
        assert store.list() == []

    def test_check_leaves_nothing_behind(self, store: ArchiveStore) -> None:
        store.check_writable()
        assert store.list() == []
        assert store.sweep_partials(None) == ()

    def test_records_are_replaced_and_come_in_the_order_of_their_ids(self, store: ArchiveStore) -> None:
        assert list(store.records()) == []
        store.save_record(OTHER_OPERATION, b'{"n": 1}')
        store.save_record(OPERATION, b'{"n": 2}')
        store.save_record(OPERATION, b'{"n": 3, "longer": true}')
        assert list(store.records()) == [(OPERATION, b'{"n": 3, "longer": true}'), (OTHER_OPERATION, b'{"n": 1}')]

    def test_record_that_is_deleted_is_gone_and_no_other(self, store: ArchiveStore) -> None:
        store.save_record(OTHER_OPERATION, b"{}")
        store.save_record(OPERATION, b"{}")
        store.delete_record(OPERATION)
        store.delete_record(OPERATION)
        assert list(store.records()) == [(OTHER_OPERATION, b"{}")]
        with pytest.raises(ValueError, match="no operation id"):
            store.delete_record("../../etc/cron")

    def test_record_of_something_that_is_no_operation_is_refused(self, store: ArchiveStore) -> None:
        with pytest.raises(ValueError, match="operation"):
            store.save_record("../../etc/cron", b"")
        assert list(store.records()) == []

    def test_sweep_removes_what_one_operation_left_and_nothing_else(self, store: ArchiveStore) -> None:
        save(store, b"content")
        folder = store.folder()
        (folder / "0123abcd.partial").write_bytes(b"left")
        (folder / "0123abcd_copy").mkdir()
        (folder / "0123abcd_copy" / "db.sqlite").write_bytes(b"left")
        (folder / "fedcba98.partial").write_bytes(b"of another")
        assert store.sweep_partials(OPERATION) == ("0123abcd.partial", "0123abcd_copy")
        assert [path.name for path in folder.iterdir()] == ["fedcba98.partial"]
        assert store.sweep_partials(None) == ("fedcba98.partial",)
        assert store.exists(NAME)

    def test_folder_for_partial_archives_is_private_even_where_it_was_not(self, store: ArchiveStore) -> None:
        folder = store.folder()
        folder.chmod(0o755)
        assert store.folder().stat().st_mode & 0o777 == 0o700

    def test_free_space_is_that_of_the_folder_for_partial_archives(self, store: ArchiveStore) -> None:
        free = store.free_bytes()
        assert free is not None
        assert free > 0
