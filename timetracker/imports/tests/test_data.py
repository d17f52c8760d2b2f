"""Exports that are brought in again: added to what is here, whole or not at all, and once."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.billing.totals import ISSUED
from timetracker.clients.models import Client
from timetracker.exports.models import Export
from timetracker.exports.sections import FORMAT
from timetracker.exports.tests.agency import TABLES, Agency, agency, content_of, made
from timetracker.imports import running
from timetracker.imports.data_rows import INNER, SECTIONS
from timetracker.imports.exceptions import FileRefused, ImportOvertaken
from timetracker.imports.models import Import
from timetracker.imports.problems import problems_first
from timetracker.imports.running import import_begin, import_bring
from timetracker.tests.people import PDF, browser_of, somebody
from timetracker.tracking.models import Project, TimeEntry


@pytest.fixture(autouse=True)
def at_once(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the test, and not in a worker."""
    monkeypatch.setattr(running, "AT_ONCE_DATA", 10**9)


@pytest.fixture
def staffed(transactional_db: None) -> Agency:
    return agency()


@pytest.fixture
def boss(db: None) -> User:
    return User.objects.create_superuser("boss", is_staff=True)


def stored_bytes(export: Export) -> bytes:
    assert export.state == "ready", export.reason
    with default_storage.open(export.stored_name, "rb") as file:
        return bytes(file.read())


def checked(by: User, content: bytes, name: str = "export.zip") -> Import:
    """A file that was brought and checked."""
    row = import_bring(SimpleUploadedFile(name, content), kind="data", by=by)
    import_begin(row, Import.Act.CHECK)
    row.refresh_from_db()
    return row


def written(by: User, content: bytes, name: str = "export.zip") -> Import:
    """A file that was brought, found good and imported."""
    row = checked(by, content, name)
    assert (row.state, row.message, row.counts["bad"], wrong(row)) == ("checked", "", 0, [])
    import_begin(row, Import.Act.WRITE)
    row.refresh_from_db()
    return row


def wrong(row: Import) -> list[tuple[int, str, str]]:
    return [(problem.line, problem.column, problem.reason) for problem in problems_first(row.problems, 100)] if row.problems else []


def document(**lists: list[Any]) -> bytes:
    return json.dumps({"format": FORMAT, **lists}).encode()


def sheet(change: Callable[[dict[str, list[dict[str, Any]]]], object] = lambda lists: None) -> bytes:
    """A small file, changed."""
    lists: dict[str, list[dict[str, Any]]] = {
        "people": [{"id": 7, "username": "ann", "email": "ann@studio.example", "is_staff": True}],
        "clients": [{"id": 70, "name": "Bakery", "currency": "CHF"}],
        "projects": [{"id": 700, "client": 70, "name": "Website", "code": "WEB"}],
        "tasks": [{"id": 7000, "project": 700, "name": "Design", "assignee": 7}],
        "time_entries": [
            {"user": 7, "project": 700, "task": 7000, "started_at": "2025-03-03T09:00:00+01:00", "ended_at": "2025-03-03T09:00:00+00:00"},
        ],
        "expenses": [{"user": 7, "project": 700, "description": "Train", "spent_on": "2025-03-03", "amount": "12.5"}],
    }
    change(lists)
    return document(**lists)


def counted() -> list[int]:
    return [model._default_manager.count() for model in (*TABLES, User)]


# --- round trip -----------------------------------------------------------------------------------------------------------


