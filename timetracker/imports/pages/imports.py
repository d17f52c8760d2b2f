"""The pages of an import: bring a file, match its columns, see what would happen, and import it.

An import is seen by the person who brought the file, and by nobody else (404).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date
from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.attachments import storage_asked
from timetracker.careful_forms import go_on
from timetracker.imports.counts import Counts
from timetracker.imports.data_rows import SECTIONS
from timetracker.imports.exceptions import FileRefused, ImportStopped
from timetracker.imports.fields import fields_for
from timetracker.imports.models import Import
from timetracker.imports.options import Options, Sample, options_read, sample_of
from timetracker.imports.pages.forms import MatchForm, UploadForm
from timetracker.imports.permissions import kinds_for, may_import
from timetracker.imports.problems import problems_bytes, problems_first
from timetracker.imports.running import import_begin, import_bring, import_discard, import_is_stuck
from timetracker.imports.text import encoding_check
from timetracker.progress import progress_of

__all__ = ["begin", "columns", "discard", "one", "problems", "upload"]

logger = logging.getLogger(__name__)

# Rows that are wrong, on the page; all of them are in the CSV.
SHOWN = 200


@require_http_methods(["GET", "HEAD", "POST"])
@team_page()
def upload(request: TeamRequest) -> HttpResponseBase:
    """Bring a file; ``?kind=`` proposes what is in it."""
    if not kinds_for(request.user):
        raise PermissionDenied(f"{request.user.get_username()} may import nothing.")
    form = UploadForm(request.POST or None, request.FILES or None, user=request.user, initial={"kind": request.GET.get("kind", "")})
    if request.method == "POST" and form.is_valid():
        try:
            row = import_bring(cast("UploadedFile[bytes]", form.cleaned_data["file"]), kind=form.cleaned_data["kind"], by=request.user)
        except FileRefused as error:
            form.add_error("file", str(error))
        except OSError as error:
            logger.error("A file to be imported cannot be kept: %s", error)
            reason = error.strerror or error
            form.add_error("file", f"The file cannot be kept ({reason}). Tell whoever runs this site, and upload it again.")
        else:
            if row.kind == Import.Kind.DATA:
                _begin(request, row, Import.Act.CHECK)
                return go_on(request, reverse("staff:import", args=[row.pk]))
            return go_on(request, reverse("staff:import_columns", args=[row.pk]))
    return render(request, "staff/import_new.html", {"active": "import-export", "form": form, "back": reverse("staff:import_export")})


@require_safe
@team_page()
def one(request: TeamRequest, pk: int) -> HttpResponseBase:
    """How far it has come, and what came of it. While it is under way the page asks again each second."""
    row = _seen(request, pk)
    if row.state == Import.State.BROUGHT and row.kind != Import.Kind.DATA:
        return redirect("staff:import_columns", pk)
    counts = Counts.from_json(row.counts)
    context: dict[str, Any] = {
        "active": "import-export",
        "row": row,
        "is_data": row.kind == Import.Kind.DATA,
        "counts": counts,
        "lists": [(name, *counts.lists[name]) for name in SECTIONS if name in counts.lists],
        "first": date.fromisoformat(counts.first) if counts.first else None,
        "last": date.fromisoformat(counts.last) if counts.last else None,
        "is_stuck": import_is_stuck(row),
        "progress": progress_of(str(row.run)) if row.state == Import.State.RUNNING else None,
        "may_write": _is_good(row, counts),
        "shown": SHOWN,
    }
    if row.problems:
        try:
            context["problems"] = problems_first(row.problems, SHOWN)
        except OSError:
            context["problems_gone"] = True
    return render(request, "staff/import.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@team_page()
def columns(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Say which column means what, and have the file checked."""
    row = _seen(request, pk)
    address = reverse("staff:import", args=[pk])
    is_settled = row.state == Import.State.DONE or (row.is_under_way and not import_is_stuck(row))
    if is_settled or row.kind == Import.Kind.DATA:
        return redirect(address)
    try:
        sample = _sample(row)
    except (FileRefused, OSError) as error:
        messages.error(request, _reason(error))
        return redirect("staff:import_export")
    form = MatchForm(request.POST or None, row=row, user=request.user, sample=sample)
    if form.is_bound:
        is_valid = form.is_valid()
        if form.is_read_otherwise or "reread" in request.POST:
            if _read_otherwise(row, form, request):
                messages.info(request, "The file was read anew. Look whether the columns are right now.")
                return go_on(request, reverse("staff:import_columns", args=[pk]))
        elif is_valid:
            _options_keep(row, form.chosen)
            _begin(request, row, Import.Act.CHECK)
            return go_on(request, address)
    context = {"active": "import-export", "row": row, "form": form, "sample": sample}
    return render(request, "staff/import_columns.html", context)


