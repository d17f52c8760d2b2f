"""The uploads as one tree: listed, compared, staged."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from backups.exceptions import PreflightRefused
from backups.tests.namespaces import run_in_mount
from backups.tests.trees import Tree, read_tree, replace_file, temporary_root, trees, write_tree
from backups.uploads import (
    UploadFile,
    UploadsDifference,
    uploads_compare,
    uploads_discard,
    uploads_list,
    uploads_merge,
    uploads_plan,
    uploads_ready,
    uploads_root,
    uploads_staging,
    uploads_sweep,
    uploads_switch,
    uploads_top_up,
)

OPERATION = "0123abcd" + "0" * 24
OTHER = "fedcba98" + "0" * 24


def silent(count: int) -> None:
    """Nobody watches."""


@pytest.fixture
def root(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return uploads_root()


# --- where it is ----------------------------------------------------------------------------------------------------


def test_root_is_created_when_absent(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "deep" / "media"
    assert uploads_root() == tmp_path / "deep" / "media"
    assert (tmp_path / "deep" / "media").is_dir()


def test_root_is_given_without_symbolic_links(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "media").symlink_to(tmp_path / "disk")
    settings.MEDIA_ROOT = tmp_path / "media"
    assert uploads_root() == tmp_path / "disk"


def test_uploads_that_are_no_files_are_refused(settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    with pytest.raises(PreflightRefused, match="InMemoryStorage") as caught:
        uploads_root()
    assert caught.value.exit_code == 3


def test_empty_media_root_is_refused_and_not_taken_for_the_current_folder(settings: Any) -> None:
    settings.MEDIA_ROOT = ""
    with pytest.raises(PreflightRefused, match="MEDIA_ROOT"):
        uploads_root()


def test_root_that_cannot_be_created_is_refused(tmp_path: Path, settings: Any) -> None:
    (tmp_path / "file").write_text("")
    settings.MEDIA_ROOT = tmp_path / "file" / "media"
    with pytest.raises(PreflightRefused, match="Not a directory"):
        uploads_root()


# --- listing --------------------------------------------------------------------------------------------------------


@hypothesis_settings(max_examples=50, derandomize=True, deadline=None)
@given(tree=trees)
def test_list_is_every_file_sorted_by_its_names(tree: Tree) -> None:
    with temporary_root() as root:
        write_tree(root, tree)
        listed = list(uploads_list(root))
        assert listed == sorted(listed, key=lambda file: file.path.split("/"))
        assert {file.path: file.size for file in listed} == {path: len(content or b"") for path, content in tree.items()}


def test_what_is_no_plain_file_is_reported_and_left_out(root: Path) -> None:
    write_tree(root, {"folder/plain.txt": b"12345"})
    (root / "elsewhere").symlink_to("/etc")
    (root / "folder" / "link.txt").symlink_to("plain.txt")
    os.mkfifo(root / "pipe")
    undecodable = os.fsdecode(b"caf\xe9.txt")
    (root / undecodable).write_bytes(b"latin-1")
    (root / "folder" / os.fsdecode(b"\xff")).mkdir()
    (root / "folder" / os.fsdecode(b"\xff") / "inside.txt").write_bytes(b"")
    skipped: list[tuple[str, str]] = []
    listed = list(uploads_list(root, lambda path, reason: skipped.append((path, reason))))
    assert listed == [UploadFile("folder/plain.txt", 5)]
    assert sorted(skipped) == [
        ("caf\\xe9.txt", "its name is not UTF-8"),
        ("elsewhere", "it is a symbolic link"),
        ("folder/\\xff", "its name is not UTF-8"),
        ("folder/link.txt", "it is a symbolic link"),
        ("pipe", "it is not a regular file"),
    ]
    assert all(path.encode() for path, _ in skipped)


def test_staging_and_what_belongs_to_the_file_system_are_no_uploads(root: Path) -> None:
    write_tree(root, {".backups-0123abcd/new/a.txt": b"", "lost+found/b": b"", "kept/.backups-x": b"", "kept/lost+found/c": b""})
    assert [file.path for file in uploads_list(root)] == ["kept/.backups-x", "kept/lost+found/c"]


def test_files_and_folders_that_vanish_while_listing_are_left_out(root: Path) -> None:
    write_tree(root, {"a/1": b"", "a/2": b"", "b/3": b"", "c/4": b""})
    listing = uploads_list(root)
    assert next(listing).path == "a/1"
    (root / "a" / "2").unlink()
    (root / "b" / "3").unlink()
    (root / "b").rmdir()
    assert [file.path for file in listing] == ["c/4"]


def test_folder_that_cannot_be_read_is_an_error_and_no_gap(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(root, {"open/1": b"", "shut/2": b""})
    scandir = os.scandir

    def scandir_for_others(path: Path) -> Any:
        if Path(path).name == "shut":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_for_others)
    with pytest.raises(PreflightRefused, match=r"shut cannot be read: Permission denied"):
        list(uploads_list(root))


# --- comparing ------------------------------------------------------------------------------------------------------


def member(path: str, content: bytes) -> tuple[str, int, str]:
    return path, len(content), hashlib.sha256(content).hexdigest()


def test_compare_counts_by_content_and_not_by_size_or_time(root: Path) -> None:
    write_tree(root, {"equal.txt": b"same", "size.txt": b"longer now", "content.txt": b"newx", "only/live.txt": b"", "was-file": b""})
    (root / "linked.txt").symlink_to("equal.txt")
    members = [
        member("equal.txt", b"same"),
        member("size.txt", b"short"),
        member("content.txt", b"oldx"),
        member("linked.txt", b"same"),
        member("only/archive.txt", b"x"),
        member("was-file/now-folder.txt", b"x"),
    ]
    read: list[int] = []
    assert uploads_compare(root, members, read.append) == UploadsDifference(added=2, changed=3, kept=1, others=2)
    assert sum(read) == 8
    assert uploads_compare(root, []) == UploadsDifference(added=0, changed=0, kept=0, others=5)


# --- staging --------------------------------------------------------------------------------------------------------


def test_staging_is_private_inside_the_root_and_may_be_asked_for_again(root: Path) -> None:
    staging = uploads_staging(root, OPERATION)
    assert staging == root / ".backups-0123abcd"
    write_tree(staging / "new", {"a": b"1"})
    assert uploads_staging(root, OPERATION) == staging
    assert (staging / "new" / "a").read_bytes() == b"1"
    assert [path.stat().st_mode & 0o777 for path in (staging, staging / "new", staging / "old")] == [0o700] * 3
    assert uploads_plan(root, OPERATION) == {"root": str(root), "staging": str(staging)}


def test_merge_keeps_live_files_as_links_and_lets_the_archive_win(root: Path) -> None:
    write_tree(root, {"both.txt": b"live", "docs/live.txt": b"stays", "docs/both.txt": b"live", "empty/": None, "docs/deep/x": b"x"})
    (root / "docs" / "live.txt").chmod(0o640)
    os.utime(root / "docs" / "live.txt", ns=(1_000_000_000, 2_000_000_000))
    (root / "empty").chmod(0o2775)
    (root / "shortcut").symlink_to("docs")
    staging = uploads_staging(root, OPERATION)
    write_tree(staging / "new", {"both.txt": b"archive", "docs/both.txt": b"archive", "docs/archive.txt": b"comes"})
    copied: list[int] = []
    added = uploads_merge(root, staging, copied.append)
    assert read_tree(staging / "new") == {
        "both.txt": b"archive",
        "docs/both.txt": b"archive",
        "docs/archive.txt": b"comes",
        "docs/live.txt": b"stays",
        "docs/deep/x": b"x",
        "empty/": None,
        "shortcut": b"-> docs",
    }
    assert (added.linked, added.copied, added.conflicts) == (3, 0, [])
    assert copied == []
    staged = (staging / "new" / "docs" / "live.txt").stat()
    assert staged.st_ino == (root / "docs" / "live.txt").stat().st_ino
    assert staged.st_mtime_ns == 2_000_000_000
    assert stat.S_IMODE(staged.st_mode) == 0o640
    assert stat.S_IMODE((staging / "new" / "empty").stat().st_mode) == 0o2775
    assert (staging / "new" / "shortcut").readlink() == Path("docs")


def test_paths_where_the_archive_wins_over_a_whole_folder_or_file_are_named(root: Path) -> None:
    write_tree(root, {"a/live.txt": b"", "b": b"", "c/deep/live.txt": b""})
    staging = uploads_staging(root, OPERATION)
    write_tree(staging / "new", {"a": b"archive", "b/archive.txt": b"", "c/deep": b"archive"})
    assert sorted(uploads_merge(root, staging, silent).conflicts) == ["a", "b", "c/deep"]
    assert read_tree(staging / "new") == {"a": b"archive", "b/archive.txt": b"", "c/deep": b"archive"}


@hypothesis_settings(max_examples=60, derandomize=True, deadline=None)
@given(live=trees, archive=trees)
def test_merged_tree_is_the_archive_plus_every_live_file_that_fits(live: Tree, archive: Tree) -> None:
    with temporary_root() as root:
        write_tree(root, live)
        staging = uploads_staging(root, OPERATION)
        write_tree(staging / "new", archive)
        uploads_merge(root, staging, silent)
        merged = {path: content for path, content in read_tree(staging / "new").items() if content is not None}
        archived_folders = {str(parent) for path in archive for parent in Path(path).parents}
        fits = {
            path: content
            for path, content in live.items()
            if path not in archived_folders and not any(str(parent) in archive for parent in Path(path).parents)
        }
        assert merged == {**fits, **archive}
        assert read_tree(root) == live


def test_top_up_takes_in_what_appeared_or_was_replaced_and_leaves_the_archive_alone(root: Path) -> None:
    write_tree(root, {"replaced.txt": b"before", "archived.txt": b"live", "same.txt": b"same"})
    staging = uploads_staging(root, OPERATION)
    write_tree(staging / "new", {"archived.txt": b"archive"})
    uploads_merge(root, staging, silent)
    assert uploads_top_up(root, staging, silent).linked == 0
    write_tree(root, {"new/late.txt": b"late"})
    replace_file(root / "replaced.txt", b"afterwards")
    replace_file(root / "archived.txt", b"live again")
    added = uploads_top_up(root, staging, silent)
    assert added.linked == 2
    assert read_tree(staging / "new") == {
        "replaced.txt": b"afterwards",
        "archived.txt": b"archive",
        "same.txt": b"same",
        "new/late.txt": b"late",
    }


@pytest.mark.parametrize("number", [errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP])
def test_files_are_copied_with_mode_and_times_where_links_fail(root: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    write_tree(root, {"docs/live.txt": b"stays"})
    (root / "docs" / "live.txt").chmod(0o640)
    (root / "docs" / "link").symlink_to("live.txt")
    os.utime(root / "docs" / "live.txt", ns=(1_000_000_000, 2_000_000_000))
    os.mkfifo(root / "pipe")

    def no_links(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_links)
    staging = uploads_staging(root, OPERATION)
    copied: list[int] = []
    added = uploads_merge(root, staging, copied.append)
    assert (added.linked, added.copied, sum(copied)) == (0, 2, 5)
    staged = staging / "new" / "docs" / "live.txt"
    assert staged.read_bytes() == b"stays"
    assert (stat.S_IMODE(staged.stat().st_mode), staged.stat().st_mtime_ns) == (0o640, 2_000_000_000)
    assert (staging / "new" / "docs" / "link").readlink() == Path("live.txt")
    assert uploads_top_up(root, staging, silent).copied == 0
    replace_file(root / "docs" / "live.txt", b"changed")
    assert uploads_top_up(root, staging, silent).copied == 1
    assert staged.read_bytes() == b"changed"


def test_other_errors_of_a_link_are_not_swallowed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(root, {"a": b""})
    staging = uploads_staging(root, OPERATION)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="No space left"):
        uploads_merge(root, staging, silent)


def test_merge_copies_to_another_file_system(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    run_in_mount(check_merge_across, tmp_path, 'mount -t tmpfs tmpfs "$1/disk"')


def check_merge_across(folder: Path) -> None:
    """In a child: live files on one file system, the staged tree on another."""
    root, staging = folder / "media", folder / "disk" / "staging"
    write_tree(root, {"docs/live.txt": b"stays", "both.txt": b"live"})
    write_tree(staging / "new", {"both.txt": b"archive"})
    added = uploads_merge(root, staging, silent)
    assert (added.linked, added.copied) == (0, 1)
    assert read_tree(staging / "new") == {"docs/live.txt": b"stays", "both.txt": b"archive"}


def test_full_disk_while_copying_is_an_error_and_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    run_in_mount(check_merge_full, tmp_path, 'mount -t tmpfs -o size=1m tmpfs "$1/disk"')


def check_merge_full(folder: Path) -> None:
    """In a child: the staged tree's file system is too small."""
    root, staging = folder / "media", folder / "disk" / "staging"
    write_tree(root, {"big.bin": bytes(2_000_000)})
    (staging / "new").mkdir(parents=True)
    with pytest.raises(OSError, match="No space left"):
        uploads_merge(root, staging, silent)
    assert read_tree(staging / "new") == {}


