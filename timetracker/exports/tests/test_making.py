"""What an export holds, for whom, and what becomes of one that is cut off."""

from __future__ import annotations

import csv
import io
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as site_settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection, connections
from django.utils import timezone

from backups.gate import gate_raise, gate_read_only, gate_release
from backups.tests.servers import S3Server
from backups.tests.site import Site
from timetracker.accounts.models import User
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.clients.models import Client, Document
from timetracker.csv_text import undefused
from timetracker.exports.lock import export_lock
from timetracker.exports.make import INTERRUPTED, exports_make
from timetracker.exports.models import Export
from timetracker.exports.sections import FORMAT, fields_of
from timetracker.exports.sweep import GONE, exports_sweep
from timetracker.exports.tests.agency import FORMULA, Agency, agency, content_of, made
from timetracker.tests.people import PDF, PNG, somebody
from timetracker.tests.storages import BucketError
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry

pytestmark = pytest.mark.usefixtures("media")


@pytest.fixture
def staffed(transactional_db: None) -> Agency:
    return agency()


def stored(media: Path) -> list[str]:
    return sorted(path.name for path in (media / "exports").glob("*"))


def table(archive: Any, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(archive.read(f"{name}.csv").decode(), newline="")))


# --- everything -----------------------------------------------------------------------------------------------------------


def test_everything_holds_each_row_with_each_of_its_fields(staffed: Agency) -> None:
    export = made(staffed.owner, "everything")
    _, data = content_of(export)
    assert (data["format"], data["scope"], data["made_by"]) == (FORMAT, "everything", "owner")
    models = {
        "people": User,
        "clients": Client,
        "projects": Project,
        "project_rates": ProjectRate,
        "tasks": Task,
        "documents": Document,
        "invoices": Invoice,
        "time_entries": TimeEntry,
        "expenses": Expense,
    }
    for name, model in models.items():
        assert len(data[name]) == model._default_manager.count() == export.row_counts[name], name
        assert set(fields_of(model)) <= data[name][0].keys(), name
    items = [item for invoice in data["invoices"] for item in invoice["items"]]
    assert [item["unit_price"] for item in items] == ["97.25", "-4.50"]
    assert set(fields_of(InvoiceItem)) - {"invoice"} <= items[0].keys()
    assert data["invoices"][0]["payments"][0]["amount"] == "190.00"
    assert set(fields_of(Payment)) - {"invoice"} <= data["invoices"][0]["payments"][0].keys()
    assert data["time_entries"][0]["notes"] == FORMULA, "JSON is exact"
    assert [entry["invoice_item"] for entry in data["time_entries"][:2]] == [items[0]["id"]] * 2


def test_everything_comes_with_the_files_that_rows_name(staffed: Agency) -> None:
    archive, data = content_of(made(staffed.owner, "everything"))
    members = [row["receipt"]["member"] for row in data["expenses"]] + [row["file"]["member"] for row in data["documents"]]
    assert [archive.read(member) for member in members] == [PDF, PNG, PDF]
    assert [row["Receipt"] for row in table(archive, "expenses")] == members[:2]


def test_a_file_that_is_missing_is_said_and_stops_nothing(staffed: Agency) -> None:
    default_storage.delete("receipts/2025/03/lunch.pdf")
    export = made(staffed.owner, "everything")
    archive, data = content_of(export)
    assert export.missing_files == 1
    assert [row["receipt"]["member"] is None for row in data["expenses"]] == [True, False]
    assert not [name for name in archive.namelist() if name.endswith("lunch.pdf")]


def test_no_export_holds_a_secret(staffed: Agency) -> None:
    for user, scope in ((staffed.owner, "everything"), (staffed.robin, "own")):
        archive, _ = content_of(made(user, scope))
        text = b"".join(archive.read(name) for name in archive.namelist()).decode("latin-1")
        for secret in (site_settings.SECRET_KEY, *User.objects.exclude(password="").values_list("password", flat=True)):
            assert secret not in text
        for word in ("password_hash", '"password"', "session_key", "last_login", "is_superuser", "user_permissions"):
            assert word not in text, word


