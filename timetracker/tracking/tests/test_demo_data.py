"""``manage.py demo_data``: the same on every run, believable, whole, and gone without a trace."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, Field, ForeignKey, Model, Sum
from PIL import Image

from timetracker.accounts.models import User
from timetracker.billing.models import Expense, Invoice, InvoiceItem
from timetracker.clients.models import Client, Document
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.demo import DemoRefused, demo_make, demo_remove
from timetracker.tracking.demo.make import DEMO_MODELS
from timetracker.tracking.demo.tables import insert_objects
from timetracker.tracking.durations import rounded_seconds
from timetracker.tracking.models import DemoRun, Project, ProjectRate, Task, TimeEntry
from timetracker.tracking.rates import rate_for
from timetracker.tracking.sums import budgets_used

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]

ANCHOR = date(2025, 6, 16)
ENTRIES = 1500
MODELS: tuple[type[Model], ...] = (*DEMO_MODELS, SiteSettings)


def make(*, entries: int = ENTRIES, uploads_mb: int = 0) -> None:
    demo_make(seed=7, entries=entries, uploads_mb=uploads_mb, anchor_on=ANCHOR)


def tree(folder: Path) -> dict[str, str]:
    """Relative path to SHA-256 of every file, and of every folder to nothing."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def digest() -> str:
    """SHA-256 over all rows of the demo data, with every id counted from the first of its table."""
    ranges = {apps.get_model(label): span for label, span in DemoRun.objects.get().rows.items()}

    def value(row: Model, field: Field[object, object]) -> object:
        plain = getattr(row, field.attname)
        target = field.remote_field.model if isinstance(field, ForeignKey) else type(row) if field.primary_key else None
        return plain - ranges[target][0] if target is not None and plain is not None else str(plain)

    sha256 = hashlib.sha256()
    for model in MODELS:
        for row in model._default_manager.filter(pk__range=ranges[model]).order_by("pk"):
            sha256.update(json.dumps([value(row, field) for field in model._meta.concrete_fields]).encode())
    return sha256.hexdigest()


def test_same_seed_gives_the_same_rows_and_files_and_another_seed_others(media: Path) -> None:
    found = []
    for seed in (7, 7, 8):
        demo_make(seed=seed, entries=400, uploads_mb=1, anchor_on=ANCHOR)
        found.append((digest(), tree(media)))
        demo_remove()
    assert found[0] == found[1]
    assert found[0][0] != found[2][0] and found[0][1] != found[2][1]


@pytest.mark.parametrize("entries", [0, 1, 37])
def test_number_of_entries_is_exact_and_one_timer_runs(entries: int) -> None:
    make(entries=entries)
    assert TimeEntry.objects.count() == entries
    running = TimeEntry.objects.filter(ended_at__isnull=True)
    assert running.count() == min(entries, 1)


def test_agency_grows_where_ten_people_could_not_work_as_much() -> None:
    make(entries=30_000)
    assert TimeEntry.objects.count() == 30_000
    assert 10 < User.objects.filter(client_person__isnull=True).count() < 20


def test_so_many_people_make_the_entries_over_as_many_years_as_it_takes() -> None:
    demo_make(seed=7, entries=12_000, uploads_mb=0, anchor_on=ANCHOR, people=3)
    assert TimeEntry.objects.count() == 12_000
    assert User.objects.filter(client_person__isnull=True).count() == 3
    assert TimeEntry.objects.filter(started_at__lt=datetime(2021, 12, 15, tzinfo=UTC)).exists()
    # Nobody works more than a person can, there are invoices of every month, and one of the projects goes on to this day.
    busiest = TimeEntry.objects.values("user", "started_at__date").annotate(count=Count("pk")).order_by("-count")[0]
    assert busiest["count"] <= 10
    assert len({invoice.issued_on for invoice in Invoice.objects.all()}) == 42
    assert Project.objects.filter(status="active").exists()
    connection.check_constraints()


