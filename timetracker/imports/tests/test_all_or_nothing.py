"""Whatever goes wrong: all rows or none, once."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.db import connection, connections
from django.utils import timezone

from backups.gate import maintenance_off, maintenance_on
from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.clients.models import Client
from timetracker.imports import running
from timetracker.imports.exceptions import CHANGED, ImportStopped
from timetracker.imports.models import Import
from timetracker.imports.running import import_begin, import_discard, import_is_stuck, import_run
from timetracker.imports.tests.files import brought, checked, counts_of, faults_of, imported
from timetracker.imports.time_sheet import TimeSheet
from timetracker.progress import Report, progress_cancel, progress_of
from timetracker.tests.people import somebody
from timetracker.tracking.models import Project, TimeEntry

pytestmark = pytest.mark.django_db

HEADER = "Client,Project,Start,End,Note\n"
ROWS = HEADER + "".join(f"Mill,Grind,2026-03-{1 + n // 90:02d} {n // 6 % 15 + 5:02d}:{n % 6}0,20:00,{n}\n" for n in range(1100))


@pytest.fixture
def ann() -> User:
    """An owner."""
    return somebody("ann", Role.OWNER)


@pytest.fixture
def refused_by_the_database() -> Iterator[str]:
    """A note that the database itself refuses, which nothing before it knows."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE tracking_timeentry ADD CONSTRAINT nobody_knows CHECK (notes <> 'last straw')")
        else:
            cursor.execute(
                "CREATE TRIGGER nobody_knows BEFORE INSERT ON tracking_timeentry WHEN NEW.notes = 'last straw' "
                "BEGIN SELECT RAISE(ABORT, 'nobody knows'); END"
            )
    yield "last straw"


def nothing_is_written() -> bool:
    return not (TimeEntry.objects.exists() or Project.objects.exists() or Client.objects.exists())


def test_a_row_that_the_database_refuses_at_the_very_end_takes_all_back(ann: User, refused_by_the_database: str) -> None:
    row = imported(ann, "time", f"{ROWS}Mill,Grind,2026-12-31 9:00,10:00,{refused_by_the_database}\n", creates=True)
    assert (row.state, nothing_is_written()) == ("failed", True)
    assert "The database refused a row of lines 1,002 to 1,102 (" in row.message
    assert "nobody" in row.message
    # Without that row all of it comes in.
    assert imported(ann, "time", ROWS, creates=True).state == "done"
    assert TimeEntry.objects.count() == 1100


def test_one_wrong_row_keeps_all_others_out(ann: User) -> None:
    row = imported(ann, "time", ROWS + "Mill,Grind,2026-12-31 9:00,8:00 tomorrow,\n", creates=True)
    assert (row.state, counts_of(row).bad, nothing_is_written()) == ("checked", 1, True)
    assert [fault[:2] for fault in faults_of(row)] == [(1102, "End")]


