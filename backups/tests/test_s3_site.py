"""A whole site whose archives live in an S3 bucket, over the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from backups.tests.faults import Answer, CutRequest, FaultProxy, FlipRequest, FlipResponse
from backups.tests.servers import S3Server
from backups.tests.site import Site, populate
from backups.tests.wrecking import wreck


@pytest.fixture
def s3_site(sqlite_site: Site, bucket: str, s3_server: S3Server, s3_proxy: FaultProxy) -> Site:
    """A populated site on SQLite with its archives in the bucket, reached through the proxy: the faults are the store's."""
    return in_bucket(sqlite_site, bucket, s3_server, s3_proxy)


def in_bucket(site: Site, bucket: str, s3_server: S3Server, s3_proxy: FaultProxy) -> Site:
    """Populate the site and let its store be the bucket."""
    populate(site)
    site.extra_env = {
        "BACKUPS_S3_BUCKET": bucket,
        "BACKUPS_S3_PREFIX": "site",
        "BACKUPS_S3_ENDPOINT_URL": s3_proxy.endpoint_url,
        "BACKUPS_S3_REGION": s3_server.region,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "AWS_MAX_ATTEMPTS": "1",
    }
    return site


def _archives(s3_client: Any, bucket: str) -> list[str]:
    return [item["Key"] for item in s3_client.list_objects_v2(Bucket=bucket).get("Contents", []) if not item["Key"].endswith(".json")]


def test_a_site_is_backed_up_to_s3_and_restored_straight_from_there(
    site: Site, s3_client: Any, bucket: str, s3_server: S3Server, s3_proxy: FaultProxy
) -> None:
    s3_site = in_bucket(site, bucket, s3_server, s3_proxy)
    before, uploads = s3_site.dump_tables(), s3_site.uploads()
    name = s3_site.manage("backup_create").stdout.strip()
    assert _archives(s3_client, bucket) == [f"site/{name}"]
    assert not s3_site.backups.exists(), "nothing of it stays on this machine"
    assert list((s3_site.state / "outbox").glob("*")) == []

    wreck(s3_site)
    assert name in s3_site.manage("backup_list").stdout
    assert "whole" in s3_site.manage("backup_verify", name).stdout
    s3_site.manage("backup_restore", name, "--no-input", "--uploads", "exact")
    assert s3_site.dump_tables() == before
    assert s3_site.uploads() == uploads


@pytest.mark.parametrize(
    "fault", [Answer(403), Answer(503, "SlowDown"), CutRequest(1000), FlipRequest(1000)], ids=["403", "503", "lost", "wrong"]
)
def test_an_archive_that_s3_does_not_take_is_kept_here_and_exit_is_8(
    s3_site: Site, s3_client: Any, bucket: str, s3_proxy: FaultProxy, fault: Any
) -> None:
    s3_proxy.fail("PUT", r"\.zip\.partial", fault, times=100)
    completed = s3_site.manage("backup_create", "--json", check=False)
    assert completed.returncode == 8
    assert _archives(s3_client, bucket) == []
    error = json.loads(completed.stdout.splitlines()[-1])
    (kept,) = (s3_site.state / "unsaved").glob("*.zip")
    assert str(kept) in error["state"]
    before = s3_site.dump_tables()
    wreck(s3_site)
    s3_site.manage("backup_restore", kept, "--no-input")
    assert s3_site.dump_tables() == before


def test_an_archive_that_s3_does_not_deliver_is_not_called_broken(s3_site: Site, s3_proxy: FaultProxy) -> None:
    name = s3_site.manage("backup_create").stdout.strip()
    s3_proxy.fail("GET", rf"{name}", Answer(403), times=1)
    completed = s3_site.manage("backup_verify", name, check=False)
    assert completed.returncode == 5
    assert f"{name}  UNREADABLE" in completed.stdout
    assert "Look at the store and the network" in completed.stderr
    assert "BROKEN" not in s3_site.manage("backup_list").stdout
    assert "whole" in s3_site.manage("backup_verify", name).stdout


def test_wrong_bytes_from_s3_are_refused_with_exit_5(s3_site: Site, s3_proxy: FaultProxy) -> None:
    name = s3_site.manage("backup_create").stdout.strip()
    live = s3_site.dump_tables()
    s3_proxy.fail("GET", r"\.zip$", FlipResponse(5000), times=100)
    completed = s3_site.manage("backup_restore", name, "--no-input", check=False)
    assert completed.returncode == 5
    assert s3_site.dump_tables() == live