def test_people_change_nothing_of_what_they_make_by_themselves() -> None:
    found = []
    for people in (None, 10):
        demo_make(seed=7, entries=400, uploads_mb=0, anchor_on=ANCHOR, people=people)
        found.append(digest())
        demo_remove()
    assert found[0] == found[1]


def test_more_entries_than_so_many_people_can_have_made_are_refused() -> None:
    with pytest.raises(DemoRefused, match="3 people cannot have made 200000 entries since 2000. Ask for more people or fewer entries."):
        demo_make(seed=7, entries=200_000, uploads_mb=0, anchor_on=ANCHOR, people=3)
    assert not User.objects.exists()
    with pytest.raises(CommandError, match="2 is no number of 3 or more"):
        call_command("demo_data", "--people", "2")


def test_every_row_passes_the_checks_of_its_form() -> None:
    make()
    for model in MODELS:
        excluded = [field.name for field in model._meta.concrete_fields if field.unique or isinstance(field, ForeignKey)]
        for row in model._default_manager.all():
            row.clean_fields(exclude=excluded)
            row.clean()
    connection.check_constraints()


def test_work_lies_in_eighteen_months_of_working_days_and_nobody_is_in_two_places() -> None:
    make()
    last: dict[int, TimeEntry] = {}
    days = set()
    for entry in TimeEntry.objects.order_by("started_at"):
        before = last.get(entry.user_id)
        assert before is None or (before.ended_at is not None and before.ended_at <= entry.started_at), (before, entry)
        last[entry.user_id] = entry
        days.add(entry.started_at.date())
    assert min(days) >= date(2023, 12, 1) and min(days) < date(2023, 12, 15)
    assert max(days) == ANCHOR - timedelta(days=3)
    assert all(day.weekday() < 5 for day in days)
    assert User.objects.filter(client_person__isnull=True).count() == 10


def test_invoices_bill_exactly_the_rounded_hours_of_their_entries_at_the_rate_that_counts() -> None:
    make()
    seconds: dict[int, int] = defaultdict(int)
    rates: dict[int, set[tuple[Decimal, str]]] = defaultdict(set)
    for entry in TimeEntry.objects.filter(invoice_item__isnull=False).select_related("user", "project__client", "invoice_item"):
        item = entry.invoice_item
        assert item is not None and item.project == entry.project
        seconds[item.pk] += rounded_seconds(int(entry.worked.total_seconds()), minutes=15, direction="up")
        rate = rate_for(user=entry.user, project=entry.project)
        assert rate is not None
        rates[item.pk].add((rate.amount, rate.currency))
    assert len(seconds) > 100
    for item in InvoiceItem.objects.filter(pk__in=seconds).select_related("invoice__client"):
        assert item.quantity * 3600 == seconds[item.pk]
        assert rates[item.pk] == {(item.unit_price, item.invoice.currency)}
        assert item.invoice.currency == item.invoice.client.currency
    assert any(item.expenses.exists() for item in InvoiceItem.objects.exclude(pk__in=seconds))


def test_invoices_are_paid_paid_in_part_overdue_and_drafts_in_several_currencies() -> None:
    make(entries=4000)
    invoices = list(Invoice.objects.prefetch_related("items", "payments"))
    assert {invoice.currency for invoice in invoices} == {"EUR", "USD", "GBP", "CHF", "SEK"}
    paid = [invoice for invoice in invoices if invoice.status == Invoice.Status.PAID]
    assert len(paid) > len(invoices) / 2 and all(invoice.balance == 0 for invoice in paid)
    owed = [invoice for invoice in invoices if invoice.status == Invoice.Status.SENT]
    assert all(invoice.balance > 0 for invoice in owed)
    assert any(invoice.is_overdue(ANCHOR) and invoice.paid > 0 for invoice in owed)
    assert any(invoice.is_overdue(ANCHOR) and invoice.paid == 0 for invoice in owed)
    assert any(not invoice.is_overdue(ANCHOR) for invoice in owed)
    assert any(invoice.status == Invoice.Status.DRAFT for invoice in invoices)
    numbers = [invoice.number for invoice in sorted(invoices, key=lambda invoice: invoice.pk) if not invoice.is_draft]
    assert numbers == [f"INV-{number:04d}" for number in range(1, len(numbers) + 1)]
    assert {invoice.number for invoice in invoices if invoice.is_draft} == {""}
    assert SiteSettings.load().invoice_next_number == len(numbers) + 1
    assert all(invoice.issued_on < ANCHOR for invoice in invoices)


