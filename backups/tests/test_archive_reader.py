"""Reading archives as hostile input: everything that is wrong is refused, and nothing of it gets out of its folder."""

from __future__ import annotations

import io
import os
import random
import resource
import signal
import stat
import struct
import subprocess
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from backups.archive import BATCH, ArchiveReader, Part, check_member_name
from backups.exceptions import ArchiveRejected
from backups.tests.hostile import HOSTILE, Forgery, Piece, damaged_in, deflate, make_archive, zip_of

UPLOADS = {
    "logo.png": b"\x89PNG" + bytes(range(256)),
    "receipts/2025/März.txt": "Größe und Übergröße\n".encode() * 40,
    "receipts/2025/empty.txt": b"",
    "receipts/A.txt": b"upper",
    "receipts/a.txt": b"lower",
}
DATABASE = b"SQLite format 3\x00" + b"row after row, " * 60


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A small good archive."""
    path = tmp_path / "good.zip"
    make_archive(path, database=DATABASE, uploads=UPLOADS)
    return path


def unpack(data: bytes, into: Path, *, trust_unsigned: bool = False) -> dict[str, bytes]:
    """Do with an archive what a restore does; return the unpacked files by their path below ``into``."""
    with ArchiveReader(io.BytesIO(data), name="hostile.zip") as reader:
        reader.require_trust(trust_unsigned)
        reader.extract(database_to=into / "database" / "dump", uploads_to=into / "uploads", on_bytes=lambda count: None)
    return files_below(into)


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` by its relative path; fails on anything that is neither a file nor a folder."""
    found = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), path
        if stat.S_ISREG(mode):
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


EXPECTED = {"database/dump": DATABASE} | {f"uploads/{name}": content for name, content in UPLOADS.items()}


def test_good_archive_is_unpacked_as_it_was_made(good: Path, tmp_path: Path) -> None:
    assert unpack(good.read_bytes(), tmp_path / "inside") == EXPECTED


def test_forgery_without_a_lie_is_accepted(good: Path, tmp_path: Path) -> None:
    # Else every hostile case below might be refused for a reason of its builder.
    assert unpack(Forgery.of(good).sealed(), tmp_path / "inside") == EXPECTED


def test_members_are_accepted_in_any_order(good: Path, tmp_path: Path) -> None:
    forgery = Forgery.of(good)
    everything = forgery.pieces + forgery.made_pieces()
    for seed in range(5):
        random.Random(seed).shuffle(everything)
        assert unpack(zip_of(everything), tmp_path / str(seed)) == EXPECTED


def test_archive_says_what_it_holds(good: Path) -> None:
    with good.open("rb") as source, ArchiveReader(source, name="good.zip") as reader:
        assert reader.signature == "valid"
        assert reader.manifest.rows == {"tracking_timeentry": 3}
        assert reader.settings() == {"company": "Example"}
        with zipfile.ZipFile(good) as plain:
            assert reader.total_bytes == sum(info.file_size for info in plain.infolist())
        seen: list[int] = []
        reader.verify(seen.append)
        assert sum(seen) == reader.total_bytes


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archive_is_refused_and_leaves_nothing_outside(case: str, good: Path, tmp_path: Path) -> None:
    data = HOSTILE[case].build(Forgery.of(good))
    outside = tmp_path / "outside"
    inside = outside / "a" / "b" / "inside"
    inside.mkdir(parents=True)
    with pytest.raises(ArchiveRejected) as refused:
        unpack(data, inside)
    assert HOSTILE[case].message in str(refused.value)
    assert refused.value.message.startswith("hostile.zip: ")
    assert refused.value.message.endswith(".")
    assert refused.value.message.isprintable()
    assert refused.value.exit_code == 5
    assert all(name.startswith("a/b/inside/") for name in files_below(outside))
    # What was unpacked before the refusal is proven, or is of the member that was refused and no longer than it may be.
    assert all(len(content) <= 4096 for content in files_below(inside).values())


@pytest.mark.parametrize("case", ["signature_missing", "signature_of_another_key"])
def test_trusted_archive_without_a_valid_signature_is_unpacked(case: str, good: Path, tmp_path: Path) -> None:
    data = HOSTILE[case].build(Forgery.of(good))
    assert unpack(data, tmp_path / "inside", trust_unsigned=True) == EXPECTED


