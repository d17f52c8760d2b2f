"""Taking an upload in on real sites: killed and cancelled at any instant, on a full disk, into a bucket."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backups.tests.faults import Answer, FaultProxy
from backups.tests.hostile import make_archive
from backups.tests.namespaces import run_in_mount
from backups.tests.servers import S3Server
from backups.tests.site import Completed, Site
from backups.tests.test_killed import assert_tidy
from backups.tests.test_s3_site import in_bucket
from backups.tests.warm import WarmSite
from backups.tests.workers import journals

NAME = "backup_20250304_050608_01234567.zip"
STAGES = ("preflight", "hash", "verify", "store")
SMALL = 'mount -t tmpfs -o size=64m tmpfs "$1"'
# The file comes into the quarantine, unless it is there still; then somebody asks for it to be taken in, and a worker does.
TAKE = """
from pathlib import Path
from backups.journal import Journal, journal_find
from backups.quarantine import upload_append, upload_begin
from backups.services.request import operation_work
data = Path({path!r}).read_bytes()
upload = upload_begin(name="archive.zip", size=len(data), owner="ann")
if not upload.is_whole:
    upload_append(upload, 0, [data])
journal = Journal(kind="upload", arguments={{"upload": upload.id}}, requested_by="ann")
journal.save()
operation_work(journal.id)
ended = journal_find(journal.id)
print(ended.status, ended.report.get("is_new"), ended.error)
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A good archive that is not in the store."""
    path = tmp_path / "archive.zip"
    make_archive(path, uploads={"a.bin": random.Random(1).randbytes(300_000)})
    return path


@pytest.fixture
def warm(sqlite_site: Site) -> Iterator[WarmSite]:
    """A site on SQLite, warm."""
    site = WarmSite.of(sqlite_site)
    yield site
    site.close()


def taking(archive: Path) -> tuple[str, ...]:
    """The command that brings the archive and has it taken in."""
    return ("shell", "--verbosity", "0", "--command", TAKE.format(path=str(archive)))


def stored(site: Site) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in site.backups.glob("*.zip")}


def quarantined(site: Site) -> list[bytes]:
    return [path.read_bytes() for path in (site.state / "quarantine").glob("*/data")]


def end_at(warm: WarmSite, archive: Path, signum: int, stage: str, after: int) -> Completed:
    """End a taking-in by a signal; nothing is lost by it, nothing half is listed, and it can be taken in afterwards."""
    shown = f"{signum} in {stage}, {after} events later"
    good = archive.read_bytes()
    ended = warm.interrupted(signum, stage, *taking(archive), after=after)
    # At once, before anything has cleaned up.
    assert stored(warm) in ({}, {NAME: good}), shown
    assert stored(warm) or quarantined(warm) == [good], f"{shown}: it is neither in the store nor in the quarantine"
    warm.manage("backup_status", "--recover")
    assert_tidy(warm)
    # In the store already, where it died after the last byte.
    again = warm.manage(*taking(archive)).stdout.split()
    assert again[0] == "done", f"{shown}: {again}"
    assert stored(warm) == {NAME: good}, shown
    assert list((warm.state / "quarantine").glob("*/upload.json")) == [], shown
    # What a death amid the throwing away has left is no upload any more; it goes as what a broken form left does.
    for leftover in (warm.state / "quarantine").glob("*/data"):
        os.utime(leftover, (0, 0))
    warm.manage("shell", "--verbosity", "0", "--command", "from backups.quarantine import quarantine_sweep; quarantine_sweep()")
    assert quarantined(warm) == [], shown
    assert warm.fetch("SELECT name, is_uploaded, requested_by, problem FROM backups_backup") == [(NAME, 1, "ann", "")], shown
    (warm.backups / NAME).unlink()
    warm.manage("backup_list", "--reconcile")
    return ended


def test_killed_in_each_stage_it_is_there_or_can_be_taken_in_again(warm: WarmSite, archive: Path) -> None:
    for stage, after in zip(STAGES, (0, 12, 3, 7), strict=True):
        assert end_at(warm, archive, signal.SIGKILL, stage, after).returncode == -signal.SIGKILL


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_at_any_instant_it_is_there_or_can_be_taken_in_again(warm: WarmSite, archive: Path) -> None:
    for stage in STAGES:
        for after in range(40):
            end_at(warm, archive, signal.SIGKILL, stage, after)


def test_cancelled_in_each_stage_it_can_be_taken_in_again(warm: WarmSite, archive: Path) -> None:
    for stage, after in zip(STAGES[:3], (0, 1, 2), strict=True):
        end_at(warm, archive, signal.SIGTERM, stage, after)
        ended = [journal for journal in journals(warm) if journal["kind"] == "upload"][-2]
        assert (ended["status"], ended["error"]) == ("failed", "Interrupted by signal 15."), stage


def test_cancelled_when_it_has_its_name_it_goes_on_to_its_end(warm: WarmSite, archive: Path) -> None:
    for after in (1, 20):
        end_at(warm, archive, signal.SIGTERM, "store", after)
        ended = [journal for journal in journals(warm) if journal["kind"] == "upload"][-2]
        assert ended["status"] == "done" or ended["error"] == "Interrupted by signal 15.", after


# --- pruned -------------------------------------------------------------------------------------------------------------------------


def test_pruning_throws_idle_uploads_away_and_says_so_but_never_an_uploaded_archive(warm: WarmSite, archive: Path) -> None:
    warm.extra_env["BACKUPS_KEEP_SAFETY"] = "1"
    warm.manage(*taking(archive))
    warm.execute("UPDATE backups_backup SET \"trigger\" = 'before-migrate'")
    make = "from backups.services.create import backup_create; print(backup_create(trigger='before-migrate').location)"
    _, newest = (warm.manage("shell", "--verbosity", "0", "--command", make).stdout.strip() for _ in range(2))
    begin = "from backups.quarantine import upload_begin; upload_begin(name='{}.zip', size=10, owner='ann')"
    for name in ("idle", "fresh"):
        warm.manage("shell", "--verbosity", "0", "--command", begin.format(name))
    (idle,) = (path.parent for path in (warm.state / "quarantine").glob("*/upload.json") if "idle.zip" in path.read_text())
    four_days_ago = time.time() - 4 * 86400
    for path in (*idle.iterdir(), idle):
        os.utime(path, (four_days_ago, four_days_ago))
    pruned = json.loads(warm.manage("backup_prune", "--no-input", "--json").stdout.splitlines()[-1])
    assert "The upload idle.zip of ann was thrown away: nothing has come for 3 days." in pruned["swept"]
    assert not idle.exists()
    assert len(quarantined(warm)) == 1
    assert stored(warm).keys() == {NAME, newest}


# --- a full disk ------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def store_on(disk: Path) -> Iterator[tuple[WarmSite, Path]]:
    """The prepared site, with its store on a disk of its own, and an archive to take in."""
    folder = disk.parent / "prepared"
    site = WarmSite(folder, str(folder / "db.sqlite3"), f"sqlite:///{folder / 'db.sqlite3'}", secret_key="a key of this test alone" * 3)
    site.backups.symlink_to(disk)
    archive = disk.parent / "archive.zip"
    make_archive(archive, uploads={"a.bin": random.Random(1).randbytes(8_000_000)})
    try:
        yield site, archive
    finally:
        site.close()


@pytest.fixture
def disk(tmp_path: Path, sqlite_site: Site) -> Path:
    """The place to mount at, with a site beside it."""
    shutil.copytree(sqlite_site.data_dir, tmp_path / "prepared")
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


def onto_another_disk(disk: Path) -> None:
    """Runs in the mount namespace: no link leads from the quarantine into the store."""
    with store_on(disk) as (site, archive):
        assert site.manage(*taking(archive)).stdout.startswith("done True")
        assert stored(site) == {NAME: archive.read_bytes()}
        assert site.backups.stat().st_dev != site.state.stat().st_dev
        assert quarantined(site) == []
        assert list((disk / ".partial").iterdir()) == []
        (journal,) = journals(site)
        assert "copy" in journal["report"]["seconds"] and "hash" not in journal["report"]["seconds"]


def test_an_upload_on_another_disk_is_copied(disk: Path) -> None:
    run_in_mount(onto_another_disk, disk, SMALL)


def into_a_full_store(disk: Path) -> None:
    """Runs in the mount namespace: the upload is copied onto a disk that has no room for it."""
    with store_on(disk) as (site, archive):
        # No room from the beginning; then room that another program takes while the copy grows.
        with (disk / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 44_000_000)
        refused = site.manage(*taking(archive)).stdout
        assert "are free there" in refused, refused
        (disk / "ballast").unlink()
        filled = site.filling("copy", disk / "ballast", 1_000_000, *taking(archive)).stdout
        assert "No space left on device" in filled, filled
        assert stored(site) == {}
        assert list((disk / ".partial").iterdir()) == []
        assert quarantined(site) == [archive.read_bytes()]
        (disk / "ballast").unlink()
        assert site.manage(*taking(archive)).stdout.startswith("done True")
        assert stored(site) == {NAME: archive.read_bytes()}
        assert quarantined(site) == []


def test_a_store_whose_disk_runs_full_leaves_the_upload_to_be_taken_in_later(disk: Path) -> None:
    run_in_mount(into_a_full_store, disk, SMALL)


# --- a bucket ---------------------------------------------------------------------------------------------------------------------


def keys(s3_client: Any, bucket: str) -> list[str]:
    return [item["Key"] for item in s3_client.list_objects_v2(Bucket=bucket).get("Contents", []) if not item["Key"].endswith(".json")]


def test_an_upload_goes_on_into_a_bucket_and_is_kept_while_that_fails(
    sqlite_site: Site, archive: Path, s3_client: Any, bucket: str, s3_server: S3Server, s3_proxy: FaultProxy
) -> None:
    site = WarmSite.of(in_bucket(sqlite_site, bucket, s3_server, s3_proxy))
    s3_proxy.fail("PUT", r"\.zip\.partial", Answer(503, "SlowDown"))
    failed = site.manage(*taking(archive)).stdout
    assert failed.startswith("failed"), failed
    assert keys(s3_client, bucket) == []
    assert quarantined(site) == [archive.read_bytes()]
    assert s3_proxy.unused == 0
    assert site.manage(*taking(archive)).stdout.startswith("done True")
    assert keys(s3_client, bucket) == [f"site/{NAME}"]
    assert s3_client.get_object(Bucket=bucket, Key=f"site/{NAME}")["Body"].read() == archive.read_bytes()
    assert quarantined(site) == []
    assert not list((site.state / "outbox").iterdir())
    (journal,) = (journal for journal in journals(site) if journal["status"] == "done")
    assert journal["report"]["sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert json.loads(site.manage("backup_list", "--json").stdout)
