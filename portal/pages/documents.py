"""Documents released for the client."""

from __future__ import annotations

from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from portal.access import PortalRequest, client_page
from portal.figures import documents_of
from timetracker.attachments import attachment_answer
from timetracker.lists import page_of

__all__ = ["document", "documents"]


@require_safe
@client_page("portal_shows_documents")
def documents(request: PortalRequest) -> HttpResponse:
    """The list, page by page."""
    return render(request, "portal/documents.html", {"active": "documents", "page": page_of(request, documents_of(request.client))})


@require_safe
@client_page("portal_shows_documents")
def document(request: PortalRequest, pk: int) -> FileResponse:
    """The file of a document that was released."""
    return attachment_answer(get_object_or_404(documents_of(request.client), pk=pk).file)