def test_what_changes_between_the_check_and_the_import_is_seen(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    row = brought(ann, "time", ROWS, creates=True)
    prepare = TimeSheet.prepare

    def somebody_is_quicker(self: TimeSheet) -> None:
        Project.objects.create(client=Client.objects.create(name="Else"), name="Grind", code="E")
        Client.objects.create(name="MILL")
        prepare(self)

    monkeypatch.setattr(TimeSheet, "prepare", somebody_is_quicker)
    import_begin(row, Import.Act.WRITE)
    row.refresh_from_db()
    assert (row.state, TimeEntry.objects.exists()) == ("failed", False)
    assert row.message == CHANGED


def test_an_import_that_was_begun_again_by_another_worker_is_taken_back(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    row = brought(ann, "time", ROWS, creates=True)
    insert = TimeSheet.insert

    def somebody_begins_again(self: TimeSheet, rows: Any) -> None:
        insert(self, rows)
        Import.objects.filter(pk=row.pk).update(run=uuid.uuid4(), state="waiting")

    monkeypatch.setattr(TimeSheet, "insert", somebody_begins_again)
    import_begin(row, Import.Act.WRITE)
    assert nothing_is_written()


def test_a_message_that_comes_twice_or_too_late_does_nothing(ann: User) -> None:
    row = imported(ann, "time", ROWS, creates=True)
    assert row.run is not None
    import_run(row.pk, row.run)
    import_run(row.pk, uuid.uuid4())
    import_run(row.pk + 1, row.run)
    row.refresh_from_db()
    assert (row.state, TimeEntry.objects.count()) == ("done", 1100)


def test_a_cancelled_import_is_taken_back_with_its_row_and_its_files(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    row = brought(ann, "time", ROWS, creates=True)
    insert = TimeSheet.insert
    monkeypatch.setattr("timetracker.progress._EVERY", 0)

    def somebody_cancels(self: TimeSheet, rows: Any) -> None:
        insert(self, rows)
        found = Import.objects.get(pk=row.pk)
        progress_cancel(str(found.run))

    monkeypatch.setattr(TimeSheet, "insert", somebody_cancels)
    import_begin(row, Import.Act.WRITE)
    assert nothing_is_written()
    row.refresh_from_db()
    import_discard(row)
    assert not Import.objects.exists()
    assert not default_storage.exists(str(row.file.name))


def test_an_import_gives_way_to_a_restore(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    row = brought(ann, "time", ROWS, creates=True)
    insert = TimeSheet.insert
    monkeypatch.setattr("timetracker.progress._EVERY", 0)

    def the_gate_closes(self: TimeSheet, rows: Any) -> None:
        insert(self, rows)
        maintenance_on(message="Back soon.", by="test")

    monkeypatch.setattr(TimeSheet, "insert", the_gate_closes)
    try:
        import_begin(row, Import.Act.WRITE)
    finally:
        maintenance_off()
    row.refresh_from_db()
    assert (row.state, nothing_is_written()) == ("failed", True)
    assert "closed for a restore or for maintenance" in row.message


def test_a_file_that_is_gone_is_told(ann: User) -> None:
    row = brought(ann, "time", ROWS)
    default_storage.delete(str(row.file.name))
    run = uuid.uuid4()
    Import.objects.filter(pk=row.pk).update(state="waiting", run=run)
    import_run(row.pk, run)
    row.refresh_from_db()
    assert (row.state, "upload it again" in row.message) == ("failed", True)


def test_somebody_who_may_no_longer_import_does_not(ann: User) -> None:
    row = brought(ann, "time", ROWS, creates=True)
    ann.groups.clear()
    import_begin(row, Import.Act.WRITE)
    row.refresh_from_db()
    assert (row.state, nothing_is_written()) == ("failed", True)
    assert "You may no longer import this" in row.message


def test_what_she_may_no_longer_make_or_see_is_left_out_at_the_end(ann: User) -> None:
    member = somebody("cy", Role.MEMBER, "imports.import_time", "imports.import_clients", "clients.add_client")
    row = imported(member, "time", ROWS, creates=True)
    assert (row.state, counts_of(row).bad, nothing_is_written()) == ("checked", 1100, True)
    row = imported(member, "clients", "Name,Rate\nMill,80\n", columns={"name": 0, "default_rate": 1})
    assert (row.state, Client.objects.get().default_rate) == ("done", None)


def test_a_worker_that_was_killed_is_noticed_and_the_import_begun_again(ann: User) -> None:
    row = brought(ann, "time", ROWS, creates=True)
    long_ago = timezone.now() - timedelta(minutes=2)
    Import.objects.filter(pk=row.pk).update(state="running", act="write", run=uuid.uuid4(), begun_at=long_ago)
    row.refresh_from_db()
    assert import_is_stuck(row)
    # A sign of life is one: then the import goes on, and is not begun a second time.
    report = Report(str(row.run))
    report.stage("Writing", 10, "rows")
    report.done(5)
    progress = progress_of(str(row.run))
    assert progress is not None
    assert (progress.stage, progress.percent, progress.is_alive, import_is_stuck(row)) == ("Writing", 50, True, False)
    import_begin(row, Import.Act.WRITE)
    assert nothing_is_written()
    Import.objects.filter(pk=row.pk).update(run=uuid.uuid4())
    row.refresh_from_db()
    import_begin(row, Import.Act.WRITE)
    row.refresh_from_db()
    assert (row.state, TimeEntry.objects.count()) == ("done", 1100)


def test_a_worker_that_cannot_be_told_is_said_to_be(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def apply_async(self, *args: Any, **options: Any) -> None:
            raise OSError("no broker")

    monkeypatch.setattr("timetracker.imports.tasks.run_import", Broken())
    monkeypatch.setattr(running, "AT_ONCE", 10)
    row = brought(ann, "time", ROWS)
    with pytest.raises(ImportStopped, match="The worker cannot be reached"):
        import_begin(row, Import.Act.CHECK)
    row.refresh_from_db()
    assert row.state == "failed"


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_file_at_once_write_it_once() -> None:
    # Roles are gone where a test of this kind has run before.
    ann = User.objects.create_superuser("ann", is_staff=True)
    Project.objects.create(client=Client.objects.create(name="Mill"), name="Grind", code="GRIND")
    rows = [brought(ann, "time", ROWS) for _ in range(3)]
    runs = [(row.pk, uuid.uuid4()) for row in rows]
    for pk, run in runs:
        Import.objects.filter(pk=pk).update(state="waiting", act="write", run=run)
    together = threading.Barrier(len(runs))

    def work(pk: int, run: uuid.UUID) -> None:
        together.wait()
        try:
            import_run(pk, run)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=each) for each in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Import.objects.order_by("counts__new")
    assert [(row.state, row.message, counts_of(row).new, counts_of(row).here) for row in found] == [
        ("done", "", 0, 1100),
        ("done", "", 0, 1100),
        ("done", "", 1100, 0),
    ]
    assert TimeEntry.objects.count() == 1100


def test_a_check_writes_nothing(ann: User) -> None:
    row = checked(ann, "time", ROWS, creates=True)
    assert (row.state, counts_of(row).new, nothing_is_written()) == ("checked", 1100, True)
