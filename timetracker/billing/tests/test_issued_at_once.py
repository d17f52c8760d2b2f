"""Several processes bill the same clients: no number is missing, none is given twice, and nothing is billed twice."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from backups.tests.site import Site

PROCESS, PROCESSES = "timetracker.billing.tests.billing_process", 4


def billed_by_several(site: Site, *, clients: int, days: int, seed: int) -> None:
    """Bill ``clients`` times ``days``, and look at every row and file that is there then."""
    filling = site.run_python("-m", PROCESS, "fill", str(clients), str(days))
    output, errors = filling.communicate(timeout=300)
    assert filling.returncode == 0, output + errors
    billing = [site.run_python("-m", PROCESS, "bill", str(seed + number), stdin=subprocess.PIPE) for number in range(PROCESSES)]
    for process in billing:
        assert process.stdout and process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
    for process in billing:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=3600) for process in billing]
    assert [process.returncode for process in billing] == [0] * PROCESSES, [errors for _, errors in ended]

    shares = [output.split() for output, _ in ended]
    numbers = [number for share in shares for number in share]
    expected = [f"INV-{number:04d}" for number in range(1, len(numbers) + 1)]
    assert sorted(numbers) == expected, "a number is missing, or was given twice"
    stored = site.fetch("SELECT number, pdf FROM billing_invoice WHERE status = 'sent' ORDER BY number")
    assert [number for number, _ in stored] == expected
    assert site.fetch("SELECT invoice_next_number FROM siteconf_sitesettings") == [(len(numbers) + 1,)]
    # Each has its file, and no failed one left any.
    assert sorted(pdf for _, pdf in stored) == sorted(str(path.relative_to(site.media)) for path in pdfs(site.media))
    # Everything is billed; each line bills exactly the hours that hang on it, each expense has a line of its own.
    assert site.fetch("SELECT count(*) FROM tracking_timeentry WHERE invoice_item_id IS NULL") == [(0,)]
    assert site.fetch("SELECT count(*), count(DISTINCT invoice_item_id) FROM billing_expense") == [(clients * days,) * 2]
    hours = sum(quantity for (quantity,) in site.fetch("SELECT quantity FROM billing_invoiceitem WHERE unit = 'h'"))
    assert hours == pytest.approx(clients * days * 2.75)
    counted = "SELECT i.quantity, count(*) FROM billing_invoiceitem i JOIN tracking_timeentry e ON e.invoice_item_id = i.id"
    per_line = f"{counted} GROUP BY i.id, i.quantity"
    assert all(quantity == pytest.approx(count / 2 * 2.75) for quantity, count in site.fetch(per_line))
    print(f"seed {seed}: {len(numbers)} invoices by {PROCESSES} processes, {[len(share) for share in shares]} each")
    # SQLite lets writers wait without a turn: there one of them may have it all before the others come in.
    assert site.vendor == "sqlite" or sum(bool(share) for share in shares) > 1, "one process did it all: they hardly met"
    assert len(numbers) >= clients * days / 2


def pdfs(media: Path) -> list[Path]:
    return list((media / "invoices").rglob("*.pdf"))


def test_of_invoices_issued_at_once_no_number_is_missing_and_nothing_is_billed_twice(site: Site) -> None:
    billed_by_several(site, clients=5, days=16, seed=20261123)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_of_five_hundred_invoices_issued_at_once_no_number_is_missing_and_nothing_is_billed_twice(site: Site) -> None:
    billed_by_several(site, clients=20, days=50, seed=random.randrange(10**6))
