"""What a client's switches keep back is on no page, in no sum, in no chart and in no file."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client as Browser
from django.urls import reverse

from portal.tests.conftest import NINE, Side, make_invoice
from timetracker.billing.models import Invoice
from timetracker.tests.invoices import item_on
from timetracker.tracking.models import TimeEntry

AMOUNTS = ("EUR", "100.00", "200.00", "240.00", "40.00")


def everything(browser: Browser, own: Side) -> dict[str, str]:
    """The text of all that the portal has for her, by address."""
    pages: dict[str, list[Any]] = {name: [] for name in ("dashboard", "projects", "time", "time_csv", "invoices", "invoices_csv")}
    pages |= {"documents": [], "account": [], "report": [], "month": [2025, 3], "invoice": [own.invoice.pk]}
    texts = {}
    for name, keys in pages.items():
        response = browser.get(reverse(f"portal:{name}", args=keys))
        assert response.status_code == 200, name
        texts[name] = (b"".join(response) if response.streaming else response.content).decode()
    return texts


def pages_with(texts: dict[str, str], *words: str) -> set[str]:
    """The pages that say one of ``words``."""
    return {name for name, text in texts.items() if any(word in text for word in words)}


def switch_off(own: Side, switch: str) -> None:
    """Take a switch of the client away."""
    setattr(own.client, switch, False)
    own.client.save()


def bill(entry: TimeEntry, invoice: Invoice) -> None:
    """Hang ``entry`` on a line of ``invoice``."""
    entry.invoice_item = item_on(invoice, description="Billed work")
    entry.save()


def add_entry(own: Side, *, days: int, minutes: int, **fields: Any) -> TimeEntry:
    """One more entry of her project."""
    began = NINE + timedelta(days=days)
    return TimeEntry.objects.create(
        user=own.worker, project=own.project, started_at=began, ended_at=began + timedelta(minutes=minutes), **fields
    )


def test_names_are_kept_back_everywhere(browser: Browser, own: Side) -> None:
    assert pages_with(everything(browser, own), "Worker SB") == {"dashboard", "time", "time_csv", "month"}
    switch_off(own, "portal_shows_people")
    texts = everything(browser, own)
    assert not pages_with(texts, "Worker SB", "worker.SB", "Person<", ",Person,", 'name="person"')
    # Whose id was guessed changes nothing, so that nothing can be found out by it.
    for person in (own.worker.pk, own.user.pk, 10**9):
        asked = browser.get(reverse("portal:time"), {"person": person})
        assert asked.status_code == 200 and asked.context["sums"].count == 1


def test_notes_are_kept_back_everywhere(browser: Browser, own: Side) -> None:
    assert pages_with(everything(browser, own), "Notes SB") == {"dashboard", "time", "time_csv"}
    switch_off(own, "portal_shows_notes")
    texts = everything(browser, own)
    assert not pages_with(texts, "Notes SB") and ",Note," not in texts["time_csv"]


def test_amounts_are_kept_back_everywhere(browser: Browser, own: Side) -> None:
    own.invoice.pdf.save("SB-0001.pdf", ContentFile(b"%PDF-1.4 240.00"))
    own.invoice.pdf.close()
    with_amounts = {"dashboard", "report", "month", "invoices", "invoices_csv", "invoice"}
    assert pages_with(everything(browser, own), *AMOUNTS) == with_amounts
    assert b"".join(browser.get(reverse("portal:invoice_pdf", args=[own.invoice.pk]))) == b"%PDF-1.4 240.00"
    switch_off(own, "portal_shows_amounts")
    texts = everything(browser, own)
    assert not pages_with(texts, *AMOUNTS, "To pay", "Total", reverse("portal:invoice_pdf", args=[own.invoice.pk]))
    # A quantity is no amount; nor is how wide a bar of the chart is.
    drawn_off = re.sub(r"<svg.*?</svg>", "", "".join(texts[name] for name in with_amounts), flags=re.DOTALL)
    assert set(re.findall(r"\d+\.\d\d\b", drawn_off)) == {"2.00"}
    assert browser.get(reverse("portal:invoice_pdf", args=[own.invoice.pk])).status_code == 404
    # What was billed stays, and where it stands.
    assert "Work of SB-0001" in texts["invoice"] and "Overdue" in texts["invoice"] and "SB-0001" in texts["invoices_csv"]


def test_time_is_kept_back_until_it_is_billed(browser: Browser, own: Side) -> None:
    switch_off(own, "portal_shows_unbilled")
    add_entry(own, days=1, minutes=600, billable=False, notes="Never billed")
    draft = add_entry(own, days=2, minutes=300, notes="On a draft")
    bill(draft, own.draft)
    cancelled = add_entry(own, days=3, minutes=200, notes="On a cancelled one")
    bill(cancelled, make_invoice(own.client, "SB-0003", "cancelled"))
    hidden = ("Notes SB", "Never billed", "On a draft", "On a cancelled one", "1:35", "10:00", "5:00", "3:20", "5700", "Worker SB")
    assert not pages_with(everything(browser, own), *hidden)
    bill(own.entry, own.invoice)
    texts = everything(browser, own)
    assert pages_with(texts, "1:35", "5700") == {"dashboard", "projects", "time", "time_csv", "report", "month"}
    assert not pages_with(texts, *hidden[1:4], "18:", "11:35", "Not billed", "not charged", "not billed yet", 'name="standing"')
    assert "15 % of 10 h" in texts["projects"] and "15 % of 10 h" in texts["dashboard"]
    report = browser.get(reverse("portal:report")).context
    assert report["total"].seconds == report["total"].billed_seconds == 5700
    assert [row.sums.seconds for row in report["months"]] == [0, 0, 5700, *[0] * 9]
    assert sum(tower.other_height for tower in report["chart"].towers) == 0


def test_a_draft_does_not_show_in_what_is_not_billed_yet(browser: Browser, own: Side) -> None:
    """Else the sum would tell of a draft before it is issued."""
    dashboard = reverse("portal:dashboard")
    assert browser.get(dashboard).context["all_sums"].unbilled_seconds == 5700
    bill(own.entry, own.draft)
    assert browser.get(dashboard).context["all_sums"].unbilled_seconds == 5700
    bill(own.entry, own.invoice)
    sums = browser.get(dashboard).context["all_sums"]
    assert (sums.unbilled_seconds, sums.billed_seconds) == (0, 5700)


def test_an_invoice_of_another_client_bills_nothing_of_hers(browser: Browser, own: Side, other: Side) -> None:
    """A project may have changed its client."""
    bill(own.entry, other.invoice)
    assert browser.get(reverse("portal:dashboard")).context["all_sums"].unbilled_seconds == 5700
    switch_off(own, "portal_shows_unbilled")
    assert browser.get(reverse("portal:dashboard")).context["all_sums"].count == 0


SUMS: list[Callable[[Browser], int]] = [
    lambda browser: browser.get(reverse("portal:dashboard")).context["all_sums"].seconds,
    lambda browser: sum(row.sums.seconds for row in browser.get(reverse("portal:projects")).context["projects"]),
    lambda browser: sum(row.use.seconds for row in browser.get(reverse("portal:dashboard")).context["projects"]),
    lambda browser: browser.get(reverse("portal:time")).context["sums"].seconds,
    lambda browser: browser.get(reverse("portal:report"), {"year": 2025}).context["total"].seconds,
    lambda browser: browser.get(reverse("portal:month", args=[2025, 3])).context["total"].seconds,
    lambda browser: sum(line.sums.seconds for line in browser.get(reverse("portal:month", args=[2025, 3])).context["people"]),
]


@pytest.mark.parametrize("shows_unbilled", [True, False])
def test_all_sums_say_the_same(browser: Browser, own: Side, shows_unbilled: bool) -> None:
    bill(add_entry(own, days=1, minutes=60), own.invoice)
    add_entry(own, days=2, minutes=30, billable=False)
    own.client.portal_shows_unbilled = shows_unbilled
    own.client.save()
    expected = 60 * (60 + (95 + 30 if shows_unbilled else 0))
    assert [sums(browser) for sums in SUMS] == [expected] * len(SUMS)
