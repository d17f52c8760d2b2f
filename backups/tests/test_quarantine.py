"""The quarantine: whose an upload is, where it goes on, how much there may be, and what is swept."""

from __future__ import annotations

import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pytest_django import Settings

from backups.exceptions import PreflightRefused
from backups.journal import Journal
from backups.quarantine import (
    IDLE,
    IDLE_FORM,
    MOST_OPEN,
    FormUpload,
    OffsetWrong,
    Upload,
    quarantine_folder,
    quarantine_free,
    quarantine_sweep,
    upload_append,
    upload_begin,
    upload_discard,
    upload_find,
    upload_taken_by,
    uploads_of,
)
from backups.tests.namespaces import run_in_mount

pytestmark = pytest.mark.usefixtures("own_state")


def begun(name: str = "archive.zip", size: int = 10, owner: str = "ann", last_modified: int = 1) -> Upload:
    return upload_begin(name=name, size=size, owner=owner, last_modified=last_modified)


def age(folder: Path, seconds: float) -> None:
    """Let nothing have come to an upload for so long."""
    then = time.time() - seconds
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then, then))


def test_what_comes_in_pieces_is_what_was_sent() -> None:
    upload = begun()
    assert upload.offset == 0
    assert upload_append(upload, 0, [b"abc", b"d"]) == 4
    assert not upload.is_whole
    assert upload_append(upload, 4, [b"efghij"]) == 10
    assert upload.is_whole
    assert upload.data.read_bytes() == b"abcdefghij"


def test_all_of_it_is_private() -> None:
    upload = begun()
    upload_append(upload, 0, [b"abc"])
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (quarantine_folder(), upload.folder, *upload.folder.iterdir())}
    assert found == {"quarantine": 0o700, upload.id: 0o700, "data": 0o600, "upload.json": 0o600}


def test_another_process_finds_it_and_goes_on() -> None:
    upload_append(begun(), 0, [b"abc"])
    found = begun()
    assert (found.offset, found.name, found.owner) == (3, "archive.zip", "ann")
    assert upload_find(found.id) == found


@pytest.mark.parametrize("other", [{"name": "b.zip"}, {"size": 11}, {"owner": "bob"}, {"last_modified": 2}])
def test_another_file_or_another_persons_is_another_upload(other: dict[str, object]) -> None:
    first = begun()
    second = begun(**other)  # type: ignore[arg-type]
    assert second.id != first.id
    assert second.offset == 0


def test_nobody_finds_the_upload_of_another() -> None:
    upload = begun()
    assert upload_find(upload.id, owner="ann") == upload
    assert upload_find(upload.id, owner="bob") is None
    assert uploads_of("bob") == []


@pytest.mark.parametrize("wrong", ["", "..", "../journal", "x" * 32, "0" * 31, "0" * 32, "0" * 32 + "\n", "/etc"])
def test_what_is_no_upload_is_not_found(wrong: str) -> None:
    begun()
    assert upload_find(wrong) is None


def test_a_damaged_description_is_no_upload() -> None:
    upload = begun()
    for content in (b"", b"[]", b'{"id": 1}', b"{"):
        (upload.folder / "upload.json").write_bytes(content)
        assert upload_find(upload.id) is None
        assert uploads_of("ann") == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\archive.zip", "archive.zip"),
        ("a\x00b\nc.zip", "abc.zip"),
        ("\u202egnp.zip", "gnp.zip"),
        ("\ud800.zip", ".zip"),
        ("", "archive"),
        ("/", "archive"),
        ("a" * 300, "a" * 120),
        ("<b>ünïcode</b>", "b>"),
    ],
)
def test_a_name_is_for_people_and_never_a_path(given: str, shown: str) -> None:
    upload = begun(given)
    assert upload.name == shown
    assert sorted(path.name for path in quarantine_folder().iterdir()) == sorted([".lock", upload.id])
    found = upload_find(upload.id)
    assert found is not None
    assert found.name == shown


# --- the right place --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 2, 4, 100])
def test_a_piece_for_another_place_is_refused_and_writes_nothing(offset: int) -> None:
    upload = begun()
    upload_append(upload, 0, [b"abc"])
    with pytest.raises(OffsetWrong) as refusal:
        upload_append(upload, offset, [b"xyz"])
    assert refusal.value.offset == 3
    assert upload.data.read_bytes() == b"abc"


def test_more_than_was_announced_is_refused() -> None:
    upload = begun()
    with pytest.raises(ValueError, match="has 10 bytes"):
        upload_append(upload, 0, [b"abcdef", b"ghijkl"])
    assert upload.data.read_bytes() == b"abcdef"
    upload_append(upload, 6, [b"ghij"])
    with pytest.raises(ValueError, match="has 10 bytes"):
        upload_append(upload, 10, [b"k"])


