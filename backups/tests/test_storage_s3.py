"""The store in an S3 bucket: against a real S3-protocol server over the wire, and through a proxy that fails by script."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from botocore.config import Config

from backups.exceptions import (
    ArchiveNotFound,
    ArchiveNotSaved,
    ArchiveRejected,
    ArchiveUnreadable,
    BackupError,
    Interrupted,
    NameTaken,
    PreflightRefused,
)
from backups.storage import ArchiveStore, archive_store
from backups.storage.s3 import S3Store
from backups.storage.s3_reader import S3Reader
from backups.tests import BASE_DIR
from backups.tests.faults import Answer, Call, CutRequest, CutResponse, Fault, FaultProxy, FlipRequest, FlipResponse, LoseAnswer
from backups.tests.servers import S3Server
from backups.tests.store_contract import NAME, OPERATION, OTHER_OPERATION, StoreContract, content_of, partial_of, save

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# One attempt for each request of boto3, so that a test counts faults and not patience.
ONE_ATTEMPT = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20)

# The upload's path and, without its suffix, the final one: the copy.
SENT, FINAL = rf"/{NAME}\.partial", rf"/{NAME}($|\?)"

MakeStore = Callable[..., S3Store]


@pytest.fixture
def make_store(bucket: str, s3_server: S3Server, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> MakeStore:
    """Makes the store as a site would, from STORAGES; options add to those of the test server."""
    monkeypatch.setattr(S3Reader, "pause_seconds", 0.001)

    def make(**options: Any) -> S3Store:
        settings.BACKUPS_STATE_DIR = tmp_path / "state"
        given = {
            "bucket_name": bucket,
            "endpoint_url": s3_server.endpoint_url,
            "region_name": s3_server.region,
            "access_key": s3_server.access_key,
            "secret_key": s3_server.secret_key,
            "client_config": ONE_ATTEMPT,
        }
        settings.STORAGES = {
            **settings.STORAGES,
            "backups": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {**given, **options}},
        }
        store = archive_store()
        assert isinstance(store, S3Store)
        return store

    return make


@pytest.fixture
def store(make_store: MakeStore, s3_proxy: FaultProxy) -> S3Store:
    """A store behind the proxy, in a folder of the bucket."""
    return make_store(endpoint_url=s3_proxy.endpoint_url, location="site/archives")


def keys(s3_client: S3Client, bucket: str) -> list[str]:
    return [item["Key"] for item in s3_client.list_objects_v2(Bucket=bucket).get("Contents", [])]


class TestS3Store(StoreContract):
    @pytest.fixture
    def store(self, make_store: MakeStore) -> ArchiveStore:
        return make_store(location="site/archives/")


# --- links of its own -------------------------------------------------------------------------------------------------


def test_link_for_a_browser_gets_the_archive_as_a_file_and_no_other_object(
    make_store: MakeStore, s3_server: S3Server, s3_client: S3Client, bucket: str
) -> None:
    content = content_of(1000)
    save(make_store(location="site/archives"), content)
    # The test's server speaks http alone; what is signed is the host, not the scheme.
    secure = make_store(location="site/archives", endpoint_url=s3_server.endpoint_url.replace("http:", "https:"), signature_version="s3v4",
                        client_config=None, addressing_style="path")  # fmt: skip
    url = secure.download_url(NAME, seconds=600, file_name="saved as.zip")
    assert url.startswith("https://")
    assert "X-Amz-Expires=600" in url and s3_server.secret_key not in url
    with urlopen(url.replace("https:", "http:"), timeout=20) as answer:
        assert answer.read() == content
        assert answer.headers["Content-Disposition"] == 'attachment; filename="saved as.zip"'
        assert answer.headers["Content-Type"] == "application/zip"


@pytest.mark.parametrize(
    "options",
    [
        {"signature_version": "s3v4", "client_config": None},
        {"endpoint_url": "https://s3.example", "client_config": Config(signature_version="s3")},
        {"endpoint_url": "https://s3.example", "client_config": Config(signature_version="s3v4"),
         "object_parameters": {"SSECustomerKey": "k" * 32, "SSECustomerAlgorithm": "AES256"}},
    ],
    ids=["by http", "signed in the old way", "encrypted with a key of the customer's"],
)  # fmt: skip
def test_there_is_no_link_that_a_browser_could_not_follow(make_store: MakeStore, options: dict[str, Any]) -> None:
    assert make_store(**options).download_url(NAME, seconds=600, file_name=NAME) == ""


def test_project_signs_links_in_the_way_that_new_buckets_ask_for() -> None:
    code = (
        "import django; django.setup()\n"
        "from backups.storage import archive_store\n"
        f"print(archive_store().download_url({NAME!r}, seconds=600, file_name={NAME!r}))"
    )
    env = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "timetracker.settings", "SECRET_KEY": "x" * 50, "PYTHONPATH": str(BASE_DIR),
        "BACKUPS_S3_BUCKET": "archives", "BACKUPS_S3_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
    }  # fmt: skip
    printed = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=120).stdout
    assert printed.startswith("https://archives.s3.")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in printed


# --- saving ---------------------------------------------------------------------------------------------------------


def test_archive_carries_type_and_hash_and_lies_in_the_folder(store: S3Store, s3_client: S3Client, bucket: str) -> None:
    content = content_of(1000)
    save(store, content)
    head = s3_client.head_object(Bucket=bucket, Key=f"site/archives/{NAME}")
    assert head["ContentType"] == "application/zip"
    assert head["Metadata"] == {"sha256": hashlib.sha256(content).hexdigest()}
    assert keys(s3_client, bucket) == [f"site/archives/{NAME}"]


def test_options_of_the_backend_reach_the_final_object(make_store: MakeStore, s3_client: S3Client, bucket: str) -> None:
    store = make_store(object_parameters={"StorageClass": "STANDARD_IA", "Metadata": {"owner": "ops"}, "ServerSideEncryption": "AES256"})
    save(store, content_of(1000))
    head = s3_client.head_object(Bucket=bucket, Key=NAME)
    assert head["StorageClass"] == "STANDARD_IA"
    assert head["ServerSideEncryption"] == "AES256"
    assert head["Metadata"]["owner"] == "ops"


def test_archive_above_the_limit_of_one_copy_is_copied_in_parts(
    store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str
) -> None:
    store.copy_at_once = 6 * 1024 * 1024
    store.copy_part = 5 * 1024 * 1024
    content = content_of(16_000_000)
    save(store, content)
    copies = [
        request for request in s3_proxy.requests if request.method == "PUT" and f"{NAME}?" in request.path and "partNumber" in request.path
    ]
    assert len(copies) == 4
    with store.open(NAME) as file:
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(content).digest()
    assert keys(s3_client, bucket) == [f"site/archives/{NAME}"]
    with pytest.raises(NameTaken):
        save(store, content)


def test_name_that_is_taken_while_the_archive_is_sent_is_left_alone(
    store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str
) -> None:
    store.copy_at_once = 1

    def take_the_name() -> None:
        s3_client.put_object(Bucket=bucket, Key=f"site/archives/{NAME}", Body=b"a stranger's")

    s3_proxy.fail("POST", rf"{NAME}\?uploads", Call(take_the_name))
    with pytest.raises(NameTaken):
        save(store, content_of(1000))
    assert s3_proxy.unused == 0
    assert s3_client.get_object(Bucket=bucket, Key=f"site/archives/{NAME}")["Body"].read() == b"a stranger's"
    assert keys(s3_client, bucket) == [f"site/archives/{NAME}"]
    assert "Uploads" not in s3_client.list_multipart_uploads(Bucket=bucket)


def test_service_without_conditional_copies_is_asked_without_the_condition(store: S3Store, s3_proxy: FaultProxy) -> None:
    s3_proxy.fail("PUT", FINAL, Answer(501, "NotImplemented"))
    save(store, content_of(1000))
    assert s3_proxy.unused == 0
    assert store.exists(NAME)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        pytest.param(Answer(403, "AccessDenied"), "403 AccessDenied", id="403"),
        pytest.param(Answer(503, "SlowDown"), "503 SlowDown", id="503"),
        pytest.param(CutRequest(after=1000), "connection", id="lost while sending"),
        pytest.param(LoseAnswer(), "connection", id="lost before the answer"),
    ],
)
@pytest.mark.parametrize("size", [50_000, 20_000_000], ids=["one request", "in parts"])
def test_failed_upload_leaves_nothing_that_looks_like_an_archive(
    store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str, fault: Fault, cause: str, size: int
) -> None:
    s3_proxy.fail("PUT", SENT, fault)
    with pytest.raises(ArchiveNotSaved, match=cause) as caught:
        save(store, content_of(size))
    assert s3_proxy.unused == 0
    assert caught.value.exit_code == 8
    assert bucket in str(caught.value)
    assert keys(s3_client, bucket) == []
    assert "Uploads" not in s3_client.list_multipart_uploads(Bucket=bucket)
    assert (store.folder() / "0123abcd.partial").stat().st_size == size


def test_bit_that_flips_on_the_way_to_the_store_is_found(store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str) -> None:
    s3_proxy.fail("PUT", SENT, FlipRequest(at=25_000))
    with pytest.raises(ArchiveNotSaved) as caught:
        save(store, content_of(50_000))
    assert s3_proxy.unused == 0
    assert caught.value.exit_code == 8
    assert keys(s3_client, bucket) == []
    assert (store.folder() / "0123abcd.partial").exists()


def test_bit_that_flips_inside_the_store_is_found_by_reading_back(
    store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str
) -> None:
    content = content_of(50_000)

    def rot() -> None:
        s3_client.put_object(Bucket=bucket, Key=f"site/archives/{NAME}.partial", Body=content[:-1] + b"!")

    s3_proxy.fail("HEAD", SENT, Call(rot))
    with pytest.raises(ArchiveNotSaved, match="Other bytes came back"):
        save(store, content)
    assert s3_proxy.unused == 0
    assert keys(s3_client, bucket) == []


def test_store_that_returns_fewer_bytes_than_it_was_sent_is_found(
    store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str
) -> None:
    def shrink() -> None:
        s3_client.put_object(Bucket=bucket, Key=f"site/archives/{NAME}.partial", Body=b"short")

    s3_proxy.fail("HEAD", SENT, Call(shrink))
    with pytest.raises(ArchiveNotSaved, match="5 of 50000 bytes"):
        save(store, content_of(50_000))
    assert keys(s3_client, bucket) == []


def test_object_that_changes_between_reading_back_and_copying_is_not_copied(
    store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str
) -> None:
    def change() -> None:
        s3_client.put_object(Bucket=bucket, Key=f"site/archives/{NAME}.partial", Body=b"changed")

    s3_proxy.fail("PUT", FINAL, Call(change))
    with pytest.raises(ArchiveNotSaved, match="Other bytes were copied|412"):
        save(store, content_of(1000))
    assert s3_proxy.unused == 0
    assert keys(s3_client, bucket) == []


@pytest.mark.parametrize("fault", [Answer(403, "AccessDenied"), Answer(503, "SlowDown"), CutRequest(after=0)], ids=["403", "503", "lost"])
def test_failed_copy_leaves_nothing(store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str, fault: Fault) -> None:
    s3_proxy.fail("PUT", FINAL, fault)
    with pytest.raises(ArchiveNotSaved):
        save(store, content_of(1000))
    assert s3_proxy.unused == 0
    assert keys(s3_client, bucket) == []


@pytest.mark.parametrize(("copy_at_once", "method"), [(1024**3, "PUT"), (1, "POST")], ids=["at once", "in parts"])
def test_copy_whose_answer_was_lost_counts_as_saved(store: S3Store, s3_proxy: FaultProxy, copy_at_once: int, method: str) -> None:
    store.copy_at_once = copy_at_once
    s3_proxy.fail(method, FINAL if method == "PUT" else rf"{NAME}\?uploadId", LoseAnswer())
    save(store, content_of(1000))
    assert s3_proxy.unused == 0
    with store.open(NAME) as file:
        assert file.read() == content_of(1000)
    assert not (store.folder() / "0123abcd.partial").exists()


@pytest.mark.parametrize(
    "fault",
    [Answer(403, "AccessDenied"), Answer(503, "SlowDown"), CutResponse(after=0)],
    ids=["403", "503", "lost"],
)
def test_archive_that_cannot_be_read_back_is_not_saved(
    store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str, fault: Fault
) -> None:
    s3_proxy.fail("GET", SENT, fault, times=S3Reader.attempts)
    with pytest.raises(ArchiveNotSaved, match="read back") as caught:
        save(store, content_of(50_000))
    assert caught.value.exit_code == 8
    assert keys(s3_client, bucket) == []


def test_partial_object_that_cannot_be_deleted_now_does_not_undo_the_success(
    store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str
) -> None:
    s3_proxy.fail("DELETE", SENT, Answer(503))
    save(store, content_of(1000))
    assert s3_proxy.unused == 0
    assert [archive.name for archive in store.list()] == [NAME]
    assert store.sweep_partials(OPERATION) == (f"{NAME}.partial",)
    assert keys(s3_client, bucket) == [f"site/archives/{NAME}"]


def test_single_hiccup_is_ridden_out_by_the_default_settings(make_store: MakeStore, s3_proxy: FaultProxy) -> None:
    store = make_store(endpoint_url=s3_proxy.endpoint_url, client_config=None, addressing_style="path")
    s3_proxy.fail("PUT", SENT, Answer(503, "SlowDown"))
    save(store, content_of(1000))
    assert s3_proxy.unused == 0
    assert store.exists(NAME)


def test_interruption_while_sending_leaves_nothing(store: S3Store, s3_client: S3Client, bucket: str) -> None:
    # Signals reach the main thread, which waits for those that send.
    def interrupted(number: int, frame: object) -> None:
        raise Interrupted(number)

    before = signal.signal(signal.SIGUSR1, interrupted)
    main = threading.get_ident()
    try:
        with pytest.raises(Interrupted):
            store.save(
                partial_of(store, content_of(20_000_000)),
                NAME,
                sha256="",
                on_bytes=lambda count: signal.pthread_kill(main, signal.SIGUSR1),
            )
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert keys(s3_client, bucket) == []
    assert "Uploads" not in s3_client.list_multipart_uploads(Bucket=bucket)
    assert (store.folder() / "0123abcd.partial").exists()


# --- reading --------------------------------------------------------------------------------------------------------


def ranges(s3_proxy: FaultProxy) -> list[str]:
    return [request.range for request in s3_proxy.requests if request.method == "GET" and request.range]


def test_sequential_reading_takes_few_requests_and_little_memory(store: S3Store, s3_proxy: FaultProxy) -> None:
    content = content_of(48 * 1024 * 1024)
    save(store, content)
    s3_proxy.requests.clear()
    digest = hashlib.sha256()
    with store.open(NAME) as file:
        while data := file.read(1024 * 1024):
            digest.update(data)
    assert digest.digest() == hashlib.sha256(content).digest()
    # 256 KiB, 1, 4, 16 and 64 MiB: what is left.
    assert len(ranges(s3_proxy)) == 5


def test_tail_and_a_jump_cost_one_small_request_each(store: S3Store, s3_proxy: FaultProxy) -> None:
    content = content_of(20_000_000)
    save(store, content)
    s3_proxy.requests.clear()
    with store.open(NAME) as file:
        file.seek(-100, io.SEEK_END)
        assert file.read() == content[-100:]
        file.seek(5_000_000)
        assert file.read(50) == content[5_000_000:5_000_050]
        assert file.read(50) == content[5_000_050:5_000_100]
    assert ranges(s3_proxy) == ["bytes=19999900-19999999", f"bytes=5000000-{5_000_000 + S3Reader.first_window - 1}"]


def test_short_gap_is_read_over_instead_of_asked_again(store: S3Store, s3_proxy: FaultProxy) -> None:
    content = content_of(3_000_000)
    save(store, content)
    s3_proxy.requests.clear()
    reader = store._reader(f"site/archives/{NAME}")
    with reader:
        assert reader.read(10) == content[:10]
        reader.seek(50_000)
        assert reader.read(10) == content[50_000:50_010]
    assert len(ranges(s3_proxy)) == 1


@pytest.mark.parametrize(
    "fault", [CutResponse(after=100_000), Answer(503, "SlowDown"), CutResponse(after=0)], ids=["lost", "503", "lost at once"]
)
def test_reading_goes_on_where_a_connection_was_lost(store: S3Store, s3_proxy: FaultProxy, fault: Fault) -> None:
    content = content_of(2_000_000)
    save(store, content)
    s3_proxy.requests.clear()
    s3_proxy.fail("GET", NAME, fault, times=S3Reader.attempts - 1)
    with store.open(NAME) as file:
        assert file.read() == content
    assert s3_proxy.unused == 0
    if fault == CutResponse(after=100_000):
        starts = [int(text.removeprefix("bytes=").split("-")[0]) for text in ranges(s3_proxy)]
        assert starts[:5] == [0, 100_000, 200_000, 300_000, 400_000]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        pytest.param(Answer(403, "AccessDenied"), "403 AccessDenied", id="403"),
        pytest.param(Answer(503, "SlowDown"), "503 SlowDown", id="503"),
        pytest.param(CutResponse(after=0), "connection", id="lost"),
    ],
)
def test_archive_that_stays_unreadable_is_refused_with_the_cause(store: S3Store, s3_proxy: FaultProxy, fault: Fault, cause: str) -> None:
    save(store, content_of(2_000_000))
    s3_proxy.fail("GET", NAME, fault, times=S3Reader.attempts)
    with store.open(NAME) as file, pytest.raises(ArchiveUnreadable, match=cause) as caught:
        file.read()
    assert caught.value.exit_code == 5
    assert NAME in str(caught.value)


@pytest.mark.parametrize(("status", "code"), [(403, "403"), (503, "503")])
def test_archive_that_cannot_be_opened_is_refused_with_the_cause(store: S3Store, s3_proxy: FaultProxy, status: int, code: str) -> None:
    save(store, b"content")
    s3_proxy.fail("HEAD", NAME, Answer(status))
    with pytest.raises(ArchiveUnreadable, match=code) as caught:
        store.open(NAME)
    assert caught.value.exit_code == 5


def test_flipped_bit_reaches_the_reader_whose_hashes_find_it(store: S3Store, s3_proxy: FaultProxy) -> None:
    content = content_of(10_000)
    save(store, content)
    s3_proxy.fail("GET", NAME, FlipResponse(at=5000))
    with store.open(NAME) as file:
        read = file.read()
    assert read != content
    assert read[:5000] + read[5001:] == content[:5000] + content[5001:]


def test_archive_that_is_replaced_while_it_is_read_is_refused(store: S3Store, s3_client: S3Client, bucket: str) -> None:
    save(store, content_of(5_000_000))
    with store.open(NAME) as file:
        file.read(1000)
        s3_client.put_object(Bucket=bucket, Key=f"site/archives/{NAME}", Body=content_of(5_000_000, seed=8))
        with pytest.raises(ArchiveRejected, match="was replaced") as caught:
            file.read()
    assert caught.value.exit_code == 5
    assert not isinstance(caught.value, ArchiveUnreadable)


def test_archive_that_is_deleted_while_it_is_read_is_refused(store: S3Store) -> None:
    save(store, content_of(5_000_000))
    with store.open(NAME) as file:
        file.read(1000)
        store.delete(NAME)
        with pytest.raises(ArchiveUnreadable, match="404"):
            file.read()


def test_random_reads_through_random_faults_are_exact(store: S3Store, s3_proxy: FaultProxy) -> None:
    content = content_of(4_000_000)
    save(store, content)
    generator = random.Random(20250314)
    with store.open(NAME) as file:
        for _ in range(60):
            if generator.random() < 0.5:
                faults: list[Fault] = [CutResponse(after=generator.randrange(300_000)), Answer(503)]
                s3_proxy.fail("GET", NAME, generator.choice(faults))
            position, size = generator.randrange(len(content)), generator.choice([10, 70_000, 600_000])
            file.seek(position)
            assert file.read(size) == content[position : position + size]


# --- the rest -------------------------------------------------------------------------------------------------------


def test_list_goes_beyond_one_page(store: S3Store, s3_proxy: FaultProxy, s3_client: S3Client, bucket: str) -> None:
    store.page_size = 3
    names = [f"backup_20250314_150926_{number:08x}.zip" for number in range(10)]
    for name in names:
        s3_client.put_object(Bucket=bucket, Key=f"site/archives/{name}", Body=b"")
    s3_client.put_object(Bucket=bucket, Key="site/archives/deeper/backup_20250314_150926_0123abcd.zip", Body=b"")
    s3_client.put_object(Bucket=bucket, Key="backup_20250314_150926_0123abcd.zip", Body=b"of another site")
    listed = store.list()
    assert len([request for request in s3_proxy.requests if "list-type" in request.path]) == 4
    assert [archive.name for archive in listed] == names[::-1]
    assert (datetime.now(UTC) - listed[0].modified).total_seconds() < 600


def test_missing_bucket_is_named(make_store: MakeStore) -> None:
    store = make_store(bucket_name="no-such-bucket-here")
    for refused in (store.check_writable, store.list):
        with pytest.raises(PreflightRefused, match="no-such-bucket-here.*NoSuchBucket"):
            refused()
    with pytest.raises(ArchiveNotSaved, match="no-such-bucket-here.*NoSuchBucket"):
        save(store, b"content")
    with pytest.raises(ArchiveNotFound, match="no-such-bucket-here"):
        store.open(NAME)


@pytest.mark.parametrize(
    ("method", "part"), [("GET", "list-type"), ("PUT", r"\.check\.partial"), ("HEAD", r"\.check\.partial"), ("DELETE", r"\.check\.partial")]
)
def test_store_that_refuses_one_thing_that_a_backup_needs_is_refused(store: S3Store, s3_proxy: FaultProxy, method: str, part: str) -> None:
    s3_proxy.fail(method, part, Answer(403))
    with pytest.raises(PreflightRefused, match="403") as caught:
        store.check_writable()
    assert s3_proxy.unused == 0
    assert caught.value.exit_code == 3


def test_server_that_is_not_there_is_named_without_its_secrets(make_store: MakeStore, s3_client: S3Client) -> None:
    store = make_store(endpoint_url="http://user:hidden@127.0.0.1:9", secret_key="also-hidden", location="deep/down")
    for refused in (
        store.check_writable,
        store.list,
        lambda: store.exists(NAME),
        lambda: store.delete(NAME),
        lambda: store.delete_record(OPERATION),
        lambda: list(store.records()),
    ):
        with pytest.raises(PreflightRefused, match="connection failed") as caught:
            refused()
        assert "127.0.0.1:9" in str(caught.value)
        assert "deep/down" in str(caught.value)
        assert "hidden" not in str(caught.value)
    with pytest.raises(BackupError, match="connection failed"):
        store.save_record(OPERATION, b"{}")
    with pytest.raises(ArchiveNotSaved, match="connection failed"):
        save(store, b"content")


def test_missing_credentials_are_named(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    store = make_store(access_key=None, secret_key=None)
    with pytest.raises(PreflightRefused, match="Unable to locate credentials"):
        store.check_writable()


def test_sweep_deletes_partial_objects_and_aborts_uploads_of_that_operation_alone(store: S3Store, s3_client: S3Client, bucket: str) -> None:
    other = NAME.replace("0123abcd", OTHER_OPERATION[:8])
    for name in (NAME, other):
        s3_client.put_object(Bucket=bucket, Key=f"site/archives/{name}.partial", Body=b"left")
        s3_client.put_object(Bucket=bucket, Key=f"site/archives/{name}", Body=b"whole")
        s3_client.create_multipart_upload(Bucket=bucket, Key=f"site/archives/{name}.partial")
        s3_client.create_multipart_upload(Bucket=bucket, Key=f"site/archives/{name}")
    s3_client.put_object(Bucket=bucket, Key="site/archives/my.partial", Body=b"a person's")
    assert store.sweep_partials(OPERATION) == (f"{NAME}.partial",)
    assert f"site/archives/{NAME}.partial" not in keys(s3_client, bucket)
    uploads = s3_client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert sorted(item["Key"] for item in uploads) == [f"site/archives/{other}", f"site/archives/{other}.partial"]
    assert store.sweep_partials(None) == (f"{other}.partial",)
    assert sorted(keys(s3_client, bucket)) == sorted(f"site/archives/{name}" for name in (NAME, other, "my.partial"))
    assert "Uploads" not in s3_client.list_multipart_uploads(Bucket=bucket)


def test_sweep_is_content_where_uploads_may_not_be_listed(store: S3Store, s3_proxy: FaultProxy) -> None:
    s3_proxy.fail("GET", "uploads", Answer(403))
    assert store.sweep_partials(None) == ()
    assert s3_proxy.unused == 0


def test_sweep_cleans_this_machine_before_it_complains_of_the_store(store: S3Store, s3_proxy: FaultProxy) -> None:
    partial = partial_of(store, b"left")
    s3_proxy.fail("GET", "list-type", Answer(503))
    with pytest.raises(PreflightRefused, match="503"):
        store.sweep_partials(OPERATION)
    assert not partial.exists()
