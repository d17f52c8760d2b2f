"""Asking for an export, seeing how far it is, having it, and giving it up. Where they are shown: the tag ``export_section``."""

from __future__ import annotations

import logging
from uuid import UUID

from django.contrib import messages
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from timetracker.accounts.access import TeamRequest, team_page
from timetracker.attachments import storage_asked
from timetracker.exports.access import exports_of, may_export
from timetracker.exports.asking import export_ask, export_delete
from timetracker.exports.models import Export
from timetracker.exports.templatetags.exports import section_context

__all__ = ["ask", "delete", "download", "standing"]

logger = logging.getLogger(__name__)


@require_POST
@team_page()
def ask(request: TeamRequest, scope: str) -> HttpResponse:
    """Ask for one, and go back to where the button is."""
    export_ask(request.user, scope)
    return _back(request, scope)


@require_safe
@team_page()
def standing(request: TeamRequest, scope: str) -> HttpResponse:
    """The section alone, for who waits with the page open."""
    if not may_export(request.user, scope):
        raise Http404("There is no such export.")
    if not request.htmx:
        return _back(request, scope)
    return render(request, "staff/export_section.html", section_context(request.user, scope, _place(request)))


@require_POST
@team_page()
def delete(request: TeamRequest, token: UUID) -> HttpResponse:
    """Give one up."""
    export = get_object_or_404(exports_of(request.user), token=token)
    messages.success(request, "The export is no longer being made." if export.is_pending else "The export is deleted.")
    export_delete(export)
    return _back(request, export.scope)


@never_cache
@require_safe
def download(request: HttpRequest, token: UUID) -> HttpResponseBase:
    """The file, for whoever asked for it and may still have it; 404 for everybody else, so that no address tells anything."""
    found = exports_of(request.user).filter(state=Export.State.READY, expires_at__gt=timezone.now())
    export = get_object_or_404(found, token=token)
    try:
        with storage_asked():
            content = default_storage.open(export.stored_name, "rb")
    except OSError as error:
        logger.error("The file of the export %s cannot be read: %s", export.token, error)  # noqa: TRY400
        raise Http404("The file is missing.") from error
    response = FileResponse(content, as_attachment=True, filename=export.file_name, content_type="application/zip")
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _place(request: HttpRequest) -> str:
    """Where the section stands: on the page of that name."""
    return "account" if request.GET.get("at") == "account" else "import_export"


def _back(request: HttpRequest, scope: str) -> HttpResponse:
    return redirect(f"{reverse(f'staff:{_place(request)}')}#export-{scope}")