def test_what_came_before_a_lost_connection_stays() -> None:
    def breaking() -> Iterator[bytes]:
        yield b"abc"
        raise ConnectionResetError

    upload = begun()
    with pytest.raises(ConnectionResetError):
        upload_append(upload, 0, breaking())
    assert upload.offset == 3


def test_a_dead_connection_stands_in_nobodys_way_and_writes_nothing_afterwards() -> None:
    upload = begun()
    is_silent, goes_on = threading.Event(), threading.Event()

    def half_dead() -> Iterator[bytes]:
        yield b"abc"
        is_silent.set()
        assert goes_on.wait(60)
        yield b"XYZ"

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(upload_append, upload, 0, half_dead())
        assert is_silent.wait(60)
        assert upload_append(upload, 3, [b"def"]) == 6
        goes_on.set()
        with pytest.raises(OffsetWrong):
            first.result(60)
    assert upload.data.read_bytes() == b"abcdef"


def test_of_many_who_write_at_one_place_one_goes_on() -> None:
    upload = begun(size=8 * 100)
    start = threading.Barrier(8)

    def write(number: int) -> int:
        start.wait(60)
        try:
            return upload_append(upload, 0, [bytes([number]) * 10 for _ in range(10)])
        except OffsetWrong:
            return 0

    with ThreadPoolExecutor(8) as pool:
        ends = sorted(pool.map(write, range(8)))
    assert ends == [0] * 7 + [100]
    assert len(set(upload.data.read_bytes())) == 1, "pieces of two are mixed"


def test_a_piece_of_what_was_thrown_away_is_not_found() -> None:
    upload = begun()

    def meanwhile() -> Iterator[bytes]:
        upload_discard(upload)
        yield b"abc"

    with pytest.raises(FileNotFoundError):
        upload_append(upload, 0, meanwhile())
    with pytest.raises(FileNotFoundError):
        upload_append(upload, 0, [b"abc"])
    upload_discard(upload)


# --- how much there may be ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, -1])
def test_an_empty_file_is_refused(size: int) -> None:
    with pytest.raises(PreflightRefused, match="empty"):
        begun(size=size)


def test_a_file_that_is_too_large_is_refused(settings: Settings) -> None:
    settings.BACKUPS_MAX_UPLOAD_GB = 1
    with pytest.raises(PreflightRefused, match="more than 1 GB") as refusal:
        begun(size=10**9 + 1)
    assert "import folder" in refusal.value.next_step
    begun(size=10**9)


def test_so_many_at_a_time_and_no_more_also_when_all_begin_at_once() -> None:
    start = threading.Barrier(8)

    def begin(number: int) -> bool:
        start.wait(60)
        try:
            begun(f"{number}.zip")
        except PreflightRefused as error:
            assert "not finished" in error.message
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(begin, range(8))) == MOST_OPEN
    assert len(uploads_of("ann")) == MOST_OPEN
    begun("mine.zip", owner="bob")
    with pytest.raises(PreflightRefused, match="not finished"):
        FormUpload(name="a form's", owner="ann")
    upload_discard(uploads_of("ann")[0])
    begun("now.zip")