# What no export holds, and why.
LEFT_OUT = {
    "accounts.user": "an allow-list; see test_no_export_holds_a_secret",
    "admin.logentry": "of the admin",
    "auth.group": "who may what is decided on each site; a person's role is in",
    "auth.permission": "made by the code",
    "axes.*": "without tables here",
    "backups.*": "of this site's own archives",
    "contenttypes.contenttype": "made by the code",
    "exports.export": "the exports themselves",
    "imports.*": "of files that were brought here",
    "portal.clientperson": "the portal invites a client's people",
    "sessions.session": "secret",
    "siteconf.sitesettings": "of this site; every archive has a snapshot of them",
    "tracking.demorun": "of the demo data",
}
EXPORTED = {Client, Project, ProjectRate, Task, Document, Invoice, InvoiceItem, Payment, TimeEntry, Expense}


def test_every_table_is_in_an_export_or_left_out_on_purpose() -> None:
    for model in apps.get_models():
        label = model._meta.label_lower
        assert (model in EXPORTED) != (label in LEFT_OUT or f"{label.partition('.')[0]}.*" in LEFT_OUT), label


# --- one's own ------------------------------------------------------------------------------------------------------------


def test_ones_own_data_holds_what_she_entered_and_nothing_of_others(staffed: Agency) -> None:
    archive, data = content_of(made(staffed.robin, "own"))
    assert [person["username"] for person in data["people"]] == ["robin"]
    assert {entry["user"] for entry in data["time_entries"]} == {staffed.robin.pk}
    assert [entry["notes"] for entry in data["time_entries"]] == [FORMULA, "'=kept", 'Said "yes",\nthen ½']
    assert [(row["amount"], archive.read(row["receipt"]["member"])) for row in data["expenses"]] == [("12.35", PDF)]
    assert sorted(client["name"] for client in data["clients"]) == ["Museum “Ω”", "Sample Bakery"]
    assert "invoices" not in data
    assert "project_rates" not in data
    text = b"".join(archive.read(name) for name in archive.namelist()).decode("latin-1")
    for foreign in ("Seen by few", "train.png", "INV-0007", "kim@studio.example", "71.25", "83.75", "91.50", "97.25", "99.75", "+49 30"):
        assert foreign not in text, foreign


def test_rates_are_in_ones_own_data_for_who_may_see_money(staffed: Agency) -> None:
    kim = somebody("morgan", None, "tracking.view_money", hourly_rate="64.25")
    TimeEntry.objects.filter(user=staffed.kim, ended_at=None).update(user=kim)
    _, data = content_of(made(kim, "own"))
    rates = (data["people"][0]["hourly_rate"], data["projects"][0]["hourly_rate"], data["clients"][0]["default_rate"])
    assert rates == ("64.25", "97.25", "91.50")


def test_formulas_are_harmless_in_csv_and_read_back_as_they_were(staffed: Agency) -> None:
    archive, _ = content_of(made(staffed.robin, "own"))
    cells = [row["Note"] for row in table(archive, "time_entries")]
    assert cells == [f"'{FORMULA}", "''=kept", 'Said "yes",\nthen ½']
    assert [undefused(cell) for cell in cells] == [FORMULA, "'=kept", 'Said "yes",\nthen ½']


def test_times_in_csv_are_those_of_her_zone_with_its_offset(staffed: Agency) -> None:
    archive, _ = content_of(made(staffed.robin, "own"))
    first = table(archive, "time_entries")[0]
    assert (first["Start"], first["End"], first["Seconds"]) == ("2025-03-03T10:00:00+01:00", "2025-03-03T11:00:00+01:00", "3600")
    assert (first["Person"], first["Client"], first["Project"], first["Task"]) == ("robin", "Sample Bakery", "Website", "Design")


# --- refused, cut off, killed ---------------------------------------------------------------------------------------------


def test_who_lost_the_right_meanwhile_gets_no_file(staffed: Agency, media: Path) -> None:
    staffed.owner.user_permissions.clear()
    export = made(staffed.owner, "everything")
    assert (export.state, export.reason) == ("failed", "You may not have this any more.")
    assert stored(media) == []


def test_an_export_makes_way_for_a_restore(staffed: Agency, media: Path, own_gate: None) -> None:
    gate_raise("0" * 32, "restore")
    gate_read_only()
    export = made(staffed.owner, "everything")
    gate_release()
    assert (export.state, export.reason) == ("failed", "A restore of the site began meanwhile. Ask for it again when it is over.")
    assert stored(media) == []


