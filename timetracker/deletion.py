"""What may be deleted: rows on which nothing hangs. All others keep their history, and can be archived instead."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.db import transaction
from django.db.models import CASCADE, ManyToOneRel, Model
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import get_text_list

from timetracker.accounts.access import TeamRequest

__all__ = ["Instead", "delete_unused", "deletion_page", "uses_of"]


@dataclass(frozen=True)
class Instead:
    """What can be done where a row stays: the words on the button, and where it posts."""

    label: str
    address: str


def uses_of(row: Model) -> list[str]:
    """Say what hangs on ``row``: ``["2 projects", "1 document"]``; empty where nothing does.

    What belongs to it alone and would be deleted with it, as the rates of a project, does not count. One query for each kind.
    """
    found = []
    for relation in row._meta.related_objects:
        if isinstance(relation, ManyToOneRel) and relation.on_delete is not CASCADE:
            model = relation.related_model
            count = model._default_manager.filter(**{relation.field.name: row.pk}).order_by().count()
            if count:
                found.append(f"{count} {model._meta.verbose_name if count == 1 else model._meta.verbose_name_plural}")
    return found


def delete_unused(row: Model) -> list[str]:
    """Delete ``row`` unless something hangs on it, and return what does. Nothing can be hung on it meanwhile."""
    with transaction.atomic():
        locked = type(row)._default_manager.select_for_update().order_by().filter(pk=row.pk).first()
        uses = uses_of(locked) if locked is not None else []
        if locked is not None and not uses:
            locked.delete()
    return uses


def deletion_page(request: TeamRequest, row: Model, *, active: str, back: str, then: str, instead: Instead | None) -> HttpResponse:
    """Ask before ``row`` is deleted (GET) and delete it (POST), or say what hangs on it and what can be done ``instead``.

    ``back`` is the page of the row, ``then`` the one to go on to without it.
    """
    name, kind = str(row), row._meta.verbose_name
    if request.method == "POST":
        uses = delete_unused(row)
        if not uses:
            messages.success(request, f"{name} is deleted.")
            return redirect(then)
    else:
        uses = uses_of(row)
    context = {"active": active, "name": name, "kind": kind, "uses": get_text_list(uses, "and"), "back": back, "instead": instead}
    return render(request, "staff/delete.html", context, status=409 if request.method == "POST" else 200)