def test_what_others_have_been_promised_is_not_free() -> None:
    free = quarantine_free()
    upload = begun(size=free // 2)
    assert quarantine_free() < free * 0.6
    with pytest.raises(PreflightRefused, match="there is room for"):
        begun("second.zip", size=int(free * 0.9))
    upload_discard(upload)
    assert quarantine_free() > free * 0.9


def fill_while_it_comes(disk: Path) -> None:
    """Runs in the mount namespace: another program fills the disk in the middle of an upload."""
    from django.conf import settings

    settings.BACKUPS_STATE_DIR = disk / "state"
    upload = upload_begin(name="a.zip", size=20_000_000, owner="ann")
    with pytest.raises(PreflightRefused, match="there is room for"):
        upload_begin(name="b.zip", size=70_000_000, owner="ann")
    upload_append(upload, 0, [bytes(1_000_000)] * 5)
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 60_000_000)
    with pytest.raises(PreflightRefused, match="disk is full") as refusal:
        upload_append(upload, 5_000_000, [bytes(1_000_000)] * 5)
    assert refusal.value.state == "What has come so far is kept."
    form = FormUpload(name="c.zip", owner="ann")
    with pytest.raises(PreflightRefused, match="disk is full"):
        form.write(bytes(1_000_000))
    form.discard()
    free = os.statvfs(disk)
    assert free.f_bavail * free.f_frsize > 60_000_000, "the site itself needs some"
    # Filled to its last byte: then no new one begins, and says why.
    with (disk / "more").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
    with pytest.raises(PreflightRefused, match="there is room for 0.0 MB"):
        upload_begin(name="d.zip", size=1, owner="ann")
    for path in (ballast, disk / "more"):
        path.unlink()
    offset = upload.offset
    assert 5_000_000 < offset < 10_000_000
    assert upload_append(upload, offset, [bytes(1_000_000)] * ((20_000_000 - offset) // 1_000_000)) == 20_000_000


def test_a_disk_that_runs_full_keeps_what_has_come_and_room_for_the_site(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    run_in_mount(fill_while_it_comes, tmp_path / "disk", 'mount -t tmpfs -o size=128m tmpfs "$1"')


def test_a_quarantine_that_cannot_be_made_is_a_refusal(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    settings.BACKUPS_STATE_DIR = tmp_path / "file"
    with pytest.raises(PreflightRefused, match="cannot be kept"):
        begun()
    with pytest.raises(PreflightRefused, match="cannot be kept"):
        FormUpload(name="a", owner="ann")


# --- forms --------------------------------------------------------------------------------------------------------------------------


def test_a_forms_file_is_an_upload_when_it_has_come_whole() -> None:
    form = FormUpload(name="x/archive.zip", owner="ann")
    form.write(b"abc")
    form.write(b"def")
    assert uploads_of("ann") == [], "while it comes, nobody can take it in"
    upload = form.finish()
    assert uploads_of("ann") == [upload]
    assert (upload.name, upload.size, upload.is_whole, upload.data.read_bytes()) == ("archive.zip", 6, True, b"abcdef")


def test_a_form_that_breaks_off_leaves_nothing() -> None:
    form = FormUpload(name="archive.zip", owner="ann")
    form.write(b"abc")
    form.discard()
    form.discard()
    assert [path.name for path in quarantine_folder().iterdir()] == [".lock"]


def test_a_form_cannot_bring_more_than_is_allowed(settings: Settings) -> None:
    form = FormUpload(name="archive.zip", owner="ann")
    settings.BACKUPS_MAX_UPLOAD_GB = 1
    with pytest.raises(PreflightRefused, match="empty"):
        form.finish()
    form._size = 10**9 - 1
    form.write(b"a")
    with pytest.raises(PreflightRefused, match="more than 1 GB"):
        form.write(b"b")
    form.discard()


# --- sweeping -----------------------------------------------------------------------------------------------------------------------


def test_the_idle_go_and_others_stay() -> None:
    idle, fresh, other = begun("idle.zip"), begun("fresh.zip"), begun("other.zip", owner="bob")
    age(idle.folder, IDLE + 60)
    age(fresh.folder, IDLE - 60)
    assert quarantine_sweep() == ["The upload idle.zip of ann was thrown away: nothing has come for 3 days."]
    assert uploads_of("ann") == [fresh]
    assert uploads_of("bob") == [other]
    assert not idle.folder.exists()


def test_what_an_operation_waits_for_is_not_swept_before_it_has_ended() -> None:
    upload = begun()
    journal = Journal(kind="upload", arguments={"upload": upload.id})
    journal.save()
    age(upload.folder, IDLE + 60)
    assert upload_taken_by(upload) == journal.id
    assert quarantine_sweep() == []
    journal.end("failed")
    assert upload_taken_by(upload) == ""
    assert len(quarantine_sweep()) == 1


def test_what_dead_forms_and_removals_left_goes_after_an_hour() -> None:
    form = FormUpload(name="archive.zip", owner="ann")
    (folder,) = (path for path in quarantine_folder().iterdir() if path.is_dir())
    form.write(b"abc")
    assert quarantine_sweep() == []
    assert folder.exists()
    age(folder, IDLE_FORM + 60)
    begun()
    assert not folder.exists()
    form.discard()


def test_nothing_but_uploads_is_swept() -> None:
    begun()
    foreign = quarantine_folder() / "kept"
    foreign.mkdir()
    age(foreign, 10 * IDLE)
    quarantine_sweep()
    assert foreign.exists()


def test_a_removal_that_is_killed_leaves_no_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(*args: object, **kwargs: object) -> None:
        raise Killed

    upload = begun()
    monkeypatch.setattr(shutil, "rmtree", kill)
    with pytest.raises(Killed):
        upload_discard(upload)
    assert upload_find(upload.id) is None