def test_every_file_is_named_by_a_row_and_opens_as_what_it_is(media: Path) -> None:
    make(uploads_mb=2)
    names = {
        SiteSettings.load().logo.name,
        *Expense.objects.exclude(receipt="").values_list("receipt", flat=True),
        *Document.objects.values_list("file", flat=True),
    }
    assert names == {name for name, sha256 in tree(media).items() if sha256}
    assert all(re.fullmatch(r"(receipts|documents)/\d{4}/\d{2}/[\w.-]+|branding/logo\.png", name) for name in names)
    kinds: dict[str, int] = defaultdict(int)
    for name in names:
        path = media / name
        kinds[path.suffix] += 1
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
                assert image.format == "PNG" and image.width > 100
        elif path.suffix == ".pdf":
            content = path.read_bytes()
            assert content.startswith(b"%PDF-") and content.rstrip().endswith(b"%%EOF")
            # Where a reader begins: the table of objects, at the offset that the last lines name.
            offset = int(content.rsplit(b"startxref", 1)[1].split()[0])
            assert content[offset : offset + 4] == b"xref" and b"/Type /Page" in content
        else:
            assert path.suffix == ".csv" and path.read_text().startswith("date,person,project,hours,notes\n")
    assert kinds[".png"] > 20 and kinds[".pdf"] > 50 and kinds[".csv"] > 0


def test_uploads_are_as_many_megabytes_as_asked_for_and_nine_tenths_cannot_be_made_smaller(media: Path) -> None:
    make(entries=0)
    before = tree(media)
    demo_remove()
    make(entries=0, uploads_mb=4)
    added = [(media / name).read_bytes() for name, sha256 in tree(media).items() if sha256 and before.get(name) != sha256]
    size = sum(map(len, added))
    assert 4 * 1024**2 <= size < 6 * 1024**2
    packed = sum(len(zlib.compress(content, 1)) for content in added)
    assert 0.85 < packed / size < 0.97


def test_ids_go_on_after_the_last_one() -> None:
    make(entries=10)
    client = Client.objects.create(name="A Client of Ours")
    project = Project.objects.create(client=client, name="Work", code="WORK")
    user = User.objects.create(username="me")
    entry = TimeEntry.objects.create(user=user, project=project)
    ranges = DemoRun.objects.get().rows
    for row in (client, project, user, entry):
        assert row.pk > ranges[row._meta.label_lower][1]


def test_nobody_can_log_in_unless_a_password_was_given() -> None:
    make(entries=0)
    assert not any(user.has_usable_password() for user in User.objects.all())
    demo_remove()
    demo_make(seed=7, entries=0, uploads_mb=0, anchor_on=ANCHOR, password="correct horse battery")
    assert all(user.check_password("correct horse battery") for user in User.objects.all()[:2])


def test_second_run_is_refused_and_changes_nothing(media: Path) -> None:
    make(entries=50)
    rows, files = digest(), tree(media)
    with pytest.raises(DemoRefused, match="There is demo data here already. Take it away first: ./run manage demo_data --remove"):
        make(entries=50)
    assert (digest(), tree(media)) == (rows, files)