@pytest.mark.parametrize("case", sorted(HOSTILE.keys() - {"signature_missing", "signature_of_another_key"}))
def test_trust_excuses_nothing_but_the_signature(case: str, good: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveRejected):
        unpack(HOSTILE[case].build(Forgery.of(good)), tmp_path / "inside", trust_unsigned=True)


def test_archive_that_ends_anywhere_is_refused(good: Path) -> None:
    data = good.read_bytes()
    for length in range(len(data)):
        with pytest.raises(ArchiveRejected):
            ArchiveReader(io.BytesIO(data[:length]), name="cut.zip")


def refused_or_as_archived(data: bytes, into: Path) -> bool:
    """Whether the archive is refused; where it is not, what comes out must be what was put in."""
    try:
        found = unpack(data, into)
    except ArchiveRejected:
        return True
    assert found == EXPECTED
    return False


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_one_flipped_bit_is_refused_or_changes_nothing(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    seed = random.randrange(2**32)
    bits = random.Random(seed).sample(range(8 * len(data)), 200)
    refused = sum(refused_or_as_archived(flipped(data, bit), tmp_path / str(bit)) for bit in bits)
    print(f"seed {seed}: {refused} of {len(bits)} flipped bits refused, the others carry no data")
    # Bits without data: who made a member, its attributes, the padding of a deflate stream's last byte.
    assert refused > 170


@pytest.mark.soak
def test_each_flipped_bit_is_refused_or_changes_nothing(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    harmless = [bit for bit in range(8 * len(data)) if not refused_or_as_archived(flipped(data, bit), tmp_path / str(bit))]
    print(f"{8 * len(data) - len(harmless)} of {8 * len(data)} bits refused")
    assert len(harmless) < 0.1 * 8 * len(data)


def test_honest_bomb_is_refused_by_the_limits(good: Path, tmp_path: Path, settings: Settings) -> None:
    forgery = Forgery.of(good)
    forgery.pieces.append(Piece("uploads/zeros", bytes(4 * BATCH)))
    data = forgery.sealed()
    assert unpack(data, tmp_path / "unlimited")["uploads/zeros"] == bytes(4 * BATCH)
    settings.BACKUPS_MAX_RATIO = 500
    with pytest.raises(ArchiveRejected, match=r"uploads/zeros.*BACKUPS_MAX_RATIO"):
        unpack(data, tmp_path / "ratio")
    settings.BACKUPS_MAX_RATIO = 1500
    settings.BACKUPS_MAX_BYTES = 4 * BATCH
    with pytest.raises(ArchiveRejected, match="BACKUPS_MAX_BYTES"):
        unpack(data, tmp_path / "bytes")
    settings.BACKUPS_MAX_BYTES = 8 * BATCH
    settings.BACKUPS_MAX_MEMBERS = len(forgery.pieces) + 2
    with pytest.raises(ArchiveRejected, match="BACKUPS_MAX_MEMBERS"):
        unpack(data, tmp_path / "members")
    assert not (tmp_path / "ratio").exists()


def test_bomb_that_claims_to_be_small_is_not_inflated(good: Path, tmp_path: Path) -> None:
    forgery = Forgery.of(good)
    forgery.pieces.append(Piece("uploads/bomb", bytes(100_000), packed=deflate(bytes(100 * BATCH))))
    data = forgery.sealed()
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveRejected, match="holds more than its 100000 bytes"):
            unpack(data, tmp_path / "inside")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * BATCH
    assert (tmp_path / "inside/uploads/bomb").stat().st_size == 0


def test_manifest_of_an_extra_size_is_refused_before_it_is_inflated(good: Path) -> None:
    data = HOSTILE["manifest_that_is_too_large"].build(Forgery.of(good))
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveRejected, match=r"manifest.json.*more than the"):
            ArchiveReader(io.BytesIO(data), name="large.zip")
        assert tracemalloc.get_traced_memory()[1] < 16 * BATCH
    finally:
        tracemalloc.stop()


def test_names_that_differ_in_case_or_normalisation_are_different_files(tmp_path: Path) -> None:
    uploads = {"é.txt": b"composed", "e\u0301.txt": b"decomposed", "É.txt": b"capital"}
    make_archive(tmp_path / "names.zip", uploads=uploads)
    found = unpack((tmp_path / "names.zip").read_bytes(), tmp_path / "inside")
    assert {name: found[f"uploads/{name}"] for name in uploads} == uploads


