"""Files that are durable and private, and whose they are when the superuser makes them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from backups.files import apply_owner, private_folder, write_durably
from backups.tests.site import Site

# The user and group that the site would run as; no account needs to exist.
USER, GROUP = 65534, 65533

as_superuser = pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give files away")


def owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_content_is_replaced_as_a_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "deeper" / "file"
    write_durably(path, b"first, and longer")
    write_durably(path, b"second")
    assert path.read_bytes() == b"second"
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)
    assert list(path.parent.iterdir()) == [path], "no temporary file is left"


def test_what_cannot_be_written_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    folder = tmp_path / "name"
    (folder / "in the way").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_durably(folder, b"data")
    assert list(tmp_path.iterdir()) == [folder]


def test_no_folder_is_made_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        private_folder(tmp_path / "file")


@as_superuser
def test_what_the_superuser_writes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, USER, GROUP)
    write_durably(tmp_path / "state" / "journal" / "file", b"data")
    for path in tmp_path.rglob("*"):
        assert owner(path) == (USER, GROUP), path


@as_superuser
def test_a_link_is_given_away_and_never_what_it_leads_to(tmp_path: Path) -> None:
    os.chown(tmp_path, USER, GROUP)
    target = tmp_path / "of the superuser"
    target.write_bytes(b"")
    link = tmp_path / "link"
    link.symlink_to(target)
    apply_owner(link, tmp_path)
    assert owner(link) == (USER, GROUP)
    assert owner(target) == (0, 0)


@as_superuser
def test_the_site_can_read_what_the_superuser_made_for_it(sqlite_site: Site) -> None:
    site = sqlite_site
    for path in (site.data_dir, *site.data_dir.rglob("*")):
        os.chown(path, USER, GROUP)
    archive = site.manage("backup_create").stdout.strip()
    made = [path for folder in (site.state, site.backups) for path in (folder, *folder.rglob("*"))]
    assert site.backups / archive in made
    assert any(path.parent.name == "journal" for path in made) and any(path.parent.name == "history" for path in made)
    assert {path for path in made if owner(path) != (USER, GROUP)} == set()