def test_abort_leaves_neither_rows_nor_files(media: Path) -> None:
    """An invoice of ours has a number that the demo data would have: found after files and entries were written."""
    ours = Client.objects.create(name="A Client of Ours")
    Invoice.objects.create(number="INV-0003", client=ours, issued_on=ANCHOR, due_on=ANCHOR)
    with pytest.raises(DemoRefused, match="There are invoices with the numbers INV-0003, which the demo data would have as well."):
        make()
    assert not TimeEntry.objects.exists() and not User.objects.exists() and not DemoRun.objects.exists()
    assert list(Client.objects.all()) == [ours]
    assert not any(tree(media).values())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (User(username="robin.sample"), "people with the usernames robin.sample"),
        (Client(name="EXAMPLE STUDIO (internal)"), "clients with the names EXAMPLE STUDIO"),
    ],
)
def test_name_that_is_taken_is_refused_with_the_name(row: Model, message: str) -> None:
    row.pk = None
    row.save()
    with pytest.raises(DemoRefused, match=message):
        make()


def test_demo_invoices_beside_settings_of_ours_have_numbers_of_their_own() -> None:
    SiteSettings.objects.create(company_name="Us", rounding_minutes=30, rounding_direction="down")
    make(entries=400)
    issued = Invoice.objects.exclude(status="draft")
    assert set(issued.values_list("number", flat=True)) == {f"DEMO-{n:04d}" for n in range(1, issued.count() + 1)}
    assert SiteSettings.load().company_name == "Us" and SiteSettings.load().invoice_next_number == 1
    demo_remove()
    assert SiteSettings.load().company_name == "Us"


def test_removal_takes_all_demo_rows_and_files_and_keeps_ours(media: Path) -> None:
    client = Client.objects.create(name="A Client of Ours")
    (media / "documents").mkdir(parents=True)
    (media / "documents" / "ours.pdf").write_bytes(b"%PDF-")
    Document.objects.create(client=client, title="Ours", file="documents/ours.pdf")
    make(uploads_mb=1)
    project = Project.objects.create(client=client, name="Work", code="WORK")
    user = User.objects.create(username="me")
    entry = TimeEntry.objects.create(user=user, project=project)
    counts = {model: model._default_manager.count() for model in DEMO_MODELS}

    report = demo_remove()

    left = {model: list(model._default_manager.all()) for model in DEMO_MODELS if model._default_manager.exists()}
    assert left == {User: [user], Client: [client], Project: [project], TimeEntry: [entry], Document: [Document.objects.get(title="Ours")]}
    assert sum(report.rows.values()) == sum(counts.values()) - 5
    assert not SiteSettings.objects.exists() and not DemoRun.objects.exists()
    assert report.kept == ()
    assert [name for name, sha256 in tree(media).items()] == ["documents", "documents/ours.pdf"]


@pytest.mark.parametrize("tie", ["entry on a demo project", "demo entry on our invoice", "task for a demo person"])
def test_removal_is_refused_while_rows_of_ours_and_demo_rows_are_tied(tie: str, media: Path) -> None:
    make(entries=300)
    files = tree(media)
    client = Client.objects.create(name="A Client of Ours")
    project = Project.objects.create(client=client, name="Work", code="WORK")
    user = User.objects.create(username="me")
    row: Model
    if tie == "entry on a demo project":
        row = TimeEntry.objects.create(user=user, project=Project.objects.exclude(pk=project.pk)[0])
        message = rf"1 time entry of people \(id {row.pk}\), tied to demo projects"
    elif tie == "task for a demo person":
        row = Task.objects.create(project=project, name="Ours", assignee=User.objects.exclude(pk=user.pk)[0])
        message = rf"1 task of people \(id {row.pk}\), tied to demo users"
    else:
        invoice = Invoice.objects.create(number="OURS", client=client, issued_on=ANCHOR, due_on=ANCHOR)
        row = InvoiceItem.objects.create(invoice=invoice, description="Work", unit_price=Decimal(1))
        entry = TimeEntry.objects.filter(billable=True, ended_at__isnull=False)[0]
        TimeEntry.objects.filter(pk=entry.pk).update(invoice_item=row)
        message = rf"1 demo time entry \(id {entry.pk}\), tied to invoice items of people"
    with pytest.raises(DemoRefused, match=message):
        demo_remove()
    assert tree(media) == files and TimeEntry.objects.count() >= 300
    row.delete()
    demo_remove()
    assert not TimeEntry.objects.exists()