def test_root_that_is_a_mount_point_is_switched(tmp_path: Path) -> None:
    run_in_mount(check_mounted_root, tmp_path, 'mount -t tmpfs tmpfs "$1"')


def check_mounted_root(folder: Path) -> None:
    """In a child: ``folder`` is MEDIA_ROOT and a file system of its own."""
    write_tree(folder, {"a/1": b"live", "b": b"live", "lost+found/": None})
    staging = uploads_staging(folder, OPERATION)
    write_tree(staging / "new", {"a/1": b"archive"})
    uploads_merge(folder, staging, silent)
    uploads_switch(folder, staging, {}, lambda: None)
    assert read_tree(folder) == {"a/1": b"archive", "b": b"live"}
    assert (folder / "lost+found").is_dir()


def test_mount_inside_the_uploads_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "media" / "with blank").mkdir(parents=True)
    run_in_mount(check_mount_inside, tmp_path / "media", 'mount -t tmpfs tmpfs "$1/with blank"')


def check_mount_inside(folder: Path) -> None:
    """In a child: renaming that entry would fail, or take the mount along."""
    with pytest.raises(PreflightRefused, match=f"{folder}/with blank is a mount"):
        uploads_staging(folder, OPERATION)
    assert [path.name for path in folder.iterdir()] == ["with blank"]