class _FailsToSave(FileSystemStorage):
    """A storage that is full before a file is whole."""

    def _save(self, name: str, content: Any) -> str:
        Path(self.path(name)).parent.mkdir(parents=True, exist_ok=True)
        Path(self.path(name)).write_bytes(content.read(100))
        raise OSError("No space left on device")


def test_a_storage_that_fails_leaves_no_file_and_says_so(staffed: Agency, media: Path, settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}._FailsToSave"}}
    export = made(staffed.owner, "everything")
    assert (export.state, "worker's log" in export.reason) == ("failed", True)
    assert stored(media) == []


class _LosesTheConnection(FileSystemStorage):
    """A storage during whose reading the database ends the session, as it does when a restore replaces it."""

    def _open(self, name: str, mode: str = "rb") -> Any:
        if connection.vendor == "postgresql":
            side = connections.create_connection("default")
            with side.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
            side.close()
        else:
            connection.connection.close()
        return super()._open(name, mode)  # type: ignore[misc]  # not in the stubs


def test_an_export_whose_session_is_ended_says_that_it_failed(staffed: Agency, media: Path, settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}._LosesTheConnection"}}
    export = made(staffed.owner, "everything")
    assert (export.state, "worker's log" in export.reason) == ("failed", True)
    assert stored(media) == []
    with export_lock() as is_held:
        assert is_held, "the next one can be made"


class _DeletesTheRow(FileSystemStorage):
    """A storage that takes its time: meanwhile the row goes, by a person or a restore."""

    def _save(self, name: str, content: Any) -> str:
        Export.objects.all().delete()
        return str(super()._save(name, content))  # type: ignore[misc]  # not in the stubs


def test_the_file_of_an_export_whose_row_went_meanwhile_goes_too(staffed: Agency, media: Path, settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}._DeletesTheRow"}}
    Export.objects.create(user=staffed.robin, asked_by="robin", scope="own")
    exports_make()
    assert not Export.objects.exists()
    assert stored(media) == []


class _KeepsTheFile(_DeletesTheRow):
    """The same, and it does not delete what it has taken."""

    def delete(self, name: str) -> None:
        if self.exists(name):
            raise BucketError("no such right")


