"""Make the demo data, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from random import Random

from django.apps import apps
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model

from timetracker.accounts.models import User
from timetracker.billing.models import Expense, Invoice, InvoiceItem, Payment
from timetracker.clients.models import Client, Document
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.demo import words
from timetracker.tracking.demo.agency import Agency, make_agency, months_needed
from timetracker.tracking.demo.attachments import make_attachments, make_letters
from timetracker.tracking.demo.calendar import first_day, working_days
from timetracker.tracking.demo.entries import ENTRY_FIELDS, BilledHours, entry_rows, open_month
from timetracker.tracking.demo.expenses import make_expenses
from timetracker.tracking.demo.files import DemoFiles
from timetracker.tracking.demo.invoices import make_invoices
from timetracker.tracking.demo.pictures import logo_png
from timetracker.tracking.demo.refusal import DemoRefused
from timetracker.tracking.demo.tables import Ids, analyze, insert_objects, insert_rows, lock_tables, set_sequences
from timetracker.tracking.models import DemoRun, Project, ProjectRate, Task, TimeEntry
from timetracker.tracking.sums import budgets_used

__all__ = ["DEMO_MODELS", "DemoReport", "demo_make"]

# By name: the portal stands above this app and is not imported here.
ClientPerson = apps.get_model("portal", "ClientPerson")

# Those with ids of their own, each after those that it refers to, but for time entries: they refer to invoice items,
# and foreign keys are checked when the transaction ends.
DEMO_MODELS: tuple[type[Model], ...] = (
    User,
    Client,
    ClientPerson,
    Project,
    ProjectRate,
    Task,
    TimeEntry,
    Invoice,
    InvoiceItem,
    Payment,
    Expense,
    Document,
)


@dataclass(frozen=True)
class DemoReport:
    """What was made or removed: rows by the model's plural name, files and their bytes; what was kept, as sentences."""

    rows: dict[str, int]
    files: int
    bytes: int
    kept: tuple[str, ...] = ()


def demo_make(*, seed: int, entries: int, uploads_mb: int, anchor_on: date, password: str = "", people: int | None = None) -> DemoReport:
    """Make the demo data up to the day before ``anchor_on``, and say what was made.

    ``entries`` is the exact number of time entries, ``uploads_mb`` the megabytes of files beyond receipts and letters.
    ``people`` is how many made them, over as many years as it takes; None: ten and more, in eighteen months.
    With ``password`` everybody can log in with it, else nobody can. Raises :class:`DemoRefused` where there is demo data
    already or a row of somebody's own has a name, code or number that the demo data would have. On any failure neither
    rows nor files stay.
    """
    files = DemoFiles()
    try:
        with transaction.atomic():
            report = _make(seed, entries, uploads_mb, anchor_on, password, people, files)
    except BaseException:
        files.discard()
        raise
    return report


def _make(seed: int, entries: int, uploads_mb: int, anchor_on: date, password: str, people: int | None, files: DemoFiles) -> DemoReport:
    lock_tables([DemoRun, SiteSettings, *DEMO_MODELS])
    if DemoRun.objects.exists():
        raise DemoRefused("There is demo data here already. Take it away first: ./run manage demo_data --remove")
    ids = Ids(DEMO_MODELS)
    months = months_needed(anchor_on=anchor_on, entries=entries, people=people)
    days, first = working_days(anchor_on, months), first_day(anchor_on, months)
    hashed = make_password(password) if password else ""
    agency = make_agency(seed=seed, anchor_on=anchor_on, entries=entries, people=people, months=months, ids=ids, password=hashed)
    site = SiteSettings.objects.first()
    own_site = site is None
    # Invoices continue the numbers of our own settings only; beside somebody's settings they have a series of their own.
    prefix = "INV-" if own_site else "DEMO-"
    if site is None:
        site = _site_settings(first, files)
    _refuse_taken_names(agency)

    insert_objects(User, [*agency.users, *(user for user, _ in agency.guests)])
    _join_roles(agency)
    insert_objects(Client, agency.clients)
    insert_objects(ClientPerson, (_client_person(ids, user, client) for user, client in agency.guests))
    insert_objects(Project, (demo.project for demo in agency.projects))
    insert_objects(ProjectRate, agency.rates)
    insert_objects(Task, agency.tasks)
    billed = BilledHours(site, open_month(days, anchor_on), ids)
    insert_rows(TimeEntry, ENTRY_FIELDS, entry_rows(seed=seed, entries=entries, days=days, agency=agency, billed=billed, ids=ids))
    _agree_budgets(seed, anchor_on, agency)

    expenses = make_expenses(seed=seed, days=days, agency=agency, ids=ids, files=files)
    ledger = make_invoices(
        seed=seed,
        first=first,
        anchor_on=anchor_on,
        agency=agency,
        billed=billed,
        expenses=expenses,
        site=site,
        prefix=prefix,
        ids=ids,
    )
    taken = Invoice.objects.filter(number__startswith=prefix).values_list("number", flat=True)
    numbers = {invoice.number for invoice in ledger.invoices if invoice.number}
    _refuse(numbers.intersection(taken), "invoices with the numbers")
    insert_objects(Invoice, ledger.invoices)
    insert_objects(InvoiceItem, ledger.items)
    insert_objects(Payment, ledger.payments)
    insert_objects(Expense, expenses)
    insert_objects(Document, make_letters(seed=seed, days=days, agency=agency, ids=ids, files=files))
    insert_objects(Document, make_attachments(seed=seed, megabytes=uploads_mb, days=days, agency=agency, ids=ids, files=files))

    ranges = ids.ranges()
    made = {model._meta.label_lower: span for model, span in ranges.items()}
    if own_site:
        site.invoice_next_number += len(numbers)
        insert_objects(SiteSettings, [site])
        made[SiteSettings._meta.label_lower] = (1, 1)
    DemoRun.objects.create(seed=seed, anchor_on=anchor_on, rows=made, files=files.hashes)
    set_sequences(ranges)
    analyze(ranges)
    counts = {str(model._meta.verbose_name_plural): last - first + 1 for model, (first, last) in ranges.items()}
    return DemoReport(counts, len(files.hashes), files.bytes)


