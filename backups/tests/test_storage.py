"""Stores on this machine: a folder, and any backend of Django that is neither a folder nor S3."""

from __future__ import annotations

import errno
import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.core.files.base import File
from django.core.files.storage import InMemoryStorage

from backups.exceptions import ArchiveNotSaved, ArchiveRejected, ArchiveUnreadable, BackupError, NameTaken, PreflightRefused
from backups.storage import ArchiveStore, archive_store, publish
from backups.storage.local import LocalStore
from backups.storage.other import OtherStore
from backups.tests.namespaces import run_in_mount
from backups.tests.store_contract import NAME, OPERATION, StoreContract, content_of, partial_of, save

# Generic in the stubs alone.
if TYPE_CHECKING:
    AnyFile = File[Any]
else:
    AnyFile = File


def local_settings(root: Path) -> dict[str, Any]:
    return {"backups": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": root}}}


@pytest.fixture
def root(tmp_path: Path, settings: Any) -> Path:
    settings.STORAGES = {**settings.STORAGES, **local_settings(tmp_path / "backups")}
    return tmp_path / "backups"


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, root: Path) -> ArchiveStore:
        return archive_store()

    def test_root_is_created_private_at_first_use(self, root: Path) -> None:
        store = archive_store()
        assert store.local_root == root
        assert not root.exists()
        assert store.list() == []
        store.check_writable()
        assert root.stat().st_mode & 0o777 == 0o700
        assert store.folder() == root / ".partial"
        assert str(root) in store.describe()

    def test_archive_is_private_and_keeps_its_inode(self, store: ArchiveStore, root: Path) -> None:
        partial = partial_of(store, b"content")
        partial.chmod(0o644)
        inode = partial.stat().st_ino
        store.save(partial, NAME, sha256="", on_bytes=lambda count: None)
        assert (root / NAME).stat().st_mode & 0o777 == 0o600
        assert (root / NAME).stat().st_ino == inode
        assert (root / NAME).stat().st_nlink == 1

    def test_record_is_private(self, store: ArchiveStore, root: Path) -> None:
        store.save_record(OPERATION, b"{}")
        assert (root / "history").stat().st_mode & 0o777 == 0o700
        assert (root / "history" / f"{OPERATION}.json").stat().st_mode & 0o777 == 0o600

    def test_dangling_link_in_the_way_counts_as_a_taken_name(self, store: ArchiveStore, root: Path) -> None:
        partial_of(store, b"content")
        (root / NAME).symlink_to(root / "nowhere")
        with pytest.raises(NameTaken):
            save(store, b"content")
        assert not (root / "nowhere").exists()

    def test_file_system_without_links_gets_a_rename_that_spares_what_is_there(
        self, store: ArchiveStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_links(*args: object, **kwargs: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", no_links)
        save(store, b"first")
        assert (root / NAME).read_bytes() == b"first"
        with pytest.raises(NameTaken):
            save(store, b"second")
        assert (root / NAME).read_bytes() == b"first"

    def test_archive_whose_name_cannot_be_made_durable_is_taken_back(
        self, store: ArchiveStore, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        partial = partial_of(store, b"content")
        fsync = os.fsync

        def failing_for_folders(descriptor: int) -> None:
            if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112 - a descriptor has no Path
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", failing_for_folders)
        with pytest.raises(ArchiveNotSaved, match="Input/output error") as caught:
            save(store, b"content")
        assert caught.value.exit_code == 8
        assert store.list() == []
        assert partial.read_bytes() == b"content"

    def test_symbolic_link_is_neither_listed_nor_opened(self, store: ArchiveStore, root: Path, tmp_path: Path) -> None:
        store.folder()
        (tmp_path / "secret").write_text("secret")
        (root / NAME).symlink_to(tmp_path / "secret")
        assert store.list() == []
        with pytest.raises(ArchiveRejected, match="symbolic link"):
            store.open(NAME)

    def test_pipe_is_refused_at_once(self, store: ArchiveStore, root: Path) -> None:
        store.folder()
        os.mkfifo(root / NAME)
        assert store.list() == []
        with pytest.raises(ArchiveRejected, match="regular file") as caught:
            store.open(NAME)
        assert caught.value.exit_code == 5

    def test_delete_of_something_that_cannot_be_deleted_says_why(self, store: ArchiveStore, root: Path) -> None:
        store.folder()
        (root / NAME).mkdir()
        with pytest.raises(PreflightRefused, match="directory") as caught:
            store.delete(NAME)
        assert caught.value.exit_code == 3

    def test_root_that_is_a_file_is_refused(self, store: ArchiveStore, root: Path) -> None:
        root.write_text("no folder")
        with pytest.raises(PreflightRefused, match=str(root)):
            store.check_writable()
        with pytest.raises(PreflightRefused, match="Not a directory"):
            store.list()
        with pytest.raises(BackupError, match="history"):
            store.save_record(OPERATION, b"{}")

    def test_sweep_removes_temporary_records_and_probes(self, store: ArchiveStore, root: Path) -> None:
        store.save_record(OPERATION, b"{}")
        left = root / "history" / f".{OPERATION}.json.4711.aaaaaaaa"
        left.write_bytes(b"{")
        (root / ".99999999.check").write_bytes(b"")
        assert store.sweep_partials(OPERATION) == (left.name,)
        assert store.sweep_partials(None) == (".99999999.check",)
        assert [operation for operation, _ in store.records()] == [OPERATION]

    def test_record_that_is_foreign_is_left_out(self, store: ArchiveStore, root: Path) -> None:
        store.save_record(OPERATION, b"{}")
        (root / "history" / "notes.txt").write_text("mine")
        assert [operation for operation, _ in store.records()] == [OPERATION]

    def test_read_only_store_is_refused_and_still_read(self, tmp_path: Path) -> None:
        (tmp_path / NAME).write_bytes(b"content")
        run_in_mount(check_read_only, tmp_path, 'mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"')
        assert [path.name for path in tmp_path.iterdir()] == [NAME]

    def test_full_store_is_refused_and_keeps_its_archives(self, tmp_path: Path) -> None:
        run_in_mount(check_full, tmp_path, 'mount -t tmpfs -o size=2m,mode=0700 tmpfs "$1"')

    def test_partial_folder_on_another_file_system_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / ".partial").mkdir()
        run_in_mount(check_foreign_partial, tmp_path, 'mount -t tmpfs tmpfs "$1/.partial"')


def check_read_only(folder: Path) -> None:
    """In a child: every write is refused by name, reading goes on."""
    store = LocalStore(folder)
    for refused in (store.check_writable, store.folder):
        with pytest.raises(PreflightRefused, match=f"{folder}: Read-only file system"):
            refused()
    with pytest.raises(PreflightRefused, match="Read-only file system"):
        store.delete(NAME)
    with pytest.raises(BackupError, match="Read-only file system"):
        store.save_record(OPERATION, b"{}")
    outside = folder.parent / "made_elsewhere.partial"
    outside.write_bytes(b"new")
    with pytest.raises(ArchiveNotSaved, match=f"{folder}: (Read-only file system|Invalid cross-device link)"):
        store.save(outside, "backup_20250314_150926_99999999.zip", sha256="", on_bytes=lambda count: None)
    assert outside.read_bytes() == b"new"
    outside.unlink()
    assert [archive.name for archive in store.list()] == [NAME]
    with store.open(NAME) as file:
        assert file.read() == b"content"


def check_full(folder: Path) -> None:
    """In a child: a store without a free block refuses and loses nothing; with space again, it takes archives."""
    store = LocalStore(folder)
    content = content_of(300_000)
    save(store, content)
    store.save_record(OPERATION, b'{"old": true}')
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(65536))
    assert store.free_bytes() == 0
    with pytest.raises(PreflightRefused, match=f"{folder}: No space left on device"):
        store.check_writable()
    with pytest.raises(BackupError, match="No space left on device"):
        store.save_record(OPERATION, b'{"new": true}')
    assert list(store.records()) == [(OPERATION, b'{"old": true}')]
    with store.open(NAME) as archive:
        assert archive.read() == content
    filler.unlink()
    store.check_writable()
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [f"{OPERATION}.json", NAME]


def check_foreign_partial(folder: Path) -> None:
    """In a child: an archive could only be copied into place, so that is refused."""
    with pytest.raises(PreflightRefused, match="another file system"):
        LocalStore(folder).check_writable()


def test_publish_leaves_the_partial_file_where_the_target_is_on_another_file_system(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    run_in_mount(check_publish_across, tmp_path, 'mount -t tmpfs tmpfs "$1/mounted"')


def check_publish_across(folder: Path) -> None:
    """In a child: no copy is made behind the caller's back."""
    partial = folder / "made.partial"
    partial.write_bytes(b"content")
    with pytest.raises(OSError, match="cross-device"):
        publish(partial, folder / "mounted" / NAME)
    assert partial.read_bytes() == b"content"
    assert list((folder / "mounted").iterdir()) == []


class FlippingStorage(InMemoryStorage):
    """Stores other bytes than it was given."""

    def _save(self, name: str, content: AnyFile) -> str:
        return str(super()._save(name, File(BytesIO(b"X" + content.read()[1:]), name)))  # type: ignore[misc]


class FailingStorage(InMemoryStorage):
    """Takes the first bytes, shows the file, then loses the connection, as a remote file system does."""

    def _save(self, name: str, content: AnyFile) -> str:
        super()._save(name, File(BytesIO(content.read(10)), name))  # type: ignore[misc]
        raise ConnectionResetError("the line is dead")


class ShyStorage(InMemoryStorage):
    """Answers no question about names, and gives another name than it was asked for where one is taken."""

    def exists(self, name: str) -> bool:
        return False

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return f"other_{name}"


class OneWayFile(AnyFile):
    """A file that cannot seek."""

    def seekable(self) -> bool:
        return False


class OneWayStorage(InMemoryStorage):
    """Gives files that cannot seek."""

    def _open(self, name: str, mode: str = "rb") -> AnyFile:
        with super()._open(name, mode) as file:  # type: ignore[misc]
            return OneWayFile(BytesIO(file.read()), name)


class ClosedStorage(InMemoryStorage):
    """Refuses everything, with an error of its own."""

    class Refusal(Exception):
        """The backend's own error."""

    def _refuse(self, *args: object, **kwargs: object) -> Any:
        raise self.Refusal("permission denied for account 7")

    exists = listdir = delete = _save = _refuse
    _open: Any = _refuse


class TestOtherStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, settings: Any) -> ArchiveStore:
        settings.BACKUPS_STATE_DIR = tmp_path / "state"
        settings.STORAGES = {**settings.STORAGES, "backups": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
        store = archive_store()
        assert isinstance(store, OtherStore)
        assert store.local_root is None
        assert store.folder() == tmp_path / "state" / "outbox"
        return store

    def _over(self, storage: InMemoryStorage, tmp_path: Path, settings: Any) -> OtherStore:
        settings.BACKUPS_STATE_DIR = tmp_path / "state"
        return OtherStore(storage)

    def test_wrong_bytes_are_found_by_reading_back_and_deleted(self, tmp_path: Path, settings: Any) -> None:
        store = self._over(FlippingStorage(), tmp_path, settings)
        with pytest.raises(ArchiveNotSaved, match="other bytes") as caught:
            save(store, b"content")
        assert caught.value.exit_code == 8
        assert store.list() == []
        assert (store.folder() / "0123abcd.partial").read_bytes() == b"content"

    def test_part_that_a_lost_connection_left_is_deleted(self, tmp_path: Path, settings: Any) -> None:
        store = self._over(FailingStorage(), tmp_path, settings)
        with pytest.raises(ArchiveNotSaved, match="the line is dead"):
            save(store, content_of(1000))
        assert store.list() == []
        assert not store.exists(NAME)

    def test_other_name_than_the_one_asked_for_is_a_taken_name(self, tmp_path: Path, settings: Any) -> None:
        storage = ShyStorage()
        store = self._over(storage, tmp_path, settings)
        with pytest.raises(NameTaken):
            save(store, b"content")
        assert storage.listdir("")[1] == []

    def test_files_that_cannot_seek_are_refused(self, tmp_path: Path, settings: Any) -> None:
        store = self._over(OneWayStorage(), tmp_path, settings)
        save(store, b"content")
        with pytest.raises(ArchiveUnreadable, match="seek"):
            store.open(NAME)

    def test_errors_of_the_backend_are_translated_with_their_words(self, tmp_path: Path, settings: Any) -> None:
        store = self._over(ClosedStorage(), tmp_path, settings)
        with pytest.raises(ArchiveUnreadable, match="permission denied for account 7"):
            store.open(NAME)
        for refused in (
            store.list,
            store.check_writable,
            lambda: list(store.records()),
            lambda: store.exists(NAME),
            lambda: store.delete(NAME),
            lambda: store.delete_record(OPERATION),
        ):
            with pytest.raises(PreflightRefused, match="ClosedStorage: permission denied for account 7"):
                refused()
        with pytest.raises(BackupError, match="permission denied"):
            store.save_record(OPERATION, b"")
        with pytest.raises(ArchiveNotSaved, match="permission denied"):
            save(store, b"content")

    def test_interruption_while_saving_leaves_nothing(self, tmp_path: Path, settings: Any) -> None:
        store = self._over(InMemoryStorage(), tmp_path, settings)

        def interrupt(count: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.save(partial_of(store, content_of(100)), NAME, sha256="", on_bytes=interrupt)
        assert store.list() == []
        assert (store.folder() / "0123abcd.partial").exists()
