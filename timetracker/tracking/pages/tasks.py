"""Tasks, on the page of their project: add, change, finish and reopen them in place."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.deletion import Instead, deletion_page
from timetracker.tracking.models import Project, Task
from timetracker.tracking.pages.project_forms import TaskForm
from timetracker.tracking.pages.projects import project_page

__all__ = ["task", "task_add", "task_delete", "task_turn"]


@require_POST
@team_page("tracking.add_task")
def task_add(request: TeamRequest, pk: int) -> HttpResponse:
    """Add one by its name."""
    project = get_object_or_404(Project, pk=pk)
    form = TaskForm(request.POST, instance=Task(project=project), user=request.user, brief=True, auto_id="new_%s")
    if not form.is_valid():
        return project_page(request, pk, adding=form)
    form.save()
    return redirect(_address(pk))


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.change_task")
def task(request: TeamRequest, pk: int) -> HttpResponse:
    """Change its name, who has it, its estimate and when it is due."""
    found = get_object_or_404(Task, pk=pk)
    if request.method != "POST":
        return redirect(_address(found.project_id, opened=pk))
    form = TaskForm(request.POST, instance=found, user=request.user)
    if not form.is_valid():
        return project_page(request, found.project_id, editing=form)
    form.save()
    return redirect(_address(found.project_id))


@require_POST
@team_page("tracking.change_task")
def task_turn(request: TeamRequest, pk: int, status: str) -> HttpResponse:
    """Call it done, so that it leaves the lists of choices, or open again."""
    found = get_object_or_404(Task, pk=pk)
    found.status = status
    found.save(update_fields=["status", "updated_at"])
    messages.success(request, f"“{found}” is {'done' if status == Task.Status.DONE else 'open again'}.")
    return redirect(_address(found.project_id))


@require_http_methods(["GET", "HEAD", "POST"])
@team_page("tracking.delete_task")
def task_delete(request: TeamRequest, pk: int) -> HttpResponse:
    """Delete one on which nobody has worked."""
    found = get_object_or_404(Task, pk=pk)
    may_finish = found.status != Task.Status.DONE and request.user.has_perm("tracking.change_task")
    instead = Instead("Mark it as done", reverse("staff:task_done", args=[pk])) if may_finish else None
    back = _address(found.project_id)
    return deletion_page(request, found, active="projects", back=back, then=back, instead=instead)


def _address(project_id: int, *, opened: int | None = None) -> str:
    """The tasks on the page of the project, one of them ``opened``."""
    return reverse("staff:project", args=[project_id]) + (f"?task={opened}" if opened else "") + "#tasks"
