"""What holds for a large site, with the figures printed: rows, uploads, one huge upload, archives.

`./run test` tries the same code with little; `./run soak` with 20 million entries, 300 thousand uploads, one of 20 GB and
10,000 archives. It needs 40 GB of disk.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backups.tests.load import is_good
from backups.tests.measured import Measured, measured_run
from backups.tests.multiplied import entries_multiply
from backups.tests.site import Site, collect_static, populate
from backups.tests.test_concurrent_use import QUESTION, clients, ledger

MB = 1024 * 1024
# What create and restore may take beyond a bare `manage.py check`, whatever the size of the data.
MOST_ABOVE_BARE_KIB = 48 * 1024


def soak(*values: Any) -> Any:
    """A value that is tried in the soak alone."""
    return pytest.param(*values, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])


def said(what: str, measured: Measured, bare: Measured) -> str:
    """The figures of one command, for people."""
    return f"{what} {measured.seconds:.1f} s, {(measured.peak_kib - bare.peak_kib) / 1024:.1f} MB above a bare check"


def in_bytes(path: Path) -> str:
    """The size of a file, for people."""
    return f"{path.stat().st_size / 1e6:.1f} MB"


# --- rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entries", [12_000, soak(2_000_000), soak(20_000_000)])
def test_a_large_database_goes_into_an_archive_and_back(site: Site, tmp_path: Path, entries: int) -> None:
    """Memory does not grow with it, and no reader gets a wrong answer; the seconds, and how long nobody had an answer, are printed."""
    populate(site, entries=min(entries // 4, 250_000))
    entries_multiply(site, entries)
    ledger(site)
    bare = measured_run(site, "check")
    created = measured_run(site, "backup_create", "--no-uploads")
    archive = created.stdout.strip()
    site.execute("UPDATE ledger SET generation = 2")
    site.execute("DELETE FROM tracking_timeentry WHERE id % 2 = 0")
    with clients(site, tmp_path, readers=2, writers=1) as seen:
        restored = measured_run(site, "backup_restore", archive, "--no-input", "--json")
    report = json.loads(restored.stdout.splitlines()[-1])
    gaps = [client["longest_gap_ms"] for name, client in seen.items() if name.startswith("reader")]
    print(
        f"{site.vendor}, {entries} entries: {said('create', created, bare)}, {in_bytes(site.backups / archive)}; "
        f"{said('restore', restored, bare)}; closed {report['milliseconds_closed']} ms; longest time without an answer {max(gaps)} ms"
    )
    assert site.fetch("SELECT count(*) FROM tracking_timeentry") == [(entries,)]
    (answer,) = site.fetch(QUESTION)
    assert is_good(answer)
    assert answer[1] == 1
    assert not any(client["wrong"] for client in seen.values()), seen
    assert max(created.peak_kib, restored.peak_kib) < bare.peak_kib + MOST_ABOVE_BARE_KIB


# --- uploads --------------------------------------------------------------------------------------------------------------


def receipt(number: int) -> bytes:
    """The content of an upload, which no other has."""
    return f"receipt {number}\n".encode() * (1 + number % 9)


def receipts_written(site: Site, count: int) -> None:
    """So many small uploads, 500 in a folder."""
    for number in range(count):
        path = site.media / f"receipts/{number // 500:04d}/receipt_{number:06d}.txt"
        if number % 500 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(receipt(number))


@pytest.mark.parametrize("count", [1000, soak(300_000)])
def test_many_small_uploads_go_into_an_archive_and_back(sqlite_site: Site, count: int) -> None:
    receipts_written(sqlite_site, count)
    bare = measured_run(sqlite_site, "check")
    created = measured_run(sqlite_site, "backup_create")
    archive = sqlite_site.backups / created.stdout.strip()
    shutil.rmtree(sqlite_site.media)
    (sqlite_site.media / "receipts").mkdir(parents=True)
    (sqlite_site.media / "receipts" / "of_today.txt").write_bytes(b"not in the archive")
    restored = measured_run(sqlite_site, "backup_restore", archive.name, "--no-input", "--uploads", "exact")
    print(f"{count} uploads: {said('create', created, bare)}, {in_bytes(archive)}; {said('restore', restored, bare)}")
    assert max(created.peak_kib, restored.peak_kib) < bare.peak_kib + MOST_ABOVE_BARE_KIB
    found = sqlite_site.uploads()
    assert len(found) == count
    for number in range(count):
        path = f"receipts/{number // 500:04d}/receipt_{number:06d}.txt"
        assert found[path] == hashlib.sha256(receipt(number)).hexdigest(), path
    subprocess.run(["unzip", "-tqq", archive], check=True)


def sparse_file(path: Path, size: int) -> str:
    """A file of holes with a mark at its start, in its middle and at its end; returns its SHA-256 (hex)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for offset, mark in ((0, b"first"), (size // 2 + 12_345, b"middle"), (size - 4, b"last")):
            file.seek(offset)
            file.write(mark)
    return sha256_of(path)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize("size", [200 * MB, soak(20 * 1000**3)])
def test_a_huge_sparse_upload_goes_into_an_archive_and_back_as_it_was(sqlite_site: Site, size: int) -> None:
    """Deflate makes a thousandth of zeros: an archive that its own reader took for a bomb could never be restored."""
    upload = sqlite_site.media / "images" / "disk.img"
    digest = sparse_file(upload, size)
    # Nothing but zeros: deflated, and stored since its name says that deflate does not pay; and no whole number of pieces.
    zeros = {"images/blank.img": bytes(2 * MB), "images/blank.mp4": bytes(3 * MB + 1)}
    for path, content in zeros.items():
        (sqlite_site.media / path).write_bytes(content)
    bare = measured_run(sqlite_site, "check")
    created = measured_run(sqlite_site, "backup_create")
    archive = sqlite_site.backups / created.stdout.strip()
    assert archive.stat().st_size < size / 500 + 4 * MB
    shutil.rmtree(sqlite_site.media)
    restored = measured_run(sqlite_site, "backup_restore", archive.name, "--no-input", "--uploads", "exact")
    taken = upload.stat().st_blocks * 512
    print(
        f"an upload of {size / 1e9:.1f} GB: {said('create', created, bare)}, {in_bytes(archive)}; {said('restore', restored, bare)}; "
        f"it takes {taken / 1e6:.1f} MB of the disk"
    )
    assert upload.stat().st_size == size
    assert sha256_of(upload) == digest
    assert all((sqlite_site.media / path).read_bytes() == content for path, content in zeros.items())
    assert taken < 16 * MB, "its holes are written as zeros"
    assert max(created.peak_kib, restored.peak_kib) < bare.peak_kib + MOST_ABOVE_BARE_KIB


@pytest.mark.parametrize(("setting", "limit"), [("BACKUPS_MAX_RATIO", 500), ("BACKUPS_MAX_BYTES", 3 * MB), ("BACKUPS_MAX_MEMBERS", 5)])
def test_no_archive_is_made_that_the_site_itself_would_refuse_to_restore(sqlite_site: Site, setting: str, limit: int) -> None:
    sqlite_site.media.mkdir()
    (sqlite_site.media / "blank.img").write_bytes(bytes(4 * MB))
    made = sqlite_site.manage("backup_create", env={setting: str(limit)}, check=False)
    assert made.returncode == 1
    assert f"more than {setting} ({limit})" in made.stderr
    assert "Raise the setting that is named, then run backup_create again." in made.stderr
    assert not list(sqlite_site.backups.glob("**/*.zip*"))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_an_archive_over_4_gb_and_over_65535_members_is_opened_by_unzip(sqlite_site: Site) -> None:
    """The large one is first in the archive and stored, since its name says that deflate does not pay: all others lie beyond 4 GiB."""
    size, count = 2**32 + 3 * MB, 66_000
    digest = sparse_file(sqlite_site.media / "film.mp4", size)
    receipts_written(sqlite_site, count)
    archive = sqlite_site.backups / sqlite_site.manage("backup_create", timeout=1800).stdout.strip()
    assert archive.stat().st_size > 2**32
    subprocess.run(["unzip", "-tqq", archive], check=True)
    names = subprocess.run(["unzip", "-Z1", archive], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len([name for name in names if name.startswith("uploads/")]) == count + 1
    last = f"uploads/receipts/{(count - 1) // 500:04d}/receipt_{count - 1:06d}.txt"
    assert subprocess.run(["unzip", "-p", archive, last], check=True, capture_output=True).stdout == receipt(count - 1)
    shutil.rmtree(sqlite_site.media)
    sqlite_site.manage("backup_restore", archive.name, "--no-input", "--uploads", "exact", timeout=1800)
    assert sha256_of(sqlite_site.media / "film.mp4") == digest
    found = sqlite_site.uploads()
    assert len(found) == count + 1
    assert found[last.removeprefix("uploads/")] == hashlib.sha256(receipt(count - 1)).hexdigest()


# --- archives -------------------------------------------------------------------------------------------------------------


def python_run(site: Site, *args: str) -> str:
    """What a program of this Python prints in the site's environment."""
    process = site.run_python(*args)
    stdout, stderr = process.communicate(timeout=1800)
    assert process.returncode == 0, stderr
    return str(stdout)


@pytest.mark.parametrize("count", [150, soak(10_000)])
def test_many_archives_are_listed(site: Site, count: int) -> None:
    first = site.manage("backup_create").stdout.strip()
    collect_static(site)
    alone = json.loads(python_run(site, "-m", "backups.tests.many_archives", "look"))
    python_run(site, "-m", "backups.tests.many_archives", str(count))
    bare = measured_run(site, "check")
    listed = measured_run(site, "backup_list", "--json")
    archives = json.loads(listed.stdout.splitlines()[-1])["archives"]
    assert len(archives) == count
    assert first in {archive["name"] for archive in archives}
    page = json.loads(python_run(site, "-m", "backups.tests.many_archives", "look"))
    print(f"{site.vendor}, {count} archives: {said('backup_list', listed, bare)}; the admin's list {page}, with one archive {alone}")
    assert page["rows"] == min(count, 50)
    assert page["queries"] <= alone["queries"] + 1
    site.execute("DELETE FROM backups_backup")
    reconciled = measured_run(site, "backup_list", "--reconcile")
    print(f"{site.vendor}, {count} archives without a row: {said('backup_list --reconcile', reconciled, bare)}")
    assert site.fetch("SELECT count(*) FROM backups_backup") == [(count,)]
