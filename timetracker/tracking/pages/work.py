"""What one works on: a project, or a task of it, as one choice in a form.

A choice is written ``12`` (a project's id) or ``12-34`` (with a task's). One field does without a second one that hangs on the
first, so it works without JavaScript and takes one key to reach.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from django import forms
from django.core.exceptions import ValidationError

from timetracker.accounts.models import User
from timetracker.tracking.models import TAKES_TIME, Project, Task, TimeEntry

__all__ = ["Work", "WorkField", "WorkGroup", "ids_of", "work_groups", "work_key", "work_options", "work_words"]

# How many of her latest pieces of work stand at the top, and how many entries are looked through for them.
LATEST, LOOKED_THROUGH = 5, 60
_KEY = re.compile(r"([1-9][0-9]{0,17})(?:-([1-9][0-9]{0,17}))?")


@dataclass(frozen=True)
class Work:
    """A project and, where it is one, its task."""

    project: Project
    task: Task | None = None

    @property
    def key(self) -> str:
        """How a form writes it."""
        return work_key(self.project.pk, self.task.pk if self.task else None)

    def __str__(self) -> str:
        return work_words(self.project.code, self.project.name, self.task.name if self.task else "")


@dataclass
class WorkGroup:
    """Choices under one heading: ``label`` and (key, words) of each."""

    label: str
    choices: list[tuple[str, str]]


def work_key(project_id: int, task_id: int | None) -> str:
    """Write a choice as a form does."""
    return f"{project_id}-{task_id}" if task_id else str(project_id)


def ids_of(key: str) -> tuple[int, int | None] | None:
    """Return the ids of project and task that :func:`work_key` wrote; None where ``key`` is none of these."""
    matched = _KEY.fullmatch(key)
    return None if matched is None else (int(matched[1]), int(matched[2]) if matched[2] else None)


def work_words(code: str, name: str, task: str = "") -> str:
    """Say what is worked on: a project by its code and name, and its task."""
    return f"{code} {name}: {task}" if task else f"{code} {name}"


def work_groups(user: User, *, keep: Work | None = None) -> list[WorkGroup]:
    """Return all that takes new time: her latest work first, then by client. Three queries.

    ``keep`` is offered too, whatever has become of it.
    """
    # Of each timer's start and stop this is the most there is to read: names alone, without the rows they stand in.
    tasks: dict[int, list[tuple[int, str]]] = {}
    taking = Project.objects.filter(TAKES_TIME)
    open_tasks = Task.objects.filter(project__in=taking).exclude(status=Task.Status.DONE).order_by("project_id", "id")
    for pk, of, name in open_tasks.values_list("pk", "project_id", "name"):
        tasks.setdefault(of, []).append((pk, name))
    groups: list[WorkGroup] = []
    words: dict[str, str] = {}
    projects = taking.order_by("client__name", "code").values_list("pk", "code", "name", "client__name")
    for project, code, name, client in projects:
        if not groups or groups[-1].label != client:
            groups.append(WorkGroup(client, []))
        choices = [(work_key(project, None), work_words(code, name))]
        choices += [(work_key(project, task), work_words(code, name, of_task)) for task, of_task in tasks.get(project, [])]
        words |= choices
        groups[-1].choices += choices
    latest = TimeEntry.objects.filter(user=user).order_by("-started_at").values_list("project_id", "task_id")[:LOOKED_THROUGH]
    keys = [key for key in dict.fromkeys(work_key(*pair) for pair in latest) if key in words][:LATEST]
    if keys:
        groups.insert(0, WorkGroup("Lately", [(key, words[key]) for key in keys]))
    if keep is not None and keep.key not in words:
        groups.insert(0, WorkGroup("As it is", [(keep.key, str(keep))]))
    return groups


def work_options(groups: list[WorkGroup], chosen: str) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """Return what a select shows: per group its label and (key, words, whether it is selected), ``chosen`` once at most."""
    options: list[tuple[str, list[tuple[str, str, bool]]]] = []
    is_open = True
    for group in groups:
        rows = []
        for key, words in group.choices:
            is_selected = is_open and key == chosen
            is_open = is_open and not is_selected
            rows.append((key, words, is_selected))
        options.append((group.label, rows))
    return options


class WorkField(forms.CharField):
    """A choice of :func:`work_groups`, cleaned to a :class:`Work`; the template writes the choices itself.

    ``keep`` is accepted whatever has become of it.
    """

    def __init__(self, *, keep: Work | None = None) -> None:
        """Ask for one."""
        super().__init__(label="Project or task", error_messages={"required": "Choose what you work on."})
        self.keep = keep

    def clean(self, value: object) -> Work:
        """Return the work; refuse what takes no time (any more)."""
        ids = ids_of(key := super().clean(value))
        if ids is None:
            raise ValidationError("Choose a project or a task from the list.", code="unknown")
        if self.keep is not None and key == self.keep.key:
            return self.keep
        project_id, task_id = ids
        project = Project.objects.select_related("client").filter(TAKES_TIME, pk=project_id).first()
        task = Task.objects.filter(pk=task_id, project=project_id).first() if task_id else None
        if project is None or (task_id and task is None):
            reason = "This takes no time any more: the project is not active, or the task is gone. Choose another."
            raise ValidationError(reason, code="gone")
        return Work(project, task)