def test_folder_that_this_user_may_not_move_is_refused_by_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(root, {"mine/a": b"", "theirs/b": b""})
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("theirs"))
    with pytest.raises(PreflightRefused, match="theirs cannot be moved"):
        uploads_staging(root, OPERATION)


# --- modes and owners -----------------------------------------------------------------------------------------------


def staged_modes(staging: Path) -> dict[str, int]:
    return {str(path.relative_to(staging / "new")): stat.S_IMODE(path.stat().st_mode) for path in (staging / "new").rglob("*")}


@pytest.mark.parametrize(
    ("umask", "files", "folders", "expected"),
    [
        (0o022, None, None, {"docs": 0o755, "docs/a.txt": 0o644}),
        (0o077, None, None, {"docs": 0o700, "docs/a.txt": 0o600}),
        (0o077, 0o640, 0o750, {"docs": 0o750, "docs/a.txt": 0o640}),
    ],
)
def test_extracted_files_get_the_modes_of_an_upload(
    root: Path, settings: Any, umask: int, files: int | None, folders: int | None, expected: dict[str, int]
) -> None:
    settings.FILE_UPLOAD_PERMISSIONS, settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS = files, folders
    staging = uploads_staging(root, OPERATION)
    write_tree(staging / "new", {"docs/a.txt": b""})
    (staging / "new" / "docs" / "a.txt").chmod(0o600)
    before = os.umask(umask)
    try:
        uploads_ready(root, staging)
    finally:
        os.umask(before)
    assert staged_modes(staging) == expected
    assert sorted(path.name for path in staging.iterdir()) == ["new", "old"]


