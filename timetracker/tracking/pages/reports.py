"""Reports: hours and money by client, project, person, task or time, with charts and as CSV; and what is used of budgets.

All of it is asked by parameters of the address, so that a report can be kept as a bookmark and sent to somebody, who sees in
it what she may see.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.db.models import QuerySet
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.roles import ALL_ENTRIES, MONEY
from timetracker.csv_text import csv_answer
from timetracker.tracking.bar_charts import bar_chart, tower_chart
from timetracker.tracking.date_ranges import SHORTCUTS
from timetracker.tracking.days import today_in, zone_of
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.pages.report_csv import report_columns, report_file_name, report_rows
from timetracker.tracking.pages.report_form import GROUPINGS, ReportForm
from timetracker.tracking.pages.sums_later import SUMS, sums_address, sums_follow
from timetracker.tracking.report_dates import period_last
from timetracker.tracking.report_names import ReportNames, date_name, report_names
from timetracker.tracking.reports import PERIODS, Report, ReportQuestion, ReportRow, report_make
from timetracker.tracking.sums import TimeSums, sums_added
from timetracker.tracking.visibility import entries_seen_by

__all__ = ["report_csv", "reports"]

# Lines of the table on the page; the CSV has all.
MOST_LINES = 500
# So many entries are added up within the page; of more the sums follow.
AT_ONCE = 20_000


@dataclass(frozen=True)
class Asked:
    """A question about the entries that somebody sees, and how it is to be answered."""

    question: ReportQuestion
    seen: QuerySet[TimeEntry]
    zone: ZoneInfo
    now: datetime
    money: bool

    @property
    def entries(self) -> QuerySet[TimeEntry]:
        """Those that the answer is about."""
        return self.question.chosen(self.seen, self.zone)

    def report(self, names: ReportNames) -> Report:
        """The answer."""
        return report_make(self.question, self.seen, names=names, zone=self.zone, now=self.now, money=self.money)


@dataclass(frozen=True)
class Line:
    """A line of the table: a row of the report, at which depth it stands, and the address of its entries."""

    row: ReportRow
    is_inner: bool
    address: str
    amounts: list[Decimal | None]


@dataclass(frozen=True)
class Heading:
    """The head of a column: the address that sorts by it, and how it is sorted now (empty: not)."""

    label: str
    address: str
    direction: str = ""
    is_number: bool = True


@require_safe
@team_page()
def reports(request: TeamRequest) -> HttpResponse:
    """The page."""
    names = report_names(request.user)
    form, asked = _asked(request, names)
    is_later = asked is not None and sums_follow(request, asked.entries, most=AT_ONCE)
    context: dict[str, Any] = {
        "active": "reports",
        "form": form,
        "sees_all": request.user.has_perm(ALL_ENTRIES),
        "zone": zone_of(request.user),
        "shortcuts": _shortcuts(request, form, is_answered=asked is not None),
        "is_later": is_later,
        "at_once": AT_ONCE,
        "sums_address": sums_address(request),
    }
    if asked is not None and not is_later:
        context |= _shown(request, asked.report(names), names)
    return render(request, "staff/reports.html", context)


@require_safe
@team_page()
def report_csv(request: TeamRequest) -> HttpResponseBase:
    """The table as a file; 404 where the address asks for what there is not."""
    names = report_names(request.user)
    _, asked = _asked(request, names)
    if asked is None:
        raise Http404("There is no such report.")
    report = asked.report(names)
    return csv_answer(report_file_name(report), report_columns(report), report_rows(report, names))


def _asked(request: TeamRequest, names: ReportNames) -> tuple[ReportForm, Asked | None]:
    """The form, and what it asks for; None where it has faults, which it names."""
    zone, now = zone_of(request.user), timezone.now()
    form = ReportForm(request.GET, user=request.user, names=names, today=today_in(zone, now))
    if not form.is_valid():
        return form, None
    question = form.question(request.GET.get("sort", ""))
    return form, Asked(question, entries_seen_by(request.user), zone, now, money=request.user.has_perm(MONEY))


# --- what the page shows ----------------------------------------------------------------------------------------------


def _shown(request: TeamRequest, report: Report, names: ReportNames) -> dict[str, Any]:
    lines, rest = _lines(report)
    by = report.question.by[0]
    towers = tower_chart(
        [
            (_short_name(report.step, each.first), date_name(report.step, each.first), each.seconds, each.billable_seconds)
            for each in report.stretches
        ]
    )
    return {
        "report": report,
        "lines": lines,
        "rest": rest,
        "rest_amounts": _amounts(report, rest[1]) if rest else [],
        "total_amounts": _amounts(report, report.total),
        "headings": _headings(request, report),
        "by_label": GROUPINGS[by].lower(),
        "then_label": GROUPINGS[report.question.by[1]].lower() if len(report.question.by) > 1 else "",
        # Bars by time would say what the columns say.
        "bars": None if by in PERIODS else bar_chart([(row.label, row.sums.seconds, row.sums.billable_seconds) for row in report.rows]),
        "towers": towers,
        "stretches": [(date_name(report.step, each.first), each) for each in report.stretches],
        "csv_address": f"{reverse('staff:report_csv')}?{request.GET.urlencode()}",
    }


def _short_name(step: str, first: date) -> str:
    """What stands below a column."""
    if step == "year":
        return f"{first:%Y}"
    return f"{first:%b %Y}" if step == "month" else f"{first.day} {first:%b}"


def _lines(report: Report) -> tuple[list[Line], tuple[int, TimeSums] | None]:
    """The lines of the table, and how many rows of the first grouping are left out with what they come to."""
    lines: list[Line] = []
    for number, row in enumerate(report.rows):
        if lines and len(lines) + 1 + len(row.inner) > MOST_LINES:
            left_out = report.rows[number:]
            return lines, (len(left_out), sums_added(each.sums for each in left_out))
        lines.append(Line(row, False, _address(report, row), _amounts(report, row.sums)))
        lines += [Line(inner, True, _address(report, inner), _amounts(report, inner.sums)) for inner in row.inner]
    return lines, None


def _amounts(report: Report, sums: TimeSums) -> list[Decimal | None]:
    """Of each currency the amount, and what of it is unbilled; None where there is none in it."""
    return [amounts.get(currency) for currency in report.currencies for amounts in (sums.amounts, sums.unbilled_amounts)]


def _address(report: Report, row: ReportRow) -> str:
    """The address of the entries of a row; empty where it cannot be said in one."""
    question, dates = report.question, report.question.dates
    asked: dict[str, object] = {"person": question.person, "client": question.client, "project": question.project}
    for grouping, key in zip(question.by, row.keys, strict=False):
        if key is None:
            return ""
        if isinstance(key, date) and grouping in PERIODS:
            dates = dates.clipped(key, period_last(grouping, key))
        else:
            asked[grouping] = key
    asked |= {"since": dates.first, "until": dates.last, "billable": {True: "yes", False: "no", None: None}[question.billable]}
    if dates.first is None and dates.last is None:
        asked["period"] = "all"
    return f"{reverse('staff:entries')}?{urlencode({name: value for name, value in asked.items() if value is not None})}"


def _shortcuts(request: TeamRequest, form: ReportForm, *, is_answered: bool) -> list[tuple[str, str, bool]]:
    """Of each named range its words, its address, and whether it is the one that is shown."""
    current = form.shortcut if is_answered else ""
    return [(label, _changed(request, range=name), name == current) for name, label in SHORTCUTS.items()]


def _changed(request: TeamRequest, **changes: str) -> str:
    """The address of this page with other parameters."""
    asked = request.GET.copy()
    if "range" in changes:
        for name in ("from", "to", SUMS):
            asked.pop(name, None)
    for name, value in changes.items():
        asked[name] = value
    return f"?{asked.urlencode()}"


def _headings(request: TeamRequest, report: Report) -> list[Heading]:
    question = report.question
    columns = [("name", " and ".join(GROUPINGS[grouping] for grouping in question.by), False), ("entries", "Entries", True)]
    columns += [("hours", "Hours", True), ("share", "Share", True), ("billable", "Billable", True), ("unbilled", "Unbilled", True)]
    for currency in report.currencies:
        columns += [(f"amount_{currency}", f"Amount {currency}", True), (f"open_{currency}", f"Unbilled {currency}", True)]
    sort = question.sort or ("name" if question.by[0] in PERIODS else "-hours")
    headings = []
    for column, label, is_number in columns:
        # A share is a part of the hours.
        by = "hours" if column == "share" else column
        direction = "" if column == "share" or sort.removeprefix("-") != by else "descending" if sort.startswith("-") else "ascending"
        following = f"-{by}" if (not direction and is_number) or direction == "ascending" else by
        headings.append(Heading(label, f"{_changed(request, sort=following)}#table", direction, is_number))
    return headings