def test_removal_keeps_settings_and_files_that_were_changed_since(media: Path) -> None:
    make(entries=10)
    site = SiteSettings.load()
    site.company_name = "Us"
    site.save()
    changed, swapped = Expense.objects.filter(receipt__endswith=".pdf").order_by("pk")[:2]
    Path(changed.receipt.path).write_bytes(b"%PDF- ours")
    Expense.objects.filter(pk=swapped.pk).update(receipt="receipts/ours.pdf")
    (media / "receipts" / "ours.pdf").write_bytes(b"%PDF- ours")

    kept = demo_remove().kept

    assert set(kept) == {
        "The site settings were changed since and are kept.",
        "receipts/ours.pdf was put there since and is kept.",
        f"{changed.receipt.name} has another content since and is kept.",
    }
    assert SiteSettings.load().company_name == "Us"
    files = {name for name, sha256 in tree(media).items() if sha256}
    assert files == {"branding/logo.png", "receipts/ours.pdf", changed.receipt.name}


def test_removal_takes_what_was_changed_of_demo_rows_with_it() -> None:
    make(entries=100)
    Client.objects.update(notes="read and edited")
    ProjectRate.objects.update(hourly_rate=Decimal(1))
    demo_remove()
    assert not Client.objects.exists()


def test_removal_where_there_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="There is no demo data here."):
        call_command("demo_data", "--remove")


def test_command_says_what_it_made_and_removed() -> None:
    output = StringIO()
    call_command("demo_data", "--entries", "1_200", "--uploads-mb", "0", "--anchor", "2025-06-16", stdout=output)
    call_command("demo_data", "--remove", stdout=output)
    made, removed = output.getvalue().splitlines()
    assert made.startswith("Made 12 users, 13 clients, 2 client people, ") and " 1200 time entries, " in made
    assert removed.startswith("Removed 12 users, 13 clients, 2 client people, ") and " 1200 time entries, " in removed


@pytest.mark.parametrize("wrong", [["--entries", "-1"], ["--entries", "many"], ["--anchor", "today"], ["--uploads-mb", "-1"]])
def test_wrong_options_are_refused(wrong: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("demo_data", *wrong)


def test_rows_keep_every_character_on_the_way_in() -> None:
    make(entries=0)
    client = Client.objects.latest("pk")
    notes = "tab\there, new\nline, return\rhere, back\\slash, \\N, \\., “quotes”, 'one', \x0b, naïve — 漢字 🙂"
    project = Project(
        pk=10_000_000, client=client, name="x", code="ODD", notes=notes, created_at=client.created_at, updated_at=client.created_at
    )
    insert_objects(Project, [project])
    assert Project.objects.get(code="ODD").notes == notes


def test_total_hours_are_believable() -> None:
    make(entries=4000)
    breaks = TimeEntry.objects.aggregate(total=Sum("break_seconds"))["total"]
    worked = sum((entry.worked for entry in TimeEntry.objects.filter(ended_at__isnull=False)), timedelta())
    people_days = TimeEntry.objects.values("user_id", "started_at__date").distinct().count()
    assert timedelta(hours=3) < worked / people_days < timedelta(hours=9)
    assert 0 < breaks < worked.total_seconds() / 8


@pytest.mark.parametrize("people", [None, 4])
def test_budgets_are_used_in_large_part_and_some_are_overdrawn_a_little(people: int | None) -> None:
    demo_make(seed=7, entries=6000, uploads_mb=0, anchor_on=ANCHOR, people=people)
    billable = Project.objects.filter(billable=True)
    now = datetime.combine(ANCHOR, time(), UTC)
    used = [use.percent for use in budgets_used(billable, now=now).values() if use.seconds > 200 * 3600]
    assert len(used) >= 5
    assert None not in used
    assert all(30 <= percent <= 140 for percent in used if percent is not None), used
    assert any(percent > 100 for percent in used if percent is not None), used
    assert not Project.objects.filter(billable=False, budget_hours__isnull=False).exists()
