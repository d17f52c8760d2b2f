"""Data of the time when invoices had their number from the first save on: an archive of it is migrated by its restore, and kept."""

from __future__ import annotations

import pytest

from backups.tests.site import Site
from backups.tests.warm import WarmSite

BEFORE = (("billing", "0002"), ("siteconf", "0001"), ("clients", "0001"))
INVOICES = [
    (1, "INV-0001", "paid"),
    (2, "INV-0002", "sent"),
    # A draft that has its number, one that was deleted (3), and one that was taken back.
    (4, "INV-0004", "draft"),
    (5, "2025/INV 5", "cancelled"),
]
ISSUE = """
from timetracker.accounts.models import User
from timetracker.billing.issuing import invoice_issue, invoice_pdf_keep
from timetracker.billing.models import Invoice
issued = invoice_issue(Invoice.objects.get(pk=4), User.objects.create_superuser("boss"))
kept = invoice_pdf_keep(Invoice.objects.get(pk=5))
print(issued.number, issued.status, bool(issued.pdf), bool(kept.pdf), Invoice.objects.get(pk=1).balance)
"""


def inserted(site: WarmSite, table: str, **values: object) -> None:
    """Write a row past the models, which are not of that time."""
    values |= {"created_at": "2025-03-02 10:00:00", "updated_at": "2025-03-02 10:00:00"}
    marks = ", ".join(["%s" if site.cluster else "?"] * len(values))
    with site.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", list(values.values()))


@pytest.fixture
def old(site: Site) -> WarmSite:
    """A site of that time, with invoices in every state."""
    warm = WarmSite.of(site)
    for app, name in BEFORE:
        warm.manage("migrate", app, name, "--verbosity", "0")
    words = dict.fromkeys(("contact_name", "email", "phone", "address", "notes"), "")
    switches = {"active": True, "portal_enabled": False} | dict.fromkeys(
        ("portal_shows_time", "portal_shows_invoices", "portal_shows_documents"), True
    )
    inserted(warm, "clients_client", id=1, name="Sample Bakery", currency="EUR", **words, **switches)
    days = {"issued_on": "2025-03-02", "due_on": "2025-03-16"}
    for pk, number, status in INVOICES:
        inserted(
            warm,
            "billing_invoice",
            id=pk,
            number=number,
            client_id=1,
            status=status,
            **days,
            currency="EUR",
            tax_rate=19,
            notes="Thank you.",
        )
        inserted(warm, "billing_invoiceitem", invoice_id=pk, position=1, description="Work", quantity=1.5, unit_price=90)
    inserted(warm, "billing_payment", invoice_id=1, amount=160.65, paid_on="2025-03-10", method="transfer", reference="")
    return warm


def test_older_archive_is_migrated_by_its_restore_and_its_numbers_stay(old: WarmSite) -> None:
    archive = old.manage("backup_create").stdout.strip()
    old.migrate()
    old.execute("UPDATE billing_invoice SET notes = 'changed'")
    old.manage("backup_restore", archive, "--no-input")

    found = old.fetch("SELECT id, number, status, notes, pdf, mailed_to, issued_by_id, mailed_at FROM billing_invoice ORDER BY id")
    assert found == [(pk, number, status, "Thank you.", "", "", None, None) for pk, number, status in INVOICES]
    assert old.fetch("SELECT DISTINCT unit FROM billing_invoiceitem") == [("",)]
    # What is new is enforced as on a site that was never restored.
    for wrong in ("number = 'INV-0001' WHERE id = 2", "number = '' WHERE id = 2"):
        with pytest.raises(Exception, match="(?i)constraint"):
            old.execute(f"UPDATE billing_invoice SET {wrong}")
    # The draft is issued under the number that it has.
    said = old.manage("shell", "--verbosity", "0", "--command", ISSUE).stdout.split()
    assert said == ["INV-0004", "sent", "True", "True", "0.00"]