@pytest.mark.parametrize(
    "name", ["uploads/12:30.png", "uploads/a b\u2028c.txt", "uploads/...", "uploads/-rf", "uploads/" + "ä" * 127, "db.dump"]
)
def test_unusual_but_plain_name_is_accepted(name: str) -> None:
    check_member_name(name)


def test_name_with_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ArchiveRejected, match="not valid Unicode"):
        check_member_name(os.fsdecode(b"uploads/\xff.txt"))


def test_archive_zipped_again_by_info_zip_is_accepted(good: Path, tmp_path: Path) -> None:
    subprocess.run(["unzip", "-q", good, "-d", tmp_path / "plain"], check=True, env=os.environ | {"LC_ALL": "C.UTF-8"})
    again = tmp_path / "again.zip"
    names = ["manifest.json", "manifest.sig", "SHA256SUMS", "RESTORE.txt", "settings.json", "db.sqlite", "uploads"]
    subprocess.run(
        ["zip", "-q", "-X", "-D", "-r", again, *names], check=True, cwd=tmp_path / "plain", env=os.environ | {"LC_ALL": "C.UTF-8"}
    )
    assert unpack(again.read_bytes(), tmp_path / "inside") == EXPECTED


def test_zip64_sizes_are_read_where_they_are_not_needed(good: Path, tmp_path: Path) -> None:
    forgery = Forgery.of(good)
    piece = forgery.upload
    large = {"needed": 45, "size": 0xFFFFFFFF, "compressed_size": 0xFFFFFFFF}
    sizes = struct.pack("<HHQQ", 1, 16, len(piece.data), len(piece.packed or b""))
    piece.local = piece.central = large | {"extra": sizes}
    assert unpack(forgery.sealed(), tmp_path / "inside") == EXPECTED
    wrong = struct.pack("<HHQQ", 1, 16, len(piece.data) + 1, len(piece.packed or b""))
    piece.local = large | {"extra": wrong}
    with pytest.raises(ArchiveRejected, match="its local header disagrees"):
        unpack(forgery.sealed(), tmp_path / "wrong")


def test_archive_without_uploads_and_settings_is_read(good: Path, tmp_path: Path) -> None:
    forgery = Forgery.of(good)
    forgery.pieces = [forgery.dump]
    data = forgery.sealed()
    with ArchiveReader(io.BytesIO(data), name="bare.zip") as reader:
        assert reader.settings() == {}
    assert unpack(data, tmp_path / "inside") == {"database/dump": DATABASE}


@pytest.mark.parametrize(("content", "message"), [(b"[1, 2]", "no JSON object"), (b"company: Example", "not valid JSON")])
def test_settings_that_are_no_object_are_refused(good: Path, content: bytes, message: str) -> None:
    forgery = Forgery.of(good)
    forgery.pieces[forgery.pieces.index(forgery.piece("settings.json"))] = Piece("settings.json", content)
    with ArchiveReader(io.BytesIO(forgery.sealed()), name="odd.zip") as reader, pytest.raises(ArchiveRejected, match=message):
        reader.settings()


def test_settings_are_proven_before_they_are_shown(good: Path) -> None:
    forgery = Forgery.of(good)
    made = forgery.made_pieces()
    old = forgery.piece("settings.json")
    forgery.pieces[forgery.pieces.index(old)] = Piece("settings.json", old.data.replace(b"Example", b"Evil Co"))
    data = zip_of(forgery.pieces + made)
    with ArchiveReader(io.BytesIO(data), name="edited.zip") as reader, pytest.raises(ArchiveRejected, match=r"settings.json.*SHA-256"):
        reader.settings()