def _agree_budgets(seed: int, anchor_on: date, agency: Agency) -> None:
    """Give each billable project a budget in whole tens of hours, of which its work has used most; of some more than all."""
    random = Random(f"{seed}/budgets")  # noqa: S311 (invented data)
    projects = [demo.project for demo in agency.projects if demo.project.billable]
    used = budgets_used(Project.objects.filter(pk__in=[project.pk for project in projects]), now=datetime.combine(anchor_on, time(), UTC))
    for project in projects:
        percent = random.randrange(85, 125) if project.status == Project.Status.CLOSED else random.randrange(40, 112)
        hours = used[project.pk].seconds / 3600
        project.budget_hours = Decimal(10 * max(4, round(hours * 10 / percent)))
    Project.objects.bulk_update(projects, ["budget_hours"], batch_size=500)


def _site_settings(first: date, files: DemoFiles) -> SiteSettings:
    made = datetime.combine(first, time(7), UTC)
    return SiteSettings(
        company_name=words.COMPANY,
        company_address="Specimen Square 2\n10000 Exampleville",
        company_email="office@studio.example",
        tax_number="XX000000000",
        payment_details="Account XX00 0000 0000 0000 0000 00 (invented)",
        logo=files.save("branding/logo.png", logo_png(words.COMPANY)),
        time_zone="Europe/Berlin",
        currency="EUR",
        rounding_minutes=15,
        rounding_direction=SiteSettings.Rounding.UP,
        invoice_due_days=30,
        default_tax_rate=Decimal(20),
        created_at=made,
        updated_at=made,
    )


def _client_person(ids: Ids, user: User, client: Client) -> Model:
    made = user.created_at
    return ClientPerson(id=ids.take(ClientPerson), user=user, client=client, invited_at=made, created_at=made, updated_at=made)


def _refuse_taken_names(agency: Agency) -> None:
    """Say which rows are in the way instead of failing on a unique constraint."""
    usernames = {user.username for user in [*agency.users, *(user for user, _ in agency.guests)]}
    names = {client.name.lower() for client in agency.clients}
    codes = {demo.project.code for demo in agency.projects}
    _refuse(usernames.intersection(User.objects.values_list("username", flat=True)), "people with the usernames")
    _refuse({name for name in Client.objects.values_list("name", flat=True) if name.lower() in names}, "clients with the names")
    _refuse(codes.intersection(Project.objects.values_list("code", flat=True)), "projects with the codes")


def _refuse(taken: set[str], what: str) -> None:
    if taken:
        named = ", ".join(sorted(taken)[:5]) + (f" and {len(taken) - 5} more" if len(taken) > 5 else "")
        raise DemoRefused(f"There are {what} {named}, which the demo data would have as well. Rename them first.")


def _join_roles(agency: Agency) -> None:
    """Put the first two people into the roles that lead and bill, the others into that of members, where the roles exist."""
    roles = {group.name: group for group in Group.objects.filter(name__in=["Manager", "Bookkeeper", "Member"])}
    names = ["Manager", "Bookkeeper"] + ["Member"] * (len(agency.users) - 2)
    membership = User.groups.through
    membership.objects.bulk_create(
        membership(user_id=user.id, group_id=roles[name].id) for user, name in zip(agency.users, names, strict=True) if name in roles
    )