def without_ids(archive: zipfile.ZipFile, data: dict[str, Any]) -> dict[str, Any]:
    """The lists with the place of a row in its list for its id, and the content of a file for its place in the ZIP."""
    rows = {name: data[name] for name in SECTIONS}
    rows["items"] = [item for invoice in data["invoices"] for item in invoice["items"]]
    places = {name: {row["id"]: number for number, row in enumerate(found)} for name, found in rows.items()}

    def plain(section: Any, row: dict[str, Any]) -> dict[str, Any]:
        plain_row = {name: value for name, value in row.items() if name != "id"}
        for name, target in section.references.items():
            if row.get(name) is not None:
                plain_row[name] = (target, places[target][row[name]])
        for name in section.files:
            if row.get(name):
                plain_row[name] = archive.read(row[name]["member"])
        for name, inner in INNER.items():
            if name in row:
                plain_row[name] = [plain(inner, each) for each in row[name]]
        return plain_row

    return {name: [plain(section, row) for row in data[name]] for name, section in SECTIONS.items()}


def test_everything_taken_out_and_brought_into_an_empty_site_is_the_same_again(staffed: Agency) -> None:
    export = made(staffed.owner, "everything")
    content, before = stored_bytes(export), without_ids(*content_of(export))
    for model in TABLES:
        model._base_manager.all().delete()
    User.objects.exclude(pk=staffed.owner.pk).delete()
    staffed.owner.is_superuser = True
    staffed.owner.save()

    row = written(staffed.owner, content)
    assert (row.state, row.message) == ("done", "")
    assert row.counts["lists"]["time_entries"] == [8, 0]
    assert row.counts["lists"]["people"] == [2, 1]
    assert without_ids(*content_of(made(staffed.owner, "everything"))) == before

    counts = counted()
    again = checked(staffed.owner, content)
    assert (again.counts["new"], again.counts["here"], again.counts["bad"]) == (0, row.counts["rows"], 0)
    import_begin(again, Import.Act.WRITE)
    assert counted() == counts, "twice changes nothing"


def test_ones_own_data_comes_in_again_beside_what_others_have(staffed: Agency, boss: User) -> None:
    content = stored_bytes(made(staffed.robin, "own"))
    assert checked(boss, content).counts["new"] == 0
    # The first two, of which one is billed: what is here otherwise stays.
    TimeEntry.objects.filter(user=staffed.robin).exclude(notes="'=kept").delete()
    row = written(boss, content)
    assert {name: new for name, (new, _) in row.counts["lists"].items() if new} == {"time_entries": 2}
    found = TimeEntry.objects.filter(user=staffed.robin).order_by("started_at").values_list("notes", "task__name", "break_seconds")
    assert [task for _, task, _ in found] == ["Design", None, None]
    assert TimeEntry.objects.filter(user=staffed.kim).count() == 5


def test_of_rows_that_nothing_tells_apart_as_many_come_in_as_are_missing(staffed: Agency, boss: User) -> None:
    content = stored_bytes(made(staffed.owner, "everything"))
    twins = TimeEntry.objects.filter(user=staffed.kim, notes="", started_at__day=4)
    twins[0].delete()
    row = written(boss, content)
    assert row.counts["lists"]["time_entries"][0] == 1
    assert twins.count() == 2


def test_time_that_is_here_hangs_on_the_invoice_that_comes_in_and_is_billed_once(staffed: Agency, boss: User) -> None:
    billed = [model.objects.filter(invoice_item__invoice__status__in=ISSUED).count() for model in (TimeEntry, Expense)]
    content = stored_bytes(made(staffed.owner, "everything"))
    # As after a restore of an archive from before they were written.
    for model in (TimeEntry, Expense):
        model.objects.update(invoice_item=None)
    Payment.objects.all().delete()
    InvoiceItem._base_manager.all().delete()
    Invoice._base_manager.all().delete()
    row = written(boss, content)
    assert (row.state, row.message) == ("done", "")
    assert billed[0] > 0
    assert [model.objects.filter(invoice_item__invoice__status__in=ISSUED).count() for model in (TimeEntry, Expense)] == billed
    assert checked(boss, content).counts["new"] == 0


