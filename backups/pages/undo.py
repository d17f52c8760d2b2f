"""Undo: what the last restore replaced comes back, and what is live now is kept in its place."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern
from django.views.decorators.http import require_http_methods

from backups.exceptions import BackupError
from backups.journal import Journal, journal_load_all
from backups.pages.acts import act_record, asker, own_progress
from backups.pages.allowed import confirmation_name, is_confirmation, undo_only
from backups.pages.ask import task_request
from backups.pages.confirm import password_asked
from backups.pages.place import SITE, Place, page_path
from backups.pages.row_counts import model_counts, row_counts
from backups.services.kept import kept_current, kept_usable
from backups.services.undo import undo_preview

__all__ = ["undo_available", "urls"]


def urls(place: Place) -> list[URLPattern]:
    """The page of this module in ``place``."""
    return [page_path(place, "undo/", undo, "undo")]


def undo_available() -> Journal | None:
    """The restore or undo that an undo would take back now; None where there is none, or its time is over."""
    kept = kept_current()
    if kept is None or not kept_usable(kept) or datetime.fromisoformat(kept.kept["until"]) < datetime.now(UTC):
        return None
    return kept


@require_http_methods(["GET", "HEAD", "POST"])
@undo_only
def undo(request: HttpRequest, *, place: Place) -> HttpResponse:
    """What comes back, and what has changed since the restore; with POST, the site's name and the password, begin."""
    kept = undo_available()
    if kept is None:
        choose = place.url("choose" if place is SITE else "backup_changelist")
        nothing = {"title": "There is nothing to undo", "choose": choose}
        return render(request, "backups/undo_none.html", {**place.context(request), **nothing}, status=404)
    if (under_way := _under_way(kept)) is not None:
        return HttpResponseRedirect(own_progress(request, under_way.id, place))
    name, typed = confirmation_name(request), request.POST.get("site_name", "")
    error, fault = None, ""
    if request.method == "POST":
        if request.POST.get("operation") != kept.id:
            fault = "Something else was restored or undone meanwhile. Read what would be undone now, and confirm that."
        elif not is_confirmation(typed, name):
            fault = f"That is not the site's name. Type: {name}" if typed.strip() else "Type the site's name to confirm."
        else:
            try:
                return _begin(request, kept, place)
            except BackupError as refusal:
                error = refusal
    changes = undo_preview()
    counts, changed = row_counts(changes.rows), model_counts(changes.changed)
    context = {
        "title": "Undo the undo" if kept.kind == "undo" else "Undo the restore",
        "kept": kept,
        "ended_at": datetime.fromisoformat(kept.ended_at),
        "until": datetime.fromisoformat(changes.until),
        "back": row_counts(changes.back) if changes.back else None,
        "counts": counts,
        "changed": changed,
        "has_changed": bool(changed) or any(not count.is_record for count in counts.different),
        "unread": changes.unread,
        "is_in_place": kept.kept["strategy"] == "in-place",
        "name": name,
        "typed": typed,
        "fault": fault,
        "error": error,
        "result": place.url("result", kept.id),
    }
    return render(request, "backups/undo.html", {**place.context(request), **context}, status=409 if error else 200)


def _under_way(kept: Journal) -> Journal | None:
    """The undo of it that has been asked for and is not over: a form that was sent twice asks for one."""
    unfinished = (journal for journal in journal_load_all() if journal.kind == "undo" and not journal.is_finished)
    return next((journal for journal in unfinished if journal.arguments.get("undoes") == kept.id), None)


def _begin(request: HttpRequest, kept: Journal, place: Place) -> HttpResponse:
    """Ask for the password where it is due, write the act down, ask the workers. Raises BackupError."""
    asks = password_asked(
        request,
        place=place,
        title="Undo: your password, please",
        sentences=["What was live before comes back, and what is live now is kept in its place. Everybody must log in again."],
        button="Undo now",
        back=place.url("undo"),
    )
    if asks is not None:
        return asks
    act_record(request, "undo", archive=kept.archive, operation=kept.id, detail=f"{kept.kind} {kept.short_id}")
    begun = task_request("undo", arguments={"undoes": kept.id}, requested_by=asker(request))
    return HttpResponseRedirect(own_progress(request, begun.id, place))