def test_extracted_folders_get_the_mode_of_the_live_ones(root: Path, settings: Any) -> None:
    settings.FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o755
    write_tree(root, {"docs/deep/live.txt": b"", "file": b""})
    (root / "docs").chmod(0o2770)
    (root / "docs" / "deep").chmod(0o711)
    staging = uploads_staging(root, OPERATION)
    write_tree(staging / "new", {"docs/deep/a.txt": b"", "file/is-a-folder-now.txt": b""})
    uploads_ready(root, staging)
    modes = staged_modes(staging)
    assert (modes["docs"], modes["docs/deep"], modes["file"]) == (0o2770, 0o711, 0o755)


def test_what_is_extracted_belongs_to_the_owner_of_the_uploads(tmp_path: Path) -> None:
    # In a user namespace an ordinary user is root over her own ids alone; there the owner cannot change.
    run_in_mount(check_owner, tmp_path, "true")


def check_owner(folder: Path) -> None:
    """In a child: root restores the uploads of the web server's account."""
    try:
        os.chown(folder, 65534, 65534)
    except OSError:
        return
    write_tree(folder, {"docs/live.txt": b""})
    os.chown(folder / "docs", 1234, 65534)
    staging = uploads_staging(folder, OPERATION)
    write_tree(staging / "new", {"docs/a.txt": b"", "other/b.txt": b""})
    uploads_ready(folder, staging)
    owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in [staging, *(staging / "new").rglob("*")]}
    web = (65534, 65534)
    assert owners == {".backups-0123abcd": web, "docs": (1234, 65534), "a.txt": web, "other": web, "b.txt": web}