def test_time_that_another_invoice_bills_here_is_told_and_nothing_comes_in(staffed: Agency, boss: User) -> None:
    content = stored_bytes(made(staffed.owner, "everything"))
    # A draft of the same time, which has its number only there.
    issued = Invoice.objects.get(number="INV-0007")
    Payment.objects.filter(invoice=issued).delete()
    Invoice._base_manager.filter(pk=issued.pk).update(number="", status="draft")
    row, before = checked(boss, content), counted()
    assert {column.split(", ")[1] for _, column, _ in wrong(row)} == {"invoice_item"}
    import_begin(row, Import.Act.WRITE)
    assert counted() == before


def test_time_of_an_invoice_that_is_cancelled_here_comes_in_as_not_billed(staffed: Agency, boss: User) -> None:
    export = stored_bytes(made(staffed.owner, "everything"))
    billed = TimeEntry.objects.filter(invoice_item__invoice__status__in=ISSUED)
    lost = billed.count()
    ids = list(billed.values_list("pk", flat=True))
    Invoice._base_manager.filter(status__in=ISSUED).update(status="cancelled")
    for model in (TimeEntry, Expense):
        model.objects.filter(invoice_item__invoice__status="cancelled").update(invoice_item=None)
    TimeEntry.objects.filter(pk__in=ids).delete()
    row = written(boss, export)
    assert (row.state, lost > 0) == ("done", True)
    assert TimeEntry.objects.filter(invoice_item=None, billable=True).count() >= lost
    assert not TimeEntry.objects.filter(invoice_item__invoice__status="cancelled").exists()
    again = checked(boss, export)
    assert (again.counts["new"], wrong(again)) == (0, [])


def test_data_json_alone_comes_in_without_receipts(staffed: Agency, boss: User) -> None:
    archive, data = content_of(made(staffed.robin, "own"))
    Expense.objects.all().delete()
    written(boss, archive.read("data.json"), "data.json")
    assert [expense.receipt.name for expense in Expense.objects.all()] == [""]
    assert len(data["expenses"]) == 1


# --- what is wrong ----------------------------------------------------------------------------------------------------------


def test_a_file_that_people_wrote_themselves_comes_in_with_defaults(boss: User) -> None:
    row = written(boss, sheet(), "own.json")
    assert (row.state, row.counts["new"]) == ("done", 6)
    entry = TimeEntry.objects.get()
    assert (entry.user.username, entry.project.client.currency, entry.task.name if entry.task else "") == ("ann", "CHF", "Design")
    assert (entry.ended_at and (entry.ended_at - entry.started_at).total_seconds(), entry.notes) == (3600, "")
    assert not entry.user.has_usable_password()
    assert not entry.user.is_superuser
    assert checked(boss, sheet(), "own.json").counts["new"] == 0


def change(section: str, **values: Any) -> Callable[[dict[str, list[dict[str, Any]]]], None]:
    return lambda lists: lists[section][0].update(values)