@require_POST
@team_page()
def begin(request: TeamRequest, pk: int) -> HttpResponseBase:
    """Check once more (``act=check``), or import what was found good (``act=write``)."""
    row = _seen(request, pk)
    act = request.POST.get("act")
    if act == Import.Act.WRITE:
        if _is_good(row, Counts.from_json(row.counts)) or (row.act == Import.Act.WRITE and import_is_stuck(row)):
            _begin(request, row, Import.Act.WRITE)
    elif act == Import.Act.CHECK and row.state != Import.State.DONE and (row.state != Import.State.BROUGHT or row.kind == Import.Kind.DATA):
        _begin(request, row, Import.Act.CHECK)
    return go_on(request, reverse("staff:import", args=[pk]))


@require_safe
@team_page()
def problems(request: TeamRequest, pk: int) -> HttpResponseBase:
    """All rows that are wrong, as CSV."""
    row = _seen(request, pk)
    if not row.problems:
        raise Http404("No row is wrong.")
    try:
        pieces = problems_bytes(row.problems)
    except OSError as error:
        raise Http404("The list is gone.") from error
    headers = {"Content-Disposition": f'attachment; filename="wrong_rows_{row.kind}_{pk}.csv"', "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8", headers=headers)


@require_POST
@team_page()
def discard(request: TeamRequest, pk: int) -> HttpResponse:
    """Cancel what is under way, and delete the file. What has been imported stays."""
    row = _seen(request, pk)
    import_discard(row)
    sentence = "The file is deleted. What was imported stays." if row.state == Import.State.DONE else "Cancelled: nothing was imported."
    messages.success(request, sentence)
    return redirect("staff:import_export")


def _seen(request: TeamRequest, pk: int) -> Import:
    """Her import. Raises Http404, and PermissionDenied where she may no longer bring such files."""
    row = get_object_or_404(Import.objects.select_related("by"), pk=pk, by=request.user, expires_at__gt=timezone.now())
    if not may_import(request.user, row.kind):
        raise PermissionDenied(f"{request.user.get_username()} may not import {row.kind}.")
    return row


def _is_good(row: Import, counts: Counts) -> bool:
    """Whether a check has found nothing wrong, and something new."""
    return row.state == Import.State.CHECKED and not counts.bad and counts.new > 0


def _begin(request: TeamRequest, row: Import, act: Import.Act) -> None:
    try:
        import_begin(row, act)
    except ImportStopped as error:
        messages.error(request, str(error))


def _sample(row: Import) -> Sample:
    options = Options.from_json(row.options)
    with storage_asked():
        opened = row.file.storage.open(str(row.file.name))
    with opened:
        return sample_of(cast(Any, opened.file), options.encoding, options.delimiter)


def _reason(error: FileRefused | OSError) -> str:
    """Why a file that was brought cannot be read, and what to do."""
    if isinstance(error, FileRefused):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "The file is no longer in the site's storage; a restore may have taken it away. Upload it again."
    return f"The file cannot be read ({error.strerror or error}). Tell whoever runs this site, and try again."


def _read_otherwise(row: Import, form: MatchForm, request: TeamRequest) -> bool:
    """Find the columns anew, with another encoding or delimiter; False where that cannot be, and the form says why."""
    asked = {name: form.cleaned_data[name] for name in ("encoding", "delimiter") if name in form.cleaned_data}
    options = replace(form.options, **asked)
    with row.file.storage.open(str(row.file.name)) as opened:
        file = cast(Any, opened.file)
        try:
            encoding_check(file, options.encoding)
            options = options_read(file, options, fields_for(row.kind, request.user))
        except FileRefused as error:
            form.add_error("encoding" if "encoding" in form.changed_data else "delimiter", str(error))
            return False
    _options_keep(row, options)
    return True


def _options_keep(row: Import, options: Options) -> None:
    """Keep what was chosen, unless something was begun meanwhile. What was checked was read otherwise, and is not checked any more."""
    found = Import.objects.filter(pk=row.pk, run=row.run, state=row.state)
    brought = {"state": Import.State.BROUGHT, "counts": {}, "message": ""}
    if found.update(options=options.to_json(), updated_at=timezone.now(), **brought):
        row.state = Import.State.BROUGHT
