"""How much of the hours that were agreed for a project is used: by everybody, so for those alone who see everybody's time."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django import forms
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.tracking.hours_text import hours_said
from timetracker.tracking.models import Project, TimeEntry
from timetracker.tracking.pages.sums_later import sums_address, sums_follow
from timetracker.tracking.sums import BudgetUse, budgets_used, running_count

__all__ = ["BudgetLine", "budgets"]

# Units of the bar's drawing. A budget that is used up reaches to the mark; the rest is room for what is beyond it.
BAR_WIDTH, BAR_FULL = 240, 180
# So many entries are added up within the page; of more the sums follow.
AT_ONCE = 100_000
_STATES = {"active": Q(status=Project.Status.ACTIVE), "open": ~Q(status=Project.Status.CLOSED), "all": Q()}
_SORTS = {"used": "most used first", "left": "fewest hours left first", "name": "by client and project"}


class BudgetForm(forms.Form):
    """Which projects, and in which order."""

    state = forms.ChoiceField(
        label="Projects", required=False, choices=[("open", "Active and paused"), ("active", "Active alone"), ("all", "Closed, too")]
    )
    sort = forms.ChoiceField(label="Order", required=False, choices=[(key, words.capitalize()) for key, words in _SORTS.items()])


@dataclass(frozen=True)
class BudgetLine:
    """A project and what is used of its budget; ``address`` leads to its report."""

    project: Project
    use: BudgetUse
    address: str

    @property
    def left(self) -> int:
        """Seconds that are left; below zero where more was worked."""
        return (self.use.budget_seconds or 0) - self.use.seconds

    @property
    def said(self) -> str:
        """What is left, in words."""
        if self.left < 0:
            return f"{hours_said(-self.left)} over budget"
        return f"{hours_said(self.left)} left" if self.left else "used up"

    @property
    def is_tight(self) -> bool:
        """Whether a tenth of it or less is left."""
        return 0 <= 10 * self.left <= (self.use.budget_seconds or 0)

    @property
    def width(self) -> float:
        """The bar, up to the mark."""
        return min(self._whole_width, BAR_FULL)

    @property
    def over_width(self) -> float:
        """What of it is beyond the mark, as far as there is room."""
        return round(min(self._whole_width, BAR_WIDTH) - self.width, 1)

    @property
    def _whole_width(self) -> float:
        if not self.use.budget_seconds:
            return BAR_WIDTH + 1 if self.use.seconds else 0
        return round(BAR_FULL * self.use.seconds / self.use.budget_seconds, 1)


@require_safe
@team_page(ALL_ENTRIES)
def budgets(request: TeamRequest) -> HttpResponse:
    """The page."""
    form, now = BudgetForm(request.GET, auto_id="budgets-%s", label_suffix=""), timezone.now()
    lines: list[BudgetLine] = []
    is_later = False
    if form.is_valid():
        asked = form.cleaned_data
        projects = Project.objects.filter(_STATES[asked["state"] or "open"], budget_hours__isnull=False)
        of_all = TimeEntry.objects.filter(project__in=projects.order_by().values("pk"))
        is_later = sums_follow(request, of_all, most=AT_ONCE)
        if not is_later:
            lines = _in_order(_lines_of(budgets_used(projects, now=now)), asked["sort"] or "used")
    of_these = TimeEntry.objects.filter(project__in=[line.project.pk for line in lines])
    context = {
        "active": "reports",
        "form": form,
        "lines": lines,
        "over": sum(line.use.is_over for line in lines),
        "running": running_count(of_these) if lines else 0,
        "now": now,
        "bar_width": BAR_WIDTH,
        "bar_full": BAR_FULL,
        "sees_all": True,
        "is_later": is_later,
        "at_once": AT_ONCE,
        "sums_address": sums_address(request),
    }
    return render(request, "staff/budgets.html", context)


def _lines_of(used: dict[int, BudgetUse]) -> list[BudgetLine]:
    projects = Project.objects.filter(budget_hours__isnull=False).select_related("client").in_bulk()
    address = reverse("staff:reports")
    return [
        BudgetLine(projects[pk], use, f"{address}?{urlencode({'by': 'person', 'project': pk, 'range': 'all'})}")
        for pk, use in used.items()
        if pk in projects
    ]


def _in_order(lines: list[BudgetLine], sort: str) -> list[BudgetLine]:
    by_name = sorted(lines, key=lambda line: (line.project.client.name.casefold(), line.project.code))
    if sort == "left":
        return sorted(by_name, key=lambda line: line.left)
    if sort == "used":
        return sorted(by_name, key=lambda line: -line.use.seconds / (line.use.budget_seconds or 0.001))
    return by_name