WRONG = [
    (change("clients", name=7), [(2, "clients 70, name", "This must be text, between quotation marks.")]),
    (change("clients", name="x" * 201), [(2, "clients 70, name", "Ensure this value has at most 200 characters (it has 201).")]),
    (change("clients", name="a\0b"), [(2, "clients 70, name", "The text holds a character that cannot be kept.")]),
    (change("clients", notes="\ud800"), [(2, "clients 70, notes", "The text holds a character that cannot be kept.")]),
    (change("clients", active="yes"), [(2, "clients 70, active", "This must be true or false.")]),
    (change("clients", colour="red"), [(2, "clients 70, colour", "This version of TimeTracker knows no such field.")]),
    (change("people", password="x"), [(1, "people 7, password", "This version of TimeTracker knows no such field.")]),
    (change("people", is_superuser=True), [(1, "people 7, is_superuser", "This version of TimeTracker knows no such field.")]),
    (change("people", role="King"), [(1, "people 7, role", "A role is one of Owner, Manager, Member, Bookkeeper, or empty.")]),
    (change("projects", client=71), [(3, "projects 700, client", "The list clients has no row of this id.")]),
    (change("projects", client="70"), [(3, "projects 700, client", "This is the id of a row: a whole number.")]),
    (
        lambda lists: (lists["tasks"][0].update(id=True), lists["time_entries"][0].update(task=None)),
        [(4, "tasks, id", "This is the id of a row: a whole number.")],
    ),
    (change("expenses", amount="-1"), [(6, "expenses, amount", "Ensure this value is greater than or equal to 0.01.")]),
    (change("expenses", amount="NaN"), [(6, "expenses, amount", "must be a decimal number")]),
    (change("expenses", billable=True, project=None), [(6, "expenses, project", "A billable expense needs a project.")]),
    (change("expenses", spent_on="2025-02-30"), [(6, "expenses, spent_on", "correct format")]),
    (
        change("time_entries", started_at="1999-01-01T00:00:00+00:00"),
        [(5, "time_entries, started_at", "The year must be from 2000 to 2100.")],
    ),
    (change("time_entries", started_at="2025-03-03T12:00:00+00:00"), [(5, "time_entries, ended_at", "The end must be after the start.")]),
    (change("time_entries", break_seconds=3601), [(5, "time_entries, break_seconds", "The break is longer than the entry.")]),
    (change("time_entries", source="guess"), [(5, "time_entries, source", "is not a valid choice")]),
    (lambda lists: lists["time_entries"].append(7), [(6, "time_entries", "A row is an object, between { and }.")]),
    (lambda lists: lists["time_entries"][0].pop("started_at"), [(5, "time_entries, started_at", "This is missing.")]),
    (
        lambda lists: lists["clients"].append({"id": 71, "name": "BAKERY"}),
        [(3, "clients 71", "Another row of this list is the same one.")],
    ),
    (
        lambda lists: lists["clients"].append({"id": 70, "name": "Other"}),
        [(3, "clients 70, id", "Each row of this list has an id of its own.")],
    ),
    (
        lambda lists: (
            lists["projects"].append({"id": 701, "client": 70, "name": "B", "code": "B"}) or lists["tasks"][0].update(project=701)
        ),
        [(6, "time_entries, task", "This task belongs to another project.")],
    ),
]


def bill(**values: Any) -> Callable[[dict[str, list[dict[str, Any]]]], None]:
    invoice = {"client": 70, "issued_on": "2025-04-01", "due_on": "2025-04-15", "number": "A-1", "status": "sent"}
    return lambda lists: lists.update(invoices=[invoice | values])


WRONG += [
    (bill(number=""), [(7, "invoices, number", "An invoice that is no draft has a number.")]),
    (bill(due_on="2025-03-31"), [(7, "invoices, due_on", "An invoice is not due before its date.")]),
    (
        bill(status="draft", payments=[{"amount": "1", "paid_on": "2025-04-02"}]),
        [(7, "invoices, payments", "Only an issued invoice is paid.")],
    ),
]


@pytest.mark.django_db
@pytest.mark.one_engine
@pytest.mark.parametrize(("changed", "told"), WRONG)
def test_each_row_that_is_wrong_is_told_with_its_field_and_nothing_comes_in(
    boss: User, changed: Callable[..., object], told: list[tuple[int, str, str]]
) -> None:
    before = counted()
    row = checked(boss, sheet(changed), "own.json")
    found = wrong(row)
    assert [(line, column) for line, column, _ in found] == [(line, column) for line, column, _ in told]
    assert all(reason in said for (_, _, reason), (_, _, said) in zip(told, found, strict=True)), found
    assert row.counts["bad"] == 1
    import_begin(row, Import.Act.WRITE)
    row.refresh_from_db()
    assert row.state == "checked", "what is wrong is found again"
    assert counted() == before