def test_a_file_that_stays_without_a_row_ends_no_work_and_goes_with_the_next_sweep(
    staffed: Agency, media: Path, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    storages = settings.STORAGES
    settings.STORAGES = {**storages, "default": {"BACKEND": f"{__name__}._KeepsTheFile"}}
    Export.objects.create(user=staffed.robin, asked_by="robin", scope="own")
    exports_make()
    assert len(stored(media)) == 1 and "cannot be deleted: BucketError: no such right" in caplog.text
    settings.STORAGES = storages
    assert (exports_sweep(), stored(media)) == ((1, 0), [])


def test_one_process_at_a_time_makes_exports(staffed: Agency) -> None:
    with export_lock() as is_held:
        assert is_held
        assert made(staffed.robin, "own").state == "queued"
    exports_make()
    assert Export.objects.get().state == "ready"


KILLED = """
import django
django.setup()
import time
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from timetracker.accounts.models import User
from timetracker.exports.lock import export_lock
from timetracker.exports.models import Export
user = User.objects.create_user("robin", is_staff=True)
with export_lock() as is_held:
    export = Export.objects.create(user=user, asked_by="robin", scope="own", state="making")
    default_storage.save(export.stored_name, ContentFile(b"half of it"))
    print(is_held, flush=True)
    time.sleep(600)
"""
TICK = "import django; django.setup(); from timetracker.exports.tasks import tick; tick()"


def test_a_killed_worker_leaves_a_row_that_says_so_and_no_file(site: Site) -> None:
    def ticked() -> list[tuple[Any, ...]]:
        process = site.run_python("-c", TICK, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _, stderr = process.communicate(timeout=90)
        assert process.returncode == 0, stderr
        return site.fetch("SELECT state, reason FROM exports_export")

    process = site.run_python("-c", KILLED, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert ticked() == [("making", "")], "somebody is at it"
    site.kill_group(process)
    process.communicate()
    assert ticked() == [("failed", INTERRUPTED)]
    assert not list(site.media.rglob("*.zip"))


# --- the sweep ------------------------------------------------------------------------------------------------------------


def test_what_has_expired_is_deleted_file_and_row(staffed: Agency, media: Path) -> None:
    export = made(staffed.robin, "own")
    exports_sweep()
    assert len(stored(media)) == 1
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    exports_sweep()
    assert not Export.objects.filter(pk=export.pk).exists()
    assert stored(media) == []


def test_an_export_that_was_asked_for_and_expired_is_not_made(staffed: Agency) -> None:
    Export.objects.create(user=staffed.robin, asked_by="robin", scope="own", expires_at=timezone.now())
    exports_make()
    assert Export.objects.get().state == "queued"
    exports_sweep()
    assert not Export.objects.exists()


def test_files_without_a_row_go_and_rows_without_a_file_say_so(staffed: Agency, media: Path) -> None:
    kept, lost = made(staffed.robin, "own"), made(staffed.kim, "own")
    default_storage.delete(lost.stored_name)
    for name in ("0" * 32 + ".zip", "notes.txt"):
        (media / "exports" / name).write_bytes(b"x")
    assert exports_sweep() == (1, 1)
    assert stored(media) == sorted([f"{kept.token.hex}.zip", "notes.txt"]), "what is not ours stays"
    lost.refresh_from_db()
    kept.refresh_from_db()
    assert (kept.state, lost.state, lost.reason) == ("ready", "failed", GONE)
    assert exports_sweep() == (0, 0)


RESTORED = """
import django
django.setup()
from timetracker.accounts.models import User
from timetracker.exports.make import exports_make
from timetracker.exports.models import Export
user, _ = User.objects.get_or_create(username="robin", is_staff=True)
Export.objects.all().delete()
Export.objects.create(user=user, asked_by="robin", scope="own")
exports_make()
"""


@pytest.mark.parametrize(
    ("engine", "uploads", "state", "files", "note"),
    [("sqlite_site", "merge", "ready", 1, False), ("postgres_site", "skip", "failed", 0, True)],
    ids=["with-uploads", "without"],
)
def test_after_a_restore_rows_and_files_agree(
    request: pytest.FixtureRequest, engine: str, uploads: str, state: str, files: int, note: bool
) -> None:
    site: Site = request.getfixturevalue(engine)

    def make() -> str:
        process = site.run_python("-c", RESTORED, stderr=subprocess.PIPE)
        _, stderr = process.communicate(timeout=90)
        assert process.returncode == 0, stderr
        return str(site.fetch("SELECT token FROM exports_export")[0][0]).replace("-", "")

    first = make()
    archive = site.manage("backup_create").stdout.strip()
    (site.media / f"exports/{first}.zip").unlink()
    make()
    done = site.manage("backup_restore", archive, "--no-input", "--uploads", uploads)
    assert ("1 export of data cannot be downloaded any more" in done.stdout + done.stderr) == note
    assert site.fetch("SELECT state FROM exports_export") == [(state,)]
    assert [path.stem for path in (site.media / "exports").glob("*")] == [first] * files


# --- another storage ------------------------------------------------------------------------------------------------------


def test_exports_lie_in_a_bucket_where_the_uploads_do(staffed: Agency, settings: Any, s3_server: S3Server, bucket: str) -> None:
    options = {
        "bucket_name": bucket,
        "endpoint_url": s3_server.endpoint_url,
        "region_name": s3_server.region,
        "access_key": s3_server.access_key,
        "secret_key": s3_server.secret_key,
    }
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}}
    assert exports_sweep() == (0, 0), "nothing there yet"
    export = made(staffed.robin, "own")
    _, data = content_of(export)
    assert len(data["time_entries"]) == 3
    assert export.missing_files == 1, "the receipt is in the folder of before"
    default_storage.delete(export.stored_name)
    assert exports_sweep() == (0, 1)
    other = made(staffed.kim, "own")
    Export.objects.filter(pk=other.pk).delete()
    assert exports_sweep() == (1, 0)
    assert default_storage.listdir("exports") == ([], [])
