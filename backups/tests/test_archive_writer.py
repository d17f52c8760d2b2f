"""Writing archives: what goes in comes out, with this code and with standard tools; what fails leaves nothing half."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import re
import resource
import stat
import subprocess
import tempfile
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from backups.archive import ARCHIVE_NAME, BATCH, ArchiveReader, ArchiveWriter, MemberSpool, archive_name
from backups.exceptions import PreflightRefused
from backups.manifest import DatabaseInfo, Manifest, UploadsInfo

CREATED_AT = datetime(2025, 3, 4, 5, 6, 8, tzinfo=UTC)
DUMP = b"PGDMP" + b"copied row after copied row\n" * 2000
KIB = 1024


def manifest_of(writer: ArchiveWriter) -> Manifest:
    """A manifest that lists what ``writer`` has; it must have a ``db.dump``."""
    sizes = [member.size for member in writer.members if member.path.startswith("uploads/")]
    return Manifest(
        id="0123456789abcdef" * 2,
        created_at=CREATED_AT,
        app_version="1.0",
        trigger="manual",
        note="",
        pinned=False,
        database=DatabaseInfo("postgresql", "db.dump", "pg_dump-custom", "15.4", "15.4", 1, "UTF8"),
        migrations={},
        rows={},
        uploads=UploadsInfo(True, len(sizes), sum(sizes)),
        members=tuple(writer.members),
    )


def finish(writer: ArchiveWriter) -> Manifest:
    """Add a dump and end the archive."""
    writer.add_bytes("db.dump", DUMP)
    manifest = manifest_of(writer)
    writer.finish(manifest)
    return manifest


def unpacked(archive: Path, into: Path) -> dict[str, bytes]:
    """The uploads as the reader unpacks them."""
    with archive.open("rb") as source, ArchiveReader(source, name=archive.name) as reader:
        reader.extract(database_to=into / "db" / "dump", uploads_to=into / "uploads", on_bytes=lambda count: None)
    assert (into / "db/dump").read_bytes() == DUMP
    return {str(path.relative_to(into / "uploads")): path.read_bytes() for path in (into / "uploads").rglob("*") if path.is_file()}


def check_with_standard_tools(archive: Path, folder: Path) -> None:
    """``unzip -t``, ``unzip`` and ``sha256sum -c`` in processes of their own, and Python's zipfile, must all be content."""
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    subprocess.run(["unzip", "-tq", archive], check=True, env=env, stdout=subprocess.DEVNULL)
    subprocess.run(["unzip", "-q", archive, "-d", folder], check=True, env=env)
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], check=True, cwd=folder, env=env)
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        listed = {line.split("  ", 1)[1] for line in opened.read("SHA256SUMS").decode().splitlines()}
        assert listed == set(opened.namelist()) - {"SHA256SUMS", "manifest.sig"}


