"""The report by month, and what the addresses of time, report and CSV take."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.test import Client as Browser
from django.urls import reverse

from portal.tests.conftest import NINE, Side, make_invoice
from timetracker.tests.invoices import item_on
from timetracker.tracking.models import Project, Task, TimeEntry


def read_csv(browser: Browser, name: str, **asked: Any) -> list[dict[str, str]]:
    """The rows of a file, by the names of its columns."""
    response = browser.get(reverse(f"portal:{name}"), asked)
    assert response.status_code == 200 and response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith("attachment; filename=")
    return list(csv.DictReader(StringIO(b"".join(response).decode())))


def add_entry(own: Side, began: datetime, minutes: int, **fields: Any) -> TimeEntry:
    """Time of her project, or of another one."""
    project = fields.pop("project", own.project)
    return TimeEntry.objects.create(
        user=own.worker, project=project, started_at=began, ended_at=began + timedelta(minutes=minutes), **fields
    )


def test_a_year_is_shown_month_by_month_with_what_was_invoiced(browser: Browser, own: Side) -> None:
    add_entry(own, datetime(2025, 7, 1, 9, tzinfo=UTC), 30, billable=False)
    add_entry(own, datetime(2024, 7, 1, 9, tzinfo=UTC), 60)
    make_invoice(own.client, "SB-CHF", price="10.00", currency="CHF")
    page = browser.get(reverse("portal:report"))
    assert page.context["year"] == 2025 and (page.context["previous"], page.context["following"]) == (2024, None)
    assert [row.sums.seconds for row in page.context["months"]] == [0, 0, 5700, 0, 0, 0, 1800, 0, 0, 0, 0, 0]
    assert page.context["currencies"] == ["CHF", "EUR"]
    assert page.context["months"][2].invoiced == (Decimal("24.00"), Decimal("240.00"))
    assert page.context["invoiced"] == [Decimal("24.00"), Decimal("240.00")]
    html = page.content.decode()
    for words in ("Report of 2025", "1:35", "2:05", "240.00", "<svg", "not charged", reverse("portal:month", args=[2025, 3])):
        assert words in html, words
    assert browser.get(reverse("portal:report"), {"year": 2024}).context["total"].seconds == 3600


def test_a_month_is_shown_by_project_task_and_person(browser: Browser, own: Side) -> None:
    second = Project.objects.create(client=own.client, name="Second", code="SB-2")
    review = Task.objects.create(project=own.project, name="Review")
    add_entry(own, NINE, 25, project=second)
    add_entry(own, NINE, 5, task=review)
    page = browser.get(reverse("portal:month", args=[2025, 3]))
    assert [(line.name, line.sums.seconds // 60) for line in page.context["projects"]] == [("Project SB", 100), ("Second", 25)]
    assert [(line.name, line.sums.seconds // 60) for line in page.context["projects"][0].inner] == [("Task SB", 95), ("Review", 5)]
    assert page.context["projects"][1].inner == ()
    assert [(line.name, line.sums.count) for line in page.context["people"]] == [("Worker SB", 3)]
    html = page.content.decode()
    assert own.invoice.number in html and "since=2025-03-01&amp;until=2025-03-31" in html
    empty = browser.get(reverse("portal:month", args=[2025, 4])).content.decode()
    assert "No time in April 2025." in empty and own.invoice.number not in empty


def test_months_are_those_of_the_readers_time_zone(browser: Browser, own: Side) -> None:
    add_entry(own, datetime(2025, 5, 31, 23, 30, tzinfo=UTC), 20)
    for zone, month in (("UTC", 5), ("Asia/Tokyo", 6)):
        own.user.time_zone = zone
        own.user.save()
        months = browser.get(reverse("portal:report"), {"year": 2025}).context["months"]
        assert [row.first.month for row in months if row.sums.seconds == 1200] == [month]
        assert browser.get(reverse("portal:month", args=[2025, month])).context["total"].seconds == 1200
        (row,) = read_csv(browser, "time_csv", since=f"2025-{month:02}-01")
        assert (row["Date"], row["Seconds"], row["Hours"]) == ("2025-05-31" if month == 5 else "2025-06-01", "1200", "0.3333")


def test_a_time_zone_that_this_system_does_not_know_is_no_error(browser: Browser, own: Side) -> None:
    """A restore may bring data of a system with newer zones."""
    own.user.time_zone = "Europe/Newest"
    own.user.save()
    assert browser.get(reverse("portal:time")).status_code == 200
    assert read_csv(browser, "time_csv")[0]["Start"] == "2025-03-03T09:00:00+00:00"


NONSENSE: list[dict[str, Any]] = [
    {"year": "x"},
    {"year": "-1"},
    {"year": "9" * 40},
    {"year": "2025\0"},
    {"page": "x", "since": "0001-01-01"},
    {"since": "9999-12-31"},
    {"until": "9999-12-31", "standing": "x"},
    {"since": "2025-13-45"},
    {"standing": "billed\0"},
]


@pytest.mark.parametrize("asked", NONSENSE, ids=str)
def test_nonsense_is_answered_and_no_error(browser: Browser, own: Side, asked: dict[str, Any]) -> None:
    for name in ("report", "time", "time_csv", "projects", "invoices", "invoices_csv", "documents"):
        response = browser.get(reverse(f"portal:{name}"), asked)
        assert response.status_code in (200, 404), name
        if response.streaming:
            b"".join(response)


@pytest.mark.parametrize("number", ["0", "13", "99999999999999999999999"])
def test_no_month_is_not_found(browser: Browser, number: str) -> None:
    assert browser.get(f"/portal/report/2025/{number}/").status_code == 404
    assert browser.get(f"/portal/report/{number}/1/").status_code == 404


def test_a_client_without_anything_gets_an_empty_report(browser: Browser, own: Side) -> None:
    TimeEntry.objects.all().delete()
    own.client.portal_shows_invoices = False
    own.client.save()
    page = browser.get(reverse("portal:report"))
    assert page.status_code == 200 and "Nothing in" in page.content.decode()


def test_time_is_filtered_by_person_and_by_billing(browser: Browser, own: Side, other: Side) -> None:
    own.entry.invoice_item = item_on(own.invoice)
    own.entry.save()
    add_entry(own, NINE, 10)
    add_entry(own, NINE, 20, billable=False)
    TimeEntry.objects.filter(pk=add_entry(own, NINE, 40).pk).update(user=other.worker)

    def minutes(**asked: Any) -> int:
        seconds: int = browser.get(reverse("portal:time"), asked).context["sums"].seconds
        assert sum(int(row["Seconds"]) for row in read_csv(browser, "time_csv", **asked)) == seconds
        return seconds // 60

    assert minutes() == 165
    assert [minutes(standing=standing) for standing in ("billed", "to bill", "free")] == [95, 50, 20]
    assert (minutes(person=own.worker.pk), minutes(person=other.worker.pk)) == (125, 40)
    assert minutes(person=own.worker.pk, standing="to bill", project=own.project.pk) == 10
    # Somebody who has not worked for her does not exist.
    for stranger in (own.user.pk, 0, "x", 10**30):
        for name in ("time", "time_csv"):
            assert browser.get(reverse(f"portal:{name}"), {"person": stranger}).status_code == 404


def test_csv_has_all_rows_oldest_first_and_nothing_internal(browser: Browser, own: Side) -> None:
    own.entry.tags = "internal-tag"
    own.entry.save()
    TimeEntry.objects.bulk_create(
        TimeEntry(user=own.worker, project=own.project, started_at=NINE + timedelta(days=day), ended_at=NINE + timedelta(days=day, hours=1))
        for day in range(1, 121)
    )
    rows = read_csv(browser, "time_csv")
    assert len(rows) == 121 and [row["Start"] for row in rows] == sorted(row["Start"] for row in rows)
    assert rows[0] == {
        "Date": "2025-03-03",
        "Start": "2025-03-03T09:00:00+00:00",
        "End": "2025-03-03T10:35:00+00:00",
        "Project": "Project SB",
        "Project code": "SB",
        "Task": "Task SB",
        "Person": "Worker SB",
        "Note": "Notes SB",
        "Seconds": "5700",
        "Hours": "1.5833",
        "Billing": "not billed yet",
    }


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_text_in_a_csv_is_a_formula(browser: Browser, own: Side, formula: str) -> None:
    Project.objects.filter(pk=own.project.pk).update(name=formula)
    Task.objects.filter(project=own.project).update(name=formula)
    TimeEntry.objects.filter(pk=own.entry.pk).update(notes=formula)
    type(own.worker).objects.filter(pk=own.worker.pk).update(full_name=formula)
    (row,) = read_csv(browser, "time_csv")
    for column in ("Project", "Task", "Person", "Note"):
        assert row[column].startswith("'") and row[column] == f"'{formula}", column
    make_invoice(own.client, formula)
    assert f"'{formula}" in [row["Invoice"] for row in read_csv(browser, "invoices_csv")]


def test_invoices_as_csv_have_exact_amounts_and_their_currency(browser: Browser, own: Side) -> None:
    make_invoice(own.client, "CHF-1", "paid", price="0.05", currency="CHF")
    rows = read_csv(browser, "invoices_csv")
    assert [list(row.values()) for row in rows] == [
        ["SB-0001", "2025-03-02", "2025-03-16", "Overdue", "EUR", "200.00", "40.00", "240.00", "40.00", "200.00"],
        ["CHF-1", "2025-03-02", "2025-03-16", "Paid", "CHF", "0.10", "0.02", "0.12", "0.00", "0.00"],
    ]
