"""``backup_upload``: what is taken into the store, what is refused and why, and what is left afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from pytest_django import Settings

from backups.archive import archive_name
from backups.catalogue import catalogue_reconcile
from backups.exceptions import ArchiveNotFound, ArchiveRejected, NameTaken, PreflightRefused, UsageError
from backups.journal import Journal, journal_find
from backups.models import Backup, Operation
from backups.progress import Progress
from backups.quarantine import Upload, upload_append, upload_begin, upload_find, uploads_of
from backups.services.request import operation_work
from backups.services.upload import UploadedBackup, backup_upload, import_files
from backups.storage import archive_store
from backups.tests.hostile import HOSTILE, Forgery, make_archive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_gate")]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, settings: Settings) -> Path:
    """An empty store of the test's own, and its folder."""
    folder = tmp_path / "store"
    settings.STORAGES = {
        **settings.STORAGES,
        "backups": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}},
    }
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A good archive that is not in the store, as a person would have it: under another name."""
    path = tmp_path / "from a stick.zip"
    make_archive(path, uploads={"a.txt": b"A" * 50_000, "b.bin": os.urandom(50_000)}, note="The good one")
    return path


NAME = "backup_20250304_050608_01234567.zip"


def brought(path: Path, owner: str = "ann") -> Upload:
    """The file, as an upload that has come whole."""
    data = path.read_bytes()
    upload = upload_begin(name=path.name, size=len(data), owner=owner)
    upload_append(upload, 0, [data])
    return upload


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tidy(store: Path) -> bool:
    """Whether nothing unfinished lies in the store."""
    partial = store / ".partial"
    return not partial.exists() or not list(partial.iterdir())


# --- taken in -----------------------------------------------------------------------------------------------------------------------


def test_an_upload_is_proven_and_listed_and_leaves_the_quarantine(store: Path, archive: Path) -> None:
    upload = brought(archive)
    progress = Progress()
    taken = backup_upload(upload=upload.id, sha256=sha256(archive), requested_by="ann", progress=progress)
    assert taken == UploadedBackup(NAME, archive.stat().st_size, sha256(archive), taken.manifest, "valid", is_new=True)
    assert (store / NAME).read_bytes() == archive.read_bytes()
    assert (store / NAME).stat().st_mode & 0o777 == 0o600
    assert (store / NAME).stat().st_nlink == 1
    assert upload_find(upload.id) is None
    assert not upload.folder.exists()
    assert tidy(store)
    row = Backup.objects.get()
    assert (row.name, row.size, row.note, row.signature, row.problem) == (NAME, taken.size, "The good one", "valid", "")
    assert (row.is_uploaded, row.requested_by) == (True, "ann")
    assert row.verified_at is not None
    assert progress.warnings == []


def test_the_history_says_who_brought_what_and_its_hash(archive: Path) -> None:
    backup_upload(upload=brought(archive).id, sha256=sha256(archive), requested_by="ann")
    operation = Operation.objects.get()
    assert (operation.kind, operation.status, operation.archive, operation.requested_by) == ("upload", "done", NAME, "ann")
    report = operation.report
    assert (report["archive"], report["sha256"], report["signature"], report["is_new"]) == (NAME, sha256(archive), "valid", True)
    assert (report["bytes"], report["rows"]) == (archive.stat().st_size, 3)
    assert {"copy", "hash"} & report["seconds"].keys()
    assert {"verify", "store"} <= report["seconds"].keys()
    assert [operation_id for operation_id, _ in archive_store().records()] == [operation.operation_id]


def test_rows_made_again_from_the_store_are_those_of_the_upload(archive: Path) -> None:
    backup_upload(upload=brought(archive).id, requested_by="ann")
    before = Backup.objects.get()
    Backup.objects.all().delete()
    catalogue_reconcile(archive_store())
    after = Backup.objects.get()
    assert (after.name, after.row_count, after.is_uploaded, after.requested_by) == (before.name, before.row_count, True, "ann")


def test_an_archive_without_a_signature_is_taken_in_and_shown_as_such(archive: Path, settings: Settings) -> None:
    settings.BACKUPS_SIGNING_KEYS = ["the key of another site"]
    progress = Progress()
    assert backup_upload(upload=brought(archive).id, progress=progress).signature == "unknown key"
    assert "is signed with a key that this site does not have" in progress.warnings[0]
    assert Backup.objects.get().signature == "unknown key"


def test_the_very_same_archive_is_there_already(store: Path, archive: Path) -> None:
    backup_upload(upload=brought(archive).id, requested_by="ann")
    again = brought(archive, "bob")
    taken = backup_upload(upload=again.id, requested_by="bob")
    assert (taken.archive, taken.is_new) == (NAME, False)
    assert not again.folder.exists()
    assert [path.name for path in store.glob("*.zip")] == [NAME]
    row = Backup.objects.get()
    assert (row.requested_by, row.problem) == ("ann", "")
    assert tidy(store)


# --- refused ------------------------------------------------------------------------------------------------------------------------


# Nobody can upload nothing; and who has made an archive is asked at its restore.
NOT_REFUSED_HERE = {"empty", "signature_missing", "signature_of_another_key"}


def hostile_refused(store: Path, archive: Path, cases: Iterable[str]) -> None:
    bad = archive.with_name("bad.zip")
    for case in cases:
        bad.write_bytes(HOSTILE[case].build(Forgery.of(archive)))
        upload = brought(bad)
        try:
            backup_upload(upload=upload.id)
        except ArchiveRejected as error:
            assert error.message.endswith("The upload was thrown away."), case
        else:
            pytest.fail(f"{case} was taken in")
        assert not upload.folder.exists(), case
        assert list(store.glob("*.zip")) == [], case
        assert tidy(store), case
    assert not Backup.objects.exists()
    assert {operation.status for operation in Operation.objects.all()} == {"failed"}


def test_a_hostile_archive_is_refused_and_thrown_away(store: Path, archive: Path) -> None:
    hostile_refused(store, archive, sorted(HOSTILE.keys() - NOT_REFUSED_HERE)[::10])


@pytest.mark.soak
def test_every_hostile_archive_is_refused_and_thrown_away(store: Path, archive: Path) -> None:
    hostile_refused(store, archive, sorted(HOSTILE.keys() - NOT_REFUSED_HERE))


@pytest.mark.parametrize("content", [b"x", b"PK", bytes(100_000), b"<html>" * 1000])
def test_what_is_no_archive_is_refused_by_the_files_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "holiday.zip"
    path.write_bytes(content)
    with pytest.raises(ArchiveRejected, match=r"holiday\.zip"):
        backup_upload(upload=brought(path).id)
    assert uploads_of("ann") == []


@pytest.mark.parametrize("place", [0, 40_000, -1])
def test_one_changed_byte_is_refused(store: Path, archive: Path, place: int) -> None:
    data = bytearray(archive.read_bytes())
    data[place] ^= 1
    archive.write_bytes(data)
    with pytest.raises(ArchiveRejected):
        backup_upload(upload=brought(archive).id)
    assert list(store.glob("*.zip")) == []


def test_other_bytes_than_the_browser_has_read_are_refused_though_the_archive_is_good(store: Path, archive: Path) -> None:
    upload = brought(archive)
    with pytest.raises(ArchiveRejected, match="other bytes have come here") as refusal:
        backup_upload(upload=upload.id, sha256="0" * 64)
    assert sha256(archive) in refusal.value.message
    assert refusal.value.next_step == "Upload it again."
    assert not upload.folder.exists()
    assert list(store.glob("*.zip")) == []


def test_an_upload_that_has_not_come_whole_is_refused_and_kept(archive: Path) -> None:
    upload = upload_begin(name="a.zip", size=archive.stat().st_size, owner="ann")
    upload_append(upload, 0, [archive.read_bytes()[:-1]])
    with pytest.raises(PreflightRefused, match="have come"):
        backup_upload(upload=upload.id)
    assert upload_find(upload.id) == upload


def test_an_upload_that_is_gone_is_said_to_be() -> None:
    with pytest.raises(ArchiveNotFound, match="taken in, thrown away, or idle"):
        backup_upload(upload="0" * 32)


def test_nothing_and_both_are_usage_errors() -> None:
    for asked in ({}, {"upload": "0" * 32, "path": "a.zip"}):
        with pytest.raises(UsageError):
            backup_upload(**asked)  # type: ignore[arg-type]


def test_another_archive_of_that_name_stays_and_so_does_the_upload(store: Path, archive: Path, tmp_path: Path) -> None:
    backup_upload(upload=brought(archive).id)
    other = tmp_path / "other.zip"
    make_archive(other, note="Another")
    upload = brought(other)
    before = (store / NAME).read_bytes()
    with pytest.raises(NameTaken, match="has another archive with the name"):
        backup_upload(upload=upload.id)
    assert (store / NAME).read_bytes() == before
    assert upload_find(upload.id) == upload


@pytest.mark.parametrize("how", ["its directory is cut off", "nobody has looked at it since"])
def test_a_good_copy_of_a_damaged_archive_says_what_to_do_and_is_kept(store: Path, archive: Path, how: str) -> None:
    backup_upload(upload=brought(archive).id)
    if how == "its directory is cut off":
        os.truncate(store / NAME, 1000)
    else:
        with (store / NAME).open("r+b") as file:
            file.seek(40_000)
            file.write(b"rotten")
    upload = brought(archive)
    with pytest.raises(NameTaken, match="already, and it is damaged") as refusal:
        backup_upload(upload=upload.id)
    assert "Delete the damaged archive" in refusal.value.message, "the progress page shows the message alone"
    assert Backup.objects.get().problem
    assert upload_find(upload.id) == upload
    archive_store().delete(NAME)
    assert backup_upload(upload=upload.id).is_new


def test_a_store_that_takes_nothing_keeps_the_upload(store: Path, archive: Path) -> None:
    upload = brought(archive)
    store.write_text("no folder")
    with pytest.raises(PreflightRefused, match="Nothing can be written"):
        backup_upload(upload=upload.id)
    assert upload_find(upload.id) == upload
    store.unlink()
    assert backup_upload(upload=upload.id).is_new


# --- asked for ----------------------------------------------------------------------------------------------------------------------


def test_a_request_of_a_page_is_worked_off_as_that_operation(archive: Path) -> None:
    upload = brought(archive)
    journal = Journal(kind="upload", arguments={"upload": upload.id, "sha256": sha256(archive)}, requested_by="ann")
    journal.save()
    assert operation_work(journal.id)
    ended = journal_find(journal.id)
    assert ended is not None
    assert (ended.status, ended.archive, ended.error) == ("done", NAME, "")
    assert Backup.objects.get().requested_by == "ann"


def test_a_refusal_is_told_to_who_asked(tmp_path: Path) -> None:
    path = tmp_path / "holiday.zip"
    path.write_bytes(b"no archive")
    journal = Journal(kind="upload", arguments={"upload": brought(path).id}, requested_by="ann")
    journal.save()
    assert operation_work(journal.id)
    ended = journal_find(journal.id)
    assert ended is not None
    assert ended.status == "failed"
    assert ended.error.startswith("holiday.zip: ")
    assert ended.error.endswith("The upload was thrown away.")


# --- from the import folder -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def imports(tmp_path: Path, settings: Settings) -> Path:
    """The import folder."""
    folder = tmp_path / "import"
    (folder / "below").mkdir(parents=True)
    settings.BACKUPS_IMPORT_DIR = str(folder)
    return folder


@pytest.mark.parametrize("how", ["archive.zip", "below/archive.zip", "below/../archive.zip", "./archive.zip", "whole", "link", "linked"])
def test_a_file_of_the_import_folder_is_taken_in_and_stays(store: Path, imports: Path, archive: Path, how: str) -> None:
    shutil.copyfile(archive, imports / "archive.zip")
    shutil.copyfile(archive, imports / "below" / "archive.zip")
    (imports / "link").symlink_to("below/archive.zip")
    (imports / "linked").symlink_to("below")
    path = {"whole": str(imports / "archive.zip"), "linked": "linked/archive.zip"}.get(how, how)
    taken = backup_upload(path=path, requested_by="ann")
    assert (taken.archive, taken.sha256) == (NAME, sha256(archive))
    assert (store / NAME).read_bytes() == archive.read_bytes()
    assert (store / NAME).stat().st_ino not in {(imports / name).stat().st_ino for name in ("archive.zip", "below/archive.zip")}
    assert (imports / "archive.zip").exists()
    row = Backup.objects.get()
    assert (row.is_uploaded, row.requested_by) == (True, "ann")


@pytest.mark.parametrize(
    "path",
    [
        *("../from a stick.zip", "below/../../from a stick.zip", "/etc/passwd", "out.zip", "outside/from a stick.zip", "loop"),
        *("absent.zip", "below", ".", "", "a\x00b", "pipe", "nowhere", "socket/..", "archive.zip/", "x" * 5000, "\ud800"),
    ],
)
def test_nothing_else_can_be_reached_by_a_path(imports: Path, archive: Path, path: str) -> None:
    (imports / "out.zip").symlink_to(archive)
    (imports / "outside").symlink_to("..")
    (imports / "loop").symlink_to("loop")
    (imports / "nowhere").symlink_to("absent")
    os.mkfifo(imports / "pipe")
    expected = UsageError if not path else ArchiveNotFound
    with pytest.raises(expected):
        backup_upload(path=path)
    assert not Backup.objects.exists()


@pytest.mark.parametrize("shape", ["{}", "../{.name}"])
def test_nobody_learns_by_a_path_which_files_there_are_outside(imports: Path, archive: Path, shape: str) -> None:
    said = set()
    for there_or_not in (archive, archive.with_name("absent.zip")):
        with pytest.raises(ArchiveNotFound) as refusal:
            backup_upload(path=shape.format(there_or_not))
        said.add(str(refusal.value).replace(there_or_not.name, "NAME"))
    assert len(said) == 1


def test_a_damaged_file_of_the_import_folder_is_refused_and_stays(imports: Path) -> None:
    (imports / "bad.zip").write_bytes(b"no archive")
    with pytest.raises(ArchiveRejected, match=r"bad\.zip") as refusal:
        backup_upload(path="bad.zip")
    assert "thrown away" not in refusal.value.message
    assert (imports / "bad.zip").exists()


def test_without_an_import_folder_no_path_is_taken(archive: Path, settings: Settings) -> None:
    settings.BACKUPS_IMPORT_DIR = ""
    with pytest.raises(PreflightRefused, match="No archive may be taken in by its path"):
        backup_upload(path=str(archive))
    assert import_files() == []


def test_an_import_folder_that_is_not_there_holds_nothing(settings: Settings, tmp_path: Path) -> None:
    settings.BACKUPS_IMPORT_DIR = str(tmp_path / "absent")
    assert import_files() == []
    with pytest.raises(ArchiveNotFound, match="There is no file"):
        backup_upload(path="archive.zip")


def test_the_files_to_choose_from_are_the_regular_zip_files_newest_first(imports: Path) -> None:
    for number, name in enumerate(("old.zip", "below/new.ZIP", "note.txt", ".hidden/no.zip", "middle.zip")):
        (imports / name).parent.mkdir(exist_ok=True)
        (imports / name).write_bytes(bytes(number))
        moment = 1_700_000_000 + {"old.zip": 0, "middle.zip": 10, "below/new.ZIP": 20}.get(name, 30)
        os.utime(imports / name, (moment, moment))
    (imports / "link.zip").symlink_to("old.zip")
    os.mkfifo(imports / "pipe.zip")
    (imports / os.fsdecode(b"\xff.zip")).write_bytes(b"")
    assert [(file.path, file.size) for file in import_files()] == [("below/new.ZIP", 1), ("middle.zip", 4), ("old.zip", 0)]


# --- cancelled and killed -------------------------------------------------------------------------------------------------------------


def test_what_is_cancelled_before_it_begins_can_be_taken_in_later(archive: Path) -> None:
    upload = brought(archive)
    journal = Journal(kind="upload", arguments={"upload": upload.id})
    journal.save()
    journal.end("failed", error="Cancelled")
    assert operation_work(journal.id)
    assert upload_find(upload.id) == upload
    assert backup_upload(upload=upload.id).is_new


def test_names_are_made_of_the_manifest_and_of_nothing_else(store: Path, archive: Path) -> None:
    renamed = archive.with_name("backup_20200101_000000_ffffffff.zip")
    manifest = make_archive(renamed)
    assert backup_upload(upload=brought(renamed).id).archive == archive_name(manifest.created_at, manifest.id) == NAME
    assert [path.name for path in store.glob("*.zip")] == [NAME]
