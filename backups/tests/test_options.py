"""Options that mean nothing together, and beginnings of options, are refused and nothing happens."""

from __future__ import annotations

import pytest

from backups.tests.site import Site


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("backup_restore", "ARCHIVE", "--no-input", "--as", "admin"), "Add --dry-run"),
        (("backup_restore", "ARCHIVE", "--dry", "--no-input"), "unrecognized arguments: --dry"),
        (("backup_status", "--recover", "--force-open"), "--recover alone first"),
        (("backup_maintenance", "off", "--read-only"), "belong to on"),
        (("backup_maintenance", "off", "--message", "Back at noon"), "belong to on"),
        (("backup_maintenance",), "on|off"),
    ],
    ids=["account without a dry run", "beginning of an option", "two remedies", "read-only off", "message off", "no switch"],
)
def test_what_means_nothing_is_refused(sqlite_site: Site, words: tuple[str, ...], said: str) -> None:
    archive = sqlite_site.manage("backup_create").stdout.strip()
    refused = sqlite_site.manage(*(archive if word == "ARCHIVE" else word for word in words), check=False)
    assert refused.returncode == 2, refused
    assert said in refused.stderr
    assert refused.stdout == ""
    assert sqlite_site.fetch("SELECT kind FROM backups_operation") == [("create",)]


@pytest.mark.parametrize("kind", ["none", "cut", "foreign"])
def test_nobody_is_asked_about_an_archive_that_cannot_be_restored(sqlite_site: Site, kind: str) -> None:
    archive = sqlite_site.manage("backup_create").stdout.strip()
    path = sqlite_site.backups / archive
    if kind == "none":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    else:
        sqlite_site.extra_env["SECRET_KEY"] = "another site's, which signs with another key than ours does"
    refused = sqlite_site.manage("backup_restore", archive, check=False, input="restore\n")
    assert "Type restore" not in refused.stderr
    assert refused.returncode != 0
    assert archive in refused.stderr
    assert sqlite_site.fetch("SELECT kind FROM backups_operation") == [("create",)]