# --- the end of a staging folder ------------------------------------------------------------------------------------


def test_discard_removes_one_staging_folder_and_is_content_when_it_is_gone(root: Path) -> None:
    write_tree(root, {"live.txt": b"live"})
    for operation in (OPERATION, OTHER):
        write_tree(uploads_staging(root, operation) / "old", {"a/b": b""})
    uploads_discard(root, OPERATION)
    uploads_discard(root, OPERATION)
    assert sorted(path.name for path in root.iterdir()) == [".backups-fedcba98", "live.txt"]


def test_discard_that_was_interrupted_is_finished_by_the_next_one_or_by_the_sweep(root: Path) -> None:
    write_tree(root, {".backups-gone-0123abcd/old/a": b"", ".backups-gone-fedcba98/old/a": b""})
    uploads_staging(root, OPERATION)
    uploads_discard(root, OPERATION)
    assert [path.name for path in root.iterdir()] == [".backups-gone-fedcba98"]
    assert uploads_sweep(root, set()) == [".backups-gone-fedcba98"]
    assert list(root.iterdir()) == []


def test_sweep_removes_the_staging_of_operations_that_nobody_knows(root: Path) -> None:
    write_tree(root, {"live.txt": b"live", ".backups-note.txt/x": b""})
    for operation in (OPERATION, OTHER):
        uploads_staging(root, operation)
    assert uploads_sweep(root, {"fedcba98"}) == [".backups-0123abcd"]
    assert sorted(path.name for path in root.iterdir()) == [".backups-fedcba98", ".backups-note.txt", "live.txt"]