# --- the destination -------------------------------------------------------------------------------------------------------


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("usual_umask")
def test_dump_is_private_and_uploads_can_be_served(good: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    unpack(good.read_bytes(), inside)
    modes = {str(path.relative_to(inside)): stat.S_IMODE(path.stat().st_mode) for path in inside.rglob("*")}
    assert modes["database"] == 0o700
    assert modes["database/dump"] == 0o600
    assert modes["uploads"] == modes["uploads/receipts"] == 0o755
    assert modes["uploads/logo.png"] == modes["uploads/receipts/a.txt"] == 0o644


def test_only_what_has_a_destination_is_written_and_all_is_proven(good: Path, tmp_path: Path) -> None:
    counts: list[int] = []
    with good.open("rb") as source, ArchiveReader(source, name="good.zip") as reader:
        reader.extract(database_to=tmp_path / "one/dump", uploads_to=None, on_bytes=counts.append)
        assert sum(counts) == reader.total_bytes
        reader.extract(database_to=None, uploads_to=tmp_path / "two", on_bytes=counts.append)
    assert files_below(tmp_path / "one") == {"dump": DATABASE}
    assert files_below(tmp_path / "two") == UPLOADS
    damaged = HOSTILE["content_exchanged"].build(Forgery.of(good))
    with ArchiveReader(io.BytesIO(damaged), name="x") as reader, pytest.raises(ArchiveRejected, match="SHA-256"):
        reader.extract(database_to=tmp_path / "three", uploads_to=None, on_bytes=counts.append)


@pytest.mark.parametrize("is_mixed", [False, True])
def test_uploads_and_the_rest_are_proven_and_written_apart(good: Path, tmp_path: Path, *, is_mixed: bool) -> None:
    forgery = Forgery.of(good)
    everything = forgery.pieces + forgery.made_pieces()
    if is_mixed:
        # As another program may write them: uploads first, last and in between.
        everything.sort(key=lambda piece: piece.name[::-1])
    sizes = {}
    with ArchiveReader(io.BytesIO(zip_of(everything)), name="x") as reader:
        parts: tuple[Part, ...] = ("rest", "uploads")
        for part in parts:
            counts: list[int] = []
            uploaded: list[int] = []
            reader.extract(
                database_to=tmp_path / part / "dump",
                uploads_to=tmp_path / part / "uploads",
                on_bytes=counts.append,
                part=part,
                on_upload=uploaded.append,
            )
            sizes[part] = sum(counts)
            assert len(uploaded) == (len(UPLOADS) if part == "uploads" else 0)
        assert sizes == {"uploads": sum(map(len, UPLOADS.values())), "rest": reader.total_bytes - sum(map(len, UPLOADS.values()))}
    assert files_below(tmp_path / "rest") == {"dump": DATABASE}
    assert files_below(tmp_path / "uploads") == {f"uploads/{name}": content for name, content in UPLOADS.items()}


@pytest.mark.parametrize(("part", "other", "damaged"), [("uploads", "rest", "uploads/logo.png"), ("rest", "uploads", "db.sqlite")])
def test_each_part_is_refused_where_it_is_damaged(good: Path, tmp_path: Path, part: Part, other: Part, damaged: str) -> None:
    with ArchiveReader(io.BytesIO(damaged_in(good, damaged)), name="x") as reader:
        reader.extract(database_to=None, uploads_to=tmp_path / "good", on_bytes=lambda count: None, part=other)
        with pytest.raises(ArchiveRejected, match=damaged):
            reader.extract(database_to=None, uploads_to=tmp_path / "bad", on_bytes=lambda count: None, part=part)


def test_link_in_the_destination_is_not_followed(good: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = tmp_path / "inside"
    (inside / "uploads").mkdir(parents=True)
    (inside / "uploads/receipts").symlink_to(outside)
    with pytest.raises(OSError, match="receipts"):
        unpack(good.read_bytes(), inside)
    assert not list(outside.iterdir())


def test_link_in_the_place_of_a_file_is_not_followed(good: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "uploads").mkdir(parents=True)
    (inside / "uploads/logo.png").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        unpack(good.read_bytes(), inside)
    assert not (tmp_path / "target").exists()


def test_link_in_the_place_of_the_uploads_folder_is_not_followed(good: Path, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (inside / "uploads").symlink_to(outside)
    with pytest.raises(OSError, match="uploads"):
        unpack(good.read_bytes(), inside)
    assert not list(outside.iterdir())


def test_link_in_the_place_of_the_dump_is_not_followed(good: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "database").mkdir(parents=True)
    (inside / "database/dump").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        unpack(good.read_bytes(), inside)
    assert not (tmp_path / "target").exists()


def test_file_that_exists_is_not_overwritten(good: Path, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "uploads/receipts").mkdir(parents=True)
    (inside / "uploads/receipts/a.txt").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        unpack(good.read_bytes(), inside)
    assert (inside / "uploads/receipts/a.txt").read_bytes() == b"mine"


# --- the source ------------------------------------------------------------------------------------------------------------


class RangeCounter(io.BytesIO):
    """A source that counts the bytes and the reads it is asked for, as a store over the network would be."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.reads: list[int] = []

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.reads.append(len(data))
        return data


class Unreliable(io.BytesIO):
    """A source whose reads fail once ``allowed`` of them are used up, and hand out at most 1000 bytes at once."""

    def __init__(self, data: bytes, allowed: int) -> None:
        super().__init__(data)
        self.allowed = allowed

    def read(self, size: int | None = -1, /) -> bytes:
        self.allowed -= 1
        if self.allowed < 0:
            raise ConnectionResetError(104, "Connection reset by peer")
        return super().read(min(size or 0, 1000))


@pytest.fixture
def megabytes(tmp_path: Path) -> Path:
    """An archive of 20 MB that do not compress."""
    path = tmp_path / "megabytes.zip"
    noise = random.Random(7).randbytes(BATCH)
    make_archive(path, database=DATABASE, uploads={f"{number}.png": noise for number in range(20)})
    return path


def test_opening_reads_the_end_of_the_file_alone(megabytes: Path) -> None:
    source = RangeCounter(megabytes.read_bytes())
    with ArchiveReader(source, name="far.zip") as reader:
        assert reader.manifest.uploads.count == 20
    assert len(source.reads) == 1
    assert sum(source.reads) <= BATCH


def test_whole_pass_reads_each_byte_once_and_in_large_pieces(megabytes: Path) -> None:
    source = RangeCounter(megabytes.read_bytes())
    with ArchiveReader(source, name="far.zip") as reader:
        reader.verify(lambda count: None)
    assert sum(source.reads) <= len(source.getvalue()) + BATCH
    # A piece each, and the few that opening takes; a store far away gathers them into windows of its own.
    assert len(source.reads) <= len(source.getvalue()) // BATCH + 5


def test_source_that_hands_out_little_at_once_is_read_to_its_end(good: Path) -> None:
    with ArchiveReader(Unreliable(good.read_bytes(), allowed=10_000), name="slow.zip") as reader:
        reader.verify(lambda count: None)


def test_source_that_fails_is_a_refusal_that_says_why(megabytes: Path) -> None:
    data = megabytes.read_bytes()
    with pytest.raises(ArchiveRejected, match="far.zip: it cannot be read: Connection reset by peer"):
        ArchiveReader(Unreliable(data, allowed=3), name="far.zip")
    opened = Unreliable(data, allowed=2000)
    with ArchiveReader(opened, name="far.zip") as reader:
        opened.allowed = 5
        with pytest.raises(ArchiveRejected, match=r"far.zip: .*cannot be read: Connection reset by peer"):
            reader.verify(lambda count: None)


def test_source_that_is_cut_after_it_was_opened_is_refused(megabytes: Path) -> None:
    with megabytes.open("r+b", buffering=0) as file, ArchiveReader(file, name="cut.zip") as reader:
        os.truncate(megabytes, 5 * BATCH)
        with pytest.raises(ArchiveRejected, match="it is truncated"):
            reader.verify(lambda count: None)


def test_source_that_changes_after_it_was_opened_is_refused(megabytes: Path) -> None:
    with megabytes.open("r+b", buffering=0) as file, ArchiveReader(file, name="changing.zip") as reader:
        os.pwrite(file.fileno(), b"\x00" * 100, 5 * BATCH)
        with pytest.raises(ArchiveRejected, match="CRC-32"):
            reader.verify(lambda count: None)


# --- two threads ------------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(megabytes: Path) -> Iterator[ArchiveReader]:
    """An archive on a disk, large enough for two threads."""
    with megabytes.open("rb") as file, ArchiveReader(file, name="disk.zip") as reader:
        yield reader


def test_archive_on_a_disk_is_unpacked_by_two_threads_as_by_one(opened: ArchiveReader, megabytes: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    opened.extract(
        database_to=tmp_path / "two/database/dump",
        uploads_to=tmp_path / "two/uploads",
        on_bytes=lambda count: told.append((threading.current_thread().name, count)),
    )
    assert files_below(tmp_path / "two") == unpack(megabytes.read_bytes(), tmp_path / "one")
    assert sum(count for _, count in told) == opened.total_bytes
    halves = [sum(count for name, count in told if name == thread) for thread in {name for name, _ in told}]
    assert len(halves) == 2
    assert min(halves) > 0.4 * opened.total_bytes


@pytest.mark.parametrize("place", [2, 17])
def test_damage_is_found_in_the_half_of_either_thread(opened: ArchiveReader, megabytes: Path, place: int) -> None:
    with megabytes.open("r+b") as file:
        os.pwrite(file.fileno(), b"\x00" * 100, place * BATCH)
    with pytest.raises(ArchiveRejected, match=r"disk.zip: the member 'uploads/\d+.png': it does not match its CRC-32"):
        opened.verify(lambda count: None)


def assert_second_thread_ended() -> None:
    """Its work is over; the thread itself may take a moment more to be gone."""
    for thread in threading.enumerate():
        if thread.name in ("backups-archive", "backups-inflate"):
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize("name", ["0.png", "9.png"])
def test_failure_of_either_thread_ends_both(opened: ArchiveReader, tmp_path: Path, name: str) -> None:
    taken = tmp_path / "uploads" / name
    taken.parent.mkdir()
    taken.touch()
    with pytest.raises(FileExistsError):
        opened.extract(database_to=None, uploads_to=taken.parent, on_bytes=lambda count: None)
    assert_second_thread_ended()


@pytest.mark.parametrize("is_second", [False, True])
def test_whoever_is_told_ends_both_threads_with_an_error_of_its_own(opened: ArchiveReader, is_second: bool) -> None:
    def told(count: int) -> None:
        if (threading.current_thread() is threading.main_thread()) is not is_second:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened.verify(told)
    assert_second_thread_ended()


ROWS = b"".join(b"%d\tsome row or other\n" % number for number in range(500_000))


@pytest.fixture
def dumped(tmp_path: Path) -> Iterator[ArchiveReader]:
    """An archive of 12 MB of rows, whose dump is the only large member."""
    path = tmp_path / "dumped.zip"
    make_archive(path, database=ROWS, uploads=UPLOADS)
    with path.open("r+b") as file, ArchiveReader(file, name="dumped.zip") as reader:
        yield reader


def test_large_dump_is_inflated_ahead_by_a_thread_that_ends_with_it(dumped: ArchiveReader, tmp_path: Path) -> None:
    threads: list[set[str]] = []
    dumped.extract(
        database_to=tmp_path / "dump",
        uploads_to=None,
        on_bytes=lambda count: threads.append({thread.name for thread in threading.enumerate()}),
        part="rest",
    )
    assert (tmp_path / "dump").read_bytes() == ROWS
    assert sum("backups-inflate" in names for names in threads) >= len(ROWS) // BATCH
    assert_second_thread_ended()


@pytest.mark.parametrize(("place", "cause"), [(0, "its deflated data is damaged"), (-8, "it holds more than its")])
def test_damage_to_a_large_dump_is_refused_with_its_cause(dumped: ArchiveReader, tmp_path: Path, place: int, cause: str) -> None:
    dump = next(entry for entry in dumped._entries if entry.size == len(ROWS))
    path = tmp_path / "dumped.zip"
    with path.open("r+b") as hurt:
        os.pwrite(hurt.fileno(), b"\xff" * 8, dump.offset + dump.header_size if place == 0 else dump.end + place)
    with (
        path.open("rb") as file,
        ArchiveReader(file, name="damaged.zip") as reader,
        pytest.raises(ArchiveRejected, match=f"damaged.zip: the member 'db.sqlite': {cause}"),
    ):
        reader.verify(lambda count: None)
    assert_second_thread_ended()


def test_disk_that_takes_no_more_of_a_large_dump_ends_the_thread_that_inflates_it(dumped: ArchiveReader, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * BATCH, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            dumped.extract(database_to=tmp_path / "dump", uploads_to=None, on_bytes=lambda count: None, part="rest")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert_second_thread_ended()