REFUSED = [
    (b"", "no export of TimeTracker"),
    (b"[]", "no export of TimeTracker"),
    (b"{}", "no export of TimeTracker"),
    (b'{"format": "timetracker-data/2", "clients": []}', "no export of TimeTracker"),
    (b'{"format": "timetracker-data/1"} x', "something follows its end"),
    (b'{"format": "timetracker-data/1", "clients": [{}', "no export of TimeTracker"),
    (b'{"format": "timetracker-data/1", "clients": [], "clients": []}', "is in it twice"),
    (b'{"format": "timetracker-data/1", "clients": ' + b"[" * 100_000, "no export of TimeTracker"),
    (b'{"format": "timetracker-data/1", "clients": [{"name": NaN}]}', "no export of TimeTracker"),
    (b'{"format": "timetracker-data/1", "clients": ["\xff"]}', "no export of TimeTracker"),
    (b'{"clients": [{"name": "' + b"x" * 5_000_000 + b'"}], "format": "timetracker-data/1"}', "more than 4 MB"),
]


@pytest.mark.django_db
@pytest.mark.one_engine
@pytest.mark.parametrize(("content", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_export_is_refused(boss: User, content: bytes, reason: str) -> None:
    row = checked(boss, content, "data.json")
    assert (row.state, reason in row.message) == ("failed", True), row.message
    assert counted()[:-1] == [0] * len(TABLES)


def zipped(data: bytes, **files: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.json", data)
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


@pytest.mark.django_db
@pytest.mark.one_engine
def test_a_zip_that_is_damaged_or_no_export_is_refused(boss: User) -> None:
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("manifest.json", "{}")
    for content in (other.getvalue(), b"PK\x03\x04 and nothing"):
        with pytest.raises(FileRefused):
            import_bring(SimpleUploadedFile("export.zip", content), kind="data", by=boss)
    good = zipped(sheet())
    torn = good.replace(good[60:70], b"0123456789", 1)
    row = checked(boss, torn)
    assert (row.state, "damaged" in row.message or "no export" in row.message) == ("failed", True)


RECEIPTS = [
    ({"name": "a.pdf", "member": "a.pdf"}, b"<html>", "“a.pdf” is no PDF file inside."),
    ({"name": "a.html", "member": "a.pdf"}, PDF, "“a.html” is not taken."),
    ({"name": "a.pdf", "member": "b.pdf"}, PDF, "The ZIP has no such file"),
    ({"name": "a.pdf", "member": "a.pdf"}, PDF + b"\0" * 10 * 1024 * 1024, "of more than 10 MB"),
    ({"name": "a.pdf", "member": 7}, PDF, "A file is an object with its name"),
    ("a.pdf", PDF, "A file is an object with its name"),
]


@pytest.mark.django_db
@pytest.mark.one_engine
@pytest.mark.parametrize(("receipt", "content", "reason"), RECEIPTS, ids=range(len(RECEIPTS)))
def test_a_file_is_taken_as_on_the_pages_or_told(boss: User, receipt: Any, content: bytes, reason: str) -> None:
    row = checked(boss, zipped(sheet(change("expenses", receipt=receipt)), **{"a.pdf": content}))
    assert [(column, reason in said) for _, column, said in wrong(row)] == [("expenses, receipt", True)], wrong(row)


@pytest.mark.django_db
def test_a_file_stays_below_its_folder_whatever_it_is_called(boss: User, media: Path) -> None:
    receipt = {"name": "../../../etc/a.pdf", "member": "a.pdf"}
    written(boss, zipped(sheet(change("expenses", receipt=receipt)), **{"a.pdf": PDF}))
    expense = Expense.objects.get()
    assert str(expense.receipt.name).startswith("receipts/")
    assert str(expense.receipt.name).endswith("/a.pdf")
    assert expense.receipt.read() == PDF
    expense.receipt.close()


def test_a_document_needs_its_file(boss: User) -> None:
    row = checked(
        boss, sheet(lambda lists: lists.update(documents=[{"client": 70, "title": "Offer", "file": {"name": "a.pdf", "member": "x"}}]))
    )
    assert [column for _, column, _ in wrong(row)] == ["documents, file"]


def test_what_came_in_between_takes_everything_back_files_too(
    staffed: Agency, boss: User, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = zipped(sheet(change("expenses", receipt={"name": "a.pdf", "member": "a.pdf"})), **{"a.pdf": PDF})
    row, before = checked(boss, content), counted()
    there = sorted(path for path in media.rglob("*") if path.is_file())

    def gone(*args: Any, **values: Any) -> None:
        raise ImportOvertaken

    monkeypatch.setattr(running, "_end", gone)
    import_begin(row, Import.Act.WRITE)
    assert counted() == before
    assert sorted(path for path in media.rglob("*") if path.is_file()) == there


def test_another_thing_of_the_same_number_or_code_is_told(staffed: Agency, boss: User) -> None:
    content = stored_bytes(made(staffed.owner, "everything"))
    Invoice._base_manager.filter(number="INV-0007").update(currency="CHF")
    Project.objects.filter(code="TOUR").update(client=Client.objects.get(name="Sample Bakery"))
    told = [(column.split(" ")[0], reason) for _, column, reason in wrong(checked(boss, content))]
    assert ("projects", "A project of another client has this code here. Change one of the two codes.") in told
    assert ("invoices", "Another invoice has this number here. Two invoices cannot have the same one.") in told


def test_one_timer_runs_for_each_person(boss: User) -> None:
    def with_timers(*days: int) -> bytes:
        timers = [{"user": 7, "project": 700, "started_at": f"2025-03-{day:02}T09:00:00+00:00"} for day in days]
        return sheet(lambda lists: lists["time_entries"].extend(timers))

    # Of somebody who is not here yet, too.
    assert [(line, column) for line, column, _ in wrong(checked(boss, with_timers(5, 6), "own.json"))] == [(7, "time_entries, ended_at")]
    written(boss, with_timers(5), "own.json")
    assert [column for _, column, _ in wrong(checked(boss, with_timers(6), "own.json"))] == ["time_entries, ended_at"]


# --- who may ----------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_role_is_given_by_who_may_give_it(boss: User) -> None:
    content = sheet(change("people", role="Owner"))
    clerk = somebody("clerk", Role.MANAGER, "imports.import_data", "accounts.add_user", "billing.add_invoice", "billing.add_payment")
    told = [(column, reason) for _, column, reason in wrong(checked(clerk, content, "own.json"))]
    assert told == [("people 7, role", "You may not give this role. Ask somebody who may, or leave it out.")]
    written(boss, content, "own.json")
    assert [group.name for group in User.objects.get(username="ann").groups.all()] == ["Owner"]


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "may"), [(Role.OWNER, True), (Role.MANAGER, False), (Role.MEMBER, False), (Role.BOOKKEEPER, False)])
def test_only_owners_bring_exports_in(role: Role, may: bool) -> None:
    browser = browser_of(somebody("kim", role))
    upload = SimpleUploadedFile("data.json", sheet())
    response = browser.post("/import-export/imports/new/", {"kind": "data", "file": upload})
    assert Import.objects.exists() == may
    assert (response.status_code == 302) == may


@pytest.mark.django_db
def test_an_export_is_checked_at_once_and_imported_by_a_button(boss: User) -> None:
    browser = browser_of(boss)
    upload = SimpleUploadedFile("data.json", sheet())
    page = browser.post("/import-export/imports/new/", {"kind": "data", "file": upload}, follow=True)
    text = page.content.decode()
    assert "The file is good. Nothing has been imported yet." in text
    assert '<th scope="row"><code>time_entries</code></th><td class="number">1</td><td class="number">0</td>' in text
    assert "Match the columns" not in text
    row = Import.objects.get()
    assert browser.get(f"/import-export/imports/{row.pk}/columns/")["Location"] == f"/import-export/imports/{row.pk}/"
    text = browser.post(f"/import-export/imports/{row.pk}/begin/", {"act": "write"}, follow=True).content.decode()
    assert "6 rows were imported, all of them." in text
    assert TimeEntry.objects.count() == 1