def words(size: int, seed: int = 1) -> bytes:
    """Text that compresses as prose does, different for each ``seed``."""
    rng = random.Random(seed)
    vocabulary = [rng.randbytes(rng.randint(1, 5)).hex() for _ in range(500)]
    return " ".join(rng.choices(vocabulary, k=size // 4)).encode()[:size]


SOURCES = {
    "empty.txt": b"",
    "one.txt": b"x",
    "notes.txt": words(200 * KIB),
    "at the limit.txt": words(BATCH),
    "beyond it.txt": words(BATCH + 1),
    "large.csv": words(3 * BATCH + 17),
    "noise.bin": random.Random(2).randbytes(2 * BATCH + 3),
    "noise within the limit.bin": random.Random(3).randbytes(300 * KIB),
    "noise at first.bin": random.Random(4).randbytes(64 * KIB) + words(300 * KIB),
    "noise in the end.bin": words(300 * KIB) + random.Random(5).randbytes(64 * KIB),
    "photo.JPG": words(2 * BATCH),
    "ordner/Übergröße – März.pdf": words(5 * KIB),
    "ordner/tiefer/日本語.txt": "日本語".encode() * 100,
}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with the files of :data:`SOURCES`."""
    folder = tmp_path / "sources"
    for name, content in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def archive(tmp_path: Path, sources: Path) -> Path:
    """An archive of them, its dump appended from a compressed spool."""
    path = tmp_path / "archive.zip"
    with ArchiveWriter(path, created_at=CREATED_AT) as writer:
        for name in SOURCES:
            writer.add_file(f"uploads/{name}", sources / name, lambda count: None)
        with MemberSpool(tmp_path / "spool", compress=True) as spool:
            for start in range(0, len(DUMP), 700):
                spool.write(DUMP[start : start + 700])
        writer.add_spool("db.dump", spool, lambda count: None)
        writer.add_bytes("settings.json", b"{}\n")
        writer.add_bytes("RESTORE.txt", b"By hand.\n")
        writer.finish(manifest_of(writer))
    return path


def test_files_come_out_as_they_went_in(archive: Path, tmp_path: Path) -> None:
    assert unpacked(archive, tmp_path / "out") == SOURCES


def test_standard_tools_open_the_archive(archive: Path, tmp_path: Path) -> None:
    check_with_standard_tools(archive, tmp_path / "plain")
    for name, content in SOURCES.items():
        assert (tmp_path / "plain/uploads" / name).read_bytes() == content


def test_members_say_size_and_hash_of_what_was_read(tmp_path: Path, sources: Path) -> None:
    counted: list[int] = []
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        for name, content in SOURCES.items():
            writer.add_file(f"uploads/{name}", sources / name, counted.append)
            assert writer.members[-1].size == len(content)
            assert writer.members[-1].sha256 == hashlib.sha256(content).hexdigest()
        finish(writer)
    assert sum(counted) == sum(map(len, SOURCES.values()))


def test_headers_are_canonical(archive: Path) -> None:
    data = archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        position = 0
        for info in opened.infolist():
            assert info.header_offset == position
            assert info.flag_bits == 0x0800
            assert info.external_attr >> 16 == stat.S_IFREG | 0o600
            assert info.date_time == (2025, 3, 4, 5, 6, 8)
            assert not info.extra
            position += 30 + len(info.filename.encode()) + info.compress_size
        assert data[position : position + 4] == b"PK\x01\x02"
        assert opened.comment == b""
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600


def test_what_does_not_compress_is_stored(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        methods = {info.filename.removeprefix("uploads/"): info.compress_type for info in opened.infolist()}
    stored = {name for name, method in methods.items() if method == zipfile.ZIP_STORED}
    assert stored & SOURCES.keys() == {
        "empty.txt",
        "one.txt",
        "noise.bin",
        "noise within the limit.bin",
        "noise at first.bin",
        "photo.JPG",
        "ordner/Übergröße – März.pdf",
    }
    assert methods["db.dump"] == zipfile.ZIP_DEFLATED


def test_same_content_gives_the_same_archive(tmp_path: Path, sources: Path) -> None:
    contents = []
    for name in ("a.zip", "b.zip"):
        with ArchiveWriter(tmp_path / name, created_at=CREATED_AT) as writer:
            for source in SOURCES:
                writer.add_file(f"uploads/{source}", sources / source, lambda count: None)
            finish(writer)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


part = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\\"), min_size=1, max_size=30).filter(
    lambda text: text not in (".", "..") and not text.startswith(".backups-")
)
file_names = st.lists(st.tuples(st.lists(part, max_size=2), part), max_size=6).map(
    # Folders and files get different first letters, so that no name is both.
    lambda names: ["/".join([*("d" + folder for folder in folders), "f" + name]) for folders, name in names]
)


@given(names=file_names, contents=st.data())
@hypothesis_settings(max_examples=40, deadline=None)
def test_any_names_and_contents_come_out_as_they_went_in(names: list[str], contents: st.DataObject) -> None:
    files = {name: contents.draw(st.binary(max_size=300)) * contents.draw(st.sampled_from([1, 5000])) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with ArchiveWriter(root / "a.zip", created_at=CREATED_AT) as writer:
            for number, (name, content) in enumerate(files.items()):
                (root / str(number)).write_bytes(content)
                writer.add_file(f"uploads/{name}", root / str(number), lambda count: None)
            finish(writer)
        assert unpacked(root / "a.zip", root / "out") == files
        with zipfile.ZipFile(root / "a.zip") as opened:
            assert {name.removeprefix("uploads/"): opened.read(name) for name in opened.namelist() if name.startswith("uploads/")} == files


# --- files that change, vanish or are none ---------------------------------------------------------------------------------


def test_vanished_file_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_bytes("uploads/kept.txt", b"kept")
        with pytest.raises(FileNotFoundError):
            writer.add_file("uploads/gone.txt", tmp_path / "gone.txt", lambda count: None)
        assert [member.path for member in writer.members] == ["uploads/kept.txt"]
        finish(writer)
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {"kept.txt": b"kept"}


@pytest.mark.parametrize("suffix", [".txt", ".png"])
def test_file_that_grows_while_it_is_read_is_recorded_as_it_was_opened(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"growing{suffix}"
    before = words(3 * BATCH)
    source.write_bytes(before)

    def grow(_: int) -> None:
        with source.open("ab") as file:
            file.write(words(BATCH))

    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_file("uploads/growing", source, grow)
        finish(writer)
    assert source.stat().st_size > len(before)
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {"growing": before}


@pytest.mark.parametrize("suffix", [".txt", ".png"])
def test_file_that_shrinks_while_it_is_read_is_recorded_as_it_was_read(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"shrinking{suffix}"
    before = words(3 * BATCH)
    source.write_bytes(before)
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_file("uploads/shrinking", source, lambda count: os.truncate(source, BATCH + 5))
        finish(writer)
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {"shrinking": before[: BATCH + 5]}


def test_link_folder_and_pipe_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        for name, number in {"link": errno.ELOOP, "folder": errno.EINVAL, "pipe": errno.EINVAL}.items():
            with pytest.raises(OSError) as refused:  # noqa: PT011 - its number is looked at below
                writer.add_file(f"uploads/{name}", tmp_path / name, lambda count: None)
            assert refused.value.errno == number
        assert writer.members == []
        finish(writer)
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {}


@pytest.mark.parametrize("name", ["uploads/a\\b.txt", "uploads/a\nb.txt", os.fsdecode(b"uploads/\xe4.txt"), "uploads/../x", "x.txt"])
def test_name_that_could_not_be_read_back_is_refused_before_it_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "source").write_bytes(b"content")
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        with pytest.raises(PreflightRefused, match="cannot be archived") as refused:
            writer.add_file(name, tmp_path / "source", lambda count: None)
        assert "Rename the file" in refused.value.next_step
        finish(writer)
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {}


def test_name_is_taken_once(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_bytes("uploads/a", b"first")
        with pytest.raises(ValueError, match="already"):
            writer.add_bytes("uploads/a", b"second")
        with pytest.raises(ValueError, match="finish"):
            writer.add_bytes("manifest.json", b"{}")
        finish(writer)
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {"a": b"first"}


# --- ends ------------------------------------------------------------------------------------------------------------------


def test_archive_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT)
    assert (tmp_path / "a.zip").read_bytes() == b"mine"


def test_block_that_fails_removes_the_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_bytes("db.dump", DUMP)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    writer.abort()
    with pytest.raises(ValueError, match="not open"):
        writer.add_bytes("settings.json", b"{}")


def test_manifest_must_describe_what_was_added(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_bytes("db.dump", DUMP)
        manifest = manifest_of(writer)
        writer.add_bytes("uploads/later", b"later")
        with pytest.raises(ValueError, match="exactly the members"):
            writer.finish(manifest)


def test_manifest_that_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_bytes("uploads/alone", b"no dump beside it")
        with pytest.raises(ValueError, match=r"could not be read back.*db\.dump"):
            writer.finish(manifest_of(writer))
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let every write beyond ``size`` bytes of a file fail (EFBIG), as a full disk would (ENOSPC)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_disk_that_fills_up_is_an_os_error_and_leaves_no_file(tmp_path: Path) -> None:
    source = tmp_path / "noise.bin"
    source.write_bytes(random.Random(3).randbytes(4 * BATCH))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with (
        files_limited_to(2 * BATCH),
        pytest.raises(OSError, match="File too large"),
        ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer,
    ):
        writer.add_file("uploads/noise.bin", source, lambda count: None)
    assert list(tmp_path.iterdir()) == [source]
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_member_that_fails_halfway_is_cut_off_and_the_archive_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "noise.bin"
    source.write_bytes(random.Random(3).randbytes(4 * BATCH))
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_bytes("uploads/before", b"before")
        with files_limited_to(2 * BATCH), pytest.raises(OSError, match="File too large"):
            writer.add_file("uploads/noise.bin", source, lambda count: None)
        finish(writer)
    check_with_standard_tools(tmp_path / "a.zip", tmp_path / "plain")
    assert (tmp_path / "a.zip").stat().st_size < BATCH
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {"before": b"before"}


# --- spools ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [True, False])
def test_spool_is_appended_as_it_is_and_deleted(tmp_path: Path, compress: bool) -> None:
    content = words(3 * BATCH)
    with MemberSpool(tmp_path / "spool", compress=compress) as spool:
        assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o600
        for start in range(0, len(content), 100_000):
            spool.write(content[start : start + 100_000])
    packed = (tmp_path / "spool").read_bytes()
    assert spool.compressed_size == len(packed)
    assert (spool.size, spool.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (len(packed) < len(content) // 2) is compress
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_spool("uploads/spooled", spool, lambda count: None)
        assert not (tmp_path / "spool").exists()
        finish(writer)
    assert packed in (tmp_path / "a.zip").read_bytes()
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {"spooled": content}


def test_spool_on_another_file_system_is_appended(tmp_path: Path) -> None:
    shared_memory = Path("/dev/shm")  # noqa: S108 - another file system than the temporary folder's, where there is one
    folder = shared_memory if os.access(shared_memory, os.W_OK) else tmp_path
    content = random.Random(4).randbytes(2 * BATCH)
    with tempfile.TemporaryDirectory(dir=folder) as other:
        with MemberSpool(Path(other) / "spool", compress=False) as spool:
            spool.write(content)
        with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
            writer.add_spool("uploads/spooled", spool, lambda count: None)
            finish(writer)
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == {"spooled": content}


def test_empty_spool_is_an_empty_member(tmp_path: Path) -> None:
    for number, compress in enumerate([True, False]):
        with MemberSpool(tmp_path / "spool", compress=compress) as spool:
            pass
        with ArchiveWriter(tmp_path / f"{number}.zip", created_at=CREATED_AT) as writer:
            writer.add_spool("uploads/empty", spool, lambda count: None)
            finish(writer)
        assert unpacked(tmp_path / f"{number}.zip", tmp_path / f"out{number}") == {"empty": b""}


def test_spool_whose_file_lost_bytes_is_not_appended(tmp_path: Path) -> None:
    with MemberSpool(tmp_path / "spool", compress=False) as spool:
        spool.write(b"x" * 1000)
    os.truncate(tmp_path / "spool", 999)
    with (
        pytest.raises(OSError, match="ends 1 bytes early"),
        ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer,
    ):
        writer.add_spool("db.dump", spool, lambda count: None)
    assert not (tmp_path / "a.zip").exists()


def test_spool_is_deleted_when_its_block_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), MemberSpool(tmp_path / "spool", compress=True) as spool:
        spool.write(b"half a dump")
        raise RuntimeError
    with (
        files_limited_to(BATCH),
        pytest.raises(OSError, match="File too large"),
        MemberSpool(tmp_path / "spool", compress=False) as spool,
    ):
        for _ in range(3):
            spool.write(bytes(BATCH))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="not open"):
        spool.write(b"more")


def test_spool_fills_in_one_thread_while_another_adds_files(tmp_path: Path, sources: Path) -> None:
    spool = MemberSpool(tmp_path / "spool", compress=True)

    def dump() -> None:
        with spool:
            for start in range(0, len(DUMP), 100):
                spool.write(DUMP[start : start + 100])

    thread = threading.Thread(target=dump)
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        thread.start()
        for name in SOURCES:
            writer.add_file(f"uploads/{name}", sources / name, lambda count: None)
        thread.join()
        writer.add_spool("db.dump", spool, lambda count: None)
        writer.finish(manifest_of(writer))
    assert unpacked(tmp_path / "a.zip", tmp_path / "out") == SOURCES


# --- names, sizes, counts --------------------------------------------------------------------------------------------------


def test_name_of_an_archive_is_its_time_in_utc_and_its_id() -> None:
    local = CREATED_AT.astimezone(timezone(timedelta(hours=9)))
    assert archive_name(local, "0123456789abcdef" * 2) == "backup_20250304_050608_01234567.zip"
    assert ARCHIVE_NAME.fullmatch("backup_20250304_050608_01234567.zip")
    assert not re.fullmatch(ARCHIVE_NAME, "backup_20250304_050608_01234567.zip.partial")
    with pytest.raises(ValueError, match="aware"):
        archive_name(CREATED_AT.replace(tzinfo=None), "0" * 32)
    with pytest.raises(ValueError, match="no name of an archive"):
        archive_name(CREATED_AT, "../../..")


def test_more_members_than_16_bits_count(tmp_path: Path) -> None:
    count = 66_000
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        for number in range(count):
            writer.add_bytes(f"uploads/{number % 7}/{number}", b"%d" % number)
        finish(writer)
    with (tmp_path / "a.zip").open("rb") as source, ArchiveReader(source, name="a.zip") as reader:
        assert reader.manifest.uploads.count == count
        reader.verify(lambda count: None)
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        assert len(opened.infolist()) == count + 4
        assert opened.read("uploads/0/65996") == b"65996"
    subprocess.run(["unzip", "-tq", tmp_path / "a.zip"], check=True, stdout=subprocess.DEVNULL)


def test_memory_does_not_grow_with_the_size_of_a_file(tmp_path: Path) -> None:
    peaks = []
    for megabytes in (4, 48):
        source = tmp_path / "source.txt"
        with source.open("wb") as file:
            for number in range(megabytes):
                file.write(words(BATCH, seed=number % 3))
        archive = tmp_path / f"{megabytes}.zip"
        tracemalloc.start()
        try:
            with ArchiveWriter(archive, created_at=CREATED_AT) as writer, MemberSpool(tmp_path / "spool", compress=True) as spool:
                writer.add_file("uploads/large.txt", source, lambda count: None)
                with source.open("rb") as file:
                    while piece := file.read(BATCH):
                        spool.write(piece)
                spool.close()
                writer.add_spool("db.dump", spool, lambda count: None)
                writer.finish(manifest_of(writer))
            with archive.open("rb") as opened, ArchiveReader(opened, name="a.zip") as reader:
                reader.extract(database_to=tmp_path / f"dump{megabytes}", uploads_to=None, on_bytes=lambda count: None)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert (tmp_path / f"dump{megabytes}").stat().st_size == megabytes * BATCH
    # Larger in the second than in the first: the pieces of 4 MiB that the reader takes from a file that has as many.
    assert peaks[1] < peaks[0] + 8 * BATCH


@pytest.mark.soak
@pytest.mark.parametrize("suffix", [".zip", ".txt"])
def test_member_and_offsets_beyond_4_gib(tmp_path: Path, suffix: str) -> None:
    """Stored (``.zip`` is not probed) and deflated; the source is sparse, with a mark at both ends."""
    source = tmp_path / f"sparse{suffix}"
    size = 2**32 + 3 * BATCH
    with source.open("wb") as file:
        file.write(b"first")
        file.seek(size - 4)
        file.write(b"last")
    with ArchiveWriter(tmp_path / "a.zip", created_at=CREATED_AT) as writer:
        writer.add_file("uploads/sparse", source, lambda count: None)
        writer.add_bytes("uploads/after", b"after")
        finish(writer)
    source.unlink()
    with (tmp_path / "a.zip").open("rb") as opened, ArchiveReader(opened, name="a.zip") as reader:
        reader.verify(lambda count: None)
    with zipfile.ZipFile(tmp_path / "a.zip") as plain:
        large, after = plain.getinfo("uploads/sparse"), plain.getinfo("uploads/after")
        assert large.file_size == size
        assert large.compress_type == (zipfile.ZIP_STORED if suffix == ".zip" else zipfile.ZIP_DEFLATED)
        assert (after.header_offset > 2**32) is (suffix == ".zip")
        assert plain.read(after) == b"after"
    subprocess.run(["unzip", "-tq", tmp_path / "a.zip"], check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "a.zip").unlink()
