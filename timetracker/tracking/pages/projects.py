"""Projects: the list, the page of each, the forms, and the rates of people."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.accounts.roles import ALL_ENTRIES, MONEY
from timetracker.billing.unbilled import unbilled_sums
from timetracker.careful_forms import form_saved, go_on, row_to_change
from timetracker.clients.models import Client
from timetracker.deletion import Instead, deletion_page
from timetracker.lists import asked_of, id_of, page_of
from timetracker.tracking.models import Project, ProjectRate, Task, TimeEntry
from timetracker.tracking.pages.project_forms import ProjectFilter, ProjectForm, RateForm, TaskForm
from timetracker.tracking.pages.project_sums import of_this_month, seconds_by
from timetracker.tracking.sums import BudgetUse, sums_added, time_sums, time_total, with_amounts
from timetracker.tracking.visibility import entries_seen_by

__all__ = [
    "archive",
    "project",
    "project_add",
    "project_delete",
    "project_edit",
    "project_page",
    "projects",
    "rate_delete",
    "rate_set",
    "reopen",
]

# How many of the latest entries the page of a project shows.
LATEST = 10


@require_safe
@team_page("tracking.view_project")
def projects(request: TeamRequest) -> HttpResponse:
    """All projects, page by page, with the hours of this month that she sees."""
    form = ProjectFilter(request.GET)
    page = page_of(request, _found(form))
    entries = entries_seen_by(request.user).filter(project__in=[row.pk for row in page])
    month = seconds_by(of_this_month(entries, request.user), "project")
    rows = [(row, month[row.pk]) for row in page]
    context = {"active": "projects", "form": form, "page": page, "rows": rows, "asked": asked_of(request)}
    context["of_client"] = form.wanted("client")
    return render(request, "staff/projects.html", context)


def _found(form: ProjectFilter) -> QuerySet[Project]:
    rows = Project.objects.select_related("client").order_by("code")
    is_archived = Q(status=Project.Status.CLOSED) | Q(client__active=False)
    state = form.wanted("state")
    if state != "all":
        rows = rows.filter(is_archived) if state == "archived" else rows.exclude(is_archived)
    if words := form.wanted("q"):
        rows = rows.filter(Q(code__icontains=words) | Q(name__icontains=words) | Q(client__name__icontains=words))
    if client := form.wanted("client"):
        rows = rows.filter(client=client)
    return rows


@require_safe
@team_page("tracking.view_project")
def project(request: TeamRequest, pk: int) -> HttpResponse:
    """One project; ``?task=ID`` opens one of its tasks."""
    asked = id_of(request.GET.get("task"))
    task = Task.objects.filter(project=pk, pk=asked).first() if asked else None
    editing = TaskForm(instance=task, user=request.user) if task is not None and request.user.has_perm("tracking.change_task") else None
    return project_page(request, pk, editing=editing)


def project_page(
    request: TeamRequest, pk: int, *, adding: TaskForm | None = None, editing: TaskForm | None = None, rating: RateForm | None = None
) -> HttpResponse:
    """The page; forms are those that were refused, or the one of the task that is open. Raises Http404."""
    user = request.user
    if not user.has_perm("tracking.view_project"):
        raise PermissionDenied(f"{user.get_username()} lacks tracking.view_project.")
    found = get_object_or_404(Project.objects.select_related("client"), pk=pk)
    entries = entries_seen_by(user).filter(project=found)
    money = user.has_perm(MONEY)
    # One look at all its time; the sums of tasks, and of what is on none, add up to the whole.
    sums = time_sums(entries, "task", money=money)
    total = sums_added(sums.values())
    rows = found.tasks.select_related("assignee").order_by("id")
    tasks = [(task, sums[(task.pk,)].seconds if (task.pk,) in sums else 0) for task in rows]
    latest = entries.filter(ended_at__isnull=False).select_related("user", "task")
    context: dict[str, Any] = {
        "active": "projects",
        "project": found,
        "total": total,
        "month": time_total(of_this_month(entries, user), money=False),
        # What others have worked could be read from it.
        "use": BudgetUse.of(total.seconds, found.budget_hours) if user.has_perm(ALL_ENTRIES) else None,
        "tasks": [row for row in tasks if row[0].status != Task.Status.DONE],
        "tasks_done": [row for row in tasks if row[0].status == Task.Status.DONE],
        "adding": adding or TaskForm(user=user, brief=True, auto_id="new_%s"),
        "editing": editing,
        "latest": with_amounts(latest).order_by("-started_at", "-id")[:LATEST],
    }
    if money and user.has_perm("tracking.view_projectrate"):
        context |= {"rates": found.rates.select_related("user").order_by("user__full_name", "user__username"), "rate": _usual_rate(found)}
        context["rating"] = rating or RateForm(auto_id="rate_%s")
    if money and user.has_perm("billing.add_invoice"):
        context["unbilled"] = unbilled_sums(found.client, projects=[found])
    return render(request, "staff/project.html", context)


def _usual_rate(project: Project) -> tuple[Decimal, str] | None:
    """The rate of people who have none of their own on it, and whose it is; None where each one's own counts."""
    if project.hourly_rate is not None:
        return project.hourly_rate, "the project's"
    if project.client.default_rate is not None:
        return project.client.default_rate, "the client's"
    return None


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.add_project")
def project_add(request: TeamRequest) -> HttpResponseBase:
    """Make one; ``?client=ID`` says for whom."""
    asked = id_of(request.GET.get("client"))
    client = Client.objects.filter(pk=asked, active=True).first() if asked else None
    form = ProjectForm(request.POST or None, user=request.user, initial={"client": client.pk} if client else None)
    saved = form_saved(form) if form.is_valid() else None
    if saved is not None:
        messages.success(request, f"{saved} is saved. Time can be booked on it, and on tasks of it as soon as there are any.")
        return go_on(request, _address(saved.pk))
    return render(request, "staff/project_form.html", {"active": "projects", "form": form, "of_client": client})


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.change_project")
def project_edit(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Change one, unless somebody else has done so meanwhile."""
    with row_to_change(request, Project.objects.select_related("client"), pk) as found:
        form = ProjectForm(request.POST or None, instance=found, user=request.user)
        if form.is_valid() and form_saved(form):
            messages.success(request, f"{found} is saved.")
            return go_on(request, _address(pk))
    name = f"{form.initial['code']} {form.initial['name']}"
    return render(request, "staff/project_form.html", {"active": "projects", "form": form, "project": found, "name": name})


@require_POST
@team_page("tracking.change_project")
def archive(request: TeamRequest, pk: int) -> HttpResponse:
    """Take it out of all lists of choices; everything of it stays."""
    found = _turn(pk, Project.Status.CLOSED)
    messages.success(request, f"{found} is archived: it takes no new time and leaves the lists of choices. Its history stays.")
    running = TimeEntry.objects.filter(project=found, ended_at__isnull=True).count()
    if running:
        timers = "A timer still runs" if running == 1 else f"{running} timers still run"
        messages.warning(request, f"{timers} on it: the time counts when it is stopped.")
    return redirect(_address(pk))


@require_POST
@team_page("tracking.change_project")
def reopen(request: TeamRequest, pk: int) -> HttpResponse:
    """Let it take time again."""
    found = _turn(pk, Project.Status.ACTIVE)
    messages.success(request, f"{found} is open again.")
    if not found.client.active:
        messages.warning(request, f"Its client, {found.client}, is archived: it takes time when the client is reopened, too.")
    return redirect(_address(pk))


def _turn(pk: int, status: Project.Status) -> Project:
    found = get_object_or_404(Project.objects.select_related("client"), pk=pk)
    found.status = status
    found.save(update_fields=["status", "updated_at"])
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.delete_project")
def project_delete(request: TeamRequest, pk: int) -> HttpResponse:
    """Delete one that was never used, with its tasks and rates."""
    found = get_object_or_404(Project, pk=pk)
    may_archive = found.status != Project.Status.CLOSED and request.user.has_perm("tracking.change_project")
    instead = Instead("Archive this project", reverse("staff:project_archive", args=[pk])) if may_archive else None
    then = reverse("staff:projects")
    return deletion_page(request, found, active="projects", back=_address(pk), then=then, instead=instead)


# --- rates of people --------------------------------------------------------------------------------------------------


@require_POST
@team_page(MONEY)
def rate_set(request: TeamRequest, pk: int) -> HttpResponse:
    """Set what an hour of a person costs on it."""
    found = get_object_or_404(Project, pk=pk)
    form = RateForm(request.POST, auto_id="rate_%s")
    if not form.is_valid():
        return project_page(request, pk, rating=form)
    person = form.cleaned_data["user"]
    action = "change" if ProjectRate.objects.filter(project=found, user=person).exists() else "add"
    if not request.user.has_perm(f"tracking.{action}_projectrate"):
        raise PermissionDenied(f"{request.user.get_username()} lacks tracking.{action}_projectrate.")
    ProjectRate.objects.update_or_create(project=found, user=person, defaults={"hourly_rate": form.cleaned_data["hourly_rate"]})
    messages.success(request, f"The rate of {person} is set. It counts for all her time on this project that is on no invoice yet.")
    return redirect(_address(pk) + "#rates")


@require_POST
@team_page("tracking.delete_projectrate")
def rate_delete(request: TeamRequest, pk: int) -> HttpResponse:
    """Let the usual rate count for a person."""
    if not request.user.has_perm(MONEY):
        raise PermissionDenied(f"{request.user.get_username()} lacks {MONEY}.")
    found = get_object_or_404(ProjectRate.objects.select_related("user"), pk=pk)
    found.delete()
    messages.success(request, f"{found.user} has no rate of her own here any more: the usual one counts.")
    return redirect(_address(found.project_id) + "#rates")


def _address(pk: int) -> str:
    return reverse("staff:project", args=[pk])
